"""The renderer's layer, compiled where that is possible."""

import logging
from typing import Any

import torch
from torch import Tensor

from gpnerf.models.ops.fast_transformer import LayerOutput, SampleTokens, run_layer

_log = logging.getLogger(__name__)


class CompiledLayer:
    """`run_layer`, compiled for fixed shapes when first needed; if that fails, one line is logged and it runs as it is.

    All layers share one compilation. Of blocks of rays that differ in nothing else the largest so far is compiled and
    smaller ones, such as a picture's last, run as they are: they would compile again for every size.
    """

    def __init__(self) -> None:
        self._compiled = torch.compile(run_layer, dynamic=False)
        self._largest: dict[tuple[Any, ...], int] = {}
        self._failed = False

    def __call__(self, kernels: Any, blocks: Any, folded: Any, position: tuple[Tensor, Tensor] | None, q: Tensor,
                 tokens: SampleTokens, save: bool) -> LayerOutput:  # fmt: skip
        arguments = (kernels, blocks, folded, position, q, tokens, save)
        if self._failed or not self._is_largest(tokens):
            return run_layer(*arguments)
        try:
            return self._compiled(*arguments)
        except RuntimeError as error:
            # Whatever else goes wrong, memory for example, is not the compiler's doing.
            if not isinstance(error, torch._dynamo.exc.TorchDynamoException):
                raise
            self._failed = True
            reason = str(error).split("Set TORCHDYNAMO_VERBOSE")[0]
            _log.warning("--compile: going on uncompiled: %s", " ".join(reason.split()))
            return run_layer(*arguments)

    def _is_largest(self, tokens: SampleTokens) -> bool:
        views, samples, rays = tokens.views.shape[:3]
        kind = (torch.is_grad_enabled(), views, samples)
        self._largest[kind] = max(self._largest.get(kind, 0), rays)
        return rays == self._largest[kind]
