"""Every engine opens the table as its own: count, filter and group-by over HTTP and S3, each equal to the truth, and no more
bytes than it should. Usage: read.py http://127.0.0.1:8080 [engine …]"""

import io
import urllib.request

from measure import BASE, DATASET, FILES, HOST, SHARE, TABLE, run
from questions import daft_over, duckdb_over, pandas_over, polars_over, pyarrow_over

URLS = [file["url"] if "://" in file["url"] else BASE + file["url"] for file in FILES[2]["files"]]
FOLDER = f"data/{DATASET}/{TABLE}"
# The first snapshot by its number: what is read then never changes.
FIRST = f"data/{DATASET}@1/{TABLE}"
S3_POLARS = {"aws_endpoint_url": BASE, "aws_skip_signature": "true", "aws_region": "us-east-1", "aws_allow_http": "true"}


def polars_http():
    import polars as pl

    return polars_over(lambda: pl.scan_parquet(URLS))


def polars_s3():
    import polars as pl

    return polars_over(lambda: pl.scan_parquet(f"s3://{FOLDER}/*.parquet", storage_options=S3_POLARS))


def polars_s3_first():
    import polars as pl

    return polars_over(lambda: pl.scan_parquet(f"s3://{FIRST}/*.parquet", storage_options=S3_POLARS))


def duckdb_http():
    listed = ", ".join(f"'{url}'" for url in URLS)
    return duckdb_over(f"read_parquet([{listed}])")


SECRET = f"create secret s (type s3, provider config, endpoint '{HOST}', use_ssl false, url_style 'path', region 'us-east-1')"


def duckdb_s3():
    return duckdb_over(f"read_parquet('s3://{FOLDER}/*.parquet')", SECRET)


def duckdb_s3_first():
    return duckdb_over(f"read_parquet('s3://{FIRST}/*.parquet')", SECRET)


def duckdb_s3_signed():
    secret = (
        f"create secret s (type s3, provider config, key_id 'anonymous', secret 'anonymous', endpoint '{HOST}', "
        "use_ssl false, url_style 'path', region 'us-east-1')"
    )
    return duckdb_over(f"read_parquet('s3://{FOLDER}/*.parquet')", secret)


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
    assert first["ContentLength"] == next(file["bytes"] for file in FILES[2]["files"] if file["url"].endswith(keys[0]))
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


def daft_http():
    import daft

    return daft_over(lambda: daft.read_parquet(URLS))


def daft_s3():
    import daft

    config = daft.io.IOConfig(s3=daft.io.S3Config(endpoint_url=BASE, anonymous=True, region_name="us-east-1", use_ssl=False))
    return daft_over(lambda: daft.read_parquet(f"s3://{FOLDER}/*.parquet", io_config=config))


# Each with the share of the table's bytes that its filter on the sort key may take (None where the client reads whole files), and
# the snapshot it reads.
ENGINES = {
    "polars over HTTP": (polars_http, SHARE, 2),
    "polars over S3": (polars_s3, SHARE, 2),
    "DuckDB over HTTP": (duckdb_http, SHARE, 2),
    "DuckDB over S3": (duckdb_s3, SHARE, 2),
    "DuckDB over S3, signed": (duckdb_s3_signed, SHARE, 2),
    "polars over S3, first": (polars_s3_first, SHARE, 1),
    "DuckDB over S3, first": (duckdb_s3_first, SHARE, 1),
    "pyarrow over S3": (pyarrow_s3, SHARE, 2),
    "pyarrow over s3fs": (s3fs_pyarrow, None, 2),
    "pandas over HTTP": (pandas_http, None, 2),
    "pandas over S3": (pandas_s3, None, 2),
    "boto3": (boto3_s3, None, 2),
    "Daft over HTTP": (daft_http, SHARE, 2),
    "Daft over S3": (daft_s3, SHARE, 2),
}

run(ENGINES)
