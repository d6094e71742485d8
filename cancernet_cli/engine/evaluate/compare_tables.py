"""Compare two predictions tables: figures, and sentences that interpret them."""

from __future__ import annotations

from typing import Any

from cancernet_cli.core.errors import InputError
from cancernet_cli.core.figures import figures_in
from cancernet_cli.core.text import one_line
from cancernet_cli.engine.evaluate.join import Pairs, join
from cancernet_cli.engine.evaluate.labelled import Change, in_turn
from cancernet_cli.engine.evaluate.relabel import Redecide
from cancernet_cli.engine.evaluate.source import Source
from cancernet_cli.engine.evaluate.training_images import KEPT_APART, set_apart
from cancernet_cli.metrics.paired import compare_scores
from cancernet_cli.metrics.resampling import Resampling


def compare_tables(
    this: Source,
    other: Source,
    change: Change,
    *,
    threshold: float | None,
    relabelled: bool,
    resampling: Resampling,
) -> tuple[dict[str, Any], Pairs]:
    """Differences, McNemar's test and warnings, as metrics.json has them, and the pairs they are computed from.

    Args:
        change: applied to the rows of `this`. threshold: decides both again; None keeps the decisions of each table.

    Raises:
        InputError: the tables have different classes, or cannot be joined (`evaluate.join.join`).
    """
    if set(this.classes) != set(other.classes):
        raise InputError(
            f"{this.table} has the classes {', '.join(this.classes)}, {other.table} has {', '.join(other.classes)}",
            fix="compare tables of the same classes",
        )
    again = Redecide(this.classes, threshold) if threshold is not None else None
    pairs = join(
        this.table,
        other.table,
        this.classes,
        change,
        in_turn(again),
        relabelled=relabelled,
        thresholds_of=(this.threshold_of, other.threshold_of),
    )
    names = names_of(this, other)
    found = compare_scores(pairs.this, pairs.other, resampling)
    overlaps = [
        set_apart(pairs.this, recognized, source.seen, source.seen_note).overlap
        for source, recognized in zip((this, other), pairs.seen, strict=True)
    ]
    warnings = [
        f"{name}: {overlap['warning'].removesuffix(KEPT_APART)}; the differences include them"
        for name, overlap in zip(names, overlaps, strict=True)
        if overlap["images"]
    ]
    warnings += [*other.remarks, *_left_out(pairs, names)]
    if found["differences"]["auroc"]["interval_unit"] == "image":
        warnings.append("the patient of some images is unknown, so intervals treat images as independent")
    found |= {
        "this_name": names[0],
        "other_name": names[1],
        "other_table": str(other.table),
        "other_model": other.model,
        "unmatched_this": pairs.unmatched_this,
        "unmatched_other": pairs.unmatched_other,
        "unusable": pairs.unusable,
        "leaks": list(map(one_line, other.leaks)),
        "warnings": list(map(one_line, warnings)),
    }
    return {**found, "words": list(map(one_line, _words(found)))}, pairs


def names_of(this: Source, other: Source) -> tuple[str, str]:
    """Names for the two tables: those of their files, with the folder if these are the same."""
    names = [source.table.stem for source in (this, other)]
    if names[0] == names[1]:
        names = [f"{source.table.resolve().parent.name}/{source.table.stem}" for source in (this, other)]
    return (names[0], names[1]) if names[0] != names[1] else ("this table", "the other table")


def _left_out(pairs: Pairs, names: tuple[str, str]) -> list[str]:
    """Rows that the comparison does not count."""
    warnings = []
    for n, has, other in ((pairs.unmatched_this, *names), (pairs.unmatched_other, *names[::-1])):
        if n:
            warnings.append(f"{n:,} rows of {has} have a path that is not in {other}; they are not compared")
    if pairs.unusable:
        warnings.append(
            f"{pairs.unusable:,} images failed in one of the tables or have no label; they are not compared"
        )
    return warnings


def _words(found: dict[str, Any]) -> list[str]:
    """Which of the two is better: one sentence per figure."""
    this, other = found["this_name"], found["other_name"]
    sentences = []
    for spec in figures_in("differences"):
        entry, name = found["differences"][spec.name], spec.title
        if entry["value"] is None:
            sentences.append(f"{name}: no difference: {entry['reason']}")
            continue
        by, verdict = abs(entry["value"]), entry["verdict"]
        if verdict == "unknown":
            sentences.append(
                f"{name}: {this} minus {other} is {entry['value']:+.3f}, without interval: {entry['interval_reason']}"
            )
            continue
        interval = f"95 % interval of the difference, {entry['low']:+.3f} to {entry['high']:+.3f},"
        if verdict == "unclear":
            sentences.append(f"{name}: no clear difference; the {interval} includes 0")
        else:
            better = this if verdict == "this" else other
            sentences.append(f"{name}: {better} is better by {by:.3f}; the {interval} excludes 0")
    test = found["mcnemar"]
    sentences.append(
        f"McNemar's exact test: {test['only_this_right']:,} images are right only in {this}, "
        f"{test['only_other_right']:,} only in {other}, p = {test['p_value']:.2g}; it assumes independent images, "
        "which several images of one patient are not"
    )
    return sentences
