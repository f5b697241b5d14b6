//! Upstreams of plain files: overwritten in place, told apart by their validators.

use super::Crawl;
use crate::{
    origin::Behavior,
    pack::{bunzip2, bz2, gunzip, gz},
};

const IMDB: [&str; 7] =
    ["title.basics", "title.akas", "title.crew", "title.episode", "title.principals", "title.ratings", "name.basics"];

#[test]
fn imdb_daily_files_with_a_date_and_no_etag() {
    let crawl = Crawl::new("imdb", "https://datasets.imdbws.com");
    let path = |file: &str| format!("/{file}.tsv.gz");
    for file in IMDB {
        crawl.origin.put_with(&path(file), Behavior::file(crawl.sample(&format!("{file}.tsv.gz"))).no_etag());
    }
    let server = crawl.twice();
    for file in IMDB {
        crawl.is_golden(&server, &file.replace('.', "_"));
        assert_eq!(crawl.origin.statuses(&path(file)), [200, 304], "{file}");
    }
    // One file is overwritten: its table alone is read again, the others keep their files.
    let before = IMDB.map(|file| crawl.files(&server, &file.replace('.', "_")));
    let mut text = gunzip(&crawl.sample("title.ratings.tsv.gz"));
    text.extend_from_slice(b"tt9999999\t5.5\t12\n");
    crawl.origin.put_with(&path("title.ratings"), Behavior::file(gz(text)).no_etag());
    crawl.origin.forget_requests();
    let record = crawl.shop.ingest("imdb").published();
    assert_eq!(record["tables"].as_array().unwrap().len(), 1, "{record}");
    assert_eq!(server.snapshot("imdb"), 2);
    for (file, before) in IMDB.iter().zip(before) {
        let changed = *file == "title.ratings";
        assert_eq!(crawl.origin.statuses(&path(file)), [if changed { 200 } else { 304 }], "{file}");
        assert_eq!(crawl.files(&server, &file.replace('.', "_")) != before, changed, "{file}");
    }
    let ratings = server.rows("imdb", "title_ratings");
    assert_eq!(ratings.last().unwrap()["tconst"], "tt9999999");
    crawl.nothing_new(&server);
}

#[test]
fn earthquakes_a_feed_that_is_rewritten() {
    let crawl = Crawl::new("earthquakes", "https://earthquake.usgs.gov/earthquakes");
    let path = "/feed/v1.0/summary/all_month.geojson";
    let body = crawl.sample("all_month.geojson");
    crawl.origin.put(path, body.clone());
    let server = crawl.twice();
    crawl.is_golden(&server, "earthquakes");
    // The feed says anew when it was made, and an event leaves its window.
    let mut document: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let gone = document["features"].as_array_mut().unwrap().remove(0);
    crawl.origin.put(path, document.to_string());
    let rows = server.rows("earthquakes", "earthquakes");
    crawl.shop.ingest("earthquakes").published();
    let left = server.rows("earthquakes", "earthquakes");
    assert_eq!((server.snapshot("earthquakes"), left.len()), (2, rows.len() - 1));
    assert!(left.iter().all(|row| row["id"] != gone["id"]));
    // The first snapshot is still there as it was.
    assert_eq!(server.slice("earthquakes", "earthquakes", "&snapshot=1"), rows);
    crawl.nothing_new(&server);
}

#[test]
fn geonames_zips_and_texts() {
    let crawl = Crawl::new("geonames", "https://download.geonames.org/export/dump");
    let names = ["cities500.zip", "countryInfo.txt", "admin1CodesASCII.txt", "admin2Codes.txt", "featureCodes_en.txt"];
    for name in names {
        crawl.origin.put(&format!("/{name}"), crawl.sample(name));
    }
    let server = crawl.twice();
    let tables = crawl.tables(&server);
    assert_eq!(tables, ["cities", "countries", "admin1_codes", "admin2_codes", "feature_codes"]);
    for table in &tables {
        crawl.is_golden(&server, table);
    }
    let before: Vec<_> = tables.iter().map(|table| crawl.files(&server, table)).collect();
    let mut text = crawl.sample("featureCodes_en.txt");
    text.extend_from_slice(b"X.NEW\tnew\tsomething new\n");
    crawl.origin.put("/featureCodes_en.txt", text);
    let record = crawl.shop.ingest("geonames").published();
    assert_eq!(record["tables"][0]["table"], "feature_codes");
    for (table, before) in tables.iter().zip(before) {
        assert_eq!(crawl.files(&server, table) != before, table == "feature_codes", "{table}");
    }
    crawl.nothing_new(&server);
}

#[test]
fn world_population_one_big_gzip() {
    let crawl = Crawl::new("world-population", "https://population.un.org");
    let name = "WPP2024_PopulationByAge5GroupSex_Medium.csv.gz";
    crawl
        .origin
        .put(&format!("/wpp/assets/Excel%20Files/1_Indicator%20(Standard)/CSV_FILES/{name}"), crawl.sample(name));
    // The definition's homepage is on the same host: nothing asks for it.
    let server = crawl.twice();
    for table in crawl.tables(&server) {
        crawl.is_golden(&server, &table);
    }
}

#[test]
fn wikidata_films_one_query() {
    let crawl = Crawl::new("wikidata-films", "https://qlever.dev");
    let text = std::fs::read_to_string(crawl.shop.path("datasets/wikidata-films/dataset.toml")).unwrap();
    let address = text.split('"').find(|word| word.contains("/api/wikidata?")).unwrap();
    let path = address.strip_prefix(&crawl.origin.url("")).unwrap();
    // Answers of queries have no validators.
    crawl.origin.put_with(path, Behavior::file(crawl.sample("wikidata")).no_validators().unconditional().no_ranges());
    let server = crawl.twice();
    for table in crawl.tables(&server) {
        crawl.is_golden(&server, &table);
    }
}

#[test]
fn gutenberg_through_its_script() {
    let crawl = Crawl::new("gutenberg", "https://www.gutenberg.org/cache");
    let path = "/epub/feeds/rdf-files.tar.bz2";
    let body = crawl.sample("rdf-files.tar.bz2");
    crawl.origin.put(path, body.clone());
    let server = crawl.twice();
    let tables = crawl.tables(&server);
    for table in &tables {
        crawl.is_golden(&server, table);
    }
    // Packed anew every night: other bytes, the same books.
    let again = bz2(bunzip2(&body)).into_iter().chain(bz2("")).collect::<Vec<u8>>();
    assert_ne!(again, body);
    crawl.origin.put(path, again);
    crawl.shop.ingest("gutenberg").published();
    assert_eq!(server.snapshot("gutenberg"), 2);
    for table in &tables {
        crawl.is_golden(&server, table);
    }
}
