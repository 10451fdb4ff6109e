"""GP-NeRF: generalised novel-view colour, depth and semantics from posed photos."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

# Read when PyTorch is loaded, which no script does before this package. Its waiting threads would spin otherwise, and
# on a busy machine take the time of the very threads that they wait for. A value of the user's stays.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

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
