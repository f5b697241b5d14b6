//! What the answers of a server cannot show: how the index lies on disk.

use tantivy::{Index, IndexWriter, TantivyDocument, index::SegmentReader, indexer::NoMergePolicy};

use super::*;

#[tokio::test]
async fn segments_become_one_in_the_order_of_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    let (schema, texts, row) = fields(1);
    let mut index = Index::create_in_dir(folder.path(), schema).expect("an index");
    index.set_tokenizers(words::manager());
    let mut writer: IndexWriter = index.writer_with_num_threads(1, 15 << 20).expect("a writer");
    writer.set_merge_policy(Box::new(NoMergePolicy));
    // The larger segment is first in tantivy's own list, whatever rows it holds.
    for rows in [200..250_u64, 0..100, 100..200] {
        for n in rows {
            let mut document = TantivyDocument::new();
            document.add_text(texts[0], "one word");
            document.add_u64(row, n);
            writer.add_document(document).expect("room");
        }
        writer.commit().expect("a segment");
    }
    assert_eq!(index.searchable_segment_ids().expect("segments").len(), 3);
    let writer = build::join(index.clone(), writer).await.expect("one segment");
    drop(writer);
    let segments = index.searchable_segments().expect("segments");
    let [segment] = segments.as_slice() else { panic!("{} segments", segments.len()) };
    let reader = SegmentReader::open(segment).expect("a segment");
    let rows = reader.fast_fields().u64(ROW).expect("rows");
    let order: Vec<u64> = (0..250).filter_map(|document| rows.first(document)).collect();
    assert_eq!(order, (0..250).collect::<Vec<_>>());
}

#[test]
fn only_declared_text_is_searched() {
    let column = |kind: &str, search| crate::catalog::Column {
        search,
        ..crate::catalog::Column::new("x", kind.parse().expect("a type"))
    };
    let columns = vec![
        column("utf8", true),
        column("utf8", false),
        column("int64", true),
        column("list<utf8>", true),
        column("struct<a: int32, b: list<utf8>>", true),
        column("list<int64>", true),
        column("map<utf8, int64>", true),
        column("json", true),
    ];
    assert_eq!(declared(&TableSchema { columns }), [0, 3, 4, 6, 7]);
}
