//! `openshelf serve`: binds the address, says where it listens, serves until told to stop.

use std::io::{IsTerminal, Write};

use openshelf::http;
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

use super::{CommandError, Places, ServeArguments, asked_to_end, scratch::Scratch};

pub(super) async fn run(places: &Places, arguments: &ServeArguments) -> Result<u8, CommandError> {
    log();
    let store = places.open()?;
    let scratch = Scratch::claim(&arguments.scratch).map_err(|error| {
        let folder = arguments.scratch.display();
        CommandError::usage(format!(
            "scratch folder {folder}: {error}; choose another with --scratch (OPENSHELF_SCRATCH)"
        ))
    })?;
    let settings = arguments.settings(scratch.folder());
    let listener = TcpListener::bind(settings.listen).await.map_err(|error| {
        CommandError::usage(format!("{} can't be listened on: {error}; choose another with --listen", settings.listen))
    })?;
    let address = listener.local_addr().map_err(|error| CommandError::internal(error.to_string()))?;
    let shutdown = asked_to_end()?;
    say!("listening on http://{address}");
    // Whoever started us may be waiting for this line.
    std::io::stdout().flush().unwrap_or_default();
    http::serve(listener, store, settings, chrono::Utc::now, shutdown)
        .await
        .map_err(|error| CommandError::internal(format!("the server ended: {error}")))?;
    Ok(0)
}

/// Logs go to standard error: for people on a terminal, as JSON lines elsewhere. `RUST_LOG` sets what is told.
fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,openshelf=info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = if std::io::stderr().is_terminal() { log.try_init() } else { log.json().flatten_event(true).try_init() };
    // Only a second subscriber in one process fails here, and then the first one logs.
    set.unwrap_or_default();
}
