//! Fetching against a real origin: what comes is whole and right, or it is named as what is wrong.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use openshelf::{
    catalog::Blame,
    config::IngestSettings,
    ingest::{
        Failure,
        definition::grammar::ChecksumKind,
        fetch::{Fetched, FetchedFile, Fetcher, RemoteFile, Validators},
        progress::Progress,
    },
};
use sha2::{Digest, Sha256};

use crate::origin::{Behavior, Origin};

fn settings(scratch: &Path) -> IngestSettings {
    let mut settings = IngestSettings::new(scratch.to_owned());
    settings.allow_private_sources = true;
    settings.fetch.pause = Duration::ZERO;
    settings.fetch.backoff = Duration::from_millis(2);
    settings.fetch.longest_wait = Duration::from_millis(60);
    settings.fetch.read_timeout = Duration::from_secs(5);
    settings
}

fn fetcher(settings: &IngestSettings) -> Fetcher {
    Fetcher::new(settings, Progress::silent()).unwrap()
}

fn remote(url: impl Into<String>) -> RemoteFile {
    RemoteFile { url: url.into(), bytes: None, checksum: None, local: None }
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_760_000_000, 0).unwrap()
}

/// Bytes that compress badly and differ everywhere.
fn noise(bytes: usize) -> Vec<u8> {
    (0..bytes as u64).map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect()
}

async fn fetch(settings: &IngestSettings, file: &RemoteFile) -> Result<Fetched, Failure> {
    fetcher(settings).fetch(file, None, now()).await
}

async fn file(settings: &IngestSettings, url: String) -> FetchedFile {
    match fetch(settings, &remote(url)).await.unwrap() {
        Fetched::File(file) => file,
        other => panic!("no file: {other:?}"),
    }
}

async fn refused(settings: &IngestSettings, file: &RemoteFile) -> Failure {
    match fetch(settings, file).await {
        Err(failure) => failure,
        Ok(fetched) => panic!("let through: {fetched:?}"),
    }
}

#[track_caller]
fn assert_says(failure: &Failure, blame: Blame, words: &[&str]) {
    assert_eq!(failure.blame, blame, "{failure}");
    for word in words {
        assert!(failure.message.contains(word), "`{word}` is missing from: {failure}");
    }
}

#[tokio::test]
async fn a_file_comes_whole_with_its_validators_and_is_asked_for_conditionally_afterwards() {
    let (origin, scratch) = (Origin::start(), tempfile::tempdir().unwrap());
    let settings = settings(scratch.path());
    let body = noise(300_000);
    origin.put("/a.bin", body.clone());
    let fetcher = fetcher(&settings);
    let Fetched::File(first) = fetcher.fetch(&remote(origin.url("/a.bin")), None, now()).await.unwrap() else {
        panic!("no file");
    };
    assert_eq!(std::fs::read(&first.path).unwrap(), body);
    assert_eq!((first.bytes, first.sha256.clone()), (300_000, hex::encode(Sha256::digest(&body))));
    assert_eq!(fetcher.fetched_bytes(), 300_000);
    let request = origin.requests_to("/a.bin").remove(0);
    assert!(request.header("user-agent").unwrap().starts_with("openshelf/"));
    assert_eq!(request.header("accept-encoding"), Some("identity"));

    let known = Validators { etag: first.etag.clone(), last_modified: first.last_modified.clone() };
    first.discard();
    let again = fetcher.fetch(&remote(origin.url("/a.bin")), Some(&known), now()).await.unwrap();
    assert!(matches!(again, Fetched::NotModified), "{again:?}");
    assert_eq!(origin.statuses("/a.bin"), [200, 304]);
    assert_eq!(origin.count("/robots.txt"), 1, "once per run and host");

    origin.put("/a.bin", "another version");
    let changed = fetcher.fetch(&remote(origin.url("/a.bin")), Some(&known), now()).await.unwrap();
    assert!(matches!(changed, Fetched::File(file) if file.bytes == 15));
}

#[tokio::test]
async fn without_an_etag_the_date_is_asked_for_and_a_deaf_server_is_understood() {
    let (origin, scratch) = (Origin::start(), tempfile::tempdir().unwrap());
    let settings = settings(scratch.path());
    origin.put_with("/dated", Behavior::file("a").no_etag());
    origin.put_with("/deaf", Behavior::file("a").unconditional());
    for path in ["/dated", "/deaf"] {
        let first = file(&settings, origin.url(path)).await;
        let known = Validators { etag: first.etag.clone(), last_modified: first.last_modified.clone() };
        first.discard();
        let again = fetcher(&settings).fetch(&remote(origin.url(path)), Some(&known), now()).await.unwrap();
        assert!(matches!(again, Fetched::NotModified), "{path}: {again:?}");
    }
    assert_eq!(origin.statuses("/dated"), [200, 304]);
}

#[tokio::test]
async fn a_cut_body_is_continued_where_it_broke_off() {
    let (origin, scratch) = (Origin::start(), tempfile::tempdir().unwrap());
    let settings = settings(scratch.path());
    let body = noise(1_000_000);
    origin.put_with("/a.bin", Behavior::file(body.clone()).cut(400_000, 1).fail(503, 1).cut(300_000, 1));
    let fetched = file(&settings, origin.url("/a.bin")).await;
    assert_eq!(std::fs::read(&fetched.path).unwrap(), body);
    assert_eq!(fetched.sha256, hex::encode(Sha256::digest(&body)));
    assert_eq!(origin.statuses("/a.bin"), [200, 503, 206, 206]);
    let last = origin.requests_to("/a.bin").pop().unwrap();
    assert_eq!(last.header("range"), Some("bytes=700000-"));
    assert_eq!(last.header("if-range"), fetched.etag.as_deref());
}

#[tokio::test]
async fn a_body_without_length_that_is_cut_is_not_taken_for_whole() {
    let (origin, scratch) = (Origin::start(), tempfile::tempdir().unwrap());
    let settings = settings(scratch.path());
    let body = noise(200_000);
    origin.put_with("/a.bin", Behavior::file(body.clone()).chunked().cut(1000, 2));
    let fetched = file(&settings, origin.url("/a.bin")).await;
    assert_eq!(std::fs::read(&fetched.path).unwrap(), body);
    assert_eq!(origin.statuses("/a.bin"), [200, 206, 206]);
}

#[tokio::test]
async fn two_versions_are_never_glued_together() {
    let (origin, scratch) = (Origin::start(), tempfile::tempdir().unwrap());
    let settings = settings(scratch.path());
    let (old, new) = (noise(100_000), vec![7; 90_000]);
    // A strong ETag, a Last-Modified alone, a weak ETag, nothing at all, a server that ignores ranges.
    let ways: [fn(Behavior) -> Behavior; 5] =
        [|b| b, Behavior::no_etag, |b| b.etag("W/\"same\""), Behavior::no_validators, Behavior::no_ranges];
    for (i, way) in ways.into_iter().enumerate() {
        let path = format!("/{i}.bin");
        let later = way(Behavior::file(new.clone()));
        origin.put_with(&path, way(Behavior::file(old.clone())).cut(60_000, 1).then(later));
        let fetched = file(&settings, origin.url(&path)).await;
        assert!(std::fs::read(&fetched.path).unwrap() == new, "way {i} glued two versions");
        assert_eq!(origin.statuses(&path), [200, 200]);
    }
    assert!(origin.requests_to("/2.bin").iter().all(|request| request.header("range").is_none()), "weak");
}

#[tokio::test]
async fn a_server_that_ignores_if_range_is_found_out_by_its_etag() {
    let (origin, scratch) = (Origin::start(), tempfile::tempdir().unwrap());
    let settings = settings(scratch.path());
    let (old, new) = (noise(100_000), vec![7; 100_000]);
    let later = Behavior::file(new.clone()).ignore_if_range();
    origin.put_with("/a.bin", Behavior::file(old).cut(60_000, 1).then(later));
    let fetched = file(&settings, origin.url("/a.bin")).await;
    assert!(std::fs::read(&fetched.path).unwrap() == new);
    assert_eq!(origin.statuses("/a.bin"), [200, 206, 200]);
}

#[tokio::test]
async fn a_killed_download_is_continued_by_the_next_run() {
    let (origin, scratch) = (Origin::start(), tempfile::tempdir().unwrap());
    let settings = settings(scratch.path());
    let body = noise(1_000_000);
    origin.put_with("/a.bin", Behavior::file(body.clone()).drip(300_000, Duration::from_millis(300)));
    let asked = remote(origin.url("/a.bin"));
    let begun = async {
        let there =
            |entry: std::io::Result<std::fs::DirEntry>| entry.is_ok_and(|e| e.metadata().is_ok_and(|m| m.len() > 1000));
        while !std::fs::read_dir(scratch.path().join("downloads")).is_ok_and(|entries| entries.into_iter().any(there)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        fetched = fetch(&settings, &asked) => panic!("it should not have been done yet: {fetched:?}"),
        () = begun => {}
    }
    // What was being written when it was killed is let go of.
    tokio::time::sleep(Duration::from_millis(100)).await;
    origin.put("/a.bin", body.clone());
    let fetched = file(&settings, origin.url("/a.bin")).await;
    assert!(std::fs::read(&fetched.path).unwrap() == body);
    assert_eq!(fetched.sha256, hex::encode(Sha256::digest(&body)));
    assert_eq!(origin.statuses("/a.bin"), [200, 206]);

    // Killed after the download: the file is there already, and one conditional request says that it still holds.
    drop(fetched);
    let again = file(&settings, origin.url("/a.bin")).await;
    assert!(std::fs::read(&again.path).unwrap() == body);
    assert_eq!(origin.statuses("/a.bin"), [200, 206, 304]);

    // Damaged meanwhile: fetched anew.
    let path = again.path.clone();
    drop(again);
    std::fs::write(&path, vec![0; body.len()]).unwrap();
    let mended = file(&settings, origin.url("/a.bin")).await;
    assert!(std::fs::read(&mended.path).unwrap() == body);
    assert_eq!(origin.statuses("/a.bin"), [200, 206, 304, 304, 200]);
    mended.discard();
    assert!(!path.exists());
}

#[tokio::test]
async fn two_runs_that_want_one_file_do_not_disturb_each_other() {
    let (origin, scratch) = (Origin::start(), tempfile::tempdir().unwrap());
    let settings = settings(scratch.path());
    let body = noise(500_000);
    origin.put_with("/a.bin", Behavior::file(body.clone()).drip(100_000, Duration::from_millis(5)));
    let (one, other) = tokio::join!(file(&settings, origin.url("/a.bin")), file(&settings, origin.url("/a.bin")));
    assert_ne!(one.path, other.path);
    one.discard();
    assert!(std::fs::read(&other.path).unwrap() == body);
}

#[tokio::test]
async fn passing_trouble_is_waited_for() {
    let (origin, scratch) = (Origin::start(), tempfile::tempdir().unwrap());
    let settings = settings(scratch.path());
    origin.put_with("/500", Behavior::file("a").fail(500, 2).fail(502, 1).fail(503, 1));
    assert_eq!(file(&settings, origin.url("/500")).await.bytes, 1);
    assert_eq!(origin.statuses("/500"), [500, 500, 502, 503, 200]);

    origin.put_with("/429", Behavior::file("a").too_many("3600", 2));
    let began = Instant::now();
    assert_eq!(file(&settings, origin.url("/429")).await.bytes, 1);
    assert_eq!(origin.statuses("/429"), [429, 429, 200]);
    let waited = began.elapsed();
    assert!(waited >= Duration::from_millis(120) && waited < Duration::from_secs(5), "capped, not ignored: {waited:?}");

    origin.put_with("/down", Behavior::file("a").fail(500, 99));
    let failure = refused(&settings, &remote(origin.url("/down"))).await;
    assert_says(&failure, Blame::Upstream, &[&origin.url("/down"), "500 Internal Server Error", "5 tries"]);
    assert_eq!(origin.count("/down"), 5);
}

#[tokio::test]
async fn a_server_that_hangs_up_or_is_not_there_is_upstreams_failure() {
    let scratch = tempfile::tempdir().unwrap();
    let settings = settings(scratch.path());
    let gone = Origin::start();
    let url = gone.url("/a.csv");
    drop(gone);
    let failure = refused(&settings, &remote(url.clone())).await;
    assert_says(&failure, Blame::Upstream, &["robots.txt", "tries", "refused"]);
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let (origin, scratch) = (Origin::start(), tempfile::tempdir().unwrap());
    let mut settings = settings(scratch.path());
    settings.fetch.read_timeout = Duration::from_millis(500);
    settings.fetch.attempts = 2;
    origin.put_with("/a.bin", Behavior::file(noise(1000)).drip(100, Duration::from_secs(3)));
    let failure = refused(&settings, &remote(origin.url("/a.bin"))).await;
    assert_says(&failure, Blame::Upstream, &["a.bin", "2 tries"]);
}

#[tokio::test]
async fn what_is_not_there_is_missing_and_what_is_forbidden_fails() {
    let (origin, scratch) = (Origin::start(), tempfile::tempdir().unwrap());
    let settings = settings(scratch.path());
    origin.put_with("/gone", Behavior::status(410));
    origin.put_with("/forbidden", Behavior::status(403));
    for (path, words) in [("/none", "404 Not Found"), ("/gone", "410 Gone")] {
        match fetch(&settings, &remote(origin.url(path))).await.unwrap() {
            Fetched::Missing { reason } => assert!(reason.contains(words) && reason.contains(path), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
    let failure = refused(&settings, &remote(origin.url("/forbidden"))).await;
    assert_says(&failure, Blame::Upstream, &["/forbidden", "403 Forbidden"]);
    assert_eq!(origin.count("/forbidden"), 1, "asking again is no use");
}

#[tokio::test]
async fn a_web_page_in_place_of_data_never_becomes_data() {
    let (origin, scratch) = (Origin::start(), tempfile::tempdir().unwrap());
    let settings = settings(scratch.path());
    origin.put_with("/typed.csv", Behavior::file("id\n1\n").content_type("text/html"));
    origin.put("/begins.csv", "\n<!DOCTYPE html><p>Please log in");
    for path in ["/typed.csv", "/begins.csv"] {
        let failure = refused(&settings, &remote(origin.url(path))).await;
        assert_says(&failure, Blame::Upstream, &[&origin.url(path), "HTML page"]);
    }
    origin.put_with("/page.html", Behavior::html("<html><table></table>"));
    assert_eq!(file(&settings, origin.url("/page.html")).await.bytes, 21);

    // A page that stands in for a while costs nothing of what was there.
    let body = noise(100_000);
    let page = Behavior::html("<html>back soon");
    origin.put_with("/a.bin", Behavior::file(body.clone()).cut(50_000, 1).then(page));
    let failure = refused(&settings, &remote(origin.url("/a.bin"))).await;
    assert_says(&failure, Blame::Upstream, &["HTML page"]);
    origin.put("/a.bin", body.clone());
    assert!(std::fs::read(file(&settings, origin.url("/a.bin")).await.path).unwrap() == body);
    assert_eq!(origin.statuses("/a.bin"), [200, 200, 206]);
}

#[tokio::test]
async fn sizes_and_checksums_are_compared_and_both_values_named() {
    let (origin, scratch) = (Origin::start(), tempfile::tempdir().unwrap());
    let settings = settings(scratch.path());
    origin.put("/a.bin", "abc");
    let url = origin.url("/a.bin");
    let right = [
        (ChecksumKind::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (ChecksumKind::Sha1, "A9993E364706816ABA3E25717850C26C9CD0D89D"),
        (ChecksumKind::Md5, "900150983cd24fb0d6963f7d28e17f72"),
    ];
    for (kind, sum) in right {
        let file = RemoteFile { bytes: Some(3), checksum: Some((kind, sum.into())), ..remote(&url) };
        match fetch(&settings, &file).await.unwrap() {
            Fetched::File(file) => file.discard(),
            other => panic!("{other:?}"),
        }
        let wrong = RemoteFile { checksum: Some((kind, "00".into())), ..file };
        let failure = refused(&settings, &wrong).await;
        assert_says(&failure, Blame::Upstream, &[&url, &sum.to_lowercase(), "says 00"]);
    }
    let failure = refused(&settings, &RemoteFile { bytes: Some(4), ..remote(&url) }).await;
    assert_says(&failure, Blame::Upstream, &["says 4 bytes", "has 3"]);

    // Without Content-Length only the end tells.
    origin.put_with("/chunked", Behavior::file("abc").chunked());
    let failure = refused(&settings, &RemoteFile { bytes: Some(4), ..remote(origin.url("/chunked")) }).await;
    assert_says(&failure, Blame::Upstream, &["3 bytes came", "says 4"]);

    // A length that promises more than comes is a cut body.
    origin.put_with("/long", Behavior::file("abc").declare(10).no_ranges());
    let failure = refused(&settings, &remote(origin.url("/long"))).await;
    assert_says(&failure, Blame::Upstream, &["/long", "5 tries"]);
    let kept = std::fs::read_dir(scratch.path().join("downloads")).unwrap();
    let wrong: Vec<_> = kept
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().extension().is_none() && std::fs::read(entry.path()).unwrap() == b"abc")
        .collect();
    assert!(wrong.len() <= 1, "what was found wrong is kept: {wrong:?}");
}

#[tokio::test]
async fn a_wrong_checksum_after_resuming_is_fetched_once_more_from_the_start() {
    let (origin, scratch) = (Origin::start(), tempfile::tempdir().unwrap());
    let settings = settings(scratch.path());
    let (old, new) = (noise(100_000), vec![7; 100_000]);
    // The server overwrote the file and kept its ETag.
    let etag = "\"never changes\"";
    let later = Behavior::file(new.clone()).etag(etag);
    origin.put_with("/a.bin", Behavior::file(old).etag(etag).cut(60_000, 1).then(later));
    let sum = hex::encode(Sha256::digest(&new));
    let wanted = RemoteFile { checksum: Some((ChecksumKind::Sha256, sum.clone())), ..remote(origin.url("/a.bin")) };
    match fetch(&settings, &wanted).await.unwrap() {
        Fetched::File(file) => assert_eq!(file.sha256, sum),
        other => panic!("{other:?}"),
    }
    assert_eq!(origin.statuses("/a.bin"), [200, 206, 200]);
}

#[tokio::test]
async fn a_content_encoding_is_left_as_published() {
    let (origin, scratch) = (Origin::start(), tempfile::tempdir().unwrap());
    let settings = settings(scratch.path());
    let zipped = zstd::encode_all(&b"id\n1\n"[..], 1).unwrap();
    for encoding in ["gzip", "zstd", "br", "deflate"] {
        let path = format!("/{encoding}");
        origin.put_with(&path, Behavior::file(zipped.clone()).header("content-encoding", encoding));
        assert_eq!(std::fs::read(file(&settings, origin.url(&path)).await.path).unwrap(), zipped);
    }
}

#[tokio::test]
async fn redirects_are_followed_and_checked() {
    let (origin, mirror, scratch) = (Origin::start(), Origin::start(), tempfile::tempdir().unwrap());
    let settings = settings(scratch.path());
    mirror.put("/real.csv", "id\n");
    origin.put_with("/a.csv", Behavior::redirect("b.csv"));
    origin.put_with("/b.csv", Behavior::redirect(mirror.url("/real.csv")));
    assert_eq!(file(&settings, origin.url("/a.csv")).await.bytes, 3);
    assert_eq!(mirror.count("/robots.txt"), 1, "the mirror's rules count too");

    origin.put_with("/loop", Behavior::redirect("/loop"));
    assert_says(&refused(&settings, &remote(origin.url("/loop"))).await, Blame::Upstream, &["more than 10 redirects"]);
    origin.put_with("/file", Behavior::redirect("file:///etc/passwd"));
    assert_says(&refused(&settings, &remote(origin.url("/file"))).await, Blame::Upstream, &["only http and https"]);
    mirror.put("/robots.txt", "User-agent: *\nDisallow: /real");
    assert_says(&refused(&settings, &remote(origin.url("/a.csv"))).await, Blame::Upstream, &["robots.txt", "real.csv"]);
}

#[tokio::test]
async fn robots_txt_is_honored() {
    let scratch = tempfile::tempdir().unwrap();
    let mut settings = settings(scratch.path());
    settings.fetch.attempts = 2;

    let origin = Origin::start();
    origin.put("/robots.txt", "User-agent: *\nDisallow: /\n\nUser-agent: openshelf\nDisallow: /private/\n");
    origin.put("/private/a.csv", "id\n");
    origin.put("/a.csv", "id\n");
    assert_eq!(file(&settings, origin.url("/a.csv")).await.bytes, 3);
    let failure = refused(&settings, &remote(origin.url("/private/a.csv"))).await;
    assert_says(&failure, Blame::Upstream, &["/private/a.csv", "robots.txt"]);
    assert_eq!(origin.count("/private/a.csv"), 0);

    origin.put_with("/robots.txt", Behavior::status(403));
    assert_eq!(file(&settings, origin.url("/private/a.csv")).await.bytes, 3, "4xx means there is none");
    origin.put_with("/robots.txt", Behavior::redirect("/rules"));
    origin.put("/rules", "User-agent: *\nDisallow: /a.csv\n");
    refused(&settings, &remote(origin.url("/a.csv"))).await;

    origin.put_with("/robots.txt", Behavior::file("").fail(503, 9));
    let asked = origin.count("/private/a.csv");
    let failure = refused(&settings, &remote(origin.url("/private/a.csv"))).await;
    assert_says(&failure, Blame::Upstream, &["robots.txt", "503", "nothing is fetched"]);
    assert_eq!(origin.count("/private/a.csv"), asked);
}

#[tokio::test]
async fn a_host_is_asked_slowly() {
    let (origin, scratch) = (Origin::start(), tempfile::tempdir().unwrap());
    let mut settings = settings(scratch.path());
    settings.fetch.pause = Duration::from_millis(40);
    for i in 0..3 {
        origin.put(&format!("/{i}"), "a");
    }
    let fetcher = fetcher(&settings);
    let began = Instant::now();
    let files = [remote(origin.url("/0")), remote(origin.url("/1")), remote(origin.url("/2"))];
    let [a, b, c] = &files;
    let (a, b, c) =
        tokio::join!(fetcher.fetch(a, None, now()), fetcher.fetch(b, None, now()), fetcher.fetch(c, None, now()));
    for fetched in [a, b, c] {
        assert!(matches!(fetched.unwrap(), Fetched::File(_)));
    }
    assert_eq!(origin.requests().len(), 4, "robots.txt and three files");
    assert!(began.elapsed() >= Duration::from_millis(120), "four requests took {:?}", began.elapsed());
}

#[tokio::test]
async fn private_addresses_are_refused_unless_settings_allow_them() {
    let (origin, scratch) = (Origin::start(), tempfile::tempdir().unwrap());
    let mut settings = settings(scratch.path());
    settings.allow_private_sources = false;
    settings.contact = Some("you@example.org".into());
    settings.fetch.attempts = 2;
    origin.put("/a.csv", "id\n");
    let port = origin.url("").rsplit(':').next().unwrap().to_owned();
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "169.254.169.254"] {
        let url = format!("http://{host}:{port}/a.csv");
        let failure = refused(&settings, &remote(&url)).await;
        assert_says(&failure, Blame::Definition, &["OPENSHELF_ALLOW_PRIVATE_SOURCES=1"]);
    }
    assert_eq!(origin.requests().len(), 0);
    let failure = refused(&settings, &remote("file:///etc/hostname")).await;
    assert_says(&failure, Blame::Definition, &["`path`", "OPENSHELF_ALLOW_PRIVATE_SOURCES=1"]);
    let failure = refused(&settings, &remote("ftp://example.org/a.csv")).await;
    assert_says(&failure, Blame::Definition, &["only http and https"]);
}

#[tokio::test]
async fn nobody_crawls_the_network_without_a_name() {
    let scratch = tempfile::tempdir().unwrap();
    let mut settings = settings(scratch.path());
    let failure = refused(&settings, &remote("http://example.invalid/a.csv")).await;
    assert_says(&failure, Blame::Internal, &["set OPENSHELF_CONTACT=you@example.org"]);

    let origin = Origin::start();
    origin.put("/a.csv", "id\n");
    settings.contact = Some("you@example.org".into());
    file(&settings, origin.url("/a.csv")).await;
    let agent = origin.requests_to("/a.csv")[0].header("user-agent").unwrap().to_owned();
    assert_eq!(agent, format!("openshelf/{} (+you@example.org)", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn a_run_has_caps_on_bytes_and_time() {
    let (origin, scratch) = (Origin::start(), tempfile::tempdir().unwrap());
    let mut settings = settings(scratch.path());
    settings.caps.fetch_bytes = 1000;
    origin.put("/long", noise(1001));
    origin.put_with("/unsaid", Behavior::file(noise(100_000)).chunked().drip(500, Duration::from_millis(1)));
    for path in ["/long", "/unsaid"] {
        let failure = refused(&settings, &remote(origin.url(path))).await;
        assert_says(&failure, Blame::Definition, &[path, "1000 bytes", "limits.bytes"]);
    }
    settings.caps.fetch_bytes = u64::MAX;
    settings.caps.run_time = Duration::from_millis(100);
    origin.put_with("/slow", Behavior::file(noise(1000)).drip(10, Duration::from_millis(20)));
    let failure = refused(&settings, &remote(origin.url("/slow"))).await;
    assert_says(&failure, Blame::Definition, &["/slow", "limits.time"]);
}

#[tokio::test]
async fn local_files_are_read_in_place() {
    let scratch = tempfile::tempdir().unwrap();
    let settings = settings(scratch.path());
    let path = scratch.path().join("a.csv");
    std::fs::write(&path, "abc").unwrap();
    let asked = RemoteFile { local: Some(path.clone()), ..remote("a.csv") };
    let Fetched::File(first) = fetch(&settings, &asked).await.unwrap() else { panic!("no file") };
    assert_eq!((first.path.as_path(), first.bytes), (path.as_path(), 3));
    assert_eq!(first.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert!(first.last_modified.as_ref().is_some_and(|text| httpdate::parse_http_date(text).is_ok()));
    let known = Validators { etag: first.etag.clone(), last_modified: first.last_modified.clone() };
    first.discard();
    let again = fetcher(&settings).fetch(&asked, Some(&known), now()).await.unwrap();
    assert!(matches!(again, Fetched::NotModified));

    let url = format!("file://{}", path.display());
    let by_url = fetcher(&settings).fetch(&remote(url), Some(&known), now()).await.unwrap();
    assert!(matches!(by_url, Fetched::NotModified));
    std::fs::write(&path, "abcd").unwrap();
    let changed = fetcher(&settings).fetch(&asked, Some(&known), now()).await.unwrap();
    assert!(matches!(changed, Fetched::File(file) if file.bytes == 4));
    let wrong = RemoteFile { checksum: Some((ChecksumKind::Md5, "00".into())), ..asked };
    assert_says(&refused(&settings, &wrong).await, Blame::Upstream, &["a.csv", "says 00"]);
    let none = RemoteFile { local: Some(scratch.path().join("none")), ..remote("none") };
    assert!(matches!(fetch(&settings, &none).await.unwrap(), Fetched::Missing { .. }));
}

#[test]
fn fetching_can_move_between_threads() {
    fn sends<T: Send>(_: &T) {}
    let scratch = tempfile::tempdir().unwrap();
    let (fetcher, file) = (fetcher(&settings(scratch.path())), remote("http://127.0.0.1/"));
    sends(&fetcher.fetch(&file, None, now()));
    sends(&fetcher.text(""));
}

#[tokio::test]
async fn a_document_is_read_once_per_run() {
    let (origin, scratch) = (Origin::start(), tempfile::tempdir().unwrap());
    let settings = settings(scratch.path());
    origin.put_with("/LATEST", Behavior::file("20260101-001\n").fail(500, 1).cut(3, 1));
    let fetcher = fetcher(&settings);
    for _ in 0..2 {
        assert_eq!(fetcher.text(&origin.url("/LATEST")).await.unwrap().text, "20260101-001\n");
    }
    assert_eq!(origin.statuses("/LATEST"), [500, 200, 200]);
    let failure = fetcher.text(&origin.url("/none")).await.unwrap_err();
    assert_says(&failure, Blame::Upstream, &["/none", "404"]);
}
