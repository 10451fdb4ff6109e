"""What makes a matrix a camera: the one rule for poses and intrinsics, wherever they come from.

Each `..._fault` says what is wrong, for a message of the form "expected ..., found <fault>"; None if nothing is.
"""

import numpy as np
from jaxtyping import Float

from gpnerf.errors import UserError

_LAST_ROW = np.array([0.0, 0.0, 0.0, 1.0])
# How far a matrix that was written as text may be from orthonormal, and its last row from 0 0 0 1.
ROUNDING = 1e-3
# From the origin, in the data's unit: farther than any map reaches in metres or millimetres.
_FARTHEST = 1e11
# A focal length by the longer side of its picture: 157 degrees wide, and a long telephoto lens.
_FOCAL_RANGE = (0.1, 10.0)
# A principal point up to this is in no pixels but in shares of the picture.
_LARGEST_SHARE = 1.0
# The principal point of another picture size is off the middle by the same factor on both axes, but for rounding.
_SAME_FACTOR, _OTHER_SIZE = 0.03, 0.2
# As a share of the side.
_OFF_MIDDLE = 0.2


def pose_fault(pose: Float[np.ndarray, "4 4"]) -> str | None:
    """Why a camera-to-world matrix is no rotation and shift."""
    if not np.isfinite(pose).all():
        return "inf or NaN"
    if not pose[:3, :3].any():
        return "nothing but zeros in the rotation"
    if not _near(pose[3], _LAST_ROW):
        transposed = " (it is transposed)" if _near(pose[:, 3], _LAST_ROW) else ""
        return f"the last row {_row(pose[3])} instead of 0 0 0 1{transposed}"
    if np.abs(pose[:3, 3]).max() > _FARTHEST:
        return f"the position {_row(pose[:3, 3])}, too far from the origin"
    return _rotation_fault(pose[:3, :3])


def pose_is_lost(pose: Float[np.ndarray, "4 4"]) -> bool:
    """Whether a recording's matrix says that the camera was lost there: inf or NaN, or zeros for a rotation."""
    return not np.isfinite(pose).all() or not pose[:3, :3].any()


def intrinsics_fault(matrix: Float[np.ndarray, "3 3"], height: int, width: int) -> str | None:
    """Why a matrix cannot be that of a pinhole camera, in pixels, whose pictures have height x width pixels."""
    return shape_fault(matrix) or size_fault(matrix, height, width)


def shape_fault(matrix: Float[np.ndarray, "3 3"]) -> str | None:
    """Why a matrix cannot be that of any pinhole camera."""
    if not np.isfinite(matrix).all():
        return "inf or NaN"
    if not _near(matrix[2], _LAST_ROW[1:]) or abs(matrix[1, 0]) > ROUNDING:
        transposed = " (it is transposed)" if _near(matrix[:, 2], _LAST_ROW[1:]) else ""
        return f"the rows {_row(matrix[1])} and {_row(matrix[2])} instead of 0 fy cy and 0 0 1{transposed}"
    if min(matrix[0, 0], matrix[1, 1]) <= 0:
        return f"focal lengths {_row(matrix[[0, 1], [0, 1]])}, which must be above 0"
    return None


def size_fault(matrix: Float[np.ndarray, "3 3"], height: int, width: int) -> str | None:
    """Why a pinhole camera's matrix cannot belong to pictures of height x width pixels."""
    focal, centre, longer = matrix[[0, 1], [0, 1]], matrix[:2, 2], max(height, width)
    least, most = (share * longer for share in _FOCAL_RANGE)
    if np.abs(centre).max() <= _LARGEST_SHARE:
        return f"focal lengths {_row(focal)} and principal point {_row(centre)}: shares of the picture, not pixels"
    if not (-0.5 < centre[0] < width - 0.5 and -0.5 < centre[1] < height - 0.5):
        hint = f", but in the middle of one of {_text(*other)}" if (other := other_size(matrix, height, width)) else ""
        return f"the principal point {_row(centre)}, outside the picture{hint}"
    if focal.min() < least or focal.max() > most:
        return f"focal lengths {_row(focal)}, where {least:g} to {most:g} pixels are sane"
    return None


def other_size(matrix: Float[np.ndarray, "3 3"], height: int, width: int) -> tuple[int, int] | None:
    """(height, width) of the picture in whose middle the principal point lies, if that is this one at another scale, or
    lying on its side."""
    high, wide = implied_size(matrix)
    if min(high, wide) <= 0:
        return None
    if abs(high / height * width / wide - 1) < _SAME_FACTOR:
        is_other = abs(np.log(wide / width)) > _OTHER_SIZE
    else:
        is_other = abs(high / width * height / wide - 1) < _SAME_FACTOR
    return (round(high), round(wide)) if is_other else None


def is_off_middle(matrix: Float[np.ndarray, "3 3"], height: int, width: int) -> bool:
    """Whether the principal point is off the picture's middle by more than lenses are, as in a crop."""
    implied = implied_size(matrix)
    return any(abs(mine / its - 1) > 2 * _OFF_MIDDLE for mine, its in zip(implied, (height, width), strict=True))


def implied_size(matrix: Float[np.ndarray, "3 3"]) -> tuple[float, float]:
    """(height, width) of the picture in whose middle the principal point lies."""
    return 2 * float(matrix[1, 2]) + 1, 2 * float(matrix[0, 2]) + 1


def require_pose(pose: Float[np.ndarray, "4 4"], where: str, remedy: str) -> Float[np.ndarray, "4 4"]:
    """The pose; `UserError` if it is none. `where` opens the message, `remedy` ends it."""
    if fault := pose_fault(pose):
        raise UserError(f"{where}: expected a camera-to-world pose (rotation and shift), found {fault}; {remedy}")
    return pose


def require_intrinsics(
    matrix: Float[np.ndarray, "3 3"], height: int, width: int, where: str, remedy: str
) -> Float[np.ndarray, "3 3"]:
    """The intrinsics; `UserError` if they are none of such a picture. `where` opens the message, `remedy` ends it."""
    if fault := intrinsics_fault(matrix, height, width):
        expected = f"intrinsics in pixels of a {width}x{height} picture"
        raise UserError(f"{where}: expected {expected}, found {fault}; {remedy}")
    return matrix


def require_own_size(matrix: Float[np.ndarray, "3 3"], height: int, width: int, where: str, remedy: str) -> None:
    """`UserError` if the principal point says that a camera belongs to pictures of another size, which are no crops."""
    if other := other_size(matrix, height, width):
        found = f"those of one of {other[1]}x{other[0]} (by the principal point)"
        raise UserError(f"{where}: expected intrinsics of a {width}x{height} picture, found {found}; {remedy}")


def _rotation_fault(rotation: Float[np.ndarray, "3 3"]) -> str | None:
    bounded = np.clip(rotation, -1e6, 1e6)  # so that no product overflows
    squares = bounded.T @ bounded
    lengths, off = np.sqrt(squares.diagonal()), np.abs(squares - np.eye(3))
    if off.diagonal().max() > ROUNDING:
        scaled = " (a scaled rotation)" if np.ptp(lengths) <= ROUNDING * lengths.max() else ""
        return f"axes of length {_row(lengths)} instead of 1 1 1{scaled}"
    if off.max() > ROUNDING:
        return "axes that are not perpendicular"
    if np.linalg.det(bounded) < 0:
        return "a mirrored (left-handed) rotation"
    return None


def _near(row: Float[np.ndarray, "numbers"], expected: Float[np.ndarray, "numbers"]) -> bool:
    return bool(np.abs(row - expected).max() <= ROUNDING)


def _row(values: Float[np.ndarray, "numbers"]) -> str:
    return " ".join(f"{value:g}" for value in values.tolist())


def _text(height: int, width: int) -> str:
    return f"{width}x{height} pixels"
