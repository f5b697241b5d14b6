"""The load generator: wrk over files of paths, at several numbers of connections."""

import json
import pathlib
import subprocess

SCRIPT = pathlib.Path(__file__).parent / "paths.lua"


class Failed(RuntimeError):
    """A server that does not answer as it should."""


def check(server, workload, file, post):
    """One request by hand: an answer that is no answer must not be measured."""
    with open(file) as lines:
        first = lines.readline().rstrip("\n")
    status, headers, body = server.get(post, first) if post else server.get(first)
    if status != 200:
        raise Failed(f"{server.name}, {workload}: {status} to {first}: {body[:300]!r}")
    return json.loads(body), headers


def run(server, workload, file, connections, seconds, first, post=None):
    """Requests per second, p50 and p99 in milliseconds; each run begins at another line of the file."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", SCRIPT]
    command += [f"http://127.0.0.1:{server.port}", "--", file, str(first)] + ([post] if post else [])
    ran = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 120)
    line = next((line for line in ran.stdout.splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        raise Failed(f"wrk said: {ran.stdout} {ran.stderr}")
    counted = json.loads(line.removeprefix("RESULT "))
    return {
        "server": server.name,
        "workload": workload,
        "connections": connections,
        "requests": counted["requests"],
        "per_second": counted["requests"] / counted["seconds"],
        "p50_ms": counted["p50"] / 1000,
        "p99_ms": counted["p99"] / 1000,
        "bytes_per_answer": counted["bytes"] / max(1, counted["requests"]),
        "failed": counted["refused"] + counted["broken"],
        "repeated": counted["wrapped"],
    }
