//! An ingest killed at any moment: the old snapshot stays served, and the next run finishes the job.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    origin::{Behavior, Origin},
    shop::Shop,
};

const PARTS: usize = 3;
const ROWS: usize = 3000;

fn body(part: usize, version: usize) -> Vec<u8> {
    // Big enough that a download has bytes on disk long before it ends.
    let filling = "x".repeat(300);
    let mut text = String::from("id,part,version,filling\n");
    for row in 0..ROWS {
        text.push_str(&format!("{},{part},{version},{filling}\n", part * ROWS + row));
    }
    text.into_bytes()
}

/// Puts a version upstream: slowly, so that there is time to be killed in, or as fast as can be.
fn put(origin: &Origin, version: usize, slowly: bool) {
    for part in 0..PARTS {
        let body = body(part, version);
        let pieces = body.len() / 8;
        let file = Behavior::file(body);
        origin.put_with(
            &format!("/{part}.csv"),
            if slowly { file.drip(pieces, Duration::from_millis(25)) } else { file },
        );
    }
}

fn define(origin: &Origin, shop: &Shop) {
    let text = format!(
        "[[table]]\nname = \"t\"\nsource = {{ url = \"{}\", each = {{ part = {{ from = 0, to = {} }} }} }}\nformat = {{ type = \"csv\" }}\nprimary_key = [\"id\"]\ncolumn = [{{ name = \"id\", type = \"int64\" }}, {{ name = \"part\", type = \"int32\" }}, {{ name = \"version\", type = \"int32\" }}]\n",
        origin.url("/{part}.csv"),
        PARTS - 1
    );
    shop.define("f", &text);
}

#[test]
fn killed_at_many_moments() {
    let (origin, shop) = (Origin::start(), Shop::new());
    define(&origin, &shop);
    put(&origin, 0, true);
    let began = Instant::now();
    shop.ingest("f").published_whole();
    let whole = began.elapsed();
    let server = shop.serve();
    let served = |version: usize| {
        let rows = server.rows("f", "t");
        assert_eq!(rows.len(), PARTS * ROWS);
        assert!(rows.iter().all(|row| row["version"] == version), "rows of two versions, or not version {version}");
    };
    served(0);

    let moments = 12;
    let (mut killed, mut resumed) = (0, 0);
    for moment in 1..=moments {
        let version = moment as usize;
        put(&origin, version, true);
        let snapshot = server.snapshot("f");
        let run = shop.start(&["ingest", "f", "--json"]);
        // From just after the start to just about the end.
        std::thread::sleep(whole * moment / (moments + 1));
        let at_work = run.kill();
        let now = server.snapshot("f");
        if at_work && now == snapshot {
            killed += 1;
            served(version - 1);
        } else {
            assert_eq!(now, snapshot + 1);
            served(version);
        }
        put(&origin, version, false);
        origin.forget_requests();
        let ran = shop.ingest("f");
        assert_eq!(ran.code, Some(0), "{ran}");
        served(version);
        assert_eq!(server.snapshot("f"), snapshot + 1, "one version of upstream is one snapshot");
        resumed += origin.requests().iter().filter(|request| request.status == 206).count();
        shop.ingest("f").unchanged();
    }
    // How many depends on how busy the machine was when the whole run was timed.
    assert!(killed >= moments / 4, "only {killed} of {moments} runs were killed at work");
    assert!(resumed >= 1, "no download was resumed");
}

/// Bytes of all files in a folder.
fn bytes_below(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries
        .map(|entry| match entry.metadata() {
            Ok(about) if about.is_dir() => bytes_below(&entry.path()),
            Ok(about) => about.len(),
            // It may be gone by now.
            Err(_) => 0,
        })
        .sum()
}

#[test]
fn a_killed_download_goes_on_where_it_ended() {
    let (origin, shop) = (Origin::start(), Shop::new());
    let mut text = String::from("id,noise\n");
    for at in 0..40_000_u64 {
        text.push_str(&format!("{at},{:x}\n", at.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
    }
    let total = text.len();
    origin.put_with("/big.csv", Behavior::file(text.clone()).drip(total / 20, Duration::from_millis(100)));
    shop.define("f", &crate::shop::table("t", &origin.url("/big.csv"), "{ type = \"csv\" }"));
    let run = shop.start(&["ingest", "f", "--json"]);
    // Killed by what it has written, not by the clock.
    let deadline = Instant::now() + Duration::from_secs(60);
    while bytes_below(&shop.path("scratch/downloads")) < total as u64 / 4 {
        assert!(Instant::now() < deadline, "nothing was written");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(run.kill(), "it had ended already");
    origin.put("/big.csv", text);
    origin.forget_requests();
    let record = shop.ingest("f").published_whole();
    let requests = origin.requests_to("/big.csv");
    let range =
        requests.iter().find(|request| request.status == 206).unwrap_or_else(|| panic!("not resumed: {requests:?}"));
    assert!(range.header("range").is_some() && range.header("if-range").is_some(), "{range:?}");
    let fetched = record["fetched_bytes"].as_u64().unwrap() as usize;
    assert!(fetched < total, "all {total} bytes were fetched again");
    let rows = shop.rows("f", "t");
    assert_eq!(rows.len(), 40_000);
    assert!(rows.iter().enumerate().all(|(at, row)| row["id"] == at));

    // Upstream changed meanwhile: two versions are never glued together.
    origin.put_with(
        "/big.csv",
        Behavior::file("id,noise\n".to_owned() + &"7,seven\n".repeat(200_000))
            .drip(200_000, Duration::from_millis(100)),
    );
    let run = shop.start(&["ingest", "f", "--json"]);
    std::thread::sleep(Duration::from_millis(600));
    run.kill();
    origin.put("/big.csv", "id,noise\n1,one\n");
    shop.ingest("f").published_whole();
    assert_eq!(shop.rows("f", "t").len(), 1);
}
