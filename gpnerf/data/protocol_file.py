"""Reads a protocol from its JSON file."""

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from gpnerf.data.labels import CLASS_MAP_OF, CLASS_NAMES
from gpnerf.data.protocol import DepthRanges, FrameRule, Protocol
from gpnerf.data.splits import read_split, scene_name
from gpnerf.errors import UserError
from gpnerf.shipped import find_config
from gpnerf.storage import is_there, read_text

_CHOICES = {
    "dataset": tuple(CLASS_MAP_OF),
    "frame_order": ("numeric", "lexicographic"),
    "source_rule": ("nearest", "released", "listed"),
    "class_map": tuple(CLASS_NAMES),
    "compat": ("none", "release"),
}
_SCENE_LISTS = ("scenes", "validation_scenes", "train_scenes")


def load_protocol(spec: str, dataset: str, configs: Path) -> Protocol:
    """The protocol "clean" or "release" of a data set (`configs`/protocols/), or the one in the file `spec`.

    Scene lists are lists of names or the name of a split file, next to the protocol file or in `configs`; `[]` stands
    for every scene there is. `depth_ranges` may be null where scenes tell their own.
    """
    named = spec in ("clean", "release")
    path = configs / "protocols" / f"{dataset}_{spec}.json" if named else find_config(Path(spec))
    if named and not path.is_file():
        raise UserError(
            f"{path}: expected a protocol file, found none: '{spec}' is not defined for {dataset}; use --protocol clean"
        )
    text = read_text(path, "a protocol (JSON)", "--protocol takes clean, release or such a file")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: expected JSON, found a mistake ({error}); mend the file") from error
    protocol = _protocol(data, path, configs)
    if protocol.dataset != dataset:
        raise UserError(
            f"{path}: expected a protocol for {dataset}, found one for {protocol.dataset}; name a fitting file"
        )
    return protocol


def _protocol(data: Any, path: Path, configs: Path) -> Protocol:
    values = _checked_keys(data, Protocol, str(path))
    for key, allowed in _CHOICES.items():
        if values[key] not in allowed:
            raise UserError(
                f"{path}: '{key}' must be one of {', '.join(allowed)}, found {values[key]!r}; mend the file"
            )
    if values["class_map"] != (fitting := CLASS_MAP_OF[values["dataset"]]):
        raise UserError(
            f"{path}: expected 'class_map' {fitting}, which {values['dataset']} is labelled with, "
            f"found {values['class_map']}; mend the file"
        )
    convert: dict[str, Callable[[Any], Any]] = {
        **{key: lambda value: _scenes(value, path, configs) for key in _SCENE_LISTS},
        **dict.fromkeys(("min_index_gap", "num_source_views", "width", "height", "render_stride"), _whole),
        "evaluation_targets": lambda value: _frame_rule(value, f"{path}: evaluation_targets"),
        "finetuning_targets": lambda value: _frame_rule(value, f"{path}: finetuning_targets"),
        "depth_ranges": lambda value: _depth_ranges(value, f"{path}: depth_ranges"),
        "name": _text,
        "exclude_evaluation_targets": _flag,
        "metrics": lambda value: tuple(map(_text, value)),
        "listed_sources": _listed_sources,
    }
    return Protocol(**{key: _convert(convert.get(key), value, f"{path}: '{key}'") for key, value in values.items()})


def _checked_keys(data: Any, kind: type, where: str) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        raise UserError(f"{where}: expected a JSON object, found {type(data).__name__}; mend the file")
    known = {field.name: field.default is MISSING for field in fields(kind)}
    unknown = sorted(set(data) - set(known))
    missing = sorted(name for name, needed in known.items() if needed and name not in data)
    if unknown or missing:
        fault = f"unknown key '{unknown[0]}'" if unknown else f"no key '{missing[0]}'"
        raise UserError(f"{where}: expected the keys {', '.join(known)}, found {fault}; mend the file")
    return dict(data)


def _convert(convert: Callable[[Any], Any] | None, value: Any, where: str) -> Any:
    try:
        return convert(value) if convert else value
    except (TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{where} cannot be {json.dumps(value)} ({error}); mend the file") from error


def _scenes(value: Any, path: Path, configs: Path) -> tuple[str, ...]:
    if not isinstance(value, str):
        return tuple(scene_name(line) for line in value)
    for split in (path.parent / value, configs / value):
        if is_there(split):
            return read_split(split)
    raise UserError(
        f"{path}: expected the split file {value} in {path.parent} or {configs}, found none; mend the name, or list "
        "the scenes themselves"
    )


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError("a whole number of at least 1 is expected")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is expected")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("true or false is expected")
    return value


def _frame_rule(value: Any, where: str) -> FrameRule:
    values = _checked_keys(value, FrameRule, where)
    if values.get("frames") is not None:
        values["frames"] = {scene_name(scene): tuple(map(int, listed)) for scene, listed in values["frames"].items()}
    numbers = [values.get(key) for key in ("start", "stop", "step", "count")]
    if any(number is not None and type(number) is not int for number in numbers) or values.get("step") == 0:
        raise ValueError("start, stop, step and count are whole numbers, step is not 0")
    return FrameRule(**values)


def _depth_ranges(value: Any, where: str) -> DepthRanges | None:
    if value is None:
        return None
    return DepthRanges(**{kind: _range(pair) for kind, pair in _checked_keys(value, DepthRanges, where).items()})


def _range(pair: Any) -> tuple[float, float]:
    near, far = map(float, pair)
    if not 0 < near < far:
        raise ValueError("0 < near < far is expected")
    return near, far


def _listed_sources(value: Any) -> dict[str, dict[int, tuple[int, ...]]] | None:
    if value is None:
        return None
    return {
        scene_name(scene): {int(frame): tuple(map(int, sources)) for frame, sources in by_frame.items()}
        for scene, by_frame in value.items()
    }
