"""Put published renderings of Replica where the data sets read them, check them, and say what is missing.

    python scripts/prepare_replica.py --download /disk/Replica_Dataset --out data/Replica
    python scripts/prepare_replica.py --publication dm_nerf --download /disk/replica.zip --out data/Replica_DM

`--publication semantic_nerf` (data set `replica`) has office_0-4 and room_0-2 with two sequences each, `dm_nerf` (data
set `instance_replica`) seven scenes with instances. `--download` is the folder or zip archive as it was downloaded,
however it is nested; archives are unpacked, folders linked (`--copy` copies them). Without it, what is in `--out` is
checked. A sequence with a fault, or a missing one, is named with its reason; the exit code is 2 then.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gpnerf.data.splits import read_split
from gpnerf.errors import run_script
from gpnerf.preparation.batch import prepare_scenes, refuse_faults, summary
from gpnerf.preparation.downloads import find_sequences
from gpnerf.preparation.replica import PUBLICATIONS, Arrangement


def main() -> None:
    args = _arguments()
    publication = PUBLICATIONS[args.publication]
    places = publication.places(read_split(args.scenes) if args.scenes else publication.scenes)
    found = find_sequences(args.download, publication.sequences != ("",)) if args.download else {}
    arrangement = Arrangement(publication, args.out, found, args.copy)
    done, faults = prepare_scenes(places, arrangement.prepare, jobs=1)
    print(summary(done, faults))
    refuse_faults(faults, len(places))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--download", type=Path, help="downloaded folder or zip archive (default: only check --out)")
    parser.add_argument("--out", type=Path, required=True, help="folder that gets a folder for each scene")
    parser.add_argument("--publication", choices=tuple(PUBLICATIONS), default="semantic_nerf", help="whose renderings")
    parser.add_argument("--scenes", type=Path, help="split file: one scene or sequence a line (default: all published)")
    parser.add_argument("--copy", action="store_true", help="copy folders instead of linking to them")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
