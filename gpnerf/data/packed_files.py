"""Writes a scene's packed frames, and finds those that are made from the files that are there now."""

import json
import logging
import zlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np

from gpnerf.data.frames import PARTS, Part
from gpnerf.data.packed import CHECKSUMS, PRESENT, PackedFrames, has_records, record_type
from gpnerf.data.scene import Scene
from gpnerf.data.scene_digest import file_identities
from gpnerf.errors import UserError
from gpnerf.storage import digest, read_json, replaced, write_whole

logger = logging.getLogger(__name__)

# To be raised whenever other pixels are made of the same files.
_VERSION = 2


def packed_path(scene: Scene, folder: Path) -> Path:
    """Where the frames of the scene in `folder` are packed at its image size; a .json beside tells what they are."""
    released = "" if scene.form.centred else "_release"
    return folder / "packed" / f"{scene.form.width}x{scene.form.height}{released}.npy"


def find_packed(scene: Scene, folder: Path) -> PackedFrames | None:
    """The packed frames of the scene in `folder`; none, and one warning, where they are of other files or rules."""
    path = packed_path(scene, folder)
    about = path.with_suffix(".json")
    if not about.is_file():
        return None
    fault = _fault(scene, folder, path, about)
    if fault:
        logger.warning("%s: %s, the pictures are read; run scripts/pack_scenes.py again", path, fault)
        return None
    return PackedFrames(path, _parts(scene))


def _fault(scene: Scene, folder: Path, path: Path, about: Path) -> str | None:
    """Why packed frames cannot serve."""
    try:
        found = read_json(about, "a description of packed frames", "pack again")
        expected = _description(scene, folder) | {"bytes": path.stat().st_size}
    except (OSError, UserError) as error:
        return f"damaged ({error})"
    if differing := [key for key in expected if found.get(key) != expected[key]]:
        return f"packed from other files or settings ({', '.join(differing)})"
    return None if has_records(path, _record_type(scene), len(scene)) else "damaged (its first bytes)"


def packed_size(scene: Scene) -> int:
    """Bytes that the packed frames take."""
    return len(scene) * _record_type(scene).itemsize


def write_packed(scene: Scene, folder: Path) -> None:
    """Pack the frames of the scene in `folder`; an unreadable file is left out, so that reading it fails as before.

    The file appears when it is complete. The pictures' files are described before the first is read, so that one that
    changes meanwhile is noticed.
    """
    path, description = packed_path(scene, folder), _description(scene, folder)
    about = path.with_suffix(".json")
    with replaced(path) as beside:
        with beside.open("wb") as file:
            _write_records(file, scene)
        about.unlink(missing_ok=True)  # it would describe another file
    write_whole(about, json.dumps(description | {"bytes": path.stat().st_size}, indent=1) + "\n")


def _write_records(file: BinaryIO, scene: Scene) -> None:
    kind = _record_type(scene)
    header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": (len(scene),)}
    np.lib.format.write_array_header_1_0(file, header)
    for record in _records(scene, kind):
        file.write(record.tobytes())  # not through a memory map, which a full disk would end with a signal


def _records(scene: Scene, kind: np.dtype) -> Iterator[np.ndarray]:
    for index in range(len(scene)):
        record = np.zeros((), kind)
        for place, part in enumerate(_parts(scene)):
            if scene.path(part, index) is None:
                continue
            try:
                record[part] = scene.pixels(part, index)
            except UserError as error:
                logger.warning("left out: %s", error)
                continue
            record[CHECKSUMS][place], record[PRESENT][place] = zlib.crc32(record[part].data), True
        yield record


def _parts(scene: Scene) -> tuple[Part, ...]:
    return tuple(part for part in PARTS if getattr(scene.files, part) is not None)


def _record_type(scene: Scene) -> np.dtype:
    form = scene.form
    as_they_are = not scene.lenses and scene.file_size == (form.height, form.width)
    return record_type(_parts(scene), form.height, form.width, whole_bytes=as_they_are)


def _description(scene: Scene, folder: Path) -> dict[str, Any]:
    """What the frames are made from, as JSON gives it back; files count by name, size and time of change.

    Poses, intrinsics and the label table are no part of it: they are read from their own small files every time.
    """
    described = {
        "version": _VERSION,
        "opencv": cv2.__version__,  # its last digits may differ from release to release
        "frames": len(scene),
        "form": asdict(scene.form),
        "file_size": scene.file_size,
        "lenses": digest("\n".join(map(str, scene.lenses))),
        "sources": digest("\n".join(file_identities(scene, _parts(scene), folder))),
    }
    return json.loads(json.dumps(described))
