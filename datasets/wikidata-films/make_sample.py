#!/usr/bin/env python3
"""Writes sample/wikidata: a few results in the SPARQL 1.1 JSON results format, facts from Wikidata (CC0).

Some values are left out on purpose, and the last film is invented, to show what absent variables look like.
Before that it checks that the definition's url holds query.rq.
"""

import json
import pathlib
import re
import tomllib
import urllib.parse

HERE = pathlib.Path(__file__).parent
VARIABLES = ["film", "title", "published", "duration", "imdb_id", "directors", "director_names", "genres"]
ENTITY = "http://www.wikidata.org/entity/"
XSD = "http://www.w3.org/2001/XMLSchema#"
FILMS = [
    ("Q151599", "Metropolis", "1927-01-10", 9180, "tt0017136", ["Q19504"], ["Fritz Lang"], ["science fiction film", "silent film"]),
    ("Q24815", "Citizen Kane", "1941-05-01", 7140, "tt0033467", ["Q24829"], ["Orson Welles"], ["drama film", "film à clef"]),
    ("Q132689", "Casablanca", "1942-11-26", 6120, "tt0034583", ["Q51491"], ["Michael Curtiz"], ["romance film", "drama film"]),
    ("Q484048", "Amélie", "2001-04-25", 7320, "tt0211915", ["Q242504"], ["Jean-Pierre Jeunet"], ["romantic comedy"]),
    ("Q99999001", "\"Ebb\" & <flow>", "1998-01-01", 4860.5, None, ["Q99999002", "Q99999003"], ["A. Tide", "B. Tide"], []),
    ("Q99999004", None, None, None, None, [], [], []),
]


def url():
    query = re.sub(r"\s+", " ", (HERE / "query.rq").read_text(encoding="utf-8")).strip()
    return "https://qlever.dev/api/wikidata?action=sparql_json_export&query=" + urllib.parse.quote(query, safe="")


def binding(film):
    item, title, published, duration, imdb, directors, names, genres = film
    row = {"film": {"value": ENTITY + item, "type": "uri"}}
    if title is not None:
        row["title"] = {"value": title, "type": "literal", "xml:lang": "en"}
    if published is not None:
        row["published"] = {"value": published + "T00:00:00Z", "type": "literal", "datatype": XSD + "dateTime"}
    if duration is not None:
        row["duration"] = {"value": str(duration), "type": "literal", "datatype": XSD + "decimal"}
    if imdb is not None:
        row["imdb_id"] = {"value": imdb, "type": "literal"}
    # A concatenation of nothing is the empty text, not an absent variable.
    row["directors"] = {"value": "|".join(ENTITY + director for director in directors), "type": "literal"}
    row["director_names"] = {"value": "|".join(names), "type": "literal"}
    row["genres"] = {"value": "|".join(genres), "type": "literal"}
    return row


def main():
    definition = tomllib.loads((HERE / "dataset.toml").read_text(encoding="utf-8"))
    if definition["table"][0]["source"]["url"] != url():
        raise SystemExit(f"dataset.toml and query.rq differ; the url should be\n{url()}")
    document = {"head": {"vars": VARIABLES}, "results": {"bindings": [binding(film) for film in FILMS]}}
    (HERE / "sample").mkdir(exist_ok=True)
    (HERE / "sample" / "wikidata").write_text(json.dumps(document, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")


if __name__ == "__main__":
    main()
