"""Report on the overlap of masks with true masks, in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cancernet_cli.core.figures import MASK_FIGURES, counted
from cancernet_cli.core.files import write_bytes
from cancernet_cli.outputs.reports.markdown import escape, picture, table

_MEANINGS = (
    "Dice and Jaccard compare pixels; AJI (aggregated Jaccard index) and PQ (panoptic quality) compare nuclei one by "
    "one. 1 is perfect."
)
_BINARY = (
    "The true masks are binary: nuclei are their connected components, so nuclei that touch count as one. AJI, PQ and "
    "the counts are measured against these, and are lower than against masks with one value per nucleus."
)
_SOME_BINARY = "Some true masks are binary: there, nuclei are connected components, and nuclei that touch count as one."


@dataclass(frozen=True)
class ImageOverlap:
    """One image of the report. picture: link to its picture, "" without one; values: by figure."""

    path: str
    patient: str
    found: int
    true: int
    values: Mapping[str, float]
    picture: str = ""


def write_overlap_report(
    summary: Mapping[str, Any],
    images: Sequence[ImageOverlap],
    path: Path,
    *,
    model: str,
    binary: int,
    unit: str = "patient",
    remarks: Sequence[str] = (),
    sections: Sequence[str] = (),
) -> None:
    """Write the report.

    Args:
        summary: `metrics.overlap.overlap_summary` of the images. binary: how many true masks have no instances. unit:
            what figures are grouped by. remarks: sentences that come first. sections: Markdown that comes last.

    Raises:
        OutputError: the file cannot be written.
    """
    parts = _parts(summary, images, model, binary, unit, remarks)
    write_bytes(path, ("\n\n".join([*parts, *sections]) + "\n").encode())


def worst_median_best(images: Sequence[ImageOverlap]) -> dict[str, ImageOverlap]:
    """The images of the lowest, the median and the highest Dice, by these words; of few images, fewer."""
    ranked = sorted(images, key=lambda one: (one.values["dice"], one.path))
    chosen = {"worst": ranked[0], "median": ranked[len(ranked) // 2], "best": ranked[-1]}
    seen: set[str] = set()
    return {word: one for word, one in chosen.items() if not (one.path in seen or seen.add(one.path))}  # type: ignore[func-returns-value]


def _parts(
    summary: Mapping[str, Any],
    images: Sequence[ImageOverlap],
    model: str,
    binary: int,
    unit: str,
    remarks: Sequence[str],
) -> Iterator[str]:
    counts = summary["counts"]
    yield "# Overlap with true masks"
    units = f" of {counted(summary['patients'], unit)}" if unit == "patient" else ""
    yield f"{escape(model)} on {counted(summary['images'], 'image')}{units}. Research use only."
    for remark in remarks:
        yield f"**{escape(remark)}**"
    if binary:
        yield _BINARY if binary == len(images) else _SOME_BINARY
    yield _MEANINGS
    rows = [(spec.title, *_cells(summary["figures"][spec.name])) for spec in MASK_FIGURES]
    yield table(["figure", f">mean over {unit}s (95 % interval)", ">mean over images"], rows)
    correlation = counts["correlation"]
    yield (
        f"Nuclei: {counts['found']:,} found, {counts['true']:,} true. Per image, the count differs by "
        f"{counts['mean_absolute_error']:.1f} on average (mean error {counts['mean_error']:+.1f}); "
        + ("the correlation is undefined." if correlation is None else f"correlation {correlation:.2f}.")
    )
    if shown := [(word, one) for word, one in worst_median_best(images).items() if one.picture]:
        yield "## Pictures"
        yield "Left: what was found. Right: the truth."
        for word, one in shown:
            yield f"{word.capitalize()}: {escape(one.path)}, Dice {one.values['dice']:.3f}, PQ {one.values['pq']:.3f}"
            yield picture(f"{word}: {one.path}", one.picture)
    if unit == "patient":
        yield "## Patients"
        yield from _patients(summary)


def _patients(summary: Mapping[str, Any]) -> Iterator[str]:
    figures = summary["figures"]
    names = sorted(figures["dice"]["by_patient"], key=lambda name: (figures["dice"]["by_patient"][name], name))
    rows = [
        (escape(name), *(f"{figures[spec.name]['by_patient'][name]:.3f}" for spec in MASK_FIGURES)) for name in names
    ]
    yield table(["patient", *(f">{spec.title}" for spec in MASK_FIGURES)], rows)


def _cells(figure: Mapping[str, Any]) -> tuple[str, str]:
    mean = figure["patients"]
    interval = f" ({mean['low']:.3f} to {mean['high']:.3f})" if "low" in mean else ""
    return f"{mean['value']:.3f}{interval}", f"{figure['images']:.3f}"
