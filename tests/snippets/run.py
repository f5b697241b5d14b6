"""Runs every snippet of docs/reading.md and README.md as it stands there, against a running server.

Usage: run.py URL [name …]. Each snippet of docs/reading.md has a name, and its last line must be the number of cities that the API
counts; those of README.md must run. Environments: .venv-engines, .venv-iceberg, .venv-s3 for programs that copy buckets, and
.venv-clusters for Dask and Spark.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
URL, WANTED = sys.argv[1].rstrip("/"), sys.argv[2:]
# What the documents say instead of the server's address.
WRITTEN = "127.0.0.1:8080"
LANGUAGES = {"python", "sh", "r"}
ENGINES, ICEBERG, S3, CLUSTERS = (ROOT / f".venv-{name}" for name in ("engines", "iceberg", "s3", "clusters"))


def snippets(path):
    """(name, language, text) of each."""
    text = (ROOT / path).read_text()
    for head, body in re.findall(r"^```(\w+[^\n]*)\n(.*?)^```$", text, re.M | re.S):
        language, _, name = head.partition(" ")
        yield name, language, body


def truth():
    where = urllib.parse.urlencode({"where": "population > 1000000", "count": "exact", "limit": 1})
    with urllib.request.urlopen(f"{URL}/v1/datasets/geonames/tables/cities/rows?{where}") as answer:
        return json.load(answer)["row_count"]["value"]


def command(name, language, text):
    if language == "python":
        engine = name.split("-")[0]
        home = CLUSTERS / engine if engine in ("dask", "spark") else ICEBERG if "iceberg" in text else ENGINES
        return [str(home / "bin/python"), "-c", text]
    return ["bash", "-euo", "pipefail", "-c", text] if language == "sh" else ["Rscript", "-e", text]


def surroundings(home):
    jars = ",".join(str(jar) for jar in sorted((CLUSTERS / "jars").glob("*.jar")))
    return {
        # What a laptop has installed; nothing of this machine's settings.
        "PATH": f"{ENGINES}/bin:{S3}/bin:{os.environ['PATH']}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        # Instead of --packages, which asks Maven.
        "PYSPARK_SUBMIT_ARGS": f"--master local[2] --jars {jars} pyspark-shell",
        "SPARK_LOCAL_IP": "127.0.0.1",
        "AWS_EC2_METADATA_DISABLED": "true",
    } | ({"JAVA_HOME": os.environ["JAVA_HOME"]} if "JAVA_HOME" in os.environ else {})


def install_extensions(home):
    """What DuckDB fetches by itself where it may: its extensions, here from PyPI."""
    text = "import duckdb\nfrom duckdb_extensions import import_extension\nc = duckdb.connect()\n"
    text += "for name in ('httpfs', 'avro', 'iceberg'):\n    import_extension(name, con=c)\n"
    subprocess.run([ICEBERG / "bin/python", "-c", text], env=surroundings(home), check=True)


def run(name, language, text, home):
    text = text.replace(WRITTEN, URL.split("://")[1])
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        done = subprocess.run(command(name, language, text), env=surroundings(home), cwd=folder, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            sys.exit(f"{name} failed:\n{done.stdout}{done.stderr}")
        return done.stdout.strip().splitlines()[-1:] or [""], time.monotonic() - begun


def main():
    expected = str(truth())
    if int(expected) < 2:
        sys.exit(f"{expected} cities are too few to tell anything")
    ran, names = 0, set()
    with tempfile.TemporaryDirectory() as home:
        install_extensions(home)
        for path in ("docs/reading.md", "README.md"):
            for name, language, text in snippets(path):
                if path == "README.md":
                    # Its commands in sh are tried by scripts/test-start.
                    if language != "python":
                        continue
                    name = f"README.md, {text.splitlines()[0]}"
                elif not name or name in names or language not in LANGUAGES:
                    sys.exit(f"{path}: a snippet needs a name of its own and one of the languages {LANGUAGES}: {name!r}, {language}")
                names.add(name)
                if WANTED and not any(word in name for word in WANTED):
                    continue
                (said,), took = run(name, language, text, home)
                if path != "README.md" and said.strip() != expected:
                    sys.exit(f"{name} says {said!r}, the API counts {expected}")
                ran += 1
                print(f"{name:40} {took:5.1f} s", flush=True)
    if not ran:
        sys.exit("no snippet has such a name")
    print(f"{ran} snippets run; those of docs/reading.md say {expected}, as the API does")


main()
