//! One JSON object a line. Top-level keys are columns; their values stay JSON text, byte for byte, so that no number loses
//! a digit before it meets its type.

use std::{collections::BTreeSet, io::Read};

use super::{Extraction, Member, Sink, json_rows::JsonRows, line::Lines};
use crate::{config::Caps, ingest::Failure};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Reads lines of JSON: objects, or anything else as column `value`. Blank lines are passed over; a line that is no JSON
/// is a broken row.
///
/// # Errors
/// A line beyond the cap, a source that breaks off, or the sink's.
pub(super) fn extract(extraction: &Extraction<'_>, input: Member<'_>, sink: &mut Sink<'_>) -> Result<(), Failure> {
    read(input.reader, &extraction.place(), extraction.wanted, extraction.caps, sink)
}

/// The same over any reader; `place` names it in messages.
pub(super) fn read(
    reader: impl Read,
    place: &str,
    wanted: Option<&BTreeSet<String>>,
    caps: &Caps,
    sink: &mut Sink<'_>,
) -> Result<(), Failure> {
    let mut rows = JsonRows::new("line", wanted, caps);
    let mut lines = Lines::new(reader, place, caps.record_bytes);
    while let Some((number, line)) = lines.next_line()? {
        let line = if number == 1 { line.strip_prefix(BOM).unwrap_or(line) } else { line };
        if !line.trim_ascii().is_empty() {
            rows.value(number, line);
            rows.flush_if_full(sink)?;
        }
    }
    rows.finish(sink)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use crate::ingest::extract::{
        Format,
        gathered::{Setting, run},
    };

    const NDJSON: Format = Format::Ndjson {};

    #[test]
    fn rows_are_objects_in_any_order_with_exact_numbers() {
        let text =
            b"\xef\xbb\xbf{\"a\":1.10,\"b\":\"x\"}\r\n\n{\"b\":null,\"c\":{\"d\":[ 1 ]},\"a\":12345678901234567890123}";
        let gathered = run(&NDJSON, text).expect("rows");
        assert_eq!(gathered.positions(), [1, 3]);
        assert_eq!(gathered.texts("a"), [Some("1.10".into()), Some("12345678901234567890123".into())]);
        assert_eq!(gathered.texts("b"), [Some("\"x\"".into()), None]);
        assert_eq!(gathered.texts("c"), [None, Some("{\"d\":[ 1 ]}".into())]);
        assert!(gathered.batches.iter().all(|batch| batch.sparse && batch.unit == "line"));
    }

    #[test]
    fn what_is_no_json_is_broken_and_leaves_no_cell_behind() {
        let text = b"{\"a\":1,\"b\":2}\n{\"a\":3,\n{\"a\":4} x\n[1]\n7\n{\"a\":\"\xff\"}\n{\"a\":5,\"a\":6}";
        let gathered = run(&NDJSON, text).expect("rows");
        assert_eq!(
            gathered.rows(),
            [json!({"a": 1, "b": 2}), json!({"value": [1]}), json!({"value": 7}), json!({"a": 6})]
        );
        let broken = gathered.broken();
        assert_eq!(broken.iter().map(|row| row.position).collect::<Vec<_>>(), [2, 3, 6]);
        assert!(broken[0].reason.contains("EOF while parsing"), "{}", broken[0].reason);
        assert!(broken[1].reason.contains("trailing characters"), "{}", broken[1].reason);
        assert_eq!(broken[1].text, "{\"a\":4} x");
    }

    #[test]
    fn only_wanted_keys_are_kept() {
        let gathered = Setting::default().wanted(&["b", "z"]).run(&NDJSON, b"{\"a\":1,\"B\":2}").expect("rows");
        assert_eq!(gathered.rows(), [json!({"B": 2})]);
    }

    #[test]
    fn depth_and_length_are_capped() {
        let mut setting = Setting::default();
        setting.caps.depth = 3;
        setting.caps.record_bytes = 100;
        let gathered = setting.run(&NDJSON, b"{\"a\":[[1]]}\n{\"a\":[[[1]]]}\n{\"a\":\"[[[[[\\\"[\"}").expect("rows");
        assert_eq!(gathered.positions(), [1, 3]);
        assert!(gathered.broken()[0].reason.contains("deeper than 3"), "{}", gathered.broken()[0].reason);
        let long = format!("{{}}\n{{\"a\":\"{}\"}}\n", "x".repeat(200));
        let failure = setting.run(&NDJSON, long.as_bytes()).expect_err("too long");
        assert!(failure.message.contains("line 2") && failure.message.contains("100"), "{failure}");
        let deep = "[".repeat(1_000_000);
        assert_eq!(run(&NDJSON, deep.as_bytes()).expect("rows").broken().len(), 1);
    }

    #[test]
    fn keys_that_are_data_are_refused() {
        let keys: Vec<_> = (0..30_000).map(|i| format!("\"key{i}\":1")).collect();
        let text = format!("{{{}}}", keys.join(","));
        let failure = run(&NDJSON, text.as_bytes()).expect_err("too many");
        assert_eq!(failure.blame, crate::catalog::Blame::Definition);
        assert!(Setting::default().wanted(&["key1"]).run(&NDJSON, text.as_bytes()).is_ok());
    }

    proptest! {
        #[test]
        fn every_line_is_a_row_or_broken(lines in prop::collection::vec("[\\[\\]{}\",:a0\\\\ ]{0,12}", 0..20)) {
            let text = lines.join("\n");
            let gathered = run(&NDJSON, text.as_bytes()).expect("rows");
            let blank = lines.iter().filter(|line| line.trim().is_empty()).count();
            prop_assert_eq!(gathered.count() + gathered.broken().len() + blank, lines.len());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = run(&NDJSON, &bytes);
        }

        #[test]
        fn values_come_out_as_they_went_in(values in prop::collection::vec((any::<f64>(), any::<String>()), 1..20)) {
            let rows: Vec<_> = values.iter().map(|(a, b)| json!({"a": a, "b": b})).collect();
            let text: Vec<_> = rows.iter().map(ToString::to_string).collect();
            let gathered = run(&NDJSON, text.join("\n").as_bytes()).expect("rows");
            let numbers = values.iter().map(|(a, _)| json!(a).to_string()).map(|a| (a != "null").then_some(a));
            prop_assert_eq!(gathered.texts("a"), numbers.collect::<Vec<_>>());
            let texts: Vec<_> = values.iter().map(|(_, b)| Some(json!(b).to_string())).collect();
            prop_assert_eq!(gathered.texts("b"), texts);
        }
    }
}
