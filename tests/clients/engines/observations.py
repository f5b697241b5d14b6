"""The table the engines read: 1.6 million observations in four files, made up the same everywhere, and what is true of it.

It has two versions: in the first one the first part was a degree colder, and the last part half as long.

`python observations.py FOLDER URL VERSION` writes the upstream's files, as far as the version before has others, and a definition
that finds them at URL."""

import pathlib
import sys

STATIONS, DAYS, PARTS = 16, 100_000, 4
ROWS = STATIONS * DAYS
PER_PART = ROWS // PARTS
NEWEST = 2
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


def row(number, version):
    # Remarks compress as little as text of people does, so that files are as large as real ones.
    mixed = number * 0x9E3779B97F4A7C15BF58476D1CE4E5B9 % (1 << 128)
    return f"{number},s{number % STATIONS:02},{degrees(number, version)},{mixed ^ mixed >> 61:032x}"


def degrees(number, version):
    colder = version == 1 and number < PER_PART
    return number * 2654435761 % 4294967296 % 80 - 30 - colder


def numbers(part, version):
    """What is observed in a part."""
    shorter = version == 1 and part == PARTS - 1
    return range(part * PER_PART, part * PER_PART + (PER_PART // 2 if shorter else PER_PART))


def truth(version=NEWEST):
    """Rows, rows with id < 1000, the sum of their degrees, and per station: rows and the sum of degrees."""
    counts, sums = [0] * STATIONS, [0] * STATIONS
    for part in range(PARTS):
        for number in numbers(part, version):
            counts[number % STATIONS] += 1
            sums[number % STATIONS] += degrees(number, version)
    return {
        "rows": sum(counts),
        "few": (1000, sum(degrees(number, version) for number in range(1000))),
        "stations": {f"s{station:02}": (counts[station], sums[station]) for station in range(STATIONS)},
    }


def text(part, version):
    rows = "\n".join(row(number, version) for number in numbers(part, version))
    return f"id,station,degrees,remark\n{rows}\n".encode()


if __name__ == "__main__":
    folder, url, version = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    (folder / "upstream").mkdir(parents=True, exist_ok=True)
    for part in range(PARTS) if version == 1 else (0, PARTS - 1):
        (folder / "upstream" / f"{part}.csv").write_bytes(text(part, version))
    definition = folder / "datasets" / DATASET / "dataset.toml"
    definition.parent.mkdir(parents=True, exist_ok=True)
    definition.write_text(DEFINITION.format(url=url, last=PARTS - 1))
