#!/usr/bin/env python3
"""Project Gutenberg's catalog as NDJSON: RDF on standard input, one JSON object per book on standard output.

The input is either a tar (plain or compressed) whose members are RDF files, or one RDF file. It is read as a stream: no
more than one book is in memory. XML is parsed without DTDs and entities. A book that cannot be read becomes an object
without `id`, which is a reject (the primary key is missing), and a line on standard error; so no book vanishes.
Python's standard library only.
"""

import json
import re
import sys
import tarfile
from xml.etree.ElementTree import TreeBuilder
from xml.parsers import expat

LARGEST_BOOK = 16 * 1024 * 1024  # bytes of RDF; the largest real ones have a few hundred kilobytes

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
DC = "{http://purl.org/dc/terms/}"
DCAM = "{http://purl.org/dc/dcam/}"
PG = "{http://www.gutenberg.org/2009/pgterms/}"
ROLE = "{http://id.loc.gov/vocabulary/relators/}"


def parse(document):
    """The root element of an XML document without a DTD."""
    builder = TreeBuilder()
    parser = expat.ParserCreate(namespace_separator="}")

    def name(text):
        return "{" + text if "}" in text else text

    def forbidden(*_):
        raise ValueError("it has a DTD")

    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = forbidden
    parser.EntityDeclHandler = forbidden
    parser.StartElementHandler = lambda tag, attributes: builder.start(name(tag), {name(key): value for key, value in attributes.items()})
    parser.EndElementHandler = lambda tag: builder.end(name(tag))
    parser.CharacterDataHandler = builder.data
    parser.Parse(document, True)
    return builder.close()


def text(element):
    """Text of an element without the white space around it; None when there is none."""
    content = "".join(element.itertext()).strip() if element is not None else ""
    return content or None


def number(value):
    """A whole number, or None."""
    return int(value) if value and re.fullmatch(r"[+-]?\d{1,18}", value) else None


def values(book, tag, scheme=None):
    """The values of a property: <tag><rdf:Description><rdf:value>…, or plain text; only those of one scheme, if one is named."""
    found = []
    for element in book.iterfind(tag):
        member = element.find(f"{RDF}Description/{DCAM}memberOf")
        if scheme and (member is None or not member.get(RDF + "resource", "").endswith(scheme)):
            continue
        value = text(element.find(f"{RDF}Description/{RDF}value")) or text(element)
        if value:
            found.append(value)
    return found


def agents(element):
    """Persons and bodies within a creator or contributor element."""
    for agent in element.iterfind(PG + "agent"):
        yield {
            "id": number(agent.get(RDF + "about", "").rpartition("/")[2]),
            "name": text(agent.find(PG + "name")),
            "birth_year": number(text(agent.find(PG + "birthdate"))),
            "death_year": number(text(agent.find(PG + "deathdate"))),
        }


def files(book):
    for file in book.iterfind(f"{DC}hasFormat/{PG}file"):
        yield {
            "url": file.get(RDF + "about"),
            "media_types": values(file, DC + "format"),
            "bytes": number(text(file.find(DC + "extent"))),
            "modified": text(file.find(DC + "modified")),
        }


def row(root):
    """One book as a JSON object."""
    book = root.find(PG + "ebook")
    if book is None:
        raise ValueError("it has no pgterms:ebook")
    return {
        "id": number(book.get(RDF + "about", "").rpartition("/")[2]),
        "title": text(book.find(DC + "title")),
        "alternative_titles": [title for title in map(text, book.iterfind(DC + "alternative")) if title],
        "type": next(iter(values(book, DC + "type")), None),
        "authors": [agent for element in book.iterfind(DC + "creator") for agent in agents(element)],
        "contributors": [
            {"role": element.tag.removeprefix(ROLE), **agent} for element in book if element.tag.startswith(ROLE) for agent in agents(element)
        ],
        "languages": values(book, DC + "language"),
        "subjects": values(book, DC + "subject", "LCSH"),
        "classes": values(book, DC + "subject", "LCC"),
        "bookshelves": values(book, PG + "bookshelf"),
        "issued": text(book.find(DC + "issued")),
        "rights": text(book.find(DC + "rights")),
        "downloads": number(text(book.find(PG + "downloads"))),
        "summary": text(book.find(PG + "marc520")),
        "credits": text(book.find(PG + "marc508")),
        "formats": list(files(book)),
    }


def emit(name, stream):
    """Reads one RDF file and writes its row."""
    try:
        document = stream.read(LARGEST_BOOK + 1)
        if len(document) > LARGEST_BOOK:
            raise ValueError(f"it is larger than {LARGEST_BOOK} bytes")
        book = row(parse(document))
    except (ValueError, expat.ExpatError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        book = {"title": f"{name}: {error}"}
    sys.stdout.write(json.dumps(book, ensure_ascii=False, separators=(",", ":")) + "\n")


def main():
    sys.stdout.reconfigure(encoding="utf-8")
    source = sys.stdin.buffer
    if source.peek(64)[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        emit("standard input", source)
        return
    with tarfile.open(fileobj=source, mode="r|*") as tar:
        for member in tar:
            if member.isfile() and member.name.endswith(".rdf"):
                emit(member.name, tar.extractfile(member))
            tar.members = []  # or it would keep the headers of all 75 000


if __name__ == "__main__":
    main()
