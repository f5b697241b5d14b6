#!/usr/bin/env python3
"""Writes sample/mbdump.tar.bz2: a tiny MusicBrainz export in the form of the real one, schema sequence 31.

Everything in it is invented (CC0): people, records, ids. The members stand in upstream's order, the five text files first;
the tables are PostgreSQL COPY text: tabs between fields, \\N for null, backslash escapes, t and f, +00 times.
"""

import bz2
import io
import pathlib
import tarfile
import uuid

OUT = pathlib.Path(__file__).parent / "sample"
N = None  # a null


def gid(kind, number):
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"https://example.org/{kind}/{number}"))


def field(value):
    if value is None:
        return "\\N"
    if isinstance(value, bool):
        return "t" if value else "f"
    text = str(value).replace("\\", "\\\\")
    for char, escaped in (("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"), ("\b", "\\b"), ("\f", "\\f"), ("\v", "\\v")):
        text = text.replace(char, escaped)
    return text


def lookup(kind, *names):
    return [(at, name, N, at, N, gid(kind, at)) for at, name in enumerate(names, 1)]


T1, T2, T3 = "2014-06-06 12:43:54.273108+00", "2026-10-30 23:59:59.9+00", "2026-11-01 00:00:00+00"
NODATE = (N, N, N)

TABLES = {
    "area": [
        (1, gid("area", 1), "Sandhaven", 1, 0, T1, *NODATE, *NODATE, False, ""),
        (2, gid("area", 2), "Öresjö", 3, 0, T2, 1290, N, N, *NODATE, False, "the town, not the lake"),
        (3, gid("area", 3), "Old Republic", 1, 0, N, 1918, 10, 28, 1992, 12, 31, True, ""),
    ],
    "artist": [
        (1, gid("artist", 1), "Various Artists", "Various Artists", *NODATE, *NODATE, 3, N, N, "", 0, T1, False, N, N),
        (10, gid("artist", 10), "Mira Öström", "Öström, Mira", 1948, 2, 29, 2019, 11, N, 1, 2, 2, "pianist", 0, T2, True, 2, 1),
        (11, gid("artist", 11), "The Tide\\Tables", "Tide\\Tables, The", 1994, N, N, *NODATE, 2, 1, N, "writes its name with a backslash", 2, T3, False, 1, N),
        (12, gid("artist", 12), "静かな灯台", "Shizukana Tōdai", *NODATE, *NODATE, N, N, N, "", 0, N, False, N, N),
        (2000000000, gid("artist", 13), "Line\nBreak\tand tab", "Line Break", -44, 3, 15, *NODATE, 1, 3, 1, "", 0, T1, True, N, N),
    ],
    "artist_credit": [
        (1, "Various Artists", 1, 12, T1, 0, gid("artist_credit", 1)),
        (20, "Mira Öström", 1, 3, T2, 0, gid("artist_credit", 20)),
        (21, "Mira Öström feat. The Tide\\Tables & 静かな灯台", 3, 1, T3, 0, gid("artist_credit", 21)),
    ],
    "artist_credit_name": [
        (1, 0, 1, "Various Artists", ""),
        (20, 0, 10, "Mira Öström", ""),
        (21, 0, 10, "M. Öström", " feat. "),
        (21, 1, 11, "The Tide\\Tables", " & "),
        (21, 2, 12, "静かな灯台", ""),
    ],
    "release_group": [
        (100, gid("release_group", 100), "Low Water", 20, 1, "", 0, T2),
        (101, gid("release_group", 101), "\"Ebb\"", 21, 2, "with an orchestra", 1, N),
    ],
    "release": [
        (200, gid("release", 200), "Low Water", 20, 100, 1, 1, 120, 28, "4006381333931", "", 0, -1, T2),
        (201, gid("release", 201), "Low Water", 20, 100, 1, N, 120, 28, "", "remaster", 0, 2, T3),
        (202, gid("release", 202), "\"Ebb\"", 21, 101, 3, N, N, N, N, "", 0, 1, N),
    ],
    "release_country": [(200, 1, 1977, 5, 4), (200, 2, 1978, N, N), (201, 2, N, N, N)],
    "release_unknown_country": [(202, 2003, N, N)],
    "release_label": [(1, 200, 300, "SAND 001", T2), (2, 201, 300, N, T3), (3, 202, N, "[none]", N)],
    "medium": [
        (400, 200, 1, 2, "", 0, T2, 2, gid("medium", 400)),
        (401, 201, 1, 1, "Sides A & B", 0, T3, 1, gid("medium", 401)),
        (402, 202, 1, N, "", 0, N, 1, gid("medium", 402)),
    ],
    "recording": [
        (500, gid("recording", 500), "Spring Tide", 20, 213426, "", 0, T2, False),
        (501, gid("recording", 501), "Neap Tide", 20, N, "take 2", 0, T2, False),
        (502, gid("recording", 502), "Ebb (video)", 21, 3600000, "", 0, N, True),
    ],
    "track": [
        (600, gid("track", 600), 500, 400, 1, "A1", "Spring Tide", 20, 213000, 0, T2, False),
        (601, gid("track", 601), 501, 400, 2, "B1", "Neap Tide (take 2)", 20, N, 0, T2, False),
        (602, gid("track", 602), 500, 401, 1, "1", "Spring Tide", 20, 213426, 0, T3, False),
        (603, gid("track", 603), 502, 402, 0, "0", "Ebb", 21, 3600000, 0, N, True),
    ],
    "label": [
        (300, gid("label", 300), "Sandhaven Records", 1970, 1, 1, 1999, N, N, 4711, 1, 1, "", 0, T1, True),
        (301, gid("label", 301), "Flut & Söhne", *NODATE, *NODATE, N, N, N, "", 0, T2, False),
    ],
    "work": [
        (700, gid("work", 700), "Spring Tide", 1, "", 0, T1),
        (701, gid("work", 701), "Ebb: III. Andante", N, "for piano and tide machine", 0, N),
    ],
    "isrc": [(800, 500, "SEXYZ7700001", 0, T1), (801, 502, "SEXYZ0300009", 0, N)],
    "artist_type": lookup("artist_type", "Person", "Group", "Other"),
    "gender": lookup("gender", "Male", "Female"),
    "area_type": lookup("area_type", "Country", "Subdivision", "City"),
    "label_type": lookup("label_type", "Original Production"),
    "work_type": lookup("work_type", "Song"),
    "release_group_primary_type": lookup("release_group_primary_type", "Album", "Single"),
    "release_status": lookup("release_status", "Official", "Promotion", "Bootleg"),
    "release_packaging": lookup("release_packaging", "Jewel Case"),
    "medium_format": [
        (1, "CD", N, 0, 1982, True, "Compact disc", gid("medium_format", 1)),
        (2, "12\" Vinyl", N, 1, 1931, False, "Width 12\",\nsold in a sleeve", gid("medium_format", 2)),
    ],
    "language": [(120, "eng", "eng", "en", "English", 2, "eng"), (486, N, N, N, "Example sign language", 0, "qex")],
    "script": [(28, "Latn", "215", "Latin", 4), (85, "Jpan", "413", "Japanese", 1)],
}
TEXTS = {
    "COPYING": "This sample is in the public domain (CC0 1.0).\n",
    "README": "A sample in the form of a MusicBrainz export. Not MusicBrainz data.\n",
    "TIMESTAMP": "2026-11-04 00:19:52.614281+00",
    "SCHEMA_SEQUENCE": "31\n",
    "REPLICATION_SEQUENCE": "190001\n",
}


def main():
    OUT.mkdir(exist_ok=True)
    members = dict(TEXTS)
    for table in sorted(TABLES):
        members[f"mbdump/{table}"] = "".join("\t".join(map(field, row)) + "\n" for row in TABLES[table])
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, text in members.items():
            info, body = tarfile.TarInfo(name), text.encode()
            info.size, info.mtime, info.mode = len(body), 1793751592, 0o644
            tar.addfile(info, io.BytesIO(body))
    (OUT / "mbdump.tar.bz2").write_bytes(bz2.compress(buffer.getvalue()))


if __name__ == "__main__":
    main()
