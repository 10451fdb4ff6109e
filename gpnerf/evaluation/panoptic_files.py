"""The files of panoptic pictures: classes, and instances by the data set's ids."""

from pathlib import Path

from gpnerf.data.instances import InstanceMap
from gpnerf.evaluation.panoptic import PanopticMap
from gpnerf.visualize.png import read_segments, save_segments

_NO_INSTANCE = 0


def save_panoptic(path: Path, panoptic: PanopticMap, instance_map: InstanceMap) -> None:
    """Write the class and the instance of every pixel, 0 for none."""
    owners = panoptic.instances
    raw = instance_map.to_raw(owners.clamp(min=0)).where(owners >= 0, _NO_INSTANCE)
    save_segments(path, panoptic.classes, raw)


def read_panoptic(path: Path, instance_map: InstanceMap) -> PanopticMap:
    """Read what `save_panoptic` wrote; a file that is no picture is a UserError."""
    classes, raw = read_segments(path)
    return PanopticMap(classes, instance_map.to_channels(raw).where(raw != _NO_INSTANCE, -1))
