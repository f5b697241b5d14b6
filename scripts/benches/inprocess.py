"""What programs do without a server, on the same files: DuckDB, Lance and pyarrow."""

import re
import subprocess
import time

import numpy as np
import pyarrow.parquet as pq

import workloads


def timed(calls, seconds):
    """Milliseconds of each call, as many as fit in the time (at least five, unless there are fewer)."""
    took, deadline = [], time.monotonic() + seconds
    for call in calls:
        begun = time.perf_counter()
        call()
        took.append((time.perf_counter() - begun) * 1000)
        if time.monotonic() > deadline and len(took) >= 5:
            break
    return took


def summary(server, workload, took):
    return {
        "server": server,
        "workload": workload,
        "connections": 0,
        "requests": len(took),
        "per_second": 1000 / float(np.mean(took)),
        "p50_ms": float(np.percentile(took, 50)),
        "p99_ms": float(np.percentile(took, 99)),
        "failed": 0,
    }


def connect(files):
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET threads = 2")
    names = ", ".join(f"'{file}'" for file in files)
    connection.execute(f"CREATE VIEW titles AS SELECT * FROM read_parquet([{names}])")
    return connection


def duckdb(files, table, seconds):
    """Pages and look-ups as rows of Python, on the files themselves."""
    connection = connect(files)
    ask = lambda sql, *values: (lambda: connection.execute(sql, list(values)).fetchall())
    offsets = workloads.shuffled(0, table.rows - workloads.PAGE, 2000, 1)
    page = f"SELECT * FROM titles LIMIT {workloads.PAGE} OFFSET "
    kinds = {
        "pages": [ask(f"{page}{offset}") for offset in offsets],
        "look-up": [ask("SELECT * FROM titles WHERE tconst = ?", key) for key in table.present[:2000]],
        "look-up of nothing": [ask("SELECT * FROM titles WHERE tconst = ?", key) for key in table.absent[:2000]],
        "filtered": [
            ask(
                "SELECT * FROM titles WHERE start_year = ? AND title_type = ? AND runtime_minutes >= ? LIMIT 100", *values
            )
            for values in workloads.filters(500, 4)
        ],
    }
    return [summary("DuckDB", name, timed(calls, seconds)) for name, calls in kinds.items()]


def lance(folder, files, table, seconds):
    """Its `take` of a hundred rows in a row, all columns, from its own copy of the table."""
    import lance as format

    place = folder / "titles.lance"
    done = folder / "lance.done"
    if not done.exists():
        print("building the Lance dataset", flush=True)
        for at, file in enumerate(files):
            reader = pq.ParquetFile(file)
            format.write_dataset(
                reader.iter_batches(100_000),
                str(place),
                schema=reader.schema_arrow.remove_metadata(),
                mode="overwrite" if at == 0 else "append",
            )
        done.touch()
    dataset = format.dataset(str(place))
    offsets = workloads.shuffled(0, table.rows - workloads.PAGE, 5000, 1)
    take = lambda offset: (lambda: dataset.take(list(range(offset, offset + workloads.PAGE))))
    return [summary("Lance", "take of 100 rows", timed([take(int(offset)) for offset in offsets], seconds))]


def slices(programs, store):
    """Openshelf without HTTP, by `examples/slice.rs`: milliseconds of 100 rows in a row, with pages kept and without."""
    command = [programs / "examples" / "slice", store, "titles", "titles"]
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600).stdout
    found = re.findall(r"cache +(\d+) MiB: p50 (\d+) us", said)
    return {"kept" if int(cache) else "not kept": int(p50) / 1000 for cache, p50 in found}


def pyarrow(files, rows):
    """Rows a second that pyarrow decodes of the first files, all columns: with its threads, and with one."""
    speeds = {}
    for name, threads in [("threads", True), ("one thread", False)]:
        best = 0
        for _ in range(3):
            begun, read = time.perf_counter(), 0
            for file in files:
                reader = pq.ParquetFile(file)
                for group in range(reader.num_row_groups):
                    if read < rows:
                        read += reader.read_row_group(group, use_threads=threads).num_rows
            best = max(best, read / (time.perf_counter() - begun))
        speeds[name] = best
    return speeds


def sql(server, files, seconds):
    """Each aggregate by turns: DuckDB on the files, Openshelf over HTTP with JSON. Medians, in milliseconds."""
    connection = connect(files)
    compared = {}
    deadline = time.monotonic() + 4 * seconds + 60
    for name in workloads.aggregates("titles", 0):
        ours, theirs = [], []
        for run in range(7):
            statement = workloads.aggregates("titles.titles", run)[name]
            begun = time.perf_counter()
            status, _, body = server.get(f"/v1/sql?{workloads.path('', query=statement)[1:]}")
            ours.append((time.perf_counter() - begun) * 1000)
            if status != 200:
                return {"refused": f"{status} to {statement}: {body[:300]!r}"}
            begun = time.perf_counter()
            connection.execute(workloads.aggregates("titles", run)[name]).fetchall()
            theirs.append((time.perf_counter() - begun) * 1000)
            if run >= 2 and time.monotonic() > deadline:
                break
        compared[name] = {"openshelf_ms": float(np.median(ours)), "duckdb_ms": float(np.median(theirs))}
    return compared
