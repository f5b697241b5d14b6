"""The table that is measured: made up by `examples/titles.rs`, fetched over HTTP and published by the real program."""

import hashlib
import http.server
import os
import pathlib
import shutil
import subprocess
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
COLUMNS = [
    "tconst", "title_type", "primary_title", "original_title", "is_adult", "start_year", "end_year", "runtime_minutes",
    "genres",
]  # fmt: skip

DEFINITION = r"""
title = "Made-up titles"
license = {{ id = "CC0-1.0", url = "https://creativecommons.org/publicdomain/zero/1.0/", redistribution = "open" }}

[[table]]
name = "titles"
source = {{ url = "{url}/{{part}}.tsv.gz", each = {{ part = {{ from = 0, to = {last} }} }} }}
format = {{ type = "csv", delimiter = "\t", quote = "none", null = "\\N", header = true }}
primary_key = ["tconst"]
sort_key = ["tconst"]
column = [
    {{ name = "tconst" }},
    {{ name = "title_type", from = "titleType" }},
    {{ name = "primary_title", from = "primaryTitle", search = true }},
    {{ name = "original_title", from = "originalTitle" }},
    {{ name = "is_adult", from = "isAdult", type = "bool" }},
    {{ name = "start_year", from = "startYear", type = "int32" }},
    {{ name = "end_year", from = "endYear", type = "int32" }},
    {{ name = "runtime_minutes", from = "runtimeMinutes", type = "int32" }},
    {{ name = "genres", type = "list<utf8>", split = "," }},
]
"""


def upstream(titles, rows):
    """A server that makes each part when it is asked for."""

    class Parts(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            part = self.path.strip("/").removesuffix(".tsv.gz")
            if not part.isdigit():
                return self.send_error(404)
            self.send_response(200)
            self.send_header("Content-Type", "application/gzip")
            self.send_header("Connection", "close")
            self.end_headers()
            with subprocess.Popen([titles, str(rows), part], stdout=subprocess.PIPE) as made:
                with subprocess.Popen(["gzip", "-1"], stdin=made.stdout, stdout=subprocess.PIPE) as packed:
                    shutil.copyfileobj(packed.stdout, self.wfile, 1 << 20)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Parts)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def kept(base, kind, rows, sources):
    """A folder for what follows from these sources. What they made when they were others goes."""
    digest = hashlib.sha256(DEFINITION.encode())
    for source in sources:
        path = ROOT / source
        for file in sorted(path.rglob("*.rs")) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    folder = base / f"{kind}-{rows}-{digest.hexdigest()[:16]}"
    for old in base.glob(f"{kind}-{rows}-*"):
        if old != folder:
            shutil.rmtree(old)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def published(base, rows):
    """Our store: follows from the program."""
    return kept(base, "published", rows, ["examples/titles.rs", "src/ingest", "src/catalog", "src/config.rs", "Cargo.lock"])


def copies(base, rows):
    """The others' own copies of the rows: follow from the rows alone."""
    return kept(base, "copies", rows, ["examples/titles.rs", "scripts/benches/sqlite.py"])


def build(programs, folder, dataset, rows, parts):
    """Publishes `parts` parts of `rows` rows each as a dataset, unless that was done; the store's path."""
    store, mark = folder / "store", folder / f"{dataset}.done"
    if mark.exists():
        return store
    print(f"building {dataset}: {rows * parts:,} rows", flush=True)
    definition = folder / "datasets" / dataset / "dataset.toml"
    definition.parent.mkdir(parents=True, exist_ok=True)
    with upstream(programs / "examples" / "titles", rows) as server:
        definition.write_text(DEFINITION.format(url=f"http://127.0.0.1:{server.server_port}", last=parts - 1))
        environment = os.environ | {
            "OPENSHELF_STORE": str(store),
            "OPENSHELF_DATASETS": str(folder / "datasets"),
            "OPENSHELF_SCRATCH": str(folder / "scratch"),
            "OPENSHELF_CONTACT": "bench@example.org",
            "OPENSHELF_ALLOW_PRIVATE_SOURCES": "1",
            "OPENSHELF_PAUSE_MS": "0",
            "NO_PROXY": "127.0.0.1",
        }
        subprocess.run([programs / "openshelf", "ingest", dataset], env=environment, check=True)
        server.shutdown()
    shutil.rmtree(folder / "scratch", ignore_errors=True)
    mark.touch()
    return store
