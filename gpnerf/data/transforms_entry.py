"""Values of transforms.json as numbers, with their place in the file for messages."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpnerf.errors import UserError


@dataclass(frozen=True)
class Entry:
    """The values that count at a place of the file, without those that are null; `where` opens messages."""

    values: Mapping[str, Any]
    where: str

    def number(self, key: str, default: float | None = None) -> float:
        """A finite number; an error where there is none and no `default`."""
        return finite(self.values.get(key, default), f"{self.where}: {key}")

    def positive(self, key: str, default: float | None = None) -> float:
        """A finite number above 0."""
        if (number := self.number(key, default)) <= 0:
            raise UserError(f"{self.where}: {key}: expected a number above 0, found {number:g}; mend it")
        return number

    def whole(self, key: str, default: float | None = None) -> int:
        """A number without decimals."""
        if (number := self.number(key, default)) != int(number):
            raise UserError(f"{self.where}: {key}: expected a whole number, found {number:g}; mend it")
        return int(number)


def finite(value: Any, where: str) -> float:
    """A JSON value as a finite number; `where` opens the message if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < np.inf:
        raise UserError(f"{where}: expected a finite number, found {str(value)[:40]!r}; mend it")
    try:
        return float(value)
    except OverflowError as error:
        raise UserError(f"{where}: expected a finite number, found one of {len(str(value))} digits; mend it") from error
