//! Lists by name: found at once, in order, and no more read than asked for.

use super::{lossy::counted, *};

async fn names(store: &Store, m: &Manifest, from: &str) -> Vec<String> {
    let listed = store.listed(m, &m.tables[0], from.as_bytes()).await.unwrap();
    listed.files().iter().map(|file| file.name().to_owned()).collect()
}

#[tokio::test]
async fn a_file_is_found_by_name_whatever_its_place() {
    for with_list in [true, false] {
        let store = Store::in_memory();
        let files: Vec<DataFile> = (0..5000).rev().map(|n| named(&format!("{n:05}"))).collect();
        let mut m = manifest("d", 1, "r");
        let mut t = table(store.put_segments(Area::Open, &dataset("d"), &files).await.unwrap());
        if with_list {
            t.listed_segments = store.put_listed(Area::Open, &dataset("d"), &files).await.unwrap();
            assert!(t.listed_segments.len() > 2);
        }
        m.tables = vec![t];
        for n in [0, 1, 255, 256, 2047, 2048, 2049, 3333, 4999] {
            let name = format!("{n:05}");
            let found = store.listed_file(&m, &m.tables[0], &name).await.unwrap().unwrap();
            assert_eq!(found.name(), name);
            // A name that lies after it leads to the next one.
            let next = names(&store, &m, &format!("{name}x")).await;
            assert_eq!(next.first().cloned(), (n < 4999).then(|| format!("{:05}", n + 1)), "{name}");
        }
        assert_eq!(names(&store, &m, "").await.first().map(String::as_str), Some("00000"));
        for missing in ["", "0", "00000x", "99999", "~"] {
            assert!(store.listed_file(&m, &m.tables[0], missing).await.unwrap().is_none(), "{missing}");
        }
    }
    let empty = Manifest { tables: vec![table(Vec::new())], ..manifest("d", 1, "r") };
    assert!(names(&Store::in_memory(), &empty, "").await.is_empty());
}

#[tokio::test]
async fn one_of_a_hundred_thousand_files_costs_one_read() {
    let (store, reads) = counted();
    // Names in no order of rows.
    let files: Vec<DataFile> = (0..100_000_u64).map(|n| named(&format!("{:06}", n * 7919 % 100_000))).collect();
    let mut m = manifest("d", 1, "r");
    let mut t = table(store.put_segments(Area::Open, &dataset("d"), &files).await.unwrap());
    t.listed_segments = store.put_listed(Area::Open, &dataset("d"), &files).await.unwrap();
    m.tables = vec![t];
    for name in ["000000", "050000", "099999"] {
        let before = reads();
        assert!(store.listed_file(&m, &m.tables[0], name).await.unwrap().is_some());
        assert_eq!(reads() - before, 1, "{name}");
    }
}
