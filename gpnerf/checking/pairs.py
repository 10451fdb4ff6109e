"""Which frames are compared: pairs that show the same things from different places, found by looking at them."""

import functools
from collections.abc import Callable

import numpy as np
from tqdm import tqdm

from gpnerf.checking.matching_points import Features, MatchedPair, features, match
from gpnerf.data.scene import Scene

# How many places further the second frame of a pair is looked for, the furthest first: the more the camera has moved,
# the more a wrong camera shows.
_STEPS = (32, 16, 8, 4, 2, 1)
_LEAST_POINTS = 20
_LEAST_MOTION = 0.02  # of the width


def matched_pairs(scene: Scene, count: int) -> list[MatchedPair]:
    """Up to `count` pairs of frames spread over the scene, each with at least 20 matches.

    Poses play no part in the choice: wrong ones would choose pairs that share nothing.
    """
    look = functools.cache(lambda index: features(scene, index))
    starts = np.unique(np.linspace(0, max(len(scene) - 2, 0), count).round().astype(int)).tolist()
    bar = tqdm(starts, desc=f"{scene.name}: pairs", leave=False)
    found = [pair for start in bar if (pair := _partner(start, len(scene), look, scene.form.width)) is not None]
    return list({(pair.first, pair.second): pair for pair in found}.values())


def _partner(start: int, frames: int, look: Callable[[int], Features], width: int) -> MatchedPair | None:
    for other in (start + step for step in _STEPS if start + step < frames):
        pair = match(start, other, look(start), look(other))
        if len(pair.first_points) >= _LEAST_POINTS and pair.motion >= _LEAST_MOTION * width:
            return pair
    return None
