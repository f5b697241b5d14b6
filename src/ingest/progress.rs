//! What a run tells while it works: bars for people, plain lines where standard output is no terminal, nothing in tests.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{HumanBytes, HumanCount, HumanDuration, MultiProgress, ProgressBar, ProgressState, ProgressStyle};

/// Where progress goes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Progress(Sink);

#[derive(Debug, Clone)]
enum Sink {
    Silent,
    Lines,
    Bars(MultiProgress),
}

/// What a stage counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Rows.
    Rows,
}

/// One stage under way, such as "fetch title.basics.tsv.gz". Finished when dropped.
#[derive(Debug)]
pub struct Stage {
    name: String,
    unit: Unit,
    total: Option<u64>,
    done: AtomicU64,
    sink: StageSink,
    /// Whether its end is worth a plain line.
    tells_end: bool,
}

#[derive(Debug)]
enum StageSink {
    Silent,
    Line { began: Instant, said: Mutex<Instant> },
    Bar(ProgressBar),
}

/// Seconds between two plain lines of one stage.
const LINE_EVERY: Duration = Duration::from_secs(10);

impl Progress {
    /// Says nothing.
    pub fn silent() -> Self {
        Self(Sink::Silent)
    }

    /// A line when a stage ends, and one every ten seconds meanwhile, to standard error.
    pub fn lines() -> Self {
        Self(Sink::Lines)
    }

    /// Bars on the terminal.
    pub fn bars() -> Self {
        Self(Sink::Bars(MultiProgress::new()))
    }

    /// Begins a stage of `total` units, if that is known.
    pub fn stage(&self, name: impl Into<String>, unit: Unit, total: Option<u64>) -> Arc<Stage> {
        Arc::new(self.begin(name.into(), unit, total, true))
    }

    /// Begins the reading of a file of `bytes`, which tells how much time the stages that live on it have left.
    pub fn reading(&self, file: &str, bytes: u64) -> Arc<Stage> {
        Arc::new(self.begin(format!("read {file}"), Unit::Bytes, Some(bytes), false))
    }

    fn begin(&self, name: String, unit: Unit, total: Option<u64>, tells_end: bool) -> Stage {
        let sink = match &self.0 {
            Sink::Silent => StageSink::Silent,
            Sink::Lines => {
                let now = Instant::now();
                StageSink::Line { began: now, said: Mutex::new(now) }
            }
            Sink::Bars(all) => {
                let bar = all.add(total.map_or_else(ProgressBar::new_spinner, ProgressBar::new));
                bar.set_style(style(unit, total.is_some()));
                bar.set_prefix(name.clone());
                bar.enable_steady_tick(Duration::from_millis(200));
                StageSink::Bar(bar)
            }
        };
        Stage { name, unit, total, done: AtomicU64::new(0), sink, tells_end }
    }

    /// One line for people, above the bars.
    pub fn say(&self, line: impl AsRef<str>) {
        match &self.0 {
            Sink::Silent => {}
            Sink::Lines => write_line(line.as_ref()),
            Sink::Bars(all) => {
                // A terminal that went away is no reason to fail a run.
                all.println(line).unwrap_or_default();
            }
        }
    }
}

impl Stage {
    /// `by` more units are done.
    pub fn advance(&self, by: u64) {
        let done = self.done.fetch_add(by, Ordering::Relaxed) + by;
        match &self.sink {
            StageSink::Silent => {}
            StageSink::Bar(bar) => bar.inc(by),
            StageSink::Line { began, said } => {
                let now = Instant::now();
                let mut said = said.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if now.duration_since(*said) >= LINE_EVERY {
                    *said = now;
                    write_line(&self.line(done, began.elapsed()));
                }
            }
        }
    }

    /// Units done so far.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    fn line(&self, done: u64, took: Duration) -> String {
        let rate = done as f64 / took.as_secs_f64().max(0.001);
        let amount = |n: u64| match self.unit {
            Unit::Bytes => HumanBytes(n).to_string(),
            Unit::Rows => format!("{} rows", HumanCount(n)),
        };
        let left = match self.total {
            Some(total) if total > done && rate > 0.0 => {
                format!(
                    " of {}, {} left",
                    amount(total),
                    HumanDuration(Duration::from_secs_f64((total - done) as f64 / rate))
                )
            }
            _ => String::new(),
        };
        format!("{}: {}{left}, {}/s", self.name, amount(done), amount(rate as u64))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        match &self.sink {
            StageSink::Silent => {}
            StageSink::Bar(bar) => bar.finish_and_clear(),
            StageSink::Line { .. } if !self.tells_end => {}
            StageSink::Line { began, .. } => {
                let done = self.done();
                let end = if self.total.is_some_and(|total| done < total) { "stopped" } else { "done" };
                write_line(&format!("{}, {end}", self.line(done, began.elapsed())));
            }
        }
    }
}

fn write_line(line: &str) {
    use std::io::Write;
    // A reader that went away is no reason to fail a run.
    writeln!(std::io::stderr(), "{line}").unwrap_or_default();
}

fn style(unit: Unit, known: bool) -> ProgressStyle {
    let template = match (unit, known) {
        (Unit::Bytes, true) => "{prefix:32!} {bar:24} {bytes}/{total_bytes} {bytes_per_sec} {eta} left",
        (Unit::Bytes, false) => "{prefix:32!} {spinner} {bytes} {bytes_per_sec}",
        (Unit::Rows, true) => "{prefix:32!} {bar:24} {human_pos}/{human_len} rows {rows_per_sec}/s {eta} left",
        (Unit::Rows, false) => "{prefix:32!} {spinner} {human_pos} rows {rows_per_sec}/s",
    };
    let rate = |state: &ProgressState, to: &mut dyn std::fmt::Write| {
        // Nobody is told where it cannot be written.
        write!(to, "{}", HumanCount(state.per_sec() as u64)).unwrap_or_default();
    };
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("rows_per_sec", rate)
}
