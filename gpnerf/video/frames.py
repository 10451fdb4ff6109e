"""The frames of a video on disk: rendered once, whatever stops the run, and never mixed with those of another video."""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from gpnerf.errors import UserError
from gpnerf.evaluation.results import write_whole
from gpnerf.storage import read_json


@dataclass(frozen=True)
class FrameFolder:
    """`<part>_<number>.png` of every frame and part; a frame is there when all its parts are."""

    path: Path
    parts: tuple[str, ...]
    count: int

    def file(self, part: str, frame: int) -> Path:
        return self.path / f"{part}_{frame:04d}.png"

    def missing(self) -> list[int]:
        """The frames that are still to be rendered."""
        return [k for k in range(self.count) if not all(self.file(part, k).is_file() for part in self.parts)]

    def claim(self, description: Mapping[str, Any], poses: Float[np.ndarray, "frames 4 4"]) -> None:
        """Say in `frames.json` what the frames are of, and in `poses.txt` from where.

        Raises:
            UserError: the folder holds frames of something else.
        """
        text = io.StringIO()
        np.savetxt(text, poses.reshape(-1, 16))
        wanted = {**description, "poses_sha256": hashlib.sha256(text.getvalue().encode()).hexdigest()}
        wanted = json.loads(json.dumps(wanted))  # as it will be read back
        said = self.path / "frames.json"
        if said.exists():
            self._require_same(said, wanted)
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{self.path}: cannot be made ({error.strerror}); choose another --out") from error
        write_whole(self.path / "poses.txt", text.getvalue())
        write_whole(said, json.dumps(wanted, indent=1))

    def _require_same(self, said: Path, wanted: dict[str, Any]) -> None:
        found = read_json(said, "what its frames are of", f"delete {self.path} or choose another --out")
        for name, new in wanted.items():
            if found.get(name) != new:
                raise UserError(
                    f"{said}: the frames there were rendered with {name} = {found.get(name)}, found {new} now; set it "
                    "back, choose another --out, or delete the folder"
                )
