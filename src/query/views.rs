//! Text and bytes as views, for plans: a batch then points into decoded pages instead of copying out of them.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use parquet::{
    arrow::{
        ARROW_SCHEMA_META_KEY,
        arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions},
        encode_arrow_schema,
    },
    errors::Result as ParquetResult,
    file::metadata::{FileMetaData, KeyValue, ParquetMetaData, ParquetMetaDataBuilder},
};

/// A schema with views for all its text and bytes. Without the metadata of fields: ids are of no use to a plan, and make
/// schemas differ that are alike.
pub(super) fn schema(schema: &Schema) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().iter().map(view).collect::<Fields>()))
}

fn view(field: &FieldRef) -> FieldRef {
    let kind = match field.data_type() {
        DataType::Utf8 => DataType::Utf8View,
        DataType::Binary => DataType::BinaryView,
        DataType::List(item) => DataType::List(view(item)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(view).collect()),
        kind => kind.clone(),
    };
    Arc::new(Field::new(field.name(), kind, field.is_nullable()))
}

/// The metadata of a file with this schema that says of itself that it has views, so that whoever asks it what types to
/// decode to is told these; here, its schema stays what it is.
///
/// # Errors
/// When the file's types are not those it says.
pub(super) fn hinted(arrow: &SchemaRef, parquet: Arc<ParquetMetaData>) -> ParquetResult<ArrowReaderMetadata> {
    let file = parquet.file_metadata();
    let hint = KeyValue::new(ARROW_SCHEMA_META_KEY.to_owned(), encode_arrow_schema(&schema(arrow)));
    let others = file.key_value_metadata().into_iter().flatten().filter(|pair| pair.key != ARROW_SCHEMA_META_KEY);
    let file = FileMetaData::new(
        file.version(),
        file.num_rows(),
        file.created_by().map(str::to_owned),
        Some(others.cloned().chain([hint]).collect()),
        file.schema_descr_ptr(),
        file.column_orders().cloned(),
    );
    let mut parts = Arc::unwrap_or_clone(parquet).into_builder();
    let whole = ParquetMetaDataBuilder::new(file)
        .set_row_groups(parts.take_row_groups())
        .set_column_index(parts.take_column_index())
        .set_offset_index(parts.take_offset_index())
        .build();
    ArrowReaderMetadata::try_new(Arc::new(whole), ArrowReaderOptions::new().with_schema(Arc::clone(arrow)))
}
