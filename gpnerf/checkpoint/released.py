"""Checkpoints of the released GP-NeRF and of GNT: one table from our parameter names to theirs."""

import re

from torch import Tensor

State = dict[str, Tensor]

# Prefix of our model -> key of the released checkpoint that holds the module.
_MODULES = {
    "renderer.coarse.": "net_coarse",
    "renderer.fine.": "net_fine",
    "encoder.": "feature_net",
    "fpn.": "feature_fpn",
    "head.": "sem_seg_head",
    "instance_head.": "instance_head",  # has no counterpart, but the same parameters
}
_HEAD = (
    (r"^scales\.(\d)\.(\d)\.0\.", r"scale_heads.\1.\2."),
    (r"^scales\.(\d)\.(\d)\.1\.", r"scale_heads.\1.\2.norm."),
)
_RENAMED = {
    "renderer.": (
        (r"\.first\.", ".0."),
        (r"\.last\.", ".2."),
        (r"^embed\.", "rgbfeat_fc."),
        (r"^view_blocks\.", "view_crosstrans."),
        (r"^ray_blocks\.", "view_selftrans."),
        (r"^position_layers\.", "q_fcs."),
        (r"^colour\.", "rgb_fc."),
        (r"^label\.", "semantic_fc."),
        (r"^adaptor\.", "semantic_adaptor."),
        (r"attention_norm\.", "attn_norm."),
        (r"feed_forward_norm\.", "ff_norm."),
        (r"feed_forward\.up\.", "ff.fc1."),
        (r"feed_forward\.down\.", "ff.fc2."),
        (r"attention\.query\.", "attn.q_fc."),
        (r"attention\.key\.", "attn.k_fc."),
        (r"attention\.value\.", "attn.v_fc."),
        (r"attention\.position\.", "attn.pos_fc."),
        (r"attention\.score\.", "attn.attn_fc."),
        (r"attention\.out\.", "attn.out_fc."),
    ),
    "encoder.": (
        (r"^stem\.0\.", "conv1."),
        (r"^stem\.1\.", "bn1."),
        (r"^stage", "layer"),
        (r"norm([12])\.", r"bn\1."),
        (r"shortcut\.", "downsample."),
        (r"^up([23])\.", r"upconv\1.conv."),
        (r"^merge([23])\.", r"iconv\1."),
        (r"\.norm\.", ".bn."),
        (r"^out\.", "out_conv."),
    ),
    "fpn.": ((r"^lateral\.(\d)\.", r"lateral_convs.\1.conv."), (r"^output\.(\d)\.", r"fpn_convs.\1.conv.")),
    "head.": _HEAD,
    "instance_head.": _HEAD,
}


# What the parts of a released checkpoint are called.
MODULES = frozenset(_MODULES.values())


def released_name(name: str) -> tuple[str, str]:
    """(module key, parameter name) in a released checkpoint of one of our parameters."""
    prefix, module = next((p, m) for p, m in _MODULES.items() if name.startswith(p))
    released = name.removeprefix(prefix)
    for pattern, replacement in next(rules for group, rules in _RENAMED.items() if prefix.startswith(group)):
        released = re.sub(pattern, replacement, released)
    return module, released


def is_released(checkpoint: dict) -> bool:
    """Whether a loaded file has the released layout (GP-NeRF's or GNT's)."""
    return "net_coarse" in checkpoint


def from_released(checkpoint: dict, expected: State) -> tuple[State, list[str]]:
    """Our parameters found in a released checkpoint, and the names in it that nothing of ours uses.

    Names may carry DistributedDataParallel's `module.` prefix.
    """
    available = {
        (module, key.removeprefix("module.")): tensor
        for module, state in checkpoint.items()
        if module in MODULES
        for key, tensor in state.items()
    }
    wanted = {name: released_name(name) for name in expected}
    found = {name: available[theirs] for name, theirs in wanted.items() if theirs in available}
    unused = sorted(f"{module}.{key}" for module, key in available.keys() - set(wanted.values()))
    return found, unused


def to_released(state: State) -> dict[str, State]:
    """The released layout of our parameters (no optimiser)."""
    checkpoint: dict[str, State] = {}
    for name, tensor in state.items():
        module, key = released_name(name)
        checkpoint.setdefault(module, {})[key] = tensor
    return checkpoint
