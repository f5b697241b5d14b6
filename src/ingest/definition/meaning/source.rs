//! What a source must say: one place its bytes come from, every variable bound, every pattern sound.

use std::collections::BTreeSet;

use super::{
    super::{
        duration,
        fault::did_you_mean,
        grammar::{Checksum, Definition, Source, SourceRef, Table},
    },
    Meaning,
    Step::{self, At, Key},
};

impl Meaning<'_, '_> {
    /// The variables a table's source binds; `None` where the source is at fault already.
    pub(super) fn table_source(
        &mut self,
        definition: &Definition,
        table: &Table,
        at: usize,
    ) -> Option<BTreeSet<String>> {
        let path = [Key("table"), At(at), Key("source")];
        let name = match &table.source {
            SourceRef::Name(name) => name,
            SourceRef::Inline(source) => match &source.name {
                Some(name) => {
                    if has_origin(source) {
                        self.fault(
                            &path,
                            "a source names another (`name`) or says where its bytes are, not both".into(),
                        );
                        return None;
                    }
                    name
                }
                None => {
                    self.source(source, &path);
                    return Some(variables_of(source));
                }
            },
        };
        let found = definition.sources.iter().find(|source| source.name.as_ref() == Some(name));
        if found.is_none() {
            let known = definition.sources.iter().filter_map(|source| source.name.as_deref());
            let hint = did_you_mean(name, known);
            self.fault(&path, format!("there is no [[source]] called `{name}`{hint}"));
        }
        found.map(variables_of)
    }

    pub(super) fn source(&mut self, source: &Source, path: &[Step<'_>]) {
        let origins =
            [source.url.is_some(), source.urls.is_some(), source.path.is_some()].into_iter().filter(|is| *is).count();
        let lists = source.listing.is_some() || source.status.is_some();
        if origins > 1 || (origins == 0 && !lists) {
            self.fault(path, "a source has one of `url`, `urls`, `path`, `listing` or `status`".into());
        }
        if source.listing.is_some() && source.pattern.is_none() {
            self.fault(path, "`listing` needs `match`: the regular expression its links are held against".into());
        }
        if source.pattern.is_some() && source.listing.is_none() {
            self.fault_in(
                path,
                "match",
                "`match` goes with `listing`; file names of a status document are matched by `status.match`",
            );
        }
        let patterns = [
            ("match", source.pattern.as_deref()),
            ("status", source.status.as_ref().and_then(|s| s.pattern.as_deref())),
        ];
        for (key, pattern) in patterns {
            if let Some(error) = pattern.and_then(|pattern| regex::Regex::new(pattern).err()) {
                self.fault_in(path, key, &format!("this is no regular expression: {error}"));
            }
        }
        if let Some(recheck) = source.recheck.as_deref().filter(|time| duration(time).is_none()) {
            self.fault_in(path, "recheck", &format!("`{recheck}` is no time such as `2d`"));
        }
        if let Some(Checksum::Literal(literal)) = &source.checksum
            && (literal.sha256.len() != 64 || !literal.sha256.chars().all(|c| c.is_ascii_hexdigit()))
        {
            self.fault_in(path, "checksum", "a sha256 is 64 hexadecimal digits");
        }
        let bound = variables_of(source);
        let addresses = source
            .url
            .iter()
            .map(|url| ("url", url))
            .chain(source.urls.iter().flatten().map(|url| ("urls", url)))
            .chain(source.listing.iter().map(|url| ("listing", url)))
            .chain(source.latest.iter().map(|url| ("latest", url)))
            .chain(source.status.iter().map(|status| ("status", &status.url)))
            .chain(source.checksum.iter().filter_map(|checksum| match checksum {
                Checksum::File(file) => Some(("checksum", &file.url)),
                Checksum::Literal(_) => None,
            }));
        for (key, url) in addresses {
            self.address(path, key, url, &bound);
        }
        if let (Some(each), Some(url)) = (&source.each, &source.url) {
            let used: BTreeSet<String> = placeholders(url).into_iter().collect();
            for name in each.keys().filter(|name| !used.contains(*name)) {
                self.fault_in(path, "each", &format!("`each.{name}` is not used: `url` has no `{{{name}}}`"));
            }
        }
    }

    pub(super) fn address(&mut self, path: &[Step<'_>], key: &str, url: &str, bound: &BTreeSet<String>) {
        if !(url.starts_with("http://") || url.starts_with("https://") || url.starts_with("file://")) {
            self.fault_in(
                path,
                key,
                &format!("`{url}` is no http(s) address; a file beside the definition is named by `path`"),
            );
        }
        for name in placeholders(url).into_iter().filter(|name| !bound.contains(name)) {
            let hint = did_you_mean(&name, bound.iter().map(String::as_str));
            self.fault_in(
                path,
                key,
                &format!("`{{{name}}}` is bound by neither `each`, `latest` nor a capture of `match`{hint}"),
            );
        }
    }
}

fn has_origin(source: &Source) -> bool {
    source.url.is_some()
        || source.urls.is_some()
        || source.path.is_some()
        || source.listing.is_some()
        || source.status.is_some()
}

/// The variables a source binds: `each`, `latest`, named captures.
fn variables_of(source: &Source) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = source.each.iter().flat_map(|each| each.keys().cloned()).collect();
    if source.latest.is_some() {
        names.insert("latest".into());
    }
    let patterns = source.pattern.iter().chain(source.status.iter().filter_map(|status| status.pattern.as_ref()));
    for pattern in patterns.filter_map(|pattern| regex::Regex::new(pattern).ok()) {
        names.extend(pattern.capture_names().flatten().map(str::to_owned));
    }
    names
}

/// The variables in a template such as `…/{day:%Y}/{day:%m}.gz`.
fn placeholders(url: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = url;
    while let Some((_, tail)) = rest.split_once('{') {
        let Some((inside, after)) = tail.split_once('}') else { break };
        found.push(inside.split(':').next().unwrap_or(inside).to_owned());
        rest = after;
    }
    found
}
