"""Text from files, made safe to show: on a terminal, in logs, reports and messages."""

from __future__ import annotations


def one_line(text: str) -> str:
    r"""Text on one line without control characters, which appear as `\n`, `\x1b`, `\u202e`.

    Escaped is what Python does not consider printable: control characters (C0, C1), line and paragraph separators,
    invisible formatting such as bidirectional overrides, lone surrogates, and spaces other than the usual one. Escaped
    text stays as it is.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
