"""Spark, as a cluster of two workers, opens the table over s3a and over Iceberg as its own. Usage: observations_spark.py URL JARS"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "clients" / "engines"))
sys.path.insert(0, str(pathlib.Path(__file__).parent.parent.parent / "scripts" / "jobs"))

import observations  # noqa: E402
from density_spark import session  # noqa: E402
from pyspark.sql import functions as f  # noqa: E402

BASE, JARS = sys.argv[1:]


class Options:
    master, memory, jars, packages = "local-cluster[2,1,900]", "900m", JARS, None


def check(table):
    assert table.count() == truth["rows"], table.count()
    few = table.where("id < 1000").agg(f.count("*"), f.sum("degrees")).first()
    assert tuple(few) == truth["few"], few
    grouped = table.groupBy("station").agg(f.count("*"), f.sum("degrees")).collect()
    assert {row[0]: (row[1], row[2]) for row in grouped} == truth["stations"], grouped


spark = session(BASE, Options)
truth = observations.truth()
# The whole table, and the same by the number of its snapshot.
for dataset in (observations.DATASET, f"{observations.DATASET}@1"):
    check(spark.read.parquet(f"s3a://data/{dataset}/{observations.TABLE}/"))

for name, value in {
    "": "org.apache.iceberg.spark.SparkCatalog",
    ".type": "rest",
    ".uri": f"{BASE}/iceberg",
    # Over s3a, as above: Iceberg's own S3 client wants more jars.
    ".io-impl": "org.apache.iceberg.hadoop.HadoopFileIO",
}.items():
    spark.conf.set(f"spark.sql.catalog.shelf{name}", value)
name = f"shelf.{observations.DATASET}.{observations.TABLE}"
check(spark.table(name))
check(spark.sql(f"select * from {name} version as of 1"))
assert [row.snapshot_id for row in spark.table(f"{name}.snapshots").collect()] == [1]

executors = spark.sparkContext._jsc.sc().getExecutorMemoryStatus().size() - 1
assert executors == 2, executors
spark.stop()
print(f"Spark agrees with the truth on {truth['rows']:,} rows, with {executors} executors")
