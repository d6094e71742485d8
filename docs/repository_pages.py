"""MkDocs hook: add the README and every repository file that a page links to, so that no link leaves the site.

`README.md` becomes `index.md`; any other file outside `docs/` becomes `repository/<its path>`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md", "examples/README.md")
_LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")


def on_files(files: Files, *, config: Any) -> Files:
    """Add the pages in the navigation, then whatever they link to."""
    pending = [ROOT / name for name in PAGES] + sorted(DOCS.glob("*.md"))
    seen = set(pending)
    while pending:
        source = pending.pop()
        if not source.is_relative_to(DOCS):
            files.append(File.generated(config, _uri(source), abs_src_path=str(source)))
        if source.suffix == ".md":
            linked = {_target(source, link) for link in _LINK.findall(source.read_text("utf-8"))} - seen
            pending += sorted(path for path in linked if path.is_file())
            seen |= linked
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Files) -> str:
    """Rewrite the page's links from places in the repository to places on the site."""
    source = Path(page.file.abs_src_path)
    if not source.is_relative_to(ROOT):
        return markdown

    def rewritten(match: re.Match[str]) -> str:
        target = _target(source, match[1])
        return "](" + os.path.relpath(_uri(target), os.path.dirname(page.file.src_uri)) if target.exists() else match[0]

    return _LINK.sub(rewritten, markdown)


def _target(source: Path, link: str) -> Path:
    """The file that a link in `source` names; of a folder, its README."""
    path = (source.parent / link).resolve()
    return path / "README.md" if path.is_dir() else path


def _uri(path: Path) -> str:
    """Where a repository file is on the site, relative to the site's root."""
    if path == ROOT / "README.md":
        return "index.md"
    if path.is_relative_to(DOCS):
        return path.relative_to(DOCS).as_posix()
    return f"repository/{path.relative_to(ROOT).as_posix()}"
