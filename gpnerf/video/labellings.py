"""What a rendered view says of every pixel: ids with names and colours, and the files that hold them."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from jaxtyping import Int64
from torch import Tensor

from gpnerf.data.instances import InstanceMap
from gpnerf.evaluation.instances import ChannelObjects
from gpnerf.evaluation.panoptic import PanopticMap
from gpnerf.evaluation.panoptic_files import read_panoptic, save_panoptic
from gpnerf.metrics.segmentation import predicted_labels
from gpnerf.structures import Compat, ImageOutput
from gpnerf.visualize.png import read_instances, read_labels, save_instances, save_labels


@runtime_checkable
class Labelling(Protocol):
    """`title` heads the pictures, `part` opens the names of the files.

    What is predicted, or read from a file, are places in `names`; any other number is nothing's.
    """

    @property
    def title(self) -> str: ...

    @property
    def part(self) -> str: ...

    @property
    def names(self) -> tuple[str, ...]: ...

    def predict(self, output: ImageOutput) -> Int64[Tensor, "height width"]: ...

    def save(self, path: Path, output: ImageOutput) -> None: ...

    def read(self, path: Path) -> Int64[Tensor, "height width"]: ...


@dataclass(frozen=True)
class Classes:
    """Semantic classes."""

    names: tuple[str, ...]
    compat: Compat
    title: ClassVar[str] = "semantics"
    part: ClassVar[str] = "semantic"

    def predict(self, output: ImageOutput) -> Int64[Tensor, "height width"]:
        assert output.logits is not None, "views are rendered with semantics"
        return predicted_labels(output.logits, self.compat)

    def save(self, path: Path, output: ImageOutput) -> None:
        save_labels(path, self.predict(output), ignore=len(self.names))

    def read(self, path: Path) -> Int64[Tensor, "height width"]:
        return read_labels(path, ignore=len(self.names))


@dataclass(frozen=True)
class Instances:
    """Instances of one scene: channels of its map, of which `objects` are those of the head; files hold raw ids."""

    instance_map: InstanceMap
    objects: ChannelObjects
    title: ClassVar[str] = "instances"
    part: ClassVar[str] = "instance"

    @property
    def names(self) -> tuple[str, ...]:
        return self.instance_map.names

    def predict(self, output: ImageOutput) -> Int64[Tensor, "height width"]:
        assert output.instance_logits is not None, "views are rendered with semantics"
        return self.objects.likeliest(output.instance_logits)

    def save(self, path: Path, output: ImageOutput) -> None:
        save_instances(path, self.instance_map.to_raw(self.predict(output)), self.instance_map.ids[-1])

    def read(self, path: Path) -> Int64[Tensor, "height width"]:
        return self.instance_map.to_channels(read_instances(path))


@dataclass(frozen=True)
class Panoptic:
    """Both as one: classes that are stuff (ids in `stuff`), and instances with a class each."""

    classes: Classes
    instances: Instances
    stuff: tuple[int, ...]
    title: ClassVar[str] = "panoptic"
    part: ClassVar[str] = "panoptic"

    @property
    def names(self) -> tuple[str, ...]:
        return (*(self.classes.names[kind] for kind in self.stuff), *self.instances.names)

    def predict(self, output: ImageOutput) -> Int64[Tensor, "height width"]:
        return self._merged(output).numbered(self.stuff)

    def save(self, path: Path, output: ImageOutput) -> None:
        save_panoptic(path, self._merged(output), self.instances.instance_map)

    def read(self, path: Path) -> Int64[Tensor, "height width"]:
        return read_panoptic(path, self.instances.instance_map).numbered(self.stuff)

    def _merged(self, output: ImageOutput) -> PanopticMap:
        assert output.instance_logits is not None, "views are rendered with semantics"
        classes, objects = self.classes.predict(output), self.instances.objects
        return PanopticMap.predicted(classes, output.instance_logits, objects, len(self.classes.names), self.stuff)
