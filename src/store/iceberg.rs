//! The names of the objects of a table's Iceberg metadata folder. A name says all that its object is made from.

use std::{fmt, str::FromStr};

/// The folder, in a table's metadata folder, of what this version of the software renders. Another one may render other bytes
/// of the same snapshot: so what an address leads to never changes.
pub const RENDERING: &str = env!("CARGO_PKG_VERSION");

/// What lies in the folder of a table whose metadata was exported.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Exported {
    /// An object that a server renders, too.
    Object(ObjectName),
    /// `v12.metadata.json`: the table as of a snapshot, by the name under which Hadoop's tables look for it.
    Version(u64),
    /// `version-hint.text`: the number of the newest of these.
    Hint,
}

impl fmt::Display for Exported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(name) => name.fmt(f),
            Self::Version(snapshot) => write!(f, "v{snapshot}.metadata.json"),
            Self::Hint => f.write_str("version-hint.text"),
        }
    }
}

impl FromStr for Exported {
    type Err = InvalidObjectName;

    fn from_str(text: &str) -> Result<Self, InvalidObjectName> {
        let version = || text.strip_prefix('v')?.strip_suffix(".metadata.json")?.parse().ok().map(Self::Version);
        let name = match text {
            "version-hint.text" => Self::Hint,
            _ => version().map_or_else(|| text.parse().map(Self::Object), Ok)?,
        };
        if name.to_string() == text { Ok(name) } else { Err(InvalidObjectName) }
    }
}

/// What an object is, and of what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ObjectName {
    /// `00012-00003.metadata.json`: the table as of a snapshot, with its history.
    Metadata {
        /// The current snapshot.
        snapshot: u64,
        /// The oldest one in the history.
        oldest: u64,
    },
    /// `snap-00012.avro`, or `snap-00012-first.avro` where nothing is known of the snapshot before: a manifest list.
    List {
        /// The snapshot.
        snapshot: u64,
        /// Whether the history begins here.
        first: bool,
    },
    /// `kept-00007-<hash>.avro`: the files of a segment, all EXISTING.
    Kept {
        /// The newest snapshot that added a file of the segment: its schema is the manifest's.
        newest: u64,
        /// The segment's hash.
        segment: String,
    },
    /// `added-00012-<hash>.avro`: the files of a segment that the snapshot before does not have, new ones ADDED.
    Added {
        /// The snapshot.
        snapshot: u64,
        /// The segment's hash.
        segment: String,
    },
    /// `removed-00012-<hash>.avro`: files of a segment that the snapshot before has and this one does not, DELETED.
    Removed {
        /// The snapshot that does not have them.
        snapshot: u64,
        /// The hash of the segment before.
        segment: String,
    },
}

impl ObjectName {
    /// The media type of the object.
    pub fn content_type(&self) -> &'static str {
        match self {
            Self::Metadata { .. } => "application/json",
            _ => "application/avro",
        }
    }

    /// The snapshot it is about.
    pub fn snapshot(&self) -> u64 {
        match self {
            Self::Metadata { snapshot, .. }
            | Self::List { snapshot, .. }
            | Self::Kept { newest: snapshot, .. }
            | Self::Added { snapshot, .. }
            | Self::Removed { snapshot, .. } => *snapshot,
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Metadata { snapshot, oldest } => write!(f, "{snapshot:05}-{oldest:05}.metadata.json"),
            Self::List { snapshot, first: false } => write!(f, "snap-{snapshot:05}.avro"),
            Self::List { snapshot, first: true } => write!(f, "snap-{snapshot:05}-first.avro"),
            Self::Kept { newest, segment } => write!(f, "kept-{newest:05}-{segment}.avro"),
            Self::Added { snapshot, segment } => write!(f, "added-{snapshot:05}-{segment}.avro"),
            Self::Removed { snapshot, segment } => write!(f, "removed-{snapshot:05}-{segment}.avro"),
        }
    }
}

/// A name that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no name of an Iceberg object")]
pub struct InvalidObjectName;

impl FromStr for ObjectName {
    type Err = InvalidObjectName;

    fn from_str(text: &str) -> Result<Self, InvalidObjectName> {
        let name = parse(text).ok_or(InvalidObjectName)?;
        // One object has one name: no other spelling of the numbers.
        if name.to_string() == text { Ok(name) } else { Err(InvalidObjectName) }
    }
}

fn parse(text: &str) -> Option<ObjectName> {
    let number = |text: &str| text.parse::<u64>().ok().filter(|number| *number > 0);
    if let Some(stem) = text.strip_suffix(".metadata.json") {
        let (snapshot, oldest) = stem.split_once('-')?;
        let (snapshot, oldest) = (number(snapshot)?, number(oldest)?);
        return (oldest <= snapshot).then_some(ObjectName::Metadata { snapshot, oldest });
    }
    let (kind, rest) = text.strip_suffix(".avro")?.split_once('-')?;
    let of_segment = || {
        let (snapshot, segment) = rest.split_once('-')?;
        let is_hash = segment.len() == 64 && segment.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
        is_hash.then(|| Some((number(snapshot)?, segment.to_owned())))?
    };
    Some(match kind {
        "snap" => {
            let first = rest.strip_suffix("-first");
            ObjectName::List { snapshot: number(first.unwrap_or(rest))?, first: first.is_some() }
        }
        "kept" => of_segment().map(|(newest, segment)| ObjectName::Kept { newest, segment })?,
        "added" => of_segment().map(|(snapshot, segment)| ObjectName::Added { snapshot, segment })?,
        "removed" => of_segment().map(|(snapshot, segment)| ObjectName::Removed { snapshot, segment })?,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written_and_nothing_else_is_a_name() {
        let segment = "0123456789abcdef".repeat(4);
        for name in [
            ObjectName::Metadata { snapshot: 12, oldest: 3 },
            ObjectName::Metadata { snapshot: 123_456, oldest: 123_456 },
            ObjectName::List { snapshot: 12, first: false },
            ObjectName::List { snapshot: 12, first: true },
            ObjectName::Kept { newest: 7, segment: segment.clone() },
            ObjectName::Added { snapshot: 7, segment: segment.clone() },
            ObjectName::Removed { snapshot: 1, segment },
        ] {
            assert_eq!(name.to_string().parse(), Ok(name.clone()), "{name}");
        }
        for name in ["v12.metadata.json", "version-hint.text", "snap-00012.avro", "00012-00003.metadata.json"] {
            assert_eq!(name.parse::<Exported>().expect(name).to_string(), name);
        }
        for name in ["v.metadata.json", "v012.metadata.json", "v-1.metadata.json", "version-hint", ""] {
            assert!(name.parse::<Exported>().is_err(), "{name}");
        }
        for text in [
            "",
            "snap-12.avro",
            "snap-00000.avro",
            "00003-00012.metadata.json",
            "kept-00007-abc.avro",
            "kept-00007-ÿÿÿ.avro",
            "removed-00001.avro",
            "snap-99999999999999999999.avro",
            "version-hint.text",
        ] {
            assert!(text.parse::<ObjectName>().is_err(), "{text}");
        }
    }
}
