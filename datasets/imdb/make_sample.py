#!/usr/bin/env python3
"""Writes sample/ in the layout of IMDb's files. None of it is IMDb's data.

Titles, years, genres, running times and who worked on a film are facts from Wikidata (CC0). Person ids, ratings, votes,
the order of alternative titles and the series "The Harbor Watch" are invented.
Rows stand in the order of upstream's files: by id as text (tt10105774 before tt1566648), akas' `ordering` too.
"""

import gzip
import pathlib

OUT = pathlib.Path(__file__).parent / "sample"

FILES = {
    "title.basics": """\
tconst titleType primaryTitle originalTitle isAdult startYear endYear runtimeMinutes genres
tt0041959|movie|The Third Man|The Third Man|0|1949|\\N|104|Adventure,Crime,Drama
tt0042876|movie|Rashomon|羅生門|0|1950|\\N|88|Crime,Drama
tt0130827|movie|Run Lola Run|Lola rennt|0|1998|\\N|81|Crime,Drama,Thriller
tt0211915|movie|Amélie|Le Fabuleux Destin d'Amélie Poulain|0|2001|\\N|122|Comedy,Drama,Romance
tt0328802|movie|11'09"01 September 11|11'09"01 September 11|0|2002|\\N|134|Drama
tt10105774|tvSeries|The Harbor Watch|Die Hafenwache|0|2018|2021|\\N|Drama
tt10105776|tvEpisode|"Fog"|"Nebel"|0|2018|\\N|44|Drama
tt10105778|tvEpisode|Low Tide|Ebbe|0|\\N|\\N|\\N|\\N
tt1566648|movie|Waiting for "Superman"|Waiting for "Superman"|0|2010|\\N|102|Documentary
tt9900001|video|Harbor Lights After Dark|Harbor Lights After Dark|1|2019|\\N|61|Adult
""",
    # types and attributes are separated by the byte 0x02. The second row 2 of tt0211915 is a duplicate key.
    "title.akas": """\
titleId ordering title region language types attributes isOriginalTitle
tt0130827|1|Lola rennt|\\N|\\N|original|\\N|1
tt0130827|10|Run Lola Run|GB|\\N|imdbDisplay|\\N|0
tt0130827|11|Lola rennt|DE|de|imdbDisplay|\\N|0
tt0130827|2|Corre, Lola, corre|ES|\\N|imdbDisplay|\\N|0
tt0211915|1|Le Fabuleux Destin d'Amélie Poulain|\\N|\\N|original|\\N|1
tt0211915|2|Die fabelhafte Welt der Amélie|DE|de|imdbDisplay\x02dvd|\\N|0
tt0211915|2|Die fabelhafte Welt der Amelie|AT|de|alternative|\\N|0
tt0211915|3|Amélie|US|en|alternative|informal title\x02new syndication title|0
tt0211915|4|アメリ|JP|ja|\\N|\\N|0
tt1566648|1|Waiting for "Superman"|\\N|\\N|original|\\N|1
""",
    "title.crew": """\
tconst directors writers
tt0041959|nm9000561|nm9000787,nm9001574,nm9000875
tt0042876|nm9001883|nm9001883,nm9003701,nm9003702
tt0130827|nm9032541|nm9032541
tt0211915|nm9025233|nm9029218,nm9025233
tt10105774|\\N|\\N
tt1566648|nm9026478|nm9026478
""",
    "title.episode": """\
tconst parentTconst seasonNumber episodeNumber
tt10105776|tt10105774|1|1
tt10105778|tt10105774|\\N|\\N
""",
    "title.principals": """\
tconst ordering nconst category job characters
tt0041959|1|nm9000888|actor|\\N|["Holly Martins"]
tt0041959|2|nm9002915|actress|\\N|["Anna Schmidt"]
tt0041959|3|nm9000561|director|\\N|\\N
tt0130827|1|nm9033596|actress|\\N|["Lola"]
tt0130827|2|nm9033597|actor|\\N|["Erzähler","Der \\"Off\\"-Sprecher"]
tt0130827|3|nm9032541|writer|written by|\\N
tt0211915|1|nm9035183|actress|\\N|["Amélie Poulain"]
tt0211915|2|nm9025233|director|\\N|\\N
tt10105776|1|nm9900001|self|\\N|["Self - Guest, \\\\ and narrator"]
tt1566648|1|nm9057105|self|\\N|["Self"]
tt1566648|2|nm9026478|director|directed by|\\N
""",
    "title.ratings": """\
tconst averageRating numVotes
tt0041959|8.3|1201
tt0042876|8.0|987
tt0130827|7.5|2345678
tt0211915|10.0|5
tt10105776|1.0|6
""",
    "name.basics": """\
nconst primaryName birthYear deathYear primaryProfession knownForTitles
nm9000561|Carol Reed|1906|1976|director,actor|tt0041959
nm9000787|Alexander Korda|1893|1956|director,writer|tt0041959
nm9000875|Orson Welles|1915|1985|director,writer,actor|tt0041959
nm9000888|Joseph Cotten|1905|1994|actor|tt0041959
nm9001574|Graham Greene|1904|1991|writer,actor|tt0041959
nm9001883|Akira Kurosawa|1910|1998|director,writer|tt0042876
nm9002915|Alida Valli|1921|2006|actress|tt0041959
nm9003701|Ryūnosuke Akutagawa|1892|1927|writer|tt0042876
nm9003702|Shinobu Hashimoto|1918|2018|writer|tt0042876
nm9025233|Jean-Pierre Jeunet|1953|\\N|director,writer|tt0211915
nm9026478|Davis Guggenheim|1963|\\N|actor,director,writer|tt1566648
nm9029218|Guillaume Laurant|1961|\\N|writer|tt0211915
nm9032541|Tom Tykwer|1965|\\N|director,writer|tt0130827
nm9033596|Franka Potente|1974|\\N|actress|tt0130827
nm9033597|Hans Paetsch|1909|2002|actor|tt0130827
nm9035183|Audrey Tautou|1976|\\N|actress|tt0211915
nm9057105|Geoffrey Canada|1952|\\N|\\N|tt1566648
nm9900001|Mika "Fog" Önder|\\N|\\N|\\N|\\N
""",
}

if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    for name, text in FILES.items():
        header, rows = text.split("\n", 1)
        body = header.replace(" ", "\t") + "\n" + rows.replace("|", "\t")
        (OUT / f"{name}.tsv.gz").write_bytes(gzip.compress(body.encode(), mtime=0))
