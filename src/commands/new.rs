//! `openshelf new`: a definition for a file or URL, with a sample and golden rows, that passes `openshelf check`.

use std::path::PathBuf;

use clap::Args;
use openshelf::{
    catalog::DatasetId,
    ingest::{
        definition::{self, grammar::is_public},
        draft::draft,
        fetch::{Fetched, Fetcher, RemoteFile},
        progress::Progress,
    },
};

use super::{
    CommandError, Places,
    check::{self, CheckArguments},
    crawl::Crawl,
};

#[derive(Debug, Args)]
pub(super) struct NewArguments {
    /// Its name: lower-case letters, digits, `-`
    dataset: DatasetId,
    /// A file or an http(s) URL
    #[arg(long)]
    from: String,
    #[command(flatten)]
    crawl: Crawl,
}

pub(super) async fn run(places: &Places, arguments: &NewArguments) -> Result<u8, CommandError> {
    let (id, from) = (&arguments.dataset, &arguments.from);
    let folder = places.datasets.join(id.as_str());
    let settings = arguments.crawl.settings();
    let remote = from.starts_with("http://") || from.starts_with("https://");
    if let Some((scheme, _)) = from.split_once("://").filter(|(scheme, _)| !remote && *scheme != "file") {
        return Err(CommandError::usage(format!(
            "{from}: addresses at `{scheme}://` are not fetched; give a file or an http(s) URL"
        )));
    }
    if remote && settings.contact.is_none() && is_public(from) {
        return Err(CommandError::usage(format!(
            "{from} is on the network, and upstreams want to know who asks: set OPENSHELF_CONTACT=you@example.org (it goes into the User-Agent), or give a file"
        )));
    }
    let local = (!remote).then(|| PathBuf::from(from.strip_prefix("file://").unwrap_or(from)));
    let file = RemoteFile { url: from.clone(), bytes: None, checksum: None, local };
    let fetcher = Fetcher::new(&settings, Progress::lines())?;
    let found = match fetcher.fetch(&file, None, chrono::Utc::now()).await? {
        Fetched::File(found) => found,
        Fetched::Missing { reason } => return Err(CommandError::usage(format!("{from} is not there: {reason}"))),
        Fetched::NotModified => return Err(CommandError::internal("an answer without a body")),
    };
    let (path, origin, dataset, caps) = (found.path.clone(), from.clone(), id.clone(), settings.caps.clone());
    let drafted = tokio::task::spawn_blocking(move || draft(&path, &origin, &dataset, &caps)).await;
    let drafted = drafted.map_err(|error| CommandError::internal(format!("reading {from} panicked: {error}")))??;
    found.discard();
    drafted.write(&folder)?;
    for note in &drafted.notes {
        say!("{note}");
    }
    // The draft must hold before it is handed over.
    definition::load(&places.datasets, id)?;
    let checked = check::run(places, &CheckArguments { dataset: id.clone(), write: true }).await?;
    say!("\nwritten to {}; now say in dataset.toml what it is, and under which license", folder.display());
    Ok(checked)
}
