"""Streams of examples: the same whatever the number of worker processes, and able to start at any step."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from gpnerf.data.dataset import EvaluationExamples, Key, KeyedExamples
from gpnerf.data.packing import Packed, pack, unpack
from gpnerf.structures import Example, FrameFailure


def training_loader(
    examples: KeyedExamples, *, rank: int, world_size: int, num_workers: int, start_step: int = 0
) -> Iterator[Example | FrameFailure]:
    """An endless stream of this rank's examples, from the `start_step`-th on."""
    sampler = EndlessSampler(len(examples), examples.seed, rank, world_size, start_step)
    if not num_workers:
        return map(examples.__getitem__, sampler)
    return map(unpack, _loader(_PackedExamples(examples), sampler, num_workers))


def evaluation_loader(examples: EvaluationExamples, *, rank: int, world_size: int) -> Iterator[Example]:
    """This rank's share of a scene's targets: every `world_size`-th from `rank` on; the next one is read meanwhile.

    Raises `UserError` if a file of one cannot be read.
    """
    with ThreadPoolExecutor(max_workers=1) as reader:
        coming: Future[Example] | None = None
        for position in range(rank, len(examples), world_size):
            following = reader.submit(examples.__getitem__, position)
            if coming is not None:
                yield coming.result()
            coming = following
        if coming is not None:
            yield coming.result()


class EndlessSampler(Sampler[Key]):
    """(epoch, index) of one rank, for ever: each epoch is a permutation of its own that the ranks share out.

    The n-th key of a rank is number n * world_size + rank of the joint stream, so no example is lost or repeated in
    an epoch and a run resumes exactly where it stopped.
    """

    def __init__(self, length: int, seed: int, rank: int, world_size: int, start_step: int) -> None:
        self.length, self.seed = length, seed
        self.start, self.stride = start_step * world_size + rank, world_size

    def __iter__(self) -> Iterator[Key]:
        place, shuffled = self.start, -1
        while True:
            epoch, offset = divmod(place, self.length)
            if epoch != shuffled:
                order, shuffled = np.random.default_rng((self.seed, epoch)).permutation(self.length), epoch
            yield epoch, int(order[offset])
            place += self.stride


class _PackedExamples(Dataset[Packed]):
    """What loader processes send."""

    def __init__(self, examples: KeyedExamples) -> None:
        self.examples = examples

    def __getitem__(self, key: Key) -> Packed:
        return pack(self.examples[key])


def _loader(examples: _PackedExamples, sampler: EndlessSampler, num_workers: int) -> DataLoader:
    return DataLoader(
        examples,
        batch_size=None,
        sampler=sampler,
        num_workers=num_workers,
        worker_init_fn=_one_thread,
        # Its own: the loader would draw its workers' base seed from torch's global generator.
        generator=torch.Generator(),
        # A forked copy of a process that has computed with threads can hang.
        multiprocessing_context="forkserver",
    )


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
