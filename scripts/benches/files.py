"""`scripts/bench files`: one file served by Openshelf and by nginx, from the same disk to the same client, by turns. See scripts/bench."""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess

import report
import servers
import table as tables

BASE = tables.ROOT / "target" / "bench"
SCRIPT = pathlib.Path(__file__).parent / "ranges.lua"
RANGE = 64 << 10
TURNS = 5

# As nginx comes, with sendfile. Debian's `tcp_nopush on` makes it wait 40 ms with each short range here.
NGINX = """
daemon off; master_process on; worker_processes auto; pid {folder}/nginx.pid; error_log {folder}/nginx-error.log;
events {{ worker_connections 1024; }}
http {{
  access_log {folder}/nginx-access.log; sendfile on; tcp_nopush off; keepalive_requests 1000000; default_type application/octet-stream;
  client_body_temp_path {folder}/nginx-body; proxy_temp_path {folder}/nginx-proxy; fastcgi_temp_path {folder}/nginx-fastcgi;
  uwsgi_temp_path {folder}/nginx-uwsgi; scgi_temp_path {folder}/nginx-scgi;
  server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench files", description=__doc__)
    parser.add_argument("--programs", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--mib", type=int, help="size of the file (1024)")
    parser.add_argument("--seconds", type=int, help="seconds of each turn (5)")
    parser.add_argument("--quick", action="store_true", help="64 MiB, a second each: does it run at all?")
    parser.add_argument("--smoke", action="store_true", help="the same, once, with a dev build: what scripts/test runs")
    parser.add_argument("--json", type=pathlib.Path, default=BASE / "files.json", help="where the numbers go")
    given = parser.parse_args()
    mib, seconds = (64, 1) if given.quick or given.smoke else (1024, 5)
    given.turns = 1 if given.smoke else TURNS
    given.mib, given.seconds = given.mib or mib, given.seconds or seconds
    return given


def nginx_program():
    """nginx as it is installed, else Debian's package, unpacked and not installed."""
    if found := shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin"):
        return found
    folder = BASE / "nginx"
    program = folder / "usr" / "sbin" / "nginx"
    if not program.exists():
        print("fetching nginx from Debian", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        if subprocess.run(["apt-get", "download", "-qq", "nginx"], cwd=folder, stderr=subprocess.DEVNULL).returncode != 0:
            sudo = [] if os.geteuid() == 0 else ["sudo"]
            subprocess.run([*sudo, "apt-get", "update", "-qq"], check=True)
            subprocess.run(["apt-get", "download", "-qq", "nginx"], cwd=folder, check=True)
        package = next(folder.glob("nginx_*.deb"))
        subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
    return program


def nginx(folder, root):
    port = servers.free_port()
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port, root=root))
    # The user that starts it is the one that may read the file.
    command = [nginx_program(), "-c", config, "-p", folder]
    if os.geteuid() == 0:
        command += ["-g", "user root;"]
    (root / "ready").touch()
    return servers.Server("nginx", command, folder / "nginx.log", port, "/ready")


def published(given):
    """A store with one file of that size, and where it lies."""
    folder = BASE / f"file-{given.mib}"
    store = folder / "store"
    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        print(f"making a file of {given.mib} MiB", flush=True)
        bytes_ = folder / "bytes"
        with open(bytes_, "wb") as out:
            for _ in range(given.mib):
                out.write(os.urandom(1 << 20))
        subprocess.run([given.programs / "examples" / "file", store, bytes_], check=True)
        bytes_.unlink()
        (folder / "done").touch()
    return folder, store, next(store.rglob("*.parquet"))


def run(server, path, size, length, connections, seconds, turn):
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s", "-s", SCRIPT]
    command += [f"http://127.0.0.1:{server.port}{path}", "--", str(size), str(length), str(turn)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 120)
    line = next((line for line in ran.stdout.splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        raise SystemExit(f"wrk said: {ran.stdout} {ran.stderr}")
    counted = json.loads(line.removeprefix("RESULT "))
    if counted["failed"]:
        raise SystemExit(f"{server.name}: {counted['failed']} requests failed")
    return counted


def main():
    given = arguments()
    folder, store, file = published(given)
    size = file.stat().st_size
    # In memory for both: it is the servers that are measured.
    with open(file, "rb") as warm:
        while warm.read(1 << 20):
            pass
    with servers.openshelf(given.programs, store, folder) as ours, nginx(folder, file.parent) as theirs:
        url = ours.json("/v1/datasets/file/tables/t/files")["files"][0]["url"]
        both = [(ours, url), (theirs, f"/{file.name}")]
        for server, path in both:
            if server.get(path)[2] != file.read_bytes():
                raise SystemExit(f"{server.name} does not serve the file")
        rows, memory = [], [ours.memory()[0]]
        for what, length, connections in [("whole file", 0, 1), ("whole file", 0, 4), *(("64 KiB", RANGE, n) for n in (1, 4, 32))]:
            turns = {server.name: [] for server, _ in both}
            for turn in range(given.turns):
                # By turns: a machine that is slow for a while is slow for both.
                for server, path in both if turn % 2 == 0 else reversed(both):
                    turns[server.name].append(run(server, path, size, length, connections, given.seconds, turn))
            unit, of = ("MiB/s", lambda r: r["bytes"] / r["seconds"] / (1 << 20)) if length == 0 else ("req/s", lambda r: r["requests"] / r["seconds"])
            speed = {name: statistics.median(map(of, found)) for name, found in turns.items()}
            row = {"what": what, "connections": connections, "unit": unit, **speed, "ratio": speed["Openshelf"] / speed["nginx"]}
            rows.append(row)
            memory.append(ours.memory()[1])
            print(f"{what:12}{connections:>3} connections: Openshelf {row['Openshelf']:10,.0f} {unit}, nginx {row['nginx']:10,.0f} {unit}: {row['ratio']:.2f}", flush=True)
        # The same load as at the beginning, after all of it: what grew has leaked.
        for turn in range(given.turns):
            run(ours, url, size, 0, 4, given.seconds, turn)
        flat = ours.memory()[1] / memory[2]
    worst = lambda what: min(row["ratio"] for row in rows if row["what"] == what)
    criteria = [
        report.criterion("whole file, bytes a second: ours to nginx's, at the worst number of connections", worst("whole file"), 0.6, True),
        report.criterion("64 KiB ranges, requests a second: ours to nginx's, at the worst number of connections", worst("64 KiB"), 0.5, True),
        report.criterion("resident memory, at most, of the same load at the end and at the beginning", flat, 1.2),
        report.criterion("resident memory, at most", max(memory), 512, unit="MiB"),
    ]
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps({"mib": given.mib, "seconds": given.seconds, "rows": rows, "memory_mib": memory, "criteria": criteria}, indent=1))
    print(f"resident MiB: idle {memory[0]:.0f}, at most " + ", ".join(f"{most:.0f}" for most in memory[1:]))
    for row in criteria:
        mark = "holds" if row["holds"] else "FAILS"
        print(f"{mark:7}{row['name']}: {report.number(row['value'], row['unit'])} ({'≥' if row['at_least'] else '≤'} {row['limit']} {row['unit']})")


main()
