#!/usr/bin/env python3
"""Song density of the Million Song Dataset with Spark: segments a second, the extremes, how many songs there are of each.

Reads the current snapshot over S3 (Parquet, three columns of 54). Spark needs hadoop-aws and the AWS SDK of its Hadoop version:
`--packages org.apache.hadoop:hadoop-aws:3.3.4` where Maven is reached, `--jars <folder>` where the jars are at hand.

    density_spark.py http://127.0.0.1:8080
    density_spark.py http://127.0.0.1:8080 --master 'local-cluster[2,1,900]' --memory 900m --jars ~/jars --json
"""

import argparse
import pathlib

from density import arguments, show
from pyspark.sql import SparkSession
from pyspark.sql import functions as f


def session(base, options):
    builder = (
        SparkSession.builder.appName("song density")
        .config("spark.hadoop.fs.s3a.endpoint", base)
        .config("spark.hadoop.fs.s3a.endpoint.region", "us-east-1")
        .config("spark.hadoop.fs.s3a.path.style.access", "true")
        .config("spark.hadoop.fs.s3a.connection.ssl.enabled", str(base.startswith("https")).lower())
        .config("spark.hadoop.fs.s3a.aws.credentials.provider", "org.apache.hadoop.fs.s3a.AnonymousAWSCredentialsProvider")
        # Addresses in Iceberg's metadata begin with s3.
        .config("spark.hadoop.fs.s3.impl", "org.apache.hadoop.fs.s3a.S3AFileSystem")
        .config("spark.ui.enabled", "false")
    )
    if options.master:
        builder = builder.master(options.master)
    if options.memory:
        builder = builder.config("spark.executor.memory", options.memory).config("spark.driver.memory", options.memory)
    if options.jars:
        builder = builder.config("spark.jars", ",".join(str(jar) for jar in sorted(pathlib.Path(options.jars).glob("*.jar"))))
    if options.packages:
        builder = builder.config("spark.jars.packages", options.packages)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments(parser)
    parser.add_argument("--master", help="where Spark runs, such as local[2]")
    parser.add_argument("--memory", help="memory of an executor, such as 900m")
    parser.add_argument("--jars", help="folder with hadoop-aws and the AWS SDK")
    parser.add_argument("--packages", help="the same as Maven coordinates")
    options = parser.parse_args()
    spark = session(options.base, options)
    songs = (
        spark.read.parquet(f"s3a://data/{options.dataset}/tracks/")
        .where("duration > 0")
        .select("track_id", (f.size("segments_start") / f.col("duration")).alias("density"))
        .where("density > 0")
        .cache()
    )
    pairs = lambda rows: [(row.track_id, row.density) for row in rows]  # noqa: E731
    found = {
        "songs": songs.count(),
        "mean": songs.agg(f.avg("density")).first()[0],
        "densest": pairs(songs.orderBy(f.desc("density"), "track_id").limit(options.extremes).collect()),
        "sparsest": pairs(songs.orderBy("density", "track_id").limit(options.extremes).collect()),
        "songs_by_density": {
            int(row.segments): row.songs
            for row in songs.groupBy(f.floor("density").alias("segments")).agg(f.count("*").alias("songs")).collect()
        },
    }
    spark.stop()
    show(found, options)


if __name__ == "__main__":
    main()
