"""Every engine opens the table through the Iceberg catalog, knowing nothing but its address: count, filter and group-by, now and in
the snapshot before, each equal to the truth, and no more bytes than it should.
Usage: read_iceberg.py http://127.0.0.1:8080 [engine …]"""

import json
import os
import pathlib
import subprocess

from measure import BASE, DATASET, SHARE, TABLE, run
from questions import daft_over, duckdb_over, polars_over


def opened():
    from pyiceberg.catalog import load_catalog

    return load_catalog("openshelf", type="rest", uri=f"{BASE}/iceberg").load_table((DATASET, TABLE))


def pyiceberg(snapshot=None):
    import pyarrow.compute as pc

    table = opened()
    assert [line.snapshot_id for line in table.history()] == [1, 2]

    def scan(**options):
        return table.scan(snapshot_id=snapshot, **options)

    def count():
        # By the manifests, and by the files.
        found = scan(selected_fields=("id",)).to_arrow().num_rows
        assert scan().count() == found
        return found

    def few():
        found = scan(row_filter="id < 1000", selected_fields=("degrees",)).to_arrow()
        return found.num_rows, pc.sum(found["degrees"]).as_py()

    def stations():
        found = scan(selected_fields=("station", "degrees")).to_arrow().group_by("station")
        found = found.aggregate([("degrees", "count"), ("degrees", "sum")]).to_pylist()
        return {row["station"]: (row["degrees_count"], row["degrees_sum"]) for row in found}

    return count, few, stations


def polars(snapshot=None):
    import polars as pl

    table = opened()
    return polars_over(lambda: pl.scan_iceberg(table, snapshot_id=snapshot))


def duckdb(snapshot=None):
    attached = f"attach 'openshelf' as shelf (type iceberg, endpoint '{BASE}/iceberg', authorization_type 'none')"
    source = f"shelf.{DATASET}.{TABLE}" + (f" at (version => {snapshot})" if snapshot else "")
    return duckdb_over(source, attached, extensions=("httpfs", "avro", "iceberg"))


def daft(snapshot=None):
    import daft as engine

    table = opened()
    return daft_over(lambda: engine.read_iceberg(table, snapshot_id=snapshot))


READER = pathlib.Path(__file__).resolve().parents[3] / "target/iceberg-reader/debug/iceberg-reader"


def rust(snapshot=None):
    """tests/iceberg-reader, which scripts/test-engines builds."""

    def ask(question, *of):
        # No environment: what it knows is what the catalog says.
        said = subprocess.run([READER, f"{BASE}/iceberg", question, *of], env={"HOME": os.environ["HOME"]}, stdout=subprocess.PIPE, check=True)
        return json.loads(said.stdout)

    def of_table(question):
        return ask(question, DATASET, TABLE, *([str(snapshot)] if snapshot else []))

    assert ask("tables") == [[DATASET, TABLE]]
    assert of_table("snapshots") == [1, 2]
    return (
        lambda: of_table("count"),
        lambda: of_table("few"),
        lambda: {name: tuple(found) for name, found in of_table("stations").items()},
    )


# As in read.py.
ENGINES = {
    "pyiceberg": (pyiceberg, SHARE, 2),
    "pyiceberg, first": (lambda: pyiceberg(1), SHARE, 1),
    "polars over Iceberg": (polars, SHARE, 2),
    "polars over Iceberg, first": (lambda: polars(1), SHARE, 1),
    "DuckDB over Iceberg": (duckdb, SHARE, 2),
    "DuckDB over Iceberg, first": (lambda: duckdb(1), SHARE, 1),
    "Daft over Iceberg": (daft, SHARE, 2),
    "Daft over Iceberg, first": (lambda: daft(1), SHARE, 1),
    "iceberg crate": (rust, SHARE, 2),
    "iceberg crate, first": (lambda: rust(1), SHARE, 1),
}

run(ENGINES)
