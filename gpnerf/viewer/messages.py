"""Which messages of a visitor reach viser: those that the page's own cameras, buttons and frusta send.

viser knows many more (uploads, a public tunnel to this machine, any property of a button), takes them from everyone,
and ends in a traceback at what is none.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields
from typing import Any

_FARTHEST = 1e6  # metres; no scene is so large
_LARGEST_PAGE = 2**15  # pixels
_LONGEST_TEXT = 200

Message = Mapping[str, Any]


def is_welcome(raw: object) -> bool:
    """Whether a message is one of a camera, a button or a click, in numbers that are finite."""
    import msgspec  # here: of an extra, which nothing else needs
    from viser import _messages

    if not isinstance(raw, bytes):
        return False
    try:
        message = msgspec.msgpack.decode(raw)
    except (ValueError, RecursionError):
        return False
    if not isinstance(message, dict) or not _is_text(kind := message.pop("type", None)) or kind not in _WELCOME:
        return False
    known = [field for field in fields(getattr(_messages, kind)) if field.init]
    needed = {field.name for field in known if field.default is field.default_factory is MISSING}
    return needed <= message.keys() <= {field.name for field in known} and _WELCOME[kind](message)


def _is_camera(message: Message) -> bool:
    vectors = [(message[name], count) for name, count in _VECTORS.items()]
    return (
        all(isinstance(vector, list) and len(vector) == count and _are_numbers(vector) for vector, count in vectors)
        and _are_numbers(message[name] for name in ("fov", "near", "far"))
        and all(_are_numbers([side]) and 1 <= side <= _LARGEST_PAGE for side in (message[name] for name in _SIDES))
        and any(message["wxyz"])
        and 0 < message["fov"] < math.pi
    )


def _is_button(message: Message) -> bool:
    updates = message["updates"]
    if not _is_text(message["uuid"]) or not isinstance(updates, dict) or list(updates) != ["value"]:
        return False
    return isinstance(updates["value"], bool) or _is_text(updates["value"])


def _is_click(message: Message) -> bool:
    rays = (message["ray_origin"], message["ray_direction"], message["screen_pos"])
    place, modifier = message["instance_index"], message["modifier"]
    return (
        all(isinstance(vector, list) and len(vector) <= 3 and _are_numbers(vector) for vector in rays)
        and (place is None or type(place) is int)
        and all(map(_is_text, (message["name"], message.get("owner", ""), modifier or "")))
    )


_VECTORS = {"wxyz": 4, "position": 3, "look_at": 3, "up_direction": 3}
_SIDES = ("image_height", "image_width")
_WELCOME: dict[str, Callable[[Message], bool]] = {
    "ViewerCameraMessage": _is_camera,
    "GuiUpdateMessage": _is_button,
    "SceneNodeClickMessage": _is_click,
}


def _are_numbers(values: Iterable[Any]) -> bool:
    return all(type(value) in (int, float) and abs(value) <= _FARTHEST for value in values)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_TEXT
