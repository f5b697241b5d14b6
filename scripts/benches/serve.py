"""`scripts/bench serve`: Openshelf and its peers over the same made-up titles, in one run. See scripts/bench."""

import argparse
import json
import pathlib
import platform
import statistics
import subprocess
import sys
import time

import inprocess
import load
import report
import servers
import table as tables
import workloads

BASE = tables.ROOT / "target" / "bench"


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench serve", description=__doc__)
    parser.add_argument("--programs", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, help="rows of the table (10 000 000)")
    parser.add_argument("--seconds", type=int, help="seconds of each measurement (8)")
    parser.add_argument("--large", action="store_true", help="also a table of ten times the rows and files")
    parser.add_argument("--quick", action="store_true", help="100 000 rows, a second each")
    parser.add_argument("--smoke", action="store_true", help="Openshelf alone, 20 000 rows, a second each")
    parser.add_argument("--only", help="servers to measure, by comma: openshelf,datasette,roapi,duckdb,lance,pyarrow")
    parser.add_argument("--json", type=pathlib.Path, default=BASE / "serve.json", help="where the numbers go")
    given = parser.parse_args()
    rows, seconds = (20_000, 1) if given.smoke else (100_000, 1) if given.quick else (10_000_000, 8)
    given.rows, given.seconds = given.rows or rows, given.seconds or seconds
    given.connections = [1, 4] if given.smoke else [1, 4, 32]
    everyone = ["openshelf", "datasette", "roapi", "duckdb", "lance", "pyarrow"]
    given.only = given.only.split(",") if given.only else ["openshelf"] if given.smoke else everyone
    if unknown := set(given.only) - set(everyone):
        parser.error(f"--only knows {', '.join(everyone)}, not {', '.join(unknown)}")
    return given


class Bench:
    """All that is found out."""

    def __init__(self, given):
        self.given = given
        self.found = {"about": about(given), "results": [], "facts": {}, "memory": [], "failures": []}

    def attempt(self, what, measure, server=None):
        """One part; what goes wrong is said, and the others go on. Of a server, what it took at most is written down."""
        print(f"- {what}", flush=True)
        try:
            return measure()
        except Exception as error:  # noqa: BLE001
            print(f"  FAILED {what}: {error}", file=sys.stderr, flush=True)
            self.found["failures"].append(f"{what}: {error}")
            return None
        finally:
            if server and server.process.poll() is None:
                now, most = server.memory()
                self.found["memory"].append({"after": what, "now_mib": now, "most_mib": most})

    def loads(self, server, folder, asked, post=None):
        """Every kind of request at every number of connections."""
        for workload, file in workloads.write(folder, server.name.lower(), asked).items():
            self.attempt(f"{server.name}: {workload}", lambda: self.load(server, workload, file, post), server)

    def by_turns(self, server, folder, asked, turns=5):
        """The median p50 of each kind of request on one connection, in milliseconds. Short runs by turns: a machine that
        is slow for a while is slow for all of them."""
        files = workloads.write(folder, server.name.lower(), asked)
        found = {workload: [] for workload in files}
        for turn in range(turns):
            for workload, file in files.items():
                first = turn * workloads.PATHS // turns
                result = load.run(server, workload, file, 1, max(1, self.given.seconds // 4), first)
                found[workload].append(result["p50_ms"])
        return {workload: statistics.median(times) for workload, times in found.items()}

    def load(self, server, workload, file, post):
        load.check(server, workload, file, post)
        for at, connections in enumerate(self.given.connections):
            first = at * workloads.PATHS // len(self.given.connections)
            result = load.run(server, workload, file, connections, self.given.seconds, first, post)
            self.found["results"].append(result)
            if result["failed"]:
                raise load.Failed(f"{result['failed']} requests failed at {connections} connections")


def about(given):
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=tables.ROOT, capture_output=True, text=True)
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    return {
        "when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "commit": commit.stdout.strip(),
        "rows": given.rows,
        "seconds": given.seconds,
        "machine": f"{len(__import__('os').sched_getaffinity(0))} × {model}, {platform.system()}",
    }


def scanned(server, paths):
    """Bytes read from the store for each of these, and the milliseconds it took."""
    read = []
    for path in paths:
        status, headers, _ = server.get(path)
        if status != 200:
            raise load.Failed(f"{status} to {path}")
        read.append(int(headers["Openshelf-Scanned-Bytes"]))
    return {"first": read[0], "most": max(read[1:]), "mean": sum(read[1:]) / (len(read) - 1)}


def wait_for_index(server, path):
    """Full text is ready when its index is built: 202 until then."""
    begun = time.monotonic()
    while (status := server.get(path)[0]) == 202:
        if time.monotonic() - begun > 1800:
            raise load.Failed("the index is not built after half an hour")
        time.sleep(1)
    if status != 200:
        raise load.Failed(f"{status} to {path}")
    return time.monotonic() - begun


def export(server, dataset, form, rows):
    """Rows a second of a whole export: the best of three, each of other rows."""
    best = 0
    for start in range(3):
        url = f"http://127.0.0.1:{server.port}/v1/datasets/{dataset}/tables/titles/rows"
        url += f"?format={form}&limit={rows}&offset={start}"
        command = ["curl", "-sS", "--fail", "-o", "/dev/null", "-w", "%{time_total}", url]
        took = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600).stdout
        best = max(best, rows / float(took))
    return best


def measure_openshelf(bench, folder, store, made):
    given, facts = bench.given, bench.found["facts"]
    with servers.openshelf(given.programs, store, folder) as server:
        server.get("/v1/datasets")
        facts["idle_mib"] = server.memory()[0]
        table = made(server)
        asked = workloads.openshelf(table)
        cold = asked["pages"][-300:]
        facts["scanned"] = bench.attempt("Openshelf: bytes read for a page", lambda: scanned(server, cold), server)
        absent = asked["look-up of nothing"][-300:]
        measure = lambda: scanned(server, absent)
        facts["scanned_absent"] = bench.attempt("Openshelf: bytes read for no row", measure, server)
        ready = lambda: wait_for_index(server, asked["full text"][0])
        facts["index_seconds"] = bench.attempt("Openshelf: full-text index", ready, server)
        if facts["index_seconds"] is None:
            del asked["full text"]
        bench.loads(server, folder, asked)
        ends = {name: asked[name] for name in ["pages at the beginning", "pages at the end"]}
        measure = lambda: bench.by_turns(server, folder, ends)
        facts["depths"] = bench.attempt("Openshelf: pages at both ends by turns", measure, server)
        if given.large:
            large = workloads.openshelf(table_of(10 * table.rows), "titles-large")
            sizes = {"pages": asked["pages"], "pages of the large table": large["pages"]}
            bench.loads(server, folder, {"pages of the large table": large["pages"]})
            measure = lambda: bench.by_turns(server, folder, sizes)
            facts["sizes"] = bench.attempt("Openshelf: pages of both tables by turns", measure, server)
        measure = lambda: inprocess.sql(server, table.files, given.seconds)
        facts["sql"] = bench.attempt("Openshelf: SQL", measure, server)
        rows = min(1_000_000, table.rows // 2)
        facts["export_rows"] = rows
        for form in ["arrow", "csv"]:
            facts[f"export_{form}"] = bench.attempt(
                f"Openshelf: export as {form}", lambda: export(server, "titles", form, rows), server
            )
        facts["most_mib"] = max(row["most_mib"] for row in bench.found["memory"])
        (folder / "metrics.txt").write_bytes(server.get("/metrics")[2])
        return table


def table_of(rows):
    """Enough of a table to ask for pages of it."""
    table = object.__new__(workloads.Table)
    table.rows, table.present, table.absent, table.words = rows, ["a"], ["b"], ["a", "b"]
    return table


def main():
    given = arguments()
    folder, copies = tables.published(BASE, given.rows), tables.copies(BASE, given.rows)
    bench = Bench(given)
    facts = bench.found["facts"]
    store = tables.build(given.programs, folder, "titles", given.rows, 1)
    if given.large:
        tables.build(given.programs, folder, "titles-large", given.rows, 10)

    def made(server):
        table = workloads.Table(servers.parquet_files(server, store, "titles"))
        table.files = servers.parquet_files(server, store, "titles")
        return table

    if "openshelf" in given.only:
        table = measure_openshelf(bench, folder, store, made)
    else:
        with servers.openshelf(given.programs, store, folder) as server:
            table = made(server)
    for name, start, ask, post in [
        ("datasette", servers.datasette, workloads.datasette, None),
        ("roapi", servers.roapi, workloads.roapi, "/api/sql"),
    ]:
        if name in given.only:

            def peer():
                with start(copies, table.files, folder) as server:
                    bench.loads(server, folder, ask(table), post)
                    own = [row["most_mib"] for row in bench.found["memory"] if row["after"].startswith(server.name)]
                    facts[f"{name}_mib"] = max(own, default=None)

            bench.attempt(name, peer)
    if "duckdb" in given.only:
        duckdb = bench.attempt("duckdb", lambda: inprocess.duckdb(table.files, table, given.seconds))
        bench.found["results"] += duckdb or []
    if "lance" in given.only:
        lance = bench.attempt("lance", lambda: inprocess.lance(copies, table.files, table, given.seconds))
        bench.found["results"] += lance or []
    if "openshelf" in given.only and (given.programs / "examples" / "slice").exists():
        facts["slices"] = bench.attempt("slices in process", lambda: inprocess.slices(given.programs, store))
    if "pyarrow" in given.only:
        rows = min(1_000_000, table.rows // 2)
        facts["pyarrow"] = bench.attempt("pyarrow", lambda: inprocess.pyarrow(table.files, rows))
    given.json.parent.mkdir(parents=True, exist_ok=True)
    bench.found["criteria"] = report.criteria(bench.found)
    given.json.write_text(json.dumps(bench.found, indent=1) + "\n")
    print(report.text(bench.found))
    print(f"numbers: {given.json}")
    return 1 if bench.found["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
