//! Wikimedia's dumps: a page that lists the runs, a status document for each, an article dump in parts.

use serde_json::{Value, json};

use super::Crawl;
use crate::pack::{bunzip2, bz2, gunzip, gz, sha1};

const SQL: [(&str, &str); 7] = [
    ("pagetable", "page"),
    ("redirecttable", "redirect"),
    ("linktargettable", "linktarget"),
    ("pagelinkstable", "pagelinks"),
    ("categorylinkstable", "categorylinks"),
    ("langlinkstable", "langlinks"),
    ("pagepropstable", "page_props"),
];
const ARTICLES: &str = "articlesmultistreamdump";

/// A dump run under way: files put so far, by job.
struct Dump<'a> {
    crawl: &'a Crawl,
    date: &'static str,
    jobs: Value,
}

impl<'a> Dump<'a> {
    fn new(crawl: &'a Crawl, date: &'static str) -> Self {
        Self { crawl, date, jobs: json!({}) }
    }

    fn path(&self, name: &str) -> String {
        format!("/simplewiki/{}/simplewiki-{}-{name}", self.date, self.date)
    }

    /// Puts a file and names it in the status.
    fn file(&mut self, job: &str, name: &str, body: Vec<u8>) {
        let path = self.path(name);
        let file = json!({"url": path, "size": body.len(), "sha1": sha1(&body)});
        self.jobs[job]["status"] = "done".into();
        self.jobs[job]["updated"] = "2026-10-22 10:00:00".into();
        self.jobs[job]["files"][path.rsplit('/').next().unwrap()] = file;
        self.crawl.origin.put(&path, body);
    }

    /// The two parts of the article dump, each of several bzip2 streams, with the index files beside them.
    fn articles(&mut self, edit: impl Fn(&str) -> String) {
        let xml = self.crawl.sample("simplewiki-20261101-pages-articles-multistream.xml.bz2");
        let xml = String::from_utf8(bunzip2(&xml)).unwrap();
        let (head, rest) = xml.split_once("  <page>").unwrap();
        let pages: Vec<String> = rest
            .split("  <page>")
            .map(|page| format!("  <page>{}", page.trim_end().trim_end_matches("</mediawiki>")))
            .collect();
        let half = pages.len() / 2;
        assert!(half >= 2, "the sample is too small to be split");
        for (part, name, pages) in [(1, "p1p4", &pages[..half]), (2, "p5p99", &pages[half..])] {
            let mut body = bz2(head);
            for page in pages {
                body.extend(bz2(if part == 2 { edit(page) } else { page.clone() }));
            }
            body.extend(bz2("</mediawiki>\n"));
            self.file(ARTICLES, &format!("pages-articles-multistream{part}.xml-{name}.bz2"), body);
            self.file(ARTICLES, &format!("pages-articles-multistream-index{part}.txt-{name}.bz2"), bz2("0:1:A\n"));
        }
    }

    fn tables(&mut self) {
        for (job, table) in SQL {
            let body = self.crawl.sample(&format!("simplewiki-20261101-{table}.sql.gz"));
            self.file(job, &format!("{table}.sql.gz"), body);
        }
    }

    /// Puts the status document.
    fn status(&self) {
        let text = json!({"version": "0.8", "jobs": self.jobs}).to_string();
        self.crawl.origin.put(&format!("/simplewiki/{}/dumpstatus.json", self.date), text);
    }
}

#[test]
fn a_dump_in_parts_and_the_next_one_when_it_is_done() {
    let crawl = Crawl::new("wikipedia", "https://dumps.wikimedia.org");
    crawl.origin.put("/simplewiki/latest/simplewiki-latest-page.sql.gz", "undated: not to be used");
    let mut old = Dump::new(&crawl, "20261001");
    old.file(ARTICLES, "pages-articles-multistream.xml.bz2", bz2("an older run: not to be used"));
    old.status();
    let mut dump = Dump::new(&crawl, "20261020");
    dump.articles(str::to_owned);
    dump.tables();
    dump.status();
    // The newest has begun: some of its files are there, its article dump is being written.
    let mut newest = Dump::new(&crawl, "20261101");
    newest.tables();
    newest.jobs[ARTICLES] = json!({"status": "in-progress"});
    newest.status();

    let server = crawl.twice();
    let version = || server.json("/v1/datasets/wikipedia/snapshots")["snapshots"][0]["upstream_version"].clone();
    assert_eq!(version(), "20261020");
    crawl.is_golden(&server, "pages");
    for (_, table) in SQL {
        crawl.is_golden(&server, table);
    }
    assert_eq!(crawl.files(&server, "pages").len(), 2, "a file for each part");
    let asked: Vec<String> = crawl.origin.requests().into_iter().map(|request| request.path).collect();
    for unwanted in ["latest/", "20261001/simplewiki", "20261101/simplewiki", "-index"] {
        assert!(asked.iter().all(|path| !path.contains(unwanted)), "{unwanted} was asked for: {asked:?}");
    }

    // One part is made again: it alone is fetched and read; the other part and all other tables keep their files.
    let before: Vec<_> =
        crawl.tables(&server).iter().map(|table| (table.clone(), crawl.files(&server, table))).collect();
    dump.articles(|page| {
        page.replacen("<text", "<text ", 1).replacen("<minor />", "", 1).replace("</comment>", ", again</comment>")
    });
    dump.status();
    crawl.origin.forget_requests();
    let record = crawl.shop.ingest("wikipedia").published();
    assert_eq!(record["tables"].as_array().unwrap().len(), 1, "{record}");
    assert_eq!((server.snapshot("wikipedia"), version()), (2, "20261020".into()));
    for (table, before) in &before {
        let after = crawl.files(&server, table);
        let kept = after.intersection(before).count();
        assert_eq!(
            (after.len(), kept),
            if table == "pages" { (2, 1) } else { (before.len(), before.len()) },
            "{table}"
        );
    }
    let fetched = |name: &str| crawl.origin.statuses(&dump.path(name)).contains(&200);
    assert!(!fetched("pages-articles-multistream1.xml-p1p4.bz2"), "the part that did not change was fetched again");
    assert!(fetched("pages-articles-multistream2.xml-p5p99.bz2"));
    let comments = server.slice("wikipedia", "pages", "&select=comment");
    assert!(comments.iter().any(|row| row["comment"].as_str().is_some_and(|comment| comment.ends_with(", again"))));
    crawl.nothing_new(&server);

    // The newest run is done.
    let mut newest = Dump::new(&crawl, "20261101");
    newest.articles(str::to_owned);
    newest.tables();
    let page = crawl.sample("simplewiki-20261101-page_props.sql.gz");
    newest.file("pagepropstable", "page_props.sql.gz", gz([gunzip(&page), b"-- the end\n".to_vec()].concat()));
    newest.status();
    crawl.shop.ingest("wikipedia").published();
    assert_eq!((server.snapshot("wikipedia"), version()), (3, "20261101".into()));
    crawl.is_golden(&server, "pages");
    crawl.is_golden(&server, "page_props");
    crawl.nothing_new(&server);
}

#[test]
fn a_file_that_is_not_what_the_status_says_is_refused() {
    let crawl = Crawl::new("wikipedia", "https://dumps.wikimedia.org");
    let mut dump = Dump::new(&crawl, "20261020");
    dump.articles(str::to_owned);
    dump.tables();
    dump.status();
    crawl.origin.put(&dump.path("page.sql.gz"), gz("another file"));
    crawl.shop.ingest("wikipedia").failed(3, "upstream", &["page.sql.gz"]);
    crawl.origin.remove(&dump.path("page.sql.gz"));
    crawl.shop.ingest("wikipedia").failed(3, "upstream", &["page.sql.gz"]);
    dump.tables();
    crawl.shop.ingest("wikipedia").published();
}
