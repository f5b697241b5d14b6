//! Engines that run on many machines, here on a few processes: Spark and Dask open a table of 1.6 million rows over S3 as their
//! own, and the job this project began with, song density over the Million Song Dataset, gives the figures computed straight
//! from upstream's text.
//!
//! Heavy, so a suite of its own: `scripts/test-clusters` installs the engines and runs it; `scripts/test` calls that.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use fastrand::Rng;
use serde_json::{Value, json};

use crate::{
    bucket::exports::Exported,
    iceberg_clients::part_again,
    origin::Origin,
    shop::{Shop, ours},
};

const PARTS: [&str; 5] = ["A.tsv.a", "A.tsv.b", "B.tsv.a", "B.tsv.c", "C.tsv.b"];
const TRACKS: usize = 800;
const EXTREMES: usize = 10;

/// A file of upstream: one track a line, 54 fields, most of them empty here.
fn part(number: usize, fields: &[String], rng: &mut Rng) -> String {
    let mut text = String::new();
    for track in 0..TRACKS {
        let id = format!("TR{number:02}{track:06}");
        let duration = match rng.u8(..50) {
            0 => "0".to_owned(),
            1 => "nan".to_owned(),
            _ => format!("{:.5}", 30.0 + rng.f64() * 400.0),
        };
        let segments = if rng.u8(..40) == 0 { 0 } else { rng.usize(1..1200) };
        let starts = (0..segments).map(|at| format!("{:.5}", at as f64 / 4.0)).collect::<Vec<_>>().join(",");
        let values = fields.iter().map(|field| match field.as_str() {
            "track_id" => id.as_str(),
            "duration" => &duration,
            "segments_start" => &starts,
            _ => "",
        });
        writeln!(text, "{}", values.collect::<Vec<_>>().join("\t")).unwrap();
    }
    text
}

/// The figures, from the text alone.
fn truth(parts: &[String], fields: &[String]) -> Value {
    let place = |name: &str| fields.iter().position(|field| field == name).unwrap();
    let (id, duration, starts) = (place("track_id"), place("duration"), place("segments_start"));
    let mut songs: Vec<(String, f64)> = Vec::new();
    for line in parts.iter().flat_map(|text| text.lines()) {
        let values: Vec<&str> = line.split('\t').collect();
        let seconds: f64 = values[duration].parse().unwrap();
        let segments = values[starts].split(',').filter(|start| !start.is_empty()).count();
        if seconds > 0.0 && segments > 0 {
            songs.push((values[id].to_owned(), segments as f64 / seconds));
        }
    }
    let mut by_density = BTreeMap::<u64, u64>::new();
    for (_, density) in &songs {
        *by_density.entry(density.floor() as u64).or_default() += 1;
    }
    let mean = songs.iter().map(|(_, density)| density).sum::<f64>() / songs.len() as f64;
    let mut extremes = |order: fn(&f64, &f64) -> std::cmp::Ordering| {
        songs.sort_by(|a, b| order(&a.1, &b.1).then_with(|| a.0.cmp(&b.0)));
        songs.iter().take(EXTREMES).map(|(id, density)| json!([id, density])).collect::<Vec<_>>()
    };
    let (densest, sparsest) = (extremes(|a, b| b.total_cmp(a)), extremes(f64::total_cmp));
    let by_density: serde_json::Map<_, _> = by_density.iter().map(|(at, n)| (at.to_string(), json!(n))).collect();
    json!({"songs": songs.len(), "mean": mean, "densest": densest, "sparsest": sparsest, "songs_by_density": by_density})
}

/// What scripts/test-clusters says; `None` where this suite is left to it.
#[expect(clippy::print_stderr, reason = "a test that was not run says so")]
fn installed() -> Option<PathBuf> {
    match std::env::var_os("OPENSHELF_TEST_CLUSTERS").filter(|folder| !folder.is_empty()) {
        Some(folder) => Some(folder.into()),
        None => {
            eprintln!("clusters: not run here, scripts/test-clusters installs and runs them");
            None
        }
    }
}

/// What a script of ours prints.
fn run(python: &Path, script: &str, arguments: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    let mut command = Command::new(python);
    command.arg(&script).args(arguments);
    command.env("NO_PROXY", "127.0.0.1,localhost").env("no_proxy", "127.0.0.1,localhost");
    // Spark's processes find each other by the machine's name otherwise.
    command.env("SPARK_LOCAL_IP", "127.0.0.1");
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}: {text}\n{}", script.display(), String::from_utf8_lossy(&output.stderr));
    text.into_owned()
}

/// The figures of a job.
fn job(python: &Path, script: &str, arguments: &[&str]) -> Value {
    let text = run(python, &format!("scripts/jobs/{script}"), &[arguments, &["--json"]].concat());
    serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Equal, but for the mean: a sum depends on the order of what is added.
fn assert_same(engine: &str, found: &Value, expected: &Value) {
    for (name, value) in expected.as_object().unwrap() {
        match name.as_str() {
            "mean" => {
                let (found, expected) = (found[name].as_f64().unwrap(), value.as_f64().unwrap());
                assert!((found / expected - 1.0).abs() < 1e-12, "{engine}: mean {found}, not {expected}");
            }
            _ => assert_eq!(&found[name], value, "{engine}: {name}"),
        }
    }
}

#[test]
fn song_density_is_the_same_from_upstreams_text_by_spark_and_by_dask() {
    let Some(clusters) = installed() else { return };
    let definition: toml::Table =
        std::fs::read_to_string(ours().join("million-song/dataset.toml")).unwrap().parse().unwrap();
    let columns = definition["table"][0]["column"].as_array().unwrap();
    let fields: Vec<String> = columns.iter().map(|column| column["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(fields.len(), 54);
    let mut rng = Rng::with_seed(2011);
    let parts: Vec<String> = (0..PARTS.len()).map(|number| part(number, &fields, &mut rng)).collect();

    let (origin, shop) = (Origin::start(), Shop::new());
    for (name, text) in PARTS.iter().zip(&parts) {
        origin.put(&format!("/{name}"), text.clone());
    }
    shop.ours("million-song", |text| {
        let mut definition: toml::Table =
            text.replace("http://tbmmsd.s3.amazonaws.com", &origin.url("")).parse().unwrap();
        let each = &mut definition["table"][0]["source"]["each"];
        each["part"] = vec!["A", "B", "C"].into();
        each["letter"] = vec!["a", "b", "c"].into();
        toml::to_string(&definition).unwrap()
    });
    shop.ingest("million-song").published();
    let server = shop.serve();

    let expected = truth(&parts, &fields);
    assert!(expected["songs"].as_u64().unwrap() > 3000, "{expected}");
    let dask = job(&clusters.join("dask/bin/python"), "density_dask.py", &[&server.url, "--workers", "2"]);
    assert_same("Dask", &dask, &expected);
    let jars = clusters.join("jars");
    let cluster = ["--master", "local-cluster[2,1,900]", "--memory", "900m", "--jars", jars.to_str().unwrap()];
    let arguments = [&[server.url.as_str()], cluster.as_slice()].concat();
    let spark = job(&clusters.join("spark/bin/python"), "density_spark.py", &arguments);
    assert_same("Spark", &spark, &expected);
}

#[test]
fn a_million_and_a_half_rows_are_counted_filtered_and_grouped_as_they_are() {
    let Some(clusters) = installed() else { return };
    // Nobody takes `%20` for the space.
    let (origin, shop) = (Origin::start(), Shop::new().env("OPENSHELF_STORE", Some("a store")));
    let (dask, spark) = (clusters.join("dask/bin/python"), clusters.join("spark/bin/python"));
    let made = shop.path("made");
    for version in ["1", "2"] {
        let url = origin.url("");
        run(&dask, "tests/clients/engines/observations.py", &[made.to_str().unwrap(), &url, version]);
        for file in std::fs::read_dir(made.join("upstream")).unwrap().map(Result::unwrap) {
            origin.put(&format!("/{}", file.file_name().display()), std::fs::read(file.path()).unwrap());
        }
        let definition = std::fs::read_to_string(made.join("datasets/observations/dataset.toml")).unwrap();
        shop.define_whole("observations", &definition);
        shop.ingest("observations").published();
    }
    let local = shop.run(&["export-iceberg", "observations"]);
    assert_eq!(local.code, Some(0), "{local}");
    let local = shop.path("a store").canonicalize().unwrap();
    let bucket = Exported::in_bucket("for-spark", "s3a").expect("scripts/tools installs an S3 server");
    part_again(&origin, &shop);
    let server = shop.serve();
    let jars = clusters.join("jars");
    let exported = [local.to_str().unwrap(), &bucket.about.to_string()];
    for said in [
        run(&dask, "tests/clusters/observations_dask.py", &[&server.url]),
        run(
            &spark,
            "tests/clusters/observations_spark.py",
            &[&[server.url.as_str(), jars.to_str().unwrap()], exported.as_slice()].concat(),
        ),
    ] {
        assert!(said.contains("agrees with the truth on 1,600,000 rows"), "{said}");
    }
}
