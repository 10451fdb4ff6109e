"""Reads the golden files: arrays by key, `meta`, and inputs that are stored as a hashfill expression only."""

import ast
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hashfill
import numpy as np
import torch
from torch import Tensor

_OWN = Path(__file__).parent / "golden"
FOLDER = Path(os.environ.get("GPNERF_GOLDEN", _OWN))
_STRIDE = re.compile(r"_every(\d+)")
_CALL = re.compile(r"tensor\(\s*'(?P<name>[^']+)'\s*,\s*(?P<rest>.*)\)")


class Golden:
    """One golden file, e.g. `Golden("02_projector")`."""

    def __init__(self, name: str) -> None:
        with np.load(FOLDER / f"{name}.npz") as archive:
            self.arrays = {key: archive[key] for key in archive.files}
        self.meta = json.loads(str(self.arrays.pop("meta")))
        self.seed = int(self.meta["hash_seed"])

    def __getitem__(self, key: str) -> Tensor:
        return _as_default(self.arrays[key])

    def __contains__(self, key: str) -> bool:
        return key in self.arrays

    def keys(self, start: str = "", end: str = "") -> list[str]:
        """The keys that start and end so, in the file's order."""
        return [key for key in self.arrays if key.startswith(start) and key.endswith(end)]

    def numpy(self, key: str) -> np.ndarray:
        return self.arrays[key]

    def weights(self) -> dict[str, Tensor]:
        """The stored state dict (keys `w/...`)."""
        return {key[2:]: self[key] for key in self.arrays if key.startswith("w/")}

    def hashed(self, expression: str) -> Tensor:
        """The tensor that a text like "hashfill.tensor('fpn.x0', (2, 64, 32, 40), -1, 1, seed=0)" describes."""
        match = _CALL.search(expression)
        assert match, f"not a hashfill expression: {expression}"
        call = ast.parse(f"f({match['rest']})", mode="eval").body
        assert isinstance(call, ast.Call)
        shape, low, high = (ast.literal_eval(argument) for argument in call.args)
        seeds = [ast.literal_eval(k.value) for k in call.keywords if k.arg == "seed"]
        return self.tensor(match["name"], shape, low, high, seeds[0] if seeds else None)

    def tensor(
        self, name: str, shape: tuple[int, ...], low: float = -1.0, high: float = 1.0, seed: int | None = None
    ) -> Tensor:
        """hashfill's `tensor`, with the file's own seed unless another is given."""
        return _as_default(hashfill.tensor(name, shape, low, high, self.seed if seed is None else seed))


def fill(shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, Tensor]:
    """A state dict whose every entry is hashfill's value for its released name."""
    return {name: _as_default(hashfill.param(name, shape, seed)) for name, shape in shapes.items()}


def _as_default(array: np.ndarray) -> Tensor:
    """Fractions in the default type, so that a test in float64 has inputs in float64."""
    tensor = torch.from_numpy(np.array(array))
    return tensor.to(torch.get_default_dtype()) if tensor.dtype == torch.float32 else tensor


def official_state_dict() -> dict[str, Any]:
    """Keys and shapes of the released checkpoints; another set of golden arrays need not bring its own list."""
    place = FOLDER / "official_state_dict.json"
    return json.loads((place if place.is_file() else _OWN / place.name).read_text())


def official_shapes(module: str) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor of one module of the full-size released model, e.g. `feature_net`."""
    official = official_state_dict()["gpnerf_20_plus_1"]
    return {name: tuple(shape) for name, shape in official[module]["tensors"].items()}


def thinned(full: Tensor, like: Tensor, stride: int | None = None) -> Tensor:
    """Every k-th entry of the dimensions in which `like` is smaller; without `stride`, the shapes tell k."""
    sizes = list(zip(full.shape, like.shape, strict=True))
    k = stride or max((-(-n // m) for n, m in sizes if n > m), default=1)
    return full[tuple(slice(None, None, k if n > m else 1) for n, m in sizes)]


def assert_thinned_close(golden: Golden, start: str, full: Tensor, tolerance: float, floor: float = 1.0) -> None:
    """`assert_close` with the one array whose key starts with `start`: a part of `full`, perhaps named "..._every4"."""
    (key,) = golden.keys(start)
    named = _STRIDE.search(key)
    assert_close(thinned(full, golden[key], int(named[1]) if named else None), golden[key], tolerance, floor)


def assert_close(actual: Tensor, expected: Tensor, tolerance: float, floor: float = 1.0) -> None:
    """|a - b| <= tolerance * max(floor, max|b|), the rule of the golden files' README."""
    assert actual.shape == expected.shape, f"{tuple(actual.shape)} against {tuple(expected.shape)}"
    bound = tolerance * max(floor, float(expected.abs().max()))
    worst = float((actual.detach().double() - expected.double()).abs().max())
    assert worst <= bound, f"largest difference {worst:.3g} exceeds {bound:.3g}"


def assert_norms_close(actual: Tensor, expected: Tensor, tolerance: float) -> None:
    """Gradient norms: those of at least 1e-4 of the largest agree to `tolerance`, the others are small here too.

    The small ones belong to biases without effect (in front of a norm or a softmax): what is stored of them is
    rounding, which differs from one processor to the next.
    """
    largest = float(expected.max())
    telling = expected >= 1e-4 * largest
    excess = (actual.detach() - expected).abs()[telling] / (tolerance * expected[telling])
    assert bool((excess <= 1).all()), f"largest difference is {float(excess.max()):.3g} times the bound"
    assert bool((actual.detach()[~telling] <= 1e-3 * largest).all()), "a gradient that should be next to nothing is not"


def assert_gradients_close(actual: Mapping[str, Tensor], expected: Mapping[str, Tensor], tolerance: float) -> None:
    """The rule of `assert_norms_close` for gradients by name: |a - b| as a norm, but where the true gradient is 0."""
    largest = max(float(gradient.norm()) for gradient in expected.values())
    assert actual.keys() == expected.keys()
    for name, gradient in expected.items():
        norm = float(gradient.norm())
        if norm < 1e-4 * largest:
            assert float(actual[name].norm()) <= 1e-3 * largest, name
        else:
            assert float((actual[name] - gradient).norm()) <= tolerance * norm, name
