"""What the Triton kernels refuse, found out without making it."""

import subprocess
import sys

import pytest
import torch
from torch import Tensor
from triton_interpreter import interpreted, needs_triton

from gpnerf.models.ops import kernels


def huge(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """A tensor of any size that takes no memory."""
    return torch.zeros((), dtype=dtype).expand(*shape)


def test_a_tensor_of_2_to_the_31_elements_is_refused_and_one_less_is_not() -> None:
    kernels.check_inputs(fits=huge(2**31 - 1))
    with pytest.raises(ValueError, match=r"samples spans 2147483648 elements, at most 2147483647 .* smaller chunk"):
        kernels.check_inputs(fits=huge(3, 4), samples=huge(2**16, 2**15))


def test_a_slice_that_reaches_too_far_is_refused_however_small_it_is() -> None:
    wide = torch.empty(2**16, 2**15 + 1, device="meta")
    kernels.check_inputs(part=wide[: 2**15, :8])
    with pytest.raises(ValueError, match="part spans 2147516423 elements"):
        kernels.check_inputs(part=wide[:, :8])


def test_double_precision_is_refused_rather_than_rounded() -> None:
    with pytest.raises(ValueError, match=r"weights is torch\.float64"):
        kernels.check_inputs(weights=torch.zeros(2, dtype=torch.float64))


@needs_triton
def test_every_kernel_refuses_a_chunk_that_is_too_large() -> None:
    from gpnerf.models.ops.triton_attention import view_attention
    from gpnerf.models.ops.triton_gather import gathered_field, weighted_gather
    from gpnerf.models.ops.triton_norm import layer_norm
    from gpnerf.models.ops.triton_ray_attention import ray_attention

    rays, samples, views = 2**17, 64, 4
    with pytest.raises(ValueError, match="values spans 2147483648 elements"):
        view_attention(
            huge(rays, samples, views, 64), huge(rays, samples, views, 8), huge(rays, samples, 8), huge(64, 8),
            huge(rays, samples, views, dtype=torch.bool),
        )  # fmt: skip
    heads = huge(2**17, 16, 64, 16)
    with pytest.raises(ValueError, match="query spans 2147483648 elements"):
        ray_attention(heads, heads, heads)
    with pytest.raises(ValueError, match="x spans 2147483648 elements"):
        layer_norm(huge(2**25, 64), huge(64), huge(64), 1e-6)
    maps = torch.zeros(views, 2, 2, 64)
    with pytest.raises(ValueError, match="weights spans 2147483648 elements"):
        weighted_gather(maps, huge(views, rays, samples, 2), huge(rays, samples, views, 64))
    with pytest.raises(ValueError, match="the field spans 2147483648 elements"):
        gathered_field(torch.zeros(1, 2, 2, 256), huge(1, rays, samples, 2), huge(rays, samples, 1, 8))


@needs_triton
def test_the_gather_refuses_what_it_would_have_to_copy_or_ignore() -> None:
    from gpnerf.models.ops.triton_gather import weighted_gather

    maps, grid, weights = torch.zeros(2, 3, 4, 8), torch.zeros(2, 5, 6, 2), torch.zeros(5, 6, 2, 4)
    with pytest.raises(ValueError, match="not contiguous with channels last"):
        weighted_gather(torch.zeros(2, 8, 3, 4).permute(0, 2, 3, 1), grid, weights)
    with pytest.raises(ValueError, match="3 groups do not divide 8 channels"):
        weighted_gather(maps, grid, weights[..., :3])
    with pytest.raises(ValueError, match="gets no gradient"):
        weighted_gather(maps, grid.clone().requires_grad_(), weights)
    with pytest.raises(ValueError, match=r"grid is torch\.bfloat16"):
        weighted_gather(maps, grid.bfloat16(), weights)


@needs_triton
def test_the_ray_attention_refuses_rays_that_do_not_fit_and_mixed_types() -> None:
    from gpnerf.models.ops.triton_ray_attention import ray_attention

    with pytest.raises(ValueError, match="257 samples of 16 channels"):
        ray_attention(*(torch.zeros(1, 2, 257, 16) for _ in range(3)))
    with pytest.raises(ValueError, match="must be of one type"):
        ray_attention(torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 3, 4).bfloat16(), torch.zeros(1, 2, 3, 4))


@needs_triton
@interpreted
@pytest.mark.parametrize("device", ["cpu"])
def test_shapes_that_do_not_belong_together_are_refused(device: str) -> None:
    from gpnerf.models.ops.triton_attention import view_attention
    from gpnerf.models.ops.triton_gather import weighted_gather
    from gpnerf.models.ops.triton_norm import layer_norm
    from gpnerf.models.ops.triton_ray_attention import ray_attention

    def zeros(*shape: int) -> Tensor:
        return torch.zeros(shape, device=device)

    with pytest.raises(ValueError, match=r"grid has shape \(2, 5, 7, 2\), the other tensors ask for \(2, 5, 6, 2\)"):
        weighted_gather(zeros(2, 3, 4, 8), zeros(2, 5, 7, 2), zeros(5, 6, 2, 4))
    with pytest.raises(ValueError, match="maps has shape"):
        weighted_gather(zeros(1, 3, 4, 8), zeros(2, 5, 6, 2), zeros(5, 6, 2, 4))
    right = {"values": (2, 3, 4, 16), "pre_score": (2, 3, 4, 2), "query": (2, 3, 2), "score_weight": (16, 2)}
    for name, shape in right.items():
        given = {other: zeros(*size) for other, size in right.items()}
        given[name] = zeros(*shape[:-2], shape[-2] + 1, shape[-1])
        with pytest.raises(ValueError, match="has shape"):
            view_attention(**given, mask=zeros(2, 3, 4).bool())
    with pytest.raises(ValueError, match="value has shape"):
        ray_attention(zeros(1, 2, 3, 4), zeros(1, 2, 3, 4), zeros(1, 2, 4, 4))
    with pytest.raises(ValueError, match="bias has shape"):
        layer_norm(zeros(5, 8), zeros(8), zeros(7), 1e-6)


def test_the_package_does_without_triton_until_a_kernel_is_asked_for() -> None:
    names = "gpnerf, gpnerf.models.gpnerf, gpnerf.models.ops.kernels, sys"
    code = f"import {names}; sys.exit(any(name.split('.')[0] == 'triton' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
