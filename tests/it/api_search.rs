//! Full-text search: what is found against the rows themselves, how an index comes to be, how it is lost and made again.

use std::{collections::BTreeSet, time::Duration};

use openshelf::{
    catalog::Redistribution,
    config::ServeSettings,
    store::{DerivedFrom, Store},
};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Value, json};

use crate::{
    api_statistics::samples,
    shelf::{TestShelf, TestSnapshot, TestTable, arrow_rows, header, problem},
};

const SEARCH: &str = "/v1/datasets/library/tables/books/search";

fn impatient(settings: &mut ServeSettings) {
    settings.derived.patience = Duration::ZERO;
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// 500 books in two files, with words of known frequency.
fn books() -> TestTable {
    let row = |n: u64| {
        let title = match n {
            7 => "Le Café de l'Amour".to_owned(),
            8 => "東京物語 (Tokyo Story)".to_owned(),
            9 => "Spider-Man: the beginning".to_owned(),
            10 => "The beginning of the spider".to_owned(),
            _ => format!("Volume {n} of the {} river", ["red", "green", "blue"][(n % 3) as usize]),
        };
        let tags = if n.is_multiple_of(5) { json!(["rare", format!("shelf {}", n % 10)]) } else { Value::Null };
        json!({"id": n, "title": title, "tags": tags, "note": "unsearched", "year": 1900 + n % 50})
    };
    let rows: Vec<Value> = (0..500).map(row).collect();
    let columns = [("id", "int64"), ("title", "utf8"), ("tags", "list<utf8>"), ("note", "utf8"), ("year", "int32")];
    let mut table = TestTable::new("books", &columns);
    table.schema.columns[1].search = true;
    table.schema.columns[2].search = true;
    table.file(&rows[..200]).file(&rows[200..])
}

async fn library() -> TestShelf {
    let plain = TestTable::new("plain", &[("name", "utf8")]).file(&[json!({"name": "some word"})]);
    TestShelf::builder().snapshot(TestSnapshot::new("library", vec![books(), plain])).serve().await
}

fn ids(answer: &Value) -> Vec<i64> {
    answer["rows"].as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect()
}

/// The answer once the index is there, and how often it was asked for before.
async fn ready(shelf: &TestShelf, path: &str) -> (Value, usize) {
    for before in 0..400 {
        let response = shelf.get(path).await;
        if response.status() == 200 {
            return (serde_json::from_str(&response.text().await.unwrap()).unwrap(), before);
        }
        assert_eq!(response.status(), 202);
        let wait: u64 = header(&response, "retry-after").unwrap().parse().unwrap();
        assert!(wait >= 1);
        assert_eq!(header(&response, "cache-control").unwrap(), "no-store");
        let again = header(&response, "location").unwrap();
        let standing: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        assert!(["waiting", "building", "fetching"].contains(&standing["state"].as_str().unwrap()), "{standing}");
        assert_eq!(standing["url"], json!(again));
        assert!(again.starts_with(path.split('?').next().unwrap()));
        if let Some(progress) = standing["progress"].as_object() {
            assert!(progress["done"].as_u64() <= progress["total"].as_u64(), "{standing}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{path}: never ready");
}

#[tokio::test]
async fn questions_find_what_people_mean() {
    let shelf = library().await;
    for (q, expected) in [
        ("cafe amour", vec![7]),
        ("CAFÉ", vec![7]),
        ("東京", vec![8]),
        ("京東", vec![]),
        ("tokyo", vec![8]),
        ("spider-man", vec![9]),
        ("\"the beginning\" spider", vec![9, 10]),
        ("spider -man", vec![10]),
        ("spid*", vec![9, 10]),
        ("title:\"of the spider\"", vec![10]),
        ("volume 123", vec![123]),
        ("volume (123 OR 77)", vec![77, 123]),
        ("tags:rare volume 25", vec![25]),
        ("title:rare", vec![]),
        ("unsearched", vec![]),
        ("Le Café de l'Amour", vec![7]),
    ] {
        let answer = shelf.json(&format!("{SEARCH}?q={}&count=exact", encoded(q))).await;
        let mut found = ids(&answer);
        found.sort_unstable();
        assert_eq!(found, expected, "{q}");
        assert_eq!(answer["row_count"], json!({"value": expected.len(), "kind": "exact"}), "{q}");
    }
    let answer = shelf.json(&format!("{SEARCH}?q=spider&select=title,id")).await;
    let names: Vec<&str> = answer["columns"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["_score", "title", "id"]);
    assert_eq!(answer["columns"][0]["type"], "float32");
    let row: Vec<&String> = answer["rows"][0].as_object().unwrap().keys().collect();
    assert_eq!(row, ["_score", "title", "id"]);
    assert_eq!(ids(&answer), [9, 10], "the shorter title first");
    assert!(answer["rows"][0]["_score"].as_f64() > answer["rows"][1]["_score"].as_f64());
}

#[tokio::test]
async fn pages_conditions_and_formats_give_one_ranking() {
    let shelf = library().await;
    let everything = shelf.json(&format!("{SEARCH}?q=river&limit=10000&count=exact")).await;
    assert_eq!((everything["rows"].as_array().unwrap().len(), &everything["next"]), (496, &Value::Null));
    assert_eq!(everything["row_count"]["value"], 496);
    let rows = everything["rows"].as_array().unwrap();
    let key = |row: &Value| (-row["_score"].as_f64().unwrap(), row["id"].as_i64().unwrap());
    assert!(rows.windows(2).all(|pair| key(&pair[0]) < key(&pair[1])), "ties by row");
    let mut address = format!("{SEARCH}?q=river&limit=90&select=id");
    let mut paged = Vec::new();
    loop {
        let answer = shelf.json(&address).await;
        paged.extend(ids(&answer));
        let Some(next) = answer["next"].as_str() else { break };
        assert!(next.contains("snapshot=1"));
        address = next.to_owned();
    }
    assert_eq!(paged, ids(&everything));
    // Few match among the best: the condition is computed for the whole table then. Both ways give one answer.
    for condition in ["year > 1945", "id = 499", "id < 0", "note = 'unsearched'", "list_contains(tags, 'rare')"] {
        let filtered: Vec<i64> = {
            let all = shelf
                .json(&format!("/v1/datasets/library/tables/books/rows?where={}&limit=10000", encoded(condition)))
                .await;
            let keep: BTreeSet<i64> = ids(&all).into_iter().collect();
            ids(&everything).into_iter().filter(|id| keep.contains(id)).collect()
        };
        for rest in ["limit=3", "limit=1000", "limit=3&count=exact", "limit=2&offset=1", "limit=10000"] {
            let answer = shelf.json(&format!("{SEARCH}?q=river&where={}&{rest}", encoded(condition))).await;
            let number = |name: &str| {
                rest.split(&['&', '='][..]).skip_while(|part| *part != name).nth(1).map(|n| n.parse().unwrap())
            };
            let (offset, limit): (usize, usize) = (number("offset").unwrap_or(0), number("limit").unwrap());
            let expected: Vec<i64> = filtered.iter().copied().skip(offset).take(limit).collect();
            assert_eq!(ids(&answer), expected, "{condition} {rest}");
            assert_eq!(answer["next"].is_string(), filtered.len() > offset + limit, "{condition} {rest}");
            if rest.contains("count") {
                assert_eq!(answer["row_count"]["value"], filtered.len(), "{condition}");
            }
        }
    }
    let by_hand = shelf.json(&format!("{SEARCH}?q=river&id__lt=5")).await;
    assert_eq!(by_hand["rows"].as_array().unwrap().len(), 5);
    // Every other format holds all that match.
    let lines = shelf.get(&format!("{SEARCH}?q=river&format=ndjson")).await.text().await.unwrap();
    assert_eq!(lines.lines().count(), 496);
    let csv = shelf.get(&format!("{SEARCH}?q=river&format=csv&select=id")).await;
    assert!(header(&csv, "content-disposition").unwrap().contains("library-books-search.csv"));
    let csv = csv.text().await.unwrap();
    assert_eq!((csv.lines().next(), csv.lines().count()), (Some("_score,id"), 497));
    let arrow = shelf.get(&format!("{SEARCH}?q=river&format=arrow")).await.bytes().await.unwrap();
    assert_eq!(arrow_rows(&arrow).iter().map(|batch| batch.num_rows()).sum::<usize>(), 496);
    assert_eq!(shelf.get(&format!("{SEARCH}?q=river&format=parquet")).await.status(), 200);
    let response = shelf.get(&format!("{SEARCH}?q=river&snapshot=1")).await;
    for name in ["etag", "openshelf-snapshot", "openshelf-scanned-bytes", "link", "vary"] {
        assert!(header(&response, name).is_some(), "{name}");
    }
    assert_eq!(header(&response, "cache-control").unwrap(), "public, max-age=31536000, immutable");
    let tag = header(&response, "etag").unwrap();
    assert_eq!(shelf.get_with(&format!("{SEARCH}?q=river&snapshot=1"), &[("if-none-match", &tag)]).await.status(), 304);
    let head = shelf.send(reqwest::Method::HEAD, &format!("{SEARCH}?q=river"), &[]).await;
    assert_eq!((head.status().as_u16(), header(&head, "content-length")), (200, None));
    let body = json!({"q": "spider", "select": ["id"], "limit": 1}).to_string();
    let posted = shelf.client.post(shelf.url(SEARCH)).header("content-type", "application/json").body(body);
    let posted: Value = serde_json::from_str(&posted.send().await.unwrap().text().await.unwrap()).unwrap();
    assert_eq!(ids(&posted), [9]);
}

#[tokio::test]
async fn what_is_wrong_is_said_with_what_works() {
    let shelf = library().await;
    let plain = "/v1/datasets/library/tables/plain/search";
    for (path, status, code) in [
        (SEARCH.to_owned(), 400, "invalid-parameter"),
        (format!("{SEARCH}?q="), 400, "invalid-parameter"),
        (format!("{SEARCH}?q=-a"), 400, "invalid-parameter"),
        (format!("{SEARCH}?q=%22open"), 400, "invalid-parameter"),
        (format!("{SEARCH}?q=titel:river"), 400, "invalid-parameter"),
        (format!("{SEARCH}?q=note:river"), 400, "invalid-parameter"),
        (format!("{SEARCH}?q=a&q=b"), 400, "repeated-parameter"),
        (format!("{SEARCH}?q=a&order_by=id"), 400, "invalid-parameter"),
        (format!("{SEARCH}?q=a&sample=3"), 400, "invalid-parameter"),
        (format!("{SEARCH}?q=a&dry_run=1"), 400, "invalid-parameter"),
        (format!("{SEARCH}?q=a&cursor=x"), 400, "invalid-cursor"),
        (format!("{SEARCH}?q=a&limti=3"), 400, "unknown-parameter"),
        (format!("{SEARCH}?q=a&limit=20000"), 400, "limit-too-large"),
        (format!("{SEARCH}?q=a&offset=99999999"), 400, "invalid-parameter"),
        (format!("{SEARCH}?q=a&select=titel"), 400, "invalid-select"),
        (format!("{SEARCH}?q=a&where=yaer%3D3"), 400, "invalid-where"),
        (format!("{SEARCH}?q=river&where=1/(id-3)%3E0&limit=400"), 400, "invalid-where"),
        (format!("{SEARCH}?q=a&format=xml"), 406, "not-acceptable"),
        (format!("{plain}?q=some"), 404, "not-searchable"),
        ("/v1/datasets/library/tables/none/search?q=a".to_owned(), 404, "table-not-found"),
    ] {
        let (got, body) = shelf.problem(&path).await;
        assert_eq!(
            (got, body["type"].as_str().unwrap()),
            (status, format!("/problems/{code}").as_str()),
            "{path}: {body}"
        );
        let hint = body["hint"].as_str().unwrap();
        assert_eq!(shelf.get(hint).await.status(), 200, "{path}: {hint}");
    }
    let (_, body) = shelf.problem(&format!("{plain}?q=word")).await;
    assert!(body["detail"].as_str().unwrap().contains("`books`"), "{body}");
    assert!(shelf.get(body["hint"].as_str().unwrap()).await.text().await.unwrap().contains("some word"));
    let table = shelf.json("/v1/datasets/library/tables/books").await;
    assert_eq!(table["search_url"], SEARCH);
    assert_eq!((&table["columns"][1]["search"], &table["columns"][3]["search"]), (&json!(true), &json!(false)));
}

#[tokio::test]
async fn strange_questions_are_answered_or_refused() {
    let shelf = library().await;
    let strategy = proptest::collection::vec(
        proptest::prop_oneof![
            proptest::sample::select(vec![
                "\"", "-", "*", ":", "OR", "AND", "(", ")", "~2", "^3", "title:", "tags:", "id:", "[", "]", "{a TO b}",
                "\\", "/", "+", "&&", "||", "!", "?", "river", "the", "東", "\u{0}", "\u{301}", "𝔘", "a*", "IN", "''",
                "%",
            ])
            .prop_map(str::to_owned),
            ".{0,12}",
        ],
        0..12,
    );
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let mut answered = 0;
    for _ in 0..200 {
        let parts = strategy.new_tree(&mut runner).unwrap().current();
        let q = parts.join(if parts.len() % 2 == 0 { " " } else { "" });
        let response = shelf.get(&format!("{SEARCH}?limit=2&q={}", encoded(&q))).await;
        match response.status().as_u16() {
            200 => answered += 1,
            400 => drop(problem(response).await),
            status => panic!("{status} for {q:?}"),
        }
    }
    assert!(answered > 40, "{answered}");
}

#[tokio::test]
async fn samples_are_searched_as_if_row_by_row() {
    let shelf = TestShelf::builder().store(samples(&["imdb", "gutenberg"]).await).serve().await;
    let mut found = 0;
    for (path, key) in [
        ("/v1/datasets/imdb/tables/title_basics", "tconst"),
        ("/v1/datasets/imdb/tables/name_basics", "nconst"),
        ("/v1/datasets/gutenberg/tables/books", "id"),
    ] {
        let about = shelf.get(path).await;
        if about.status() != 200 {
            continue;
        }
        let about: Value = serde_json::from_str(&about.text().await.unwrap()).unwrap();
        let searched: Vec<&str> = about["columns"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|column| column["search"] == true)
            .map(|column| column["name"].as_str().unwrap())
            .collect();
        let rows = shelf.json(&format!("{path}/rows?limit=10000&truncate=0")).await;
        let key = about["primary_key"][0].as_str().unwrap_or(key);
        // Plain ASCII words only: how others become words is tested beside the code.
        let words = |row: &Value| -> BTreeSet<String> {
            let texts = searched.iter().map(|name| match &row[*name] {
                Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
                value => value.as_str().unwrap_or_default().to_owned(),
            });
            texts
                .flat_map(|text| text.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase).collect::<Vec<_>>())
                .collect()
        };
        let all: Vec<(Value, BTreeSet<String>)> =
            rows["rows"].as_array().unwrap().iter().map(|row| (row[key].clone(), words(row))).collect();
        let mut asked: Vec<Vec<String>> = Vec::new();
        for (at, (_, words)) in all.iter().enumerate().step_by(1 + all.len() / 12) {
            let plain: Vec<String> = words.iter().filter(|w| !w.is_empty() && w.is_ascii()).cloned().collect();
            asked.extend(plain.chunks(1 + at % 2).take(3).map(<[String]>::to_vec));
        }
        for q in asked {
            let answer = shelf.json(&format!("{path}/search?q={}&limit=10000", q.join("+"))).await;
            let mut got: Vec<String> =
                answer["rows"].as_array().unwrap().iter().map(|row| row[key].to_string()).collect();
            let naive = all.iter().filter(|(_, words)| q.iter().all(|word| words.contains(word)));
            let mut naive: Vec<String> = naive.map(|(key, _)| key.to_string()).collect();
            got.sort_unstable();
            naive.sort_unstable();
            // Rows with accents may be found as well: they fold to the same words.
            assert!(naive.iter().all(|key| got.contains(key)), "{path} {q:?}: {naive:?} in {got:?}");
            assert!(got.len() <= naive.len() + 3, "{path} {q:?}: {} and {}", got.len(), naive.len());
            found += got.len();
        }
    }
    assert!(found > 50, "{found}");
}

#[tokio::test]
async fn an_index_comes_to_be_is_kept_and_is_made_again_when_lost() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().to_str().unwrap()).unwrap();
    TestSnapshot::new("library", vec![books()]).publish(&store).await;
    let dataset: openshelf::catalog::DatasetId = "library".parse().unwrap();
    let server = || async { TestShelf::builder().store(store.clone()).settings(impatient).serve().await };
    let path = format!("{SEARCH}?q=spider");
    let files = || async { store.list_derived(&dataset, 1).await.unwrap() };

    let first = server().await;
    let (answer, before) = ready(&first, &path).await;
    assert!(before > 0, "202 first");
    assert_eq!(ids(&answer), [9, 10]);
    assert_eq!(ready(&first, &path).await.1, 0);
    let made = files().await;
    assert!(made.iter().any(|(key, _)| key == "library/derived/1/books/search-1.json"), "{made:?}");
    first.stop().await;

    // Another server, or the same after a restart, uses what is kept.
    let second = server().await;
    assert_eq!(ids(&ready(&second, &path).await.0), [9, 10]);
    assert_eq!(files().await, made);
    second.stop().await;

    // Dropped: made again. What a killed builder left does no harm.
    store.drop_derived_of(&dataset, 1).await.unwrap();
    assert!(files().await.is_empty());
    let third = server().await;
    assert_eq!(ids(&ready(&third, &path).await.0), [9, 10]);
    third.stop().await;

    // Damaged, in its files and in its list: made again.
    for damage in ["idx", "json"] {
        let before = files().await;
        let wanted = |key: &&(String, u64)| match damage {
            "json" => key.0.ends_with("search-1.json"),
            ending => key.0.ends_with(ending),
        };
        let (key, _) = before.iter().find(wanted).unwrap();
        let file = folder.path().join(key);
        let mut bytes = std::fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        std::fs::remove_file(&file).unwrap();
        std::fs::write(&file, bytes).unwrap();
        let shelf = server().await;
        assert_eq!(ids(&ready(&shelf, &path).await.0), [9, 10], "{damage}");
        assert_ne!(files().await, before, "{damage}");
        shelf.stop().await;
    }

    // A file that is gone.
    let (key, _) = files().await.into_iter().find(|(key, _)| key.ends_with(".term")).unwrap();
    std::fs::remove_file(folder.path().join(key)).unwrap();
    let last = server().await;
    assert_eq!(ids(&ready(&last, &path).await.0), [9, 10]);
    let metrics = last.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("openshelf_background_waiting 0"), "{metrics}");
}

#[tokio::test]
async fn of_two_servers_that_build_one_wins_and_both_answer() {
    let store = Store::in_memory();
    TestSnapshot::new("library", vec![books()]).publish(&store).await;
    let server = || TestShelf::builder().store(store.clone()).settings(impatient).serve();
    let shelves = [server().await, server().await, server().await];
    let path = format!("{SEARCH}?q=river&limit=400");
    let answers = futures::future::join_all(shelves.iter().map(|shelf| ready(shelf, &path))).await;
    assert!(answers.iter().all(|(answer, _)| ids(answer) == ids(&answers[0].0)));
    // Who lost takes away what it put there; it has its answer before that.
    let builds = || async {
        let kept = store.list_derived(&"library".parse().unwrap(), 1).await.unwrap();
        kept.iter().filter_map(|(key, _)| key.split('/').nth(5).map(str::to_owned)).collect::<BTreeSet<_>>()
    };
    let mut left = builds().await;
    for _ in 0..100 {
        if left.len() == 1 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        left = builds().await;
    }
    assert_eq!(left.len(), 1, "{left:?}");
}

#[tokio::test]
async fn a_new_snapshot_has_an_index_of_its_own_and_small_caches_work() {
    let tight = |settings: &mut ServeSettings| settings.derived.cache_bytes = 1;
    let shelf = TestShelf::builder()
        .snapshot(TestSnapshot::new("library", vec![books()]))
        .publish("other", {
            let mut table = TestTable::new("films", &[("id", "int64"), ("name", "utf8")]);
            table.schema.columns[1].search = true;
            table.file(&[json!({"id": 1, "name": "The spider"})])
        })
        .settings(tight)
        .serve()
        .await;
    let other = "/v1/datasets/other/tables/films/search?q=spider";
    for _ in 0..3 {
        // Each drives the other out.
        assert_eq!(ids(&shelf.json(&format!("{SEARCH}?q=spider")).await), [9, 10]);
        assert_eq!(ids(&shelf.json(other).await), [1]);
    }
    let mut table = books();
    table.batches.truncate(0);
    let table = table.file(&[json!({"id": 77, "title": "A new spider", "tags": ["x"], "note": null, "year": 1})]);
    TestSnapshot::new("library", vec![table]).publish(&shelf.store).await;
    assert_eq!(ids(&shelf.json(&format!("{SEARCH}?q=spider")).await), [77]);
    assert_eq!(ids(&shelf.json(&format!("{SEARCH}?q=spider&snapshot=1")).await), [9, 10]);
}

#[tokio::test]
async fn personal_text_is_not_searched_in_public() {
    let snapshot = || TestSnapshot::new("library", vec![books()]).class(Redistribution::Personal);
    let own = TestShelf::builder().snapshot(snapshot()).serve().await;
    let response = own.get(&format!("{SEARCH}?q=spider&snapshot=1")).await;
    assert_eq!(response.status(), 200);
    assert!(header(&response, "cache-control").unwrap().starts_with("private"));
    let kept = own.store.list_derived(&"library".parse().unwrap(), 1).await.unwrap();
    assert!(!kept.is_empty() && kept.iter().all(|(key, _)| key.starts_with("_personal/")), "{kept:?}");
    let everywhere = |settings: &mut ServeSettings| settings.listen = ([0, 0, 0, 0], 0).into();
    let public = TestShelf::builder().snapshot(snapshot()).settings(everywhere).serve().await;
    let (status, body) = public.problem(&format!("{SEARCH}?q=spider")).await;
    assert_eq!((status, body["type"].as_str()), (451, Some("/problems/personal-use-only")));
}

#[tokio::test]
async fn an_index_that_cannot_be_made_is_said_so_and_tried_again_later() {
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("cache");
    std::fs::write(&blocked, b"a file where the folder should be").unwrap();
    let cache = blocked.clone();
    let shelf = TestShelf::builder()
        .snapshot(TestSnapshot::new("library", vec![books()]))
        .settings(move |settings| settings.derived.cache = cache)
        .serve()
        .await;
    let response = shelf.get(&format!("{SEARCH}?q=spider")).await;
    assert!(header(&response, "retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    let (status, body) = problem(response).await;
    assert_eq!((status, body["type"].as_str()), (503, Some("/problems/index-not-made")));
    assert!(!body.to_string().contains("cache"), "nothing from inside: {body}");
    // Nothing else suffers.
    assert_eq!(shelf.get("/v1/datasets/library/tables/books/rows").await.status(), 200);
}

#[tokio::test]
async fn derived_things_go_with_their_snapshot() {
    let shelf = library().await;
    shelf.json(&format!("{SEARCH}?q=spider")).await;
    shelf.json("/v1/datasets/library/tables/books").await;
    let id = "library".parse().unwrap();
    let manifest = shelf.store.head(&id).await.unwrap().unwrap();
    let of = DerivedFrom::new(&manifest, manifest.table("books").unwrap()).unwrap();
    assert!(shelf.store.derived(&of, "statistics-1").await.unwrap().is_some());
    shelf.store.drop_derived_of(&id, 1).await.unwrap();
    assert!(shelf.store.list_derived(&id, 1).await.unwrap().is_empty());
    // The rows are untouched.
    assert_eq!(shelf.get("/v1/datasets/library/tables/books/rows").await.status(), 200);
}
