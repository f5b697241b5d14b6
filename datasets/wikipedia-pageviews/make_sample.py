#!/usr/bin/env python3
"""Writes sample/: two hours of page views in upstream's form. Titles are real words, all counts are invented (CC0)."""

import gzip
import pathlib

OUT = pathlib.Path(__file__).parent / "sample"
HOURS = {
    "pageviews-20261101-010000.gz": [
        "aa Main_Page 4 0",
        "de Köln 31 0",
        'de.m "Heroes"_(Lied) 7 0',
        "en - 120 0",
        "en Lighthouse 93 0",
        "en.m Lighthouse 214 0",
        "en.m O'Brien 2 0",
        "ja フクロウ 12 0",
        "simple Fjord 5 0",
        "simple.d owl 1 0",
    ],
    # The hour that ends at midnight bears the next day's date.
    "pageviews-20261102-000000.gz": [
        "aa Main_Page 3 0",
        "en Lighthouse 88 0",
        'en "Weird_Al"_Yankovic 41 0',
        "en \\o/ 1 0",
        "www.wd Q39715 6 0",
    ],
}

if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    for name, lines in HOURS.items():
        (OUT / name).write_bytes(gzip.compress(("\n".join(lines) + "\n").encode(), mtime=0))
