"""Parts of the report as HTML; whatever comes from outside is escaped here."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from gpnerf.evaluation.report.comparisons import Comparison, Pair, Scores, verdict
from gpnerf.visualize.colouring import IGNORE_COLOUR, class_palette


def score_table(first: str, rows: Mapping[str, Mapping[str, float | int | None]]) -> str:
    """One row a name, one column a score that any of them has."""
    scored = [name for scores in rows.values() for name, value in scores.items() if value is not None]
    columns = list(dict.fromkeys(scored))
    head = "".join(f"<th>{escape(name)}</th>" for name in (first, *columns))
    body = "".join(
        f"<tr><th>{escape(name)}</th>{''.join(f'<td>{_number(scores.get(column))}</td>' for column in columns)}</tr>"
        for name, scores in rows.items()
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def class_bars(ious: Scores, confusion: Sequence[Sequence[int]]) -> str:
    """A bar for the IoU of each class that the truth has, in the class's colour, the most frequent first."""
    pixels = [sum(row) for row in confusion]
    total = sum(pixels) or 1
    colours = [_colour(entry) for entry in class_palette(len(ious)).tolist()]
    present = sorted((k for k, iou in enumerate(ious.values()) if iou is not None), key=lambda k: -pixels[k])
    names, values = list(ious), [iou or 0.0 for iou in ious.values()]
    return "".join(
        f'<div class="bar"><span>{escape(names[k])}</span><div><i style="width:{100 * values[k]:.1f}%;'
        f'background:{colours[k]}"></i></div><span>{values[k]:.3f}</span><small>{pixels[k] / total:.1%}</small></div>'
        for k in present
    )


def confusion_table(names: Sequence[str], confusion: Sequence[Sequence[int]]) -> str:
    """Percent of each true class's pixels by predicted class, for the classes that occur."""
    found = [sum(column) for column in zip(*confusion, strict=True)]
    shown = [k for k, row in enumerate(confusion) if sum(row) or found[k]]
    head = "".join(f'<th class="upright"><span>{escape(names[k])}</span></th>' for k in shown)
    rows = "".join(
        f"<tr><th>{escape(names[k])}</th>{_confusion_row(names, k, row, shown)}</tr>"
        for k, row in enumerate(confusion)
        if sum(row)
    )
    return (
        '<div class="wide"><table class="confusion"><thead><tr><th>true &darr; &nbsp; predicted &rarr;</th>'
        f"{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def legend(names: Sequence[str], confusion: Sequence[Sequence[int]]) -> str:
    """The colours of the classes that occur in truth or prediction, and of no class."""
    found = [sum(column) for column in zip(*confusion, strict=True)]
    colours = class_palette(len(names)).tolist()
    entries = [(colours[k], name) for k, name in enumerate(names) if sum(confusion[k]) or found[k]]
    return "".join(
        f'<span class="entry"><i style="background:{_colour(colour)}"></i>{escape(name)}</span>'
        for colour, name in [*entries, (IGNORE_COLOUR, "no class")]
    )


def comparison(view: Comparison) -> str:
    """A view's pictures, truth left and prediction right of a cut that a slider moves."""
    told = ", ".join(f"{escape(name)} {value:.3f}" for name, value in view.scores.items() if value is not None)
    title, (name, value) = f"{escape(view.scene)}, frame {view.frame}", verdict(view.scores)
    head = f"{title} <small>{name} {value:.3f}</small>" if name else title
    return (
        f'<section class="view"><h3>{head}</h3><div class="pairs">{"".join(map(_figure, view.pairs))}</div>'
        f'<input type="range" min="0" max="100" value="50" aria-label="truth of {title} up to">'
        f"<details><summary>scores</summary><p>{told}</p></details></section>"
    )


def key_values(values: Iterable[tuple[str, Any]]) -> str:
    """A table of two columns."""
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>" for name, value in values)
    return f'<table class="plain"><tbody>{rows}</tbody></table>'


def _figure(pair: Pair) -> str:
    return (
        f'<figure><div class="compare"><img class="prediction" alt="prediction" src="{escape(pair.prediction)}">'
        f'<img class="truth" alt="truth" src="{escape(pair.truth)}"></div>'
        f"<figcaption>{escape(pair.title)}</figcaption></figure>"
    )


def _confusion_row(names: Sequence[str], true: int, row: Sequence[int], shown: Sequence[int]) -> str:
    total = sum(row)
    cells = []
    for k in shown:
        share = row[k] / total
        said = f"{names[true]} taken for {names[k]}: {row[k]} pixels" if k != true else f"{names[k]}: {row[k]} pixels"
        text = f"{100 * share:.0f}" if share >= 0.005 else ""
        hue = "31,119,180" if k == true else "200,60,40"
        cells.append(f'<td title="{escape(said)}" style="background:rgba({hue},{share:.2f})">{text}</td>')
    return "".join(cells)


def _number(value: float | int | None) -> str:
    if value is None:
        return "&ndash;"
    return str(value) if isinstance(value, int) else f"{value:.4f}"


def _colour(rgb: Sequence[int]) -> str:
    return "#" + "".join(f"{value:02x}" for value in rgb)
