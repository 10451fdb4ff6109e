"""Novel views of a scene from posed photos in a few lines, for notebooks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from gpnerf.camera_checks import require_intrinsics, require_pose
from gpnerf.errors import UserError
from gpnerf.metrics.image import to_uint8
from gpnerf.metrics.segmentation import predicted_labels
from gpnerf.models.gpnerf import GPNeRF
from gpnerf.models.projection import SourceMaps
from gpnerf.rendering import render_view
from gpnerf.structures import Cameras, Compat, SourceViews

Array = np.ndarray | Tensor | Sequence

_SMALLEST_SIDE = 32  # pixels; the smallest maps of encoder and head need it


@dataclass(frozen=True)
class NovelView:
    """A rendered view: 8-bit colour and depth (metres) at the render stride, class ids at full size.

    Weights trained with `--compat release` or `--protocol release` may predict the id behind the last name: no class.
    """

    colour: UInt8[np.ndarray, "rows cols 3"]
    depth: Float[np.ndarray, "rows cols"]
    class_ids: Int64[np.ndarray, "height width"]
    class_names: tuple[str, ...]


class NovelViews:
    """A trained model that is shown posed photos of a scene once and then renders any camera.

    Cameras are pinhole intrinsics in pixels (pixel centres at integers) and camera-to-world poses in metres with
    OpenCV axes (x right, y down, z forward).

    Args:
        model: the trained model.
        class_names: names of the class ids.
        depth_range: near and far (metres) of every ray; may be set anew at any time.
        device: where to compute.
        compat: `release` predicts the ignore class too, as weights that were trained in the released forms did.
    """

    def __init__(
        self,
        model: GPNeRF,
        class_names: tuple[str, ...],
        depth_range: tuple[float, float],
        device: torch.device,
        compat: Compat = "none",
    ) -> None:
        self.model = model.to(device).eval()
        self.class_names = class_names
        self.depth_range = depth_range
        self.device = device
        self.compat: Compat = compat
        self._maps: SourceMaps | None = None

    @torch.no_grad()
    def encode(self, images: Array, intrinsics: Array, cam_to_world: Array) -> None:
        """Take in the photos of a scene, in place of earlier ones.

        `images` [n, height, width, 3] or [n, 3, height, width], uint8 or float in [0, 1]; `intrinsics` [n, 3, 3], or
        [3, 3] for all; `cam_to_world` [n, 4, 4].

        Raises:
            UserError: another shape, numbers that are not finite, or matrices that are no camera.
        """
        photos = _photos(images)
        count, _, height, width = photos.shape
        cameras = _cameras(intrinsics, cam_to_world, count, height, width)
        self._maps = self.model.encode_sources(SourceViews(cameras, photos).to(self.device))

    def render(self, intrinsics: Array, cam_to_world: Array, height: int, width: int, stride: int = 1) -> NovelView:
        """The view of a camera (`intrinsics` [3, 3], `cam_to_world` [4, 4]) of height x width pixels.

        A `stride` of 2 renders every second pixel of colour and depth only, which is faster.

        Raises:
            UserError: nothing encoded yet, or a camera that is none.
        """
        if self._maps is None:
            raise UserError("render: expected encoded photos, found none; call encode(images, ...) first")
        for name, value, least in (
            ("height", height, _SMALLEST_SIDE),
            ("width", width, _SMALLEST_SIDE),
            ("stride", stride, 1),
        ):
            if value < least:
                raise UserError(f"{name}: expected at least {least} pixels, found {value}")
        near, far = self.depth_range
        if not 0 < near < far < float("inf"):
            raise UserError(f"depth_range: expected 0 < near < far in metres, found {self.depth_range}; set it anew")
        one = _cameras(intrinsics, cam_to_world, 1, height, width).to(self.device)
        camera = Cameras(one.intrinsics[0], one.cam_to_world[0], height, width)
        output = render_view(self.model, self._maps, camera, near, far, stride).to("cpu")
        if output.logits is not None:
            labels = predicted_labels(output.logits, self.compat)
        else:
            assert output.instance_logits is not None
            labels = predicted_labels(output.instance_logits)
        colour = to_uint8(output.rgb).permute(1, 2, 0).contiguous()
        return NovelView(colour.numpy(), output.depth.numpy(), labels.numpy(), self.class_names)


def _photos(value: Array) -> Float[Tensor, "views 3 height width"]:
    images = _tensor("images", value)
    if images.ndim == 4 and images.shape[-1] == 3:
        images = images.permute(0, 3, 1, 2)
    shape = list(images.shape)
    if len(shape) != 4 or shape[1] != 3 or not shape[0] or min(shape[2:]) < _SMALLEST_SIDE:
        raise UserError(
            f"images: expected [n, height, width, 3] or [n, 3, height, width] of at least {_SMALLEST_SIDE} pixels a "
            f"side, found {list(np.shape(value))}; repeat grey three times, show transparency on a colour"
        )
    if images.dtype == torch.uint8:
        return images.float() / 255
    _require_finite("images", images)
    if not images.is_floating_point() or images.min() < 0 or images.max() > 1:
        raise UserError(
            f"images: expected uint8, or float in [0, 1], found {images.dtype} in "
            f"[{float(images.min()):g}, {float(images.max()):g}]; convert to uint8 or divide by 255"
        )
    return images.float()


def _cameras(intrinsics: Array, cam_to_world: Array, count: int, height: int, width: int) -> Cameras:
    """`count` cameras of such pictures; one matrix of intrinsics may stand for all."""
    matrices = _matrices("intrinsics", intrinsics, count, 3, shared=True)
    poses = _matrices("cam_to_world", cam_to_world, count, 4, shared=count == 1)
    for index, (matrix, pose) in enumerate(zip(matrices.double().numpy(), poses.double().numpy(), strict=True)):
        require_intrinsics(matrix, height, width, f"intrinsics[{index}]", "give those of this picture size")
        require_pose(pose, f"cam_to_world[{index}]", "mend it or leave this view out")
    return Cameras(matrices.float(), poses.double(), height, width)


def _matrices(name: str, value: Array, count: int, size: int, shared: bool) -> Float[Tensor, "views size size"]:
    matrices = _tensor(name, value)
    if shared and matrices.shape == (size, size):
        matrices = matrices.expand(count, size, size)
    if matrices.shape != (count, size, size):
        raise UserError(
            f"{name}: expected shape {[count, size, size]}, one for each view, found {list(matrices.shape)}"
        )
    return matrices


def _tensor(name: str, value: Array) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach().cpu()
    try:
        return torch.from_numpy(np.array(value))
    except (TypeError, ValueError) as error:
        raise UserError(f"{name}: expected an array of numbers, found {type(value).__name__} ({error})") from error


def _require_finite(name: str, values: Tensor) -> None:
    finite = values.isfinite().flatten(1).all(dim=1)
    if not finite.all():
        index = int((~finite).nonzero()[0])
        raise UserError(f"{name}[{index}]: expected finite numbers, found NaN or infinity; leave this view out")
