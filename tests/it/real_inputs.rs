//! Real files of real upstreams, where they are at hand: every row comes through, and every value compared is the source's.
//!
//! They are too big or not ours to keep beside the tests: `OPENSHELF_REAL_INPUTS` names their folder (default:
//! `../shared/samples` beside the repository). Where there is none, the tests say that they were not run. What is expected
//! is worked out here from the files themselves, by code that shares nothing with the program.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use crate::{
    origin::Origin,
    pack::{bunzip2, gunzip},
    shop::{Server, Shop, table},
};

/// The folder of real inputs; `None`, said aloud, where there is none.
#[expect(clippy::print_stderr, reason = "a test that was not run says so")]
fn inputs(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("OPENSHELF_REAL_INPUTS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/samples"), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("{test}: not run, {} is no folder; OPENSHELF_REAL_INPUTS names it", folder.display());
    None
}

/// A definition of ours of which only some tables are kept.
fn only(text: &str, tables: &[&str]) -> String {
    let mut definition: toml::Table = text.parse().unwrap();
    let kept = definition["table"].as_array_mut().unwrap();
    kept.retain(|table| tables.contains(&table["name"].as_str().unwrap()));
    assert_eq!(kept.len(), tables.len());
    toml::to_string(&definition).unwrap()
}

/// Asserts how many rows a table has, none rejected.
#[track_caller]
fn assert_rows(server: &Server, dataset: &str, table: &str, rows: u64) {
    let about = server.json(&format!("/v1/datasets/{dataset}/tables/{table}"));
    assert_eq!((&about["rows"], &about["rejected"]), (&json!(rows), &json!(0)), "{dataset}.{table}");
}

/// The text between two marks.
fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(from)?;
    rest.split_once(to).map(|(inside, _)| inside)
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

#[test]
fn wikipedia_whole_and_multistream_give_the_same_rows() {
    let Some(inputs) = inputs("wikipedia") else { return };
    let folder = inputs.join("wikipedia-enwiki");
    let whole = fs::read(folder.join("enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2")).unwrap();
    let (origin, shop) = (Origin::start(), Shop::new());
    origin.put("/whole.xml.bz2", whole.clone());
    origin.put(
        "/multistream.xml.bz2",
        fs::read(folder.join("enwiki-sample-pages-articles-multistream.xml.bz2")).unwrap(),
    );
    // The columns of our own definition.
    let ours = fs::read_to_string(crate::shop::ours().join("wikipedia/dataset.toml")).unwrap();
    let mut definition: toml::Table = only(&ours, &["pages"]).parse().unwrap();
    definition.remove("source");
    let pages = definition["table"][0].clone();
    let both = ["whole", "multistream"].map(|name| {
        let mut table = pages.as_table().unwrap().clone();
        table.insert("name".into(), name.into());
        let address = origin.url(&format!("/{name}.xml.bz2"));
        table.insert("source".into(), toml::Value::Table([("url".to_owned(), address.into())].into_iter().collect()));
        toml::Value::Table(table)
    });
    definition.insert("table".into(), both.to_vec().into());
    shop.define_whole("enwiki", &toml::to_string(&definition).unwrap());
    shop.ingest("enwiki").published_whole();

    let server = shop.serve();
    let rows = server.rows("enwiki", "whole");
    assert_eq!(rows.len(), 206);
    assert_eq!(rows.iter().filter(|row| !row["redirect_title"].is_null()).count(), 100);
    assert_eq!(rows, server.rows("enwiki", "multistream"), "the two forms differ");

    let text = String::from_utf8(bunzip2(&whole)).unwrap();
    let mut pages: Vec<&str> = text.split("<page>").skip(1).collect();
    assert_eq!(pages.len(), 206);
    let id = |page: &str| between(page, "<id>", "</id>").unwrap().parse::<i64>().unwrap();
    pages.sort_by_key(|page| id(page));
    for (page, row) in pages.iter().zip(&rows) {
        assert_eq!(row["page_id"], id(page));
        let revision = between(page, "<revision>", "</revision>").unwrap();
        assert_eq!(row["title"], unescape(between(page, "<title>", "</title>").unwrap()));
        assert_eq!(row["rev_id"], between(revision, "<id>", "</id>").unwrap().parse::<i64>().unwrap());
        assert_eq!(row["timestamp"], between(revision, "<timestamp>", "</timestamp>").unwrap());
        let wikitext = between(revision, "<text xml:space=\"preserve\">", "</text>").map(unescape).unwrap_or_default();
        assert_eq!(row["wikitext"], wikitext, "page {}", row["page_id"]);
        assert_eq!(row["sha1"], between(revision, "<sha1>", "</sha1>").unwrap());
        let redirect = between(page, "<redirect title=\"", "\"").map(unescape);
        assert_eq!(row["redirect_title"], json!(redirect));
    }
}

#[test]
fn imdb_files_come_through_value_for_value() {
    let Some(inputs) = inputs("imdb") else { return };
    let folder = inputs.join("imdb-format-from-wikidata-cc0");
    let (origin, shop) = (Origin::start(), Shop::new());
    let files = ["title.basics", "title.principals", "title.crew", "name.basics"];
    for file in files {
        let name = format!("{file}.tsv.gz");
        origin.put(&format!("/{name}"), fs::read(folder.join(&name)).unwrap());
    }
    let tables = files.map(|file| file.replace('.', "_"));
    let names: Vec<&str> = tables.iter().map(String::as_str).collect();
    shop.ours("imdb", |text| only(&text.replace("https://datasets.imdbws.com", &origin.url("")), &names));
    shop.ingest("imdb").published_whole();
    let server = shop.serve();
    for (table, rows) in names.iter().zip([17_470, 163_656, 17_470, 63_815]) {
        assert_rows(&server, "imdb", table, rows);
    }

    let list = |text: &str| if text == "\\N" { json!(null) } else { text.split(',').collect::<Value>() };
    let number = |text: &str| if text == "\\N" { json!(null) } else { json!(text.parse::<i64>().unwrap()) };
    let word = |text: &str| if text == "\\N" { json!(null) } else { json!(text) };
    let lines = |file: &str| -> Vec<Vec<String>> {
        let text = String::from_utf8(gunzip(&fs::read(folder.join(file)).unwrap())).unwrap();
        let mut lines: Vec<Vec<String>> =
            text.lines().skip(1).map(|line| line.split('\t').map(str::to_owned).collect()).collect();
        lines.sort_by(|a, b| a[0].cmp(&b[0]).then_with(|| a[1].parse::<i64>().ok().cmp(&b[1].parse().ok())));
        lines
    };
    for (line, row) in lines("title.basics.tsv.gz").iter().zip(server.rows("imdb", "title_basics")) {
        let wanted = json!({
            "tconst": line[0], "title_type": word(&line[1]), "primary_title": word(&line[2]), "original_title": word(&line[3]),
            "is_adult": line[4] == "1", "start_year": number(&line[5]), "end_year": number(&line[6]),
            "runtime_minutes": number(&line[7]), "genres": list(&line[8]),
        });
        assert_eq!(row, wanted);
    }
    for (line, row) in lines("title.principals.tsv.gz").iter().zip(server.rows("imdb", "title_principals")) {
        let found = [&row["tconst"], &row["ordering"], &row["nconst"], &row["category"]];
        assert_eq!(found, [&json!(line[0]), &number(&line[1]), &json!(line[2]), &word(&line[3])]);
    }
    let names = server.rows("imdb", "name_basics");
    assert_eq!(names.len(), 63_815);
    for (line, row) in lines("name.basics.tsv.gz").iter().zip(&names) {
        assert_eq!(
            (&row["nconst"], &row["primary_name"], &row["known_for_titles"]),
            (&json!(line[0]), &word(&line[1]), &list(&line[5]))
        );
    }
}

#[test]
fn population_comes_through() {
    let Some(inputs) = inputs("population") else { return };
    let body = fs::read(inputs.join("un-wpp-population/population.csv.gz")).unwrap();
    let (origin, shop) = (Origin::start(), Shop::new());
    origin.put("/population.csv.gz", body.clone());
    shop.define("population", &table("population", &origin.url("/population.csv.gz"), "{ type = \"csv\" }"));
    shop.ingest("population").published_whole();
    let server = shop.serve();
    assert_rows(&server, "population", "population", 346_332);
    let columns: Vec<(String, String)> = server.columns("population", "population");
    let kinds: Vec<(&str, &str)> = columns.iter().map(|(name, kind)| (name.as_str(), kind.as_str())).collect();
    assert_eq!(
        kinds[..6],
        [
            ("LocID", "int64"),
            ("Location", "utf8"),
            ("Year", "int64"),
            ("Sex", "utf8"),
            ("AgeGrp", "utf8"),
            ("AgeGrpStart", "int64")
        ]
    );

    // The value is the last field of a line: its sum needs no parser.
    let text = String::from_utf8(gunzip(&body)).unwrap();
    let last = |line: &str| line.rsplit(',').next().unwrap().parse::<f64>().unwrap();
    let wanted: f64 = text.lines().skip(1).map(last).sum();
    let csv = server.body("/v1/datasets/population/tables/population/rows?format=csv&select=Value");
    let found: f64 = std::str::from_utf8(&csv).unwrap().lines().skip(1).map(|line| line.parse::<f64>().unwrap()).sum();
    assert!((wanted - found).abs() < 1.0, "{wanted} {found}");
    // The physical order is upstream's.
    for at in [0, 100_000, 346_331] {
        let row = server.slice("population", "population", &format!("&offset={at}&limit=1")).remove(0);
        assert_eq!(row["Value"].as_f64().unwrap(), last(text.lines().nth(at + 1).unwrap()));
        assert!(text.lines().nth(at + 1).unwrap().starts_with(&format!("{},", row["LocID"])));
    }
}

#[test]
fn earthquakes_come_through_value_for_value() {
    let Some(inputs) = inputs("earthquakes") else { return };
    let body = fs::read(inputs.join("earthquakes-usgs/earthquakes.json")).unwrap();
    let (origin, shop) = (Origin::start(), Shop::new());
    origin.put("/earthquakes/feed/v1.0/summary/all_month.geojson", body.clone());
    shop.ours("earthquakes", |text| {
        text.replace("https://earthquake.usgs.gov/earthquakes/feed", &origin.url("/earthquakes/feed"))
    });
    shop.ingest("earthquakes").published_whole();
    let server = shop.serve();
    assert_rows(&server, "earthquakes", "earthquakes", 1707);
    let document: Value = serde_json::from_slice(&body).unwrap();
    let mut features = document["features"].as_array().unwrap().clone();
    features.sort_by_key(|feature| (feature["properties"]["time"].as_i64(), feature["id"].as_str().map(str::to_owned)));
    for (feature, row) in features.iter().zip(server.rows("earthquakes", "earthquakes")) {
        let about = &feature["properties"];
        assert_eq!(row["id"], feature["id"]);
        let time = chrono::DateTime::from_timestamp_millis(about["time"].as_i64().unwrap()).unwrap();
        assert_eq!(row["time"], time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true));
        assert_eq!(row["mag"].as_f64(), about["mag"].as_f64());
        assert_eq!((&row["place"], &row["net"], &row["felt"]), (&about["place"], &about["net"], &about["felt"]));
        for (at, name) in ["longitude", "latitude", "depth"].into_iter().enumerate() {
            assert_eq!(row[name].as_f64(), feature["geometry"]["coordinates"][at].as_f64(), "{name} of {}", row["id"]);
        }
    }
}

#[test]
fn flights_come_through_from_arrow() {
    let Some(inputs) = inputs("flights") else { return };
    let body = fs::read(inputs.join("flights-bts/flights-200k.arrow")).unwrap();
    let (origin, shop) = (Origin::start(), Shop::new());
    origin.put("/flights-200k.arrow", body.clone());
    let url = origin.url("/flights-200k.arrow");
    let named = table("named", &url, "{ type = \"arrow\" }")
        + "column = [{ name = \"delay\", type = \"int32\", unit = \"min\" }, { name = \"distance\", type = \"int32\" }, { name = \"hour\", from = \"time\", type = \"float64\" }]\n";
    shop.define("flights", &(named + &table("bare", &url, "{ type = \"arrow\" }")));
    shop.ingest("flights").published_whole();
    let server = shop.serve();
    for table in ["named", "bare"] {
        assert_rows(&server, "flights", table, 200_000);
    }
    let reader = arrow::ipc::reader::FileReader::try_new(std::io::Cursor::new(body), None).unwrap();
    let batches: Vec<_> = reader.map(Result::unwrap).collect();
    let source = arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap();
    let column = |name: &str| {
        let column = source.column_by_name(name).unwrap();
        let column = arrow::compute::cast(column, &arrow::datatypes::DataType::Float64).unwrap();
        column.as_any().downcast_ref::<arrow::array::Float64Array>().unwrap().clone()
    };
    let (delay, distance, time) = (column("delay"), column("distance"), column("time"));
    let rows = server.rows("flights", "named");
    assert_eq!(rows.len(), 200_000);
    for (at, row) in rows.iter().enumerate() {
        assert_eq!(row["delay"].as_f64(), Some(delay.value(at)));
        assert_eq!(row["distance"].as_f64(), Some(distance.value(at)));
        // The source has single precision; JSON's digits are those of the double.
        assert_eq!(row["hour"].as_f64().map(|hour| hour as f32), Some(time.value(at) as f32));
    }
}

#[test]
fn cities_come_through_value_for_value() {
    let Some(inputs) = inputs("cities") else { return };
    let body = fs::read(inputs.join("geonames/cities.json.gz")).unwrap();
    let (origin, shop) = (Origin::start(), Shop::new());
    origin.put("/cities.json.gz", body.clone());
    let text = table("cities", &origin.url("/cities.json.gz"), "{ type = \"json\" }")
        + "column = [{ name = \"name\" }, { name = \"latitude\", from = \"lat\", type = \"float64\" }, { name = \"longitude\", from = \"lng\", type = \"float64\" }, { name = \"country\" }, { name = \"admin1\", null = \"\" }, { name = \"admin2\", null = \"\" }]\n";
    shop.define("cities", &text);
    shop.ingest("cities").published_whole();
    let server = shop.serve();
    assert_rows(&server, "cities", "cities", 171_075);
    let source: Vec<Value> = serde_json::from_slice(&gunzip(&body)).unwrap();
    let rows = server.rows("cities", "cities");
    assert_eq!(rows.len(), source.len());
    for (city, row) in source.iter().zip(&rows) {
        let number = |name: &str| city[name].as_str().unwrap().parse::<f64>().unwrap();
        assert_eq!((&row["name"], &row["country"]), (&city["name"], &city["country"]));
        assert_eq!((row["latitude"].as_f64(), row["longitude"].as_f64()), (Some(number("lat")), Some(number("lng"))));
        assert_eq!(row["admin2"].as_str().unwrap_or(""), city["admin2"]);
    }
}
