"""The frames of a video on disk: rendered once, whatever stops the run, and never mixed with those of another video."""

import io
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from gpnerf.errors import UserError
from gpnerf.storage import digest, read_json, strict_json, write_whole

_log = logging.getLogger(__name__)

_POSES, _DATA = "poses_sha256", "data_sha256"


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

    def claim(self, description: Mapping[str, Any], data: str, poses: Float[np.ndarray, "frames 4 4"]) -> None:
        """Say in `frames.json` what the frames are of, and in `poses.txt` from where.

        `data` is a digest of the scene's files: frames of files that have changed since are deleted.

        Raises:
            UserError: the folder holds frames of something else, or of nobody knows what.
        """
        text = io.StringIO()
        np.savetxt(text, poses.reshape(-1, 16))
        wanted = {**description, _POSES: digest(text.getvalue()), _DATA: data}
        wanted = json.loads(strict_json(wanted))  # as it will be read back
        said = self.path / "frames.json"
        if said.exists():
            found = self._read(said)
            changed = found.get(_DATA) != data
            # The path may follow from the files.
            self._require_same(
                said, found, {k: v for k, v in wanted.items() if not changed or k not in (_POSES, _DATA)}
            )
            if not changed:
                return
            _log.warning("%s: the files of the scene have changed since: all frames are rendered again", said)
            for path in self._pictures():
                path.unlink()
        elif strange := self._pictures():
            raise UserError(
                f"{strange[0]}: expected {said.name} beside it, found none; choose another --out, or delete it"
            )
        write_whole(self.path / "poses.txt", text.getvalue())
        write_whole(said, strict_json(wanted, indent=1))

    def _pictures(self) -> list[Path]:
        return [path for part in self.parts for path in sorted(self.path.glob(f"{part}_[0-9]*.png"))]

    def _read(self, said: Path) -> dict[str, Any]:
        remedy = f"delete {self.path} or choose another --out"
        return read_json(said, "the description of a video's frames", remedy)

    def _require_same(self, said: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
        for name, new in wanted.items():
            if name in found and found[name] != new:
                raise UserError(
                    f"{said}: the frames there were rendered with {name} = {found.get(name)}, found {new} now; set it "
                    "back, choose another --out, or delete the folder"
                )
