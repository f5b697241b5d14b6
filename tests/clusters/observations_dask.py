"""Dask, in two processes, opens the table over S3 as its own. Usage: observations_dask.py URL"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "clients" / "engines"))

import dask.dataframe as dd  # noqa: E402
import observations  # noqa: E402
from dask.distributed import Client, LocalCluster  # noqa: E402

BASE = sys.argv[1]


def main():
    storage = {"anon": True, "client_kwargs": {"endpoint_url": BASE}}
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        workers = len(client.scheduler_info()["workers"])
        assert workers == 2, workers
        # The table as it is, and as it was a snapshot before.
        for dataset, version in ((observations.DATASET, observations.NEWEST), (f"{observations.DATASET}@1", 1)):
            truth = observations.truth(version)
            address = f"s3://data/{dataset}/{observations.TABLE}/"
            table = dd.read_parquet(address, storage_options=storage, columns=["id", "station", "degrees"])
            assert len(table) == truth["rows"], len(table)
            few = dd.read_parquet(address, storage_options=storage, filters=[("id", "<", 1000)])
            found = len(few), int(few.degrees.sum().compute())
            assert found == truth["few"], found
            grouped = table.groupby("station").degrees.agg(["count", "sum"]).compute()
            stations = {station: (int(row["count"]), int(row["sum"])) for station, row in grouped.iterrows()}
            assert stations == truth["stations"], stations
    print(f"Dask agrees with the truth on {observations.ROWS:,} rows, with {workers} workers")


if __name__ == "__main__":
    main()
