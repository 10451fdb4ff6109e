"""The whole configuration of a run, its text form and the comparison of two."""

from collections.abc import Iterator
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from gpnerf.config.options import DataConfig, LossConfig, ModelConfig, OptimConfig, RenderConfig, RunConfig


@dataclass(frozen=True)
class Config:
    """All groups of flags; a flag's name is unique over the groups."""

    run: RunConfig = field(default_factory=RunConfig)
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    render: RenderConfig = field(default_factory=RenderConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)

    @classmethod
    def from_flags(cls, values: dict[str, Any]) -> "Config":
        """Build from one flat mapping that holds every flag."""
        return cls(
            **{
                name: kind(**{option.name: values[option.name] for option in fields(kind)})
                for name, kind in groups().items()
            }
        )

    @property
    def expects_gpu(self) -> bool:
        """Whether the networks are of the paper's size, which takes seconds a step on a CPU."""
        return self.model.netwidth >= 64 or self.model.encoder_width >= 64

    def values(self) -> dict[str, Any]:
        """Every flag's value under its name."""
        return {option.name: getattr(getattr(self, group), option.name) for group, option in options()}

    def to_dict(self) -> dict[str, Any]:
        """Every flag's value under its name, in types that JSON has."""
        return {name: _plain(value) for name, value in self.values().items()}

    def to_text(self) -> str:
        """A `key = value` file with every flag, which parses back to the same configuration."""
        return "".join(f"{name} = {_text(value)}\n" for name, value in self.values().items())


def groups() -> dict[str, Any]:
    """The dataclass of every group under the group's name."""
    return get_type_hints(Config)


def options() -> Iterator[tuple[str, Field]]:
    """Every flag with the name of its group."""
    for group, kind in groups().items():
        for option in fields(kind):
            yield group, option


def differences(one: Config, other: Config) -> list[tuple[str, Any, Any]]:
    """The flags that change what training produces and differ: (name, value in `one`, value in `other`)."""
    left, right = one.values(), other.values()
    return [
        (option.name, left[option.name], right[option.name])
        for _, option in options()
        if option.metadata["result"] and left[option.name] != right[option.name]
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    text = str(value)
    # An unquoted " #" or " ;" would start a comment.
    return f'"{text}"' if any(mark in text for mark in "#;") else text
