"""GP-NeRF as one module: encoder, feature pyramid, ray renderer and perception head."""

from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gpnerf.models.encoder import Encoder
from gpnerf.models.feature_map import feature_cells, insert_cells, read_cells
from gpnerf.models.fpn import FeaturePyramid
from gpnerf.models.heads import PerceptionHead
from gpnerf.models.projection import SourceMaps
from gpnerf.models.ray_renderer import RayRenderer
from gpnerf.structures import Compat, Example, RayOutput, Rays, SourceViews, Wanted


@dataclass(frozen=True)
class StepOutput:
    """What one training step's losses need: both passes, the target's logits of classes and of instances, and its real
    features at the rays.
    """

    coarse: RayOutput
    fine: RayOutput | None
    logits: Float[Tensor, "outputs height width"] | None
    instance_logits: Float[Tensor, "instance_outputs height width"] | None
    reference: Float[Tensor, "rays channels"] | None

    @property
    def last(self) -> RayOutput:
        """The pass that carries semantics: the fine one where there is one."""
        return self.coarse if self.fine is None else self.fine


class GPNeRF(nn.Module):
    """The whole model; `forward` is a training step's outputs.

    Args:
        encoder, renderer: always there.
        fpn: semantic features; None for label rendering by a linear layer.
        head, instance_head: decode those features to classes and to instances; either may be None, without `fpn` both.
        colour_features: channels of the encoder's output that the coarse pass reads (the rest is the fine pass's).
        insert: put the rendered features into the target's real map before the head (paper, Fig. 3a).
        detach_reference: keep rendering losses out of the feature pyramid.
        compat: `release` maps pixels to feature cells as the released program does.
    """

    def __init__(
        self,
        encoder: Encoder,
        renderer: RayRenderer,
        fpn: FeaturePyramid | None,
        head: PerceptionHead | None,
        instance_head: PerceptionHead | None,
        colour_features: int,
        insert: bool = True,
        detach_reference: bool = True,
        compat: Compat = "none",
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.renderer = renderer
        self.fpn = fpn
        self.head = head
        self.instance_head = instance_head
        self.colour_features = colour_features
        self.insert = insert
        self.detach_reference = detach_reference
        self.compat: Compat = compat

    def forward(
        self,
        example: Example,
        rays: Rays,
        semantics: bool = True,
        features: bool = False,
        guidance: bool = False,
        generator: torch.Generator | None = None,
    ) -> StepOutput:
        """Render the rays of the example's target; decode its real features, with the rendered ones inserted.

        Without `semantics` only colour and depth are rendered. `features` renders the rays' semantic features even if
        they are not inserted, `guidance` also compares those of every sample with the target's real ones; `generator`
        jitters the samples along the rays.
        """
        semantics = semantics and self.fpn is not None
        maps = self.encode_sources(example.sources, semantics)
        render = partial(self.renderer, rays, maps, example.near, example.far, generator=generator)
        if not semantics:
            coarse, fine = render()
            return StepOutput(coarse, fine, None, None, None)
        real = self.encode_semantics(example.target.image)
        cells = feature_cells(rays.pixels, example.target.camera.width, real.shape[-1], self.compat)
        reference = read_cells(real, cells)
        wanted = Wanted(self.insert or features or guidance, reference=reference.detach() if guidance else None)
        coarse, fine = render(wanted=wanted)
        rendered = (coarse if fine is None else fine).features
        decoded = insert_cells(real, rendered, cells) if self.insert and rendered is not None else real
        height, width = example.target.image.shape[-2:]
        classes, instances = self.segment(decoded, height, width)
        return StepOutput(coarse, fine, classes, instances, reference)

    def encode_sources(self, sources: SourceViews, semantics: bool = True) -> SourceMaps:
        """Everything rendering needs to know of the source views, with semantic features or without."""
        # With the reference detached, neither the last stage nor the pyramid learns from source views.
        pyramid = self.encoder.pyramid(sources.images, train_last=not self.detach_reference)
        colour = self.encoder.decode(pyramid)
        semantic = None
        if semantics and self.fpn is not None:
            with torch.set_grad_enabled(torch.is_grad_enabled() and not self.detach_reference):
                semantic = self.fpn(pyramid)
        coarse, fine = colour[:, : self.colour_features], colour[:, self.colour_features :]
        return SourceMaps(sources.cameras, sources.images, coarse, semantic, fine if fine.shape[1] else None)

    def encode_semantics(self, image: Float[Tensor, "3 height width"]) -> Float[Tensor, "channels rows cols"]:
        """Semantic features of one real image (the ceiling of what rendering can reach)."""
        if self.fpn is None:
            raise ValueError("label rendering has no semantic features of images")
        return self.fpn(self.encoder.pyramid(image[None]))[0]

    def segment(
        self, features: Float[Tensor, "channels rows cols"], height: int, width: int
    ) -> tuple[Float[Tensor, "outputs height width"] | None, Float[Tensor, "instance_outputs height width"] | None]:
        """Logits of classes and of instances at image size, as far as there are heads for them, from a half-resolution
        feature map, real or rendered.
        """
        heads = self.head, self.instance_head
        classes, instances = (
            None if head is None else head(features[None])[0, :, :height, :width].float() for head in heads
        )
        return classes, instances
