"""The rows as Datasette reads them."""

import json
import sqlite3

import pyarrow.parquet as pq


def build(database, files):
    """One table as Datasette wants it: keys and filtered columns indexed, full text by FTS5."""
    print("building the SQLite database", flush=True)
    building = database.with_suffix(".building")
    building.unlink(missing_ok=True)
    with sqlite3.connect(building) as connection:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(
            "CREATE TABLE titles (tconst TEXT, title_type TEXT, primary_title TEXT, original_title TEXT, is_adult INTEGER,"
            " start_year INTEGER, end_year INTEGER, runtime_minutes INTEGER, genres TEXT)"
        )
        for file in files:
            for batch in pq.ParquetFile(file).iter_batches(50_000):
                columns = [column.to_pylist() for column in batch.columns]
                columns[-1] = [None if genres is None else json.dumps(genres) for genres in columns[-1]]
                connection.executemany("INSERT INTO titles VALUES (?,?,?,?,?,?,?,?,?)", zip(*columns))
        connection.execute("CREATE UNIQUE INDEX by_key ON titles (tconst)")
        for column in ["title_type", "start_year", "runtime_minutes"]:
            connection.execute(f"CREATE INDEX by_{column} ON titles ({column})")
        connection.execute("CREATE INDEX by_year_and_type ON titles (start_year, title_type, runtime_minutes)")
        connection.execute("CREATE VIRTUAL TABLE titles_fts USING fts5 (primary_title, content=\"titles\")")
        connection.execute("INSERT INTO titles_fts (titles_fts) VALUES ('rebuild')")
        connection.execute("ANALYZE")
    building.rename(database)
