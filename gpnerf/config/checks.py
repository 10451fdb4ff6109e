"""What the values of a configuration must satisfy, alone and together."""

import math

from gpnerf.config.config import Config, options
from gpnerf.config.options import DataConfig, ModelConfig, RenderConfig
from gpnerf.errors import UserError

# DM-NeRF's preparation of Replica, under the name that the released program has for it.
_INSTANCES_ONLY = "instance_replica"
# One's own scenes: the same ones serve every purpose.
_OWN = "posed_images"
_LONGEST_NAME = 255  # bytes that a file system takes
DATASETS = (
    *(f"{split}_{name}" for name in ("scannet", "replica", "rooms") for split in ("train", "val")),
    _INSTANCES_ONLY,
    _OWN,
)


def check(config: Config) -> None:
    """Raise `UserError` for the first value that is out of range or contradicts another."""
    _check_bounds(config)
    _check_run(config)
    _check_datasets(config.data, config.run.task)
    _check_sizes(config.data, config.model)
    _check_samples(config.render, config.loss.n_p)
    _check_renderer(config.render)
    if not 0 < config.optim.center_ratio <= 1:
        raise UserError(f"center_ratio: expected a share above 0 and up to 1, found {config.optim.center_ratio}")
    if not 0 < config.optim.lrate_decay_factor <= 1:
        raise UserError(f"lrate_decay_factor: expected above 0 and up to 1, found {config.optim.lrate_decay_factor}")


def _check_bounds(config: Config) -> None:
    values = config.values()
    for _, option in options():
        value, low = values[option.name], option.metadata["low"]
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{option.name}: expected a finite number, found {value}")
        if low is not None and value is not None and value < low:
            raise UserError(f"{option.name}: expected at least {low}, found {value}")


def _check_run(config: Config) -> None:
    name = config.run.expname
    if not name.strip("./") or name.startswith(("/", "~")) or ".." in name.split("/") or not name.isprintable():
        raise UserError(f"expname: expected the name of a folder inside out/, found {name!r}")
    if max(len(part.encode(errors="surrogateescape")) for part in name.split("/")) > _LONGEST_NAME:
        raise UserError(f"expname: expected names of at most {_LONGEST_NAME} bytes, found {name[:40]!r}...")
    if config.run.task != "semantic" and config.model.semantic_model != "fpn":
        raise UserError(f"task {config.run.task}: expected semantic_model fpn, found fc, which knows classes only")


def _check_datasets(data: DataConfig, task: str) -> None:
    names = data.train_dataset.split("+")
    for flag, name in [*(("train_dataset", name) for name in names), ("eval_dataset", data.eval_dataset)]:
        if name == _INSTANCES_ONLY and task != "instance":
            raise UserError(f"{flag}: {name} has no class labels; take --task instance, or the renderings val_replica")
        if name not in DATASETS:
            raise UserError(f"{flag}: unknown data set {name!r}; the data sets are {', '.join(DATASETS)}")
    weights = data.dataset_weights
    if weights and len(weights) != len(names):
        raise UserError(
            f"dataset_weights: expected {len(names)}, one for each of {data.train_dataset}, found {len(weights)}"
        )
    if not all(0 < weight < math.inf for weight in weights):
        raise UserError(f"dataset_weights: expected numbers above 0, found {list(weights)}")


def _check_sizes(data: DataConfig, model: ModelConfig) -> None:
    if data.depth_range and not 0 < data.depth_range[0] < data.depth_range[1] < math.inf:
        raise UserError(f"depth_range: expected 0 < near < far in metres, found {list(data.depth_range)}")
    if model.netwidth % 8:
        raise UserError(f"netwidth: expected a multiple of 8 (4 attention heads), found {model.netwidth}")
    if not model.dropout < 1:
        raise UserError(f"dropout: expected a share below 1, found {model.dropout}")
    if model.head_width % min(32, model.head_width):
        raise UserError(f"head_width: expected at most 32 or a multiple of 32 (group norm), found {model.head_width}")
    if len(model.encoder_blocks) != 3 or min(model.encoder_blocks) < 1:
        raise UserError(f"encoder_blocks: expected three counts of at least 1, found {list(model.encoder_blocks)}")
    classes, ignore = model.num_classes, model.ignore_label
    if classes is not None and ignore is not None and ignore < classes:
        raise UserError(f"ignore_label: expected a label that is no class, at least {classes}, found {ignore}")


def _check_samples(render: RenderConfig, n_p: int) -> None:
    if render.render_stride not in (None, 1, 2):
        raise UserError(
            f"render_stride: expected 1 or 2 (the head reads every second pixel), found {render.render_stride}"
        )
    if render.N_importance and render.N_samples < 3:
        raise UserError(f"N_samples: a fine pass needs at least 3 coarse samples, found {render.N_samples}")
    samples = render.N_samples + render.N_importance
    if 2 * n_p + 1 > samples:
        raise UserError(f"n_p: a window of {2 * n_p + 1} samples does not fit on a ray of {samples}; lower n_p")


def _check_renderer(render: RenderConfig) -> None:
    chosen = {"kernels triton": render.kernels == "triton", "recompute": render.recompute, "compile": render.compile}
    for name, value in chosen.items():
        if value and render.renderer == "plain":
            raise UserError(
                f"--{name}: expected the fast renderer, found plain, which has no such thing; leave one out"
            )
