#!/usr/bin/env python3
"""Song density of the Million Song Dataset with Dask: segments a second, the extremes, how many songs there are of each.

Reads the current snapshot over S3 (Parquet, three columns of 54), a task for each file.

    density_dask.py http://127.0.0.1:8080
    density_dask.py http://127.0.0.1:8080 --workers 2 --json
"""

import argparse

import dask.dataframe as dd
from dask.distributed import Client, LocalCluster
from density import arguments, show


def density(tracks):
    """A part of the table as track_id and density."""
    tracks = tracks[(tracks.duration > 0) & tracks.segments_start.notna()]
    tracks = tracks.assign(density=tracks.segments_start.map(len).astype("float64") / tracks.duration)
    return tracks.loc[tracks.density > 0, ["track_id", "density"]]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments(parser)
    parser.add_argument("--workers", type=int, default=2, help="processes")
    options = parser.parse_args()
    with LocalCluster(n_workers=options.workers, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster):
        tracks = dd.read_parquet(
            f"s3://data/{options.dataset}/tracks/",
            columns=["track_id", "duration", "segments_start"],
            storage_options={"anon": True, "client_kwargs": {"endpoint_url": options.base}},
        )
        songs = tracks.map_partitions(density, meta={"track_id": "object", "density": "float64"}).persist()
        few = options.extremes
        # Each part gives its extremes, and of those the extremes are found.
        top = songs.map_partitions(lambda part: part.sort_values(["density", "track_id"], ascending=[False, True]).head(few)).compute()
        low = songs.map_partitions(lambda part: part.sort_values(["density", "track_id"]).head(few)).compute()
        by_density = songs.density.floordiv(1).astype("int64").value_counts().compute()
        pairs = lambda part: list(part.head(few)[["track_id", "density"]].itertuples(index=False, name=None))  # noqa: E731
        found = {
            "songs": len(songs),
            "mean": float(songs.density.mean().compute()),
            "densest": pairs(top.sort_values(["density", "track_id"], ascending=[False, True])),
            "sparsest": pairs(low.sort_values(["density", "track_id"])),
            "songs_by_density": {int(segments): int(count) for segments, count in by_density.items()},
        }
    show(found, options)


if __name__ == "__main__":
    main()
