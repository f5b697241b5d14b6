//! `openshelf new`: a definition and a sample, from the bytes of a file alone. Guesses only what the bytes show; the license
//! is nobody's to guess, so it is `personal` until somebody has read the terms.

mod cut;
mod dialect;
mod json_walk;
mod names;
mod pack;
mod sniff;
mod survey;
mod write;

#[cfg(test)]
mod tests;

use std::{fs::File, io::Read, path::Path};

use self::{cut::cut, sniff::Head, survey::Survey, write::TableText};
use super::{
    Failure, definition,
    definition::grammar::{ColumnDefinition, Format, Header, OneOrMany, Scalar},
    extract::{Extraction, Member, decompress::Compression, extract, fixed_width, members},
    normalize::bind::by_order,
};
use crate::{catalog::DatasetId, config::Caps};

/// Bytes of a member's beginning that are looked at.
const HEAD: u64 = 4 << 20;
/// Largest file that is kept as its own sample where it cannot be cut.
const MOST_SAMPLE: u64 = 1 << 20;
/// Most tables of one draft.
const MOST_TABLES: usize = 50;

/// What a new dataset begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The text of `dataset.toml`.
    pub definition: String,
    /// Files of `sample/`: name and bytes. None if the file is too large and cannot be cut.
    pub sample: Vec<(String, Vec<u8>)>,
    /// What to tell the person, one line each.
    pub notes: Vec<String>,
}

/// A member's beginning.
struct Beginning {
    name: Option<String>,
    bytes: Vec<u8>,
    whole: bool,
}

/// A table that some members are read as.
struct Plan {
    name: String,
    format: Format,
    /// Places in the list of members.
    members: Vec<usize>,
}

impl Draft {
    /// Writes the definition and the sample into a dataset's folder; refuses to touch a definition that is there.
    ///
    /// # Errors
    /// A folder or file that cannot be written (internal); a definition that is there already (definition).
    pub fn write(&self, folder: &Path) -> Result<(), Failure> {
        let failed = |path: &Path, error: std::io::Error| {
            Failure::internal(format!("{}: cannot be written: {error}", path.display()))
        };
        let path = folder.join("dataset.toml");
        if path.exists() {
            return Err(Failure::definition(format!(
                "{} is there already; remove it, or choose another name",
                path.display()
            )));
        }
        let sample = folder.join("sample");
        std::fs::create_dir_all(&sample).map_err(|error| failed(&sample, error))?;
        for (name, bytes) in &self.sample {
            let path = sample.join(name);
            std::fs::write(&path, bytes).map_err(|error| failed(&path, error))?;
        }
        std::fs::write(&path, &self.definition).map_err(|error| failed(&path, error))
    }
}

/// Drafts the definition of `dataset` from the file at `path`, which came from `origin` (an address, or the path itself).
///
/// # Errors
/// A file of no known form, or a web page; what reading it runs into.
pub fn draft(path: &Path, origin: &str, dataset: &DatasetId, caps: &Caps) -> Result<Draft, Failure> {
    let scratch = tempfile::tempdir().map_err(|error| Failure::internal(format!("scratch space: {error}")))?;
    let beginnings = beginnings(path, origin, caps)?;
    let mut notes = Vec::new();
    let plans = plans(&beginnings, dataset, origin, &mut notes)?;

    let mut tables: Vec<TableText> = Vec::new();
    let mut samples: Vec<Option<Vec<u8>>> = vec![None; beginnings.len()];
    let mut uncut: Vec<usize> = Vec::new();
    for plan in plans {
        let survey = survey(path, origin, &plan, &beginnings, scratch.path(), caps)?;
        for at in &plan.members {
            let Some(member) = beginnings.get(*at) else { continue };
            let head = member.head(origin);
            match cut(head, &plan.format, survey.first.as_ref()) {
                Some(bytes) => samples[*at] = Some(bytes),
                None => uncut.push(*at),
            }
        }
        tables.push(describe(plan, survey, &beginnings));
    }
    names_apart(&mut tables);
    let is_url = origin.starts_with("http://") || origin.starts_with("https://");
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string();
    let source = if is_url { ("url", origin) } else { ("path", absolute.as_str()) };
    let definition = write::definition(dataset, source, &tables);
    if let Err(faults) = definition::parse(&definition, "dataset.toml", scratch.path()) {
        return Err(Failure::internal(format!("the draft is no valid definition: {faults}\n{definition}")));
    }
    let sample = sample(path, origin, &beginnings, samples, &uncut, &mut notes)?;
    notes.extend(tables.iter().flat_map(|table| table.notes.iter().map(|note| format!("{}: {note}", table.name))));
    notes.push("the license is unknown and therefore `personal`: read upstream's terms and write them down".into());
    Ok(Draft { definition, sample, notes })
}

impl Beginning {
    fn head<'a>(&'a self, origin: &'a str) -> Head<'a> {
        Head { bytes: &self.bytes, whole: self.whole, place: self.name.as_deref().unwrap_or(origin) }
    }
}

fn beginnings(path: &Path, origin: &str, caps: &Caps) -> Result<Vec<Beginning>, Failure> {
    let mut found = Vec::new();
    members(path, origin, &|_| true, caps, &mut |member| {
        let mut bytes = Vec::new();
        member
            .reader
            .take(HEAD + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| super::extract::read_failure(error, origin))?;
        let whole = bytes.len() as u64 <= HEAD;
        bytes.truncate(HEAD as usize);
        found.push(Beginning { name: member.name, bytes, whole });
        Ok(())
    })?;
    Ok(found)
}

/// Which members are read as which tables. In an archive, what is no data is passed over, and members whose names differ in
/// digits only are one table.
fn plans(
    beginnings: &[Beginning],
    dataset: &DatasetId,
    origin: &str,
    notes: &mut Vec<String>,
) -> Result<Vec<Plan>, Failure> {
    let mut plans: Vec<(String, Plan)> = Vec::new();
    let mut failure = None;
    for (at, member) in beginnings.iter().enumerate() {
        let forms = match sniff::sniff(member.head(origin)) {
            Ok(forms) => forms,
            Err(error) => {
                if let Some(name) = &member.name {
                    notes.push(format!("{name} is left out: {error}"));
                }
                failure = Some(error);
                continue;
            }
        };
        for (table, format) in forms {
            let stem = member.name.as_deref().map(stem);
            let name = match (&table, stem) {
                (Some(table), _) => names::table(table),
                (None, Some(stem)) if beginnings.len() > 1 => names::table(stem),
                _ => names::table(dataset.as_str()),
            };
            let header = member.bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let header = if by_order(&format) { &[][..] } else { header };
            let digitless: String =
                member.name.as_deref().unwrap_or_default().chars().filter(|c| !c.is_ascii_digit()).collect();
            let same = format!("{digitless}\0{}\0{format:?}", String::from_utf8_lossy(header));
            match plans.iter_mut().find(|(key, _)| *key == same) {
                Some((_, plan)) => plan.members.push(at),
                None => plans.push((same, Plan { name, format, members: vec![at] })),
            }
        }
    }
    if plans.len() > MOST_TABLES {
        notes.push(format!("there are {} tables; the draft has the first {MOST_TABLES}", plans.len()));
        plans.truncate(MOST_TABLES);
    }
    match (plans.is_empty(), failure) {
        (false, _) => {
            let mut plans: Vec<Plan> = plans.into_iter().map(|(_, plan)| plan).collect();
            for plan in plans.iter_mut().filter(|plan| plan.members.len() > 1) {
                plan.name = common_name(plan, beginnings, dataset);
            }
            Ok(plans)
        }
        (true, Some(failure)) => Err(failure),
        (true, None) => Err(Failure::upstream(format!("{origin}: there is nothing in it"))),
    }
}

/// The name of members that differ in digits only: without them, or the dataset's where nothing is left.
fn common_name(plan: &Plan, beginnings: &[Beginning], dataset: &DatasetId) -> String {
    let first = plan.members.first().and_then(|at| beginnings.get(*at)).and_then(|member| member.name.as_deref());
    let letters: String = stem(first.unwrap_or_default()).chars().filter(|c| !c.is_ascii_digit()).collect();
    let is_empty = names::snake_case(&letters).is_empty();
    names::table(if is_empty { dataset.as_str() } else { &letters })
}

/// A member's file name without its endings.
fn stem(name: &str) -> &str {
    let file = name.rsplit('/').next().unwrap_or(name);
    let known = [
        ".gz", ".bz2", ".xz", ".zst", ".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".xml", ".sql", ".parquet",
        ".arrow",
    ];
    let mut stem = file;
    while let Some(shorter) = known.iter().find_map(|ending| stem.strip_suffix(ending)) {
        stem = shorter;
    }
    stem
}

fn survey(
    path: &Path,
    origin: &str,
    plan: &Plan,
    beginnings: &[Beginning],
    scratch: &Path,
    caps: &Caps,
) -> Result<Survey, Failure> {
    let mut survey = Survey::new(&plan.format);
    let is_wanted = |name: &str| {
        plan.members.iter().filter_map(|at| beginnings.get(*at)).any(|member| member.name.as_deref() == Some(name))
    };
    let mut enough = false;
    let read = members(path, origin, &is_wanted, caps, &mut |member| {
        let name = member.name.clone();
        let extraction = Extraction {
            format: &plan.format,
            columns: &[],
            folder: scratch,
            scratch,
            caps,
            url: origin,
            member: name.as_deref(),
            wanted: None,
            stderr: &mut Vec::new(),
        };
        extract(extraction, Member { name: member.name, reader: member.reader, plain: member.plain }, &mut |raw| {
            survey.push(raw);
            enough = survey.rows >= survey::MOST_ROWS;
            // Ends the reading; what it says is never shown.
            if enough { Err(Failure::internal("enough rows")) } else { Ok(()) }
        })
    });
    match read {
        Err(failure) if !enough => Err(failure),
        _ => Ok(survey),
    }
}

/// What the rows show, as a table of the definition with names of ours.
fn describe(mut plan: Plan, survey: Survey, beginnings: &[Beginning]) -> TableText {
    let (rows, broken, first_broken) = (survey.rows, survey.broken, survey.first_broken.clone());
    let (columns, _, key) = survey.finish();
    let places = places(&mut plan, beginnings);
    // Where there is no header to name the columns of such a file, their numbers do.
    let name = |name: &str| match name.parse::<usize>() {
        Ok(number) if !places.is_empty() => format!("column_{number}"),
        _ => name.to_owned(),
    };
    let ours = names::unique(&columns.iter().map(|column| name(&column.name)).collect::<Vec<_>>());
    let key =
        key.and_then(|key| columns.iter().position(|column| column.name == key)).and_then(|at| ours.get(at).cloned());
    let in_order = by_order(&plan.format);
    let sparse = matches!(plan.format, Format::Json(_) | Format::Ndjson {} | Format::Xml(_));
    let columns: Vec<ColumnDefinition> = columns
        .into_iter()
        .zip(ours)
        .enumerate()
        .map(|(at, (column, name))| {
            let upstream = column
                .from
                .or_else(|| (column.name != name).then(|| OneOrMany::One(Scalar::Text(column.name.clone()))));
            let place = places.get(at).cloned();
            let from = if in_order || place.is_some() { None } else { upstream };
            // In JSON and XML a key may be missing from all rows of a file.
            ColumnDefinition { name, from, optional: sparse, at: place, ..column }
        })
        .collect();
    let mut notes = Vec::new();
    if broken > 0 {
        let first = first_broken.unwrap_or_default();
        notes.push(format!("{broken} of {} rows could not be read, the first at {first}", rows + broken));
    }
    if let Format::Csv(csv) = &plan.format
        && csv.header == Header::Flag(false)
    {
        notes.push("The first line looks like data, so the columns have no names yet.".into());
    }
    let members =
        plan.members.iter().filter_map(|at| beginnings.get(*at)).filter_map(|member| member.name.clone()).collect();
    TableText { name: plan.name, format: plan.format, members, columns, primary_key: key, rows, notes }
}

/// Where the columns of a fixed-width table are. Once that is written down its header is no row.
fn places(plan: &mut Plan, beginnings: &[Beginning]) -> Vec<String> {
    let Format::FixedWidth(format) = &mut plan.format else { return Vec::new() };
    let first = plan.members.first().and_then(|at| beginnings.get(*at));
    let (text, _) = first.map(|first| dialect::decoded(first.head(""))).unwrap_or_default();
    let (columns, header) = fixed_width::found(&text, format.comment.as_deref());
    format.skip = header;
    columns.into_iter().map(|column| column.at).collect()
}

fn names_apart(tables: &mut [TableText]) {
    let mut taken: Vec<String> = Vec::new();
    for table in tables {
        let plain = table.name.clone();
        let mut copy = 2;
        while taken.contains(&table.name) {
            table.name = format!("{plain}_{copy}");
            copy += 1;
        }
        taken.push(table.name.clone());
    }
}

/// The cut members, in upstream's compression or archive, under upstream's file name.
fn sample(
    path: &Path,
    origin: &str,
    beginnings: &[Beginning],
    samples: Vec<Option<Vec<u8>>>,
    uncut: &[usize],
    notes: &mut Vec<String>,
) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let unreadable = |error: std::io::Error| Failure::internal(format!("{}: cannot be read: {error}", path.display()));
    let name = file_name(origin);
    let mut magic = Vec::new();
    let mut file = File::open(path).map_err(unreadable)?;
    (&mut file).take(1024).read_to_end(&mut magic).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    let compression = Compression::of(&magic);
    let mut parts: Vec<(String, Vec<u8>)> = Vec::new();
    for (at, (member, cut)) in beginnings.iter().zip(samples).enumerate() {
        let whole = || member.whole && (member.bytes.len() as u64) < MOST_SAMPLE;
        let bytes = match cut {
            Some(bytes) => bytes,
            None if !uncut.contains(&at) => continue,
            None if whole() => member.bytes.clone(),
            None if size < MOST_SAMPLE => {
                let mut bytes = magic;
                file.read_to_end(&mut bytes).map_err(unreadable)?;
                return Ok(vec![(name, bytes)]);
            }
            None => {
                notes.push(format!(
                    "{} cannot be cut into a sample; put a small file of the same form into sample/{name}",
                    member.name.as_deref().unwrap_or(&name)
                ));
                return Ok(Vec::new());
            }
        };
        parts.push((member.name.clone().unwrap_or_default(), bytes));
    }
    let is_archive = beginnings.iter().any(|member| member.name.is_some());
    let bytes = if !is_archive {
        parts.into_iter().next().map(|(_, bytes)| bytes).unwrap_or_default()
    } else if magic.starts_with(b"PK") {
        return Ok(vec![(name, pack::zip(&parts)?)]);
    } else {
        pack::tar(&parts)?
    };
    let bytes = match compression {
        Some(compression) => pack::compress(&bytes, compression)?,
        None => bytes,
    };
    Ok(vec![(name, bytes)])
}

/// The last piece of an address or path.
fn file_name(origin: &str) -> String {
    let path = match url::Url::parse(origin) {
        Ok(url) if url.has_host() => percent_encoding::percent_decode_str(url.path()).decode_utf8_lossy().into_owned(),
        _ => origin.to_owned(),
    };
    let name = path.trim_end_matches('/').rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = name.chars().filter(|c| !c.is_control()).collect();
    if name.is_empty() || name == "." || name == ".." { "sample".to_owned() } else { name }
}
