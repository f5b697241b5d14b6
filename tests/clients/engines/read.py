"""Every engine opens the table as its own: count, filter and group-by over HTTP and S3, each equal to the truth, and no more
bytes than it should. Usage: read.py http://127.0.0.1:8080 [engine …]"""

import io
import json
import os
import sys
import time
import urllib.request

import observations

BASE = sys.argv[1].rstrip("/")
WANTED = sys.argv[2:]
HOST = BASE.split("://")[1]
DATASET, TABLE = observations.DATASET, observations.TABLE
FOLDER = f"data/{DATASET}/{TABLE}"
# The same by the number of its snapshot: what is read then never changes.
NUMBERED = f"data/{DATASET}@1/{TABLE}"
TRUTH = observations.truth()
# A share of the table's bytes that a filter on the sort key may take.
SHARE = 0.10

for name in ("NO_PROXY", "no_proxy"):
    os.environ[name] = "127.0.0.1,localhost"
# Nothing here may look for credentials or a region elsewhere.
os.environ |= {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}


def get(path):
    with urllib.request.urlopen(BASE + path, timeout=60) as answer:
        return answer.read()


FILES = json.loads(get(f"/v1/datasets/{DATASET}/tables/{TABLE}/files"))
URLS = [file["url"] if "://" in file["url"] else BASE + file["url"] for file in FILES["files"]]
BYTES = FILES["bytes"]


def sent():
    """Bytes of answers under /data so far, as the server counts them."""
    lines = get("/metrics").decode().splitlines()
    return sum(int(line.split()[-1]) for line in lines if line.startswith('openshelf_sent_bytes_total{route="/data'))


def settled():
    """An answer is counted when its last byte is out, a moment after the client has it."""
    before = sent()
    while True:
        time.sleep(0.1)
        after = sent()
        if after == before:
            return after
        before = after


def polars_over(scan):
    import polars as pl

    def count():
        return scan().select(pl.len()).collect().item()

    def few():
        found = scan().filter(pl.col("id") < 1000).select(pl.len(), pl.col("degrees").sum().cast(pl.Int64)).collect()
        return found.row(0)

    def stations():
        found = scan().group_by("station").agg(pl.len(), pl.col("degrees").sum().cast(pl.Int64)).collect()
        return {name: (rows, total) for name, rows, total in found.rows()}

    return count, few, stations


S3_POLARS = {"aws_endpoint_url": BASE, "aws_skip_signature": "true", "aws_region": "us-east-1", "aws_allow_http": "true"}


def polars_http():
    import polars as pl

    return polars_over(lambda: pl.scan_parquet(URLS))


def polars_s3():
    import polars as pl

    return polars_over(lambda: pl.scan_parquet(f"s3://{FOLDER}/*.parquet", storage_options=S3_POLARS))


def polars_s3_snapshot():
    import polars as pl

    return polars_over(lambda: pl.scan_parquet(f"s3://{NUMBERED}/*.parquet", storage_options=S3_POLARS))


def duckdb_over(source, *settings):
    import duckdb
    from duckdb_extensions import import_extension

    connection = duckdb.connect()
    import_extension("httpfs", con=connection)
    connection.execute("load httpfs")
    for setting in settings:
        connection.execute(setting)

    def count():
        return connection.execute(f"select count(*) from {source}").fetchone()[0]

    def few():
        return connection.execute(f"select count(*), sum(degrees)::bigint from {source} where id < 1000").fetchone()

    def stations():
        found = connection.execute(f"select station, count(*), sum(degrees)::bigint from {source} group by station").fetchall()
        return {name: (rows, total) for name, rows, total in found}

    return count, few, stations


def duckdb_http():
    listed = ", ".join(f"'{url}'" for url in URLS)
    return duckdb_over(f"read_parquet([{listed}])")


SECRET = f"create secret s (type s3, provider config, endpoint '{HOST}', use_ssl false, url_style 'path', region 'us-east-1')"


def duckdb_s3():
    return duckdb_over(f"read_parquet('s3://{FOLDER}/*.parquet')", SECRET)


def duckdb_s3_snapshot():
    return duckdb_over(f"read_parquet('s3://{NUMBERED}/*.parquet')", SECRET)


def duckdb_s3_signed():
    secret = (
        f"create secret s (type s3, provider config, key_id 'anonymous', secret 'anonymous', endpoint '{HOST}', "
        "use_ssl false, url_style 'path', region 'us-east-1')"
    )
    return duckdb_over(f"read_parquet('s3://{FOLDER}/*.parquet')", secret)


def pyarrow_over(dataset):
    import pyarrow.compute as pc

    def count():
        return dataset().count_rows()

    def few():
        found = dataset().to_table(columns=["degrees"], filter=pc.field("id") < 1000)
        return found.num_rows, pc.sum(found["degrees"]).as_py()

    def stations():
        found = dataset().to_table(columns=["station", "degrees"]).group_by("station")
        found = found.aggregate([("degrees", "count"), ("degrees", "sum")]).to_pylist()
        return {row["station"]: (row["degrees_count"], row["degrees_sum"]) for row in found}

    return count, few, stations


def pyarrow_s3():
    import pyarrow.dataset
    import pyarrow.fs

    system = pyarrow.fs.S3FileSystem(anonymous=True, endpoint_override=HOST, scheme="http", region="us-east-1")
    return pyarrow_over(lambda: pyarrow.dataset.dataset(FOLDER, filesystem=system, format="parquet"))


def s3fs_pyarrow():
    import pyarrow.dataset
    import s3fs

    system = s3fs.S3FileSystem(anon=True, client_kwargs={"endpoint_url": BASE})
    assert len(system.ls(f"{FOLDER}/")) == len(URLS) == len(system.glob(f"{FOLDER}/*.parquet"))
    assert not system.exists(f"{FOLDER}/none.parquet")
    assert system.isdir(FOLDER) and system.isfile(system.ls(FOLDER)[0])
    return pyarrow_over(lambda: pyarrow.dataset.dataset(FOLDER, filesystem=system, format="parquet"))


def pandas_over(read):
    def frame(**options):
        return read(columns=["id", "station", "degrees"], **options)

    def count():
        return len(frame())

    def few():
        found = frame(filters=[("id", "<", 1000)])
        return len(found), int(found["degrees"].sum())

    def stations():
        found = frame().groupby("station")["degrees"].agg(["count", "sum"])
        return {name: (int(row["count"]), int(row["sum"])) for name, row in found.iterrows()}

    return count, few, stations


def pandas_http():
    import pandas

    return pandas_over(lambda **options: pandas.concat([pandas.read_parquet(url, **options) for url in URLS]))


def pandas_s3():
    import pandas

    options = {"anon": True, "client_kwargs": {"endpoint_url": BASE}}
    return pandas_over(lambda **more: pandas.read_parquet(f"s3://{FOLDER}/", storage_options=options, **more))


def boto3_s3():
    import boto3
    import pandas
    from botocore import UNSIGNED
    from botocore.config import Config

    options = {"endpoint_url": BASE, "region_name": "us-east-1"}
    plain = {"s3": {"addressing_style": "path"}}
    client = boto3.client("s3", config=Config(signature_version=UNSIGNED, **plain), **options)
    signed = boto3.client(
        "s3", aws_access_key_id="anonymous", aws_secret_access_key="anonymous", config=Config(**plain), **options
    )
    pages = signed.get_paginator("list_objects_v2").paginate(Bucket="data", Prefix=f"{DATASET}/{TABLE}/", PaginationConfig={"PageSize": 3})
    keys = [entry["Key"] for page in pages for entry in page["Contents"]]
    assert len(keys) == len(URLS) and keys == sorted(keys), keys
    old = client.get_paginator("list_objects").paginate(Bucket="data", Prefix=f"{DATASET}/{TABLE}/", PaginationConfig={"PageSize": 3})
    assert [entry["Key"] for page in old for entry in page["Contents"]] == keys
    folders = client.list_objects_v2(Bucket="data", Delimiter="/")
    assert [entry["Prefix"] for entry in folders["CommonPrefixes"]] == [f"{DATASET}/"], folders
    client.head_bucket(Bucket="data")
    client.get_bucket_location(Bucket="data")
    first = client.head_object(Bucket="data", Key=keys[0])
    assert first["ContentLength"] == next(file["bytes"] for file in FILES["files"] if file["url"].endswith(keys[0]))
    try:
        client.get_object(Bucket="data", Key=f"{DATASET}/{TABLE}/none.parquet")
        raise SystemExit("boto3 got an object that is none")
    except client.exceptions.NoSuchKey:
        pass
    presigned = signed.generate_presigned_url("get_object", Params={"Bucket": "data", "Key": keys[0]})
    with urllib.request.urlopen(presigned) as answer:
        assert len(answer.read()) == first["ContentLength"]

    def whole(**more):
        frames = []
        for key in keys:
            body = io.BytesIO()
            client.download_fileobj("data", key, body)
            frames.append(pandas.read_parquet(body, **more))
        return pandas.concat(frames)

    return pandas_over(whole)


def daft_over(read):
    import daft

    def count():
        return read().count_rows()

    def few():
        found = read().where(daft.col("id") < 1000).agg(daft.col("id").count(), daft.col("degrees").sum()).to_pydict()
        return found["id"][0], found["degrees"][0]

    def stations():
        found = read().groupby("station").agg(daft.col("id").count(), daft.col("degrees").sum()).to_pydict()
        return {name: (rows, total) for name, rows, total in zip(found["station"], found["id"], found["degrees"])}

    return count, few, stations


def daft_http():
    import daft

    return daft_over(lambda: daft.read_parquet(URLS))


def daft_s3():
    import daft

    config = daft.io.IOConfig(s3=daft.io.S3Config(endpoint_url=BASE, anonymous=True, region_name="us-east-1", use_ssl=False))
    return daft_over(lambda: daft.read_parquet(f"s3://{FOLDER}/*.parquet", io_config=config))


# Each with the share of the table's bytes that its filter on the sort key may take; None where the client reads whole files.
ENGINES = {
    "polars over HTTP": (polars_http, SHARE),
    "polars over S3": (polars_s3, SHARE),
    "DuckDB over HTTP": (duckdb_http, SHARE),
    "DuckDB over S3": (duckdb_s3, SHARE),
    "DuckDB over S3, signed": (duckdb_s3_signed, SHARE),
    "polars over S3, by number": (polars_s3_snapshot, SHARE),
    "DuckDB over S3, by number": (duckdb_s3_snapshot, SHARE),
    "pyarrow over S3": (pyarrow_s3, SHARE),
    "pyarrow over s3fs": (s3fs_pyarrow, None),
    "pandas over HTTP": (pandas_http, None),
    "pandas over S3": (pandas_s3, None),
    "boto3": (boto3_s3, None),
    "Daft over HTTP": (daft_http, SHARE),
    "Daft over S3": (daft_s3, SHARE),
}


def check(name, opened, most):
    begun = time.monotonic()
    count, few, stations = opened()
    found = count()
    if found != TRUTH["rows"]:
        sys.exit(f"{name}: counts {found}, there are {TRUTH['rows']}")
    before = settled()
    found = tuple(few())
    read = settled() - before
    if found != TRUTH["few"]:
        sys.exit(f"{name}: finds {found} below 1000, there are {TRUTH['few']}")
    if stations() != TRUTH["stations"]:
        sys.exit(f"{name}: groups {stations()}, it is {TRUTH['stations']}")
    print(f"{name:26} right in {time.monotonic() - begun:5.1f} s; the filter read {read:>10,} of {BYTES:,} bytes ({read / BYTES:.1%})", flush=True)
    if read == 0 or (most is not None and read > most * BYTES):
        sys.exit(f"{name}: the filter on the sort key read {read} of {BYTES} bytes; {most:.0%} is the most")


chosen = {name: engine for name, engine in ENGINES.items() if not WANTED or any(word in name for word in WANTED)}
for name, (opened, most) in chosen.items():
    # Each begins anew, in a process of its own: no cache of one spares another a request.
    child = os.fork()
    if child == 0:
        check(name, opened, most)
        sys.stdout.flush()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status != 0:
        sys.exit(f"{name} failed")
print(f"{len(chosen)} engines agree with the truth on {TRUTH['rows']:,} rows in {len(URLS)} files")
