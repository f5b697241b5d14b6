"""What is asked: for each kind of request a file of paths per server, all different, the same for every server and run."""

import pathlib
import urllib.parse

import numpy as np
import pyarrow.parquet as pq

PAGE = 100
PATHS = 300_000
QUIET = {"_nocount": 1, "_nofacet": 1, "_nosuggest": 1, "_shape": "objects", "_size": PAGE}


def shuffled(start, end, count, seed):
    """Numbers of a range, none twice, in an order that no cache foresees."""
    if end - start <= 4 * count:
        return np.random.default_rng(seed).permutation(np.arange(start, end))[:count]
    drawn = np.random.default_rng(seed).integers(start, end, count * 2)
    _, first = np.unique(drawn, return_index=True)
    return drawn[np.sort(first)][:count]


class Table:
    """What the paths are made from: keys there are and are not, words, numbers of rows."""

    def __init__(self, files, count=PATHS):
        self.rows, keys, titles = 0, [], []
        for file in files:
            self.rows += pq.read_metadata(file).num_rows
        step = max(1, self.rows // (2 * count))
        for file in files:
            for batch in pq.ParquetFile(file).iter_batches(200_000, columns=["tconst", "primary_title"]):
                keys.append(batch.column(0).to_numpy(zero_copy_only=False)[::step])
                if len(titles) < 50:
                    titles += batch.column(1).to_pylist()[:2000]
        order = np.random.default_rng(3)
        self.present = order.permutation(np.concatenate(keys))[:count]
        # Each lies between two keys that are there, so that bounds alone do not tell that it is absent.
        self.absent = [f"{key}x" for key in order.permutation(self.present)]
        words = sorted({word for title in titles for word in title.split() if word.isalpha()})
        self.words = order.permutation(words)


def path(base, **parameters):
    return f"{base}?{urllib.parse.urlencode(parameters)}"


def filters(count, seed):
    """Year, kind and least runtime: conditions that few rows meet."""
    kinds = ["tvEpisode", "short", "movie", "video", "tvSeries", "tvMovie"]
    every = [(year, kind, least) for year in range(1950, 2026) for kind in kinds for least in range(10, 50)]
    order = np.random.default_rng(seed).permutation(len(every))[:count]
    return [every[at] for at in order]


def pairs(words, count, seed):
    random = np.random.default_rng(seed)
    left, right = random.integers(0, len(words), (2, count * 2))
    return list(dict.fromkeys(f"{words[a]} {words[b]}" for a, b in zip(left, right) if a != b))[:count]


def openshelf(table, dataset="titles"):
    base = f"/v1/datasets/{dataset}/tables/titles"
    rows, last = f"{base}/rows", table.rows - PAGE
    near = min(20_000, last // 3)
    page = lambda offsets: [f"{rows}?offset={offset}&limit={PAGE}" for offset in offsets]
    return {
        "pages": page(shuffled(0, last, PATHS, 1)),
        "pages at the beginning": page(shuffled(0, near, near, 2)),
        "pages at the end": page(shuffled(last - near, last, near, 2)),
        "look-up": [path(rows, tconst__exact=key) for key in table.present],
        "look-up of nothing": [path(rows, tconst__exact=key) for key in table.absent],
        "filtered": [
            path(rows, where=f"start_year = {year} and title_type = '{kind}' and runtime_minutes >= {least}", limit=PAGE)
            for year, kind, least in filters(PATHS, 4)
        ],
        "full text": [path(f"{base}/search", q=words, limit=20) for words in pairs(table.words, 50_000, 5)],
    }


def datasette(table):
    base, last = "/titles/titles.json", table.rows - PAGE
    return {
        # Its own paging by row number, which costs the same at any depth.
        "pages": [path(base, _next=offset, **QUIET) for offset in shuffled(0, last, PATHS, 1)],
        "look-up": [path(base, tconst__exact=key, **QUIET) for key in table.present],
        "look-up of nothing": [path(base, tconst__exact=key, **QUIET) for key in table.absent],
        "filtered": [
            path(base, start_year__exact=year, title_type__exact=kind, runtime_minutes__gte=least, **QUIET)
            for year, kind, least in filters(PATHS, 4)
        ],
        "full text": [
            path(base, _search=words, **(QUIET | {"_size": 20})) for words in pairs(table.words, 50_000, 5)
        ],
    }


def roapi(table):
    """SQL, since its REST form has no offset."""
    last = table.rows - PAGE
    everything = "SELECT * FROM titles WHERE"
    return {
        "pages": [f"SELECT * FROM titles LIMIT {PAGE} OFFSET {offset}" for offset in shuffled(0, last, PATHS, 1)],
        "pages by key": [f"{everything} tconst > '{key}' ORDER BY tconst LIMIT {PAGE}" for key in table.present],
        "look-up": [f"{everything} tconst = '{key}'" for key in table.present],
        "look-up of nothing": [f"{everything} tconst = '{key}'" for key in table.absent],
        "filtered": [
            f"{everything} start_year = {year} AND title_type = '{kind}' AND runtime_minutes >= {least} LIMIT {PAGE}"
            for year, kind, least in filters(PATHS, 4)
        ],
    }


def aggregates(table, run):
    """Four queries; `run` changes a number in each, so that no answer can be kept from before."""
    return {
        "group by type": "SELECT title_type, count(*) AS n, avg(runtime_minutes) AS minutes, max(start_year) AS last"
        f" FROM {table} GROUP BY title_type ORDER BY n DESC LIMIT {100 + run}",
        "filtered group by year": f"SELECT start_year, count(*) AS n FROM {table} WHERE title_type = 'movie' AND"
        f" runtime_minutes > {60 + run} GROUP BY start_year ORDER BY start_year LIMIT 1000",
        "like": f"SELECT count(*) AS n FROM {table} WHERE primary_title LIKE '%an{'aeiou'[run % 5]}%' AND"
        f" tconst <> 'tt{run:09}'",
        "unnest": f"SELECT genre, count(*) AS n FROM (SELECT unnest(genres) AS genre FROM {table}) GROUP BY genre"
        f" ORDER BY n DESC LIMIT {100 + run}",
    }


def write(folder, server, workloads):
    """The paths as files for the load generator."""
    written = {}
    for name, paths in workloads.items():
        file = pathlib.Path(folder) / f"{server}-{name.replace(' ', '-')}.txt"
        file.write_text("\n".join(paths) + "\n")
        written[name] = file
    return written
