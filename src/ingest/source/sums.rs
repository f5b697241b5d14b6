//! Checksum files: `hash  name`, `hash *name`, `SHA256 (name) = hash`, or nothing but a hash.

use std::collections::HashMap;

use crate::ingest::definition::grammar::ChecksumKind;

/// One line of a checksum file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) kind: ChecksumKind,
    pub(super) hash: String,
    /// As written, without `*` and `./`; none where the line is the hash alone.
    pub(super) name: Option<String>,
}

/// Reads one line; none when it is no checksum.
pub(super) fn read_line(line: &str) -> Option<Sum> {
    let line = line.trim().trim_start_matches('\\');
    if let Some((before, hash)) = line.rsplit_once(") = ") {
        let (_, name) = before.split_once(" (")?;
        return Some(Sum { kind: kind_of(hash)?, hash: hash.to_ascii_lowercase(), name: Some(plain(name)) });
    }
    let (hash, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let kind = kind_of(hash)?;
    let name = rest.trim();
    Some(Sum { kind, hash: hash.to_ascii_lowercase(), name: (!name.is_empty()).then(|| plain(name)) })
}

/// A checksum file.
#[derive(Debug, Default)]
pub(super) struct Sums {
    by_path: HashMap<String, String>,
    by_name: HashMap<String, String>,
    /// The only line, when it is a hash and nothing else.
    alone: Option<String>,
}

impl Sums {
    /// Reads the lines of one kind.
    pub(super) fn read(text: &str, kind: ChecksumKind) -> Self {
        let mut sums = Self::default();
        let lines: Vec<Sum> = text.lines().filter_map(read_line).filter(|sum| sum.kind == kind).collect();
        if let [Sum { hash, name: None, .. }] = lines.as_slice() {
            sums.alone = Some(hash.clone());
        }
        for Sum { hash, name, .. } in lines {
            let Some(name) = name else { continue };
            sums.by_name.entry(last_segment(&name).to_owned()).or_insert_with(|| hash.clone());
            sums.by_path.entry(name).or_insert(hash);
        }
        sums
    }

    /// The checksum of a file, by its path below the checksum file, else by its name.
    pub(super) fn find(&self, path: &str) -> Option<&str> {
        let found = self.by_path.get(path).or_else(|| self.by_name.get(last_segment(path)));
        found.or(self.alone.as_ref()).map(String::as_str)
    }
}

fn last_segment(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn plain(name: &str) -> String {
    let name = name.strip_prefix('*').unwrap_or(name);
    name.strip_prefix("./").unwrap_or(name).to_owned()
}

/// The kind that a hash of this length is.
pub(super) fn kind_of(hash: &str) -> Option<ChecksumKind> {
    if !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    match hash.len() {
        64 => Some(ChecksumKind::Sha256),
        40 => Some(ChecksumKind::Sha1),
        32 => Some(ChecksumKind::Md5),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MD5: &str = "900150983cd24fb0d6963f7d28e17f72";
    const SHA1: &str = "a9993e364706816aba3e25717850c26c9cd0d89d";

    #[test]
    fn checksum_files_are_read_in_all_their_forms() {
        let text = format!(
            "# sums\n{MD5}  b/a.bz2\n{MD5} *./x y.tar\r\nMD5 (bsd.gz) = {}\n\n{SHA1}  a.bz2\n",
            MD5.to_uppercase()
        );
        let md5 = Sums::read(&text, ChecksumKind::Md5);
        assert_eq!(md5.find("a.bz2"), Some(MD5), "by name");
        assert_eq!(md5.find("x y.tar"), Some(MD5));
        assert_eq!(md5.find("bsd.gz"), Some(MD5));
        assert_eq!(md5.find("c.bz2"), None);
        assert_eq!(Sums::read(&text, ChecksumKind::Sha1).find("a.bz2"), Some(SHA1));
        assert_eq!(Sums::read(&text, ChecksumKind::Sha256).find("a.bz2"), None);
        assert_eq!(Sums::read(&format!("{MD5}\n"), ChecksumKind::Md5).find("any"), Some(MD5), "a hash alone");
        let other = SHA1.replace('a', "b");
        let two = Sums::read(&format!("{SHA1}  x/a\n{other}  y/a\n"), ChecksumKind::Sha1);
        assert_eq!(two.find("y/a"), Some(other.as_str()), "the path comes first");
    }
}
