"""Markdown tables and pictures with escaped text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~])")


def escape(text: str) -> str:
    """Text on one line, with all markup escaped."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a header that starts with `>` aligns its column right. Cells may hold markup."""
    rule = ["---:" if header.startswith(">") else "---" for header in headers]
    lines = [[header.removeprefix(">") for header in headers], rule, *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def picture(words: str, link: str) -> str:
    """An image by a relative link."""
    return f"![{escape(words)}]({link})"
