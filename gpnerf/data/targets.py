"""Which frames of a scene a protocol means: targets are frame numbers, whether the frames can be used or not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gpnerf.data.scene import Scene
from gpnerf.errors import UserError


@dataclass(frozen=True)
class FrameRule:
    """Frames of a recording: places [start:stop:step] of its order, the first `count`; or frame numbers by scene.

    A frame that is lost (no picture, no pose) keeps its place, so that it does not move the targets behind it.
    """

    start: int = 0
    stop: int | None = None
    step: int = 1
    count: int | None = None
    frames: Mapping[str, tuple[int, ...]] | None = None

    def wanted(self, scene: Scene) -> list[int]:
        """The frame numbers, also of frames that are lost."""
        if self.frames is None:
            return list(scene.recorded)[self.start : self.stop : self.step][: self.count]
        return list(self.frames.get(scene.name, ()))

    def lost(self, scene: Scene) -> list[int]:
        """The wanted frame numbers that the scene does not have."""
        there = set(scene.numbers.tolist())
        return [number for number in self.wanted(scene) if number not in there]

    def indices(self, scene: Scene) -> list[int]:
        """Places in the scene's order of the wanted frames that are there; an error when there are none."""
        wanted, lost = self.wanted(scene), self.lost(scene)
        gone = set(lost)
        chosen = indices_of(scene, [number for number in wanted if number not in gone])
        if not chosen:
            rule = f"[{self.start}:{self.stop}:{self.step}]" if self.frames is None else "the protocol's list"
            missing = f" (frame {', frame '.join(map(str, lost[:3]))} ... are not)" if lost else ""
            raise UserError(
                f"{scene.name}: expected target frames {rule}, found none among {len(scene)} usable frames{missing}; "
                "export more frames or name another protocol with --protocol"
            )
        return chosen


def indices_of(scene: Scene, frames: Sequence[int]) -> list[int]:
    """Places of frame numbers in a scene's order."""
    place = {int(number): index for index, number in enumerate(scene.numbers)}
    missing = [frame for frame in frames if frame not in place]
    if missing:
        raise UserError(
            f"{scene.name}: expected frame {missing[0]}, which the protocol lists, found no such usable frame"
        )
    return [place[frame] for frame in frames]
