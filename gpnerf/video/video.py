"""A video of a scene: renders the frames that are missing, then writes the film."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from gpnerf.free_views import FreeViews
from gpnerf.ownership import owned
from gpnerf.structures import Cameras
from gpnerf.video.film import Film
from gpnerf.video.frames import FrameFolder
from gpnerf.video.labellings import Labelling
from gpnerf.visualize.colouring import colour_picture
from gpnerf.visualize.png import save_depth, save_picture


@dataclass(frozen=True)
class Video:
    """What to render, from where (`poses`, camera-to-world) and to which folder.

    `stride` is that of colour and depth; `description` is what the pictures depend on besides the path and the scene's
    files, of which `data` is a digest.
    """

    views: FreeViews
    poses: Float[np.ndarray, "frames 4 4"]
    stride: int
    labellings: tuple[Labelling, ...]
    folder: Path
    description: Mapping[str, Any]
    data: str
    film: Film

    def run(self) -> list[Path]:
        """Render what an earlier run has not, and write the film; returns its files.

        Raises:
            UserError: the folder holds frames of something else, cannot be written to, or is another process's.
        """
        with owned(self.folder):
            return self._make()

    def _make(self) -> list[Path]:
        parts = ("rgb", "depth", *(labelling.part for labelling in self.labellings))
        frames = FrameFolder(self.folder, parts, len(self.poses))
        frames.claim(self.description, self.data, self.poses)
        missing = frames.missing()
        if missing:  # a film that is there is of other frames
            self.film.remove(frames, self.labellings)
        bar = tqdm(total=len(self.poses), initial=len(self.poses) - len(missing), desc="render", unit="frame")
        with logging_redirect_tqdm(), bar:
            for frame in missing:
                self._render(frames, frame)
                bar.update()
        return self.film.write(frames, self.labellings)

    def _render(self, frames: FrameFolder, frame: int) -> None:
        scene = self.views.scene
        intrinsics, pose = torch.from_numpy(scene.middle_intrinsics).float(), torch.from_numpy(self.poses[frame])
        camera = Cameras(intrinsics, pose, scene.form.height, scene.form.width)
        output = self.views.render(camera, semantics=bool(self.labellings), stride=self.stride)
        save_picture(frames.file("rgb", frame), colour_picture(output.rgb))
        save_depth(frames.file("depth", frame), output.depth)
        for labelling in self.labellings:
            labelling.save(frames.file(labelling.part, frame), output)
