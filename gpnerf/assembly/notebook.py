"""A trained model for use from Python, from nothing but its checkpoint."""

from pathlib import Path

from gpnerf.assembly.model import Architecture
from gpnerf.checkpoint import is_released, load_checkpoint, load_weights
from gpnerf.distributed import select_device
from gpnerf.errors import UserError
from gpnerf.novel_views import NovelViews
from gpnerf.structures import Compat

_DEVICES = ("auto", "cpu", "cuda")


def load_novel_views(path: Path, device: str) -> NovelViews:
    """The model of a checkpoint of this program, with its class names and depth range."""
    if device not in _DEVICES:
        raise UserError(f"device: expected one of {', '.join(_DEVICES)}, found {device!r}")
    content = load_checkpoint(path)
    if is_released(content):
        raise UserError(
            f"{path}: expected a checkpoint of this program, found the released layout, which does not say its sizes; "
            "evaluate it with eval_gpnerf.py --ckpt_path and the flags it was trained with"
        )
    try:
        model = Architecture.from_dict(content["architecture"]).build()
        names = tuple(content["class_names"])
        near, far = content["depth_range"]
    # Sizes that contradict each other fail somewhere inside the networks.
    except (KeyError, TypeError, ValueError, RuntimeError, ArithmeticError) as error:
        raise UserError(
            f"{path}: expected the model's sizes, class names and depth range, found another content ({error}); "
            "use a checkpoint that this version of train_gpnerf.py or scripts/export_weights.py wrote"
        ) from error
    load_weights(model, content, path)
    compat: Compat = "release" if content.get("compat", model.compat) == "release" else "none"
    return NovelViews(model, names, (near, far), select_device(device, expects_gpu=False), compat)
