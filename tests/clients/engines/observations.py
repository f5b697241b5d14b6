"""The table the engines read: 1.6 million observations in four files, made up the same everywhere, and what is true of it.

`python observations.py FOLDER URL` writes the upstream's files, and a definition that finds them at URL."""

import pathlib
import sys

STATIONS, DAYS, PARTS = 16, 100_000, 4
ROWS = STATIONS * DAYS
PER_PART = ROWS // PARTS
DATASET, TABLE = "observations", "readings"

DEFINITION = """
title = "Made-up observations"
license = {{ id = "CC0-1.0", url = "https://creativecommons.org/publicdomain/zero/1.0/", redistribution = "open" }}

[[table]]
name = "readings"
source = {{ url = "{url}/{{part}}.csv", each = {{ part = {{ from = 0, to = {last} }} }} }}
format = {{ type = "csv", header = true }}
primary_key = ["id"]
sort_key = ["id"]
column = [
    {{ name = "id", type = "int64" }},
    {{ name = "station", type = "utf8" }},
    {{ name = "degrees", type = "int32" }},
    {{ name = "remark", type = "utf8" }},
]
"""


def row(number):
    # Remarks compress as little as text of people does, so that files are as large as real ones.
    mixed = number * 0x9E3779B97F4A7C15BF58476D1CE4E5B9 % (1 << 128)
    return f"{number},s{number % STATIONS:02},{degrees(number)},{mixed ^ mixed >> 61:032x}"


def degrees(number):
    return number * 2654435761 % 4294967296 % 80 - 30


def truth():
    """Rows, rows with id < 1000, the sum of their degrees, and per station: rows and the sum of degrees."""
    sums = [0] * STATIONS
    for number in range(ROWS):
        sums[number % STATIONS] += degrees(number)
    few = sum(degrees(number) for number in range(1000))
    return {
        "rows": ROWS,
        "few": (1000, few),
        "stations": {f"s{station:02}": (DAYS, sums[station]) for station in range(STATIONS)},
    }


def part(number):
    rows = "\n".join(row(n) for n in range(number * PER_PART, (number + 1) * PER_PART))
    return f"id,station,degrees,remark\n{rows}\n".encode()


if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1])
    (folder / "upstream").mkdir(parents=True)
    for number in range(PARTS):
        (folder / "upstream" / f"{number}.csv").write_bytes(part(number))
    definition = folder / "datasets" / DATASET / "dataset.toml"
    definition.parent.mkdir(parents=True)
    definition.write_text(DEFINITION.format(url=sys.argv[2], last=PARTS - 1))
