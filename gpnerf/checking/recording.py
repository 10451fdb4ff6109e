"""What the folder of a scene holds, as far as it could be read."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Float64

from gpnerf.camera_checks import pose_is_lost
from gpnerf.checking.findings import Finding
from gpnerf.data.files import SceneFiles, rescale_intrinsics
from gpnerf.data.frames import ImageForm
from gpnerf.data.labels import LabelMap
from gpnerf.data.lens import Lens
from gpnerf.data.scene import FrameCache, Scene


@dataclass(frozen=True, eq=False)
class Recording:
    """The files of a scene, the poses that can be read (some may hold inf or NaN), and the cameras.

    `size` is the (height, width) of the colour files, or of the first where each has a lens of its own (`lenses`);
    `intrinsics` are for pictures of that size. They and `label_map` are None where there are none that can be read.
    `depth_unit` is metres a step of the depth files. `note` says what the reader did to the poses, `findings` what was
    wrong with any of this, and `refusals` why the reader would refuse such intrinsics for pictures of that size.
    """

    name: str
    files: SceneFiles
    numbers: tuple[int, ...]
    size: tuple[int, int]
    poses: Mapping[int, Float[np.ndarray, "4 4"]]
    intrinsics: Float64[np.ndarray, "frames 3 3"] | None
    label_map: LabelMap | None
    class_names: tuple[str, ...]
    findings: tuple[Finding, ...]
    lenses: tuple[Lens, ...] = ()
    depth_unit: float = 1e-3
    note: str = ""
    refusals: tuple[Finding, ...] = ()

    def size_of(self, number: int) -> tuple[int, int]:
        """The (height, width) that the colour file of a frame must have."""
        return self.lenses[self.numbers.index(number)].size if self.lenses else self.size

    def scene(self, largest_width: int, cache: FrameCache, without: Collection[int]) -> Scene | None:
        """The frames with usable poses that are not among `without`, shrunk to at most this width.

        None if there is no such frame, or no intrinsics.
        """
        places = [k for k, n in enumerate(self.numbers) if n not in without and is_invertible(self.poses.get(n))]
        if self.intrinsics is None or not places:
            return None
        factor = min(1.0, largest_width / self.size[1])
        height, width = (round(side * factor) for side in self.size)
        scale = (width / self.size[1], height / self.size[0])
        return Scene(
            name=self.name,
            files=self.files if self.label_map else replace(self.files, labels=None),
            numbers=np.array(self.numbers)[places],
            intrinsics=np.stack([rescale_intrinsics(matrix, scale) for matrix in self.intrinsics[places]]),
            cam_to_world=np.stack([self.poses[self.numbers[k]] for k in places]),
            file_size=self.size,
            form=ImageForm(height, width, scale),
            label_map=self.label_map,
            strict_labels=False,
            cache=cache,
            lenses=tuple(self.lenses[k] for k in places) if self.lenses else (),
            depth_unit=self.depth_unit,
        )


def is_invertible(pose: Float[np.ndarray, "4 4"] | None) -> bool:
    """Whether there is a pose that spans space, so that it can be turned round."""
    if pose is None or pose_is_lost(pose):
        return False
    return bool(abs(np.linalg.det(pose)) > np.finfo(np.float32).eps)
