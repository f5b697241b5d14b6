"""Spark, as a cluster of two workers, opens the table over s3a and over Iceberg as its own. Usage: observations_spark.py URL JARS"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "clients" / "engines"))
sys.path.insert(0, str(pathlib.Path(__file__).parent.parent.parent / "scripts" / "jobs"))

import observations  # noqa: E402
from density_spark import session  # noqa: E402
from pyspark.sql import functions as f  # noqa: E402

BASE, JARS = sys.argv[1:]
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

executors = spark.sparkContext._jsc.sc().getExecutorMemoryStatus().size() - 1
assert executors == 2, executors
spark.stop()
print(f"Spark agrees with the truth on {observations.ROWS:,} rows, with {executors} executors")
