"""Reads a running server's tables through its Iceberg catalog with pyiceberg, DuckDB, polars and Daft, and compares each with the
rows that the API gives, snapshot by snapshot; then the metadata that `openshelf export-iceberg` wrote into the store.
Usage: read.py http://127.0.0.1:8080 <store folder>"""

import json
import sys
import urllib.request
from collections import Counter

import daft
import duckdb
import polars
import pyarrow
import pyarrow.ipc
from duckdb_extensions import import_extension
from pyiceberg.catalog import load_catalog
from pyiceberg.table import StaticTable

BASE = sys.argv[1].rstrip("/")


def get(path):
    with urllib.request.urlopen(BASE + path, timeout=60) as answer:
        return answer.read()


def truth(dataset, table, query=""):
    reader = pyarrow.ipc.open_stream(get(f"/v1/datasets/{dataset}/tables/{table}/rows?format=arrow{query}"))
    return reader.read_all()


def plain(value):
    """Any value in a form that compares and sorts, whoever read it."""
    if isinstance(value, dict):
        return ["dict"] + sorted([str(key), plain(item)] for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    if hasattr(value, "tzinfo") and value.tzinfo is not None:
        return value.timestamp()
    return value if value is None or isinstance(value, (int, float, str, bool)) else str(value)


def rows(table):
    columns = [column.to_pylist() for column in table.columns]
    # Entries of a map come as pairs.
    maps = [pyarrow.types.is_map(field.type) for field in table.schema]
    cells = [[dict(cell) if is_map and cell is not None else cell for cell in column] for is_map, column in zip(maps, columns)]
    return Counter(json.dumps([plain(cell) for cell in row]) for row in zip(*cells))


def same(what, found, expected):
    assert found.column_names == expected.column_names, (what, found.column_names, expected.column_names)
    one, other = rows(found), rows(expected)
    if one != other:
        raise AssertionError(f"{what}: {list((one - other).items())[:2]} for {list((other - one).items())[:2]}")


catalog = load_catalog("openshelf", type="rest", uri=BASE + "/iceberg")

connection = duckdb.connect()
for extension in ("httpfs", "avro", "iceberg"):
    import_extension(extension, con=connection)
    connection.execute("load " + extension)
connection.execute("set timezone = 'UTC'")
connection.execute(f"attach 'any' as shelf (type iceberg, endpoint '{BASE}/iceberg', authorization_type 'none')")


def read_all():
    """Every table, whole, by every reader."""
    count = 0
    for namespace in catalog.list_namespaces():
        for identifier in catalog.list_tables(namespace):
            dataset, name = identifier
            table, expected = catalog.load_table(identifier), truth(dataset, name)
            same(f"pyiceberg {identifier}", table.scan().to_arrow(), expected)
            relation = connection.sql(f'select * from shelf."{dataset}"."{name}"')
            same(f"duckdb {identifier}", relation.to_arrow_table(), expected)
            same(f"polars {identifier}", polars.scan_iceberg(table).collect().to_arrow(), expected)
            # Daft has no type for a map of structs inside, and the same for text and JSON: counting is enough there.
            assert daft.read_iceberg(table).count_rows() == expected.num_rows, identifier
            count += 1
    return count


def read_history(identifier):
    """Each snapshot: its rows, with its columns; a filter that prunes files; what the history says."""
    dataset, name = identifier
    table = catalog.load_table(identifier)
    numbers = [snapshot.snapshot_id for snapshot in table.snapshots()]
    published = json.loads(get(f"/v1/datasets/{dataset}/snapshots"))["snapshots"]
    assert numbers == sorted(one["snapshot"] for one in published), numbers
    for number in numbers:
        expected = truth(dataset, name, f"&snapshot={number}")
        same(f"pyiceberg {identifier} {number}", table.scan(snapshot_id=number).to_arrow(), expected)
        relation = connection.sql(f'select * from shelf."{dataset}"."{name}" at (version => {number})')
        assert sum(rows(relation.to_arrow_table()).values()) == expected.num_rows, number
        assert daft.read_iceberg(table, snapshot_id=number).count_rows() == expected.num_rows, number
    # Whoever reads an old file with the newest columns finds no column under the id of another.
    names = {}
    for schema in table.schemas().values():
        for field in schema.fields:
            assert names.setdefault(field.field_id, field.name) == field.name, field
    return table, numbers


def prune(identifier):
    """A condition on the sort key reads the files that may have it, in every reader the same rows."""
    dataset, name = identifier
    table = catalog.load_table(identifier)
    whole = list(table.scan().plan_files())
    scan = table.scan(row_filter="id >= 1500 and id < 1700")
    some = list(scan.plan_files())
    assert 0 < len(some) < len(whole), (len(some), len(whole))
    expected = truth(dataset, name, "&where=id>=1500+and+id<1700")
    assert expected.num_rows == 200
    same("pyiceberg, filtered", scan.to_arrow(), expected)
    relation = connection.sql(f'select * from shelf."{dataset}"."{name}" where id >= 1500 and id < 1700')
    same("duckdb, filtered", relation.to_arrow_table(), expected)
    lazy = polars.scan_iceberg(table).filter((polars.col("id") >= 1500) & (polars.col("id") < 1700))
    same("polars, filtered", lazy.collect().to_arrow(), expected)
    frame = daft.read_iceberg(table).where((daft.col("id") >= 1500) & (daft.col("id") < 1700))
    assert frame.count_rows() == 200
    groups = Counter(truth(dataset, name).column("part").to_pylist())
    found = connection.sql(f'select part, count(*) from shelf."{dataset}"."{name}" group by part').fetchall()
    assert dict(found) == groups, found
    assert connection.sql(f'select count(*) from shelf."{dataset}"."{name}"').fetchone()[0] == sum(groups.values())
    # Bounds of every type let through what is there: each value of each row is found by a filter for it alone.
    sample = truth(dataset, name, "&limit=1").to_pylist()[0]
    for column, value in sample.items():
        if isinstance(value, (int, float, str)):
            literal = repr(value) if not isinstance(value, str) else "'" + value.replace("'", "''") + "'"
            assert table.scan(row_filter=f"{column} = {literal}").to_arrow().num_rows >= 1, (column, value)
    entries = table.inspect.entries()
    assert set(entries.column("status").to_pylist()) <= {0, 1, 2}


def literal(value):
    return f"'{value}'" if isinstance(value, str) else str(value).lower()


def prune_partitions(identifier):
    """In every snapshot, whatever it was partitioned by: a condition on partitions reads their files and no others."""
    dataset, name = identifier
    table, numbers = read_history(identifier)
    # pyiceberg takes conditions on columns that the newest snapshot has, and this one has lost a partition column.
    columns = set(table.schema().column_names)
    for number in numbers:
        files = json.loads(get(f"/v1/datasets/{dataset}/tables/{name}/files?snapshot={number}"))["files"]
        partitions = [{column: value for column, value in file.get("partition", {}).items() if column in columns} for file in files]
        assert len(list(table.scan(snapshot_id=number).plan_files())) == len(files), number
        for partition in [json.loads(text) for text in {json.dumps(partition) for partition in partitions if partition}]:
            wanted = [file["rows"] for file, other in zip(files, partitions) if other == partition]
            assert 0 < len(wanted) < len(files)
            where = " and ".join(
                f"{column} is null" if value is None else f"{column} = {literal(value)}" for column, value in partition.items()
            )
            scan = table.scan(row_filter=where, snapshot_id=number)
            assert len(list(scan.plan_files())) == len(wanted), (number, where)
            assert scan.count() == sum(wanted), (number, where)
            found = connection.sql(f'select count(*) from shelf."{dataset}"."{name}" at (version => {number}) where {where}')
            assert found.fetchone()[0] == sum(wanted), (number, where)
    lazy = polars.scan_iceberg(table).filter(polars.col("code") == "b").collect().height
    # Rows, not `count_rows`: Daft 0.7.26 counts all files there, those of other partitions, too.
    frame = daft.read_iceberg(table).where(daft.col("code") == "b").to_arrow().num_rows
    assert (lazy, frame) == (1500, 1500), (lazy, frame)
    return len(numbers)


def find():
    """What is there is there, and what is not is not."""
    assert catalog.table_exists("evolving.t") and not catalog.table_exists("evolving.nothing")
    assert not catalog.table_exists("nothing.t")
    assert catalog.namespace_exists("evolving") and not catalog.namespace_exists("nothing")
    try:
        catalog.create_namespace("mine")
    except NotImplementedError as error:
        # It asked what the catalog answers, and did not even try.
        assert "does not support" in str(error), error
    else:
        raise AssertionError("a namespace was created")


def read_exported(identifier, folder):
    """The same table without the server: its metadata and its files from the store's folder."""
    dataset, name = identifier
    at = f"{folder}/{dataset}/iceberg/{name}/metadata"
    newest = open(f"{at}/version-hint.text").read()
    table, expected = StaticTable.from_metadata(f"{at}/v{newest}.metadata.json"), truth(dataset, name)
    same("pyiceberg, exported", table.scan().to_arrow(), expected)
    relation = connection.sql(f"select * from iceberg_scan('{at}/v{newest}.metadata.json')")
    same("duckdb, exported", relation.to_arrow_table(), expected)
    # By the table's folder.
    relation = connection.sql(f"select * from iceberg_scan('{folder}/{dataset}/iceberg/{name}')")
    same("duckdb, exported folder", relation.to_arrow_table(), expected)
    again = StaticTable.from_metadata(f"file://{folder}/{dataset}/iceberg/{name}")
    same("pyiceberg, exported folder", again.scan().to_arrow(), expected)
    same("polars, exported", polars.scan_iceberg(table).collect().to_arrow(), expected)
    old = truth(dataset, name, "&snapshot=1")
    same("pyiceberg, exported, snapshot 1", table.scan(snapshot_id=1).to_arrow(), old)


find()
print(read_all(), "tables agree")
table, numbers = read_history(("evolving", "t"))
print(len(numbers), "snapshots agree")
prune(("evolving", "t"))
print("filters agree")
print("partitions agree in", prune_partitions(("parted", "t")), "snapshots")
for dataset in ("evolving", "parted"):
    read_exported((dataset, "t"), sys.argv[2])
print("exports agree")
