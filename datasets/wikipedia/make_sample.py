#!/usr/bin/env python3
"""Writes sample/: a tiny wiki in the form of Wikimedia's dumps.

The articles are written for this project (CC0); user names, ids and times are invented. Only the form is Wikimedia's:
MediaWiki XML 0.11 as a multistream bzip2 with its index, and mysqldump files with the columns of late 2026. Real
multistream files hold 100 pages a stream; here it is 4, so that there are several streams. One revision id is beyond 2^31: the
columns are unsigned. Run again, it writes the same bytes.
"""

import bz2
import gzip
import hashlib
import pathlib
import zlib
from xml.sax.saxutils import escape

DATE = "20261101"
OUT = pathlib.Path(__file__).parent / "sample"
PAGES_PER_STREAM = 4

LIGHTHOUSE = """{{Infobox building
| name = Example lighthouse
| height_m = 41
}}
A '''lighthouse''' is a [[tower]] with a bright light at the top. Ships use the light to find their way at [[night]] and to stay away from [[Rock (geology)|rocks]].

== Parts ==
{| class="wikitable"
! Part !! Use
|-
| Lamp || makes the light
|-
| Lens || bends the light into a beam
|-
| Gallery || a walk around the lamp, where the keeper cleaned the glass
|}

Most lighthouses work by themselves today. In the past a ''keeper'' lived there.<ref>Keepers wound a clockwork that turned the lens.</ref>

== Related pages ==
* [[Fjord]]
* [[O'Brien's light]]

[[Category:Buildings]]
[[Category:Köln-class objects]]"""

FJORD = """A '''fjord''' is a long, narrow arm of the [[sea]] between high cliffs. [[Glacier]]s cut the valley, and the sea filled it.

The word comes from [[Norwegian language|Norwegian]] ''fjord''; in Swedish it is ''fjärd'', in Icelandic ''fjörður''.

[[Category:Landforms]]"""

KOELN = """'''Köln''' (in English: '''Cologne''') is a big city in [[Germany]], on the river [[Rhine]]. Its cathedral, the ''Kölner Dom'', has two towers. People there say ''Tschö'' when they leave.

== Name ==
The Romans called it ''Colonia''. Other spellings were ''Cöln'' and ''Cölln''.

[[Category:Cities in Germany]]"""

OWL = """An '''owl''' 🦉 is a bird that hunts at [[night]]. It turns its head very far: about 270°. In [[Unicode]] the owl is U+1F989; 日本語 calls it フクロウ.

{{Stub}}"""

ENTITY = """In [[HTML]], some signs must be written as an '''entity'''. To show <code>&lt;</code> one writes <nowiki>&lt;</nowiki>, and for an ampersand <nowiki>&amp;</nowiki>.

If ''a'' < ''b'' & ''b'' < ''c'', then ''a'' < ''c''. A tag looks like <nowiki><b>this</b></nowiki> and a "quoted" attribute like <code>title="x"</code>.

[[Category:Computers]]"""

MODULE = """-- Adds two numbers; a Scribunto page, not wikitext.
local p = {}
function p.add(frame)
\treturn tonumber(frame.args[1]) + tonumber(frame.args[2])
end
return p"""

# id, ns, title, redirect target, revision id, parent id, time, contributor, minor, comment, model, text
# contributor: (name, id), an address, or None when hidden. comment: None when there is none, DELETED when hidden.
DELETED = object()
PAGES = [
    (3, 0, "Lighthouse", None, 9100210, 9000001, "2026-10-28T09:15:00Z", ("Quillfeather", 501), False, "/* Parts */ table of parts", "wikitext", LIGHTHOUSE),
    (5, 0, "Fjord", None, 9100044, 9000002, "2026-10-02T23:59:59Z", "2001:db8::17", False, "spelling in other languages", "wikitext", FJORD),
    (8, 0, "Light house", "Lighthouse", 9000010, None, "2019-03-04T05:06:07Z", ("Quillfeather", 501), True, "two words are common too", "wikitext", "#REDIRECT [[Lighthouse]]\n\n{{R from other spelling}}"),
    (9, 0, "Köln", None, 9100300, 9100299, "2026-10-31T18:00:00Z", ("Ärzte-Fan", 777), False, "added \"Cölln\" & sources <ref>", "wikitext", KOELN),
    (12, 0, "Cologne", "Köln", 9000020, None, "2020-01-01T00:00:00Z", ("Moved by bot", 12), False, None, "wikitext", "#REDIRECT [[Köln#Name]]"),
    (14, 0, "Owl", None, 9100111, 9100110, "2026-10-15T12:30:45Z", None, False, DELETED, "wikitext", OWL),
    (15, 0, "HTML entity", None, 9100120, 9000031, "2026-10-16T07:00:00Z", ("Tag soup", 602), True, None, "wikitext", ENTITY),
    (17, 4, "Wikipedia:Simple words", None, 9100130, None, "2026-10-17T07:00:00Z", ("Quillfeather", 501), False, "first version", "wikitext", "Write '''short''' sentences.\n\nUse the word that a child knows."),
    (21, 10, "Template:Stub", None, 9000040, 9000039, "2021-06-07T08:09:10Z", ("Moved by bot", 12), False, None, "wikitext", "<div class=\"stub\">This page is short. You can help by making it longer.</div><noinclude>\n[[Category:Templates]]\n</noinclude>"),
    (22, 0, "O'Brien's light", None, 9100140, 9000050, "2026-10-18T01:02:03Z", ("Tag soup", 602), False, "removed a copied text", "wikitext", DELETED),
    (25, 14, "Category:Landforms", None, 9000060, None, "2018-02-03T04:05:06Z", "192.0.2.44", False, None, "wikitext", "Shapes of the land.\n\n[[Category:Geography]]"),
    (30, 828, "Module:Sum", None, 3000000000, None, "2026-10-19T10:00:00Z", ("Ärzte-Fan", 777), False, "a module", "Scribunto", MODULE),
]
NAMESPACES = [(-2, "Media"), (-1, "Special"), (0, ""), (1, "Talk"), (2, "User"), (3, "User talk"), (4, "Wikipedia"),
              (5, "Wikipedia talk"), (6, "File"), (7, "File talk"), (8, "MediaWiki"), (9, "MediaWiki talk"), (10, "Template"),
              (11, "Template talk"), (12, "Help"), (13, "Help talk"), (14, "Category"), (15, "Category talk"), (828, "Module"),
              (829, "Module talk")]


def sha1_base36(text):
    number, digits = int.from_bytes(hashlib.sha1(text.encode()).digest(), "big"), ""
    while number:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits.rjust(31, "0")


def quote(text):
    return escape(text, {'"': "&quot;"})


def header():
    names = []
    for key, name in NAMESPACES:
        body = f">{name}</namespace>" if name else " />"
        names.append(f'      <namespace key="{key}" case="first-letter"{body}\n')
    return (
        '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xsi:schemaLocation="http://www.mediawiki.org/xml/export-0.11/ http://www.mediawiki.org/xml/export-0.11.xsd" '
        'version="0.11" xml:lang="en">\n  <siteinfo>\n    <sitename>Wikipedia</sitename>\n    <dbname>simplewiki</dbname>\n'
        "    <base>https://simple.wikipedia.org/wiki/Main_Page</base>\n    <generator>MediaWiki 1.46.0-wmf.2</generator>\n"
        "    <case>first-letter</case>\n    <namespaces>\n" + "".join(names) + "    </namespaces>\n  </siteinfo>\n"
    )


def page_xml(page):
    page_id, ns, title, target, rev, parent, time, who, minor, comment, model, text = page
    out = f"  <page>\n    <title>{quote(title)}</title>\n    <ns>{ns}</ns>\n    <id>{page_id}</id>\n"
    if target:
        out += f'    <redirect title="{quote(target)}" />\n'
    out += f"    <revision>\n      <id>{rev}</id>\n"
    if parent:
        out += f"      <parentid>{parent}</parentid>\n"
    out += f"      <timestamp>{time}</timestamp>\n"
    if who is None:
        out += '      <contributor deleted="deleted" />\n'
    elif isinstance(who, str):
        out += f"      <contributor>\n        <ip>{who}</ip>\n      </contributor>\n"
    else:
        out += f"      <contributor>\n        <username>{quote(who[0])}</username>\n        <id>{who[1]}</id>\n      </contributor>\n"
    if minor:
        out += "      <minor />\n"
    if comment is DELETED:
        out += '      <comment deleted="deleted" />\n'
    elif comment:
        out += f"      <comment>{quote(comment)}</comment>\n"
    form = "text/plain" if model == "Scribunto" else "text/x-wiki"
    out += f"      <origin>{rev}</origin>\n      <model>{model}</model>\n      <format>{form}</format>\n"
    if text is DELETED:
        out += '      <text bytes="412" deleted="deleted" />\n      <sha1 />\n'
    else:
        digest = sha1_base36(text)
        out += f'      <text bytes="{len(text.encode())}" sha1="{digest}" xml:space="preserve">{quote(text)}</text>\n      <sha1>{digest}</sha1>\n'
    return out + "    </revision>\n  </page>\n"


def write_multistream():
    body, index = bz2.compress(header().encode()), []
    for start in range(0, len(PAGES), PAGES_PER_STREAM):
        chunk = PAGES[start:start + PAGES_PER_STREAM]
        index += [f"{len(body)}:{page[0]}:{page[2]}\n" for page in chunk]
        body += bz2.compress("".join(map(page_xml, chunk)).encode())
    body += bz2.compress(b"</mediawiki>\n")
    (OUT / f"simplewiki-{DATE}-pages-articles-multistream.xml.bz2").write_bytes(body)
    (OUT / f"simplewiki-{DATE}-pages-articles-multistream-index.txt.bz2").write_bytes(bz2.compress("".join(index).encode()))


ESCAPES = {0: b"\\0", 10: b"\\n", 13: b"\\r", 26: b"\\Z", 34: b'\\"', 39: b"\\'", 92: b"\\\\"}


def literal(value):
    if value is None:
        return b"NULL"
    if isinstance(value, (int, float)):
        return str(value).encode()
    raw = value.encode() if isinstance(value, str) else value
    return b"'" + b"".join(ESCAPES.get(byte, bytes([byte])) for byte in raw) + b"'"


def write_sql(table, create, *inserts):
    """One file of mysqldump's form; each of `inserts` is the rows of one INSERT statement, which is one line."""
    text = (
        "/*M!999999\\- enable the sandbox mode */ \n"
        "-- MariaDB dump 10.19  Distrib 10.5.29-MariaDB, for debian-linux-gnu (x86_64)\n--\n"
        "-- Host: db.example    Database: simplewiki\n-- ------------------------------------------------------\n"
        "-- Server version\t10.11.13-MariaDB-log\n\n"
        "/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;\n/*!40101 SET NAMES utf8mb4 */;\n"
        "/*!40103 SET @OLD_TIME_ZONE=@@TIME_ZONE */;\n/*!40103 SET TIME_ZONE='+00:00' */;\n"
        "/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;\n\n"
        f"--\n-- Table structure for table `{table}`\n--\n\nDROP TABLE IF EXISTS `{table}`;\n"
        "/*!40101 SET @saved_cs_client     = @@character_set_client */;\n/*!40101 SET character_set_client = utf8mb4 */;\n"
        f"CREATE TABLE `{table}` (\n{create.strip(chr(10))}\n) ENGINE=InnoDB DEFAULT CHARSET=binary ROW_FORMAT=COMPRESSED;\n"
        "/*!40101 SET character_set_client = @saved_cs_client */;\n\n"
        f"--\n-- Dumping data for table `{table}`\n--\n\n/*!40000 ALTER TABLE `{table}` DISABLE KEYS */;\n"
    ).encode()
    for rows in inserts:
        tuples = b",".join(b"(" + b",".join(map(literal, row)) + b")" for row in rows)
        text += f"INSERT INTO `{table}` VALUES ".encode() + tuples + b";\n"
    text += (
        f"/*!40000 ALTER TABLE `{table}` ENABLE KEYS */;\n/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;\n\n"
        "/*!40101 SET SQL_MODE=@OLD_SQL_MODE */;\n\n-- Dump completed on 2026-11-01  3:04:05\n"
    ).encode()
    (OUT / f"simplewiki-{DATE}-{table}.sql.gz").write_bytes(gzip.compress(text, mtime=0))


def page_rows():
    rows = []
    for at, (page_id, ns, title, target, rev, parent, time, _, _, _, model, text) in enumerate(PAGES):
        bare = (title.split(":", 1)[1] if ns else title).replace(" ", "_")
        stamp = time.translate(str.maketrans("", "", "-T:Z"))
        size = 412 if text is DELETED else len(text.encode())
        rows.append((page_id, ns, bare, int(target is not None), int(parent is None), round(0.05 + at * 0.0731, 6),
                     stamp, None if page_id == 22 else stamp, rev, size, model, "de" if page_id == 9 else None))
    # Talk and user pages are in this table but not in the articles dump.
    rows.append((40, 1, "Lighthouse", 0, 1, 0.999999999999, "20261020101112", "20261020101113", 9100160, 57, "wikitext", None))
    rows.append((41, 2, 'Tag_soup/"quotes"_and_\\backslash', 0, 0, 0.5, "20261021101112", None, 9100161, 5, "wikitext", None))
    return rows


TARGETS = [(1, 0, "Tower"), (2, 0, "Night"), (3, 0, "Rock_(geology)"), (4, 0, "Fjord"), (5, 0, "O'Brien's_light"), (6, 0, "Sea"),
           (7, 0, "Glacier"), (8, 0, "Norwegian_language"), (9, 0, "Germany"), (10, 0, "Rhine"), (11, 0, "Unicode"), (12, 0, "HTML"),
           (13, 0, "Lighthouse"), (14, 0, "Köln"), (15, 14, "Buildings"), (16, 14, "Köln-class_objects"), (17, 14, "Landforms"),
           (18, 14, "Cities_in_Germany"), (19, 14, "Computers"), (20, 14, "Templates"), (21, 14, "Geography"),
           (5000000000, 0, "🦉_(emoji)")]
LINKS = [(3, 0, 1), (3, 0, 2), (3, 0, 3), (3, 0, 4), (3, 0, 5), (5, 0, 6), (5, 0, 7), (5, 0, 8), (8, 0, 13), (9, 0, 9), (9, 0, 10),
         (12, 0, 14), (14, 0, 2), (14, 0, 11), (15, 0, 12), (40, 1, 5000000000)]


def main():
    OUT.mkdir(exist_ok=True)
    write_multistream()
    rows = page_rows()
    write_sql("page", """
  `page_id` int(8) unsigned NOT NULL AUTO_INCREMENT,
  `page_namespace` int(11) NOT NULL DEFAULT 0,
  `page_title` varbinary(255) NOT NULL DEFAULT '',
  `page_is_redirect` tinyint(1) unsigned NOT NULL DEFAULT 0,
  `page_is_new` tinyint(1) unsigned NOT NULL DEFAULT 0,
  `page_random` double unsigned NOT NULL DEFAULT 0,
  `page_touched` binary(14) NOT NULL,
  `page_links_updated` binary(14) DEFAULT NULL,
  `page_latest` int(8) unsigned NOT NULL DEFAULT 0,
  `page_len` int(8) unsigned NOT NULL DEFAULT 0,
  `page_content_model` varbinary(32) DEFAULT NULL,
  `page_lang` varbinary(35) DEFAULT NULL,
  PRIMARY KEY (`page_id`),
  UNIQUE KEY `page_name_title` (`page_namespace`,`page_title`),
  KEY `page_random` (`page_random`),
  KEY `page_len` (`page_len`),
  KEY `page_redirect_namespace_len` (`page_is_redirect`,`page_namespace`,`page_len`)
""", rows[:8], rows[8:])
    write_sql("redirect", """
  `rd_from` int(8) unsigned NOT NULL DEFAULT 0,
  `rd_namespace` int(11) NOT NULL DEFAULT 0,
  `rd_title` varbinary(255) NOT NULL DEFAULT '',
  `rd_interwiki` varbinary(32) DEFAULT NULL,
  `rd_fragment` varbinary(255) DEFAULT NULL,
  PRIMARY KEY (`rd_from`),
  KEY `rd_ns_title` (`rd_namespace`,`rd_title`,`rd_from`)
""", [(8, 0, "Lighthouse", "", ""), (12, 0, "Köln", None, "Name")])
    write_sql("linktarget", """
  `lt_id` bigint(20) unsigned NOT NULL AUTO_INCREMENT,
  `lt_namespace` int(11) NOT NULL,
  `lt_title` varbinary(255) NOT NULL,
  PRIMARY KEY (`lt_id`),
  UNIQUE KEY `lt_namespace_title` (`lt_namespace`,`lt_title`)
""", TARGETS)
    write_sql("pagelinks", """
  `pl_from` int(8) unsigned NOT NULL DEFAULT 0,
  `pl_from_namespace` int(11) NOT NULL DEFAULT 0,
  `pl_target_id` bigint(20) unsigned NOT NULL,
  PRIMARY KEY (`pl_from`,`pl_target_id`),
  KEY `pl_target_id` (`pl_target_id`,`pl_from`),
  KEY `pl_backlinks_namespace_target_id` (`pl_from_namespace`,`pl_target_id`,`pl_from`)
""", LINKS[:10], LINKS[10:])
    write_sql("categorylinks", """
  `cl_from` int(8) unsigned NOT NULL DEFAULT 0,
  `cl_sortkey` varbinary(230) NOT NULL DEFAULT '',
  `cl_timestamp` timestamp NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp(),
  `cl_sortkey_prefix` varbinary(255) NOT NULL DEFAULT '',
  `cl_type` enum('page','subcat','file') NOT NULL DEFAULT 'page',
  `cl_collation_id` smallint(5) unsigned NOT NULL DEFAULT 0,
  `cl_target_id` bigint(20) unsigned NOT NULL,
  PRIMARY KEY (`cl_from`,`cl_target_id`),
  KEY `cl_sortkey_id` (`cl_target_id`,`cl_type`,`cl_sortkey`,`cl_from`),
  KEY `cl_timestamp_id` (`cl_target_id`,`cl_timestamp`)
""", [
        (3, "LIGHTHOUSE", "2026-10-28 09:15:01", "", "page", 1, 15),
        (3, "LIGHT'HOUSE\nLIGHTHOUSE", "2026-10-28 09:15:01", "light'house", "page", 1, 16),
        (5, "FJORD", "2017-05-06 07:08:09", "", "page", 1, 17),
        (9, "KÖLN".encode()[:2], "2026-10-31 18:00:01", "", "page", 1, 18),  # cut in the middle of the Ö
        (15, b"\x1aHTML\x00\xff\xfe\r\\\"ENTITY", "2026-10-16 07:00:01", "", "page", 2, 19),
        (21, "STUB", "2021-06-07 08:09:10", "", "page", 1, 20),
        (25, "LANDFORMS", "2018-02-03 04:05:06", "", "subcat", 1, 21),
    ])
    write_sql("langlinks", """
  `ll_from` int(8) unsigned NOT NULL DEFAULT 0,
  `ll_lang` varbinary(35) NOT NULL DEFAULT '',
  `ll_title` varbinary(255) NOT NULL DEFAULT '',
  PRIMARY KEY (`ll_from`,`ll_lang`),
  KEY `ll_lang` (`ll_lang`,`ll_title`)
""", [(3, "de", "Leuchtturm"), (3, "ja", "灯台"), (5, "nb", "Fjord"), (5, "is", "Fjörður"), (9, "de", "Köln"), (14, "zh-min-nan", "Niau-thâu-chiáu")])
    write_sql("page_props", """
  `pp_page` int(10) unsigned NOT NULL,
  `pp_propname` varbinary(60) NOT NULL DEFAULT '',
  `pp_value` blob NOT NULL,
  `pp_sortkey` float DEFAULT NULL,
  PRIMARY KEY (`pp_page`,`pp_propname`),
  UNIQUE KEY `pp_propname_page` (`pp_propname`,`pp_page`),
  UNIQUE KEY `pp_propname_sortkey_page` (`pp_propname`,`pp_sortkey`,`pp_page`)
""", [(3, "wikibase_item", "Q39715", None), (5, "wikibase_item", "Q45776", None), (9, "defaultsort", "Koln", None),
      (9, "displaytitle", "<i>Köln</i>", None), (14, "forcetoc", "", None), (21, "hiddencat", "", None),
      (21, "templatedata", zlib.compress(b'{"params":{}}', 9), None), (25, "expectunusedcategory", "1.5", 1.5)])


if __name__ == "__main__":
    main()
