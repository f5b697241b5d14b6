"""The same three questions in each engine's own words: how many rows, how many below 1000 with the sum of their degrees, and both
per station. Each function takes how the table is opened, and gives the three as functions."""


def polars_over(scan):
    """`scan` gives a lazy frame."""
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


def duckdb_over(source, *settings, extensions=("httpfs",)):
    """`source` as it stands after `from`."""
    import duckdb
    from duckdb_extensions import import_extension

    connection = duckdb.connect()
    for extension in extensions:
        import_extension(extension, con=connection)
        connection.execute(f"load {extension}")
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


def pyarrow_over(dataset):
    """`dataset` gives a dataset."""
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


def pandas_over(read):
    """`read` takes `columns` and `filters`."""
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


def daft_over(read):
    """`read` gives a frame."""
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
