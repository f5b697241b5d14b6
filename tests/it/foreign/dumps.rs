//! What databases write: PostgreSQL's COPY, mysqldump; and fixed-width text.

use serde_json::json;

use super::both;

#[test]
fn postgresql_copy_text() {
    let taken = both(
        "/artist",
        b"1\tA\\tB\\\\C\\nD\t\\N\tt\t2014-06-06 12:43:54.273108+00\n2\tZo\xc3\xab\t1990\tf\t2014-06-06 12:43:54+02\n",
        r#"{ type = "pgcopy" }"#,
        r#"primary_key = ["id"]
column = [
    { name = "id", type = "int32" },
    { name = "name" },
    { name = "year", type = "int32" },
    { name = "ended", type = "bool" },
    { name = "last_updated", type = "timestamp" },
]"#,
    );
    assert_eq!(
        taken.rows("named"),
        [
            json!({"id": 1, "name": "A\tB\\C\nD", "year": null, "ended": true, "last_updated": "2014-06-06T12:43:54.273108Z"}),
            json!({"id": 2, "name": "Zoë", "year": 1990, "ended": false, "last_updated": "2014-06-06T10:43:54Z"}),
        ]
    );
    let bare = taken.rows("bare");
    let values: Vec<_> = bare[1].as_object().unwrap().values().cloned().collect();
    assert_eq!((values.len(), &values[0], &values[1], &values[2]), (5, &json!(2), &json!("Zoë"), &json!(1990)));
}

const SQL: &[u8] = b"-- MySQL dump 10.19\n/*!40101 SET NAMES binary */;\nDROP TABLE IF EXISTS `page`;
CREATE TABLE `page` (
  `page_id` int(8) unsigned NOT NULL AUTO_INCREMENT,
  `page_title` varbinary(255) NOT NULL DEFAULT '',
  `page_random` double unsigned NOT NULL,
  `page_lang` varbinary(35) DEFAULT NULL,
  `page_touched` binary(14) NOT NULL,
  PRIMARY KEY (`page_id`),
  UNIQUE KEY `t` (`page_title`)
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=binary;
LOCK TABLES `page` WRITE;
INSERT INTO `page` VALUES (1,'It\\'s_a_\\\"test\\\";_(x),(y)',0.25,NULL,'20240501000000'),(2,'Back\\\\slash\\n',0.5,'de','20240502000000');
INSERT INTO `page` VALUES (4294967295,'',1e-7,'','20240503000000');
UNLOCK TABLES;\n";

#[test]
fn mysqldump() {
    let taken = both(
        "/page.sql",
        SQL,
        r#"{ type = "mysqldump", table = "page" }"#,
        r#"primary_key = ["page_id"]
column = [
    { name = "page_id", type = "int64" },
    { name = "title", from = "page_title" },
    { name = "page_random", type = "float64" },
    { name = "page_lang" },
    { name = "touched", from = "page_touched", type = "timestamp", parse = "%Y%m%d%H%M%S" },
]"#,
    );
    assert_eq!(
        taken.rows("named"),
        [
            json!({"page_id": 1, "title": "It's_a_\"test\";_(x),(y)", "page_random": 0.25, "page_lang": null, "touched": "2024-05-01T00:00:00Z"}),
            json!({"page_id": 2, "title": "Back\\slash\n", "page_random": 0.5, "page_lang": "de", "touched": "2024-05-02T00:00:00Z"}),
            json!({"page_id": 4_294_967_295_u64, "title": "", "page_random": 1e-7, "page_lang": "", "touched": "2024-05-03T00:00:00Z"}),
        ]
    );
    let columns = taken.columns("bare");
    assert!(columns.starts_with("page_id: int64, page_title: "), "{columns}");
    assert!(columns.contains("page_random: float64"), "{columns}");
    assert_eq!(taken.rows("bare").len(), 3);
}

#[test]
fn fixed_width() {
    let taken = both(
        "/stations.txt",
        "ACW00011604  17.1167  -61.7833   10.1 ST JOHNS COOLIDGE FLD        \nAE000041196  25.3330   55.5170 -999.9 Zürich-Ümlaut AIRP             GSN\n"
            .as_bytes(),
        r#"{ type = "fixed-width", null = "-999.9" }"#,
        r#"primary_key = ["id"]
column = [
    { name = "id", at = "1-11" },
    { name = "latitude", at = "13-20", type = "float64" },
    { name = "longitude", at = "22-30", type = "float64" },
    { name = "elevation", at = "32-37", type = "float64" },
    { name = "name", at = "39-68" },
    { name = "network", at = "69-75" },
]"#,
    );
    assert_eq!(
        taken.rows("named"),
        [
            json!({"id": "ACW00011604", "latitude": 17.1167, "longitude": -61.7833, "elevation": 10.1, "name": "ST JOHNS COOLIDGE FLD", "network": null}),
            json!({"id": "AE000041196", "latitude": 25.333, "longitude": 55.517, "elevation": null, "name": "Zürich-Ümlaut AIRP", "network": "GSN"}),
        ]
    );
    // Without spans there is one thing to go by: the lines.
    assert_eq!(taken.rows("bare").len(), 2);
}
