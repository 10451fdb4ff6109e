"""Examples (a target view with its source views) for training and evaluation."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from torch.utils.data import Dataset

from gpnerf.data.augmentation import augmented
from gpnerf.data.protocol import Protocol
from gpnerf.data.scene import Scene
from gpnerf.data.view_selection import draw_from_pool
from gpnerf.errors import UserError
from gpnerf.structures import Compat, Example, FrameFailure, SourceViews, TargetView

Key = tuple[int, int]

# Sets the draws of sources apart from other uses of the same seed.
_SOURCES = 0
_FEWEST_SOURCES = 3  # of augmented examples


class KeyedExamples(Dataset[Example | FrameFailure], ABC):
    """Examples by (epoch, index), of which each epoch has one: seed, epoch and index decide it in every process."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    @abstractmethod
    def __len__(self) -> int: ...

    def __getitem__(self, key: Key) -> Example | FrameFailure:
        return self.draw(key[1], np.random.default_rng((self.seed, _SOURCES, *key)))

    @abstractmethod
    def draw(self, index: int, rng: np.random.Generator) -> Example | FrameFailure:
        """The `index`-th example, with whatever is random about it drawn from `rng`."""

    @property
    @abstractmethod
    def depth_range(self) -> tuple[float, float]:
        """The nearest near and the farthest far plane (metres) of the examples."""

    @property
    def compat(self) -> Compat:
        """Which forms the examples are read in; the flags are the same for every data set of a run."""
        return "none"


class TrainingExamples(KeyedExamples):
    """Every allowed frame of the scenes as a target, with source views drawn by the protocol's distance.

    Generalised training takes all frames of its scenes, `finetune` the protocol's fine-tuning targets. Evaluation
    targets stay out of targets and sources where the protocol says so. With `augment` examples have from 3 to as many
    source views as the protocol says, other palettes, zooms and depth ranges.
    """

    def __init__(
        self, scenes: Sequence[Scene], protocol: Protocol, *, seed: int, finetune: bool, augment: bool = False
    ) -> None:
        super().__init__(seed)
        self.scenes = scenes
        self.protocol = protocol
        self.augment = augment
        self._ranges = [protocol.depth_range(scene, "finetuning" if finetune else "training") for scene in scenes]
        self._held_out = [protocol.held_out(scene, finetune) for scene in scenes]
        self._targets = np.array(  # one array: loader processes get a copy of what may be 100,000s of pairs
            [
                (place, target)
                for place, scene in enumerate(scenes)
                for target in (protocol.finetuning_indices(scene) if finetune else protocol.training_indices(scene))
            ]
        )
        if not len(self._targets):
            names = ", ".join(scene.name for scene in scenes)
            raise UserError(f"expected frames to train on, found none in the scenes [{names}]; name others")
        for place, scene in enumerate(scenes):  # the middle frame has most neighbours that are too near
            protocol.allowed_sources(scene, len(scene) // 2, self._held_out[place])

    def __len__(self) -> int:
        return len(self._targets)

    @property
    def depth_range(self) -> tuple[float, float]:
        near, far = zip(*self._ranges, strict=True)
        return min(near), max(far)

    @property
    def compat(self) -> Compat:
        return self.protocol.compat

    def draw(self, index: int, rng: np.random.Generator) -> Example | FrameFailure:
        """The `index`-th target with sources drawn by `rng`; a failure if one of its files cannot be read."""
        place, target = self._targets[index].tolist()
        scene = self.scenes[place]
        try:
            allowed = self.protocol.allowed_sources(scene, target, self._held_out[place])
            distances = self.protocol.distances(scene, target)
            count = self.protocol.num_source_views
            if self.augment:
                count = int(rng.integers(min(_FEWEST_SOURCES, count), count + 1))
            sources = draw_from_pool(distances, allowed, count, rng).tolist()
            example = make_example(scene, target, sources, *self._ranges[place])
            return augmented(example, rng) if self.augment else example
        except UserError as error:
            return FrameFailure(scene.name, int(scene.numbers[target]), str(error))


class MixedExamples(KeyedExamples):
    """Several data sets mixed: each example comes from one of them, picked with the given weights.

    The index only seeds the pick, so the mixture does not depend on the sizes of the data sets.
    """

    def __init__(self, parts: Sequence[KeyedExamples], weights: Sequence[float]) -> None:
        if len(parts) != len(weights) or min(weights) < 0 or sum(weights) == 0:
            raise UserError(
                f"--dataset_weights: expected {len(parts)} numbers, none negative, not all zero, found "
                f"{list(weights)}; give one a data set of --train_dataset"
            )
        super().__init__(parts[0].seed)
        self.parts = parts
        self.chances = np.array(weights, dtype=np.float64) / sum(weights)

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    @property
    def depth_range(self) -> tuple[float, float]:
        near, far = zip(*(part.depth_range for part in self.parts), strict=True)
        return min(near), max(far)

    @property
    def compat(self) -> Compat:
        return self.parts[0].compat

    def draw(self, index: int, rng: np.random.Generator) -> Example | FrameFailure:
        """An example of a part picked by `rng`, any of its targets with the same chance."""
        part = self.parts[int(rng.choice(len(self.parts), p=self.chances))]
        return part.draw(int(rng.integers(len(part))), rng)


class EvaluationExamples:
    """The protocol's evaluation targets of a scene, with truth and their fixed source views."""

    def __init__(self, scene: Scene, protocol: Protocol) -> None:
        self.scene = scene
        self.protocol = protocol
        self.targets = protocol.evaluation_indices(scene)
        self.near, self.far = protocol.depth_range(scene, "evaluation")

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, position: int) -> Example:
        """The example at a place in the list of targets; raises `UserError` if a file cannot be read."""
        sources = self.protocol.evaluation_sources(self.scene, position)
        return make_example(self.scene, self.targets[position], sources, self.near, self.far)


def make_example(scene: Scene, target: int, sources: list[int], near: float, far: float) -> Example:
    """Read a target frame with its truth, and its source frames; all by index, depths in metres."""
    return Example(
        scene=scene.name,
        frame=int(scene.numbers[target]),
        target=TargetView(
            camera=scene.camera(target),
            image=scene.image(target),
            depth=scene.depth(target),
            labels=scene.labels(target),
            instances=scene.channels(target),
        ),
        sources=SourceViews(scene.cameras(sources), scene.images(sources)),
        source_frames=tuple(scene.numbers[sources].tolist()),
        near=near,
        far=far,
    )
