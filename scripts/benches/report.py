"""From numbers to what they mean: the table with ratios, and whether each criterion holds."""

import math

PEERS = ["Datasette", "ROAPI"]
MIB = 1 << 20


def pick(found, server, workload, connections=None):
    """Results of a server for a kind of request, by number of connections."""
    rows = [row for row in found["results"] if (row["server"], row["workload"]) == (server, workload)]
    return [row for row in rows if connections is None or row["connections"] == connections]


def best(found, server, workload):
    return max(pick(found, server, workload), key=lambda row: row["per_second"], default=None)


def one(found, server, workload, connections, key="p50_ms"):
    row = next(iter(pick(found, server, workload, connections)), None)
    return row and row[key]


def ratio(a, b):
    return a / b if a and b else None


def criterion(name, value, limit, at_least=False, unit="×"):
    """`holds` is None where it was not measured."""
    holds = None if value is None else (value >= limit if at_least else value <= limit)
    return {"name": name, "value": value, "limit": limit, "at_least": at_least, "unit": unit, "holds": holds}


def peer_pages(found):
    """The better peer's pages, by whichever way of paging suits it best."""
    kinds = [(peer, kind) for peer in PEERS for kind in ("pages", "pages by key")]
    every = [row for peer, kind in kinds for row in pick(found, peer, kind)]
    return max(every, key=lambda row: row["per_second"], default=None)


def criteria(found):
    facts = found["facts"]
    fact = lambda name, key: (facts.get(name) or {}).get(key)
    ours, theirs = best(found, "Openshelf", "pages"), peer_pages(found)
    tails = []
    for row in pick(found, "Openshelf", "pages"):
        other = theirs and one(found, theirs["server"], theirs["workload"], row["connections"], "p99_ms")
        tails.append(ratio(row["p99_ms"], other))
    page = one(found, "Openshelf", "pages", 1)
    sql = facts.get("sql") or {}
    ratios = [query["openshelf_ms"] / query["duckdb_ms"] for query in sql.values() if isinstance(query, dict)]
    return [
        criterion("random pages, requests a second: best of ours to the better peer's", ratio(ours and ours["per_second"], theirs and theirs["per_second"]), 20, True),
        criterion("random pages, p99 to that peer's, at the worst number of connections", max((t for t in tails if t), default=None), 0.2),
        criterion("random pages, p50 to DuckDB's in process", ratio(page, one(found, "DuckDB", "pages", 0)), 0.2),
        criterion("pages at the end to those at the beginning, p50", ratio(fact("depths", "pages at the end"), fact("depths", "pages at the beginning")), 1.5),
        criterion("pages of ten times the rows and files, p50", ratio(fact("sizes", "pages of the large table"), fact("sizes", "pages")), 1.5),
        criterion("bytes read from the store for a page, at most", fact("scanned", "most"), MIB, unit="B"),
        criterion("look-up by key, p50 to DuckDB's in process", ratio(one(found, "Openshelf", "look-up", 1), one(found, "DuckDB", "look-up", 0)), 0.1),
        criterion("bytes read for an absent key, on average", fact("scanned_absent", "mean"), 0, unit="B"),
        criterion("100 rows in process to Lance's take", ratio(fact("slices", "kept"), one(found, "Lance", "take of 100 rows", 0)), 1),
        criterion("four aggregates, geometric mean of time to DuckDB's", math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else None, 1),
        criterion("export as Arrow, speed to pyarrow's decoding", ratio(facts.get("export_arrow"), fact("pyarrow", "threads")), 0.6, True),
        criterion("resident memory, at most", facts.get("most_mib"), 512, unit="MiB"),
        criterion("resident memory when idle", facts.get("idle_mib"), 100, unit="MiB"),
    ]  # fmt: skip


def number(value, unit=""):
    if value is None:
        return "–"
    if value == 0:
        return "0"
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 0.1 else 4
    return f"{value:,.{digits}f}{' ' + unit if unit and unit != '×' else unit}"


def text(found):
    about, facts, lines = found["about"], found["facts"], []
    lines.append(f"\n{about['when']}, commit {about['commit']}, {about['rows']:,} rows, {about['machine']}\n")
    head = f"{'what':28}{'who':12}{'conn':>5}{'req/s':>10}{'p50 ms':>10}{'p99 ms':>10}{'ratio':>9}"
    lines += [head, "-" * len(head)]
    kinds = dict.fromkeys(row["workload"] for row in found["results"])
    for kind in kinds:
        for row in sorted(pick_kind(found, kind), key=lambda row: row["connections"]):
            ours = one(found, "Openshelf", kind, max(row["connections"], 1), "per_second")
            times = "" if row["server"] == "Openshelf" else number(ratio(ours, row["per_second"]), "×")
            connections = row["connections"] or "in"
            lines.append(
                f"{kind:28}{row['server']:12}{connections:>5}{number(row['per_second']):>10}{number(row['p50_ms']):>10}"
                f"{number(row['p99_ms']):>10}{times:>9}"
            )
    lines.append("ratio: requests a second of Openshelf (in process: on one connection) to theirs\n")
    for name, query in (facts.get("sql") or {}).items():
        if isinstance(query, dict):
            ours, theirs = query["openshelf_ms"], query["duckdb_ms"]
            lines.append(f"SQL {name:24}Openshelf {ours:8.1f} ms   DuckDB {theirs:8.1f} ms   {ours / theirs:.2f}×")
        else:
            lines.append(f"SQL: {query}")
    for form in ["arrow", "csv"]:
        if facts.get(f"export_{form}"):
            lines.append(f"export as {form:6}{number(facts[f'export_{form}'])} rows a second")
    for name, took in (facts.get("slices") or {}).items():
        lines.append(f"100 rows in process, decoded pages {name}: {number(took * 1000)} µs")
    for name, speed in (facts.get("pyarrow") or {}).items():
        lines.append(f"pyarrow, {name}: {number(speed)} rows a second decoded")
    if facts.get("index_seconds"):
        lines.append(f"full-text index ready after {facts['index_seconds']:.0f} s")
    if facts.get("scanned"):
        read = facts["scanned"]
        lines.append(f"read for a page: {read['mean']:,.0f} B on average, {read['most']:,} B at most, {read['first']:,} B the first time")
    memory = {name: facts.get(key) for name, key in [("Openshelf idle", "idle_mib"), ("Openshelf at most", "most_mib"), ("Datasette", "datasette_mib"), ("ROAPI", "roapi_mib")]}
    lines.append("resident MiB: " + ", ".join(f"{name} {number(value)}" for name, value in memory.items() if value))
    for row in found["memory"]:
        if row["after"].startswith("Openshelf"):
            after = row["after"].removeprefix("Openshelf: ")
            lines.append(f"  {after:32}{row['most_mib']:6.0f} at most{row['now_mib']:8.0f} afterwards")
    lines.append("")
    for row in found["criteria"]:
        mark = {True: "holds", False: "FAILS", None: "not measured"}[row["holds"]]
        bound = f"{'≥' if row['at_least'] else '≤'} {number(row['limit'], row['unit'])}"
        lines.append(f"{mark:13} {row['name']}: {number(row['value'], row['unit'])} ({bound})")
    lines += [f"failed: {failure}" for failure in found["failures"]]
    return "\n".join(lines)


def pick_kind(found, kind):
    return [row for row in found["results"] if row["workload"] == kind]
