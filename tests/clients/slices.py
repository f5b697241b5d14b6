"""A hundred random slices through HTTP against the same SQL in DuckDB over the files that `/files` names: conditions, orders,
offsets and limits, over every table a running server has. Usage: slices.py http://127.0.0.1:8080 [queries [seed]]"""

import datetime
import decimal
import io
import json
import math
import random
import sys
import urllib.parse
import urllib.request

import duckdb
import pyarrow
import pyarrow.parquet

BASE = sys.argv[1].rstrip("/")
QUERIES = int(sys.argv[2]) if len(sys.argv) > 2 else 100
RANDOM = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 2026)

connection = duckdb.connect()
connection.execute("set timezone = 'UTC'")


def get(path):
    with urllib.request.urlopen(BASE + path if path.startswith("/") else path, timeout=120) as answer:
        return answer.read()


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


class Table:
    """A table of the server, with its rows in DuckDB under their physical numbers."""

    def __init__(self, dataset, name):
        self.path = f"/v1/datasets/{dataset}/tables/{name}"
        self.columns = [(column["name"], column["type"]) for column in json.loads(get(self.path))["columns"]]
        files = json.loads(get(f"{self.path}/files"))["files"]
        parts = [pyarrow.parquet.read_table(io.BytesIO(get(file["url"]))) for file in files]
        rows = pyarrow.concat_tables(parts) if parts else None
        self.rows = rows.num_rows if parts else 0
        if self.rows:
            numbers = pyarrow.array(range(self.rows), pyarrow.int64())
            self.name = f"t{abs(hash((dataset, name)))}"
            # Copied, so that conditions are DuckDB's own and are not handed on to pyarrow.
            connection.register("read", rows.append_column("physical row", numbers))
            connection.execute(f"create table {self.name} as select * from read")
            self.data = rows

    def some(self, column):
        """A value of a column that is there, if any is."""
        for _ in range(20):
            value = self.data[column][RANDOM.randrange(self.rows)].as_py()
            if value is not None and value == value:
                return value
        return None


def literal(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, decimal.Decimal)):
        return str(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, datetime.datetime):
        return f"'{value.replace(tzinfo=None).isoformat()}{'Z' if value.tzinfo else ''}'"
    if isinstance(value, datetime.date):
        return f"'{value.isoformat()}'"
    return "'" + str(value).replace("'", "''") + "'"


def leaf(table):
    name, kind = RANDOM.choice(table.columns)
    column = quoted(name)
    value = table.some(name)
    if value is None or RANDOM.random() < 0.15 or kind.startswith(("struct", "map")) or kind in ("binary", "json"):
        return f"{column} is {RANDOM.choice(['null', 'not null'])}"
    if kind.startswith("list"):
        if kind != "list<utf8>" or not value or value[0] is None:
            return f"{column} is not null"
        return f"list_contains({column}, {literal(RANDOM.choice([item for item in value if item is not None]))})"
    choice = RANDOM.random()
    if kind == "utf8" and choice < 0.3 and value[:2].isalnum():
        return f"{column} like '{RANDOM.choice(['', '%'])}{value[:2]}%'"
    if kind == "utf8" and choice < 0.4:
        return f"length({column}) {RANDOM.choice(['<', '>='])} {len(value)}"
    if choice < 0.5:
        return f"{column} between {literal(value)} and {literal(table.some(name))}"
    if choice < 0.6 and kind != "bool":
        others = ", ".join(literal(table.some(name)) for _ in range(3))
        return f"{column} {RANDOM.choice(['', 'not '])}in ({literal(value)}, {others})"
    return f"{column} {RANDOM.choice(['=', '<>', '<', '<=', '>', '>='])} {literal(value)}"


def condition(table, depth):
    if depth == 0 or RANDOM.random() < 0.4:
        return leaf(table)
    if RANDOM.random() < 0.2:
        return f"not ({condition(table, depth - 1)})"
    return f"({condition(table, depth - 1)}) {RANDOM.choice(['and', 'or'])} ({condition(table, depth - 1)})"


def plain(value):
    """NaN equals itself here; lists and structs are compared whole."""
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return value


def compare(table):
    where = condition(table, 2) if RANDOM.random() < 0.85 else None
    sortable = [(name, kind) for name, kind in table.columns if not kind.startswith(("list", "struct", "map"))]
    keys = RANDOM.sample(sortable, min(RANDOM.randrange(3), len(sortable)))
    order, by = [], []
    for name, kind in keys:
        descending = RANDOM.random() < 0.5
        order.append(("-" if descending else "") + quoted(name))
        if kind.startswith("float"):
            by.append(f"isnan({quoted(name)}) nulls last")
        by.append(f"{quoted(name)} {'desc' if descending else 'asc'} nulls last")
    by.append('"physical row"')
    offset, limit = RANDOM.choice([0, 0, 0, RANDOM.randrange(table.rows + 2)]), RANDOM.randrange(1, 300)
    names = [name for name, _ in table.columns]
    select = RANDOM.sample(names, RANDOM.randrange(1, len(names) + 1))
    shown = ", ".join(map(quoted, select))

    parameters = {"select": shown, "format": "arrow", "offset": offset, "limit": limit}
    sql = f"select {shown} from {table.name}"
    if where:
        parameters["where"] = where
        sql += f" where {where}"
    if order:
        parameters["order_by"] = ",".join(order)
    sql += f" order by {', '.join(by)} limit {limit} offset {offset}"
    address = f"{table.path}/rows?{urllib.parse.urlencode(parameters)}"
    ours = pyarrow.ipc.open_stream(get(address)).read_all().to_pylist()
    theirs = connection.execute(sql).to_arrow_table().to_pylist()
    if plain(ours) != plain(theirs):
        sys.exit(f"{BASE}{address}\n{sql}\nours   {ours[:3]} … {len(ours)} rows\ntheirs {theirs[:3]} … {len(theirs)} rows")
    return len(ours)


tables = [
    Table(dataset["id"], name)
    for dataset in json.loads(get("/v1/datasets"))["datasets"]
    for name in dataset["tables"]
]
tables = [table for table in tables if table.rows]
rows = sum(compare(RANDOM.choice(tables)) for _ in range(QUERIES))
print(f"{QUERIES} slices of {len(tables)} tables agree, {rows} rows")
