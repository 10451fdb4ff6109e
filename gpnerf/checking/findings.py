"""What a check has to say about a scene: mistakes, which must be mended, and remarks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_NAMED = 5  # files that a finding names


@dataclass(frozen=True)
class Finding:
    """One line for the report; a mistake makes the scene unfit, anything else is a remark."""

    is_mistake: bool
    text: str


def mistake(text: str) -> Finding:
    """Something that readers refuse or that spoils results."""
    return Finding(True, text)


def remark(text: str) -> Finding:
    """Something worth knowing that may well be so on purpose."""
    return Finding(False, text)


def some_of(items: Iterable[object]) -> str:
    """The first few of many things, and how many more there are."""
    listed = [str(item) for item in items]
    more = len(listed) - _NAMED
    return ", ".join(listed[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def broken_files(messages: Sequence[str]) -> list[Finding]:
    """A mistake for each of the first few files that could not be read, and one for all others together."""
    rest = len(messages) - _NAMED
    return [mistake(text) for text in messages[:_NAMED]] + (
        [mistake(f"{rest} more files of this kind could not be read")] if rest > 0 else []
    )
