"""The model from its sizes: the one place where they meet."""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from torch import nn
from torch.optim import Adam

from gpnerf.config import Config
from gpnerf.errors import UserError
from gpnerf.models.encoder import Encoder
from gpnerf.models.fpn import FeaturePyramid
from gpnerf.models.gpnerf import GPNeRF
from gpnerf.models.heads import PerceptionHead
from gpnerf.models.ray_renderer import RayRenderer
from gpnerf.models.ray_transformer import RayTransformer
from gpnerf.structures import ColourHead, Compat, PositionFrame

# Semantic channels per transformer channel, and pyramid levels; the four levels make up the semantic features.
_SEMANTIC_FACTOR = 8
_LEVELS = 4

# Fields of an architecture that change training but not what trained weights compute, and those that say how rays
# are sampled, which a trained network tolerates.
_TRAINING_ONLY = ("dropout", "plain", "insert", "detach_reference", "compat", "recompute", "adaptor_identity")
_SAMPLING = ("samples", "importance", "inverse")
# What weights compute that do not say so: those of earlier versions, the released ones and GNT's.
_EARLIER_FORMS = {"position_frame": "world", "colour_head": "regress"}

# No network that was ever trained is deeper or wider; building one that a damaged file describes could take for ever.
_DEPTHS = ("trans_depth", "encoder_blocks")
_DEEPEST, _WIDEST = 256, 4096

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Architecture:
    """Every number and switch that a model is made of, in types a checkpoint can hold.

    `outputs` are the logits of classes (0: no head for them) and `instances` the instances that it tells apart.
    """

    netwidth: int
    trans_depth: int
    coarse_features: int
    fine_features: int
    encoder_width: int
    encoder_blocks: tuple[int, int, int]
    head_width: int
    outputs: int
    semantic_model: Literal["fpn", "fc"]
    adaptor_relu: bool
    dropout: float
    samples: int
    importance: int
    inverse: bool
    plain: bool
    insert: bool
    detach_reference: bool
    compat: Compat
    # Checkpoints of earlier versions do not have these.
    recompute: bool = False
    adaptor_identity: bool = False
    instances: int = 0
    position_frame: PositionFrame = "world"
    colour_head: ColourHead = "regress"

    @classmethod
    def of(cls, config: Config, classes: int, instances: int = 0) -> "Architecture":
        """The sizes that a config describes, for a number of real classes (one more output stands for ignore) and of
        instances (one more stands for none).
        """
        model, render = config.model, config.render
        two_networks = render.N_importance > 0 and not model.single_net
        first, second, third = model.encoder_blocks
        return cls(
            netwidth=model.netwidth,
            trans_depth=model.trans_depth,
            coarse_features=model.coarse_feat_dim,
            fine_features=model.fine_feat_dim if two_networks else 0,
            encoder_width=model.encoder_width,
            encoder_blocks=(first, second, third),
            head_width=model.head_width,
            outputs=0 if config.run.task == "instance" else classes + 1,
            instances=instances,
            semantic_model=model.semantic_model,
            adaptor_relu=model.adaptor_activation == "relu",
            dropout=model.dropout,
            samples=render.N_samples,
            importance=render.N_importance,
            inverse=render.inv_uniform,
            plain=render.renderer == "plain",
            insert=config.loss.feature_fusion == "insert",
            detach_reference=config.loss.detach_reference,
            compat=config.run.compat,
            recompute=config.render.recompute,
            adaptor_identity=model.adaptor_init == "identity",
            position_frame=model.position_frame,
            colour_head=model.colour_head,
        )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Architecture":
        """From the plain values of `to_dict`.

        Raises:
            TypeError: a value is missing, unknown or none that a network can have.
        """
        for name, kind in get_type_hints(cls).items():
            if name in values and not _can_be(values[name], kind, _DEEPEST if name in _DEPTHS else _WIDEST):
                raise TypeError(f"{name} = {values[name]!r}"[:80])
        return cls(**{**values, "encoder_blocks": tuple(values["encoder_blocks"])})

    def require_same(self, content: dict[str, Any], path: Path) -> None:
        """Refuse weights of this program that were trained as another network; warn if rays were sampled otherwise.

        Raises:
            UserError: names the first field that differs.
        """
        found_fields = {**_EARLIER_FORMS, **content.get("architecture", {})}
        for name, found in found_fields.items():
            expected = self.to_dict().get(name)
            if name in _TRAINING_ONLY or _same(found, expected):
                continue
            if name in _SAMPLING:
                _log.warning("%s: trained with %s = %s, used with %s", path, name, found, expected)
                continue
            raise UserError(
                f"{path}: trained with {name} = {found}, the flags say {expected}; use the flags it was trained with"
            )

    def computing(self) -> dict[str, Any]:
        """The fields that say what trained weights compute."""
        return {name: value for name, value in self.to_dict().items() if name not in _TRAINING_ONLY}

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return asdict(self)

    def build(self) -> GPNeRF:
        """The model, freshly initialised."""
        width = self.encoder_width
        semantic = _SEMANTIC_FACTOR * self.netwidth if self.semantic_model == "fpn" else None
        encoder = Encoder(width, self.encoder_blocks, self.coarse_features + self.fine_features)
        fine = self._transformer(self.fine_features, semantic) if self.fine_features else None
        # With two networks the coarse one never renders semantics, so it has no adaptor to leave untrained.
        coarse = self._transformer(self.coarse_features, None if fine else semantic)
        renderer = RayRenderer(
            coarse,
            fine,
            self.samples,
            self.importance,
            self.inverse,
            self.plain,
            self.recompute,
            self.position_frame,
        )
        fpn = head = instance_head = None
        if semantic:
            fpn = FeaturePyramid((width, width, 2 * width, 4 * width), semantic // _LEVELS)
            head = PerceptionHead(semantic, self.head_width, self.outputs) if self.outputs else None
            instance_head = PerceptionHead(semantic, self.head_width, self.instances + 1) if self.instances else None
        return GPNeRF(
            encoder,
            renderer,
            fpn,
            head,
            instance_head,
            colour_features=self.coarse_features,
            insert=self.insert,
            detach_reference=self.detach_reference,
            compat=self.compat,
        )

    def _transformer(self, colour_features: int, semantic: int | None) -> RayTransformer:
        return RayTransformer(
            self.netwidth,
            self.trans_depth,
            colour_features,
            semantic_channels=semantic,
            classes=self.outputs if self.semantic_model == "fc" else None,
            dropout=self.dropout,
            adaptor_relu=self.adaptor_relu,
            adaptor_identity=self.adaptor_identity,
            blend=self.colour_head == "blend",
        )


def _can_be(value: Any, kind: Any, largest: int) -> bool:
    """Whether a value read from a file is of a field's type, and no number that would fill the memory."""
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if get_origin(kind) is tuple:
        kinds = get_args(kind)
        listed = isinstance(value, list | tuple) and len(value) == len(kinds)
        return listed and all(map(_can_be, value, kinds, [largest] * len(kinds)))
    if kind is float:
        return type(value) in (int, float) and 0 <= value <= 1
    return type(value) is kind and 0 <= value <= largest


def _same(found: Any, expected: Any) -> bool:
    return list(found) == list(expected) if isinstance(expected, tuple) else found == expected


def class_count(config: Config, class_names: tuple[str, ...]) -> int:
    """The data set's number of classes, after checking that the flags do not contradict it."""
    classes = len(class_names)
    for name, value in (("num_classes", config.model.num_classes), ("ignore_label", config.model.ignore_label)):
        if value is not None and value != classes:
            raise UserError(f"{name} = {value}: expected {classes}, as the data set has it; leave the flag out")
    return classes


def build_optimizer(model: GPNeRF, config: Config) -> Adam:
    """Adam with a group for each part of the model, in the order of the released checkpoints."""
    optim = config.optim
    parts: list[tuple[str, nn.Module | None, float]] = [
        ("transformer", model.renderer, optim.lrate_gnt),
        ("encoder", model.encoder, optim.lrate_feature),
        ("pyramid", model.fpn, optim.lrate_semantic),
        ("head", model.head, optim.lrate_semantic),
        ("instance_head", model.instance_head, optim.lrate_semantic),
    ]
    groups = [{"params": list(part.parameters()), "lr": rate, "name": name} for name, part, rate in parts if part]
    return Adam(groups)
