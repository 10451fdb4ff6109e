"""Measure rendering and training: plain against fast, with and without semantics, memory, and the machine's limits.

    python scripts/benchmark.py --output benchmark.json
    python scripts/benchmark.py --config configs/gnt_rooms.txt --device cuda --parts render,machine

Without `--config` it is the reference setting: 160x128, 6 views, depth 8, width 64, 48+16 samples in inverse depth, 512
rays in one chunk, no dropout and no jitter. Every flag of the training program may be added and wins. The weights are
random, the scene is a procedural room made in memory; only `--parts loader` reads the preset's data. What is compared
alternates within this process; on a shared machine read the CPU column. Times of images are composed of those of chunks
unless `--full_image` is given.
"""

import argparse
import sys
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import gpnerf  # noqa: F401 (before PyTorch: it says how PyTorch's threads wait)

# isort: split
import torch
from torch import Tensor

from gpnerf.assembly.data import data_source, training_examples
from gpnerf.assembly.execution import place
from gpnerf.assembly.model import Architecture, build_optimizer
from gpnerf.assembly.training import build_objective, step_settings
from gpnerf.benchmark import machine
from gpnerf.benchmark.parts import measure_parts
from gpnerf.benchmark.render import Renderer
from gpnerf.benchmark.report import tables
from gpnerf.benchmark.scene import room_example, visibility
from gpnerf.benchmark.step import ALL, COLOUR, UNWEIGHTED, Step, colour_objective
from gpnerf.benchmark.workload import Network
from gpnerf.config import Config, parse
from gpnerf.data.protocol import Protocol
from gpnerf.data.throughput import examples_per_second
from gpnerf.distributed import select_device
from gpnerf.errors import UserError, run_script
from gpnerf.geometry import camera_rays
from gpnerf.models.gpnerf import GPNeRF
from gpnerf.storage import strict_json, write_whole
from gpnerf.structures import Example
from gpnerf.training.pixels import choose_pixels

PARTS = ("render", "step", "memory", "machine", "loader")
DEFAULT_PARTS = PARTS[:-1]  # the loader needs a data set on disk
_LOADER_SECONDS, _LOADER_WARM_UP = 5.0, 500
REFERENCE = {
    "train_dataset": "train_rooms", "eval_dataset": "val_rooms", "num_source_views": 6, "render_stride": 1,
    "trans_depth": 8, "netwidth": 64, "N_samples": 48, "N_importance": 16, "inv_uniform": True, "N_rand": 512,
    "chunk_size": 512, "dropout": 0, "det": True,
}  # fmt: skip
# Short names of the program's flags.
SHORT = {"rays": "N_rand", "views": "num_source_views", "depth": "trans_depth", "width": "netwidth"}
# Further models to train, beside plain and fast: the fields of an architecture that make them.
VARIANTS: dict[str, dict[str, Any]] = {"recomputed": {"recompute": True}}
# Weights at the start leave the attention almost even; larger ones choose, as trained ones do.
_ATTENTION_FACTOR = 2.0


@dataclass(frozen=True)
class Setting:
    """What is measured."""

    config: Config
    protocol: Protocol
    architecture: Architecture
    example: Example
    pixels: Tensor
    device: torch.device
    weights: dict[str, Tensor]
    chunk_size: int

    def build(self, colour_only: bool = False, **changes: Any) -> GPNeRF:
        """A model with the common weights; `colour_only` takes feature pyramid and head away."""
        model = replace(self.architecture, **changes).build()
        model.load_state_dict(self.weights)
        if colour_only:
            model.fpn = model.head = None
        return place(model, self.config, self.device)


def main() -> None:
    args, flags = _arguments()
    torch.set_num_threads(args.threads)
    setting = _setting(parse(flags))
    content = _describe(setting, args)
    plain, fast = (_renderer(setting, plain=plain) for plain in (True, False))
    steps = _steps(setting) if {"step", "memory"} & set(args.parts) else {}
    network, needed, clock = _network(setting, fast), content["scene"]["needed"], content["setting"]["clock"]
    how = {"repeats": args.repeats, "clock": clock, "whole_images": args.full_image}
    report, results = measure_parts(args.parts, plain, fast, steps, network, needed, **how)
    content |= report
    if "loader" in args.parts:
        content["loader"] = _loader(setting.config)
    if args.output:
        write_whole(args.output, strict_json(content, indent=1) + "\n")
    print(tables(content, results))


def _arguments() -> tuple[argparse.Namespace, list[str]]:
    """This script's own options, and the flags for the program."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--config", help="preset to measure instead of the reference setting")
    parser.add_argument("--threads", type=int, default=1, help="threads of PyTorch on the CPU")
    parser.add_argument("--repeats", type=int, default=5, help="rounds of every comparison")
    parser.add_argument("--parts", default=",".join(DEFAULT_PARTS), help=f"comma-separated, of {', '.join(PARTS)}")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    parser.add_argument("--full_image", action="store_true", help="render whole images too (minutes on a CPU)")
    parser.add_argument("--size", type=int, nargs=2, metavar=("WIDTH", "HEIGHT"), help="picture size")
    for name, flag in SHORT.items():
        parser.add_argument(f"--{name}", type=int, help=f"the same as --{flag}")
    args, rest = parser.parse_known_args()
    args.parts = args.parts.split(",")
    for part in args.parts:
        if part not in PARTS:
            raise UserError(f"--parts: expected some of {', '.join(PARTS)}, found {part!r}")
    for name in ("threads", "repeats"):
        if getattr(args, name) < 1:
            raise UserError(f"--{name}: expected at least 1, found {getattr(args, name)}")
    if args.output and not args.output.resolve().parent.is_dir():
        raise UserError(f"--output: expected a folder that exists, found none: make {args.output.parent} first")
    given: dict[str, Any] = {"config": args.config} if args.config else dict(REFERENCE)
    given |= {flag: value for name, flag in SHORT.items() if (value := getattr(args, name)) is not None}
    if args.size:
        given |= {"original_width": args.size[0], "original_height": args.size[1]}
    return args, [word for flag, value in given.items() for word in (f"--{flag}", str(value))] + rest


def _setting(config: Config) -> Setting:
    source = data_source(config, config.data.train_dataset.split("+")[0])
    protocol, names = source.protocol, source.class_names
    if config.model.semantic_model != "fpn":
        raise UserError("semantic_model: expected fpn, whose rendered features are what is measured; leave it out")
    pixel_count, rays = protocol.height * protocol.width, config.optim.N_rand
    if rays > pixel_count:
        raise UserError(f"--rays: expected at most the image's {pixel_count} pixels, found {rays}")
    device = select_device(config.run.device, config.expects_gpu)
    if (ranges := protocol.depth_ranges) is None:
        raise UserError(f"{protocol.name}: the example that is measured has no near and far of its own; --depth_range")
    views, (near, far) = protocol.num_source_views, ranges.evaluation
    example = room_example(protocol.height, protocol.width, views, len(names), near, far)
    pixels = choose_pixels(
        protocol.height, protocol.width, rays, "uniform", 1.0, torch.Generator().manual_seed(config.run.seed)
    )
    architecture = Architecture.of(config, len(names))
    torch.manual_seed(config.run.seed)
    weights = architecture.build().state_dict()
    for name, weight in weights.items():
        if "attention" in name and weight.ndim == 2:
            weight *= _ATTENTION_FACTOR
    chunk_size = config.render.chunk_size or rays
    return Setting(config, protocol, architecture, example.to(device), pixels.to(device), device, weights, chunk_size)


def _renderer(setting: Setting, plain: bool) -> Renderer:
    return Renderer(
        setting.build(plain=plain),
        setting.build(plain=plain, colour_only=True),
        setting.example,
        pixels=setting.pixels,
        chunk_size=setting.chunk_size,
        stride=setting.protocol.render_stride,
        bf16=setting.config.render.amp == "bf16",
    )


def _steps(setting: Setting) -> dict[str, Step]:
    config, ignore = setting.config, setting.architecture.outputs - 1
    every = build_objective(config, ignore, finetuning=False)
    colour = colour_objective(every)
    make = partial(
        Step.of,
        optimizer=partial(build_optimizer, config=config),
        example=setting.example,
        settings=step_settings(config),
    )
    steps = {}
    for name in ("plain", "fast"):
        plain = name == "plain"
        steps[f"{name}, {ALL}"] = make(setting.build(plain=plain), objective=every)
        steps[f"{name}, {COLOUR}"] = make(setting.build(plain=plain, colour_only=True), objective=colour)
    steps[f"fast, {UNWEIGHTED}"] = make(setting.build(plain=False), objective=colour)
    known = {field.name for field in fields(Architecture)}
    for name, changes in VARIANTS.items():
        if known >= changes.keys():
            steps[f"fast, {name}, {ALL}"] = make(setting.build(plain=False, **changes), objective=every)
    return steps


def _loader(config: Config) -> dict[str, float]:
    """Examples a second of the preset's training loader: reading every frame, packed or not, and from the cache."""
    reading = replace(config, data=replace(config.data, cache_gb=0.0))
    made = {name: training_examples(given)[0] for name, given in (("reading", reading), ("cached", config))}
    return {
        f"examples a second, {name}": examples_per_second(
            examples,
            seconds=_LOADER_SECONDS,
            num_workers=config.run.num_workers,
            warm_up=min(len(examples), _LOADER_WARM_UP) if name == "cached" else 0,
        )
        for name, examples in made.items()
    }


def _network(setting: Setting, fast: Renderer) -> Network:
    """The numbers that decide the work."""
    shape = setting.architecture
    return Network(
        width=shape.netwidth,
        depth=shape.trans_depth,
        colour=shape.coarse_features + 3,
        semantic=len(fast.blank_features),
        samples=shape.samples,
        importance=shape.importance,
        views=setting.protocol.num_source_views,
        shared=not shape.fine_features,
    )


def _describe(setting: Setting, args: argparse.Namespace) -> dict[str, Any]:
    rays = camera_rays(setting.example.target.camera, setting.pixels)
    shape = setting.architecture
    return {
        "command": sys.argv,
        "commit": machine.commit(Path(__file__).parent),
        "machine": machine.description(setting.device),
        "setting": {
            "protocol": setting.protocol.name,
            "size": [setting.protocol.width, setting.protocol.height],
            "views": setting.protocol.num_source_views,
            "rays": len(setting.pixels),
            "chunk_size": setting.chunk_size,
            "repeats": args.repeats,
            # What the processor worked is the steadier number; with a GPU or several threads time passes otherwise.
            "clock": "cpu" if setting.device.type == "cpu" and args.threads == 1 else "wall",
            "architecture": shape.to_dict(),
            "flags": setting.config.to_dict(),
        },
        "scene": visibility(setting.example, rays, shape.samples, shape.inverse),
    }


if __name__ == "__main__":
    run_script(main)
