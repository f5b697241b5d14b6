#![allow(clippy::unwrap_used)]
use arrow::datatypes::{DataType, TimeUnit};
use proptest::prelude::*;
use serde_json::json;

use crate::{
    catalog::Blame,
    config::Caps,
    ingest::{
        definition::grammar::Format,
        extract::{
            RawColumn,
            gathered::{Gathered, Setting, run},
        },
    },
};

const NAMED: &str = "[[column]]\nname = 'x'";

fn format(keys: &str) -> Format {
    toml::from_str(&format!("type = \"mysqldump\"\n{keys}")).unwrap()
}

/// With a column named, so that values come as text.
fn named(bytes: &[u8]) -> Gathered {
    Setting::default().columns(NAMED).run(&format(""), bytes).unwrap()
}

const REDIRECT: &str = r"-- MySQL dump 10.19  Distrib 10.3.38-MariaDB
--
/*!40101 SET NAMES utf8mb4 */;
DROP TABLE IF EXISTS `redirect`;
/*!40101 SET character_set_client = utf8 */;
CREATE TABLE `redirect` (
  `rd_from` int(8) unsigned NOT NULL DEFAULT 0 COMMENT 'a, b (c); d',
  `rd_namespace` int(11) NOT NULL DEFAULT 0,
  `rd_title` varbinary(255) NOT NULL DEFAULT '',
  `rd_interwiki` varbinary(32) DEFAULT NULL,
  PRIMARY KEY (`rd_from`),
  KEY `rd_ns_title` (`rd_namespace`,`rd_title`,`rd_from`)
) ENGINE=InnoDB DEFAULT CHARSET=binary /*!50100 PARTITION BY x (y) */;
LOCK TABLES `redirect` WRITE;
INSERT INTO `redirect` VALUES (10,0,'Computer_accessibility',''),(13,-1,'It\'s_\\_\Z\0''x''\n',NULL);
INSERT INTO `redirect` VALUES
(14,0,_binary 'a);(b,\'',0x4D7953),(15,0,'\%\_\q',X'4d');
UNLOCK TABLES;
";

#[test]
fn columns_from_create_table_and_rows_from_insert() {
    let gathered = named(REDIRECT.as_bytes());
    assert_eq!(
        gathered.rows(),
        [
            json!({"rd_from": "10", "rd_namespace": "0", "rd_title": "Computer_accessibility", "rd_interwiki": ""}),
            json!({"rd_from": "13", "rd_namespace": "-1", "rd_title": "It's_\\_\u{1a}\u{0}'x'\n"}),
            json!({"rd_from": "14", "rd_namespace": "0", "rd_title": "a);(b,'", "rd_interwiki": "MyS"}),
            json!({"rd_from": "15", "rd_namespace": "0", "rd_title": "\\%\\_q", "rd_interwiki": "M"}),
        ]
    );
    assert_eq!(gathered.positions(), [1, 2, 3, 4]);
    assert_eq!(gathered.batches[0].unit, "record");
}

#[test]
fn types_from_create_table_where_no_column_is_named() {
    let dump = "CREATE TABLE t (a int(11), b bigint unsigned, c decimal(10,2), d datetime, e date, f varchar(9), g double, \
                h timestamp, i date, j blob, k int unsigned, UNIQUE KEY (a), CONSTRAINT x CHECK (a > 0));\n\
                INSERT INTO t VALUES (1,18446744073709551615,-1.50,'2024-02-29 12:00:00','2024-02-29','007',1e-3,\
                '2024-01-01 00:00:00','0000-00-00','\u{fe}',4294967295),(NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);";
    let gathered = run(&format(""), dump.as_bytes()).unwrap();
    let kinds: Vec<Option<DataType>> = gathered.batches[0]
        .columns
        .iter()
        .map(|column| match column {
            RawColumn::Typed(array) => Some(array.data_type().clone()),
            _ => None,
        })
        .collect();
    let micros = |zone: Option<&str>| Some(DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into)));
    assert_eq!(
        kinds,
        [
            Some(DataType::Int32),
            Some(DataType::Decimal128(20, 0)),
            Some(DataType::Decimal128(10, 2)),
            micros(None),
            Some(DataType::Date32),
            Some(DataType::Utf8),
            Some(DataType::Float64),
            micros(Some("UTC")),
            None,
            Some(DataType::Utf8),
            Some(DataType::Int64),
        ]
    );
    let row = &gathered.rows()[0];
    assert_eq!((row["b"].as_str(), row["c"].as_str()), (Some("18446744073709551615"), Some("-1.50")));
    assert_eq!((row["f"].as_str(), row["i"].as_str()), (Some("007"), Some("0000-00-00")));
}

#[test]
fn one_table_of_several_is_named() {
    let dump = b"CREATE TABLE a (x int);INSERT INTO a VALUES (1);CREATE TABLE `db`.`b` (y int);INSERT INTO `db`.`b` VALUES (2);";
    assert_eq!(run(&format("table = 'b'"), dump).unwrap().rows(), [json!({"y": "2"})]);
    let failure = run(&format(""), dump).unwrap_err();
    assert!(failure.message.contains("several tables, `a`, `b` among them"), "{failure}");
    let failure = run(&format("table = 'c'"), dump).unwrap_err();
    assert_eq!(failure.blame, Blame::Definition);
    assert!(failure.message.contains("no table `c`; it has `a`, `b`"), "{failure}");
    assert_eq!(run(&format(""), b"<html></html>").unwrap_err().blame, Blame::Upstream);
    let empty = run(&format(""), b"CREATE TABLE a (x int);").unwrap();
    assert_eq!((empty.count(), empty.batches[0].names.as_slice()), (0, ["x".to_owned()].as_slice()));
}

#[test]
fn column_lists_and_dumps_without_create_table() {
    let dump =
        b"create table t (a int, b int, c int);insert ignore into t (c, a) values (3,1),(6,4);REPLACE t VALUES (7,8,9)";
    assert_eq!(
        named(dump).rows(),
        [json!({"a": "1", "c": "3"}), json!({"a": "4", "c": "6"}), json!({"a": "7", "b": "8", "c": "9"})]
    );
    assert_eq!(named(b"INSERT INTO t VALUES (1,'x')").rows(), [json!({"1": "1", "2": "x"})]);
    let listed = b"INSERT INTO t (p, q) VALUES (1,2);INSERT INTO t (q, r) VALUES (3,4) ON DUPLICATE KEY UPDATE q = 5;";
    assert_eq!(named(listed).rows(), [json!({"p": "1", "q": "2"}), json!({"q": "3", "r": "4"})]);
}

#[test]
fn literals_triggers_and_comments() {
    let dump = b"# one\n-- two 'three\nDELIMITER ;;\nCREATE TRIGGER t BEGIN INSERT INTO t VALUES ('x; END ;;\nDELIMITER ;\n\
                 INSERT /* in 'here */ INTO t VALUES (TRUE, false, b'101', -1.5e-3, +.5, \"it\"\"s\", N'n', CURRENT_DATE, 1);";
    let row = json!({"1": "1", "2": "0", "3": "5", "4": "-1.5e-3", "5": "+.5", "6": "it\"s", "7": "n", "8": "CURRENT_DATE", "9": "1"});
    assert_eq!(named(dump).rows(), [row]);
}

#[test]
fn broken_rows_and_cut_off_dumps() {
    let gathered = named(b"CREATE TABLE t (a int, b int);INSERT INTO t VALUES (1),(2,now()),(3,4),(1+1,2);");
    assert_eq!(gathered.rows(), [json!({"a": "3", "b": "4"})]);
    let broken: Vec<_> = gathered.broken().iter().map(|b| (b.position, b.reason.as_str())).collect();
    assert_eq!(
        broken,
        [
            (1, "1 values, the table has 2 columns"),
            (2, "an expression in place of a value"),
            (4, "an expression in place of a value")
        ]
    );
    let whole = REDIRECT.find("(13").unwrap();
    for keep in [whole, whole + 6, whole + 12, REDIRECT.find("PRIMARY").unwrap()] {
        let failure = run(&format(""), &REDIRECT.as_bytes()[..keep]).unwrap_err();
        assert_eq!(failure.blame, Blame::Upstream);
        assert!(failure.message.contains("cut off"), "{failure}");
    }
}

#[test]
fn long_lines_in_little_memory_and_bytes_that_are_no_text() {
    let mut dump = b"CREATE TABLE t (id int, s varbinary(9));\nINSERT INTO t VALUES ".to_vec();
    for n in 0..100_000 {
        dump.extend(format!("{}({n},'\u{e9}", if n > 0 { "," } else { "" }).as_bytes());
        dump.extend(b"\xff\\'')");
    }
    dump.extend(b";\n");
    let setting = Setting { caps: Caps { record_bytes: 1000, ..Caps::default() }, ..Setting::default() };
    let gathered = setting.columns(NAMED).run(&format(""), &dump).unwrap();
    assert_eq!((gathered.count(), gathered.broken().len()), (100_000, 0));
    assert_eq!(gathered.texts("s")[99_999].as_deref(), Some("é\u{fffd}'"));
    let long = format!("INSERT INTO t VALUES ('{}')", "x".repeat(300_000));
    let setting = Setting { caps: Caps { record_bytes: 1000, ..Caps::default() }, ..Setting::default() };
    let failure = setting.run(&format(""), long.as_bytes()).unwrap_err();
    assert!(failure.message.contains("record 1: a record of more than 1000 bytes"), "{failure}");
}

proptest! {
    #[test]
    fn what_mysqldump_writes_comes_back(cells in prop::collection::vec(prop::option::of("[a\\\\'\"\n\r%_;),(\u{1a}\u{0}ä-]{0,8}"), 2..40)) {
        let mut dump = "CREATE TABLE `t` (`a` text, `b` text);\nINSERT INTO `t` VALUES ".to_owned();
        let mut want = Vec::new();
        for (n, row) in cells.chunks_exact(2).enumerate() {
            let mut object = serde_json::Map::new();
            dump += if n > 0 { ",(" } else { "(" };
            for (at, (cell, name)) in row.iter().zip(["a", "b"]).enumerate() {
                if at > 0 { dump += ","; }
                let Some(cell) = cell else { dump += "NULL"; continue };
                dump += "'";
                for c in cell.chars() {
                    match c {
                        '\\' => dump += "\\\\",
                        '\'' => dump += "\\'",
                        '"' => dump += "\\\"",
                        '\n' => dump += "\\n",
                        '\r' => dump += "\\r",
                        '\0' => dump += "\\0",
                        '\u{1a}' => dump += "\\Z",
                        c => dump.push(c),
                    }
                }
                dump += "'";
                object.insert(name.into(), cell.clone().into());
            }
            dump += ")";
            want.push(serde_json::Value::from(object));
        }
        dump += ";\n";
        prop_assert_eq!(named(dump.as_bytes()).rows(), want);
    }

    #[test]
    fn mutated_dumps_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(b"'\"`\\(),;0xb-#/*\n\xff".to_vec())), 0..8),
        keep in any::<prop::sample::Index>(),
    ) {
        let mut dump = REDIRECT.as_bytes().to_vec();
        for (at, byte) in changes {
            let at = at.index(dump.len());
            dump[at] = byte;
        }
        dump.truncate(keep.index(dump.len()) + 1);
        drop(run(&format(""), &dump));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut dump = b"INSERT INTO t VALUES (".to_vec();
        dump.extend(&bytes);
        drop(run(&format(""), &dump));
        drop(run(&format(""), &bytes));
    }
}
