//! Follows a JSON pointer (RFC 6901) into a document, and leaves again behind the value, so that a document cut off
//! behind its rows is noticed.

use super::scan::Scanner;
use crate::ingest::Failure;

/// Keys named in a message.
const SHOWN_KEYS: usize = 12;
/// Keys compared to find the nearest.
const COMPARED_KEYS: usize = 1000;

/// Walks to what `pointer` names; returns the closing brackets of what was entered, outermost first.
///
/// # Errors
/// A pointer that leads nowhere (definition), or a malformed document (upstream).
pub(super) fn descend(scan: &mut Scanner<'_>, pointer: &str) -> Result<Vec<u8>, Failure> {
    let mut entered = Vec::new();
    if pointer.is_empty() {
        return Ok(entered);
    }
    let Some(tokens) = pointer.strip_prefix('/') else {
        return Err(Failure::definition(format!(
            "`pointer = \"{pointer}\"` is no JSON pointer: it begins with `/`, such as `/{pointer}`"
        )));
    };
    let mut parent = String::new();
    for token in tokens.split('/') {
        let token = token.replace("~1", "/").replace("~0", "~");
        let close = match scan.token()? {
            Some(b'{') => to_key(scan, &token, pointer, &parent)?,
            Some(b'[') => to_index(scan, &token, pointer, &parent)?,
            Some(_) => return Err(nowhere(scan, pointer, &parent, "is neither an object nor an array")),
            None => return Err(scan.cut_off()),
        };
        entered.push(close);
        parent = format!("{parent}/{token}");
    }
    Ok(entered)
}

/// Leaves what was entered, passing over the rest of it.
///
/// # Errors
/// A malformed document, or one that is cut off.
pub(super) fn ascend(scan: &mut Scanner<'_>, mut entered: Vec<u8>) -> Result<(), Failure> {
    while let Some(close) = entered.pop() {
        while scan.another(close)? {
            if close == b'}' {
                scan.key()?;
            }
            scan.value(None)?;
        }
    }
    Ok(())
}

fn to_key(scan: &mut Scanner<'_>, token: &str, pointer: &str, parent: &str) -> Result<u8, Failure> {
    scan.expect(b'{')?;
    let mut keys = Vec::new();
    if !scan.take(b'}')? {
        loop {
            let key = scan.key()?;
            if key == token {
                return Ok(b'}');
            }
            if keys.len() < COMPARED_KEYS {
                keys.push(key);
            }
            scan.value(None)?;
            if !scan.another(b'}')? {
                break;
            }
        }
    }
    keys.sort_by_key(|key| strsim::osa_distance(key, token));
    keys.truncate(SHOWN_KEYS);
    let keys = if keys.is_empty() { "has no keys".to_owned() } else { format!("has `{}`", keys.join("`, `")) };
    Err(nowhere(scan, pointer, parent, &format!("has no `{token}`; it {keys}")))
}

fn to_index(scan: &mut Scanner<'_>, token: &str, pointer: &str, parent: &str) -> Result<u8, Failure> {
    let Ok(index) = token.parse::<u64>() else {
        return Err(nowhere(scan, pointer, parent, &format!("is an array, and `{token}` is no index")));
    };
    scan.expect(b'[')?;
    let mut length = 0;
    if !scan.take(b']')? {
        loop {
            if length == index {
                return Ok(b']');
            }
            scan.value(None)?;
            length += 1;
            if !scan.another(b']')? {
                break;
            }
        }
    }
    Err(nowhere(scan, pointer, parent, &format!("is an array of only {length} elements")))
}

fn nowhere(scan: &Scanner<'_>, pointer: &str, parent: &str, why: &str) -> Failure {
    let parent = if parent.is_empty() { "the document".to_owned() } else { format!("`{parent}`") };
    Failure::definition(format!("{}: `pointer = \"{pointer}\"` leads nowhere: {parent} {why}", scan.place()))
}
