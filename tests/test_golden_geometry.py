"""Projection, sampling and depths against the golden numbers."""

import pytest
import torch
from golden_files import Golden, assert_close

from gpnerf import geometry, sampling
from gpnerf.models.projection import SourceMaps, sample_sources
from gpnerf.structures import Cameras, Rays


def cameras_of(vectors: torch.Tensor) -> Cameras:
    """Cameras from the golden files' vectors [H, W, K 4x4, camera-to-world 4x4]."""
    height, width = (int(x) for x in vectors[0, :2])
    return Cameras(vectors[:, 2:18].reshape(-1, 4, 4)[:, :3, :3], vectors[:, 18:34].reshape(-1, 4, 4), height, width)


PROJECTOR = Golden("02_projector")


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("case", [key.removesuffix("in/xyz") for key in PROJECTOR.keys(end="in/xyz")])
def test_projection(case: str) -> None:
    golden = PROJECTOR
    points = golden[f"{case}in/xyz"]
    cameras = cameras_of(golden[f"{case}in/src_cameras"][0])
    target = cameras_of(golden[f"{case}in/query_camera"])
    maps = SourceMaps(
        cameras,
        golden[f"{case}in/src_rgbs"][0].permute(0, 3, 1, 2),
        golden[f"{case}in/featmaps"],
        golden[f"{case}in/deep_semantics"],
    )
    origins = target.cam_to_world[0, :3, 3].expand(len(points), 3)
    samples = sample_sources(points.transpose(0, 1), origins, maps)
    pixels, in_front = geometry.project(points, cameras)
    expected = golden[f"{case}out/pixel_locations"]
    assert bool(((pixels - expected).abs() <= 1e-5 * expected.abs().clamp(min=1)).all())
    assert torch.equal(in_front, golden[f"{case}out/mask_in_front"].bool())
    assert torch.equal(samples.mask.permute(2, 1, 0), golden[f"{case}out/mask"][..., 0].bool())
    assert_close(samples.features.permute(2, 1, 0, 3), golden[f"{case}out/rgb_feat"], 1e-5)
    assert_close(samples.relative_directions.permute(2, 1, 0, 3), golden[f"{case}out/ray_diff"], 5e-5)
    semantics = torch.stack([samples.semantics(view).permute(2, 1, 0) for view in range(len(expected))], dim=2)
    assert_close(semantics, golden[f"{case}out/sem_feat"], 1e-5)


@pytest.mark.parametrize("case", Golden("03_sampling").meta["cases"], ids=lambda case: case["tag"])
def test_depths(case: dict) -> None:
    """In float32, where some of the weights lie on the edge between being interpolated and not."""
    golden, tag = Golden("03_sampling"), case["tag"]
    origins, directions = golden["in/ray_o"], golden["in/ray_d"]
    rays = Rays(origins, directions, torch.zeros(len(origins), 2, dtype=torch.int64))
    near, far, inverse = case["near"], case["far"], case["inv_uniform"]
    assert_close(torch.tensor([[near, far]]), golden[f"{tag}/in/depth_range"], 5e-5)
    weights, more = golden[f"{tag}/in/weights"], case["N_importance"]

    z = sampling.coarse_depths(len(origins), near, far, case["N_samples"], inverse)
    assert_close(z, golden[f"{tag}/out/z"], 5e-5)
    assert_close(geometry.points_on_rays(rays, z), golden[f"{tag}/out/pts"], 5e-5)
    fine = sampling.fine_depths(z, weights, more, inverse)
    assert_close(fine, golden[f"{tag}/out/fine_z"], 5e-5)
    assert_close(geometry.points_on_rays(rays, fine), golden[f"{tag}/out/fine_pts"], 5e-5)

    jitter = golden[f"{tag}/in/u_coarse"]
    jittered = sampling.coarse_depths(len(origins), near, far, case["N_samples"], inverse, jitter)
    assert_close(jittered, golden[f"{tag}/out/stoch_z"], 5e-5)
    drawn = sampling.fine_depths(jittered, weights, more, inverse, golden[f"{tag}/in/u_fine"])
    assert_close(drawn, golden[f"{tag}/out/stoch_fine_z"], 5e-5)


@pytest.mark.usefixtures("float64")
def test_inverse_transform() -> None:
    golden = Golden("03_sampling")
    edges, weights = golden["pdf/in/bins"], golden["pdf/in/weights"]
    uniform = torch.linspace(0, 1, golden.meta["pdf"]["N_samples"]).expand(len(edges), -1)
    assert_close(sampling.inverse_transform(edges, weights, uniform), golden["pdf/out/samples"], 1e-5)
