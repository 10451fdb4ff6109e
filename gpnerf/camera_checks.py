"""What makes a matrix a camera: the one rule for poses and intrinsics, wherever they come from.

Each check returns what is wrong in words, for a message of the form "expected ..., found <fault>"; None if nothing is.
"""

import numpy as np
from jaxtyping import Float

from gpnerf.errors import UserError

# How far a matrix that was written as text may be from orthonormal, and its last row from 0 0 0 1.
ROUNDING = 1e-3
# A focal length by the longer side of its picture: 157 degrees wide, and a long telephoto lens.
_FOCAL_RANGE = (0.1, 10.0)
# Numbers up to this are no pixels but shares of the picture.
_LARGEST_SHARE = 10.0


def pose_fault(pose: Float[np.ndarray, "4 4"]) -> str | None:
    """Why a camera-to-world matrix is no rotation and shift."""
    if not np.isfinite(pose).all():
        return "inf or NaN"
    if not pose[:3, :3].any():
        return "nothing but zeros in the rotation"
    if not np.allclose(pose[3], (0, 0, 0, 1), rtol=0, atol=ROUNDING):
        return f"the last row {_row(pose[3])} instead of 0 0 0 1 (is it transposed?)"
    return rotation_fault(pose[:3, :3])


def rotation_fault(rotation: Float[np.ndarray, "3 3"]) -> str | None:
    """Why a matrix is no rotation."""
    lengths = np.sqrt(np.square(np.clip(rotation, -1e6, 1e6)).sum(axis=0))  # bounded, so that no square overflows
    if np.abs(lengths - 1).max() > ROUNDING:
        return f"axes of length {_row(lengths)} instead of 1 1 1 (a scaled pose?)"
    if np.abs(rotation.T @ rotation - np.eye(3)).max() > ROUNDING:
        return "axes that are not perpendicular"
    if np.linalg.det(rotation) < 0:
        return "a mirrored (left-handed) rotation"
    return None


def pose_is_lost(pose: Float[np.ndarray, "4 4"]) -> bool:
    """Whether a recording's matrix says that the camera was lost there: inf or NaN, or zeros for a rotation."""
    return not np.isfinite(pose).all() or not pose[:3, :3].any()


def intrinsics_fault(matrix: Float[np.ndarray, "3 3"], height: int, width: int) -> str | None:
    """Why a matrix cannot be that of a pinhole camera, in pixels, whose pictures have height x width pixels."""
    if not np.isfinite(matrix).all():
        return "inf or NaN"
    if not np.allclose(matrix[2], (0, 0, 1), rtol=0, atol=ROUNDING) or abs(matrix[1, 0]) > ROUNDING:
        return f"rows {_row(matrix[1])} and {_row(matrix[2])} instead of 0 fy cy and 0 0 1 (is it transposed?)"
    focal, centre, longer = (matrix[0, 0], matrix[1, 1]), (matrix[0, 2], matrix[1, 2]), max(height, width)
    if min(focal) <= 0:
        return f"focal lengths {_row(focal)}, which must be positive"
    if max(*focal, *centre) <= _LARGEST_SHARE:
        return f"focal lengths {_row(focal)} and principal point {_row(centre)}: shares of the picture, not pixels"
    inside = -0.5 <= centre[0] <= width - 0.5 and -0.5 <= centre[1] <= height - 0.5
    if not inside:
        implied = f"{2 * centre[0] + 1:.0f}x{2 * centre[1] + 1:.0f}"
        return (
            f"the principal point {_row(centre)} outside the picture of {width}x{height} pixels "
            f"(it is the middle of one of {implied}: intrinsics of another picture size?)"
        )
    least, most = (share * longer for share in _FOCAL_RANGE)
    if min(focal) < least or max(focal) > most:
        return (
            f"focal lengths {_row(focal)} for a picture of {width}x{height} pixels ({least:.0f} to {most:.0f} are sane)"
        )
    return None


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
        raise UserError(
            f"{where}: expected intrinsics in pixels of a {width}x{height} picture, found {fault}; {remedy}"
        )
    return matrix


def _row(values: object) -> str:
    return " ".join(f"{value:g}" for value in np.asarray(values, dtype=np.float64))
