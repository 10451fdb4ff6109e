"""Pictures for the report: what the data looks like, one frame seen from another, and epipolar lines."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from gpnerf.checking.agreement import carry, epipolar_lines, fundamental_matrix
from gpnerf.checking.matching_points import MatchedPair
from gpnerf.data.scene import Scene
from gpnerf.visualize.colouring import class_palette, colour_picture, depth_picture, label_picture
from gpnerf.visualize.panel import LegendEntry, Tile, panel

Picture = UInt8[np.ndarray, "height width 3"]

_LINES = 12  # drawn in a picture
_DRAWN_WIDTH = 480  # at least, so that lines and points can be told apart
_ABSENT = 40  # grey of what the other frame does not show
_FAR_PERCENTILE = 99


def frames_picture(scene: Scene, frames: Sequence[int], class_names: Sequence[str]) -> Picture:
    """Colour, depth and classes of some frames, one row a frame."""
    palette = class_palette(len(class_names))
    tiles, shown = [], set()
    for frame in frames:
        number = scene.numbers[frame]
        tiles.append(Tile(f"frame {number}", colour_picture(scene.image(frame))))
        if (depth := scene.depth(frame)) is not None:
            far = float(np.percentile(depth.numpy(), _FAR_PERCENTILE))
            tiles.append(Tile(f"depth, red = {far:.1f} m", depth_picture(depth, 0.0, far)))
        if (labels := scene.labels(frame)) is not None:
            shown |= set(labels.unique().tolist())
            tiles.append(Tile("classes (dark: ignored)", label_picture(labels, palette)))
    legend = [LegendEntry(name, tuple(palette[i].tolist())) for i, name in enumerate(class_names) if i in shown]
    return panel(tiles, columns=max(1, len(tiles) // len(frames)), legend=legend)


def carried_picture(scenes: dict[str, Scene], pairs: Sequence[MatchedPair]) -> Picture:
    """Frames beside what others show of them by depth, under each of the named cameras; one row a pair."""
    given = next(iter(scenes.values()))
    tiles = []
    for pair in pairs:
        first, second = given.numbers[pair.first], given.numbers[pair.second]
        tiles.append(Tile(f"frame {first}", colour_picture(given.image(pair.first))))
        tiles.append(Tile(f"frame {second}", colour_picture(given.image(pair.second))))
        for name, scene in scenes.items():
            tiles.append(Tile(f"{first} made of {second}: {name}", _carried(scene, pair)))
    return panel(tiles, columns=2 + len(scenes))


def epipolar_picture(scenes: dict[str, Scene], pairs: Sequence[MatchedPair]) -> Picture:
    """Points in one frame and, under each of the named cameras, their lines in the other; one row a pair.

    A point has the colour of its line, and should be on it.
    """
    given = next(iter(scenes.values()))
    tiles = []
    for pair in pairs:
        chosen = np.linspace(0, len(pair.first_points) - 1, _LINES).round().astype(int)
        first, second = (colour_picture(given.image(frame)) for frame in (pair.first, pair.second))
        points = _drawn(first, pair.first_points[chosen], None)
        tiles.append(Tile(f"frame {given.numbers[pair.first]}", points))
        for name, scene in scenes.items():
            lines = epipolar_lines(fundamental_matrix(scene, pair.first, pair.second), pair.first_points[chosen])
            drawn = _drawn(second, pair.second_points[chosen], lines)
            tiles.append(Tile(f"frame {given.numbers[pair.second]}: {name}", drawn))
    return panel(tiles, columns=1 + len(scenes), tile_width=_DRAWN_WIDTH)


def _carried(scene: Scene, pair: MatchedPair) -> Picture:
    carried = carry(scene, pair.first, pair.second)
    image = torch.full((3, scene.form.height, scene.form.width), _ABSENT / 255)
    if carried is not None:
        (x, y), (to_x, to_y) = carried.pixels[carried.shared].T, carried.places[carried.shared].T
        image[:, y, x] = scene.image(pair.second)[:, to_y, to_x]
    return colour_picture(image)


def _drawn(
    picture: Picture, points: Float[np.ndarray, "points 2"], lines: Float[np.ndarray, "points 3"] | None
) -> UInt8[np.ndarray, "rows columns 3"]:
    """Points, and lines a x + b y + c = 0, each with a colour of its own, on an enlarged picture."""
    factor = max(1, -(-_DRAWN_WIDTH // picture.shape[1]))
    canvas = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST_EXACT)
    reach = float(sum(canvas.shape[:2]))
    for k, (point, colour) in enumerate(zip(points, class_palette(len(points)).tolist(), strict=True)):
        if lines is not None and np.isfinite(lines[k]).all():
            a, b, c = lines[k]
            nearest = _enlarged(-c * np.array([a, b]), factor)
            along = reach * 2 * np.array([-b, a])
            start, end = (tuple((nearest + side * along).round().astype(int).tolist()) for side in (-1, 1))
            cv2.line(canvas, start, end, colour, 1, cv2.LINE_AA)
        place = tuple(_enlarged(point, factor).round().astype(int).tolist())
        cv2.circle(canvas, place, 4, (0, 0, 0), -1, cv2.LINE_AA)
        cv2.circle(canvas, place, 3, colour, -1, cv2.LINE_AA)
    return canvas


def _enlarged(pixel: Float[np.ndarray, "2"], factor: int) -> Float[np.ndarray, "2"]:
    """Where a pixel is after enlarging; centres are at integers before and after."""
    return (pixel + 0.5) * factor - 0.5
