//! What a run has to do, worked out from the definition before anything is fetched: which sources, for which tables.

use std::collections::BTreeSet;

use globset::{Glob, GlobSet, GlobSetBuilder};
use sha2::{Digest, Sha256};

use super::{
    Failure,
    definition::{
        Loaded,
        grammar::{Format, Source, SourceRef, Table},
    },
    normalize,
};
use crate::{
    catalog::{License, TableSchema},
    store::Area,
};

/// Raised whenever the same definition and bytes would give other files: unchanged tables are then written anew.
const LAYOUT_VERSION: u32 = 1;

/// A source and the tables read from it. It is fetched once per run.
#[derive(Debug)]
pub(super) struct SourcePlan<'a> {
    /// Its name, or a hash of what it says.
    pub(super) id: String,
    pub(super) source: Source,
    pub(super) tables: Vec<TablePlan<'a>>,
}

/// One table of a run.
#[derive(Debug)]
pub(super) struct TablePlan<'a> {
    /// Its place in the definition.
    pub(super) index: usize,
    pub(super) table: &'a Table,
    pub(super) license: &'a License,
    pub(super) area: Area,
    /// The named columns; `None` when they are taken from the data.
    pub(super) schema: Option<TableSchema>,
    /// Members of an archive that belong to it; `None`: all.
    pub(super) members: Option<GlobSet>,
    /// Members named without wildcards.
    literal_members: Option<BTreeSet<String>>,
    /// sha256 of everything that shapes the table.
    pub(super) definition: String,
}

impl TablePlan<'_> {
    /// Whether a member of an archive belongs to this table.
    pub(super) fn wants(&self, member: &str) -> bool {
        self.members.as_ref().is_none_or(|members| members.is_match(member))
    }

    /// The member patterns, for messages.
    pub(super) fn members_text(&self) -> String {
        self.literal_members.as_ref().map_or_else(
            || "`member`".to_owned(),
            |members| members.iter().map(|member| format!("`{member}`")).collect::<Vec<_>>().join(", "),
        )
    }

    /// A script whose source names no member reads the archive itself.
    pub(super) fn reads_whole_file(&self) -> bool {
        self.members.is_none() && matches!(self.table.format, Format::Script(_))
    }

    /// Whether both can be read in one walk over an archive: no member belongs to both.
    fn disjoint(&self, other: &Self) -> bool {
        match (&self.literal_members, &other.literal_members) {
            (Some(ours), Some(theirs)) => ours.is_disjoint(theirs),
            _ => false,
        }
    }
}

/// The sources of a definition with their tables, each source once.
pub(super) fn plan(loaded: &Loaded) -> Result<Vec<SourcePlan<'_>>, Failure> {
    let definition = &loaded.definition;
    let mut plans: Vec<SourcePlan<'_>> = Vec::new();
    for (index, table) in definition.tables.iter().enumerate() {
        let mut source = effective_source(&definition.sources, &table.source)?;
        let members = source.member.take();
        let id = source.name.clone().unwrap_or_else(|| digest(&source).chars().take(16).collect());
        let shape = digest(&(LAYOUT_VERSION, table, &source, &members, &definition.license));
        let license = table.license.as_ref().unwrap_or(&definition.license);
        let patterns = members.as_ref().map(super::definition::grammar::OneOrMany::as_slice);
        let plan = TablePlan {
            index,
            table,
            license,
            area: Area::of(license),
            schema: if table.columns.is_empty() { None } else { Some(normalize::schema_of(table)?) },
            members: patterns.map(globs).transpose()?,
            literal_members: patterns
                .filter(|patterns| patterns.iter().all(|pattern| !pattern.contains(['*', '?', '[', '{'])))
                .map(|patterns| patterns.iter().cloned().collect()),
            definition: shape,
        };
        match plans.iter_mut().find(|plan| plan.id == id) {
            Some(found) => found.tables.push(plan),
            None => plans.push(SourcePlan { id, source, tables: vec![plan] }),
        }
    }
    Ok(plans)
}

/// Groups of tables that one walk over a file can feed.
pub(super) fn rounds<'t, 'a>(tables: &'t [TablePlan<'a>]) -> Vec<Vec<&'t TablePlan<'a>>> {
    let mut rounds: Vec<Vec<&TablePlan<'_>>> = Vec::new();
    for table in tables {
        match rounds.iter_mut().find(|round| round.iter().all(|other| other.disjoint(table))) {
            Some(round) => round.push(table),
            None => rounds.push(vec![table]),
        }
    }
    rounds
}

/// The source a table is read from, with names looked up and its own `member` in place.
fn effective_source(named: &[Source], reference: &SourceRef) -> Result<Source, Failure> {
    let find = |name: &str| {
        let found = named.iter().find(|source| source.name.as_deref() == Some(name)).cloned();
        found.ok_or_else(|| Failure::definition(format!("there is no [[source]] called `{name}`")))
    };
    match reference {
        SourceRef::Name(name) => find(name),
        SourceRef::Inline(inline) => match &inline.name {
            Some(name) => {
                let mut source = find(name)?;
                source.member = inline.member.clone().or(source.member);
                Ok(source)
            }
            None => Ok((**inline).clone()),
        },
    }
}

fn globs(patterns: &[String]) -> Result<GlobSet, Failure> {
    let bad = |error: globset::Error| Failure::definition(format!("`member`: {error}"));
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern).map_err(bad)?);
    }
    set.build().map_err(bad)
}

fn digest(value: &impl serde::Serialize) -> String {
    hex::encode(Sha256::digest(serde_json::to_vec(value).unwrap_or_default()))
}
