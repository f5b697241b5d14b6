#!/usr/bin/env python3
"""Cuts sample/all_month.geojson out of a USGS summary feed: `make_sample.py feed.geojson`.

The committed sample was cut from the all_week feed of 2018-02-07 (public domain); the metadata block says so, its count
and the bounding box are those of the cut. Taken: the first 12 events, then those that have what is rare (null magnitude,
reports, an alert, a tsunami flag, depth above sea level, other kinds of events, letters beyond ASCII).
"""

import json
import pathlib
import sys

OUT = pathlib.Path(__file__).parent / "sample"
RARE = [
    lambda f: f["properties"]["mag"] is None,
    lambda f: (f["properties"]["mag"] or 0) < 0,
    lambda f: f["properties"]["felt"],
    lambda f: f["properties"]["alert"] not in (None, "green"),
    lambda f: f["properties"]["alert"] == "green",
    lambda f: f["properties"]["tsunami"],
    lambda f: f["geometry"]["coordinates"][2] < 0,
    lambda f: f["properties"]["type"] != "earthquake",
    lambda f: not f["properties"]["place"].isascii(),
    lambda f: f["properties"]["gap"] is None,
    lambda f: f["properties"]["net"] not in ("ci", "nc", "ak", "us"),
]


def main(feed):
    document = json.loads(pathlib.Path(feed).read_text(encoding="utf-8"))
    chosen = document["features"][:12]
    for test in RARE:
        matching = [feature for feature in document["features"] if test(feature) and feature not in chosen]
        chosen += matching[:2]
    points = [feature["geometry"]["coordinates"] for feature in chosen]
    metadata = dict(document["metadata"], count=len(chosen))
    box = [pick(axis) for pick in (min, max) for axis in zip(*points)]

    def compact(value):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    # One feature a line, as upstream writes it.
    text = f'{{"type":"FeatureCollection","metadata":{compact(metadata)},"features":[' + ",\n".join(map(compact, chosen)) + f'],"bbox":{compact(box)}}}'
    OUT.mkdir(exist_ok=True)
    (OUT / "all_month.geojson").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
