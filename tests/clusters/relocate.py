"""Completes the Iceberg runtime for Spark that PyPI has: it was packed without the libraries it keeps under names of its own.

    relocate.py OUT RUNTIME HTTP_JARS JACKSON_JARS

Writes the jar OUT with Jackson and Apache HttpClient 5 under those names: every name in the constant pool of every class is changed
(JVM specification, section 4.4). Test-only: where Maven is reached, iceberg-spark-runtime is whole.
"""

import glob
import re
import struct
import sys
import zipfile

PREFIX = b"org/apache/iceberg/shaded/"
MOVED = re.compile(rb"(?<!shaded/)(?<!shaded\.)(com([/.])fasterxml[/.]jackson|org([/.])apache[/.]hc)(?=[/.;$]|$)")
# Bytes of each entry after its tag; a long and a double take two places.
SIZES = {3: 4, 4: 4, 5: 8, 6: 8, 7: 2, 8: 2, 9: 4, 10: 4, 11: 4, 12: 4, 15: 3, 16: 2, 17: 4, 18: 4, 19: 2, 20: 2}
# What HttpClient 5.4 has and 5.3 has not: an interface without methods is enough to load the class that names it.
ABSENT = "org/apache/iceberg/shaded/org/apache/hc/client5/http/ssl/TlsSocketStrategy"


def moved(text):
    def renamed(match):
        dotted = (match[2] or match[3]) == b"."
        return (PREFIX.replace(b"/", b".") if dotted else PREFIX) + match[1]

    return MOVED.sub(renamed, text)


def relocated(body):
    """A class with the names in its constant pool changed."""
    (count,) = struct.unpack_from(">H", body, 8)
    out, at, number = [body[:10]], 10, 1
    while number < count:
        tag = body[at]
        if tag == 1:
            (length,) = struct.unpack_from(">H", body, at + 1)
            text = moved(body[at + 3 : at + 3 + length])
            out.append(struct.pack(">BH", 1, len(text)) + text)
            at += 3 + length
        else:
            out.append(body[at : at + 1 + SIZES[tag]])
            at += 1 + SIZES[tag]
        number += 2 if tag in (5, 6) else 1
    return b"".join(out) + body[at:]


def interface(name):
    """An empty public interface, Java 8."""
    utf8 = lambda text: struct.pack(">BH", 1, len(text)) + text.encode()  # noqa: E731
    pool = utf8(name) + struct.pack(">BH", 7, 1) + utf8("java/lang/Object") + struct.pack(">BH", 7, 3)
    head = struct.pack(">IHHH", 0xCAFEBABE, 0, 52, 5)
    return head + pool + struct.pack(">HHHHHHH", 0x0601, 2, 4, 0, 0, 0, 0)


def main():
    out, runtime, *folders = sys.argv[1:]
    there = set(zipfile.ZipFile(runtime).namelist())
    with zipfile.ZipFile(out, "w") as jar:
        for path in sorted(path for folder in folders for path in glob.glob(folder)):
            with zipfile.ZipFile(path) as library:
                for name in library.namelist():
                    place = name.encode()
                    place = (PREFIX + place if MOVED.match(place) else place).decode()
                    if name.endswith("/") or place in there or not place.startswith(PREFIX.decode()):
                        continue
                    there.add(place)
                    body = library.read(name)
                    jar.writestr(place, relocated(body) if name.endswith(".class") else body)
        if ABSENT + ".class" not in there:
            jar.writestr(ABSENT + ".class", interface(ABSENT))
        print(f"{len(jar.namelist())} classes and files into {out}")


main()
