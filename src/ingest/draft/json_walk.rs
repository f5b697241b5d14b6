//! Where the rows are in a JSON document, and the document cut after the first few of them; both by looking at brackets,
//! keys and strings only, so that a document that is cut off anywhere can be looked at.

use std::collections::BTreeMap;

/// Deepest object in which rows are looked for.
const DEEPEST: usize = 4;

/// Rows of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rows {
    /// What `pointer` in the definition is; none for the root and for GeoJSON.
    pub(super) pointer: Option<String>,
    /// The keys that lead to them.
    path: Vec<String>,
}

#[derive(Debug)]
struct Frame {
    array: bool,
    key: String,
    expects_key: bool,
    children: usize,
    /// Children that are objects.
    objects: usize,
}

/// What the walk tells: the keys on the way (`None` if an array is on it), the container, and the place behind its child.
type Visit<'v> = dyn FnMut(Option<&[String]>, &Frame, usize, &[Frame]) -> bool + 'v;

fn walk(text: &[u8], child_ended: &mut Visit<'_>) -> Vec<Frame> {
    let mut stack: Vec<Frame> = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                let Some(end) = string_end(text, at) else { return stack };
                match stack.last_mut() {
                    Some(frame) if !frame.array && frame.expects_key => {
                        let json = text.get(at..end).unwrap_or_default();
                        frame.key = serde_json::from_slice(json).unwrap_or_default();
                        frame.expects_key = false;
                    }
                    _ => {
                        if ended(&mut stack, false, end, child_ended) {
                            return stack;
                        }
                    }
                }
                at = end;
                continue;
            }
            b'{' | b'[' => stack.push(Frame {
                array: *byte == b'[',
                key: String::new(),
                expects_key: *byte == b'{',
                children: 0,
                objects: 0,
            }),
            b'}' | b']' => {
                let object = stack.pop().is_some_and(|frame| !frame.array);
                if ended(&mut stack, object, at + 1, child_ended) {
                    return stack;
                }
            }
            b',' => {
                if let Some(frame) = stack.last_mut() {
                    frame.expects_key = !frame.array;
                }
            }
            b':' | b' ' | b'\n' | b'\r' | b'\t' => {}
            _ => {
                // A number or word goes on to the next mark.
                let rest = text.get(at..).unwrap_or_default();
                let end = at + rest.iter().position(|byte| b",]} \n\r\t".contains(byte)).unwrap_or(rest.len());
                if end >= text.len() || ended(&mut stack, false, end, child_ended) {
                    return stack;
                }
                at = end;
                continue;
            }
        }
        at += 1;
    }
    stack
}

fn ended(stack: &mut [Frame], object: bool, end: usize, child_ended: &mut Visit<'_>) -> bool {
    let Some((frame, above)) = stack.split_last_mut() else { return false };
    frame.children += 1;
    frame.objects += usize::from(object);
    let path: Option<Vec<String>> = if above.len() > DEEPEST || above.iter().any(|frame| frame.array) {
        None
    } else {
        Some(above.iter().map(|frame| frame.key.clone()).collect())
    };
    child_ended(path.as_deref(), frame, end, above)
}

fn string_end(text: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        match text.get(at)? {
            b'\\' => at += 2,
            b'"' => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// The array of objects with the most elements, else an object of objects; `None` if there is neither.
pub(super) fn rows(text: &[u8]) -> Option<Rows> {
    let mut arrays: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    let mut objects: BTreeMap<Vec<String>, (usize, usize)> = BTreeMap::new();
    walk(text, &mut |path, frame, _, _| {
        if let Some(path) = path {
            if frame.array && frame.objects > 0 {
                arrays.insert(path.to_vec(), frame.objects);
            } else if !frame.array {
                objects.insert(path.to_vec(), (frame.objects, frame.children));
            }
        }
        false
    });
    let root_is_array = text.first() == Some(&b'[');
    let largest = arrays.iter().max_by_key(|(path, count)| (**count, usize::MAX - path.len())).map(|(path, _)| path);
    let of_objects =
        || objects.iter().filter(|(_, (objects, all))| objects == all && *all > 1).max_by_key(|(_, (_, all))| *all);
    let path = match largest {
        _ if root_is_array => Vec::new(),
        Some(path) => path.clone(),
        None => of_objects()?.0.clone(),
    };
    let geojson = path == ["features"];
    let pointer = (!path.is_empty() && !geojson)
        .then(|| path.iter().map(|key| format!("/{}", key.replace('~', "~0").replace('/', "~1"))).collect());
    Some(Rows { pointer, path })
}

/// The document with only the first `rows` rows; `None` if it has no more or the rows cannot be found.
pub(super) fn cut(text: &[u8], rows: usize, most_bytes: usize) -> Option<Vec<u8>> {
    let path = self::rows(text)?.path;
    let (mut end, mut closers) = (None, Vec::new());
    walk(text, &mut |at, frame, offset, above| {
        if at != Some(path.as_slice()) {
            return false;
        }
        // At least one row, however large.
        if frame.children > 1 && offset > most_bytes {
            return true;
        }
        end = Some(offset);
        closers = above.iter().chain(std::iter::once(frame)).rev().map(|f| if f.array { b']' } else { b'}' }).collect();
        frame.children >= rows
    });
    let mut sample = text.get(..end?)?.to_vec();
    sample.append(&mut closers);
    sample.push(b'\n');
    Some(sample)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointer(text: &str) -> Option<Option<String>> {
        rows(text.as_bytes()).map(|rows| rows.pointer)
    }

    #[test]
    fn rows_are_found_where_most_objects_are() {
        assert_eq!(pointer("[{\"a\":[{},{},{}]},{}]"), Some(None));
        assert_eq!(pointer(r#"{"type":"FeatureCollection","features":[{},{}]}"#), Some(None));
        assert_eq!(pointer(r#"{"meta":{"x":[{}]},"a/b":{"rows":[{},{"c":"]\"}"}]}}"#), Some(Some("/a~1b/rows".into())));
        assert_eq!(pointer(r#"{"k1":{"a":1},"k2":{"a":2}}"#), Some(None));
        assert_eq!(pointer(r#"{"a":1}"#), None);
        assert_eq!(pointer(r#"{"data":[{"a":1},{"a":"#), Some(Some("/data".into())));
    }

    #[test]
    fn a_cut_document_is_whole() {
        for (text, wanted) in [
            ("[{\"a\":1},{\"a\":2},{\"a\":3}]", "[{\"a\":1},{\"a\":2}]\n"),
            (r#"{"n":3,"d":{"r":[{"a":[1]}, {"a":"]"}, {"#, "{\"n\":3,\"d\":{\"r\":[{\"a\":[1]}, {\"a\":\"]\"}]}}\n"),
            (r#"{"a":{"x":1},"b":{"x":2},"c":{"x":3}}"#, "{\"a\":{\"x\":1},\"b\":{\"x\":2}}\n"),
            ("[1, 2, 3]", "[1, 2]\n"),
        ] {
            let sample = cut(text.as_bytes(), 2, 1 << 20).expect("rows");
            assert_eq!(String::from_utf8_lossy(&sample), wanted);
            serde_json::from_slice::<serde_json::Value>(&sample).expect("whole");
        }
    }
}
