"""A model card on the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cancernet_cli.core.cards import Card, Decision, Domain, checked_weights, split_stamp
from cancernet_cli.core.errors import ModelError
from cancernet_cli.core.figures import Figure, counted, show_percent, title_of
from cancernet_cli.core.models import bundled_models

if TYPE_CHECKING:
    from rich.console import RenderableType

COMPARED = "other_segmenters"  # only the figures of COMPARED_BY are shown for these; JSON has all
COLOR = "color_alone"
COMPARED_BY = (("images", "auroc"), ("images", "accuracy"), ("patients", "auroc"))
# Shown of images in addition to those that rank them, in this order; the first where every case has the same weight.
SHORT_FIGURES = (("case_weighted_recall", "case_weighted_specificity"), ("accuracy", "recall", "specificity"))
MOST_GROUPS = 8
LINE = 64  # characters of a value next to its name, in 80 columns
# The first of these on a card is shown in the list of models.
HEADLINES = ("case_weighted_auroc", "auroc", "dice", "accuracy")


def card_parts(card: Card, folder: Path, *, full: bool = False) -> Iterator[RenderableType]:
    """What a reader must know of a card, on one screen of 80 x 30; with `full`, everything on it."""
    from rich.text import Text

    title = f"{card.name}: {card.summary}" if card.summary else card.name
    yield Text(title if full else textwrap.shorten(title, 2 * 80, placeholder=" ..."), style="bold")
    yield from _warnings(card)
    if not full:
        yield facts_table(_short(card, folder))
        name = folder.name if folder in bundled_models().values() else folder
        yield Text(f"Everything on the card: cancernet models show {name} --full", style="dim")
        return
    yield section("Use", {"intended": card.use.intended, "not for": card.use.not_for})
    yield from _figure_parts(card.metrics)
    yield section("Training", training(card))
    yield section("Model", model(card, folder))


def _warnings(card: Card) -> Iterator[RenderableType]:
    """Leaks, the kind of split, and doubts about the model."""
    from rich.text import Text

    from cancernet_cli.core.text import one_line

    if card.training.leaks:
        yield Text("LEAKING SPLIT: no figure below is an estimate", style="bold red")
        yield from (Text(f"- {one_line(leak)}", style="red") for leak in card.training.leaks)
    elif card.training.stamp:
        yield Text(f"{card.training.stamp}; figures may be too high", style="bold red")
    yield from (Text(f"warning: {one_line(doubt)}", style="bold yellow") for doubt in card.training.doubts)


def _figure_parts(metrics: dict[str, Any]) -> Iterator[RenderableType]:
    """Every figure of a card; of several divisions, those of the first alone are only in `--format json`."""
    from cancernet_cli.cli.render.divisions import divisions_parts

    metrics = dict(metrics)
    if divisions := metrics.pop("divisions", None):
        metrics.pop("out_of_fold", None)
        yield from divisions_parts(divisions)
    shown = (found for found in figures(metrics) if found[0][0] != COMPARED or found[0][2:] in COMPARED_BY)
    facts = {" / ".join(path): figure_text(figure) for path, figure in shown}
    if facts or not divisions:
        yield section("Metrics", facts)


def _short(card: Card, folder: Path) -> dict[str, str]:
    """The facts of a card that fit a screen."""
    whole = model(card, folder)
    parts = [whole["network"], f"levels {whole['levels']}" if whole["levels"] else "", whole["head"]]
    return {
        "intended": _cut(card.use.intended, 2),
        "not for": _cut(card.use.not_for, 2),
        "data": _cut(card.training.data, 1),
        "training": _training_line(card),
        **_main_figures(card.metrics),
        "divisions": _divisions_line(card.metrics.get("divisions")),
        "network": _cut(", ".join(part for part in parts if part), 1),
        "classes": _cut(whole["classes"], 1),
        "view": _cut(", ".join(filter(None, (whole["view"], whole["magnifications"]))), 2),
        "segmenter": _cut(whole.get("segmenter", ""), 1),
        "decision": _cut(whole["decision"], 1),
        **{name: _cut(whole.get(name, ""), 2) for name in ("unsure for", "promise", "label given to", "domain")},
        "weights": whole["weights"],
        "folder": whole["folder"],
    }


def _training_line(card: Card) -> str:
    """`530 images of 20 patients, split by patient, 5 folds`."""
    facts = card.training
    parts = [counted(facts.images, "image")] if facts.images else []
    members = {name for names in facts.splits.values() for name in names}
    if members and not split_stamp(facts.group_by):
        parts.append(counted(len(members), "patient"))
    words = " of ".join(parts)
    folds = sum(name.startswith("fold") for name in facts.splits)
    of_split = counted(folds, "fold") if folds else ", ".join(facts.splits)
    return ", ".join(filter(None, (words, f"split by {facts.group_by}" if facts.group_by else "", of_split)))


def _main_figures(metrics: dict[str, Any]) -> dict[str, str]:
    """One line per group of figures: of its images, patients, magnifications."""
    groups: dict[str, list[str]] = {}
    if "divisions" in metrics:  # their means instead of the first of them
        metrics = {key: value for key, value in metrics.items() if key != "out_of_fold"}
    known = [
        (path, figure)
        for path, figure in figures(metrics)
        if path[0] != COMPARED and isinstance(figure, dict) and figure.get("value") is not None
    ]
    names = {path[-1] for path, _ in known}
    short = next((some for some in SHORT_FIGURES if names.issuperset(some)), SHORT_FIGURES[-1])
    for path, figure in known:
        name = path[-1]
        is_ranking = "auroc" in name or "dice" in name
        is_image = len(path) < 3 or path[-2] == "images"
        if path[0] == COLOR:
            group, is_wanted = "color alone", is_ranking and is_image
        else:
            group, is_wanted = path[-2] if len(path) > 1 else path[0], is_ranking or (is_image and name in short)
        if is_wanted and group != "unknown":  # the magnification of these images
            title = f"{group}x" if "by_magnification" in path else group.replace("_", " ")
            groups.setdefault(title, []).append(f"{title_of(name)} {Figure.from_json(figure).text()}")
    return {
        name: _cut(", ".join(words), 3 if name == "images" else 2) for name, words in list(groups.items())[:MOST_GROUPS]
    }


def _divisions_line(divisions: dict[str, Any] | None) -> str:
    """`means of 5 divisions into folds; case-weighted AUROC 0.84 to 0.88`."""
    if not divisions:
        return ""
    words = f"means of {divisions['count']} divisions into folds"
    figure = divisions["images"].get(HEADLINES[0])
    spread = Figure.from_json(figure).spread if figure else None
    return words + (f"; {title_of(HEADLINES[0])} {spread[0]:.2f} to {spread[1]:.2f}" if spread else "")


def _cut(text: str, lines: int) -> str:
    """The text, cut at a word so that it fits this number of lines in 80 columns."""
    return textwrap.shorten(text, lines * LINE, placeholder=" ...")


def training(card: Card) -> dict[str, str]:
    splits = {
        f"split {name}": f"{len(members)}: {', '.join(members)}" for name, members in card.training.splits.items()
    }
    return {
        "data": card.training.data,
        "licence": card.training.licence,
        "url": card.training.url,
        "citation": card.training.citation,
        "images": str(card.training.images or ""),
        "labels": card.training.labels,
        "split by": card.training.group_by,
        **splits,
        "command": card.training.command,
        "seed": str(card.training.seed),
    }


def model(card: Card, folder: Path) -> dict[str, str]:
    """Network, input, decision, and the state of the weights."""
    view, decision, segmentation = card.input, card.decision, card.segmentation
    facts = {
        "folder": str(folder),
        "task": card.task,
        "network": network(card),
        "levels": ", ".join(map(str, card.architecture.levels)),
        "head": card.architecture.head,
        "classes": ", ".join(card.architecture.classes),
        "view": f"{view.view}, {view.width_px} x {view.height_px} pixels at scale {view.scale:g}",
        "scales": ", ".join(f"{power:g}x {scale:g}" for power, scale, _ in view.known_magnifications),
        "magnifications": ", ".join(f"{m:g}x" for m in view.magnifications),
        "mpp": "" if view.mpp is None else f"{view.mpp:g}",
        "slide tile": f"{view.tile_px[0]} x {view.tile_px[1]} pixels at {view.mpp:g} µm/px" if view.tile_px else "",
    }
    if card.task == "classify":
        facts["for"] = card.use.suits
        facts["segmenter"] = (
            f"{segmentation.segmenter}, background weight {segmentation.background_weight:g} "
            f"(allowed: {', '.join(segmentation.allowed)})"
        )
        facts["segmentation model"] = segmentation.model
        facts["decision"] = (
            f"{decision.positive} when its probability is at least {decision.threshold:.3f}"
            if decision.positive
            else ""
        )
        facts |= unsure(decision)
        facts["domain"] = _domain(card.domain)
        facts["temperature"] = f"{decision.temperature:.3f}"
    else:
        facts["decision"] = f"a nucleus when its probability is at least {decision.threshold:.3f}"
    try:
        checked_weights(folder, card)
        state = f"{card.weights.size_bytes / 1e6:.1f} MB, SHA-256 {card.weights.sha256[:16]}..., matches the card"
    except ModelError as error:
        state = str(error)
    facts |= {
        "chosen on": decision.chosen_on,
        "weights": state,
        "licence": card.weights.licence,
        "started from": card.weights.started_from,
        "paper": card.paper,
    }
    return facts


def unsure(decision: Decision) -> dict[str, str]:
    """When the label is `unsure`, and what that promises."""
    abstain = decision.abstain
    if abstain is None:
        return {}
    when = [f"flags {', '.join(abstain.flags)}"] if abstain.flags else []
    if abstain.low is not None and abstain.high is not None and abstain.low < abstain.high:
        when = [f"a probability of {decision.positive} from {abstain.low:.3f} to {abstain.high:.3f}", *when]
    found = {"unsure for": "; ".join(when), "promise": "none"}
    if abstain.error is not None:
        found["promise"] = (
            f"new cases: at most {show_percent(100 * abstain.error)} of a class's images get the other label"
        )
    if abstain.coverage is not None:
        found["label given to"] = f"{show_percent(100 * abstain.coverage)} of the images it was fitted on"
    if abstain.covered_accuracy is not None:
        found["label given to"] += f"; {show_percent(100 * abstain.covered_accuracy)} of these labels are right"
    return found | {"promise based on": abstain.chosen_on}


def _domain(domain: Domain) -> str:
    """How the model recognizes images unlike its training images."""
    if not domain.rank:
        return "unknown: this model cannot tell whether an image is like its training images"
    flagged = f"{show_percent(100 * domain.flagged)} of those of {domain.cases} held-out cases"
    return f"flags images unlike its training images: {flagged}"


def section(title: str, facts: dict[str, str]) -> RenderableType:
    """A heading and its non-empty facts."""
    return facts_table(facts, title=f"\n{title}")


def facts_table(facts: dict[str, str], title: str | None = None) -> RenderableType:
    """Names and values in two columns, without those that are empty."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", title_style="bold", show_header=False, box=None, pad_edge=False)
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for name, value in facts.items():
        if value:
            table.add_row(Text(name), Text(value))
    if not table.row_count:
        table.add_row("", "not on the card")
    return table


def network(card: Card) -> str:
    """The backbone, or the encoder of a segmentation model."""
    return card.architecture.backbone or f"U-Net on {card.architecture.encoder.removeprefix('tu-')}"


def figures(metrics: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every figure of a card with its path of names.

    A table with `value` is one figure, as is a table of counts, such as a confusion matrix.
    """
    for name, value in metrics.items():
        if isinstance(value, dict) and "value" not in value and not all(isinstance(v, int) for v in value.values()):
            yield from figures(value, (*path, name))
        else:
            yield (*path, name), value


def figure_text(figure: Any) -> str:
    """A figure as text, with its interval and count: `0.800 (95% CI 0.700 to 0.900 over 20 patients), n 530`.

    An exact bound reads `1.000 (at least 0.861, 95% exact bound over 20 patients)`.
    """
    if not isinstance(figure, dict):
        return f"{figure:.3f}" if isinstance(figure, float) else str(figure)
    known = dict(figure)
    texts = [figure_text(known.pop("value"))] if "value" in known else []
    unit = known.pop("interval_unit", "patient")
    low, high, units = known.pop("low", None), known.pop("high", None), known.pop("interval_units", None)
    if low is not None and high is not None:
        over = f" over {units} {unit}s" if units is not None else ""
        if known.pop("interval_method", "") == "exact":
            end = f"at least {figure_text(low)}" if figure["value"] == 1 else f"at most {figure_text(high)}"
            texts[0] += f" ({end}, 95% exact bound{over})"
        else:
            texts[0] += f" (95% CI {figure_text(low)} to {figure_text(high)}{over})"
    if "value" in figure and "count" in known:
        texts.append(f"n {known.pop('count')}")
    texts += [f"{name.replace('_', ' ')} {figure_text(value)}" for name, value in known.items()]
    return ", ".join(texts)


def headline(card: Card) -> str:
    """The main figure of a card with its interval; empty if it has none."""
    first: dict[str, Any] = {}
    in_order = {name: card.metrics[name] for name in ("divisions", *card.metrics) if name in card.metrics}
    for path, figure in figures(in_order):
        first.setdefault(path[-1], figure)
    for name in HEADLINES:
        if name in first:
            found, kept = first[name], ("value", "low", "high", "interval_method")
            figure = {key: found[key] for key in kept if key in found} if isinstance(found, dict) else found
            shown = f"{title_of(name)} {figure_text(figure)}"
            stamp = card.training.stamp
            return f"{stamp}: {shown}" if card.training.leaks else f"{shown}; {stamp}" if stamp else shown
    return ""
