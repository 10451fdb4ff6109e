"""LPIPS (Zhang et al. 2018) with its VGG backbone, where the backbone's weights can be had."""

import functools
import logging
import pickle
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

logger = logging.getLogger(__name__)

LPIPS_METRICS = frozenset({"lpips", "lpips_unscaled"})  # what `LpipsScorer.score` gives
_TIMEOUT = 5.0  # seconds for the server to answer; a machine without a network must not wait long


class LpipsScorer:
    """Scores pairs of pictures with a perceptual network; without a network every score is None."""

    def __init__(self, network: nn.Module | None, device: torch.device | str = "cpu") -> None:
        self._network = None if network is None else network.to(device)
        self._device = device

    @torch.no_grad()
    def score(
        self, a: Float[Tensor, "3 height width"], b: Float[Tensor, "3 height width"]
    ) -> tuple[float, float] | None:
        """The distances (`lpips`, `lpips_unscaled`) of two pictures with colours in [0, 1], or None.

        `lpips` feeds the network [-1, 1], which it was made for; `lpips_unscaled` feeds [0, 1], as the released program
        does, so that numbers can be compared with published ones.
        """
        if self._network is None:
            return None
        a, b = a[None].to(self._device), b[None].to(self._device)
        return float(self._network(2 * a - 1, 2 * b - 1)), float(self._network(a, b))


def lpips_scorer(device: torch.device | str = "cpu") -> LpipsScorer:
    """A scorer on `device`; where the backbone cannot be had it gives None, and one warning tells how to get it."""
    return LpipsScorer(_network(), device)


@functools.cache
def _network() -> nn.Module | None:
    """The perceptual network, made once per process; None, with a warning, where its backbone cannot be had."""
    import lpips  # slow to import, and needed in evaluation only
    from torchvision.models import VGG16_Weights

    url = VGG16_Weights.IMAGENET1K_V1.url
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    try:
        # Layers draw random numbers before their weights are loaded; whoever trains must not notice.
        with torch.random.fork_rng(devices=[]), _short_timeout(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # lpips calls torchvision in an old way
            return lpips.LPIPS(net="vgg", verbose=False).requires_grad_(False)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        found = "is damaged, delete it" if path.is_file() else "is not there and could not be downloaded"
        logger.warning("lpips is null: the VGG backbone %s %s (%s); %s", path, found, _first_line(error), _remedy(url))
        return None


def _remedy(url: str) -> str:
    return f"download {url} into that folder, or set TORCH_HOME to a folder that has it under hub/checkpoints"


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


@contextmanager
def _short_timeout() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
