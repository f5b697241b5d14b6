//! SQL: what may be asked, what comes back in every format, and what is refused with a way forward.

use std::time::{Duration, Instant};

use openshelf::catalog::Redistribution;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::shelf::{TestShelf, TestSnapshot, TestTable, arrow_rows, films, header, now, problem};

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

async fn value(response: Response) -> Value {
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

async fn post(shelf: &TestShelf, body: &Value) -> Response {
    let request = shelf.client.post(shelf.url("/v1/sql")).header("content-type", "application/json");
    request.body(body.to_string()).send().await.unwrap()
}

fn address(query: &str) -> String {
    format!("/v1/sql?query={}", encoded(query))
}

fn places() -> TestTable {
    TestTable::new("places", &[("Code", "utf8"), ("Name", "utf8"), ("size", "int64"), ("x", "float64")]).file(&[
        json!({"Code": "drama", "Name": "Dramaville", "size": 9_007_199_254_740_993_i64, "x": 0.5}),
        json!({"Code": "crime", "Name": null, "size": 5, "x": 1.5}),
        json!({"Code": "comedy", "Name": "Fun City", "size": null, "x": null}),
    ])
}

async fn shelf() -> TestShelf {
    TestShelf::builder().publish("films", films()).publish("geo-names", places()).serve().await
}

async fn rows(shelf: &TestShelf, query: &str) -> Value {
    shelf.json(&address(query)).await["rows"].clone()
}

#[tokio::test]
async fn an_answer_says_its_columns_rows_and_snapshots() {
    let shelf = shelf().await;
    let query =
        "select year, count(*) as n, avg(rating) from films.titles where year > 1945 group by year order by year";
    let response = shelf.get(&address(query)).await;
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "openshelf-snapshot").as_deref(), Some("1"));
    assert!(header(&response, "openshelf-scanned-bytes").unwrap().parse::<u64>().unwrap() > 0);
    assert!(header(&response, "etag").is_some());
    assert_eq!(header(&response, "cache-control").as_deref(), Some("public, max-age=0, s-maxage=30, must-revalidate"));
    assert!(header(&response, "link").unwrap().contains("rel=\"license\""));
    let answer = value(response).await;
    let keys: Vec<&String> = answer.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        ["snapshots", "limit", "columns", "rows", "offset", "row_count", "next", "truncated", "seed", "complete"]
    );
    assert_eq!(answer["snapshots"], json!({"films": 1}));
    assert_eq!(answer["columns"][1], json!({"name": "n", "type": "int64"}));
    assert_eq!(answer["rows"].as_array().unwrap().len(), 4);
    assert_eq!(answer["rows"][0], json!({"year": 1946, "n": 4, "avg(films.titles.rating)": 3.0}));
    assert_eq!(answer["row_count"], json!({"value": 4, "kind": "exact"}));
    assert_eq!(answer["complete"], true);
}

#[tokio::test]
async fn tables_of_several_datasets_are_joined_and_lists_unnested() {
    let shelf = shelf().await;
    let query = "with g as (select unnest(genres) as genre from films.titles) \
                 select p.\"Name\", count(*) n from g join geo_names.places p on g.genre = p.code group by 1 order by n desc, 1";
    let response = shelf.get(&address(query)).await;
    assert_eq!(header(&response, "openshelf-snapshot").as_deref(), Some("films=1, geo-names=1"));
    let answer = value(response).await;
    assert_eq!(answer["rows"][0], json!({"Name": "Dramaville", "n": 250}), "{answer}");
    assert_eq!(answer["rows"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn lists_are_unnested_beside_their_table() {
    let lists = TestTable::new("t", &[("id", "int64"), ("genres", "list<utf8>"), ("Marks", "list<int64>")]).file(&[
        json!({"id": 1, "genres": ["drama", "crime"], "Marks": [1, 2]}),
        json!({"id": 2, "genres": [], "Marks": [3]}),
        json!({"id": 3, "genres": null, "Marks": null}),
        json!({"id": 4, "genres": ["drama", null], "Marks": []}),
    ]);
    let shelf = TestShelf::builder().publish("d", lists).publish("geo-names", places()).serve().await;
    for (query, expected) in [
        ("select count(*) c from d.t, unnest(genres) as g(genre) where genre = 'drama'", 2),
        ("select count(*) c from d.t cross join unnest(genres) as g(genre) where g.genre = 'drama'", 2),
        ("select count(*) c from d.t join unnest(d.t.genres) as g on true where g = 'drama'", 2),
        ("select count(*) c from d.t as x, unnest(x.genres) as g(genre) where x.id = 1 and G.genre <> ''", 2),
        ("select count(*) c from d.t, unnest(t.genres)", 4),
        ("select count(*) c from d.t, unnest(t.genres) as genres where genres = 'crime'", 1),
        ("select count(*) c from d.t, unnest(genres) as g, unnest(marks) as m where d.t.id = 1", 4),
        ("select sum(m) c from d.t, unnest(marks) as m", 6),
        ("select count(*) c from d.t x, unnest(x.genres) g join geo_names.places p on p.code = g", 3),
        (
            "select count(*) c from (select id, genres from d.t where id < 4) s, unnest(s.genres) as g(x) where s.id = 1",
            2,
        ),
        ("select count(*) c from d.t, unnest(array_distinct(genres)) as g", 4),
        ("select count(*) c from geo_names.places p where code in (select g from d.t, unnest(genres) as g)", 2),
        ("with a as (select g, id from d.t, unnest(genres) as g) select count(distinct g) c from a", 2),
        ("select count(*) c from unnest([1, 2, 3]) as u(n)", 3),
        ("select count(*) c from d.t, unnest([1, 2]) as u(n)", 8),
    ] {
        assert_eq!(rows(&shelf, query).await, json!([{"c": expected}]), "{query}");
    }
    let all = shelf.json(&address("select * from d.t, unnest(genres) as g(genre) order by id, genre")).await;
    assert_eq!(all["rows"][1], json!({"id": 1, "genres": ["drama", "crime"], "Marks": [1, 2], "genre": "drama"}));
    for query in [
        "select count(*) from d.t left join unnest(genres) as g on true",
        "select count(*) from d.t a join geo_names.places b on a.id = b.size, unnest(a.genres) as g",
        "select count(*) from unnest(genres) as g, d.t",
    ] {
        let (status, body) = shelf.problem(&address(query)).await;
        let detail = body["detail"].as_str().unwrap();
        assert!(status == 400 && detail.contains("from (select *, unnest("), "{query}: {detail}");
    }
    let (_, body) = shelf.problem(&address("select count(*) from d.t, unnest(genre) as g")).await;
    assert!(body["detail"].as_str().unwrap().contains("did you mean `genres`?"), "{body}");
}

#[tokio::test]
async fn lists_are_values_like_others() {
    let lists = TestTable::new("t", &[("id", "int64"), ("genres", "list<utf8>")]).file(&[
        json!({"id": 1, "genres": ["drama", "crime"]}),
        json!({"id": 2, "genres": ["drama"]}),
        json!({"id": 3, "genres": null}),
        json!({"id": 4, "genres": ["drama", "crime"]}),
    ]);
    let shelf = TestShelf::builder().publish("d", lists).serve().await;
    for (query, expected) in [
        ("select min(genres) c from d.t", json!([["drama"]])),
        ("select max(genres) c from d.t", json!([["drama", "crime"]])),
        ("select first_value(genres order by id) c from d.t", json!([["drama", "crime"]])),
        ("select count(distinct genres) c from d.t", json!([2])),
        ("select count(*) c from d.t a join d.t b on a.genres = b.genres", json!([5])),
        ("select genres c from d.t where genres = ['drama']", json!([["drama"]])),
        (
            "select genres c from d.t where id < 3 union select ['x'] order by 1",
            json!([["drama"], ["drama", "crime"], ["x"]]),
        ),
        ("select array_to_string(array_sort(genres), '+') c from d.t where id = 1", json!(["crime+drama"])),
        ("select id c from d.t where array_has(genres, 'crime') order by id", json!([1, 4])),
        ("select coalesce(genres, ['none']) c from d.t where id = 3", json!([["none"]])),
    ] {
        let found: Vec<Value> =
            rows(&shelf, query).await.as_array().unwrap().iter().map(|row| row["c"].clone()).collect();
        assert_eq!(json!(found), expected, "{query}");
    }
}

#[tokio::test]
async fn names_match_exactly_else_without_case_and_quotes_admit_any() {
    let shelf = shelf().await;
    for query in [
        "select name from \"geo-names\".places where code = 'drama'",
        "SELECT NAME FROM GEO_NAMES.PLACES WHERE CODE = 'drama'",
        "select p.name from geo_names.places as p where p.code = 'drama'",
        "select geo_names.places.name from geo_names.places where Geo_Names.Places.code = 'drama'",
        "select \"Name\" from \"geo-names\".\"places\" where \"Code\" = 'drama' order by name",
    ] {
        assert_eq!(rows(&shelf, query).await, json!([{"Name": "Dramaville"}]), "{query}");
    }
}

#[tokio::test]
async fn nulls_are_last_both_ways_and_wide_integers_are_text() {
    let shelf = shelf().await;
    for direction in ["asc", "desc"] {
        let found = rows(&shelf, &format!("select size from geo_names.places order by size {direction}")).await;
        assert_eq!(found[2], json!({"size": null}), "{direction}");
        assert!(found[0]["size"].is_string(), "{found}");
    }
    let first = rows(&shelf, "select size from geo_names.places order by size nulls first").await;
    assert_eq!(first[0], json!({"size": null}));
    let narrow = rows(&shelf, "select size from geo_names.places where code = 'crime'").await;
    assert_eq!(narrow, json!([{"size": 5}]));
    let query = "select cast(a.budget as decimal(12,2)) b, 1/2 h, a.id, b.id from films.titles a join films.titles b on a.id=b.id limit 1";
    let answer = shelf.json(&address(query)).await;
    let names: Vec<&str> = answer["columns"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["b", "h", "id", "id_2"]);
    assert!(answer["rows"][0]["b"].as_str().unwrap().ends_with(".50"), "{answer}");
    let (status, body) = shelf.problem(&address("select 1 as b, 2 as b")).await;
    assert!(status == 400 && body["detail"].as_str().unwrap().contains("same name"), "{body}");
}

#[tokio::test]
async fn every_format_streams_the_same_rows() {
    let shelf = shelf().await;
    let query = "select id, \"Title\", genres from films.titles order by id";
    let ndjson = shelf.get(&format!("{}&format=ndjson", address(query))).await.text().await.unwrap();
    assert_eq!(ndjson.lines().count(), 250);
    assert_eq!(
        serde_json::from_str::<Value>(ndjson.lines().next().unwrap()).unwrap(),
        json!({"id": 0, "Title": "Film 000, \"the\" best", "genres": ["drama", "comedy"]})
    );
    let csv = shelf.get(&format!("{}&format=csv", address(query))).await;
    assert!(header(&csv, "content-disposition").unwrap().contains("query.csv"));
    assert_eq!(csv.text().await.unwrap().lines().count(), 251);
    let arrow = shelf.get(&format!("{}&format=arrow&limit=7", address(query))).await.bytes().await.unwrap();
    assert_eq!(arrow_rows(&arrow).iter().map(|batch| batch.num_rows()).sum::<usize>(), 7);
    let parquet = shelf.get(&format!("{}&format=parquet", address(query))).await.bytes().await.unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(parquet).unwrap();
    assert_eq!(reader.metadata().file_metadata().num_rows(), 250);
    let posted = post(&shelf, &json!({"query": query, "format": "ndjson", "snapshots": {"films": 1}})).await;
    assert_eq!(header(&posted, "cache-control").as_deref(), Some("no-store"));
    assert_eq!(posted.text().await.unwrap(), ndjson);
}

#[tokio::test]
async fn json_says_when_there_are_more_rows_than_it_shows() {
    let shelf = shelf().await;
    let answer = shelf.json(&format!("{}&limit=3", address("select id from films.titles order by id"))).await;
    assert_eq!(answer["rows"], json!([{"id": 0}, {"id": 1}, {"id": 2}]));
    assert_eq!((&answer["complete"], &answer["row_count"]), (&json!(false), &Value::Null));
    let answer = shelf.json(&address("select a.id from films.titles a cross join films.titles b")).await;
    assert_eq!(answer["rows"].as_array().unwrap().len(), 10_000);
    assert_eq!((&answer["complete"], &answer["limit"]), (&json!(false), &json!(10_000)));
}

#[tokio::test]
async fn an_answer_is_known_by_its_tag_before_anything_is_computed() {
    let shelf = shelf().await;
    let query = address("select count(*) from films.titles");
    let tag = header(&shelf.get(&query).await, "etag").unwrap();
    let known = shelf.get_with(&query, &[("if-none-match", &tag)]).await;
    assert_eq!(known.status(), 304);
    assert_eq!(header(&known, "openshelf-snapshot").as_deref(), Some("1"));
    // The same query spelled otherwise is the same answer.
    let spelled = address("SELECT  count(*)\nFROM films.titles -- all of them");
    assert_eq!(header(&shelf.get(&spelled).await, "etag").unwrap(), tag);
    assert_ne!(header(&shelf.get(&format!("{query}&format=csv")).await, "etag").unwrap(), tag);
    // A query that would fail is not even begun when the client has its answer.
    let failing = address("select 1/(id-id) from films.titles");
    assert_eq!(shelf.get(&failing).await.status(), 400);
    assert_eq!(shelf.get_with(&failing, &[("if-none-match", "*")]).await.status(), 304);
    TestSnapshot::new("films", vec![films()]).at(now()).publish(&shelf.store).await;
    assert_eq!(shelf.get_with(&query, &[("if-none-match", &tag)]).await.status(), 200);
}

#[tokio::test]
async fn snapshots_are_pinned_for_each_dataset() {
    let shelf = shelf().await;
    let one = TestTable::new("titles", &[("id", "int64")]).file(&[json!({"id": 7})]);
    TestSnapshot::new("films", vec![one]).at(now()).publish(&shelf.store).await;
    let query = address("select count(*) n from films.titles");
    let answer = shelf.json(&query).await;
    assert_eq!((&answer["rows"], &answer["snapshots"]), (&json!([{"n": 1}]), &json!({"films": 2})));
    let pinned = shelf.get(&format!("{query}&snapshots=films%3D1")).await;
    assert_eq!(header(&pinned, "cache-control").as_deref(), Some("public, max-age=31536000, immutable"));
    assert_eq!(value(pinned).await["rows"], json!([{"n": 250}]));
    let both = address("select count(*) n from films.titles, geo_names.places");
    let half = shelf.get(&format!("{both}&snapshots=films%3D1")).await;
    assert_eq!(header(&half, "cache-control").as_deref(), Some("public, max-age=0, s-maxage=30, must-revalidate"));
    assert_eq!(shelf.problem(&format!("{query}&snapshots=geo-names%3D1")).await.0, 400);
    assert_eq!(shelf.problem(&format!("{query}&snapshots=films%3D9")).await.0, 404);
}

#[tokio::test]
async fn faults_point_at_the_place_and_say_what_would_work() {
    let shelf = shelf().await;
    let cases = [
        ("select titel from films.titles", "character 8", "did you mean `Title`?"),
        ("select id from films.titels", "character 16", "did you mean `titles`?"),
        ("select id from film.titles", "character 16", "did you mean `films`?"),
        ("select id from titles", "character 16", "write `dataset.table`"),
        ("select lowr(\"Title\") from films.titles", "character 8", "did you mean `lower`?"),
        ("select id from films.titles where year = ", "character", ""),
        ("drop table films.titles", "character 1", "only SELECT"),
        ("select 1; select 2", "character 11", "one SELECT at a time"),
        ("select * from generate_series(1, 10)", "character 15", "table functions"),
        ("with recursive r as (select 1) select * from r", "", "RECURSIVE"),
        ("select id from films.titles a join films.titles b on a.id = b.id", "character 8", "several tables"),
        ("select repeat('a', 10)", "character 8", "no function `repeat`"),
        ("select now()", "character 8", "no function `now`"),
        ("explain select 1", "character 1", "only SELECT"),
        ("", "", "empty"),
    ];
    for (query, place, text) in cases {
        let (status, body) = shelf.problem(&address(query)).await;
        let detail = body["detail"].as_str().unwrap();
        assert_eq!(status, 400, "{query}: {detail}");
        assert!(detail.contains(place) && detail.contains(text), "{query}: {detail}");
    }
    let (_, body) = shelf.problem(&address("select titel from films.titles limit 1")).await;
    let hint = body["hint"].as_str().unwrap().to_owned();
    assert_eq!(shelf.get(&hint).await.status(), 200, "{hint}");
    let (_, body) = shelf.problem(&address("select id from films.titels limit 1")).await;
    let hint = body["hint"].as_str().unwrap().to_owned();
    assert_eq!(shelf.get(&hint).await.status(), 200, "{hint}");
    assert_eq!(shelf.problem("/v1/sql").await.0, 400);
    assert_eq!(shelf.problem(&format!("{}&limit=20000", address("select 1"))).await.0, 400);
    assert_eq!(shelf.problem(&format!("{}&fromat=csv", address("select 1"))).await.0, 400);
}

#[tokio::test]
async fn licenses_are_kept_and_personal_data_is_not_shown() {
    let shelf = TestShelf::builder()
        .publish("films", films())
        .snapshot(TestSnapshot::new("mine", vec![places()]).class(Redistribution::Personal))
        .settings(|settings| settings.trusted_proxies = vec!["127.0.0.9".parse().unwrap()])
        .serve()
        .await;
    let (status, body) = shelf.problem(&address("select f.id from films.titles f, mine.places")).await;
    assert_eq!(status, 451);
    assert!(body["hint"].as_str().unwrap().contains("openshelf ingest mine"), "{body}");
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_read_and_reads_next_to_nothing() {
    let shelf = shelf().await;
    let query = "select year, count(*) from films.titles where id > 200 group by year";
    let answer = shelf.json(&format!("{}&dry_run=1", address(query))).await;
    assert_eq!(answer["dry_run"], true);
    assert_eq!(answer["scans"][0]["files"], 1, "{answer}");
    assert_eq!(answer["scans"][0]["files_in_table"], 2);
    assert_eq!(answer["scans"][0]["columns"], json!(["id", "year"]));
    assert!(answer["bytes"].as_u64().unwrap() > 0);
    assert!(answer["plan"].as_str().unwrap().contains("AggregateExec"));
    assert_eq!(answer["caps"]["seconds"], 10.0);
    assert_eq!(answer["fits"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_queries_are_stopped_and_others_are_answered_meanwhile() {
    let shelf = TestShelf::builder()
        .publish("films", films())
        .settings(|settings| {
            settings.sql.anonymous.time = Duration::from_secs(2);
            settings.sql.running = 2;
            settings.sql.waiting = 1;
        })
        .serve()
        .await;
    let heavy = "select count(*) from films.titles a, films.titles b, films.titles c, films.titles d \
                 where a.id + b.id + c.id + d.id = -1";
    let (status, body) = shelf.problem(&address(heavy)).await;
    assert_eq!(status, 422, "{body}");
    assert!(body["detail"].as_str().unwrap().contains("after 2 s"), "{body}");
    assert!(body["hint"].as_str().unwrap().contains("/v1/extracts"), "{body}");

    // Two run, one waits for longer than it may, and the fourth is turned away at once.
    let ask = || problem_of(&shelf, heavy);
    let begun = Instant::now();
    let quick = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let begun = Instant::now();
        let answer = shelf.get("/v1/datasets/films/tables/titles/rows?limit=1").await;
        assert_eq!(answer.status(), 200);
        begun.elapsed()
    };
    // As soon as the three have their places; on a busy machine that may take its time.
    let late = async {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let response = shelf.get(&address("select 1")).await;
            if response.status() != 200 || begun.elapsed() > Duration::from_secs(4) {
                assert_eq!(header(&response, "retry-after").as_deref(), Some("5"));
                return problem(response).await.0;
            }
        }
    };
    let (one, two, three, quick, late) = tokio::join!(ask(), ask(), ask(), quick, late);
    assert_eq!(late, 503);
    let mut statuses = [one, two, three];
    statuses.sort_unstable();
    assert!(statuses == [422, 422, 422] || statuses == [422, 422, 503], "{statuses:?}");
    assert!(quick < Duration::from_secs(1), "rows took {quick:?} beside heavy queries");
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}

async fn problem_of(shelf: &TestShelf, query: &str) -> u16 {
    problem(shelf.get(&address(query)).await).await.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_whose_client_is_gone_makes_room_for_the_next_at_once() {
    let shelf =
        TestShelf::builder().publish("films", films()).settings(|settings| settings.sql.running = 1).serve().await;
    let heavy = "select count(*) from films.titles a, films.titles b, films.titles c, films.titles d \
                 where a.id * b.id * c.id * d.id = -1";
    // The server stops when nobody waits: the next query, which waits for its turn, is answered long before the 10 s. Tests
    // run beside each other, so the best of a few tries counts.
    let mut stopped = Duration::MAX;
    for _ in 0..5 {
        let gone = tokio::time::timeout(Duration::from_millis(400), shelf.get(&address(heavy))).await;
        assert!(gone.is_err(), "it is heavy");
        let begun = Instant::now();
        let answer = shelf.json(&address("select 1 as one")).await;
        assert_eq!(answer["rows"], json!([{"one": 1}]));
        stopped = stopped.min(begun.elapsed());
        if stopped < Duration::from_millis(200) {
            return;
        }
    }
    panic!("it ran on for {stopped:?}");
}

#[tokio::test]
async fn head_and_post_are_as_everywhere() {
    let shelf = shelf().await;
    let query = address("select id from films.titles");
    let head = shelf.send(Method::HEAD, &query, &[]).await;
    assert_eq!(head.status(), 200);
    assert_eq!(header(&head, "etag"), header(&shelf.get(&query).await, "etag"));
    let faulty = post(&shelf, &json!({"query": ["a"]})).await;
    assert_eq!(problem(faulty).await.0, 400);
}

#[tokio::test]
async fn lists_know_nulls_and_columns_wherever_they_are_joined() {
    let numbers = TestTable::new("n", &[("k", "int64"), ("x", "int64"), ("y", "int64")]).file(&[
        json!({"k": 1, "x": 1, "y": 2}),
        json!({"k": 2, "x": null, "y": 1}),
        json!({"k": 3, "x": 3, "y": 3}),
    ]);
    let shelf = TestShelf::builder().publish("num", numbers).serve().await;
    // As DuckDB and PostgreSQL have it.
    for (expression, expected) in [
        ("x in (1) and x not in (2, null)", [None, None, Some(false)]),
        ("x in (1, 5, 6, 7) and x not in (2, 8, 9, null)", [None, None, Some(false)]),
        ("x in (1, 2, 4, 5) and x in (3, 6, 7, 8)", [Some(false), None, Some(false)]),
        ("x not in (1, 2, 4, 5) or x not in (3, 6, 7, 8)", [Some(true), None, Some(true)]),
        ("not (x in (1, 2, 4, 5) and x in (3, 6, 7, 8))", [Some(true), None, Some(true)]),
        ("(x = 1 or x = 2 or x = 4 or x = 5) and (x = 3 or x = 6 or x = 7 or x = 8)", [Some(false), None, Some(false)]),
        ("x in (y, 7, 8, 9) and x in (3, 10, 11, 12)", [Some(false), None, Some(true)]),
        ("x in (y, 7, 8, 9) and x in (y + 0, 10, 11, 12)", [Some(false), None, Some(true)]),
        ("x not in (1, cast(null as bigint), 9, 8)", [Some(false), None, None]),
        ("x in (1, nullif(1, 1), 9, 8) and x not in (7, 6, 5, 4)", [Some(true), None, None]),
    ] {
        let found = rows(&shelf, &format!("select {expression} as c from num.n order by k")).await;
        assert_eq!(found, json!(expected.map(|c| json!({"c": c}))), "{expression}");
        let found = rows(&shelf, &format!("select k from num.n where {expression} order by k")).await;
        let chosen: Vec<Value> =
            (1..).zip(expected).filter(|(_, c)| *c == Some(true)).map(|(k, _)| json!({"k": k})).collect();
        assert_eq!(found, json!(chosen), "{expression}");
    }
    let hidden = "select k from (select k, x, cast(null as bigint) as z from num.n) where x in (1, 2, 4, 5) and x not in (9, 8, 7, z)";
    assert_eq!(rows(&shelf, hidden).await, json!([]));
}

#[tokio::test]
async fn there_is_one_zero_and_one_nan_above_all_numbers() {
    let numbers = TestTable::new("n", &[("k", "int64"), ("x", "float64")]).file(&[
        json!({"k": 1, "x": -0.0}),
        json!({"k": 2, "x": 0.0}),
        json!({"k": 3, "x": 1.5}),
        json!({"k": 4, "x": null}),
    ]);
    let shelf = TestShelf::builder().publish("num", numbers).serve().await;
    for (query, expected) in [
        ("select count(*) n from num.n where x = 0", 2),
        ("select count(*) n from num.n where x = -0.0", 2),
        ("select count(*) n from num.n where x in (0.0)", 2),
        ("select count(*) n from num.n where x < 0 or x > 0", 1),
        ("select count(*) n from num.n where x * -1 = 0", 2),
        ("select count(*) n from num.n where round(x * -0.1) = 0", 3),
        ("select count(distinct x) n from num.n", 2),
        ("select count(distinct -x) n from num.n", 2),
        ("select count(*) n from (select x from num.n group by x)", 3),
        ("select count(*) n from (select distinct cast(x as real) from num.n)", 3),
        ("select count(*) n from num.n a join num.n b on a.x = -b.x", 4),
        ("select count(*) n from num.n where nullif(x, -0.0) is null", 3),
        ("select count(*) n from num.n where x / x = 'NaN'::double", 2),
        ("select count(*) n from num.n where x / x > 1e300", 2),
        ("select count(*) n from num.n where -(x / x) > 1e300", 2),
        ("select count(*) n from num.n where ln(x) < -1e300", 2),
        ("select count(*) n from num.n where cast('-0' as double) = x", 2),
        ("select count(*) n from (select x * -1 as z, count(*) from num.n where x = 0 group by z)", 1),
        ("select count(distinct v) n from (select unnest(make_array(x, -x, 0.0 * -1)) v from num.n where x = 0)", 1),
        ("select count(*) n from (select 1 union select 2) where -0.0 = 0.0", 2),
    ] {
        assert_eq!(rows(&shelf, query).await, json!([{"n": expected}]), "{query}");
    }
    let ordered = rows(&shelf, "select k from num.n order by x / x, k").await;
    assert_eq!(ordered, json!([{"k": 3}, {"k": 1}, {"k": 2}, {"k": 4}]));
    let names = shelf.json(&address("select x * 2, -x, avg(x + 1) over () from num.n")).await;
    let names: Vec<&str> = names["columns"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(names[..2], ["num.n.x * Int64(2)", "(- num.n.x)"]);
}

#[tokio::test]
async fn what_does_not_fit_is_an_error_that_says_how_it_would() {
    let numbers = TestTable::new("n", &[("k", "int64"), ("i", "int32"), ("d", "decimal(38,0)")]).file(&[
        json!({"k": 9_223_372_036_854_775_807_i64, "i": 2_147_483_647, "d": "99999999999999999999999999999999999999"}),
        json!({"k": 9_223_372_036_854_775_807_i64, "i": 2_147_483_647, "d": "99999999999999999999999999999999999999"}),
        json!({"k": -9_223_372_036_854_775_808_i64, "i": -5, "d": "1"}),
        json!({"k": -1, "i": 0, "d": "0"}),
    ]);
    let shelf = TestShelf::builder().publish("num", numbers).serve().await;
    for expression in [
        "k + 1",
        "k - 10",
        "k * 2",
        "i * i",
        "i + i",
        "-k",
        "abs(k)",
        "sum(k) filter (where k > 0)",
        "sum(distinct k + 1)",
        "sum(d)",
        "avg(d)",
        "sum(k) over (order by i rows between 1 preceding and current row)",
        "9223372036854775807 + 1",
        "sum(k + 1)",
        "sum(k) over (partition by i > 5)",
        "cast(cast(k as double) * 10 as bigint)",
        "count(*) * 9223372036854775807",
        "k * k * k",
    ] {
        let answer = shelf.get(&address(&format!("select {expression} from num.n"))).await;
        assert_ne!(answer.status(), 200, "{expression}: {}", answer.text().await.unwrap());
        let (status, body) = problem(answer).await;
        assert!(status == 422 || status == 400, "{expression}: {status} {body}");
        let detail = body["detail"].as_str().unwrap();
        let ours = detail.contains("does not fit") && detail.contains("cast");
        assert!(ours || expression.starts_with("abs") || expression.starts_with("cast(cast"), "{expression}: {detail}");
    }
    for (address, said) in [
        (format!("/v1/datasets/num/tables/n/rows?where={}", encoded("k * 2 > 0")), "* 2 does not fit into bigint"),
        (address("select k from num.n where k * 2 > 0"), "* 2 does not fit into bigint"),
        (address("select k from num.n where sqrt(i) > 0"), "cannot take square root of a negative number"),
        (address("select k from num.n where 1 / (k - k) > 0"), "ivide by zero"),
        (address("select k from num.n where cast(concat('a', i) as int) > 0"), "a2147483647"),
    ] {
        let (status, body) = shelf.problem(&address).await;
        let detail = body["detail"].as_str().unwrap();
        assert!(status == 400 && detail.contains(said) && !detail.contains("Error("), "{address}: {status} {detail}");
    }
    for (expression, expected) in [
        ("sum(cast(k as decimal(38, 0))) filter (where k > 0)", json!("18446744073709551614")),
        // It fits in the end, and on the way it does not matter.
        ("sum(k)", json!("9223372036854775805")),
        ("sum(cast(k as double)) > 9e18", json!(true)),
        ("sum(i)", json!(4_294_967_289_i64)),
        ("sum(cast(i as bigint) * i) > 0", json!(true)),
        ("sum(k) filter (where k < -1) < 0", json!(true)),
        ("sum(k / 4) > 0", json!(true)),
        ("sum(distinct k)", json!(-2)),
        ("sum(cast(d as double)) > 1e38", json!(true)),
        ("sum(d) filter (where d = 1)", json!("1")),
        ("max(k) is not null", json!(true)),
    ] {
        let found = rows(&shelf, &format!("select {expression} as v from num.n")).await;
        assert_eq!(found, json!([{"v": expected}]), "{expression}");
    }
    let moving =
        rows(&shelf, "select sum(i) over (order by i rows between unbounded preceding and current row) s from num.n")
            .await;
    assert_eq!(moving[3]["s"], 4_294_967_289_i64);
}

#[tokio::test]
async fn faults_of_a_beginner_are_told_the_query_that_was_meant() {
    let shelf = shelf().await;
    for (query, said, meant) in [
        ("select id from titles", "did you mean `films.titles`?", Some("select id from films.titles")),
        ("select t.id from Titles t", "did you mean `films.titles`?", Some("select t.id from films.Titles t")),
        ("selec id from films.titles", "did you mean `select`?", Some("select id from films.titles")),
        ("select id from nothing", "`/v1/datasets` lists what there is", None),
        (
            "select Title, count(*) from films.titles group by id",
            "is neither in GROUP BY nor in an aggregate, such as `max(films.titles.Title)`",
            None,
        ),
        ("select now()", "write the day itself", None),
        ("select id from films.titles where id is distinct from 1 and id = 2", "goes in parentheses", None),
        ("select id from films.titles where id = 'x'", "'x' cannot be read as int64; it takes a whole number", None),
    ] {
        let (status, told) = shelf.problem(&address(query)).await;
        assert_eq!(status, 400, "{query}");
        assert!(told["detail"].as_str().unwrap().contains(said), "{query}: {told}");
        let hint = told["hint"].as_str().unwrap();
        match meant {
            Some(meant) => {
                assert_eq!(hint, format!("/v1/sql?query={}", meant.replace(' ', "+")));
                assert_eq!(shelf.get(hint).await.status(), 200, "{hint}");
            }
            None => assert_eq!(hint, "/docs#sql", "{query}"),
        }
    }
}

#[tokio::test]
async fn nothing_grows_without_bound_before_it_is_computed() {
    let shelf = shelf().await;
    let begun = Instant::now();
    for (open, close) in [
        ("coalesce(1.0 * ", ", 1)"),
        ("nvl(1 + ", ", 1)"),
        ("nvl2(", ", 1, 2)"),
        ("nullif(1 + ", ", 1)"),
        ("cast(", " between 0 and 5 as int)"),
        ("cast(floor(", ") = 5 as int)"),
    ] {
        let nested = |times: usize| format!("{}id{}", open.repeat(times), close.repeat(times));
        for times in [3, 20, 23] {
            let expression = nested(times);
            let rows = format!(
                "/v1/datasets/films/tables/titles/rows?limit=1&where={}",
                encoded(&format!("{expression} > 0"))
            );
            for path in [rows, address(&format!("select {expression} from films.titles"))] {
                let answer = shelf.get(&path).await;
                let status = answer.status().as_u16();
                assert!(
                    status == if times == 3 { 200 } else { 400 },
                    "{times} {open}: {status} {}",
                    answer.text().await.unwrap()
                );
            }
        }
    }
    // A condition that sinks through subqueries.
    for columns in ["x + x as x", "abs(x) * x as x", "x + x + x as x"] {
        let mut from = "(select id as x from films.titles)".to_owned();
        for _ in 0..22 {
            from = format!("(select {columns} from {from})");
        }
        let answer = shelf.get(&address(&format!("select count(*) from {from} where x > 5"))).await;
        let status = answer.status().as_u16();
        assert!(status == 400 || status == 200, "{columns}: {status} {}", answer.text().await.unwrap());
    }
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}
