"""Text from files, made safe to show: on a terminal, in logs, reports and messages."""

from __future__ import annotations


def words_of(error: BaseException) -> str:
    """The message of an exception on one line, without the number and name of an OSError; its class if it has none."""
    words = getattr(error, "strerror", None) or str(error)
    return " ".join(str(words).split()) or type(error).__name__


def one_line(text: str) -> str:
    r"""Text on one line without control characters, which appear as `\n`, `\x1b`, `\u202e`.

    Escaped is what Python does not consider printable: control characters (C0, C1), line and paragraph separators,
    invisible formatting such as bidirectional overrides, lone surrogates, and spaces other than the usual one. Escaped
    text stays as it is.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
