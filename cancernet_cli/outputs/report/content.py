"""What a page consists of: sections of facts, tables, charts and sentences, all as plain text and numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Facts:
    """Names with values, as a list of definitions; as large numbers if `large`."""

    entries: Mapping[str, str]
    large: bool = False
    kind: Literal["facts"] = "facts"


@dataclass(frozen=True)
class Table:
    """A table; a heading that starts with `>` aligns its column right, as in Markdown reports."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str
    note: str = ""
    folded: bool = False
    kind: Literal["table"] = "table"


@dataclass(frozen=True)
class Words:
    """Sentences, as paragraphs or as a list."""

    sentences: Sequence[str]
    listed: bool = False
    kind: Literal["words"] = "words"


@dataclass(frozen=True)
class Chart:
    """A chart that `charts.js` draws.

    draw: name of the function that draws it. data: numbers and names, as JSON. caption: below the chart; also its text
    for screen readers.
    """

    id: str
    draw: Literal["roc", "reliability", "histogram", "forest", "confusion", "history"]
    data: Mapping[str, Any]
    title: str
    caption: str
    kind: Literal["chart"] = "chart"


@dataclass(frozen=True)
class Widget:
    """An interactive part with a template: the gallery, the threshold explorer.

    data: what its script reads, as JSON.
    """

    name: Literal["gallery", "thresholds"]
    data: Mapping[str, Any]
    kind: Literal["widget"] = "widget"


Block = Facts | Table | Words | Chart | Widget


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading; `id` is its anchor."""

    id: str
    title: str
    blocks: Sequence[Block]
    intro: str = ""


@dataclass(frozen=True)
class Page:
    """A whole page.

    warnings: at the top, in red. notes: below them. pictures: data of JPEG or PNG files, by the keys that widgets use.
    colors: RGB of each class. footer: what wrote it.
    """

    title: str
    subtitle: str
    sections: Sequence[Section]
    warnings: Sequence[str] = ()
    notes: Sequence[str] = ()
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    colors: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    footer: str = ""
