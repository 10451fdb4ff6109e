"""What a checkpoint may hold: entries of their kinds, and weights that are numbers.

A file can be whole and still hold no weights: NaN from a training that broke, whole numbers from a quantiser, another
program's structure. All of it would load and render nonsense, so whoever loads a file asks here first.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gpnerf.checkpoint.released import MODULES, is_released
from gpnerf.errors import UserError

_TASKS = ("semantic", "instance", "panoptic")
_LARGEST = 2**63  # whole numbers above do not fit a tensor
# Counters that batch normalisation keeps beside its weights.
_COUNTER = "num_batches_tracked"
_REMEDY = "use a checkpoint that training or scripts/export_weights.py wrote"


def require_contents(content: Any, path: Path) -> dict[str, Any]:
    """What was read from the file at `path`, if it can be a checkpoint's; entries that nothing here reads may be any.

    Raises:
        UserError: it is no table of entries, an entry is of another kind, or a tensor is no weight (whole numbers, NaN
            or infinity, larger than the file); names the entry or the tensor.
    """
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a dictionary of weights, found {type(content).__name__}; {_REMEDY}")
    if strange := next((key for key in content if not isinstance(key, str)), None):
        raise UserError(f"{path}: expected names of entries, found {_short(strange)}; {_REMEDY}")
    largest = path.stat().st_size
    if is_released(content):
        for name in MODULES & content.keys():
            _require_weights(content[name], f"{name}.", path, largest)
        return content
    checksums = dict.fromkeys((name for name in content if name.endswith("_sha256")), _CHECKSUM)
    for name, (expected, fits) in (_ENTRIES | checksums).items():
        if name in content and not fits(content[name]):
            raise UserError(f"{path}: expected {expected} as '{name}', found {_short(content[name])}; {_REMEDY}")
    if "model" in content:
        _require_weights(content["model"], "", path, largest)
    for name, tensor in _tensors(content.get("optimizer", {}), "optimizer"):
        if fault := _numbers_fault(tensor, largest):
            raise UserError(f"{path}: expected finite numbers in {name}, found {fault}; start with --no_load_opt")
    return content


def _require_weights(state: Any, place: str, path: Path, largest: int) -> None:
    if not isinstance(state, Mapping):
        raise UserError(
            f"{path}: expected weights by name as '{place.rstrip('.') or 'model'}', found {_short(state)}; {_REMEDY}"
        )
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise UserError(f"{path}: expected a tensor as {place}{name}, found {_short(tensor)}; {_REMEDY}")
        counter = name.endswith(_COUNTER) and not tensor.is_floating_point()
        if not counter and (fault := _weight_fault(tensor, largest)):
            raise UserError(f"{path}: expected trained weights in {place}{name}, found {fault}; {_REMEDY}")


def _weight_fault(tensor: Tensor, largest: int) -> str | None:
    if not tensor.is_floating_point():
        return f"{_kind(tensor)}, no fractions"
    return _numbers_fault(tensor, largest)


def _numbers_fault(tensor: Tensor, largest: int) -> str | None:
    """Why a tensor holds no plain finite numbers; `largest` is the most bytes that its file can give it."""
    if tensor.is_nested or tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
        return f"a tensor of another form ({_kind(tensor)}, {tensor.layout})"
    if tensor.numel() * tensor.element_size() > largest:  # a few numbers that are repeated to fill the memory
        return f"{tensor.numel()} numbers, more than the file holds"
    if not tensor.is_floating_point():
        return None if not tensor.is_complex() else _kind(tensor)
    # As float32, in which they are used: a larger number of 64 bits is infinite there.
    return None if bool(tensor.float().isfinite().all()) else "NaN or infinity"


def _tensors(value: Any, place: str) -> list[tuple[str, Tensor]]:
    """Every tensor of an entry, by its place."""
    if isinstance(value, Tensor):
        return [(place, value)]
    if isinstance(value, Mapping | list | tuple):
        parts = value.items() if isinstance(value, Mapping) else enumerate(value)
        return [found for key, part in parts for found in _tensors(part, f"{place}.{key}")]
    return []


def _is_whole(value: Any) -> bool:
    return type(value) is int and 0 <= value < _LARGEST


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < _LARGEST and math.isfinite(value)


def _all(value: Any, fits: Callable[[Any], bool]) -> bool:
    return isinstance(value, list | tuple) and all(map(fits, value))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_text, value))


def _is_range(value: Any) -> bool:
    return _all(value, _is_number) and len(value) == 2 and 0 < value[0] < value[1]


def _is_counts(value: Any) -> bool:
    whole = isinstance(value, Tensor) and value.dtype == torch.int64 and value.layout == torch.strided
    return whole and value.dim() == 1 and value.device.type == "cpu" and bool((value >= 0).all())


def _is_bytes(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype == torch.uint8 and value.dim() == 1


def _is_optimizer(value: Any) -> bool:
    if not _is_table(value):
        return False
    state, groups = value.get("state", {}), value.get("param_groups", [])
    return (
        isinstance(state, dict)
        and all(_is_whole(place) and _is_table(one) for place, one in state.items())
        and _all(groups, lambda group: _is_table(group) and _is_group(group))
    )


def _is_group(group: dict[str, Any]) -> bool:
    """Whether a group's numbers can be Adam's."""
    rates = (group.get(name, 0) for name in ("lr", "initial_lr", "eps", "weight_decay"))
    positive = all(isinstance(rate, Tensor) or (_is_number(rate) and rate >= 0) for rate in rates)
    betas = group.get("betas", (0, 0))
    return positive and _all(betas, lambda beta: _is_number(beta) and 0 <= beta < 1) and len(betas) == 2


def _is_schedule(value: Any) -> bool:
    if not _is_table(value) or not _is_whole(value.get("last_epoch")):
        return False
    return (
        _is_whole(value.get("step_size", 1))
        and value.get("step_size", 1) > 0
        and _is_number(value.get("gamma", 1))
        and all(_all(value.get(name, []), _is_number) for name in ("base_lrs", "_last_lr"))
    )


# What an entry of this program's checkpoints is, in words, and how that is seen.
_ENTRIES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "architecture": ("the model's sizes by name", _is_table),
    "class_names": ("a list of names", lambda value: _all(value, _is_text)),
    "depth_range": ("two numbers, 0 < near < far,", _is_range),
    "step": ("a whole number", _is_whole),
    "class_counts": ("a whole number for each class", _is_counts),
    "task": (f"one of {', '.join(_TASKS)}", lambda value: _is_text(value) and value in _TASKS),
    "scene": ("the name of a scene", _is_text),
    "instances": ("a list of whole numbers", lambda value: _all(value, _is_whole)),
    "optimizer": ("the state of an Adam optimizer", _is_optimizer),
    "scheduler": ("the state of a step schedule", _is_schedule),
    "rng": ("the state of a random number generator", _is_bytes),
    "consumed": ("whole numbers", lambda value: _is_whole(value) or _all(value, _is_whole)),
    "refused": ("a whole number", _is_whole),
}
_CHECKSUM: tuple[str, Callable[[Any], bool]] = ("a checksum", _is_text)


def _kind(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _short(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of {_kind(value)} {list(value.shape)}"
    described = " ".join(repr(value).split()) if isinstance(value, str | int | float | None) else type(value).__name__
    return described[:60]
