"""Every flag of the program: name, type, default, meaning and unit, in groups of frozen dataclasses.

Where a default meant something in the released program it is kept, because config files written for that program leave
keys out; the paper's values are in the presets (`configs/`). A default that differs says why in its help or beside it.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal


def option(
    default: Any, text: str, *, unit: str = "", low: int | None = None, result: bool = True, alias: str = ""
) -> Any:
    """A flag: `low` is its least value, `result` tells whether it changes what training produces."""
    return field(default=default, metadata={"help": text, "unit": unit, "low": low, "result": result, "alias": alias})


@dataclass(frozen=True)
class RunConfig:
    """Where and how a run takes place."""

    rootdir: Path = option(Path(), "folder that holds data/ and out/", result=False)
    expname: str = option("gpnerf", "name of the run's folder in out/; it changes nothing else", result=False)
    protocol: str = option("clean", "clean, release (the released rules) or a protocol file")
    task: Literal["semantic", "instance", "panoptic"] = option(
        "semantic", "what is told apart: classes, or in fine-tuning and evaluation the instances of one scene, or both"
    )
    compat: Literal["none", "release"] = option("none", "release: keep the released program's known index defects")
    device: Literal["auto", "cpu", "cuda"] = option("auto", "where to compute", result=False)
    dist_url: str = option("env://", "where the processes of a distributed run meet", result=False)
    seed: int = option(0, "seed of every random choice", low=0)
    num_workers: int = option(8, "loader processes; never changes the data", low=0, result=False, alias="-j")


@dataclass(frozen=True)
class DataConfig:
    """What is read."""

    # The released defaults of the two data sets name sets that it did not have.
    train_dataset: str = option("train_scannet", "data set to train on; several are joined by +")
    dataset_weights: tuple[float, ...] = option((), "share of each training set; none = equal shares")
    eval_dataset: str = option("val_scannet", "data set to evaluate on", result=False)
    train_scenes: tuple[str, ...] = option((), "scenes to train on, instead of those of train_set_list")
    train_set_list: Path | None = option(None, "split file of the training scenes; empty = the protocol's")
    # Released default: ScanNet's validation split, for every data set.
    val_set_list: Path | None = option(
        None, "split file of the scenes to validate on, fine-tune on or evaluate; empty = the protocol's", result=False
    )
    num_source_views: int | None = option(None, "source views of a target; empty = the protocol's (10)", low=1)
    original_width: int | None = option(None, "image width; empty = the protocol's", unit="pixels", low=32)
    original_height: int | None = option(None, "image height; empty = the protocol's", unit="pixels", low=32)
    depth_range: tuple[float, float] | None = option(None, "near and far; empty = the protocol's", unit="metres")
    augment: bool = option(
        False, "training examples with other palettes, exposures, zooms, depth ranges and numbers of source views"
    )
    cache_gb: float = option(1.0, "decoded frames kept by each process", unit="GB", low=0, result=False)


@dataclass(frozen=True)
class ModelConfig:
    """Sizes and forms of the networks."""

    netwidth: int = option(64, "transformer width; semantic features have 8 times as many channels", low=8)
    trans_depth: int = option(4, "pairs of view and ray transformer", low=1)
    coarse_feat_dim: int = option(32, "colour feature channels of the coarse pass", low=1)
    fine_feat_dim: int = option(32, "colour feature channels of the fine pass, with two networks", low=1)
    single_net: bool = option(True, "one network for the coarse and the fine pass")
    encoder_width: int = option(64, "channels of the encoder's first stage; the last one has 4 times as many", low=1)
    encoder_blocks: tuple[int, ...] = option((3, 4, 6), "residual blocks of the encoder's three stages")
    head_width: int = option(128, "channels inside the perception head", low=1)
    num_classes: int | None = option(
        None, "classes to tell apart; empty = the data set's (ScanNet 20, Replica 51)", low=1
    )
    ignore_label: int | None = option(None, "label that is never scored; empty = the data set's", low=0)
    semantic_model: Literal["fpn", "fc"] = option(
        "fpn", "fpn: features rendered, then a head over the image; fc: labels rendered ray by ray (a baseline). "
        "In the released program the default, fc, had no effect: it always computed fpn"
    )  # fmt: skip
    dropout: float = option(0.1, "share of dropped activations in the transformer", low=0)
    position_frame: Literal["world", "camera"] = option(
        "world", "whose axes the renderer sees positions and directions in: the data's, which released weights need, "
        "or the target camera's with far as the unit of length: the same result wherever the scene lies"
    )  # fmt: skip
    colour_head: Literal["regress", "blend"] = option(
        "regress", "a ray's colour: made from its feature, which released weights need, or a mean of the source "
        "views' colours by the attentions, corrected from the feature"
    )  # fmt: skip
    adaptor_activation: Literal["relu", "none"] = option("relu", "activation of the rendered semantic features")
    adaptor_init: Literal["random", "identity"] = option(
        "random", "how the layer above starts: at random, as published, or so that rendered features are averages of "
        "the source views' own"
    )  # fmt: skip


@dataclass(frozen=True)
class RenderConfig:
    """How rays are sampled and rendered."""

    N_samples: int = option(64, "coarse samples of a ray", low=1)
    N_importance: int = option(64, "further samples of the fine pass; 0 = coarse pass only", low=0)
    inv_uniform: bool = option(False, "samples uniform in inverse depth instead of depth")
    det: bool = option(False, "no jitter of the samples in training; evaluation never has any")
    # Released default: 4096, which needs tens of GB there.
    chunk_size: int | None = option(
        None, "rays rendered at once in evaluation; empty = as many as memory_budget allows", low=1, result=False
    )
    memory_budget: float = option(
        4.0, "memory for the rays rendered at once, and again as much for encoded views", unit="GB", low=0, result=False
    )
    # Released default: 1, for every data set.
    render_stride: int | None = option(
        None,
        "render every n-th pixel in evaluation, 1 or 2; empty = the protocol's",
        unit="pixels",
        low=1,
        result=False,
    )
    renderer: Literal["fast", "plain"] = option("fast", "plain: the formulas as written, slow, for checks")
    amp: Literal["none", "bf16"] = option("none", "bf16: networks in low precision, geometry always in float32")
    kernels: Literal["torch", "triton"] = option(
        "torch", "triton: fused GPU kernels, which agree to rounding", result=False
    )
    recompute: bool = option(
        False, "keep no activations of the renderer for the backward pass: less memory, 1.3 times the time of a step",
        result=False,
    )  # fmt: skip
    compile: bool = option(
        False, "compile the renderer's layers when first used (needs a C++ compiler, on a GPU Triton): hardly a gain "
        "on a CPU", result=False
    )  # fmt: skip


@dataclass(frozen=True)
class LossConfig:
    """What training minimises."""

    render_loss_scale: float = option(0.25, "weight of the colour loss, coarse and fine", low=0)
    semantic_loss_scale: float = option(0.75, "weight of the cross entropy; it counts twice, as published", low=0)
    instance_loss_scale: float = option(0.5, "weight of the instance loss; it counts twice, as published", low=0)
    distill_loss_scale: float = option(0.25, "weight of the two distillation losses", low=0)
    depth_guided_loss_scale: float | None = option(
        None, "weight of the second of them, the depth-guided one; empty = that of both, as published", low=0
    )
    # The released default, 0.25, acted in fine-tuning only.
    depth_loss_scale: float | None = option(
        None, "weight of the depth loss; empty = 0 in generalised training, 0.25 in fine-tuning", low=0
    )
    photometric_loss_scale: float = option(
        0.0, "weight of a loss that the paper does not have: the weights of a ray should lie where the source views "
        "show its colour, so that depth is learnt without any", low=0
    )  # fmt: skip
    depth_guided_negative: Literal["anti", "none"] = option(
        "anti", "away from the depth peak: push features apart (paper, Fig. 4) or do nothing (released program)"
    )
    feature_fusion: Literal["insert", "none"] = option(
        "insert", "insert rendered features into the map that the head sees in training (paper, Fig. 3a) or do not"
    )
    detach_reference: bool = option(True, "no gradient from rendering and distillation into the semantic features")
    n_p: int = option(2, "half window of the depth-guided loss", unit="samples", low=0)
    instance_assignment: Literal["hungarian", "fixed"] = option(
        "hungarian", "which channel learns an instance: the cheapest in each image, or the same one in every image"
    )


@dataclass(frozen=True)
class OptimConfig:
    """Training schedule, logging interval and starting weights."""

    N_rand: int = option(512, "rays of a training step", low=1)
    sample_mode: Literal["uniform", "center", "patch"] = option(
        "uniform", "rays from the whole image, from its centre, or half of them from neighbouring feature cells, so "
        "that the head sees a piece of a rendered map"
    )  # fmt: skip
    center_ratio: float = option(0.8, "side of the centre crop as a share of the image's", low=0)
    total_step: int = option(
        250_000, "training steps, a scene's in fine-tuning", low=1, result=False, alias="--n_iters"
    )
    lrate_gnt: float = option(5e-4, "learning rate of the transformer (1e-5 when it starts from GNT's weights)", low=0)
    lrate_feature: float = option(1e-3, "learning rate of the encoder", low=0)
    lrate_semantic: float = option(1e-3, "learning rate of the feature pyramid and the head", low=0)
    lrate_decay_factor: float = option(0.5, "learning rates are multiplied by this", low=0)
    lrate_decay_steps: int = option(50_000, "every so many steps", unit="steps", low=1)
    accumulate_steps: int = option(1, "target views of one optimiser step, per process", low=1)
    clip_grad_norm: float = option(0.0, "largest gradient norm; 0 = no clipping, as in the paper", low=0)
    cuda_graph: bool = option(
        False, "replay training steps as one CUDA graph where that is possible: one process and one target a step",
        result=False,
    )  # fmt: skip
    i_print: int = option(100, "interval of the log", unit="steps", low=1, result=False)
    save_interval: int = option(10_000, "interval of checkpoint and validation", unit="steps", low=1, result=False)
    # The starting weights count at the first step only: a run that continues takes its own.
    ckpt_path: Path | None = option(None, "weights to start from, or to evaluate", result=False)
    no_reload: bool = option(False, "start afresh although the run's folder holds a checkpoint", result=False)
    no_load_opt: bool = option(False, "do not take the optimiser's state from ckpt_path", result=False)
    no_load_scheduler: bool = option(False, "do not take the schedule's state from ckpt_path", result=False)
    keep_checkpoints: int = option(
        0, "how many of the newest milestones (checkpoints of every save_interval-th step) stay; 0 = all. The two "
        "newest checkpoints always stay, and others, which a stopped run leaves, are deleted", low=0, result=False
    )  # fmt: skip
