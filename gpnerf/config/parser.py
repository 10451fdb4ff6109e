"""From the command line and `key = value` files to a `Config`."""

import difflib
import io
import logging
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import Field
from pathlib import Path
from types import NoneType
from typing import Any, Literal, NoReturn, get_args, get_origin

import configargparse

from gpnerf.config.checks import check
from gpnerf.config.config import Config, groups, options
from gpnerf.errors import UserError
from gpnerf.shipped import find_config
from gpnerf.storage import read_text

logger = logging.getLogger(__name__)

_NO_EFFECT = "it never had an effect"
_LAUNCHER = "the launcher's environment decides"
_IBRNET = "it belongs to the IBRNet renderer, which is not part of this program"

# Flags of the released program that change nothing here, and why; accepted with a warning.
RETIRED = {
    "world_size": _LAUNCHER,
    "distributed": _LAUNCHER,
    "coarse_only": f"{_IBRNET}; N_importance = 0 renders the coarse pass alone",
    "anti_alias_pooling": _IBRNET,
    **dict.fromkeys(
        (
            "eval_scenes", "testskip", "white_bkgd", "llffhold", "img_wh", "patch_size", "use_pixel_centers",
            "dataset_root", "type2sample_weights", "train_database_types", "aug_pixel_center_sample", "train_ray_num",
            "resolution_type", "save_feature", "run_val",
        ),
        _NO_EFFECT,
    ),
}  # fmt: skip

# Flags of the released program of which one value is possible here.
ONE_VALUE = {"model": "gnt", "rectify_inplane_rotation": "False"}


class _Parser(configargparse.ArgumentParser):
    """Turns every complaint into a `UserError` that names the file it comes from."""

    def __init__(self) -> None:
        self.opened = "command line"
        super().__init__(
            allow_abbrev=False,  # a shortened key would silently set another flag
            add_config_file_help=False,
            add_env_var_help=False,
            config_file_open_func=self._open,
            formatter_class=configargparse.ArgumentDefaultsHelpFormatter,
        )

    def _open(self, path: str) -> io.StringIO:
        """Read at once, so that a file that is no text is reported by its name."""
        file = find_config(Path(path))
        stream = io.StringIO(read_text(file, "a config of `key = value` lines", "name an existing one with --config"))
        self.opened = stream.name = path  # type: ignore[attr-defined]
        return stream

    def error(self, message: str) -> NoReturn:
        if isinstance(fault := sys.exception(), UserError):
            raise fault  # of the file that is being opened, which the message would only name once more
        flag = re.search(r"argument [^:]*--(\w+)", message)
        raise UserError(f"{self.source(flag[1])}: {message}" if flag else message)

    def source(self, name: str) -> str:
        """The config file that set the flag, under this name or another of it, or "command line"."""
        in_files = [
            {key, action.dest if action else key}
            for source, settings in self.get_source_to_settings_dict().items()
            if source.startswith("config_file|")
            for key, (action, _) in settings.items()
        ]
        return self.opened if any(name in names for names in in_files) else "command line"

    def convert_item_to_command_line_arg(self, action: Any, key: str, value: str | list) -> list[str]:
        if isinstance(value, list) and action is not None and action.nargs in (None, "?"):
            raise UserError(f"{self.opened}: {key}: expected one value, found the list {value}")
        return super().convert_item_to_command_line_arg(action, key, value)


def parse(argv: Sequence[str]) -> Config:
    """Read the command line and the file that its `--config` names; the command line wins.

    Raises `UserError` for an unknown key (naming the nearest known one), a value of the wrong type or out of range,
    and for values that contradict each other.
    """
    parser = _build_parser()
    namespace, unknown = parser.parse_known_args(list(argv))
    if unknown:
        raise UserError(_unknown(unknown, parser))
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in vars(namespace).items()}
    for name in [name for name in RETIRED if name in given]:
        logger.warning("%s is ignored: %s", name, RETIRED[name])
    config = Config.from_flags(given)
    check(config)
    return config


def _build_parser() -> _Parser:
    parser = _Parser()
    parser.add_argument("--config", is_config_file=True, metavar="FILE", help="file of `key = value` lines")
    sections = {name: parser.add_argument_group(name, kind.__doc__) for name, kind in groups().items()}
    for group, option in options():
        aliases = [option.metadata["alias"]] if option.metadata["alias"] else []
        sections[group].add_argument(*aliases, f"--{option.name}", dest=option.name, **_argument(option))
    hidden = configargparse.SUPPRESS
    # The launchers of newer and older PyTorch pass these; LOCAL_RANK in the environment says the same.
    parser.add_argument("--local-rank", "--local_rank", type=int, help=hidden)
    for name, value in ONE_VALUE.items():
        parser.add_argument(f"--{name}", nargs="?", const="True", type=_only(value), help=hidden)
    for name in RETIRED:
        parser.add_argument(f"--{name}", nargs="*", default=hidden, help=hidden)
    return parser


def _argument(option: Field) -> dict[str, Any]:
    """The keyword arguments of `add_argument` that a field's type and metadata stand for."""
    unit = option.metadata["unit"]
    common = {"default": option.default, "help": option.metadata["help"] + (f" [{unit}]" if unit else "")}
    kinds = [kind for kind in get_args(option.type) if kind is not NoneType]
    optional = NoneType in get_args(option.type)
    kind: Any = kinds[0] if optional else option.type
    if kind is bool:
        return common | {"type": _boolean, "nargs": "?", "const": True, "metavar": "True|False"}
    if get_origin(kind) is Literal:
        return common | {"choices": get_args(kind)}
    if get_origin(kind) is tuple:
        element, *rest = get_args(kind)
        return common | {"type": element, "nargs": "*" if Ellipsis in rest else 1 + len(rest)}
    return common | {"type": _or_none(kind) if optional else kind}


def _boolean(text: str) -> bool:
    values = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    if text.lower() not in values:
        raise configargparse.ArgumentTypeError(f"expected True or False, found {text!r}")
    return values[text.lower()]


def _or_none(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        return None if text in ("", "None") else kind(text)

    convert.__name__ = getattr(kind, "__name__", "value")  # argparse names it in its message
    return convert


def _only(allowed: str) -> Callable[[str], str]:
    def convert(text: str) -> str:
        if text.lower() != allowed.lower():
            raise configargparse.ArgumentTypeError(f"{text} is not part of this program; only {allowed} is")
        return text

    return convert


def _unknown(arguments: list[str], parser: _Parser) -> str:
    """The message for what argparse could not place: `--key`, `--key=value` or a bare word."""
    flags = [argument for argument in arguments if argument.startswith("--")]
    if not flags:
        return f"command line: unexpected {arguments[0]!r}; values follow a --flag, and a file follows --config"
    key = flags[0][2:].split("=", 1)[0]
    names = {option.name.lower(): option.name for _, option in options()} | {"config": "config"}
    longer = [name for name in names if name.startswith(key.lower())]
    nearest = names[(longer or difflib.get_close_matches(key.lower(), names, n=1, cutoff=0))[0]]
    return f"{parser.source(key)}: unknown key {key!r}; the nearest known one is {nearest!r} (--help lists all)"
