"""Help, errors, docstrings, comments and documents use plain English: phrases with a plainer alternative are rejected.

`python -m tests.test_words` prints every place and the number per room.
"""

from __future__ import annotations

import collections
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "cancernet_cli"

_PER = r"(row|line|feature|file|folder|package|step|name|colour|color|pixel|batch)"
_EACH = r"(file|slide|tile|image|class|command|verb|segmenter|backbone|line|epoch|model|row|step|run|image|part|name)"
_THING = (
    r"(file|folder|table|class|CSV|JSON|GeoJSON|number|model|slide|list|option|manifest|measurement|network|device)"
)

# Phrase: what to write instead. Each is matched on whole words, in any case, across line breaks.
PHRASES = {
    rf"(one|a) {_PER} an? {_EACH}": "one row per file",
    r"(um|micrometres|micrometers|bytes|ms|milliseconds|seconds) an? (pixel|image|tile|view|number|file|batch)": "per",
    r"(images|tiles|views|files|slides|batches|rows) a second": "per second",
    r"giv(e|ing|en) the (same )?command": "run the same command again",
    r"mend(s|ed|ing)?": "fix, repair, resolve",
    r"anew": "again, from scratch",
    r"(leav(e|es|ing) (\S+ ){0,4}|left )away": "omit",
    r"be had": "available, accessible",
    r"the whole way": "end to end",
    r"(is|are|was) none of": "is not a ..., was not written by CancerNet",
    r"of ours": "in CancerNet, by CancerNet",
    r"torn|tear(s|ing)?": "split across, kept together",
    r"lack(s|ed|ing)?": "has no, is missing",
    r"besides?": "next to, along with, in addition to",
    r"takes? (it|them|\w+) for (an?|one|the)": "treat as, mistake for",
    r"(is|are) to have": "must have, should have",
    r"of (its|their|his|ones?|one's) own": "separate, its own",
    r"(?<!look )(?<!looks )alike": "similar, equally, in the same way",
    r"at hand": "available",
    r"go(es)? by": "use, rely on",
    r"(go(es)?|gone|went) on": "continue, resume",
    r"(stands?|stood) (in(?! the way)|on|at|below|above|beneath|first|last|here|there|among|between)": "is in, is at",
    r"(files?|folders?|cards?|models?|weights|features|networks|results|maps) lies?": "is in, are in",
    r"as (it|they|these) (lies?|stands?)": "as is, unchanged",
    rf"(is|are) no {_THING}": "is not a ...",
    r"(cards?|files?|headers?|tables?|tags?|columns?|manifests?|lists?|options?) says?(?! so)": "states, specifies",
    r"squeez(e|es|ed|ing)": "resize",
    r"is told (of|when|what)": "receives, is called with",
    r"(is|are|was|were) not there": "does not exist, is not available",
    r"(is|are|was|were) there already": "already exists",
    r"each by itself": "separately, independently",
    r"quick(er|est)": "faster, fastest",
    r"likeli(er|est)": "more probable, most probable",
    r"hangs? together": "is connected",
    r"sticks? out": "extends beyond",
    r"on its way": "in progress",
    r"turn by turn": "alternating",
    r"what (\w+ ){1,4}(brings?|comes? to)": "its contents, its result",
    r"where nothing else is (said|given|told)": "by default",
    r"taken? at (its|their) word": "trusted",
    r"let(s|ting)? go of": "close, release",
    r"that (do|does) not say": "without",
    r"left out|leav(e|es|ing) out": "omitted, excluded",
    r"comes? in here": "is imported here",
    r"by (itself|themselves)": "separately, alone",
    r"judged (on|by|with)": "evaluated on",
    r"as good as": "match, equal",
    r"somebody( else)?('s)?": "third-party, a person",
    r"(every|at most|only) so many": "a number with its unit",
    r"for people": "human-readable, for the terminal",
    r"in (figures|numbers) and in words": "figures and sentences",
}
_PATTERNS = {phrase: re.compile(rf"(?<![\w-])(?:{phrase})(?![\w-])", re.IGNORECASE) for phrase in PHRASES}

Place = tuple[int, str]  # line, text with single spaces


def code_texts(source: str) -> Iterator[Place]:
    """Comments and strings of Python source; adjacent ones joined, as a reader sees them."""
    pending: list[str] = []
    kind, first = "", 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        name = tokenize.tok_name[token.type]
        if name in ("NL", "FSTRING_START", "FSTRING_END"):
            continue
        new = "comment" if name == "COMMENT" else "string" if name in ("STRING", "FSTRING_MIDDLE") else ""
        if new != kind and pending:
            yield first, " ".join(" ".join(pending).split())
            pending = []
        if new:
            first = first if pending else token.start[0]
            pending.append(token.string.lstrip("#") if new == "comment" else _words_of(token.string))
        kind = new
    if pending:
        yield first, " ".join(" ".join(pending).split())


def _words_of(string: str) -> str:
    """A string literal without its quotes, and without the expressions of an f-string."""
    words = re.sub(r"^\w{0,2}['\"]+|['\"]+$", "", string)
    return re.sub(r"\{[^{}]*\}", "x", words) if re.match(r"[rR]?[fF]", string) else words


def texts(path: Path) -> Iterator[Place]:
    """What a file has in words: a document's paragraphs without code, or a module's comments and strings."""
    source = path.read_text("utf-8")
    if path.suffix == ".py":
        yield from code_texts(source)
        return
    plain = re.sub(r"```.*?```", lambda block: "\n" * block[0].count("\n"), source, flags=re.DOTALL)
    line = 1
    for paragraph in re.split(r"(\n\s*\n)", plain):
        yield line, " ".join(re.sub(r"`[^`]*`", "`x`", paragraph).split())
        line += paragraph.count("\n")


def found_in(path: Path) -> list[str]:
    """Every place with a phrase of the list, and what to write instead."""
    return [
        f"{path.relative_to(ROOT) if path.is_relative_to(ROOT) else path.name}:{line}: "
        f"{match[0]!r}: write {PHRASES[phrase]!r}; in: ...{text[max(0, match.start() - 40) : match.end() + 40]}..."
        for line, text in texts(path)
        for phrase, pattern in _PATTERNS.items()
        for match in pattern.finditer(text)
    ]


def rooms() -> dict[str, list[Path]]:
    """Files by room: each package two levels deep in cancernet_cli, and the documents."""
    found: dict[str, list[Path]] = collections.defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        found["/".join(path.relative_to(PACKAGE).parts[:-1][:2]) or "cancernet_cli"].append(path)
    documents = (
        "*.md",
        "docs/*.md",
        "docs/*.py",
        ".github/**/*.*",
        ".ci/run",
        "Makefile",
        "*.yml",
        ".*.yaml",
        "*.toml",
        "*.cff",
    )
    found["documents"] = sorted(
        path for pattern in documents for path in ROOT.glob(pattern) if path.name != "CHANGELOG.md"
    )
    found["examples"] = sorted((*ROOT.glob("examples/*.md"), *ROOT.glob("examples/*.py")))
    found["benchmarks"] = sorted((*ROOT.glob("benchmarks/*.md"), *ROOT.glob("benchmarks/*.py")))
    return dict(found)


ROOMS = rooms()


@pytest.mark.parametrize("room", ROOMS)
def test_words_are_plain(room: str) -> None:
    found = [place for path in ROOMS[room] for place in found_in(path)]
    assert not found, "\n".join(found)


SAMPLE = '''
"""Give the same
command again, a row a file."""

# a file is no
# table, and mends itself
lack = alike("torn " f"apart, {beside} the point", "they look alike")
'''


def test_phrases_are_found_in_strings_and_comments_but_not_in_names(tmp_path: Path) -> None:
    path = tmp_path / "sample.py"
    path.write_text(SAMPLE)
    found = {place.split("'")[1].lower() for place in found_in(path)}
    assert found == {"give the same command", "a row a file", "is no table", "mends", "torn"}


def test_code_in_documents_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "sample.md"
    path.write_text(
        "The `beside` option.\n\n```python\nalike = 1\n```\n\nA recommendation on the black line,\nbeside it.\n"
    )
    assert [place.split(":")[1] for place in found_in(path)] == ["7"]


if __name__ == "__main__":
    for name, paths in ROOMS.items():
        places = [place for path in paths for place in found_in(path)]
        print(*places, f"== {name}: {len(places)}", sep="\n")
