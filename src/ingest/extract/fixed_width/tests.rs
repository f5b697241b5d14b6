#![allow(clippy::unwrap_used)]
use proptest::prelude::*;
use serde_json::json;

use crate::ingest::{
    definition::grammar::Format,
    extract::gathered::{Gathered, Setting, run},
};

const STATIONS: &str = "
    [[column]]\nname = 'id'\nat = '1-5'
    [[column]]\nname = 'name'\nat = '7-12'
    [[column]]\nname = 'latitude'\nat = '14-20'\nnull = '-99.9'
    [[column]]\nname = 'hour'\nfrom = '$hour'
    [[column]]\nname = 'flag'\nat = '21'";

fn format(keys: &str) -> Format {
    toml::from_str(&format!("type = \"fixed-width\"\n{keys}")).unwrap()
}

fn names(gathered: &Gathered) -> Vec<String> {
    gathered.batches[0].names.to_vec()
}

#[test]
fn fields_are_cut_by_characters_and_trimmed() {
    let text = "title\n# x\nAT001 Größe    47.07 G\nAT002 -\n\nAT003       -99.9  x\r\n-99.9\n";
    let gathered = Setting::default()
        .columns(STATIONS)
        .run(&format("skip = 1\ncomment = '#'\nnull = ['-', '-99.9']"), text.as_bytes())
        .unwrap();
    assert_eq!(names(&gathered), ["id", "name", "latitude", "flag"]);
    assert_eq!(
        gathered.rows(),
        [
            json!({"id": "AT001", "name": "Größe", "latitude": "47.07"}),
            json!({"id": "AT002"}),
            json!({"id": "AT003", "latitude": "99.9  x"}),
            json!({}),
        ]
    );
    assert_eq!(gathered.positions(), [3, 4, 6, 7]);
}

#[test]
fn encodings_count_characters_too() {
    let columns = "[[column]]\nname = 'a'\nat = '1-2'\n[[column]]\nname = 'b'\nat = '3-3'";
    let gathered = Setting::default().columns(columns).run(&format("encoding = 'latin-1'"), b"\xe4\xf6x\n").unwrap();
    assert_eq!(gathered.rows(), [json!({"a": "äö", "b": "x"})]);
    let gathered = Setting::default().columns(columns).run(&format(""), b"\xff\xfex\n").unwrap();
    assert_eq!(gathered.count(), 1);
    let bad = "[[column]]\nname = 'a'\nat = '0-2'";
    assert!(Setting::default().columns(bad).run(&format(""), b"x\n").unwrap_err().message.contains("no span"));
}

#[test]
fn columns_are_found_where_nothing_names_them() {
    let text = concat!(
        "station          lat     lon  since\n",
        "GRAZ           47.07   15.44   1894\n",
        "SANKT POELTEN   48.2   -15.6   2001\n",
        "RIO            -22.9  -143.2   1990\n",
    );
    let gathered = run(&format(""), text.as_bytes()).unwrap();
    assert_eq!(names(&gathered), ["station", "lat", "lon", "since"]);
    assert_eq!(gathered.rows()[1], json!({"station": "SANKT POELTEN", "lat": "48.2", "lon": "-15.6", "since": "2001"}));
    assert_eq!(gathered.rows()[2], json!({"station": "RIO", "lat": "-22.9", "lon": "-143.2", "since": "1990"}));
    assert_eq!(gathered.positions(), [2, 3, 4]);
    let ruled = run(&format(""), b"key  value\n---- -----\na    b\nc    d\n").unwrap();
    assert_eq!(ruled.rows(), [json!({"key": "a", "value": "b"}), json!({"key": "c", "value": "d"})]);
    let bare = run(&format(""), b"aa  1\nbb 22\n").unwrap();
    assert_eq!(bare.rows(), [json!({"1": "aa", "2": "1"}), json!({"1": "bb", "2": "22"})]);
    let words = run(&format(""), b"aa x\nbb y\n").unwrap();
    assert_eq!((names(&words), words.count()), (vec!["1".to_owned(), "2".to_owned()], 2));
    assert!(run(&format(""), b"\n  \n").unwrap().batches.is_empty());
}

#[test]
fn values_beyond_the_first_lines_may_be_wider() {
    let mut text = "name         num\n".to_owned();
    for n in 0..1500 {
        text += &format!("n{:<8} {:>6}\n", if n < 1200 { "" } else { "wider" }, if n < 1200 { 7 } else { 777_777 });
    }
    let gathered = run(&format(""), text.as_bytes()).unwrap();
    assert_eq!(gathered.count() + gathered.broken().len(), 1500);
    let rows = gathered.rows();
    assert_eq!(
        rows[1400].as_object().unwrap().values().cloned().collect::<Vec<_>>(),
        [json!("nwider"), json!("777777")]
    );
}

proptest! {
    #[test]
    fn what_a_naive_writer_writes_comes_back(
        widths in prop::collection::vec(1_usize..9, 1..5),
        cells in prop::collection::vec("[a-cä€]{0,8}", 0..40),
    ) {
        let mut columns = String::new();
        let mut start = 1;
        for (n, width) in widths.iter().enumerate() {
            columns += &format!("[[column]]\nname = 'c{n}'\nat = '{start}-{}'\n", start + width - 1);
            start += width;
        }
        let (mut text, mut want) = (String::new(), Vec::new());
        for row in cells.chunks_exact(widths.len()) {
            let mut object = serde_json::Map::new();
            let mut line = String::new();
            for (n, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let cell: String = cell.chars().take(*width).collect();
                line += &format!("{cell:<width$}");
                if !cell.is_empty() {
                    object.insert(format!("c{n}"), cell.into());
                }
            }
            text += line.trim_end();
            text += "\n";
            if !object.is_empty() {
                want.push(serde_json::Value::from(object));
            }
        }
        let gathered = Setting::default().columns(&columns).run(&format(""), text.as_bytes()).unwrap();
        prop_assert_eq!(gathered.rows(), want);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(prop::sample::select(b"ab 1-.\t\r\n\xff\xc3\xa4".to_vec()), 0..300), at in any::<bool>()) {
        let setting = if at { Setting::default().columns(STATIONS) } else { Setting::default() };
        drop(setting.run(&format("null = '-'"), &bytes));
    }
}
