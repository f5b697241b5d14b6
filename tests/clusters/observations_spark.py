"""Spark, as a cluster of two workers, opens the table over s3a and over Iceberg as its own, then what was exported, without a server:
from a folder and from a bucket.

Usage: observations_spark.py URL JARS STORE BUCKET, where STORE is a store's folder, and BUCKET says where another export is and what
is true of it: {"endpoint", "key", "secret", "bucket", "folder", "truth": [[snapshot, rows, sum of `version`], …],
"appended": [from, to, rows, sum of `version`]}."""

import json
import pathlib
import sys
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "clients" / "engines"))
sys.path.insert(0, str(pathlib.Path(__file__).parent.parent.parent / "scripts" / "jobs"))

import observations  # noqa: E402
from density_spark import session  # noqa: E402
from pyspark.sql import functions as f  # noqa: E402

BASE, JARS, STORE, BUCKET = *sys.argv[1:4], json.loads(sys.argv[4])
TRUTH = {version: observations.truth(version) for version in (1, observations.NEWEST)}


class Options:
    master, memory, jars, packages = "local-cluster[2,1,900]", "900m", JARS, None


def check(table, version):
    truth = TRUTH[version]
    assert table.count() == truth["rows"], table.count()
    few = table.where("id < 1000").agg(f.count("*"), f.sum("degrees")).first()
    assert tuple(few) == truth["few"], few
    grouped = table.groupBy("station").agg(f.count("*"), f.sum("degrees")).collect()
    assert {row[0]: (row[1], row[2]) for row in grouped} == truth["stations"], grouped


spark = session(BASE, Options)
# The bucket has an address and keys of its own; Iceberg looks only once.
for name, value in {
    "endpoint": BUCKET["endpoint"],
    "access.key": BUCKET["key"],
    "secret.key": BUCKET["secret"],
    "aws.credentials.provider": "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider",
}.items():
    spark.conf.set(f"fs.s3a.bucket.{BUCKET['bucket']}.{name}", value)
# The table as it is, and as it was a snapshot before.
for dataset, version in ((observations.DATASET, observations.NEWEST), (f"{observations.DATASET}@1", 1)):
    check(spark.read.parquet(f"s3a://data/{dataset}/{observations.TABLE}/"), version)

for name, value in {
    "": "org.apache.iceberg.spark.SparkCatalog",
    ".type": "rest",
    ".uri": f"{BASE}/iceberg",
    # Over s3a, as above: Iceberg's own S3 client wants more jars.
    ".io-impl": "org.apache.iceberg.hadoop.HadoopFileIO",
}.items():
    spark.conf.set(f"spark.sql.catalog.shelf{name}", value)
name = f"shelf.{observations.DATASET}.{observations.TABLE}"
check(spark.table(name), observations.NEWEST)
check(spark.sql(f"select * from {name} version as of 1"), 1)
assert [row.snapshot_id for row in spark.table(f"{name}.snapshots").collect()] == [1, 2]

# Exported into the store: by the table's folder, and as a catalog of such folders.
folder = f"file:{STORE}/{observations.DATASET}/iceberg/{observations.TABLE}"
check(spark.read.format("iceberg").load(folder), observations.NEWEST)
check(spark.read.format("iceberg").option("snapshot-id", 1).load(folder), 1)
for name, value in {"": "org.apache.iceberg.spark.SparkCatalog", ".type": "hadoop", ".warehouse": f"file:{STORE}"}.items():
    spark.conf.set(f"spark.sql.catalog.folders{name}", value)
assert [row.tableName for row in spark.sql(f"show tables in folders.{observations.DATASET}.iceberg").collect()] == [observations.TABLE]
check(spark.table(f"folders.{observations.DATASET}.iceberg.{observations.TABLE}"), observations.NEWEST)

# The same in a bucket.
for snapshot, rows, total in BUCKET["truth"]:
    table = spark.read.format("iceberg").option("snapshot-id", snapshot).load(BUCKET["folder"])
    found = table.agg(f.count("*"), f.sum("version")).first()
    assert tuple(found) == (rows, total), (snapshot, found)
assert spark.read.format("iceberg").load(BUCKET["folder"]).count() == BUCKET["truth"][-1][1]
# Whoever reads on from a snapshot gets the new rows, and only those.
begin, end, *expected = BUCKET["appended"]
appended = spark.read.format("iceberg").option("start-snapshot-id", begin).option("end-snapshot-id", end).load(BUCKET["folder"])
found = list(appended.agg(f.count("*"), f.sum("version")).first())
assert found == expected, found

# A table that was partitioned by a column, by several, by none, by the first one again, wider, and by another, one being gone.
parted = "shelf.parted.t"
snapshots = sorted(row.snapshot_id for row in spark.table(f"{parted}.snapshots").collect())
assert snapshots == [1, 2, 3, 4, 5, 6], snapshots
for snapshot in snapshots:
    old = spark.sql(f"select * from {parted} version as of {snapshot}")
    assert old.count() == 3000, snapshot
    assert old.where("code = 'b'").count() == 1500, snapshot
    assert old.where("year is null and code = 'b'").count() == 30, snapshot
    if snapshot < 3:
        # Iceberg's Java takes the value of a partition by the newest type of its column, and fails where the old one was narrower.
        continue
    assert old.where("year = 2001").count() == 792, snapshot
    read = {row[0].rsplit("/", 1)[-1] for row in old.where("year = 2001").select("_file").distinct().collect()}
    listed = json.load(urllib.request.urlopen(f"{BASE}/v1/datasets/parted/tables/t/files?snapshot={snapshot}"))["files"]
    of = {file["url"].rsplit("/", 1)[-1]: file.get("partition", {}) for file in listed}
    assert all(of[name].get("year", 2001) == 2001 for name in read), (snapshot, read)
found = {row.partition.code: row.file_count for row in spark.table(f"{parted}.partitions").collect()}
assert found == {"ä": 3, "b": 3}, found
joined = spark.table(parted).alias("a").join(spark.table(parted).alias("b"), ["code", "id"]).groupBy("code").count().collect()
assert {row["code"]: row["count"] for row in joined} == {"ä": 1500, "b": 1500}, joined

executors = spark.sparkContext._jsc.sc().getExecutorMemoryStatus().size() - 1
assert executors == 2, executors
spark.stop()
print(f"Spark agrees with the truth on {observations.ROWS:,} rows, with {executors} executors")
