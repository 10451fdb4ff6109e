"""The pictures of one evaluated view."""

from collections.abc import Sequence
from pathlib import Path

from gpnerf.data.instances import InstanceMap
from gpnerf.evaluation.view import ViewResult
from gpnerf.structures import Example
from gpnerf.visualize.colouring import colour_picture, pca_picture
from gpnerf.visualize.panel import view_panel
from gpnerf.visualize.png import save_depth, save_instances, save_labels, save_picture


def write_pictures(
    folder: Path,
    example: Example,
    result: ViewResult,
    class_names: Sequence[str],
    stride: int,
    instance_map: InstanceMap | None = None,
) -> None:
    """Write `rgb_`, `depth_`, `semantic_` or `instance_` (raw ids), `pca_` and `panel_<frame>.png` of a view, as far as
    it has them.
    """
    name = f"{result.frame}.png"
    save_picture(folder / f"rgb_{name}", colour_picture(result.output.rgb))
    save_depth(folder / f"depth_{name}", result.output.depth)
    if result.predicted is not None:
        save_labels(folder / f"semantic_{name}", result.predicted, ignore=len(class_names))
    if result.instances is not None and instance_map is not None:
        save_instances(folder / f"instance_{name}", instance_map.to_raw(result.instances), instance_map.ids[-1])
    if result.output.features is not None:
        save_picture(folder / f"pca_{name}", pca_picture(result.output.features))
    instance_names = instance_map.names if instance_map else ()
    sheet = view_panel(
        example.target, result.output, result.predicted, class_names, stride, result.instances, instance_names
    )
    save_picture(folder / f"panel_{name}", sheet)
