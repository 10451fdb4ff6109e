"""A study: which configurations are compared, and the runs that they make."""

import shlex
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpnerf.errors import UserError
from gpnerf.shipped import find_config
from gpnerf.storage import read_text

_KEYS = {"config": str, "flags": str, "rate_periods": int, "row": list}
_ROW_KEYS = {"name": str, "title": str, "flags": str}


@dataclass(frozen=True)
class Row:
    """One configuration: `name` is its folder, `title` stands in the table, `flags` set it apart."""

    name: str
    title: str
    flags: tuple[str, ...]


@dataclass(frozen=True)
class Study:
    """Configurations that share a config file and flags, each row adding its own.

    The learning rates fall `rate_periods` - 1 times in a run, in equal periods, however long it is.
    """

    name: str
    config: str
    flags: tuple[str, ...]
    rate_periods: int
    rows: tuple[Row, ...]

    def only(self, names: Collection[str]) -> tuple[Row, ...]:
        """The rows of these names, all of them without any."""
        known = [row.name for row in self.rows]
        if unknown := [name for name in names if name not in known]:
            raise UserError(f"study {self.name}: expected rows among {', '.join(known)}, found {unknown[0]!r}")
        return tuple(row for row in self.rows if not names or row.name in names)


@dataclass(frozen=True)
class Run:
    """One row from one seed: a training of `steps` steps and the evaluation of its last checkpoint.

    `folder` is where both write and `log` what both print; `flags` are those of both programs.
    """

    row: Row
    seed: int
    steps: int
    folder: Path
    flags: tuple[str, ...]

    @property
    def log(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.log")


def load_study(path: Path) -> Study:
    """Read a study from a TOML file (`configs/studies/` has one); the file's name is the study's."""
    text = read_text(find_config(path), "a study file", "configs/studies/ has one")
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: expected TOML, found a mistake ({error}); mend the file") from error
    values = _checked(content, _KEYS, str(path))
    rows = tuple(_row(value, f"{path}, row {place}") for place, value in enumerate(values["row"], start=1))
    names = [row.name for row in rows]
    repeated = [name for name in names if names.count(name) > 1]
    if repeated or not rows or values["rate_periods"] < 1:
        fault = f"{repeated[0]!r} more than once" if repeated else f"{len(rows)} and {values['rate_periods']}"
        raise UserError(f"{path}: expected rows of different names and rate_periods of at least 1, found {fault}")
    return Study(path.stem, values["config"], _split(values["flags"], str(path)), values["rate_periods"], rows)


def plan_runs(study: Study, root: Path, seeds: Sequence[int], steps: int, more: Sequence[str] = ()) -> list[Run]:
    """The runs of all rows, one seed after the other; `more` flags stand between the study's and a row's.

    They lie in `root`/out/<study>_<steps>/<row>/seed_<seed>.
    """
    period = -(-steps // study.rate_periods)
    shared = ["--config", study.config, *study.flags, *more]
    length = ["--total_step", str(steps), "--lrate_decay_steps", str(period)]
    runs = []
    for seed in seeds:
        for row in study.rows:
            name = f"{study.name}_{steps}/{row.name}/seed_{seed}"
            own = ["--rootdir", str(root), "--expname", name, "--seed", str(seed)]
            runs.append(Run(row, seed, steps, root / "out" / name, (*shared, *length, *row.flags, *own)))
    return runs


def _row(content: Any, where: str) -> Row:
    values = _checked(content, _ROW_KEYS, where)
    if not values["name"].replace("_", "").replace("-", "").isalnum():
        raise UserError(f"{where}: expected a name of letters, digits, _ and -, found {values['name']!r}")
    return Row(values["name"], values["title"], _split(values["flags"], where))


def _split(flags: str, where: str) -> tuple[str, ...]:
    """The words of a command line."""
    try:
        return tuple(shlex.split(flags))
    except ValueError as error:
        raise UserError(f"{where}: expected flags as on a command line, found {flags!r} ({error}); mend it") from error


def _checked(content: Any, keys: Mapping[str, type], where: str) -> dict[str, Any]:
    """The values of exactly these keys, each of its type."""
    if not isinstance(content, dict) or content.keys() != keys.keys():
        found = ", ".join(content) if isinstance(content, dict) else repr(content)
        raise UserError(f"{where}: expected the keys {', '.join(keys)}, found {found}; mend the file")
    for name, kind in keys.items():
        if type(content[name]) is not kind:
            raise UserError(f"{where}: '{name}' must be of type {kind.__name__}, found {content[name]!r}")
    return content
