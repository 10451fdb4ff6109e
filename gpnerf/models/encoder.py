"""The image encoder: a residual pyramid and a light decoder to the colour features that points read."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

# The image at 1/2, 1/4, 1/8 and 1/16 of its size.
Pyramid = tuple[Tensor, Tensor, Tensor, Tensor]


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, bias: bool = False) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=bias, padding_mode="reflect")


def _norm(channels: int) -> nn.InstanceNorm2d:
    return nn.InstanceNorm2d(channels, affine=True, track_running_stats=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with instance norm and a residual connection."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = _conv(inputs, outputs, 3, stride), _norm(outputs)
        self.conv2, self.norm2 = _conv(outputs, outputs, 3), _norm(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), _norm(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))


class ConvBlock(nn.Module):
    """3x3 convolution, instance norm, ELU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv, self.norm = _conv(inputs, outputs, 3, bias=True), _norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.elu(self.norm(self.conv(x)))


class Encoder(nn.Module):
    """ResNet-like encoder with instance norms and a decoder of two up-sampling steps (as in IBRNet and GNT).

    Args:
        width: channels of the first stages; the others have 2 and 4 times as many.
        blocks: residual blocks of the three stages.
        features: channels of the colour map.
    """

    def __init__(self, width: int, blocks: tuple[int, int, int], features: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(_conv(3, width, 7, 2), _norm(width), nn.ReLU())
        self.stage1 = _stage(width, width, blocks[0])
        self.stage2 = _stage(width, 2 * width, blocks[1])
        self.stage3 = _stage(2 * width, 4 * width, blocks[2])
        self.up3 = ConvBlock(4 * width, 2 * width)
        self.merge3 = ConvBlock(4 * width, 2 * width)
        self.up2 = ConvBlock(2 * width, width)
        self.merge2 = ConvBlock(2 * width, features)
        self.out = nn.Conv2d(features, features, 1)

    def pyramid(self, images: Float[Tensor, "images 3 height width"], train_last: bool = True) -> Pyramid:
        """Feature maps of images of any size (at least 32 pixels a side, for the reflect padding of the smallest map).

        `train_last` off leaves the last stage out of the gradient, which saves time where nothing would train it.
        """
        x0 = self.stem(images)
        x1 = self.stage1(x0)
        x2 = self.stage2(x1)
        with torch.set_grad_enabled(torch.is_grad_enabled() and train_last):
            x3 = self.stage3(x2)
        return x0, x1, x2, x3

    def decode(self, pyramid: Pyramid) -> Float[Tensor, "images features rows cols"]:
        """Colour features at a quarter of the image size (a little larger where it is no multiple of 16)."""
        _, x1, x2, x3 = pyramid
        # Gradient block: rendering does not train the last stage, only segmentation does.
        y = self.up3(_double(x3.detach()))
        y = self.merge3(torch.cat([y, _fit(x2, y)], dim=1))
        y = self.up2(_double(y))
        y = self.merge2(torch.cat([y, _fit(x1, y)], dim=1))
        return self.out(y)


def _stage(inputs: int, outputs: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(inputs, outputs, 2), *(BasicBlock(outputs, outputs, 1) for _ in range(blocks - 1)))


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


def _fit(skip: Tensor, like: Tensor) -> Tensor:
    """Zero-pad the skip connection to the up-sampled map's size, the smaller half of the zeros at left and top."""
    rows, cols = (large - small for large, small in zip(like.shape[-2:], skip.shape[-2:], strict=True))
    return F.pad(skip, (cols // 2, cols - cols // 2, rows // 2, rows - rows // 2))
