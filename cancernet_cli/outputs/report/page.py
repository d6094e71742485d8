"""Render a page as one HTML file that loads nothing."""

from __future__ import annotations

import base64
import functools
import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from cancernet_cli import __version__
from cancernet_cli.core.files import write_bytes
from cancernet_cli.core.text import one_line
from cancernet_cli.outputs.report.content import Page

_FOLDER = Path(__file__).parent
_STYLES = ("report.css",)
_SCRIPTS = ("page.js", "charts.js", "thresholds.js", "gallery.js")


def render(page: Page) -> bytes:
    """The page as HTML, the same bytes for the same content.

    All text is escaped, and none is on the page outside of text nodes, attributes in quotes and JSON. A content
    security policy forbids the browser to load anything.
    """
    html = (
        _environment()
        .get_template("page.html.j2")
        .render(
            page=page,
            version=__version__,
            style="\n".join(_static(name) for name in _STYLES),
            script="\n".join(_static(name) for name in _SCRIPTS),
            data=_script_json(_data(page)),
            pictures=_script_json({key: _data_uri(content) for key, content in page.pictures.items()}),
        )
    )
    return html.encode()


def write_page(page: Page, path: Path) -> int:
    """Write the page; returns its size in bytes.

    Raises:
        OutputError: the file cannot be written.
    """
    content = render(page)
    write_bytes(path, content)
    return len(content)


def embedded_bytes(content: bytes) -> int:
    """How much a picture adds to a page, in bytes."""
    return 4 * (-(-len(content) // 3)) + 64


def _data(page: Page) -> dict[str, Any]:
    """What the scripts read: charts by id, widgets by name, and the colors of classes."""
    blocks = [block for section in page.sections for block in section.blocks]
    return {
        "charts": {b.id: {"draw": b.draw, "title": b.title, **b.data} for b in blocks if b.kind == "chart"},
        "widgets": {b.name: b.data for b in blocks if b.kind == "widget"},
        "colors": {name: "#{:02x}{:02x}{:02x}".format(*rgb) for name, rgb in page.colors.items()},
    }


def _script_json(value: Any) -> str:
    """JSON that no HTML parser can mistake for the end of its element; ASCII only."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _data_uri(content: bytes) -> str:
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _sentence(text: str) -> str:
    """Text on one line that begins with a capital letter and ends with a period."""
    words = one_line(text.strip())
    return f"{words[:1].upper()}{words[1:]}{'' if words.endswith(('.', '!', '?')) else '.'}"


@functools.cache
def _environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["line"] = one_line
    found.filters["sentence"] = _sentence
    return found


@functools.cache
def _static(name: str) -> str:
    return (_FOLDER / "static" / name).read_text("utf-8")
