"""Which keys of transforms.json are obeyed, which change nothing here, and which would change pictures or poses.

The keys are those of nerfstudio, instant-ngp, Blender's exporters and of programs that write for them.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gpnerf.errors import UserError

logger = logging.getLogger(__name__)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


LENS_KEYS = _words(
    "camera_model camera_type projection is_fisheye fl_x fl_y x_fov y_fov camera_angle_x camera_angle_y cx cy w h "
    "k1 k2 k3 k4 k5 k6 p1 p2 distortion_params"
)
_TOP_KEYS = _words(
    "frames near far n_frames applied_scale depth_unit_scale_factor integer_depth_scale enable_depth_loading "
    "train_filenames val_filenames test_filenames"
)
_FRAME_KEYS = _words(
    "file_path depth_file_path depth_path transform_matrix transform_matrix_start transform_matrix_end"
)
# Scales and boxes that turn the whole scene into another program's cube, hints for training, notes. White made
# transparent is white again on our white ground.
_WITHOUT_EFFECT = _words(
    "aabb aabb_scale render_aabb scale offset up applied_transform orientation_override auto_scale_poses_override "
    "ply_file_path envmap importance_sampling n_extra_learnable_dims enable_ray_loading white_transparent fix_premult "
    "sharpness rotation colmap_im_id colmap_image_id colmap_camera_id camera_id image_id frame_id cam_id id name "
    "timestamp timestamps exposure_time motion_blur_score camera_linear_velocity camera_angular_velocity "
    "driver_parameters date version comment description normal_file_path confidence_path"
)
_UNDISTORT = "undistort the pictures with the program that wrote them"
_AS_THEY_ARE = "take the key out to use the pictures as they are"
# What a key that is not empty, zero or false says, and what to do about it.
_REFUSED = {
    **dict.fromkeys(("latlong", "equirectangular", "panorama", "spherical"), ("a panorama", _UNDISTORT)),
    **dict.fromkeys((f"ftheta_p{n}" for n in range(9)), ("an f-theta lens", _UNDISTORT)),
    **dict.fromkeys(("orthographic", "ortho_scale"), ("parallel rays", "render them again in perspective")),
    **dict.fromkeys(
        _words("s1 s2 s3 s4 sx1 sy1 tauX tauY b1 b2 skew omega xi p3 p4 k7 k8 fisheye_crop_radius"),
        ("a lens that is not read", _UNDISTORT),
    ),
    **dict.fromkeys(
        ("rolling_shutter", "rolling_shutter_time"), ("rows that were seen from other places", _AS_THEY_ARE)
    ),
    **dict.fromkeys(("mask_path", "mask_file_path", "masks", "mask"), ("pixels that do not count", _AS_THEY_ARE)),
    **dict.fromkeys(("sharpen", "black_transparent"), ("pictures that are to be changed", _AS_THEY_ARE)),
    "sharpness_discard_threshold": ("frames that are left out", "take these frames out"),
    **dict.fromkeys(("from_na", "normal_mts_args"), ("other axes", "export the poses with OpenGL's axes")),
    **dict.fromkeys(
        ("intrinsic_matrix", "intrinsics", "camera_intrinsics", "K"), ("a camera", "write it as fl_x, fl_y, cx and cy")
    ),
}


def check_keys(top: Mapping[str, Any], frames: Sequence[Any], path: Path) -> None:
    """Refuse keys that would change the pictures or poses, and name unknown ones in one warning.

    Raises:
        UserError: such a key, or in a frame one that belongs to the whole scene.
    """
    unknown = _check(top, str(path)) - LENS_KEYS - _TOP_KEYS
    for place, frame in enumerate(frames):
        if not isinstance(frame, Mapping):
            continue
        where = f"{path}: frame {place}"
        stated = _check(frame, where)
        if misplaced := sorted(stated & _TOP_KEYS):
            raise UserError(f"{where}: expected '{misplaced[0]}' beside 'frames', found it in a frame; move it there")
        unknown |= stated - LENS_KEYS - _FRAME_KEYS
    unknown -= _WITHOUT_EFFECT
    if unknown:
        logger.warning("%s: keys that are not known are passed over: %s", path, ", ".join(sorted(unknown))[:500])


def _check(values: Mapping[str, Any], where: str) -> set[str]:
    """The keys that say something, none of which is refused."""
    stated = {key for key, value in values.items() if not _is_empty(value)}
    if refused := sorted(stated & _REFUSED.keys()):
        what, remedy = _REFUSED[refused[0]]
        raise UserError(
            f"{where}: expected keys that are read or change nothing, found '{refused[0]}' ({what}); {remedy}"
        )
    return stated


def _is_empty(value: Any) -> bool:
    return not value or (isinstance(value, list) and not any(value))
