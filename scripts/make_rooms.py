"""Write procedural rooms to disk in the ScanNet or the Replica layout.

    python scripts/make_rooms.py --out data/rooms --rooms 40
    python scripts/make_rooms.py --out data/rooms_replica --layout replica --rooms 8
    python scripts/make_rooms.py --out data/rooms --bench --workers 8
    python scripts/make_rooms.py --out data/rooms --worlds --rooms 200 --workers 8

The third one writes the rooms of configs/protocols/rooms_bench.json and checks that their labels are everyone's.
The last one writes world_0000, ...: scenes of random things without classes, to learn colour and depth from beside
rooms. Rooms that are complete already, with the same options, are skipped: an interrupted run goes on where it stopped.
Room N depends on `--seed` and N only: `--first 100 --rooms 10` writes room_0100 to room_0109, none equal to an earlier
one.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gpnerf.data.label_digests import read_digests, verify_labels
from gpnerf.data.labels import LABEL_TABLE
from gpnerf.data.procedural.categories import label_table
from gpnerf.data.procedural.disk import LAYOUTS
from gpnerf.data.rooms import describe_room, require_same_room, write_room
from gpnerf.data.worlds import LAYOUT as WORLD
from gpnerf.data.worlds import write_world
from gpnerf.errors import UserError, run_script
from gpnerf.storage import write_whole

_ROOMS_PER_SEED = 60_000  # a multiple of the number of room kinds, so that kinds take turns for every seed
_SIZES = {"scannet": (160, 128), "replica": (160, 120)}
# The rooms of the benchmark and the SHA-256 of their labels; flags that would make other rooms.
_BENCH = Path(__file__).resolve().parent.parent / "configs" / "rooms_bench.sha256"
_NOT_WITH_BENCH = ("worlds", "layout", "rooms", "first", "frames", "width", "height", "seed")


def main() -> None:
    args = _arguments()
    for name in ("rooms", "frames", "workers"):
        if getattr(args, name) < 1:
            raise UserError(f"--{name}: expected at least 1, found {getattr(args, name)}")
    width, height = args.width or _SIZES[args.layout][0], args.height or _SIZES[args.layout][1]
    if args.worlds and args.layout != "scannet":
        raise UserError(f"--worlds: expected --layout scannet, since every world has its own lens, found {args.layout}")
    if args.layout == "replica" and 3 * width != 4 * height:
        raise UserError(f"--width, --height: the Replica camera has 4:3 pictures, found {width}x{height}: try 160 120")
    args.out.mkdir(parents=True, exist_ok=True)
    if args.layout == "scannet":
        write_whole(args.out / LABEL_TABLE, label_table())
    numbers = _bench_numbers() if args.bench else range(args.first, args.first + args.rooms)
    folders = {n: args.out / f"{'world' if args.worlds else 'room'}_{n:04d}" for n in numbers}
    missing = [n for n in numbers if not folders[n].exists()]
    for number in set(numbers).difference(missing):
        layout, seed = WORLD if args.worlds else args.layout, args.seed * _ROOMS_PER_SEED + number
        require_same_room(folders[number], describe_room(seed, layout, args.frames, width, height))
    write = partial(_write, folders, args, width, height)
    with ProcessPoolExecutor(args.workers) as pool:
        for _ in tqdm(pool.map(write, missing), total=len(missing), unit="room"):
            pass
    if args.bench:
        verify_labels(args.out, _BENCH)
    kind, there = "worlds" if args.worlds else "rooms", len(numbers) - len(missing)
    print(f"{len(numbers)} {kind} in {args.out} ({there} were there already)")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder that gets room_0000, room_0001, ...")
    parser.add_argument("--layout", choices=LAYOUTS, default="scannet", help="folder layout and camera")
    parser.add_argument("--rooms", type=int, default=1, help="number of rooms")
    parser.add_argument("--first", type=int, default=0, help="number of the first room")
    parser.add_argument("--frames", type=int, default=40, help="frames a room")
    parser.add_argument("--width", type=int, help="picture width (default 160)")
    parser.add_argument("--height", type=int, help="picture height (default 128, for replica 120)")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other rooms")
    parser.add_argument("--workers", type=int, default=1, help="processes that write rooms side by side")
    parser.add_argument("--worlds", action="store_true", help="scenes of random things without classes")
    parser.add_argument("--bench", action="store_true", help="the benchmark's rooms, with their labels verified")
    args = parser.parse_args()
    changed = [name for name in _NOT_WITH_BENCH if getattr(args, name) != parser.get_default(name)]
    if args.bench and changed:
        raise UserError(f"--bench: expected no --{changed[0]} beside it, since the benchmark's rooms are fixed")
    return args


def _bench_numbers() -> list[int]:
    return [int(scene.removeprefix("room_")) for scene in read_digests(_BENCH)]


def _write(folders: dict[int, Path], args: argparse.Namespace, width: int, height: int, number: int) -> None:
    cv2.setNumThreads(1)  # the processes share the cores already
    seed = args.seed * _ROOMS_PER_SEED + number
    if args.worlds:
        write_world(folders[number], seed, args.frames, width, height)
    else:
        write_room(folders[number], seed, args.layout, args.frames, width, height)


if __name__ == "__main__":
    run_script(main)
