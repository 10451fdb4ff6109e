"""Builds networks of golden sizes and gives them the golden weights under the released names."""

import re

import torch
from golden_files import fill, official_shapes
from torch import Tensor, nn

from gpnerf.checkpoint.released import released_name
from gpnerf.models.encoder import Encoder
from gpnerf.models.ray_transformer import RayTransformer


def load_released(module: nn.Module, prefix: str, weights: dict[str, Tensor] | int) -> nn.Module:
    """Give a module (`prefix`: its place in our model) stored weights, or hashfill's for a seed; evaluation mode."""
    names = {name: released_name(f"{prefix}.{name}")[1] for name in module.state_dict()}
    if isinstance(weights, int):
        shapes = {names[name]: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
        weights = fill(shapes, weights)
    assert set(names.values()) == set(weights), set(names.values()) ^ set(weights)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            tensor.copy_(weights[names[name]])
    return module.eval()


def encoder(seed: int) -> Encoder:
    """The encoder of the released size, with hashfill's weights."""
    shapes = official_shapes("feature_net")
    firsts = [re.fullmatch(r"layer(\d)\.\d+\.conv1\.weight", name) for name in shapes]  # of every block
    stages = [int(found[1]) for found in firsts if found]
    blocks = (stages.count(1), stages.count(2), stages.count(3))
    network = Encoder(shapes["conv1.weight"][0], blocks, shapes["out_conv.weight"][0])
    load_released(network, "encoder", seed)
    return network


def transformer(meta: dict, weights: dict[str, Tensor] | int, colour_features: int) -> RayTransformer:
    network = RayTransformer(
        meta["netwidth"],
        meta["trans_depth"],
        colour_features,
        meta.get("sem_channels", 8 * meta["netwidth"]),
    )
    load_released(network, "renderer.coarse", weights)
    return network
