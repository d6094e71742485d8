"""Write the table of all results, `results/README.md`, from their JSON files; `machine.report` updates it.

python benchmarks/results_table.py
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
TABLE = "README.md"
SHOWN = 8  # values per result in the table
# Values worth listing, most informative first.
HEADLINES = (
    "*_ratio",
    "*ratio_of_*",
    "*.against_fp32.auroc.value",
    "*.against_fp32.labels_changed",
    "*of_the_slower",
    "*busy_by_rates",
    "*compiled_images_per_s.median",
    "*_images_per_s",
    "*images_per_s.median",
    "*images_per_s",
    "*tiles_per_s*",
    "*.images.auroc.value",
    "*auroc",
    "formats.*.ms",
    "*.median_s",
    "*peak_rss_mb*",
    "*peak_tree_mb*",
    "*same_bytes",
    "*elapsed_s",
    "largest_difference_without_resizing",
    "asked.*.mean.*",
)
OMITTED = ("versions.*", "machine.*", "*.rounds*", "*uncompiled*", "fp32.against_fp32.*")
HEAD = """# Results

Written by `.venv/bin/python benchmarks/results_table.py` from the JSON files here, which also have versions, spreads
and every round. A ratio above 1 states how many times as fast CancerNet was. The load is that of the machine before the
run: if it is above a tenth of the cores, times are too long.

| date | result | machine | load | figures |
|---|---|---|---|---|
"""


def table(folder: Path) -> str:
    """The table of the JSON files in a folder, newest first."""
    paths = sorted(folder.glob("*.json"), key=lambda path: (path.name[:10], path.name), reverse=True)
    return HEAD + "".join(f"{row(path)}\n" for path in paths)


def row(path: Path) -> str:
    """One line of the table."""
    result = json.loads(path.read_text("utf-8"))
    machine = result["machine"]
    name = path.stem.removeprefix(f"{result['date']}-")
    where = f"{machine['gpu'] or machine['processor']}, {machine['cores']} cores"
    load = machine.get("load_before")
    figures = "; ".join(f"{key} {shown(value)}" for key, value in headlines(result)) or "see the file"
    return f"| {result['date']} | [{name}]({path.name}) | {where} | {load[0] if load else '-'} | {figures} |"


def headlines(result: dict[str, Any]) -> list[tuple[str, Any]]:
    """The most informative values of a result, by their names in the file."""
    found = {
        key: value
        for key, value in flat(result)
        if isinstance(value, bool | int | float) and not any(fnmatch(key, omitted) for omitted in OMITTED)
    }
    chosen = [key for pattern in HEADLINES for key in found if fnmatch(key, pattern)]
    return [(key, found[key]) for key in list(dict.fromkeys(chosen))[:SHOWN]]


def flat(values: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Every value by its dotted path."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def shown(value: float) -> str:
    """A number with a sensible number of digits."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def write(folder: Path = RESULTS) -> None:
    """Update the table."""
    (folder / TABLE).write_text(table(folder), "utf-8")


if __name__ == "__main__":
    write()
