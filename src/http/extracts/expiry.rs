//! Files that are no longer kept: deleted in time, while the record of what they were stays.

use super::find;
use crate::{
    catalog::extract::{ExtractEvent, ExtractState},
    http::state::AppState,
    store::{Agenda, Due, StoreError},
};

/// Deletes what is due.
pub(super) async fn look(state: &AppState) -> Result<(), StoreError> {
    let now = (state.clock)();
    for due in state.store.agenda(Agenda::Expiry).await? {
        if due.at > now {
            break;
        }
        expire(state, &due).await?;
    }
    Ok(())
}

async fn expire(state: &AppState, due: &Due) -> Result<(), StoreError> {
    let Some(extract) = find(state, &due.id).await? else {
        return state.store.remove_due(Agenda::Expiry, due).await;
    };
    match extract.last.state {
        ExtractState::Done(result) if result.expires <= (state.clock)() => {
            let run = ulid::Ulid::generate().to_string();
            let event = ExtractEvent { run, at: (state.clock)(), state: ExtractState::Expired(result) };
            match state.store.put_extract_event(&extract.id, extract.number + 1, &event).await {
                // Said first: a file that is listed is there.
                Ok(()) => state.store.sweep_extract(&extract.id, &[]).await?,
                // Another server was quicker, or somebody asked for it again.
                Err(StoreError::Taken { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        // Said by a server that did not come to delete them.
        ExtractState::Expired(_) | ExtractState::Failed { .. } => {
            state.store.sweep_extract(&extract.id, &[]).await?;
        }
        // Asked for again meanwhile: the new files have an entry of their own.
        _ => {}
    }
    state.store.remove_due(Agenda::Expiry, due).await
}
