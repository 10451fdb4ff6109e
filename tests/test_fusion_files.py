"""The files of a reconstruction, read again by the library that others read them with."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from gpnerf.errors import UserError
from gpnerf.fusion import files
from gpnerf.fusion.files import Legend, write_geometry
from gpnerf.fusion.preview import preview
from gpnerf.fusion.surface import Surface
from gpnerf.fusion.votes import NONE, Appearance
from gpnerf.visualize.colouring import IGNORE_COLOUR
from gpnerf.visualize.png import read_picture

trimesh = pytest.importorskip("trimesh", reason="trimesh is not installed")

NAMES, IDS = ("wall", "floor", "chair"), (4, 900)


def square(height: float = 0.0, turned: bool = False) -> Surface:
    """Two triangles, seen from above (or, turned, from below), `height` metres up."""
    vertices = np.array([[0, 0, height], [1, 0, height], [1, 1, height], [0, 1, height]], dtype=np.float32)
    faces, normal = np.array([[0, 1, 2], [0, 2, 3]]), np.array([[0, 0, 1]], dtype=np.float32)
    return Surface(vertices, (-normal if turned else normal).repeat(4, 0), faces[:, ::-1] if turned else faces)


def looks(**changes: object) -> Appearance:
    values = {
        "colour": torch.tensor([[1, 0, 0], [0, 1, 0], [0.5, 0.5, 0.5], [0, 0, 1]]).float(),
        "classes": torch.tensor([2, 0, NONE, 1]),
        "instances": torch.tensor([1, NONE, 0, 0]),
        "seen": torch.ones(4, dtype=torch.bool),
    }
    return Appearance(**{**values, **changes})  # type: ignore[arg-type]


def vertex_data(path: Path) -> np.ndarray:
    return trimesh.load(path, process=False).metadata["_ply_raw"]["vertex"]["data"]


def test_points_and_mesh_hold_places_colours_and_the_data_sets_ids(tmp_path: Path) -> None:
    paths = write_geometry(tmp_path, square(1.5), looks(), Legend(NAMES, IDS))
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    for name in ("points.ply", "mesh.ply"):
        data = vertex_data(tmp_path / name)
        assert np.stack([data["x"], data["y"], data["z"]], 1).reshape(4, 3).tolist() == square(1.5).vertices.tolist()
        assert np.stack([data["red"], data["green"], data["blue"]], 1).reshape(4, 3).tolist() == [
            [255, 0, 0], [0, 255, 0], [128, 128, 128], [0, 0, 255],
        ]  # fmt: skip
        assert np.ravel(data["class"]).tolist() == [2, 0, -1, 1]
        assert np.ravel(data["instance"]).tolist() == [900, -1, 4, 4]
    assert trimesh.load(tmp_path / "mesh.ply", process=False).faces.tolist() == square().faces.tolist()


def test_no_file_of_an_earlier_reconstruction_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_geometry(tmp_path, square(1.5), looks(), Legend(NAMES, IDS))
    paths = write_geometry(tmp_path, square(), looks(instances=None), Legend(NAMES, ()))
    assert sorted(tmp_path.iterdir()) == sorted(paths)  # without mesh_instances.glb

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "write_whole", stopped)
    with pytest.raises(KeyboardInterrupt):
        write_geometry(tmp_path, square(), looks(), Legend(NAMES, IDS))
    assert [path.name for path in tmp_path.iterdir()] == ["preview.png"]  # no old mesh beside the new picture


def test_glb_stands_upright_with_linear_colours_and_one_file_for_each_colouring(tmp_path: Path) -> None:
    write_geometry(tmp_path, square(1.5), looks(), Legend(NAMES, IDS))
    legend = json.loads((tmp_path / "legend.json").read_text())
    none = legend["none"]["colour"]
    classes = {entry["id"]: entry["colour"] for entry in legend["classes"]}
    instances = {entry["id"]: entry["colour"] for entry in legend["instances"]}
    assert [entry["name"] for entry in legend["classes"]] == list(NAMES) and list(instances) == list(IDS)
    expected = {
        "mesh": [[255, 0, 0], [0, 255, 0], [128, 128, 128], [0, 0, 255]],
        "mesh_classes": [classes[2], classes[0], none, classes[1]],
        "mesh_instances": [instances[900], none, instances[4], instances[4]],
    }
    for name, colours in expected.items():
        (mesh,) = trimesh.load(tmp_path / f"{name}.glb", process=False).geometry.values()
        assert np.allclose(mesh.vertices[:, 1], 1.5)  # y is up there
        assert mesh.face_normals[:, 1].min() > 0.99  # still seen from above
        seen = 255 * (mesh.visual.vertex_colors[:, :3] / 255) ** (1 / 2.2)
        assert np.abs(seen - np.array(colours)).max() <= 3


def test_what_is_not_known_has_no_colouring(tmp_path: Path) -> None:
    write_geometry(tmp_path, square(), looks(classes=None, instances=None), Legend(NAMES, ()))
    assert not list(tmp_path.glob("mesh_*.glb"))
    assert np.ravel(vertex_data(tmp_path / "mesh.ply")["class"]).tolist() == [-1] * 4
    assert read_picture(tmp_path / "preview.png").shape[0] == read_picture(tmp_path / "preview.png").shape[1]


def test_a_preview_shows_what_is_nearer_to_the_eye_and_hides_what_faces_away() -> None:
    colours = np.array([[200, 0, 0]] * 4 + [[0, 0, 200]] * 4, dtype=np.uint8)

    def shown(upper: Surface) -> tuple[int, int]:
        lower = square()
        both = Surface(*(np.concatenate(pair) for pair in zip(_arrays(lower), _arrays(upper, 4), strict=True)))
        picture = preview(both, [colours]).astype(int)
        return int((picture[..., 0] - picture[..., 2] > 100).sum()), int(
            (picture[..., 2] - picture[..., 0] > 100).sum()
        )

    lower_alone, nothing = shown(square(0.2, turned=True))
    lower, upper = shown(square(0.2))
    assert nothing == 0 and lower_alone > 20_000
    assert upper > 0.9 * lower_alone and 0 < lower < 0.4 * lower_alone  # moved up in the picture, covering most of it


def _arrays(surface: Surface, first: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return surface.vertices, surface.normals, surface.faces + first


@pytest.mark.parametrize("name", ["skimage", "trimesh"])
def test_a_missing_package_is_one_line_with_the_remedy(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(files.importlib.util, "find_spec", lambda wanted: None if wanted == name else object())
    with pytest.raises(UserError, match=rf"found no {name}; pip install scikit-image trimesh$"):
        files.require_libraries()


def test_none_is_dark_grey(tmp_path: Path) -> None:
    write_geometry(tmp_path, square(), looks(), Legend(NAMES, IDS))
    assert json.loads((tmp_path / "legend.json").read_text())["none"] == {"id": -1, "colour": list(IGNORE_COLOUR)}
