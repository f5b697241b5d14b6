#!/usr/bin/env python3
"""Writes sample/ in the form of the United Nations' file, from `make_sample.py population.csv.gz`.

The input is the reshaped copy of World Population Prospects 2024 that bokeh-sampledata carries (persons, one row a sex).
Values: United Nations, DESA, Population Division, World Population Prospects 2024, CC BY 3.0 IGO. They are written back
into the UN's columns, in thousands; SortOrder and Notes, which that copy lacks, stay empty.
"""

import csv
import gzip
import io
import pathlib
import sys

OUT = pathlib.Path(__file__).parent / "sample"
COLUMNS = ("SortOrder LocID Notes ISO3_code ISO2_code SDMX_code LocTypeID LocTypeName ParentID Location VarID Variant Time MidPeriod AgeGrp "
           "AgeGrpStart AgeGrpSpan PopMale PopFemale PopTotal").split()
# ISO codes, SDMX code, kind, parent
PLACES = {
    "900": ("", "", 1, 1, "World", 0),
    "276": ("DEU", "DE", 276, 4, "Country/Area", 926),
    "384": ("CIV", "CI", 384, 4, "Country/Area", 914),
    "516": ("NAM", "NA", 516, 4, "Country/Area", 913),
    "535": ("BES", "BQ", 535, 4, "Country/Area", 915),
}
YEARS, AGES = {"1950", "2020", "2100"}, {"0-4", "15-19", "95-99", "100+"}


def thousands(persons):
    whole, rest = divmod(int(persons), 1000)
    return f"{whole}.{rest:03d}".rstrip("0").rstrip(".")


def main(source):
    found = {}
    with gzip.open(source, "rt", encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            if row["LocID"] in PLACES and row["Year"] in YEARS and row["AgeGrp"] in AGES:
                found.setdefault((row["LocID"], row["Location"], row["Year"], row["AgeGrp"], row["AgeGrpStart"]), {})[row["Sex"]] = int(row["Value"])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for (loc, name, year, age, start), sexes in found.items():
        iso3, iso2, sdmx, kind, kind_name, parent = PLACES[loc]
        men, women = sexes["Male"], sexes["Female"]
        writer.writerow(["", loc, "", iso3, iso2, sdmx, kind, kind_name, parent, name, 2, "Medium", year, f"{year}.5", age, start,
                         -1 if age == "100+" else 5, thousands(men), thousands(women), thousands(men + women)])
    OUT.mkdir(exist_ok=True)
    # With the byte order mark that the UN's CSV files begin with.
    (OUT / "WPP2024_PopulationByAge5GroupSex_Medium.csv.gz").write_bytes(gzip.compress(text.getvalue().encode("utf-8-sig"), mtime=0))


if __name__ == "__main__":
    main(sys.argv[1])
