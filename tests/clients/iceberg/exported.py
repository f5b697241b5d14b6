"""Reads a table that `openshelf export-iceberg` wrote, from its bucket alone: pyiceberg, DuckDB, polars and Daft, by the table's
folder or by its metadata, now and in snapshots before.

Usage: exported.py S3 FOLDER TRUTH APPENDED, where S3 is {"endpoint", "key", "secret"}, TRUTH has [snapshot, rows, sum of `version`] of
each, the newest one last, and APPENDED is [from, to, rows, sum of `version`] of what was appended in between; all JSON."""

import json
import sys

import daft
import duckdb
import polars
import pyarrow.compute as pc
from duckdb_extensions import import_extension
from pyiceberg.table import StaticTable

S3, FOLDER, TRUTH, APPENDED = json.loads(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]), json.loads(sys.argv[4])
METADATA = f"{FOLDER}/metadata/v{TRUTH[-1][0]}.metadata.json"
PROPERTIES = {
    "s3.endpoint": S3["endpoint"],
    "s3.access-key-id": S3["key"],
    "s3.secret-access-key": S3["secret"],
    "s3.region": "us-east-1",
}
STORAGE = {
    "aws_endpoint_url": S3["endpoint"],
    "aws_access_key_id": S3["key"],
    "aws_secret_access_key": S3["secret"],
    "aws_region": "us-east-1",
    "aws_allow_http": "true",
}

connection = duckdb.connect()
for extension in ("httpfs", "avro", "iceberg"):
    import_extension(extension, con=connection)
    connection.execute("load " + extension)
connection.execute(
    f"create secret (type s3, provider config, key_id '{S3['key']}', secret '{S3['secret']}', region 'us-east-1', "
    f"endpoint '{S3['endpoint'].split('://')[1]}', use_ssl false, url_style 'path')"
)


def pyiceberg(address, snapshot):
    found = StaticTable.from_metadata(address, PROPERTIES).scan(snapshot_id=snapshot).to_arrow()
    return found.num_rows, pc.sum(found["version"]).as_py()


def duck(address, snapshot):
    of = f", snapshot_from_id = {snapshot}" if snapshot else ""
    return connection.execute(f"select count(*), sum(version)::bigint from iceberg_scan('{address}'{of})").fetchone()


def lazy(address, snapshot):
    table = StaticTable.from_metadata(address, PROPERTIES)
    found = polars.scan_iceberg(table, snapshot_id=snapshot, storage_options=STORAGE)
    return found.select(polars.len(), polars.col("version").sum()).collect().row(0)


def frame(address, snapshot):
    table = StaticTable.from_metadata(address, PROPERTIES)
    found = daft.read_iceberg(table, snapshot_id=snapshot).agg(daft.col("id").count(), daft.col("version").sum()).to_pydict()
    return found["id"][0], found["version"][0]


def agree(name, read, address):
    for snapshot, rows, total in [[None, *TRUTH[-1][1:]], *TRUTH]:
        found = tuple(read(address, snapshot))
        if found != (rows, total):
            sys.exit(f"{name}, {address}, snapshot {snapshot}: {found}, not {(rows, total)}")


agree("pyiceberg", pyiceberg, METADATA)
agree("pyiceberg", pyiceberg, FOLDER)
agree("DuckDB", duck, METADATA)
agree("DuckDB", duck, FOLDER)
agree("polars", lazy, METADATA)
agree("Daft", frame, METADATA)
# Whoever reads on from a snapshot gets the new rows, and only those; what replaced others is no append.
begin, end, *expected = APPENDED
table = StaticTable.from_metadata(METADATA, PROPERTIES)
for last in (end, TRUTH[-1][0]):
    found = table.incremental_append_scan(from_snapshot_id_exclusive=begin, to_snapshot_id_inclusive=last).to_arrow()
    found = [found.num_rows, pc.sum(found["version"]).as_py()]
    if found != expected:
        sys.exit(f"pyiceberg, appended from {begin} to {last}: {found}, not {expected}")
print(f"4 readers agree on {len(TRUTH)} snapshots in {FOLDER}")
