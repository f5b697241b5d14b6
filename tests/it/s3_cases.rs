//! The read side of ceph's s3-tests, case by case, against our bucket; each row names the test it carries over.
//!
//! Their tests make a bucket of short keys for each case. Here a case is the table of a dataset of its own: keys are its
//! files' names, `:` stands for `/` in them (nothing in these keys sorts between the two), and every prefix and marker has
//! `<dataset>/t/` before it. Listings are asked by ListObjects and by ListObjectsV2, as theirs are.
//!
//! # What does not apply to a public, read-only bucket, and why
//! Every test of `test_s3.py` that is not named below is here (`*` stands for anything).
//! - Writing, and what is only seen of an object by having written it so (no object here has metadata of a user, a content
//!   encoding, an expiry or a cache control of its own): `test_object_write_*`, `test_object_set_get_*`,
//!   `test_object_metadata_replaced_on_put`, `test_object_content_encoding_aws_chunked`, `test_object_put_*`,
//!   `test_object_presigned_put_*`, `test_object_raw_put_*`, `test_object_anon_put*`, `test_put_object_*`,
//!   `test_put_current_object_*`, `test_post_object_*`, `test_object_copy_*`, `test_copy_*`, `test_upload_*`,
//!   `test_atomic_*`, `test_100_continue*`, `test_object_delete_key_bucket_gone`, `test_multi_object*delete*`,
//!   `test_delete_*`, `test_object_checksum_*` but for its reading half. Every write is 405 MethodNotAllowed, tested in
//!   `s3`; theirs ask for 403, which would promise that somebody may.
//! - Parts: no object was put together from parts, so part 1 is all of it and there are no more
//!   (`test_non_multipart_get_part`): `test_multipart_*`, `test_abort_multipart_*`, `test_list_multipart_*`,
//!   `test_get_*multipart*_object_attributes`.
//! - Empty objects (`test_object_head_zero_bytes`, `test_ranged_request_empty_object`): no file of Parquet is empty.
//! - Making and deleting buckets, their names and owners: `test_bucket_create_*` but for `…_special_key_names`,
//!   `test_bucket_delete_*`, `test_bucket_recreate_*`, `test_bucket_list_long_name`, `test_buckets_*`,
//!   `test_list_buckets_*`, `test_create_bucket_*`, `test_put_bucket_ownership_*`, `test_expected_bucket_owner`: there is one
//!   bucket, tested in `s3`, and no account that owns it.
//! - Who may: `test_*acl*`, `test_access_bucket_*`, `test_*_anonymous_fail`, `test_*policy*`, `test_*public_block*`,
//!   `test_block_public_*`, `test_ignore_public_acls`; IAM, STS and accounts in files of their own: everything that is
//!   served is public. What a license closes is 403, tested in `s3`.
//! - Signatures: a signature is not checked, so a bad or expired one passes: all of `test_headers.py`,
//!   `test_object_raw_get_x_amz_expires_*`, `test_list_buckets_*_auth`, `test_cors_presigned_*`.
//! - `test_object_raw_response_headers`: `response-*` arguments count only when they are signed for, and nobody's signature is
//!   known here: everyone could have any text of ours shown as a page of this address.
//! - What a request names and is 501 NotImplemented, tested in `s3`: versions (`test_version*`, `test_get_versioned_*`),
//!   object lock (`test_object_lock_*`), life cycles (`test_lifecycle*`, `test_restore_*`, `test_read_through`), logging
//!   (`test_*bucket_logging*`), tags (`test_*tagging*`, `test_*_tags*`, `test_put_excess_*`,
//!   `test_put_max_*`), torrents (`test_get_object_torrent`), notifications, S3 Select and
//!   websites in files of their own.
//! - Encryption (`test_encrypt*`, `test_*sse_*`, `test_put_obj_enc_*`, `test_*_bucket_encryption_*`, `test_*_enc`): nothing is
//!   secret here.
//! - Ceph's own: `test_account_usage`, `test_head_bucket_usage`, `test_bucket_head_extended`, `test_*_unordered`.
//! - `test_object_read_unreadable` wants a sentence of theirs word for word; `test_bucket_list_return_data_versioning` and the
//!   owner's half of `test_bucket_list_return_data` read ACLs and versions; `test_set_cors` and `test_cors_*`: CORS is open and
//!   not to be set, tested in `api_http`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use openshelf::{
    catalog::{DataFile, DatasetId, Manifest},
    store::{Area, Store},
};
use reqwest::Method;
use sha2::{Digest, Sha256};

use crate::shelf::{TestShelf, TestSnapshot, TestTable, elements, films, header, s3_error};

/// Publishes a dataset whose one table has files of these names.
async fn bucket(store: &Store, name: &str, keys: &[String]) {
    TestSnapshot::new(name, vec![TestTable::new("t", &[("id", "int64")])]).publish(store).await;
    let id: DatasetId = name.parse().unwrap();
    let mut manifest: Manifest = (*store.head(&id).await.unwrap().unwrap()).clone();
    let file = |key: &String| DataFile {
        key: format!("{name}/data/t/{}", key.replace('/', ":")),
        bytes: key.len() as u64,
        rows: 1,
        sha256: "0".repeat(64),
        part: key.clone(),
        added_in: 2,
        ..DataFile::default()
    };
    let files: Vec<DataFile> = keys.iter().map(file).collect();
    manifest.tables[0].segments = store.put_segments(Area::Open, &id, &files).await.unwrap();
    manifest.tables[0].listed_segments = store.put_listed(Area::Open, &id, &files).await.unwrap();
    (manifest.snapshot, manifest.parent, manifest.run) = (2, Some(1), "01ARZ3NDEKTSV4RRFFQ69G5FAV".into());
    store.publish(&manifest).await.unwrap();
}

/// A question to a case's bucket, as theirs are put: keys with their own slashes.
#[derive(Debug, Clone, Copy, Default)]
struct Ask<'a> {
    prefix: &'a str,
    delimiter: Option<&'a str>,
    /// `marker`, `start-after`.
    after: &'a str,
    max_keys: Option<usize>,
}

/// What theirs expect.
#[derive(Debug, PartialEq)]
struct Told {
    truncated: bool,
    keys: Vec<String>,
    prefixes: Vec<String>,
    next: Option<String>,
}

fn told(truncated: bool, keys: &[&str], prefixes: &[&str]) -> Told {
    let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    Told { truncated, keys: own(keys), prefixes: own(prefixes), next: None }
}

struct Bucket<'a> {
    shelf: &'a TestShelf,
    base: String,
}

impl Bucket<'_> {
    fn query(&self, second: bool, ask: &Ask<'_>) -> String {
        let inside = |text: &str| format!("{}{}", self.base, text.replace('/', ":"));
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        if second {
            query.append_pair("list-type", "2");
        }
        query.append_pair("prefix", &inside(ask.prefix)).append_pair("encoding-type", "url");
        if let Some(delimiter) = ask.delimiter {
            query.append_pair("delimiter", &delimiter.replace('/', ":"));
        }
        if !ask.after.is_empty() {
            query.append_pair(if second { "start-after" } else { "marker" }, &inside(ask.after));
        }
        if let Some(most) = ask.max_keys {
            query.append_pair("max-keys", &most.to_string());
        }
        query.finish()
    }

    async fn raw(&self, query: &str) -> String {
        let response = self.shelf.get(&format!("/data?{query}")).await;
        let status = response.status();
        let text = response.text().await.unwrap();
        assert_eq!(status, 200, "{query}: {text}");
        text
    }

    /// As clients show it: decoded, and here without the base.
    fn shown(&self, text: &str) -> String {
        let decoded = percent_encoding::percent_decode_str(text).decode_utf8().unwrap().replace("&#10;", "\n");
        decoded.strip_prefix(&self.base).unwrap_or(&decoded).replace(':', "/")
    }

    fn read(&self, text: &str, next: &str) -> Told {
        let shown = |list: Vec<String>| list.iter().map(|text| self.shown(text)).collect::<Vec<_>>();
        let folders = elements(text, "CommonPrefixes").iter().flat_map(|one| elements(one, "Prefix")).collect();
        Told {
            truncated: elements(text, "IsTruncated") == ["true"],
            keys: shown(elements(text, "Key")),
            prefixes: shown(folders),
            next: elements(text, next).pop(),
        }
    }

    async fn first(&self, ask: Ask<'_>) -> Told {
        let read = self.read(&self.raw(&self.query(false, &ask)).await, "NextMarker");
        Told { next: read.next.map(|next| self.shown(&next)), ..read }
    }

    async fn second(&self, ask: Ask<'_>, token: Option<&str>) -> Told {
        let mut query = self.query(true, &ask);
        if let Some(token) = token {
            query += &format!("&continuation-token={token}");
        }
        self.read(&self.raw(&query).await, "NextContinuationToken")
    }

    /// Both listings tell the same.
    async fn tells(&self, case: &str, ask: Ask<'_>, expected: Told) {
        let first = self.first(ask).await;
        assert_eq!(Told { next: None, ..first }, expected, "{case}, ListObjects {ask:?}");
        let second = self.second(ask, None).await;
        assert_eq!(second.next.is_some(), expected.truncated, "{case}");
        assert_eq!(Told { next: None, ..second }, expected, "{case}, ListObjectsV2 {ask:?}");
    }
}

/// A shelf with one bucket of these keys.
async fn with<const N: usize>(shelf: &TestShelf, number: &mut u32, keys: [&str; N]) -> String {
    *number += 1;
    let name = format!("case-{number}");
    bucket(&shelf.store, &name, &keys.map(str::to_owned)).await;
    format!("{name}/t/")
}

#[tokio::test]
async fn delimiters() {
    let shelf = TestShelf::builder().serve().await;
    let number = &mut 0;
    for (case, delimiter, keys, left, prefixes) in [
        (
            "test_bucket_list_delimiter_basic, …v2…",
            "/",
            ["foo/bar", "foo/bar/xyzzy", "quux/thud", "asdf"],
            vec!["asdf"],
            vec!["foo/", "quux/"],
        ),
        ("test_bucket_list_delimiter_alt, …v2…", "a", ["bar", "baz", "cab", "foo"], vec!["foo"], vec!["ba", "ca"]),
        (
            "test_bucket_list_delimiter_percentage, …v2…",
            "%",
            ["b%ar", "b%az", "c%ab", "foo"],
            vec!["foo"],
            vec!["b%", "c%"],
        ),
        (
            "test_bucket_list_delimiter_whitespace, …v2…",
            " ",
            ["b ar", "b az", "c ab", "foo"],
            vec!["foo"],
            vec!["b ", "c "],
        ),
        ("test_bucket_list_delimiter_dot, …v2…", ".", ["b.ar", "b.az", "c.ab", "foo"], vec!["foo"], vec!["b.", "c."]),
        (
            "test_bucket_list_delimiter_unreadable, …v2…",
            "\n",
            ["bar", "baz", "cab", "foo"],
            vec!["bar", "baz", "cab", "foo"],
            vec![],
        ),
        (
            "test_bucket_list_delimiter_not_exist, …v2…",
            "/",
            ["bar", "baz", "cab", "foo"],
            vec!["bar", "baz", "cab", "foo"],
            vec![],
        ),
        (
            "test_bucket_list_encoding_basic, …v2…",
            "/",
            ["foo+1/bar", "foo/bar/xyzzy", "quux ab/thud", "asdf+b"],
            vec!["asdf+b"],
            vec!["foo+1/", "foo/", "quux ab/"],
        ),
    ] {
        let bucket = Bucket { shelf: &shelf, base: with(&shelf, number, keys).await };
        let ask = Ask { delimiter: Some(delimiter), ..Ask::default() };
        bucket.tells(case, ask, told(false, &left, &prefixes)).await;
        let text = bucket.raw(&bucket.query(true, &ask)).await;
        assert_eq!(bucket.shown(&elements(&text, "Delimiter")[0]), delimiter, "{case}");
        assert_eq!(elements(&text, "KeyCount"), [(left.len() + prefixes.len()).to_string()], "{case}");
    }
    // test_bucket_list_encoding_basic: encoded as they spell it.
    let bucket = Bucket { shelf: &shelf, base: "case-8/t/".into() };
    let text = bucket.raw(&bucket.query(true, &Ask { delimiter: Some("/"), ..Ask::default() })).await;
    assert_eq!(elements(&text, "Key"), ["case-8/t/asdf%2Bb"]);
    assert!(text.contains("<Prefix>case-8/t/foo%2B1%3A</Prefix>") && text.contains("quux%20ab"), "{text}");
    // test_bucket_list_delimiter_empty, _none, …v2…: not in the answer.
    for delimiter in [None, Some("")] {
        let bucket = Bucket { shelf: &shelf, base: "case-7/t/".into() };
        let ask = Ask { delimiter, ..Ask::default() };
        bucket.tells("empty", ask, told(false, &["bar", "baz", "cab", "foo"], &[])).await;
        for second in [true, false] {
            assert!(!bucket.raw(&bucket.query(second, &ask)).await.contains("Delimiter"));
        }
    }
    // test_bucket_list_delimiter_not_skip_special
    let mut keys = vec!["0/".to_owned()];
    keys.extend((1000..1999).map(|n| format!("0/{n}")));
    keys.extend(["1999", "1999#", "1999+", "2000"].map(str::to_owned));
    self::bucket(&shelf.store, "special", &keys).await;
    let bucket = Bucket { shelf: &shelf, base: "special/t/".into() };
    let ask = Ask { delimiter: Some("/"), ..Ask::default() };
    bucket.tells("not_skip_special", ask, told(false, &["1999", "1999#", "1999+", "2000"], &["0/"])).await;
}

#[tokio::test]
async fn prefixes() {
    let shelf = TestShelf::builder().serve().await;
    let number = &mut 0;
    let three = ["foo/bar", "foo/baz", "quux"];
    for (case, keys, prefix, delimiter, left, folders) in [
        ("test_bucket_list_prefix_basic, …v2…", three.to_vec(), "foo/", None, vec!["foo/bar", "foo/baz"], vec![]),
        ("test_bucket_list_prefix_alt, …v2…", vec!["bar", "baz", "foo"], "ba", None, vec!["bar", "baz"], vec![]),
        ("test_bucket_list_prefix_empty, _none, …v2…", three.to_vec(), "", None, three.to_vec(), vec![]),
        ("test_bucket_list_prefix_not_exist, …v2…", three.to_vec(), "d", None, vec![], vec![]),
        ("test_bucket_list_prefix_unreadable, …v2…", three.to_vec(), "\n", None, vec![], vec![]),
        (
            "test_bucket_list_prefix_delimiter_basic, …v2…",
            vec!["foo/bar", "foo/baz/xyzzy", "quux/thud", "asdf"],
            "foo/",
            Some("/"),
            vec!["foo/bar"],
            vec!["foo/baz/"],
        ),
        (
            "test_bucket_list_prefix_delimiter_alt, …v2…",
            vec!["bar", "bazar", "cab", "foo"],
            "ba",
            Some("a"),
            vec!["bar"],
            vec!["baza"],
        ),
        (
            "test_bucket_list_prefix_delimiter_prefix_not_exist, …v2…",
            vec!["b/a/r", "b/a/c", "b/a/g", "g"],
            "/",
            Some("d"),
            vec![],
            vec![],
        ),
        (
            "test_bucket_list_prefix_delimiter_delimiter_not_exist, …v2…",
            vec!["b/a/c", "b/a/g", "b/a/r", "g"],
            "b",
            Some("z"),
            vec!["b/a/c", "b/a/g", "b/a/r"],
            vec![],
        ),
        (
            "test_bucket_list_prefix_delimiter_prefix_delimiter_not_exist, …v2…",
            vec!["b/a/c", "b/a/g", "b/a/r", "g"],
            "y",
            Some("z"),
            vec![],
            vec![],
        ),
        (
            "test_bucket_list_delimiter_prefix_ends_with_delimiter, …v2…",
            vec!["asdf/"],
            "asdf/",
            Some("/"),
            vec!["asdf/"],
            vec![],
        ),
        (
            "test_bucket_list_special_prefix",
            vec!["_bla/1", "_bla/2", "_bla/3", "_bla/4", "abcd"],
            "_bla/",
            None,
            vec!["_bla/1", "_bla/2", "_bla/3", "_bla/4"],
            vec![],
        ),
    ] {
        *number += 1;
        let name = format!("case-{number}");
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        bucket(&shelf.store, &name, &keys).await;
        let bucket = Bucket { shelf: &shelf, base: format!("{name}/t/") };
        let ask = Ask { prefix, delimiter, ..Ask::default() };
        bucket.tells(case, ask, told(false, &left, &folders)).await;
        let (first, second) = (bucket.query(false, &ask), bucket.query(true, &ask));
        for text in [bucket.raw(&first).await, bucket.raw(&second).await] {
            assert_eq!(bucket.shown(&elements(&text, "Prefix")[0]), prefix, "{case}");
        }
        // In the first version clients do not decode it.
        let text = bucket.raw(&first).await;
        assert_eq!(elements(&text, "Prefix")[0].contains("&#10;"), prefix == "\n", "{case}");
    }
}

/// test_bucket_list_delimiter_prefix, …v2…, test_bucket_list_delimiter_prefix_underscore, …v2….
#[tokio::test]
async fn pages_of_keys_and_prefixes() {
    let shelf = TestShelf::builder().serve().await;
    let number = &mut 0;
    for (keys, key, one, two) in [
        (["asdf", "boo/bar", "boo/baz/xyzzy", "cquux/thud", "cquux/bla"], "asdf", "boo/", "cquux/"),
        (
            ["_obj1_", "_under1/bar", "_under1/baz/xyzzy", "_under2/thud", "_under2/bla"],
            "_obj1_",
            "_under1/",
            "_under2/",
        ),
    ] {
        let bucket = Bucket { shelf: &shelf, base: with(&shelf, number, keys).await };
        let (bar, baz) = (format!("{one}bar"), format!("{one}baz/"));
        for (prefix, size, pages) in [
            ("", 1, vec![(vec![key], vec![]), (vec![], vec![one]), (vec![], vec![two])]),
            ("", 2, vec![(vec![key], vec![one]), (vec![], vec![two])]),
            (one, 1, vec![(vec![bar.as_str()], vec![]), (vec![], vec![baz.as_str()])]),
            (one, 2, vec![(vec![bar.as_str()], vec![baz.as_str()])]),
        ] {
            let ask = Ask { prefix, delimiter: Some("/"), after: "", max_keys: Some(size) };
            let (mut marker, mut token) = (String::new(), None);
            for (at, (keys, prefixes)) in pages.iter().enumerate() {
                let more = at + 1 < pages.len();
                let first = bucket.first(Ask { after: &marker, ..ask }).await;
                let last = prefixes.last().or(keys.last()).map(|last| (*last).to_owned());
                assert_eq!(
                    first,
                    Told { next: last.filter(|_| more), ..told(more, keys, prefixes) },
                    "{prefix} {size}"
                );
                marker = first.next.unwrap_or_default();
                let second = bucket.second(ask, token.as_deref()).await;
                assert_eq!(second.next.is_some(), more);
                token = second.next.clone();
                assert_eq!(Told { next: None, ..second }, told(more, keys, prefixes), "{prefix} {size}");
            }
        }
    }
}

#[tokio::test]
async fn markers_and_numbers_of_keys() {
    let shelf = TestShelf::builder().serve().await;
    let number = &mut 0;
    // test_bucket_list_many, test_bucket_listv2_many
    let many = Bucket { shelf: &shelf, base: with(&shelf, number, ["foo", "bar", "baz"]).await };
    let two = Ask { max_keys: Some(2), ..Ask::default() };
    many.tells("many", two, told(true, &["bar", "baz"], &[])).await;
    many.tells("many", Ask { after: "baz", ..two }, told(false, &["foo"], &[])).await;
    // test_basic_key_count
    let five = Bucket { shelf: &shelf, base: with(&shelf, number, ["0", "1", "2", "3", "4"]).await };
    assert_eq!(elements(&five.raw(&five.query(true, &Ask::default())).await, "KeyCount"), ["5"]);

    let all = ["bar", "baz", "foo", "quxx"];
    let bucket = Bucket { shelf: &shelf, base: with(&shelf, number, all).await };
    for (case, ask, expected) in [
        ("test_bucket_list_maxkeys_one, …v2…", Ask { max_keys: Some(1), ..Ask::default() }, told(true, &all[..1], &[])),
        ("test_bucket_list_maxkeys_one, …v2…", Ask { after: "bar", ..Ask::default() }, told(false, &all[1..], &[])),
        ("test_bucket_list_maxkeys_zero, …v2…", Ask { max_keys: Some(0), ..Ask::default() }, told(false, &[], &[])),
        ("test_bucket_list_maxkeys_none, …v2…, test_bucket_list_marker_empty", Ask::default(), told(false, &all, &[])),
        (
            "test_bucket_list_marker_not_in_list, …v2_startafter…",
            Ask { after: "blah", ..Ask::default() },
            told(false, &all[2..], &[]),
        ),
        (
            "test_bucket_list_marker_after_list, …v2_startafter…",
            Ask { after: "zzz", ..Ask::default() },
            told(false, &[], &[]),
        ),
        (
            "test_bucket_list_marker_unreadable, …v2_startafter…",
            Ask { after: "\n", ..Ask::default() },
            told(false, &all, &[]),
        ),
    ] {
        bucket.tells(case, ask, expected).await;
        for (second, name) in [(false, "Marker"), (true, "StartAfter")] {
            let text = bucket.raw(&bucket.query(second, &ask)).await;
            let said = elements(&text, name).pop().unwrap_or_default();
            assert_eq!(bucket.shown(&said), ask.after, "{case}");
            assert_eq!(elements(&text, "MaxKeys"), [ask.max_keys.unwrap_or(1000).to_string()], "{case}");
        }
    }
    // test_bucket_list_marker_none
    assert!(bucket.raw(&bucket.query(false, &Ask::default())).await.contains("<Marker></Marker>"));
    // test_bucket_listv2_continuationtoken_empty
    let empty = bucket.raw(&format!("{}&continuation-token=", bucket.query(true, &Ask::default()))).await;
    assert_eq!(elements(&empty, "ContinuationToken"), [""]);
    assert_eq!(elements(&empty, "Key").len(), 4);
    // test_bucket_listv2_continuationtoken, test_bucket_listv2_both_continuationtoken_startafter
    for (after, rest) in [("", &all[1..]), ("bar", &all[2..])] {
        let ask = Ask { after, ..Ask::default() };
        let page = bucket.second(Ask { max_keys: Some(1), ..ask }, None).await;
        let token = page.next.unwrap();
        let text = bucket.raw(&format!("{}&continuation-token={token}", bucket.query(true, &ask))).await;
        assert_eq!(elements(&text, "ContinuationToken"), [token]);
        assert_eq!(bucket.shown(&elements(&text, "StartAfter").pop().unwrap_or_default()), after);
        assert_eq!(bucket.read(&text, "NextContinuationToken"), told(false, rest, &[]));
    }
    // test_bucket_list_maxkeys_invalid
    let (status, code, _) = s3_error(shelf.get("/data?max-keys=blah").await).await;
    assert_eq!((status, code.as_str()), (400, "InvalidArgument"));
    // test_bucket_listv2_fetchowner_notempty, _defaultempty, _empty
    for (more, owners) in [("&fetch-owner=true", 4), ("", 0), ("&fetch-owner=false", 0)] {
        let text = bucket.raw(&format!("{}{more}", bucket.query(true, &Ask::default()))).await;
        assert_eq!(elements(&text, "Owner").len(), owners, "{more}");
    }
    // test_bucket_list_empty
    let empty = Bucket { shelf: &shelf, base: with(&shelf, number, []).await };
    empty.tells("test_bucket_list_empty", Ask::default(), told(false, &[], &[])).await;
    // test_bucket_create_special_key_names
    let names = [" ", "\"", "$", "%", "&", "'", "<", ">", "_", "_ ", "_ _", "__"];
    let special = Bucket { shelf: &shelf, base: with(&shelf, number, names).await };
    special.tells("test_bucket_create_special_key_names", Ask::default(), told(false, &names, &[])).await;
    // test_bucket_list_distinct: what one has is not in the other.
    assert!(!bucket.raw(&bucket.query(true, &Ask::default())).await.contains("case-1/"));
}

#[tokio::test]
async fn objects() {
    let shelf = TestShelf::builder().publish("films", films()).serve().await;
    let listed = shelf.get("/data?list-type=2").await.text().await.unwrap();
    let key = format!("/data/{}", elements(&listed, "Key")[0]);
    // test_object_raw_get, test_bucket_list_objects_anonymous, …v2…, test_object_raw_authenticated
    let whole = shelf.get(&format!("{key}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0")).await;
    let (tag, modified) = (header(&whole, "etag").unwrap(), header(&whole, "last-modified").unwrap());
    let whole = whole.bytes().await.unwrap();
    let (early, later) = ("Sat, 29 Oct 1994 19:43:31 GMT", "Mon, 22 Nov 2100 00:00:00 GMT");
    for (case, headers, status) in [
        ("test_get_object_ifmatch_good", ("if-match", tag.as_str()), 200),
        ("test_get_object_ifmatch_failed", ("if-match", "\"ABCORZ\""), 412),
        ("test_get_object_ifnonematch_good", ("if-none-match", tag.as_str()), 304),
        ("test_get_object_ifnonematch_failed", ("if-none-match", "ABCORZ"), 200),
        ("test_get_object_ifmodifiedsince_good", ("if-modified-since", early), 200),
        ("test_get_object_ifmodifiedsince_failed", ("if-modified-since", later), 304),
        ("test_get_object_ifunmodifiedsince_good", ("if-unmodified-since", early), 412),
        ("test_get_object_ifunmodifiedsince_failed", ("if-unmodified-since", later), 200),
    ] {
        let response = shelf.get_with(&key, &[headers]).await;
        assert_eq!(response.status(), status, "{case}");
        match status {
            412 => assert_eq!(s3_error(response).await.1, "PreconditionFailed", "{case}"),
            304 => assert_eq!(header(&response, "etag").as_deref(), Some(tag.as_str()), "{case}"),
            _ => assert_eq!(response.bytes().await.unwrap(), whole, "{case}"),
        }
    }
    let size = whole.len();
    for (case, range, part) in [
        ("test_ranged_request_response_code", "bytes=4-7".to_owned(), 4..8),
        ("test_ranged_big_request_response_code", format!("bytes=1000-{}", size - 2), 1000..size - 1),
        ("test_ranged_request_skip_leading_bytes_response_code", "bytes=4-".to_owned(), 4..size),
        ("test_ranged_request_return_trailing_bytes_response_code", "bytes=-7".to_owned(), size - 7..size),
    ] {
        let response = shelf.get_with(&key, &[("range", &range)]).await;
        assert_eq!(response.status(), 206, "{case}");
        assert_eq!(
            header(&response, "content-range").unwrap(),
            format!("bytes {}-{}/{size}", part.start, part.end - 1)
        );
        assert_eq!(response.bytes().await.unwrap(), whole.slice(part), "{case}");
    }
    // test_ranged_request_invalid_range
    let outside = format!("bytes={}-{}", size + 40, size + 50);
    assert_eq!(s3_error(shelf.get_with(&key, &[("range", &outside)]).await).await.1, "InvalidRange");
    // test_object_read_not_exist, test_object_raw_get_object_gone, test_object_raw_authenticated_object_gone,
    // test_object_requestid_matches_header_on_error
    let (status, code, _) = s3_error(shelf.get("/data/films/titles/bar").await).await;
    assert_eq!((status, code.as_str()), (404, "NoSuchKey"));
    // test_non_multipart_get_part
    assert_eq!(s3_error(shelf.get(&format!("{key}?partNumber=2")).await).await.1, "InvalidPart");
    assert_eq!(shelf.get(&format!("{key}?partNumber=1")).await.bytes().await.unwrap(), whole);
    // test_get_object_attributes, test_get_checksum_object_attributes
    let asked = [("x-amz-object-attributes", "ETag,Checksum,ObjectParts,StorageClass,ObjectSize")];
    let attributes = shelf.get_with(&format!("{key}?attributes"), &asked).await;
    assert_eq!(header(&attributes, "last-modified").as_deref(), Some(modified.as_str()));
    let attributes = attributes.text().await.unwrap();
    let sum = STANDARD.encode(Sha256::digest(&whole));
    for (name, value) in [
        ("ETag", tag.trim_matches('"')),
        ("ChecksumSHA256", &sum),
        ("StorageClass", "STANDARD"),
        ("ObjectSize", &size.to_string()),
    ] {
        assert_eq!(elements(&attributes, name), [value], "{attributes}");
    }
    for absent in ["ObjectParts", "DeleteMarker", "VersionId"] {
        assert!(!attributes.contains(absent), "{attributes}");
    }
    let some = shelf.get_with(&format!("{key}?attributes"), &[("x-amz-object-attributes", "ObjectSize")]).await;
    assert!(!some.text().await.unwrap().contains("ETag"));
    for (path, named) in [(&key, "x-y"), (&key, "x-amz-object-attributes")] {
        let (status, code, _) = s3_error(shelf.get_with(&format!("{path}?attributes"), &[(named, "all")]).await).await;
        assert_eq!((status, code.as_str()), (400, "InvalidArgument"));
    }
    let none = shelf.get_with("/data/films/titles/x.parquet?attributes", &asked).await;
    assert_eq!(s3_error(none).await.1, "NoSuchKey");
    // test_object_checksum_sha256: only for who asks, and only of the whole.
    for (method, headers, told) in [
        (Method::HEAD, vec![], None),
        (Method::HEAD, vec![("x-amz-checksum-mode", "ENABLED")], Some(sum.as_str())),
        (Method::GET, vec![("x-amz-checksum-mode", "ENABLED")], Some(sum.as_str())),
        (Method::GET, vec![("x-amz-checksum-mode", "ENABLED"), ("range", "bytes=0-3")], None),
    ] {
        let response = shelf.send(method, &key, &headers).await;
        assert_eq!(header(&response, "x-amz-checksum-sha256").as_deref(), told, "{headers:?}");
    }
    // test_bucket_list_return_data, but for owners
    let object = elements(&listed, "Contents").swap_remove(0);
    assert_eq!(elements(&object, "ETag")[0].replace("&quot;", "\""), tag);
    assert_eq!(elements(&object, "Size"), [size.to_string()]);
    let said = chrono::DateTime::parse_from_rfc3339(&elements(&object, "LastModified")[0]).unwrap();
    assert_eq!(said, chrono::DateTime::parse_from_rfc2822(&modified).unwrap());
    // test_bucket_head, test_bucket_head_notexist, test_bucket_notexist, test_bucketv2_notexist, test_object_raw_get_bucket_gone,
    // test_object_raw_authenticated_bucket_gone
    assert_eq!(shelf.send(Method::HEAD, "/data", &[]).await.status(), 200);
    let signed = [("authorization", "AWS4-HMAC-SHA256 Credential=x")];
    assert_eq!(shelf.send(Method::HEAD, "/none", &signed).await.status(), 404);
    for (path, headers) in
        [("/none", signed), ("/none?list-type=2", [("x-y", "z")]), ("/none/foo", [("x-amz-checksum-mode", "enabled")])]
    {
        let text = shelf.get_with(path, &headers).await.text().await.unwrap();
        assert_eq!(elements(&text, "Code"), ["NoSuchBucket"], "{path}");
    }
    // test_bucket_get_location
    assert_eq!(shelf.get("/data?location").await.status(), 200);
}
