"""The files that come with the program: presets, split files, protocols and studies, wherever it is installed."""

from pathlib import Path

from gpnerf.storage import is_there

_PACKAGE = Path(__file__).parent
_FOLDER = "configs"
# In the package where it was installed, beside the package in a clone.
CONFIGS = next(folder / _FOLDER for folder in (_PACKAGE, _PACKAGE.parent) if (folder / _FOLDER).is_dir())


def find_config(path: Path) -> Path:
    """`path` as it is; where nothing has this name, the file that comes with the program under it, if there is one.

    So `configs/gnt_rooms.txt`, or `gnt_rooms.txt`, is found from every working folder.
    """
    if path.is_absolute() or ".." in path.parts or is_there(path):
        return path
    name = path.relative_to(_FOLDER) if path.is_relative_to(_FOLDER) else path
    return CONFIGS / name if is_there(CONFIGS / name) else path
