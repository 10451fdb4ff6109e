"""Lays pictures out as titled tiles with a legend of classes; and the panel of one rendered view."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from gpnerf.structures import ImageOutput, TargetView
from gpnerf.visualize.colouring import (
    IGNORE_COLOUR,
    class_palette,
    colour_picture,
    depth_picture,
    error_picture,
    label_picture,
    pca_picture,
)

_FONT, _FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.48
_BACKGROUND, _TEXT = (250, 250, 250), (25, 25, 25)
_MARGIN, _LINE, _SWATCH = 10, 24, 14
_LARGEST_ERROR = 0.3  # of a colour channel, shown brightest


@dataclass(frozen=True)
class Tile:
    """A picture and the words above it."""

    title: str
    picture: UInt8[np.ndarray, "height width 3"]


@dataclass(frozen=True)
class LegendEntry:
    """A name and the colour that stands for it."""

    name: str
    colour: tuple[int, int, int]


@dataclass(frozen=True)
class Labelled:
    """Ids of a view at full resolution, true (if known) and predicted: places in `names`, or no name's.

    An id has one colour in every view.
    """

    kind: str
    truth: Int64[Tensor, "height width"] | None
    predicted: Int64[Tensor, "height width"]
    names: Sequence[str]


def panel(
    tiles: Sequence[Tile], columns: int, legend: Sequence[LegendEntry] = (), tile_width: int = 320
) -> UInt8[np.ndarray, "height width 3"]:
    """Titled tiles in a grid, row by row, all as wide as `tile_width`, with a legend below: also a contact sheet."""
    pictures = [_resized(tile.picture, tile_width) for tile in tiles]
    columns = min(columns, len(tiles))
    starts = range(0, len(tiles), columns)
    heights = [max(picture.shape[0] for picture in pictures[i : i + columns]) for i in starts]
    width = columns * (tile_width + _MARGIN) + _MARGIN
    legend_places = _legend_places(legend, width)
    rows = 1 + max((row for _, row in legend_places), default=-1)
    height = sum(h + _LINE + _MARGIN for h in heights) + rows * _LINE + _MARGIN
    canvas = np.full((height, width, 3), _BACKGROUND, dtype=np.uint8)
    top = _MARGIN // 2
    for start, row_height in zip(starts, heights, strict=True):
        for k in range(start, min(start + columns, len(tiles))):
            left = _MARGIN + (k - start) * (tile_width + _MARGIN)
            _write(canvas, _shortened(tiles[k].title, tile_width), left, top)
            picture = pictures[k]
            canvas[top + _LINE : top + _LINE + picture.shape[0], left : left + tile_width] = picture
        top += row_height + _LINE + _MARGIN
    for entry, (left, row) in zip(legend, legend_places, strict=True):
        _draw_entry(canvas, entry, left, top + row * _LINE)
    return canvas


def view_panel(
    target: TargetView, output: ImageOutput, labelled: Sequence[Labelled], stride: int
) -> UInt8[np.ndarray, "rows cols 3"]:
    """Truth and prediction of one view side by side: colour, depth, and all that is labelled; then the colour error and
    the features.

    Colour and depth are rendered at every `stride`-th pixel. What the view or the output lacks is left out.
    """
    truth = target.image[:, ::stride, ::stride].to(output.rgb)
    tiles = [Tile("colour: truth", colour_picture(truth)), Tile("colour: prediction", colour_picture(output.rgb))]
    tiles += _depth_tiles(None if target.depth is None else target.depth[::stride, ::stride], output.depth)
    legend: list[LegendEntry] = []
    for each in labelled:
        known = (("truth", each.truth), ("prediction", each.predicted))
        maps = {title: ids.cpu() for title, ids in known if ids is not None}
        palette = class_palette(len(each.names))
        tiles += [Tile(f"{each.kind}: {title}", label_picture(ids, palette)) for title, ids in maps.items()]
        legend += _class_legend(torch.cat([ids.flatten() for ids in maps.values()]), each.names, palette)
    error = error_picture(output.rgb, truth, _LARGEST_ERROR)
    tiles.append(Tile(f"colour error (black 0, yellow {_LARGEST_ERROR}+)", error))
    if output.features is not None:
        tiles.append(Tile("rendered features (PCA)", pca_picture(output.features)))
    return panel(tiles, columns=4, legend=legend)


def _depth_tiles(truth: Tensor | None, predicted: Tensor) -> list[Tile]:
    """Both maps in one range of colours, that of the truth where there is one."""
    reference = predicted if truth is None or not (truth > 0).any() else truth
    known = reference[reference > 0].float().cpu().numpy()
    near, far = np.percentile(known, (1, 99)).tolist() if known.size else (0.0, 1.0)
    maps = {"truth": truth, "prediction": predicted}
    return [
        Tile(f"depth: {name} ({near:.1f} to {far:.1f} m)", depth_picture(depth, near, far))
        for name, depth in maps.items()
        if depth is not None
    ]


def _class_legend(
    labels: Int64[Tensor, "pixels"], names: Sequence[str], palette: UInt8[np.ndarray, "classes 3"]
) -> list[LegendEntry]:
    """The classes that occur, the most frequent first; whatever is no class is shown as ignored."""
    ids, counts = labels.unique(return_counts=True)
    frequent_first = ids[counts.argsort(descending=True, stable=True)].tolist()
    entries = [LegendEntry(names[i], tuple(palette[i].tolist())) for i in frequent_first if 0 <= i < len(names)]
    return entries if len(entries) == len(ids) else [*entries, LegendEntry("ignored", IGNORE_COLOUR)]


def _resized(picture: UInt8[np.ndarray, "height width 3"], width: int) -> UInt8[np.ndarray, "rows cols 3"]:
    """As wide as asked for; enlarged without smoothing, so that every rendered pixel is seen."""
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    shrink = width < picture.shape[1]
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_NEAREST_EXACT)


def _legend_places(legend: Sequence[LegendEntry], width: int) -> list[tuple[int, int]]:
    """(left edge, row) of every entry: as many in a row as fit."""
    places, left, row = [], _MARGIN, 0
    for entry in legend:
        needed = _SWATCH + 6 + _text_width(entry.name) + 2 * _MARGIN
        if left > _MARGIN and left + needed > width:
            left, row = _MARGIN, row + 1
        places.append((left, row))
        left += needed
    return places


def _draw_entry(canvas: UInt8[np.ndarray, "height width 3"], entry: LegendEntry, left: int, top: int) -> None:
    offset = (_LINE - _SWATCH) // 2
    canvas[top + offset : top + offset + _SWATCH, left : left + _SWATCH] = entry.colour
    _write(canvas, entry.name, left + _SWATCH + 6, top)


def _write(canvas: UInt8[np.ndarray, "height width 3"], text: str, left: int, top: int) -> None:
    cv2.putText(canvas, text, (left, top + _LINE - 8), _FONT, _FONT_SCALE, _TEXT, 1, cv2.LINE_AA)


def _shortened(text: str, width: int) -> str:
    while text and _text_width(text) > width:
        text = text[:-1]
    return text


def _text_width(text: str) -> int:
    return cv2.getTextSize(text, _FONT, _FONT_SCALE, 1)[0][0]
