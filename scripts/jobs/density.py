"""What the two density jobs have in common: their arguments, and how the figures are shown."""

import json


def arguments(parser):
    parser.add_argument("base", help="address of the server, such as http://127.0.0.1:8080")
    parser.add_argument("--dataset", default="million-song", help="`million-song@3` for snapshot 3")
    parser.add_argument("--extremes", type=int, default=10, help="songs listed at either end")
    parser.add_argument("--json", action="store_true", help="figures as one JSON object")


def show(found, options):
    """`found`: songs, mean (segments a second), densest and sparsest (pairs of track_id and density), songs_by_density."""
    by_density = dict(sorted(found["songs_by_density"].items()))
    if options.json:
        print(json.dumps(found | {"songs_by_density": by_density}))
        return
    print(f"{found['songs']} songs, {found['mean']:.3f} segments a second on average")
    for end in ("densest", "sparsest"):
        print(f"{end}:")
        for track, value in found[end]:
            print(f"  {track}  {value:7.3f}")
    print("songs by segments a second:")
    for segments, songs in by_density.items():
        print(f"  {segments:3d}  {songs}")
