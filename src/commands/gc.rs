//! `openshelf gc`: removes what no kept snapshot names, and says what went and why.

use std::{collections::BTreeMap, time::Duration};

use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use openshelf::{
    catalog::DatasetId,
    store::{Collected, Collection, Doomed, Kind, Store, StoreError, Tally, Why},
};
use serde_json::{Value, json};

use super::{CommandError, Places};

#[derive(Debug, Args)]
pub(super) struct GcArguments {
    /// The datasets; none: all there are, and extracts
    dataset: Vec<DatasetId>,
    /// Remove nothing; say what would go
    #[arg(long)]
    dry_run: bool,
    /// How long files stay beyond their snapshot's retention, and what belongs to no snapshot beyond its writing: `90m`, `12h`, `2d`
    #[arg(long, env = "OPENSHELF_GC_GRACE", default_value = "2d", value_parser = span)]
    grace: Duration,
    /// Name every object
    #[arg(long)]
    list: bool,
    /// Print lines of JSON, for programs
    #[arg(long)]
    json: bool,
}

/// A span of time.
fn span(text: &str) -> Result<Duration, String> {
    openshelf::catalog::retention::duration(text)
        .ok_or_else(|| "write a number and s, m, h, d or w, such as 90m, 12h or 2d".to_owned())
}

pub(super) async fn run(places: &Places, arguments: &GcArguments) -> Result<u8, CommandError> {
    let store = places.open()?;
    let now = chrono::Utc::now();
    let collection = Collection { now, grace: arguments.grace, dry_run: arguments.dry_run };
    let run = ulid::Ulid::generate().to_string().to_lowercase();
    let some = !arguments.dataset.is_empty();
    let ids = if some { arguments.dataset.clone() } else { store.collectable().await? };
    let mut told = Told { arguments, all: Collected::default(), worst: 0 };
    for id in &ids {
        let collected = store.collect(id, &run, collection, &mut |doomed| list(arguments, doomed)).await;
        if some && matches!(&collected, Ok(none) if none.head == 0 && none.tallies.is_empty()) {
            told.failed(id.as_str(), &nothing(&store, id));
            continue;
        }
        told.dataset(id, collected);
    }
    if !some {
        let extracts = store.collect_extracts(&run, collection, &mut |doomed| list(arguments, doomed)).await;
        told.rest("extracts", extracts);
        let unfinished = store.collect_unfinished(collection, &mut |doomed| list(arguments, doomed)).await;
        told.rest("unfinished writes", unfinished);
    }
    told.end();
    Ok(told.worst)
}

fn nothing(store: &Store, id: &DatasetId) -> CommandError {
    CommandError::usage(format!("there is no dataset `{id}` in {store}; `openshelf datasets` lists what there is"))
}

fn list(arguments: &GcArguments, doomed: &Doomed) {
    if !arguments.list {
    } else if arguments.json {
        say!("{}", json!({"key": doomed.key, "bytes": doomed.bytes, "kind": doomed.kind, "why": doomed.why}));
    } else {
        say!("  {:<8}  {:>11}  {}", word(doomed.why), HumanBytes(doomed.bytes).to_string(), doomed.key);
    }
}

fn word(why: Why) -> &'static str {
    match why {
        Why::Expired => "expired",
        Why::Orphaned => "orphaned",
    }
}

/// What was said so far.
struct Told<'a> {
    arguments: &'a GcArguments,
    all: Collected,
    worst: u8,
}

impl Told<'_> {
    fn dataset(&mut self, id: &DatasetId, collected: Result<Collected, StoreError>) {
        let collected = match collected {
            Ok(collected) => collected,
            Err(error) => return self.failed(id.as_str(), &error.into()),
        };
        self.add(&collected);
        if self.arguments.json {
            let newly = (collected.before + 1..=collected.collected_to).collect::<Vec<_>>();
            let mut line = self.line(&collected);
            line.insert("dataset".into(), id.as_str().into());
            line.insert("snapshot".into(), collected.head.into());
            line.insert("retention".into(), collected.retention.as_str().into());
            line.insert("collected_to".into(), collected.collected_to.into());
            line.insert("newly_collected".into(), newly.into());
            say!("{}", Value::Object(line));
            return;
        }
        if collected.tallies.is_empty() && collected.collected_to == collected.before {
            return;
        }
        say!("{id}: {}", snapshots(&collected, self.arguments.dry_run));
        self.tallies(&collected);
    }

    fn rest(&mut self, what: &str, collected: Result<Collected, StoreError>) {
        let collected = match collected {
            Ok(collected) => collected,
            Err(error) => return self.failed(what, &error.into()),
        };
        self.add(&collected);
        if self.arguments.json {
            let mut line = self.line(&collected);
            line.insert("of".into(), what.into());
            say!("{}", Value::Object(line));
        } else if !collected.tallies.is_empty() {
            say!("{what}:");
            self.tallies(&collected);
        }
    }

    /// What cannot be read keeps nobody else's garbage.
    fn failed(&mut self, what: &str, error: &CommandError) {
        self.worst = self.worst.max(error.code);
        eprintln!("openshelf: {what}: {}", error.message);
    }

    fn add(&mut self, collected: &Collected) {
        for (kind, tally) in &collected.tallies {
            let all = self.all.tallies.entry(*kind).or_default();
            all.objects += tally.objects;
            all.bytes += tally.bytes;
        }
    }

    fn line(&self, collected: &Collected) -> serde_json::Map<String, Value> {
        let parts = collected.tallies.iter().map(|((why, kind), Tally { objects, bytes })| {
            json!({"why": why, "kind": kind, "objects": objects, "bytes": bytes})
        });
        let total = collected.total();
        let mut line = serde_json::Map::new();
        line.insert("dry_run".into(), self.arguments.dry_run.into());
        line.insert("objects".into(), total.objects.into());
        line.insert("bytes".into(), total.bytes.into());
        line.insert("removed".into(), parts.collect());
        line
    }

    fn tallies(&self, collected: &Collected) {
        let mut by: BTreeMap<Why, Vec<String>> = BTreeMap::new();
        for ((why, kind), tally) in &collected.tallies {
            by.entry(*why).or_default().push(amount(*kind, *tally));
        }
        for (why, parts) in by {
            let reason = match why {
                Why::Expired => "no longer kept",
                Why::Orphaned => "left by what did not come to its end",
            };
            say!("  {reason}: {}", parts.join(", "));
        }
    }

    fn end(&self) {
        if self.arguments.json {
            return;
        }
        let Tally { objects, bytes } = self.all.total();
        let (objects, bytes) = (HumanCount(objects), HumanBytes(bytes));
        let plural = if objects.0 == 1 { "" } else { "s" };
        match (objects.0, self.arguments.dry_run) {
            (0, _) => say!("nothing to remove"),
            (_, true) => say!("{objects} object{plural}, {bytes}, would be removed; nothing was (--dry-run)"),
            (_, false) => say!("{objects} object{plural}, {bytes}, removed"),
        }
    }
}

/// Which snapshots go, and why.
fn snapshots(collected: &Collected, dry_run: bool) -> String {
    let (first, last) = (collected.before + 1, collected.collected_to);
    let kept = match (collected.head, last) {
        (0, _) => return "was never published".to_owned(),
        (head, last) if head == last + 1 => format!("snapshot {head} is kept"),
        (head, last) => format!("snapshots {} to {head} are kept", last + 1),
    };
    let verb = if dry_run { "would be collected" } else { "collected" };
    match last.cmp(&first) {
        std::cmp::Ordering::Less => kept,
        std::cmp::Ordering::Equal => {
            format!("snapshot {first} {verb}, replaced more than {} ago; {kept}", collected.retention)
        }
        std::cmp::Ordering::Greater => {
            format!("snapshots {first} to {last} {verb}, replaced more than {} ago; {kept}", collected.retention)
        }
    }
}

fn amount(kind: Kind, tally: Tally) -> String {
    let Tally { objects, bytes } = tally;
    let many = objects != 1;
    let noun = match kind {
        Kind::Data if many => "data files",
        Kind::Data => "data file",
        Kind::Rejects if many => "files of rejected rows",
        Kind::Rejects => "file of rejected rows",
        Kind::List if many => "file lists",
        Kind::List => "file list",
        Kind::Derived if many => "files of statistics and search indexes",
        Kind::Derived => "file of statistics and search indexes",
        Kind::Export if many => "files of exported metadata",
        Kind::Export => "file of exported metadata",
        Kind::Extract if many => "files of extracts",
        Kind::Extract => "file of an extract",
        Kind::Temporary if many => "half-written files",
        Kind::Temporary => "half-written file",
        Kind::Upload if many => "unfinished uploads",
        Kind::Upload => "unfinished upload",
    };
    match kind {
        Kind::Upload => format!("{} {noun}", HumanCount(objects)),
        _ => format!("{} {noun} ({})", HumanCount(objects), HumanBytes(bytes)),
    }
}
