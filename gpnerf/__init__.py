"""GP-NeRF: generalised novel-view colour, depth and semantics from posed photos."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

# Read when PyTorch is loaded, which no script does before this package. Its waiting threads would spin for milliseconds
# otherwise, and on a busy machine take the time of the very threads that they wait for. So short a spin costs an idle
# machine nothing, where sleeping at once (OMP_WAIT_POLICY=PASSIVE) makes a step half as long again. The user decides.
if not os.environ.keys() & {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}:
    os.environ["GOMP_SPINCOUNT"] = "1000"

if TYPE_CHECKING:
    import gpnerf.novel_views


def load(checkpoint: str | Path, device: str = "auto") -> "gpnerf.novel_views.NovelViews":
    """A trained model that encodes posed photos and renders new views of them; `device` is auto, cpu or cuda.

    Raises:
        UserError: the checkpoint is missing, damaged or of the released layout, or there is no such device.
    """
    # Only here: importing one layer of the package must not import all of them.
    from gpnerf.assembly.notebook import load_novel_views

    return load_novel_views(Path(checkpoint), device)
