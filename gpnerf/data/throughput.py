"""How fast the loader makes training examples."""

import time
from itertools import islice

from gpnerf.data.dataset import KeyedExamples
from gpnerf.data.loaders import training_loader
from gpnerf.errors import UserError
from gpnerf.structures import FrameFailure


def examples_per_second(examples: KeyedExamples, *, seconds: float, num_workers: int, warm_up: int = 0) -> float:
    """Examples that the training loader makes in a second, measured for `seconds` or one example, if that takes longer.

    `warm_up` examples come first and do not count: with `len(examples)` of them the rate is that of cached frames, with
    scenes whose cache has capacity 0 that of decoding. Neither does the start of the worker processes count.

    Raises:
        UserError: a frame cannot be read, since passing over it is no measure.
    """
    stream = training_loader(examples, rank=0, world_size=1, num_workers=num_workers)
    # A worker's first example waits for its process.
    for item in islice(stream, max(warm_up, num_workers)):
        _require_readable(item)
    made, started, passed = 0, time.perf_counter(), 0.0
    while not made or passed < seconds:
        _require_readable(next(stream))
        made += 1
        passed = time.perf_counter() - started
    return made / passed


def _require_readable(item: object) -> None:
    if isinstance(item, FrameFailure):
        raise UserError(item.message)
