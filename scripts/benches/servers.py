"""Servers that are measured: each is started on a free port of loopback, waited for, watched and ended."""

import http.client
import json
import pathlib
import re
import socket
import subprocess
import time

START_SECONDS = 600


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Server:
    """One server process; its output goes to a log beside the tables."""

    def __init__(self, name, command, log, port, ready, environment=None):
        self.name, self.port, self.log = name, port, log
        with open(log, "wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
        try:
            self.wait(ready)
        except BaseException:
            self.stop()
            raise

    def wait(self, ready):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                if self.get(ready)[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.1)
        raise SystemExit(f"{self.name} did not start:\n{pathlib.Path(self.log).read_text()[-2000:]}")

    def get(self, path, body=None):
        """Status, headers and body of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        try:
            connection.request("POST" if body else "GET", path, body=body)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def json(self, path):
        status, _, body = self.get(path)
        if status != 200:
            raise RuntimeError(f"{self.name} answers {status} to {path}: {body[:500]!r}")
        return json.loads(body)

    def memory(self):
        """Resident MiB: now, and at most since this was last asked."""
        process = pathlib.Path(f"/proc/{self.process.pid}")
        text = (process / "status").read_text()
        (process / "clear_refs").write_text("5")
        return [int(re.search(rf"{key}:\s+(\d+) kB", text)[1]) / 1024 for key in ("VmRSS", "VmHWM")]

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def openshelf(programs, store, logs):
    port = free_port()
    command = [programs / "openshelf", "serve", "--store", store, "--listen", f"127.0.0.1:{port}", "--limits", "off"]
    return Server("Openshelf", command, logs / "openshelf.log", port, "/readyz")


def parquet_files(server, store, dataset):
    """The table's files on this disk, in row order."""
    names = [file["url"].rsplit("/", 1)[1] for file in server.json(f"/v1/datasets/{dataset}/tables/titles/files")["files"]]
    on_disk = {path.name: path for path in pathlib.Path(store).rglob("*.parquet")}
    return [on_disk[name] for name in names]


def datasette(folder, files, logs):
    database = folder / "titles.db"
    if not database.exists():
        import sqlite  # needs pyarrow, which the bench of files does without

        sqlite.build(database, files)
    inspected = database.with_suffix(".json")
    program = pathlib.Path(__import__("sys").executable).parent / "datasette"
    if not inspected.exists():
        subprocess.run([program, "inspect", database, "--inspect-file", inspected], check=True)
    port = free_port()
    settings = {"sql_time_limit_ms": 60000, "suggest_facets": "off", "allow_facet": "off", "num_sql_threads": 3}
    command = [program, "serve", "-i", database, "--inspect-file", inspected, "-h", "127.0.0.1", "-p", str(port)]
    for name, value in settings.items():
        command += ["--setting", name, str(value)]
    return Server("Datasette", command, logs / "datasette.log", port, "/-/versions.json")


def roapi(folder, files, logs):
    """Over the very Parquet files, not a copy in memory: that is what fits when data is larger than memory."""
    port = free_port()
    config = folder / "roapi.yml"
    table = {"name": "titles", "uri": f"{folder / 'roapi'}", "option": {"format": "parquet", "use_memory_table": False}}
    config.write_text(json.dumps({"addr": {"http": f"127.0.0.1:{port}"}, "tables": [table]}))
    linked = folder / "roapi"
    linked.mkdir(exist_ok=True)
    for old in linked.iterdir():
        old.unlink()
    for at, file in enumerate(files):
        (linked / f"{at:03}.parquet").symlink_to(file.resolve())
    program = pathlib.Path(__import__("sys").executable).parent / "roapi"
    return Server("ROAPI", [program, "-c", config], logs / "roapi.log", port, "/api/schema")
