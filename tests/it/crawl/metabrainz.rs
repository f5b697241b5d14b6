//! MusicBrainz: a pointer to the newest export, sums of its archives, one big tar.bz2 of many tables.

use serde_json::Value;

use super::Crawl;
use crate::pack::{bunzip2, bz2, sha256};

const EXPORTS: &str = "/pub/musicbrainz/data/fullexport";

fn export(crawl: &Crawl, version: &str, archive: &[u8]) {
    let folder = format!("{EXPORTS}/{version}");
    crawl.origin.put(&format!("{folder}/mbdump.tar.bz2"), archive.to_vec());
    let sums = format!("{} *mbdump-derived.tar.bz2\n{} *mbdump.tar.bz2\n", sha256(b"other"), sha256(archive));
    crawl.origin.put(&format!("{folder}/SHA256SUMS"), sums);
    crawl.origin.put(&format!("{EXPORTS}/LATEST"), format!("{version}\n"));
}

/// The archive with the text of one member changed into another of the same length.
fn changed(archive: &[u8], member: &str, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut tar = bunzip2(archive);
    let find = |from: usize, text: &str, tar: &[u8]| {
        from + tar[from..].windows(text.len()).position(|window| window == text.as_bytes()).unwrap()
    };
    let header = find(0, &format!("{member}\0"), &tar);
    let at = find(header + 512, from, &tar);
    tar[at..at + to.len()].copy_from_slice(to.as_bytes());
    bz2(tar)
}

#[test]
fn exports_one_after_another() {
    let crawl = Crawl::new("musicbrainz", "https://data.metabrainz.org");
    let archive = crawl.sample("mbdump.tar.bz2");
    export(&crawl, "20261111-001702", &archive);
    let server = crawl.twice();
    let tables = crawl.tables(&server);
    assert!(tables.iter().any(|table| table == "artist") && tables.iter().any(|table| table == "track"), "{tables:?}");
    for table in &tables {
        crawl.is_golden(&server, table);
    }
    let version = |server: &crate::shop::Server| -> Value {
        server.json("/v1/datasets/musicbrainz/snapshots")["snapshots"][0]["upstream_version"].clone()
    };
    assert_eq!(version(&server), "20261111-001702");
    let address = format!("{EXPORTS}/20261111-001702/mbdump.tar.bz2");
    assert_eq!(crawl.origin.statuses(&address)[0], 200);
    assert_eq!(
        crawl.origin.statuses(&address).iter().filter(|status| **status == 200).count(),
        1,
        "one fetch for all tables"
    );

    // The next export, the old one gone.
    crawl.origin.remove(&address);
    export(&crawl, "20261114-002003", &archive);
    crawl.shop.ingest("musicbrainz").published();
    assert_eq!((server.snapshot("musicbrainz"), version(&server)), (2, "20261114-002003".into()));
    crawl.nothing_new(&server);

    // An archive that is not what its sums say, as while it is being written.
    let cut = &archive[..archive.len() / 2];
    export(&crawl, "20261118-001500", &archive);
    crawl.origin.put(&format!("{EXPORTS}/20261118-001500/mbdump.tar.bz2"), cut.to_vec());
    crawl.shop.ingest("musicbrainz").failed(3, "upstream", &["mbdump.tar.bz2", "sha256"]);

    // Another schema: the columns bind by order, so nothing may be taken for what it is not.
    export(&crawl, "20261121-001500", &changed(&archive, "SCHEMA_SEQUENCE", "31", "32"));
    crawl.shop.ingest("musicbrainz").failed(2, "definition", &["SCHEMA_SEQUENCE", "31", "32"]);
    assert_eq!(server.snapshot("musicbrainz"), 2);
    for table in &tables {
        crawl.is_golden(&server, table);
    }
}
