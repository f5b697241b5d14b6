"""What an engine finds is compared with the truth, and what it read is counted, by the server. Takes the program's arguments: the
server's address, and words that the names of the engines wanted have."""

import json
import os
import sys
import time
import urllib.request

import observations

BASE, WANTED = sys.argv[1].rstrip("/"), sys.argv[2:]
HOST = BASE.split("://")[1]
DATASET, TABLE = observations.DATASET, observations.TABLE
# A share of the table's bytes that a filter on the sort key may take.
SHARE = 0.10
SNAPSHOTS = (1, observations.NEWEST)

for name in ("NO_PROXY", "no_proxy"):
    os.environ[name] = "127.0.0.1,localhost"
# Nothing here may look for credentials or a region elsewhere, or tell others of itself.
os.environ |= {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
os.environ |= {"DAFT_ANALYTICS_ENABLED": "0"}


def get(path):
    with urllib.request.urlopen(BASE + path, timeout=60) as answer:
        return answer.read()


# By number of the snapshot.
FILES = {number: json.loads(get(f"/v1/datasets/{DATASET}/tables/{TABLE}/files?snapshot={number}")) for number in SNAPSHOTS}
TRUTH = {number: observations.truth(number) for number in SNAPSHOTS}


def sent():
    """Bytes of answers so far, in the bucket and by the Iceberg catalog, as the server counts them."""
    lines = get("/metrics").decode().splitlines()
    counted = tuple(f'openshelf_sent_bytes_total{{route="{route}' for route in ("/data", "/iceberg"))
    return sum(int(line.split()[-1]) for line in lines if line.startswith(counted))


def settled():
    """An answer is counted when its last byte is out, a moment after the client has it."""
    before = sent()
    while True:
        time.sleep(0.1)
        after = sent()
        if after == before:
            return after
        before = after


def check(name, opened, most, snapshot):
    truth, size = TRUTH[snapshot], FILES[snapshot]["bytes"]
    begun = time.monotonic()
    count, few, stations = opened()
    found = count()
    if found != truth["rows"]:
        sys.exit(f"{name}: counts {found}, there are {truth['rows']}")
    before = settled()
    found = tuple(few())
    read = settled() - before
    if found != truth["few"]:
        sys.exit(f"{name}: finds {found} below 1000, there are {truth['few']}")
    found = stations()
    if found != truth["stations"]:
        sys.exit(f"{name}: groups {found}, it is {truth['stations']}")
    print(f"{name:26} right in {time.monotonic() - begun:5.1f} s; the filter read {read:>10,} of {size:,} bytes ({read / size:.1%})", flush=True)
    if read == 0 or (most is not None and read > most * size):
        sys.exit(f"{name}: the filter on the sort key read {read} of {size} bytes; {most:.0%} is the most")


def run(engines):
    """Each of `{name: (opened, share, snapshot)}` that is wanted."""
    begun = time.monotonic()
    chosen = {name: engine for name, engine in engines.items() if not WANTED or any(word in name for word in WANTED)}
    if not chosen:
        return
    for name, engine in chosen.items():
        # Each begins anew, in a process of its own: no cache of one spares another a request.
        child = os.fork()
        if child == 0:
            check(name, *engine)
            sys.stdout.flush()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status != 0:
            sys.exit(f"{name} failed")
    rows, files = TRUTH[observations.NEWEST]["rows"], len(FILES[observations.NEWEST]["files"])
    print(f"{len(chosen)} engines agree with the truth on {rows:,} rows in {files} files, in {time.monotonic() - begun:.0f} s", flush=True)
