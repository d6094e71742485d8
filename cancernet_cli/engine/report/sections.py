"""Sections of a page that need no labels: counts, failures, flags, probabilities, the gallery, run and model."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from cancernet_cli.core.choices import UNSURE
from cancernet_cli.core.figures import counted, show_percent
from cancernet_cli.core.text import one_line
from cancernet_cli.engine.evaluate.source import Source
from cancernet_cli.engine.report.overview import Overview
from cancernet_cli.engine.report.sample import REASONS
from cancernet_cli.engine.report.thumbnails import RowPictures
from cancernet_cli.outputs.report.content import Block, Chart, Facts, Section, Table, Widget

_FAILURES_SHOWN = 20
_ONLY_IN_SAMPLES = ("label", "random")  # without meaning where all rows are shown
_GALLERY = (
    *("number", "rank", "path", "kind", "status", "error", "label", "truth", "probs", "threshold", "patient", "slide"),
    *("magnification", "mpp", "novelty", "flags", "size", "tiles", "mask_fraction", "seen", "why"),
    *("layers", "box", "contours", "parts", "missing"),
)


def summary_section(found: Overview, source: Source) -> Section:
    """Counts, labels, flags and the reasons of failures, of all rows."""
    kinds = " and ".join(counted(found.kinds[kind], kind) for kind in ("image", "slide") if found.kinds[kind])
    entries = {"files": f"{found.rows:,}", "with a prediction": f"{found.statuses['ok'] + found.statuses['partial']:,}"}
    entries |= {
        f"labeled {name} ({_percent(found.labels[name], found.rows)})": f"{found.labels[name]:,}"
        for name in (*source.classes, *([UNSURE] if found.labels[UNSURE] else []))
    }
    entries["failed"] = f"{found.statuses['failed']:,}"
    if found.statuses["partial"]:
        entries["partial: some tiles failed"] = f"{found.statuses['partial']:,}"
    blocks: list[Block] = [Facts(entries, large=True), _histogram(found, source)]
    if found.flags:
        blocks.append(_counts(found.flags, found.rows, "Flags: reasons to distrust a prediction", "flag"))
    if found.failures:
        blocks.append(_counts(found.failures, found.rows, "Failures and partial failures by reason", "reason"))
    intro = f"{kinds or 'No files'}, classified by {source.model or 'an unknown model'}. Counts are over all rows."
    return Section("summary", "Summary", blocks, intro)


def gallery_section(
    found: Overview, rows: Mapping[int, Mapping[str, Any]], pictures: Sequence[RowPictures], source: Source
) -> Section:
    """The rows that are shown, in the table's order, and how they were chosen."""
    by_number, ranks = {one.number: one for one in pictures}, {n: rank for rank, n in enumerate(found.sample)}
    everything = len(rows) == found.rows
    data = {
        "names": list(_GALLERY),
        "rows": [
            _gallery_row((n, ranks[n]), rows[n], _reasons(found.sample[n], everything), by_number.get(n), source)
            for n in sorted(rows)
        ],
        "classes": list(source.classes),
        "positive": source.positive,
        "reasons": {
            name: words for name, (words, _) in REASONS.items() if not (everything and name in _ONLY_IN_SAMPLES)
        },
    }
    return Section("gallery", "Gallery", [Widget("gallery", data)], _which_rows(found, rows, pictures))


def picture_files(pictures: Sequence[RowPictures]) -> dict[str, bytes]:
    """The pictures by the keys that the gallery uses."""
    files = {f"{one.number}/{name}": content for one in pictures for name, content in one.layers.items()}
    files |= {f"{one.number}/tile{i}": part[2] for one in pictures for i, part in enumerate(one.parts)}
    return files


def _histogram(found: Overview, source: Source) -> Chart:
    two = len(source.classes) == 2
    order = [name for name in (*source.classes, "") if name in found.histogram]
    others = [name for name in sorted(found.histogram) if name not in order]
    titles = {"": "true label unknown"}
    groups = [
        {
            "name": name,
            "title": f"{titles.get(name) or f'truly {one_line(name)}'} ({int(found.histogram[name].sum()):,})",
            "counts": found.histogram[name].tolist(),
        }
        for name in [*order, *others]
    ] or [{"name": "", "title": "no predictions", "counts": [0] * 50}]
    what = f"probability of {source.positive}" if two else "probability of the most probable class"
    data = {"groups": groups, "thresholds": sorted(found.thresholds)[:3], "xTitle": what}
    total = sum(sum(group["counts"]) for group in groups)
    caption = f"{what[0].upper()}{what[1:]}, {counted(total, 'prediction')}."
    return Chart("probabilities", "histogram", data, "Distribution", caption)


def _which_rows(found: Overview, rows: Mapping[int, Any], pictures: Sequence[RowPictures]) -> str:
    seen = sum(1 for one in pictures if one.layers)
    if len(rows) == found.rows:
        which = f"All {found.rows:,} rows" if found.rows > 1 else "The only row"
        if seen >= len(rows):
            return f"{which}, with a picture each."
        return f"{which}; {seen:,} with a picture, chosen like a sample of a larger table: most wrong, nearest the " + (
            "threshold, flagged, some of each label, and at random."
        )
    counts = Counter(reason for reasons in found.sample.values() for reason in reasons)
    parts = ", ".join(f"{counts[name]:,} {words}" for name, (words, _) in REASONS.items() if counts[name])
    return (
        f"A sample: {len(rows):,} of {found.rows:,} rows, {seen:,} of them with a picture. Chosen as: {parts}; a row "
        "can be several of these. The sample overstates errors and doubts; counts and metrics are over all rows."
    )


def _reasons(reasons: Sequence[str], everything: bool) -> list[str]:
    return [name for name in reasons if not (everything and name in _ONLY_IN_SAMPLES)]


def _gallery_row(
    place: tuple[int, int], row: Mapping[str, Any], why: list[str], pictures: RowPictures | None, source: Source
) -> list[Any]:
    """The values of `_GALLERY`; `place` is the row's number and its rank in the sample."""
    number, rank = place
    probs = [_number(row.get(f"prob_{name}")) for name in source.classes]
    shown = pictures or RowPictures(number)
    size = f"{row['width_px']} × {row['height_px']} px" if row.get("width_px") and row.get("height_px") else None
    values = {
        "number": number,
        "rank": rank,
        "path": one_line(str(row["path"])) if row.get("path") is not None else f"row {number + 1}",
        "kind": row.get("kind") or "image",
        "status": row.get("status") or "ok",
        "error": one_line(row.get("error") or ""),
        "label": _text(row.get("label")),
        "truth": _text(row.get("true_label")),
        "probs": None if None in probs else probs,
        "threshold": _number(row.get("decision_threshold")),
        "flags": _text(row.get("flags")) or "",
        "size": size,
        "seen": bool(row.get("seen_in_training")),
        "why": why,
        "layers": list(shown.layers),
        "box": list(shown.box),
        "contours": shown.contours,
        "parts": [{"why": words, "p": _number(p)} for words, p, _ in shown.parts],
        "missing": one_line(shown.missing),
        **{name: _text(row.get(name)) for name in ("patient", "slide")},
        **{name: _number(row.get(name)) for name in ("magnification", "mpp", "novelty", "tiles", "mask_fraction")},
    }
    return [values[name] for name in _GALLERY]


def _counts(counts: Counter[str], total: int, caption: str, heading: str) -> Table:
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rows = [(name.replace("_", " ") if heading == "flag" else name, f"{n:,}", _percent(n, total)) for name, n in most]
    left = f"and {len(rows) - _FAILURES_SHOWN:,} more" if len(rows) > _FAILURES_SHOWN else ""
    return Table([heading, ">files", ">of all"], rows[:_FAILURES_SHOWN], caption, left)


def _percent(count: int, total: int) -> str:
    return show_percent(100 * count / total) if total else "–"


def _number(value: Any) -> float | int | None:
    """A number for JSON; None for null, NaN and infinity. float32 has seven digits."""
    if value is None or not math.isfinite(value):
        return None
    return value if isinstance(value, int) else float(f"{value:.7g}")


def _text(value: Any) -> str | None:
    return None if value is None else one_line(str(value))
