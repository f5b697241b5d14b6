//! Upstreams of one file a month, an hour, a letter: some are missing, one changes, the others stay as they are.

use chrono::{DateTime, Datelike, Months, TimeDelta, Timelike, Utc};
use serde_json::Value;

use super::Crawl;
use crate::pack::gz;

#[test]
fn pageviews_hours_of_which_one_is_missing() {
    // The last hours: those younger than `recheck` are asked for again.
    let end = Utc::now() - TimeDelta::hours(3);
    let end = end.with_minute(0).unwrap().with_second(0).unwrap().with_nanosecond(0).unwrap();
    let hours: Vec<DateTime<Utc>> = (0..4).rev().map(|back| end - TimeDelta::hours(back)).collect();
    let crawl = Crawl::edited("wikipedia-pageviews", "https://dumps.wikimedia.org", |text| {
        let from = hours[0].format("from = \"%Y-%m-%dT%H\"").to_string();
        let to = end.format("to = \"%Y-%m-%dT%H\"").to_string();
        assert!(text.contains("from = \"2026-10-01T01\"") && text.contains("to = \"now\""));
        text.replace("from = \"2026-10-01T01\"", &from).replace("to = \"now\"", &to)
    });
    let path = |at: usize| hours[at].format("/other/pageviews/%Y/%Y-%m/pageviews-%Y%m%d-%H0000.gz").to_string();
    let line = |at: usize| format!("en Main_Page {} 0\nde.m \"Zitat\" 2 0\n", 100 + at);
    for at in [0, 1, 3] {
        crawl.origin.put(&path(at), gz(line(at)));
    }
    let server = crawl.twice();
    let views = || -> Vec<Value> {
        let rows = server.rows("wikipedia-pageviews", "pageviews");
        rows.iter().filter(|row| row["domain_code"] == "en").map(|row| row["views"].clone()).collect()
    };
    assert_eq!(views(), [100, 101, 103]);
    let rows = server.rows("wikipedia-pageviews", "pageviews");
    assert!(rows.iter().any(|row| row["page_title"] == "\"Zitat\""), "{rows:?}");
    let ending = hours[0].to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
    assert!(rows.iter().any(|row| row["hour_ending"] == ending && row["views"] == 100), "{ending}: {rows:?}");
    let gaps = server.json("/v1/datasets/wikipedia-pageviews")["gaps"].clone();
    assert_eq!(gaps.as_array().unwrap().len(), 1, "{gaps}");
    assert!(gaps[0]["url"].as_str().unwrap().ends_with(&path(2)), "{gaps}");

    // One hour is corrected.
    let before = crawl.files(&server, "pageviews");
    crawl.origin.put(&path(1), gz(line(7)));
    crawl.origin.forget_requests();
    let record = crawl.shop.ingest("wikipedia-pageviews").published();
    assert_eq!(record["tables"][0]["read"], 2, "only that hour is read again: {record}");
    assert_eq!([0, 1, 3].map(|at| crawl.origin.statuses(&path(at))), [vec![304], vec![200], vec![304]]);
    assert_eq!(views(), [100, 107, 103]);
    let after = crawl.files(&server, "pageviews");
    assert_eq!((after.len(), after.intersection(&before).count()), (3, 2));
    crawl.nothing_new(&server);
}

#[test]
fn pageviews_of_long_ago_are_not_asked_for_again() {
    let crawl = Crawl::edited("wikipedia-pageviews", "https://dumps.wikimedia.org", |text| {
        text.replace("from = \"2026-10-01T01\"", "from = \"2016-02-28T23\"")
            .replace("to = \"now\"", "to = \"2016-02-29T01\"")
    });
    let paths = ["20160228-23", "20160229-00", "20160229-01"]
        .map(|hour| format!("/other/pageviews/2016/2016-02/pageviews-{hour}0000.gz"));
    for path in &paths {
        crawl.origin.put(path, gz("en A 1 0\n"));
    }
    crawl.twice();
    for path in &paths {
        assert_eq!(crawl.origin.count(path), 1, "{path}");
    }
}

#[test]
fn flights_months_of_which_one_is_missing() {
    let this = Utc::now().date_naive().with_day(1).unwrap();
    let months = [5, 4, 3, 2].map(|back| this - Months::new(back));
    let crawl = Crawl::edited("us-flights", "https://transtats.bts.gov/PREZIP", |text| {
        assert!(text.contains("from = \"1987-10-01\", to = \"today\""));
        let range = format!("from = \"{}\", to = \"{}\"", months[0], months[3]);
        text.replace("from = \"1987-10-01\", to = \"today\"", &range)
    });
    let name = "On_Time_Reporting_Carrier_On_Time_Performance_1987_present";
    let path = |at: usize| format!("/{name}_{}_{}.zip", months[at].year(), months[at].month());
    for (at, month) in [(0, "2013_1"), (2, "2013_10"), (3, "2025_1")] {
        crawl.origin.put(&path(at), crawl.sample(&format!("{name}_{month}.zip")));
    }
    let server = crawl.twice();
    crawl.is_golden(&server, "flights");
    let gaps = server.json("/v1/datasets/us-flights")["gaps"].clone();
    assert!(gaps[0]["url"].as_str().unwrap().ends_with(&path(1)), "{gaps}");
    let rows = server.rows("us-flights", "flights").len();

    // The missing month appears: it alone is read, the others keep their files.
    let before = crawl.files(&server, "flights");
    crawl.origin.put(&path(1), crawl.sample(&format!("{name}_2013_10.zip")));
    crawl.origin.forget_requests();
    crawl.shop.ingest("us-flights").published();
    let statuses = [0, 1, 2, 3].map(|at| crawl.origin.statuses(&path(at)));
    assert_eq!(statuses, [vec![304], vec![200], vec![304], vec![304]]);
    let after = crawl.files(&server, "flights");
    assert!(after.is_superset(&before) && after.len() == before.len() + 1, "{before:?} {after:?}");
    assert!(server.rows("us-flights", "flights").len() > rows);
    assert_eq!(server.json("/v1/datasets/us-flights")["gaps"], serde_json::json!([]));
    crawl.nothing_new(&server);
}

#[test]
fn million_song_letters_of_which_most_are_missing() {
    let crawl = Crawl::edited("million-song", "http://tbmmsd.s3.amazonaws.com", |text| {
        let mut definition: toml::Table = text.parse().unwrap();
        let each = &mut definition["table"][0]["source"]["each"];
        each["part"] = vec!["A", "B"].into();
        each["letter"] = vec!["a", "b", "c"].into();
        toml::to_string(&definition).unwrap()
    });
    for name in ["A.tsv.a", "B.tsv.c"] {
        crawl.origin.put(&format!("/{name}"), crawl.sample(name));
    }
    let server = crawl.twice();
    crawl.is_golden(&server, "tracks");
    let gaps = server.json("/v1/datasets/million-song")["gaps"].clone();
    assert_eq!(gaps.as_array().unwrap().len(), 4, "{gaps}");
    let before = crawl.files(&server, "tracks");
    let text = String::from_utf8(crawl.sample("B.tsv.c")).unwrap();
    let first = text.lines().next().unwrap();
    let (id, rest) = first.split_once('\t').unwrap();
    let other = format!("{}\t{rest}\n", id.replace("TR", "TS"));
    crawl.origin.put("/B.tsv.c", text + &other);
    crawl.shop.ingest("million-song").published();
    let after = crawl.files(&server, "tracks");
    assert_eq!((before.len(), after.len(), after.intersection(&before).count()), (2, 2, 1));
}
