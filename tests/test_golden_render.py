"""Whole renders against the golden numbers: rays of a small model, and an image at the official width."""

import pytest
import torch
from golden_files import Golden, assert_close, assert_thinned_close, official_shapes
from golden_models import encoder, load_released, transformer
from test_golden_geometry import cameras_of
from torch import Tensor

from gpnerf.geometry import camera_rays, pixel_grid
from gpnerf.models.fpn import FeaturePyramid
from gpnerf.models.projection import SourceMaps
from gpnerf.models.ray_renderer import RayRenderer
from gpnerf.structures import Cameras, RayOutput, Wanted

pytestmark = pytest.mark.usefixtures("float64")

RAYS = Golden("05_render_rays_small")
EVERYTHING = Wanted(features=True, field=True)


def one_camera(vector: Tensor) -> Cameras:
    cameras = cameras_of(vector)
    return Cameras(cameras.intrinsics[0], cameras.cam_to_world[0], cameras.height, cameras.width)


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("case", [key.removesuffix("/out/z_fine") for key in RAYS.keys(end="/out/z_fine")])
def test_rays(case: str, plain: bool) -> None:
    golden, meta, inverse = RAYS, RAYS.meta, "inv" in case
    network = transformer(meta, golden.weights(), meta["featmaps_shape"][1])
    renderer = RayRenderer(network, None, meta["N_samples"], meta["N_importance"], inverse, plain).eval()
    maps = SourceMaps(
        cameras_of(golden["in/src_cameras"][0]),
        golden.hashed(meta["src_rgbs"])[0].permute(0, 3, 1, 2),
        golden.hashed(meta["featmaps"]),
        golden.hashed(meta["ref_deep_semantics"]),
    )
    camera = one_camera(golden["in/camera"])
    chosen = golden["in/selected_inds"].long()
    rays = camera_rays(camera, torch.stack([chosen % camera.width, chosen // camera.width], dim=-1))
    assert_close(rays.origins, golden["in/ray_o"], 1e-5)
    assert_close(rays.directions, golden["in/ray_d"], 1e-5)
    near, far = (float(x) for x in golden["in/depth_range"][0])
    with torch.no_grad():
        coarse, fine = renderer(rays, maps, near, far, EVERYTHING)
    assert fine is not None
    assert_close(coarse.z, golden[f"{case}/out/z_coarse"], 1e-5)
    assert_close(fine.z, golden[f"{case}/out/z_fine"], 1e-5)
    for output, name in ((coarse, "coarse"), (fine, "fine")):
        for field in ("rgb", "weights", "depth"):
            assert_close(getattr(output, field), golden[f"{case}/out/{name}/{field}"], 5e-5)
    check_semantics(golden, f"{case}/out/fine", fine)
    if not plain:
        # The fast form renders semantics in the last pass only: here in a render without a fine pass.
        only_coarse = RayRenderer(network, None, meta["N_samples"], 0, inverse).eval()
        with torch.no_grad():
            coarse, _ = only_coarse(rays, maps, near, far, EVERYTHING)
    check_semantics(golden, f"{case}/out/coarse", coarse)


def check_semantics(golden: Golden, prefix: str, output: RayOutput) -> None:
    assert output.features is not None and output.field is not None
    assert_close(output.features, golden[f"{prefix}/feats_out"], 5e-5)
    if golden.keys(f"{prefix}/feats_out_3d_every"):  # not stored for every case
        assert_thinned_close(golden, f"{prefix}/feats_out_3d_every", output.field, 5e-5)


@pytest.mark.parametrize("plain", [True, False])
def test_image(plain: bool) -> None:
    golden = Golden("05_render_image_width64")
    meta = golden.meta
    images = golden.hashed(meta["src_rgbs"])[0].permute(0, 3, 1, 2)
    network = transformer(meta, golden.seed, official_shapes("feature_net")["out_conv.weight"][0])
    sizes = (meta["N_samples"], meta["N_importance"], meta["inv_uniform"])
    renderer = RayRenderer(network, None, *sizes, plain).eval()
    camera = one_camera(golden["in/camera"])
    rays = camera_rays(camera, pixel_grid(camera.height, camera.width, meta["render_stride"]))
    assert_close(rays.directions, golden["out/ray_d"], 1e-5)
    assert_close(rays.origins, golden["out/ray_o"], 1e-5)
    near, far = (float(x) for x in golden["in/depth_range"][0])
    with torch.no_grad():
        images_to_maps = encoder(golden.seed)
        levels = images_to_maps.pyramid(images)
        colour = images_to_maps.decode(levels)
        pyramid = FeaturePyramid(tuple(x.shape[1] for x in levels), 2 * meta["netwidth"])
        load_released(pyramid, "fpn", golden.seed)
        maps = SourceMaps(cameras_of(golden["in/src_cameras"][0]), images, colour, pyramid(levels))
        coarse, fine = renderer(rays, maps, near, far, EVERYTHING)
        if not plain:
            only_coarse = RayRenderer(network, None, meta["N_samples"], 0, meta["inv_uniform"])
            coarse, _ = only_coarse(rays, maps, near, far, EVERYTHING)
    assert_close(coarse.z[0], golden["out/z_coarse_first_ray"], 1e-4)
    assert_close(fine.z, golden["out/z_fine"], 1e-4)
    for output, name in ((coarse, "coarse"), (fine, "fine")):
        check_image(golden, f"out/{name}", output)


def check_image(golden: Golden, prefix: str, output: RayOutput) -> None:
    rows, cols = golden[f"{prefix}/depth"].shape
    for field in ("rgb", "weights", "depth"):
        assert_close(getattr(output, field).unflatten(0, (rows, cols)), golden[f"{prefix}/{field}"], 2e-4)
    assert output.features is not None and output.field is not None
    features = output.features.unflatten(0, (rows, cols))
    assert_thinned_close(golden, f"{prefix}/feats_out_every", features, 1e-4)
    assert_close(features.double().mean(-1), golden[f"{prefix}/feats_out_mean_f64"], 1e-4)
    assert_close(features.double().std(-1, correction=0), golden[f"{prefix}/feats_out_std_f64"], 1e-4)
    assert_thinned_close(golden, f"{prefix}/feats_out_3d_ray0_every", output.field[0], 1e-4)
