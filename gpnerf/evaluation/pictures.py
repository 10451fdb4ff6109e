"""The pictures of one evaluated view."""

from pathlib import Path

from gpnerf.data.instances import InstanceMap
from gpnerf.evaluation.panoptic import PanopticMap
from gpnerf.evaluation.panoptic_files import save_panoptic
from gpnerf.evaluation.recognition import Recognised, Task
from gpnerf.evaluation.view import ViewResult
from gpnerf.structures import Example, TargetView
from gpnerf.visualize.colouring import colour_picture, pca_picture
from gpnerf.visualize.panel import Labelled, view_panel
from gpnerf.visualize.png import save_depth, save_instances, save_labels, save_picture


def write_pictures(
    folder: Path,
    example: Example,
    result: ViewResult,
    task: Task,
    stride: int,
    instance_map: InstanceMap | None = None,
) -> None:
    """Write `rgb_`, `depth_`, `semantic_`, `instance_` (raw ids), `panoptic_`, `pca_` and `panel_<frame>.png`.

    What a view does not have is left out.
    """
    name, found = f"{result.frame}.png", result.recognised
    save_picture(folder / f"rgb_{name}", colour_picture(result.output.rgb))
    save_depth(folder / f"depth_{name}", result.output.depth)
    if found.classes is not None:
        save_labels(folder / f"semantic_{name}", found.classes, ignore=len(task.class_names))
    if found.instances is not None and instance_map is not None:
        save_instances(folder / f"instance_{name}", instance_map.to_raw(found.instances), instance_map.ids[-1])
    if found.panoptic is not None and instance_map is not None:
        save_panoptic(folder / f"panoptic_{name}", found.panoptic, instance_map)
    if result.output.features is not None:
        save_picture(folder / f"pca_{name}", pca_picture(result.output.features))
    labelled = _labelled(example.target, found, task, instance_map.names if instance_map else ())
    save_picture(folder / f"panel_{name}", view_panel(example.target, result.output, labelled, stride))


def _labelled(target: TargetView, found: Recognised, task: Task, instances: tuple[str, ...]) -> list[Labelled]:
    """What a panel shows in colours: classes, instances, and both as one."""
    shown = []
    if found.classes is not None:
        shown.append(Labelled("classes", target.labels, found.classes, task.class_names))
    if found.instances is not None:
        shown.append(Labelled("instances", target.instances, found.instances, instances))
    if found.panoptic is not None:
        truth = None
        if target.labels is not None and target.instances is not None:
            truth = PanopticMap(target.labels, target.instances).numbered(task.stuff)
        names = (*(task.class_names[kind] for kind in task.stuff), *instances)
        shown.append(Labelled("panoptic", truth, found.panoptic.numbered(task.stuff), names))
    return shown
