"""Render a video of a scene along a smooth camera path, without any truth.

    python scripts/render_video.py --config configs/gnt_rooms.txt --scene room_9000 --trajectory orbit
    python scripts/render_video.py --config configs/gnt_rooms.txt --ckpt_path out/gnt_rooms/model_000800.pth \\
        --scene room_9000 --trajectory interpolate --key_frames 0 10 20 30 --frames 240 --render_stride 1
    python scripts/render_video.py --config configs/gnt_rooms.txt --scene room_9000 --trajectory file --poses mine.txt

Paths: `interpolate` goes through frames of the scene, `orbit` once around it, `spiral` twice and nearer (both look at
its centre), `file` takes the poses of a text file (camera-to-world, 16 numbers a line). Every frame is rendered from
the nearest frames of the scene. A stopped video goes on where it was; frames, `poses.txt` and mp4 lie in
out/<expname>/video/<scene>/<trajectory>. Every flag of eval_gpnerf.py counts here too. mp4 files need the package
imageio-ffmpeg.
"""

import argparse
import sys
from pathlib import Path
from typing import get_args

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gpnerf.assembly.video import VideoRequest, build_video
from gpnerf.config import parse
from gpnerf.errors import UserError, run_script
from gpnerf.video.film import Film
from gpnerf.video.paths import Trajectory


def main() -> None:
    args, flags = _parser().parse_known_args()
    for name, least in (("frames", 2), ("fps", 1), ("strip", 0)):
        if getattr(args, name) < least:
            raise UserError(f"--{name}: expected at least {least}, found {getattr(args, name)}")
    film = Film(args.fps, args.separate, args.strip)
    request = VideoRequest(args.scene, args.trajectory, args.frames, tuple(args.key_frames), args.poses, args.out, film)
    for path in build_video(parse(flags), request).run():
        print(path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--scene", required=True, help="scene of the data set eval_dataset")
    parser.add_argument("--trajectory", choices=get_args(Trajectory), default="interpolate", help="camera path")
    parser.add_argument("--frames", type=int, default=120, help="frames of the video (a file has its own number)")
    parser.add_argument("--fps", type=int, default=30, help="frames a second")
    parser.add_argument("--key_frames", type=int, nargs="+", default=[], help="frames to pass; default: 12 of them")
    parser.add_argument("--poses", type=Path, help="file of poses")
    parser.add_argument("--out", type=Path, help="folder of frames and films")
    parser.add_argument("--separate", action="store_true", help="one mp4 each for colour, depth and labels")
    parser.add_argument("--strip", type=int, default=0, help="also a picture of so many frames, strip.png")
    return parser


if __name__ == "__main__":
    run_script(main)
