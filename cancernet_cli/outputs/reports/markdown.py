"""Tables, figures and pictures as Markdown; `cli.render.figures` shows the same figures on a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from cancernet_cli.core.figures import Figure, FigureSpec, figures_in, interval_note, read_figures, undefined
from cancernet_cli.core.text import one_line

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~])")


def escape(text: str) -> str:
    """Text on one line, with all markup escaped."""
    return _SPECIAL.sub(r"\\\1", one_line(" ".join(text.split())))


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a header that starts with `>` aligns its column right. Cells may hold markup."""
    rule = ["---:" if header.startswith(">") else "---" for header in headers]
    lines = [[header.removeprefix(">") for header in headers], rule, *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def picture(words: str, link: str) -> str:
    """An image by a relative link."""
    return f"![{escape(words)}]({link})"


def figure_text(figure: Figure, spec: FigureSpec | None = None) -> str:
    """`0.91 (0.85 to 0.95)`; with `spec`, one decimal more than on a terminal."""
    return figure.text(2 if spec is None else spec.decimals + 1, to=" to ")


def figure_table(group: Mapping[str, Any]) -> Iterator[str]:
    """Every figure of a group of images with its interval and count, and why some are undefined."""
    figures = read_figures(group, "images")
    note = interval_note(figures.values())
    yield f"{note[0].upper()}{note[1:]}; n: images, or cases where a figure is case-weighted."
    rows = [
        (spec.title, figure_text(figures[spec.name], spec), f"{figures[spec.name].count:,}")
        for spec in figures_in("images")
        if spec.name in figures
    ]
    yield table(["figure", ">value", ">n"], rows)
    reasons = [f"- {', '.join(titles)}: {escape(reason)}." for reason, titles in undefined(figures).items()]
    if reasons:
        yield "\n".join(reasons)


def difference_table(differences: Mapping[str, Mapping[str, Any]], this: str, other: str) -> str:
    """The figures of two classifiers and their differences; `this` and `other` may hold markup."""
    figures = read_figures(differences, "differences")
    rows = []
    for spec in figures_in("differences"):
        if spec.name in figures:
            both = (Figure.from_json({"value": differences[spec.name][side]}) for side in ("this", "other"))
            rows.append((spec.title, *(figure_text(one, spec) for one in (*both, figures[spec.name]))))
    return table(["figure", f">{this}", f">{other}", ">difference"], rows)
