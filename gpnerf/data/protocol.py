"""An evaluation protocol: which scenes and frames are rendered, from which views, at which size, and how they score."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int64

from gpnerf.data.scene import Scene
from gpnerf.data.targets import FrameRule, indices_of
from gpnerf.data.view_selection import draw_from_pool, nearest, pose_distances, released_distances
from gpnerf.errors import UserError
from gpnerf.storage import digest
from gpnerf.structures import Compat

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DepthRanges:
    """Near and far planes (metres) of each kind of run."""

    evaluation: tuple[float, float]
    training: tuple[float, float]
    finetuning: tuple[float, float]


@dataclass(frozen=True)
class Protocol:
    """Everything that a number depends on besides the model; read from JSON by `load_protocol`.

    `source_rule`: "nearest" (smallest pose distance), "released" (the released program's draw) or "listed"
    (`listed_sources`: scene -> target frame -> source frames). A source is at least `min_index_gap` places of the
    recording from its target. `compat` "release", which `--compat release` sets too, reads images and intrinsics as the
    released program does, and lets the ignore class be predicted wherever labels are. An empty list of scenes stands
    for every scene of the data set; without `depth_ranges` each scene tells its own.
    """

    name: str
    dataset: str
    scenes: tuple[str, ...]
    validation_scenes: tuple[str, ...]
    train_scenes: tuple[str, ...]
    frame_order: str
    evaluation_targets: FrameRule
    finetuning_targets: FrameRule
    source_rule: str
    min_index_gap: int
    exclude_evaluation_targets: bool
    num_source_views: int
    width: int
    height: int
    render_stride: int
    depth_ranges: DepthRanges | None
    class_map: str
    metrics: tuple[str, ...]
    compat: Compat
    listed_sources: Mapping[str, Mapping[int, tuple[int, ...]]] | None = None

    def evaluation_indices(self, scene: Scene) -> list[int]:
        """The frames that are rendered and scored: those that are listed here, or in the scene, or the rule's."""
        if scene.evaluation_frames and self.evaluation_targets.frames is None:
            return indices_of(scene, scene.evaluation_frames)
        return self.evaluation_targets.indices(scene)

    def finetuning_indices(self, scene: Scene) -> list[int]:
        """The frames that fine-tuning on the scene may learn from."""
        held_out = set(self.held_out(scene, finetune=True))
        return [index for index in self.finetuning_targets.indices(scene) if index not in held_out]

    def training_indices(self, scene: Scene) -> list[int]:
        """The frames that generalised training may learn from."""
        held_out = set(self.held_out(scene, finetune=False))
        return [index for index in range(len(scene)) if index not in held_out]

    def held_out(self, scene: Scene, finetune: bool) -> list[int]:
        """The evaluation targets that training may not see, neither as targets nor as sources.

        In generalised training only scenes that the protocol evaluates or validates on have any.
        """
        first = scene.name.removesuffix("/Sequence_1")  # a Replica scene's name stands for its first sequence
        names = {name.removesuffix("/Sequence_1") for name in (*self.scenes, *self.validation_scenes)}
        scored = first in names or not (self.scenes and self.validation_scenes)
        return self.evaluation_indices(scene) if self.exclude_evaluation_targets and (finetune or scored) else []

    def depth_range(
        self, scene: Scene, purpose: Literal["evaluation", "training", "finetuning"]
    ) -> tuple[float, float]:
        """Near and far (metres) of a scene's rays; an error where neither protocol nor scene tells."""
        if self.depth_ranges is not None:
            return getattr(self.depth_ranges, purpose)
        if scene.depth_range is None:
            raise UserError(
                f"{scene.name}: expected near and far, which neither 'near' and 'far' in transforms.json nor points of "
                "a COLMAP model that can be read tell; write them there or give --depth_range"
            )
        return scene.depth_range

    def evaluation_sources(self, scene: Scene, position: int) -> list[int]:
        """The source frames of the evaluation target at `position` in the list, always the same."""
        targets = self.evaluation_indices(scene)
        target = targets[position]
        if self.source_rule == "listed":
            return self._listed(scene, int(scene.numbers[target]))
        allowed = self.allowed_sources(scene, target, targets if self.exclude_evaluation_targets else [])
        if self.source_rule == "released":
            place = self.evaluation_targets.wanted(scene).index(int(scene.numbers[target]))
            state = np.random.RandomState(place)  # the legacy generator: the released choice hangs on it
            return draw_from_pool(self.distances(scene, target), allowed, self.num_source_views, state).tolist()
        return nearest(self.distances(scene, target), allowed, self.num_source_views).tolist()

    def distances(self, scene: Scene, target: int) -> Float[np.ndarray, "frames"]:
        """How far each frame is from a target by this protocol's measure."""
        measure = released_distances if self.source_rule == "released" else pose_distances
        return measure(scene.cam_to_world, target)

    def allowed_sources(self, scene: Scene, target: int, held_out: Sequence[int]) -> Bool[np.ndarray, "frames"]:
        """The frames that may serve a target: none that is too near in the order, none of `held_out`."""
        allowed = np.abs(scene.places - scene.places[target]) >= self.min_index_gap
        allowed[list(held_out)] = False
        if (found := int(allowed.sum())) < self.num_source_views:
            raise UserError(
                f"{scene.name}: expected {self.num_source_views} source views for frame {scene.numbers[target]}, found "
                f"{found} that may serve among {len(scene)} frames; lower --num_source_views or export more frames"
            )
        return allowed

    def _listed(self, scene: Scene, frame: int) -> list[int]:
        sources = (self.listed_sources or {}).get(scene.name, {}).get(frame)
        if not sources:
            raise UserError(
                f"protocol {self.name}: expected listed sources of {scene.name} frame {frame}, found none; add them"
            )
        return indices_of(scene, sources)


def resolve(protocol: Protocol, scenes: Sequence[Scene]) -> dict[str, Any]:
    """The protocol as plain JSON values with every target's source frames, and a SHA-256 over all of it.

    `resolved` holds scene -> [{"target": frame, "sources": [frame, ...]}, ...], by frame number; `lost_targets`, where
    there are any, the targets by scene that it does not have (a warning tells them once); where the scenes tell near
    and far, `resolved_depth_ranges` holds those of evaluation.
    """
    described = asdict(protocol)
    described["resolved"] = {scene.name: _resolve_scene(protocol, scene) for scene in scenes}
    if lost := {scene.name: frames for scene in scenes if (frames := protocol.evaluation_targets.lost(scene))}:
        described["lost_targets"] = lost
    for scene in scenes:
        _warn_of_lost_targets(scene, lost.get(scene.name, []))
    if protocol.depth_ranges is None:
        described["resolved_depth_ranges"] = {scene.name: protocol.depth_range(scene, "evaluation") for scene in scenes}
    plain = json.loads(json.dumps(described))
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return {**plain, "sha256": digest(text)}


def _warn_of_lost_targets(scene: Scene, frames: Sequence[int]) -> None:
    if frames and "lost targets" not in scene.told:
        scene.told.add("lost targets")
        logger.warning(
            "%s: %d target frames of the protocol have no picture or no pose and are left out of all scores: %s",
            scene.name,
            len(frames),
            ", ".join(map(str, frames)),
        )


def _resolve_scene(protocol: Protocol, scene: Scene) -> list[dict[str, Any]]:
    numbers: Int64[np.ndarray, "frames"] = scene.numbers
    return [
        {"target": int(numbers[target]), "sources": numbers[protocol.evaluation_sources(scene, position)].tolist()}
        for position, target in enumerate(protocol.evaluation_indices(scene))
    ]
