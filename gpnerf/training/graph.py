"""Forward, losses and backward of a training step as one CUDA graph, launched at once instead of kernel by kernel."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn

from gpnerf.structures import Example, Movable, Rays

_log = logging.getLogger(__name__)

_WARM_UP_STEPS = 3  # before a capture, which must not see first calls that choose algorithms and reserve memory

# From an example on the device, its rays and the generator of the jitter to the loss's terms; gradients are added up.
Backward = Callable[[Example, Rays, torch.Generator], dict[str, Tensor]]
# Records what a function does; returns the function's result and what repeats it all, writing into the same tensors.
Capture = Callable[[Callable[[], dict[str, Tensor]], torch.Generator], tuple[dict[str, Tensor], Callable[[], None]]]


def obstacle(device: torch.device, processes: int, accumulated: int, recompute: bool) -> str | None:
    """Why the steps of a training cannot be captured; None if they can."""
    if device.type != "cuda":
        return f"expected a CUDA device, found {device.type}"
    if processes > 1:
        return f"expected one process, found {processes}"
    if accumulated > 1:
        return f"expected one target a step, found accumulate_steps = {accumulated}"
    if recompute:  # it asks for the state of the random numbers, which is not possible in a capture
        return "expected no --recompute"
    return None


class StepGraph:
    """Captures the first example's step and replays it for every other of the same kind; the rest runs as ever.

    Examples are of one kind if their tensors have equal shapes, the same truth is known, and the depth range is the
    same. If the capture fails, one line is logged and no step is replayed.
    """

    def __init__(self, device: torch.device, capture: Capture | None = None) -> None:
        self._generator = torch.Generator(device)
        self._record = capture or capture_on_gpu
        self._replay: Callable[[], None] | None = None
        self._kind: tuple[Any, ...] | None = None
        self._inputs: tuple[Example, Rays] | None = None
        self._terms: dict[str, Tensor] = {}
        self._gradients: list[tuple[nn.Parameter, Tensor | None]] = []

    def run(
        self,
        backward: Backward,
        parameters: Iterable[nn.Parameter],
        example: Example,
        rays: Rays,
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """The terms of the loss; the parameters' gradients, None before, are the step's afterwards."""
        kind = (_kind(example.target), _kind(example.sources), _kind(rays), example.near, example.far)
        if self._kind is None:
            self._kind = kind
            try:
                self._capture(backward, list(parameters), example, rays)
            except RuntimeError as error:
                _log.warning("--cuda_graph: going on without: %s", str(error).splitlines()[0])
        if self._replay is None or self._inputs is None or kind != self._kind:
            return backward(example, rays, generator)
        for held, given in zip(self._inputs, (example, rays), strict=True):
            for old, new in zip(_tensors(held), _tensors(given), strict=True):
                old.copy_(new)
        self._generator.set_state(generator.get_state())
        self._replay()
        for parameter, gradient in self._gradients:
            parameter.grad = gradient
        return self._terms

    def _capture(self, backward: Backward, parameters: list[nn.Parameter], example: Example, rays: Rays) -> None:
        inputs = example.mapped(torch.clone), rays.mapped(torch.clone)

        def step() -> dict[str, Tensor]:
            for parameter in parameters:
                parameter.grad = None
            return backward(*inputs, self._generator)

        try:
            self._terms, self._replay = self._record(step, self._generator)
            self._gradients = [(parameter, parameter.grad) for parameter in parameters]
            self._inputs = inputs
        finally:
            for parameter in parameters:
                parameter.grad = None


def capture_on_gpu(
    step: Callable[[], dict[str, Tensor]], generator: torch.Generator
) -> tuple[dict[str, Tensor], Callable[[], None]]:
    """Capture a step that draws from `generator` and from the GPU's own one, which is left as it was."""
    state = torch.cuda.get_rng_state(generator.device)
    side = torch.cuda.Stream(generator.device)
    side.wait_stream(torch.cuda.current_stream(generator.device))
    with torch.cuda.stream(side):
        for _ in range(_WARM_UP_STEPS):
            step()
    torch.cuda.current_stream(generator.device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(generator)
    with torch.cuda.graph(graph):
        terms = step()
    torch.cuda.set_rng_state(state, generator.device)
    return terms, graph.replay


def _tensors(value: Movable) -> Iterator[Tensor]:
    for field in fields(value):  # type: ignore[arg-type]
        part = getattr(value, field.name)
        if isinstance(part, Tensor):
            yield part
        elif isinstance(part, Movable):
            yield from _tensors(part)


def _kind(value: Movable) -> tuple[Any, ...]:
    """What a capture fixes: shapes and types of tensors, which of them exist, and plain numbers."""
    parts = (getattr(value, field.name) for field in fields(value))  # type: ignore[arg-type]
    return tuple(
        (tuple(part.shape), part.dtype)
        if isinstance(part, Tensor)
        else _kind(part)
        if isinstance(part, Movable)
        else part
        for part in parts
    )
