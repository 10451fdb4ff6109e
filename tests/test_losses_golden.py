"""The loss terms against the golden numbers: values, windows and gradients."""

import pytest
import torch
from golden_files import Golden, assert_close, assert_thinned_close
from torch import Tensor

from gpnerf.geometry import cosine
from gpnerf.losses import (
    colour_loss,
    depth_guided_loss,
    depth_guided_window,
    distillation_loss,
    segmentation_loss,
)

pytestmark = pytest.mark.usefixtures("float64")

TERMS, GUIDED = "06_losses", "06_distill_and_dgs"


def test_colour_loss_golden() -> None:
    golden = Golden(TERMS)
    coarse, fine = (colour_loss(golden[f"render/in/{name}"], golden["render/in/gt"]) for name in ("coarse", "fine"))
    assert_close(0.25 * (coarse + fine), golden["render/out/loss"], 1e-5)
    assert_close(0.25 * coarse, golden["render/out/loss_no_fine"], 1e-5)


def golden_cross_entropy(golden: Golden, name: str, labels: Tensor) -> Tensor:
    logits = golden[f"sem/in/{name}"]
    classes = logits.shape[-1]
    return 0.75 * segmentation_loss(logits.reshape(-1, classes), labels.flatten(), classes - 1, "release")


def test_segmentation_loss_golden() -> None:
    golden = Golden(TERMS)
    labels = golden["sem/in/labels"]
    coarse, fine = (golden_cross_entropy(golden, name, labels) for name in ("coarse", "fine"))
    assert_close((coarse + fine)[None], golden["sem/out/both"], 1e-5)
    assert_close((fine + fine)[None], golden["sem/out/fine_twice"], 1e-5)
    assert_close(coarse[None], golden["sem/out/coarse_only"], 1e-5)


def test_segmentation_loss_of_ignored_pixels_golden() -> None:
    golden = Golden(TERMS)
    ignored = torch.full_like(golden["sem/in/labels"], golden["sem/in/coarse"].shape[-1] - 1)
    assert torch.isnan(golden["sem/out/all_ignored"]).all()
    assert torch.isnan(golden_cross_entropy(golden, "coarse", ignored))


def golden_reference(golden: Golden) -> Tensor:
    """The novel view's own feature at the cell of every ray."""
    features = golden.hashed(golden.meta["deep_feats"])[0].flatten(1).T
    return features[golden["out/mapped_select_inds"]]


def test_distillation_loss_golden() -> None:
    golden = Golden(GUIDED)
    reference = golden_reference(golden)
    assert_thinned_close(golden, "out/novel_feats_sub", reference, 1e-6)
    rendered = golden.hashed(golden.meta["agg2d"]).requires_grad_()
    loss = distillation_loss(rendered, reference)
    loss.backward()
    assert_close(loss.detach(), golden["out/loss_distill"], 1e-6)
    assert_thinned_close(golden, "out/grad_distill_agg2d_sub", rendered.grad, 1e-6, floor=0)


def test_released_window_golden() -> None:
    golden = Golden(GUIDED)
    tables = [key for key in golden.arrays if key.startswith("window/n_p")]
    assert tables
    for key in tables:
        expected = golden[key].bool()
        one_hot = torch.eye(len(expected))
        assert torch.equal(depth_guided_window(one_hot, int(key.removeprefix("window/n_p")), "release"), expected)


def test_depth_guided_loss_golden() -> None:
    golden = Golden(GUIDED)
    targets = golden["out/targets"].bool()
    n_p = int(targets.sum(1).max()) // 2
    assert torch.equal(depth_guided_window(golden["in/weights"], n_p, "release"), targets)
    field = golden.hashed(golden.meta["agg3d"]).requires_grad_()
    guidance = cosine(field, golden_reference(golden)[:, None])
    loss = depth_guided_loss(guidance, golden["in/weights"], n_p, compat="release")
    loss.backward()
    assert_close(loss.detach(), golden["out/loss_depth_guided"], 1e-6)
    assert_thinned_close(golden, "out/grad_dgs_agg3d_sub", field.grad, 1e-6, floor=0)


def test_released_depth_loss_golden() -> None:
    pytest.skip(
        "depth/*: the released fine-tuning depth loss compares metres with inverse depth, a defect not reproduced"
    )
