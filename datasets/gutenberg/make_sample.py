#!/usr/bin/env python3
"""Writes sample/rdf-files.tar.bz2: a few catalog entries in the form of Project Gutenberg's RDF.

Books 1342 and 2000 are real ones with facts from the catalog (CC0); their downloads, sizes and times are invented, their
summaries our own. The other entries are invented to show what is rare: no author, several roles, years BC, a sound
recording, a title of several lines, markup characters.
"""

import bz2
import io
import pathlib
import tarfile
from xml.sax.saxutils import escape, quoteattr

OUT = pathlib.Path(__file__).parent / "sample"
HEAD = """<?xml version="1.0" encoding="utf-8"?>
<rdf:RDF xml:base="http://www.gutenberg.org/"
  xmlns:dcterms="http://purl.org/dc/terms/"
  xmlns:pgterms="http://www.gutenberg.org/2009/pgterms/"
  xmlns:rdfs="http://www.w3.org/2000/01/rdf-schema#"
  xmlns:cc="http://web.resource.org/cc/"
  xmlns:marcrel="http://id.loc.gov/vocabulary/relators/"
  xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
  xmlns:dcam="http://purl.org/dc/dcam/"
>
"""
TAIL = """  <cc:Work rdf:about="">
    <cc:license rdf:resource="https://creativecommons.org/publicdomain/zero/1.0/"/>
    <rdfs:comment>Archives containing the RDF files for *all* our books can be downloaded at
            https://www.gutenberg.org/wiki/Gutenberg:Feeds#The_Complete_Project_Gutenberg_Catalog</rdfs:comment>
  </cc:Work>
</rdf:RDF>
"""
XSD = "http://www.w3.org/2001/XMLSchema#"
BOOKS = {
    1342: dict(
        title="Pride and Prejudice", issued="1998-06-01", rights="Public domain in the USA.", downloads=60321, kind="Text", languages=["en"],
        authors=[(68, "Austen, Jane", 1775, 1817)], subjects=["Courtship -- Fiction", "Sisters -- Fiction"], classes=["PR"],
        shelves=["Best Books Ever Listings", "Category: Novels"], summary="Five sisters, their mother's plans, and what first impressions are worth.",
        files=[("https://www.gutenberg.org/ebooks/1342.txt.utf-8", ["text/plain; charset=utf-8"], 763083, "2026-10-01T07:33:43.500000"),
               ("https://www.gutenberg.org/ebooks/1342.html.images", ["text/html"], 852219, "2026-10-01T07:33:42")]),
    2000: dict(
        title="Don Quijote", issued="1999-12-01", rights="Public domain in the USA.", downloads=9876, kind="Text", languages=["es"],
        authors=[(505, "Cervantes Saavedra, Miguel de", 1547, 1616)], subjects=["Knights and knighthood -- Spain -- Fiction"], classes=["PQ"],
        alternatives=["El ingenioso hidalgo don Quijote de la Mancha"],
        files=[("https://www.gutenberg.org/files/2000/2000-0.zip", ["application/zip", "text/plain; charset=utf-8"], 830113, "2026-09-30T23:59:59.999999")]),
    990001: dict(
        title="The Tide Tables & <Other> Verses\nWith a Map\nAnd \"Notes\"", issued="2026-10-31", rights="Copyrighted. Read the copyright notice inside this book for details.",
        downloads=0, kind="Text", languages=["la", "el"], authors=[(990011, "Marinus, of the Shore", -57, 12), (990012, "Öström, Mira", None, None)],
        roles=[("trl", (990013, "Ford, A. N.", 1880, None)), ("ill", (990014, "静, 灯", None, None)), ("trl", (990012, "Öström, Mira", None, None))],
        subjects=["Tides -- Poetry"], classes=["PA", "QC"], shelves=[], credits="Produced by nobody,\nfor a sample", files=[]),
    990002: dict(title="Sounds of a Harbor", issued="2025-02-28", rights="Public domain in the USA.", downloads=12, kind="Sound", languages=["en"],
                 authors=[], files=[("https://www.gutenberg.org/files/990002/mp3/990002-01.mp3", ["audio/mpeg"], None, None)]),
    # A number that was given away but holds no book yet: upstream has such entries.
    990003: dict(title=None, issued=None, rights=None, downloads=0, kind=None, languages=[], authors=[], files=[]),
}


def description(tag, value, scheme=None, kind=""):
    member = f'\n        <dcam:memberOf rdf:resource="{scheme}"/>' if scheme else ""
    return (f'    <{tag}>\n      <rdf:Description rdf:nodeID="N{abs(hash_of(tag + value)):032x}">{member}\n'
            f"        <rdf:value{kind}>{escape(value)}</rdf:value>\n      </rdf:Description>\n    </{tag}>\n")


def hash_of(text):
    total = 0
    for byte in text.encode():
        total = (total * 131 + byte) % (1 << 128)
    return total


def agent(tag, number, name, birth, death):
    years = "".join(f'        <pgterms:{word} rdf:datatype="{XSD}integer">{year}</pgterms:{word}>\n'
                    for word, year in (("birthdate", birth), ("deathdate", death)) if year is not None)
    return (f'    <{tag}>\n      <pgterms:agent rdf:about="2009/agents/{number}">\n        <pgterms:name>{escape(name)}</pgterms:name>\n'
            f"{years}      </pgterms:agent>\n    </{tag}>\n")


def file(number, url, kinds, size, modified):
    out = f"    <dcterms:hasFormat>\n      <pgterms:file rdf:about={quoteattr(url)}>\n        <dcterms:isFormatOf rdf:resource=\"ebooks/{number}\"/>\n"
    if size is not None:
        out += f'        <dcterms:extent rdf:datatype="{XSD}integer">{size}</dcterms:extent>\n'
    if modified:
        out += f'        <dcterms:modified rdf:datatype="{XSD}dateTime">{modified}</dcterms:modified>\n'
    for kind in kinds:
        out += description("dcterms:format", kind, "http://purl.org/dc/terms/IMT", ' rdf:datatype="http://purl.org/dc/terms/IMT"')
    return out + "      </pgterms:file>\n    </dcterms:hasFormat>\n"


def rdf(number, book):
    out = HEAD + f'  <pgterms:ebook rdf:about="ebooks/{number}">\n    <dcterms:publisher>Project Gutenberg</dcterms:publisher>\n    <dcterms:license rdf:resource="license"/>\n'
    if book["issued"]:
        out += f'    <dcterms:issued rdf:datatype="{XSD}date">{book["issued"]}</dcterms:issued>\n'
    if book["rights"]:
        out += f'    <dcterms:rights>{escape(book["rights"])}</dcterms:rights>\n'
    out += f'    <pgterms:downloads rdf:datatype="{XSD}integer">{book["downloads"]}</pgterms:downloads>\n'
    out += "".join(agent("dcterms:creator", *person) for person in book["authors"])
    out += "".join(agent(f"marcrel:{role}", *person) for role, person in book.get("roles", []))
    if book["title"]:
        out += f'    <dcterms:title>{escape(book["title"])}</dcterms:title>\n'
    out += "".join(f"    <dcterms:alternative>{escape(title)}</dcterms:alternative>\n" for title in book.get("alternatives", []))
    for tag, key in (("pgterms:marc508", "credits"), ("pgterms:marc520", "summary")):
        if book.get(key):
            out += f"    <{tag}>{escape(book[key])}</{tag}>\n"
    out += "".join(description("dcterms:language", code, None, ' rdf:datatype="http://purl.org/dc/terms/RFC4646"') for code in book["languages"])
    out += "".join(description("dcterms:subject", value, "http://purl.org/dc/terms/LCSH") for value in book.get("subjects", []))
    out += "".join(description("dcterms:subject", value, "http://purl.org/dc/terms/LCC") for value in book.get("classes", []))
    if book["kind"]:
        out += description("dcterms:type", book["kind"], "http://purl.org/dc/terms/DCMIType")
    out += "".join(description("pgterms:bookshelf", value, "2009/pgterms/Bookshelf") for value in book.get("shelves", []))
    return out + "".join(file(number, *entry) for entry in book["files"]) + "  </pgterms:ebook>\n" + TAIL


def main():
    OUT.mkdir(exist_ok=True)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        # Upstream's order is that of the numbers as text.
        for number in sorted(BOOKS, key=str):
            body = rdf(number, BOOKS[number]).encode()
            info = tarfile.TarInfo(f"cache/epub/{number}/pg{number}.rdf")
            info.size, info.mtime, info.mode = len(body), 1793751592, 0o644
            tar.addfile(info, io.BytesIO(body))
    (OUT / "rdf-files.tar.bz2").write_bytes(bz2.compress(buffer.getvalue()))


if __name__ == "__main__":
    main()
