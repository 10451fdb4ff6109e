"""The camera of a frame in transforms.json."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpnerf.camera_checks import require_own_size
from gpnerf.data.images import image_size
from gpnerf.data.lens import Lens
from gpnerf.data.posed_photos import checked_lens
from gpnerf.data.transforms_entry import Entry, finite
from gpnerf.errors import UserError

# Kinds of lenses, the names that programs have for them, and their coefficients in OpenCV's order.
_MODELS = {
    "plain": ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "PERSPECTIVE"),
    "rational": ("FULL_OPENCV",),
    "fisheye": ("OPENCV_FISHEYE", "FISHEYE", "SIMPLE_FISHEYE", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE"),
}
_COEFFICIENTS = {
    "plain": ("k1", "k2", "p1", "p2", "k3"),
    "rational": ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"),
    "fisheye": ("k1", "k2", "k3", "k4"),
}
_ALL = ("k1", "k2", "k3", "k4", "k5", "k6", "p1", "p2")
# Keys for the same thing; of the focal lengths the first that is there counts.
_KIND_KEYS = ("camera_model", "camera_type", "projection", "is_fisheye")
_FOCAL_KEYS = {axis: (f"fl_{axis}", f"camera_angle_{axis}", f"{axis}_fov") for axis in "xy"}
_STATED_SIZE = {"h", "w"}
_LISTED = ("k1", "k2", "k3", "k4", "p1", "p2")  # nerfstudio's order of `distortion_params`


def merged(top: Mapping[str, Any], frame: Mapping[str, Any], where: str) -> Entry:
    """What counts for a frame: key by key its own value, else that of the file's top.

    Keys for the same thing, such as `fl_x` and `camera_angle_x`, replace each other.
    """
    values = {**_alike(top, where), **_alike(frame, where)}
    return Entry({key: value for key, value in values.items() if value is not None}, where)


def read_lens(entry: Entry, path: Path) -> Lens:
    """The lens of the picture `path`, which tells its size where `w` and `h` do not.

    Raises:
        UserError: a number is missing or impossible, or the model is none that OpenCV's coefficients describe.
    """
    kind = _kind(entry)
    distortion = _coefficients(entry, kind)
    height, width = _size(entry, path)
    # Pixel centres: theirs lie at 0.5, ours at integers.
    centre = entry.number("cx", width / 2) - 0.5, entry.number("cy", height / 2) - 0.5
    lens = Lens(height, width, _focal(entry, width, height), centre, distortion, kind == "fisheye")
    if not entry.values.keys() >= _STATED_SIZE:
        remedy = "state w and h, the size that they belong to, or scale them to the size of the picture"
        require_own_size(lens.matrix, height, width, entry.where, remedy)
    return checked_lens(lens, entry.where)


def _size(entry: Entry, path: Path) -> tuple[int, int]:
    """(height, width) as stated, else of the file, which is opened only then."""
    if entry.values.keys() >= _STATED_SIZE:
        return entry.whole("h"), entry.whole("w")
    height, width = image_size(path)
    return entry.whole("h", float(height)), entry.whole("w", float(width))


def _alike(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The values of one place; a key that another one of the same place stands for is None."""
    result = {key: value for key, value in values.items() if value is not None}
    for keys in (_KIND_KEYS, *_FOCAL_KEYS.values()):
        if result.keys() & set(keys):
            result = dict.fromkeys(keys) | result
    listed = result.pop("distortion_params", None)
    if listed is None:
        return result
    if not isinstance(listed, list) or len(listed) != len(_LISTED):
        raise UserError(
            f"{where}: distortion_params: expected the {len(_LISTED)} numbers {' '.join(_LISTED)}, found another form; "
            "write each as a key"
        )
    return result | {
        key: finite(value, f"{where}: distortion_params") for key, value in zip(_LISTED, listed, strict=True)
    }


def _kind(entry: Entry) -> str:
    """plain, rational or fisheye, as all keys that say something about it agree."""
    stated = {key: entry.values[key] for key in _KIND_KEYS if key in entry.values}
    kinds = {_kind_of(key, value, entry.where) for key, value in stated.items()} or {"plain"}
    if kinds == {"plain", "rational"}:
        return "rational"  # which is a perspective lens, and no fisheye
    if len(kinds) > 1:
        found = ", ".join(f"{key} {value!r}" for key, value in stated.items())
        raise UserError(f"{entry.where}: expected one kind of lens, found {found}; take the wrong one out")
    return kinds.pop()


def _kind_of(key: str, value: Any, where: str) -> str:
    if key == "is_fisheye":
        return "fisheye" if value else "plain"
    name = value.upper() if isinstance(value, str) else value
    for kind, models in _MODELS.items():
        if name in models:
            return kind
    known = ", ".join(model for models in _MODELS.values() for model in models)
    raise UserError(f"{where}: expected {key} {known}, found {str(value)[:40]!r}; undistort the images")


def _coefficients(entry: Entry, kind: str) -> tuple[float, ...]:
    names = _COEFFICIENTS[kind]
    if extra := [name for name in _ALL if name not in names and entry.number(name, 0.0)]:
        remedy = "undistort the images"
        if kind == "plain":
            remedy += " (programs differ in what it means), or name the camera_model FULL_OPENCV if it is OpenCV's"
        raise UserError(
            f"{entry.where}: expected no coefficients but {' '.join(names)} of a {kind} lens, found '{extra[0]}'; "
            f"{remedy}"
        )
    return tuple(entry.number(name, 0.0) for name in names)


def _focal(entry: Entry, width: int, height: int) -> tuple[float, float]:
    """Focal lengths in pixels; one alone counts for both, since pixels are square."""
    found = [_along(entry, axis, size) for axis, size in (("x", width), ("y", height))]
    across, down = found[0] or found[1], found[1] or found[0]
    if across is None or down is None:
        raise UserError(
            f"{entry.where}: expected fl_x in pixels or camera_angle_x in radians, found none; export again"
        )
    return across, down


def _along(entry: Entry, axis: str, size: int) -> float | None:
    length, angle, degrees = _FOCAL_KEYS[axis]
    if length in entry.values:
        return entry.positive(length)
    for key, unit in ((angle, 1.0), (degrees, math.pi / 180)):
        if key in entry.values:
            if not (whole := entry.positive(key) * unit) < math.pi:
                raise UserError(
                    f"{entry.where}: {key}: expected an angle below half a turn, found {whole:g} radians; mend it"
                )
            return size / 2 / math.tan(whole / 2)
    return None
