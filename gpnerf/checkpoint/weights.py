"""Puts the weights of a loaded checkpoint, whichever program wrote it, into the model; and exports them."""

import logging
import re
from collections.abc import Set
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gpnerf.checkpoint.files import load_checkpoint, save_checkpoint
from gpnerf.checkpoint.released import from_released, is_released, to_released
from gpnerf.errors import UserError

_log = logging.getLogger(__name__)

# GNT's renderer has no semantic layers; everything else of a renderer must be there.
_SEMANTIC_LAYER = re.compile(r"adaptor|\.label\.|semantic_fc")
_ENCODER, _PYRAMID = "encoder.", "fpn."
_NEW_LAYER = "instance_head.predictor."  # starts at random for every scene
_RENDERERS = ("renderer.", "net_coarse.", "net_fine.")

# Everything in a checkpoint that is not the state of its training.
_DESCRIPTION = (
    *("model", "architecture", "class_names", "depth_range", "compat", "step", "class_counts"),
    *("task", "scene", "instances"),  # of weights that tell the instances of one scene apart
)


def load_weights(model: nn.Module, content: dict[str, Any], path: Path) -> None:
    """Copy weights into the model by name and log what was missing and what was unused.

    Raises:
        UserError: a tensor has another shape (a checkpoint of another size), or nothing fits.
    """
    expected = model.state_dict()
    if is_released(content):
        found, unused = from_released(content, expected)
    elif "model" in content:
        found = {name: tensor for name, tensor in content["model"].items() if name in expected}
        unused = sorted(content["model"].keys() - expected.keys())
    else:
        raise UserError(
            f"{path}: holds neither `model` nor `net_coarse` but {sorted(content)[:5]}; "
            "expected a checkpoint of GP-NeRF or GNT"
        )
    if not found:
        raise UserError(f"{path}: none of its weights fits this model; check the model flags")
    _refuse_other_shapes(found, expected, path)
    _refuse_other_depth(sorted(expected.keys() - found.keys()), unused, path)
    _refuse_missing_part(expected.keys() - found.keys(), found.keys(), path)
    model.load_state_dict(found, strict=False)
    missing = sorted(expected.keys() - found.keys())
    _log.info("%s: %d tensors loaded, %d missing, %d unused", path, len(found), len(missing), len(unused))
    for kind, names in (("missing (kept at their initial values)", missing), ("unused", unused)):
        if names:
            _log.warning("%s: %s: %s", path, kind, ", ".join(names))


def _refuse_other_shapes(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], path: Path) -> None:
    wrong = [name for name, tensor in found.items() if tensor.shape != expected[name].shape]
    if wrong:
        name = wrong[0]
        raise UserError(
            f"{path}: {name} has shape {list(found[name].shape)} but the model expects {list(expected[name].shape)} "
            f"({len(wrong)} such tensors); use the flags it was trained with (netwidth, encoder_width, head_width, "
            "num_classes, data set)"
        )


def _refuse_other_depth(missing: list[str], unused: list[str], path: Path) -> None:
    """A renderer with layers left out or left over would render nonsense and not fail; semantic layers may differ."""
    lacking = [name for name in missing if name.startswith("renderer.") and not _SEMANTIC_LAYER.search(name)]
    left_over = [name for name in unused if name.startswith(_RENDERERS) and not _SEMANTIC_LAYER.search(name)]
    if lacking or left_over:
        fault = f"lacks {lacking[0]}" if lacking else f"also has {left_over[0]}"
        raise UserError(
            f"{path}: {fault}; its renderer is not the one that the flags describe ({len(lacking)} tensors lacking, "
            f"{len(left_over)} left over); set trans_depth and single_net as it was trained"
        )


def _refuse_missing_part(missing: Set[str], found: Set[str], path: Path) -> None:
    """GNT's weights have no semantic part; those that have the pyramid have all of it, or it would start at random."""
    semantic = any(name.startswith(_PYRAMID) for name in found)
    lacking = sorted(name for name in missing if semantic or name.startswith(_ENCODER))
    if lacking := [name for name in lacking if not name.startswith(_NEW_LAYER)]:
        raise UserError(
            f"{path}: expected the whole model, found no {lacking[0]} ({len(lacking)} such tensors); "
            "use the complete checkpoint"
        )


def export_weights(source: Path, target: Path, released: bool) -> None:
    """Write a checkpoint's weights without its training's state, in this program's layout (with what `gpnerf.load`
    and evaluation need) or the released one.

    Raises:
        UserError: `source` is no checkpoint of this program, or `target` is the same file or cannot be written.
    """
    if target.resolve() == source.resolve():
        raise UserError(f"{target}: expected another file than the checkpoint itself; choose another --out")
    content = load_checkpoint(source)
    if "model" not in content:
        raise UserError(f"{source}: expected a checkpoint of this program, found one with {sorted(content)[:5]}")
    described = {key: content[key] for key in _DESCRIPTION if key in content}
    save_checkpoint(target, dict(to_released(content["model"])) if released else described)
