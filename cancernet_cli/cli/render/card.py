"""A model card on the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cancernet_cli.core.cards import Card, Domain, checked_weights
from cancernet_cli.core.errors import ModelError

if TYPE_CHECKING:
    from rich.console import RenderableType

COMPARED = "other_segmenters"  # only the figures of COMPARED_BY are shown for these; JSON has all
COMPARED_BY = (("images", "auroc"), ("images", "accuracy"), ("patients", "auroc"))
HEADLINES = ("auroc", "dice", "accuracy")  # the first of these on a card is shown in the list of models


def card_parts(card: Card, folder: Path) -> Iterator[RenderableType]:
    """The sections of a card."""
    from rich.text import Text

    from cancernet_cli.cli.render.predictions import one_line

    yield Text(f"{card.name}: {card.summary}" if card.summary else card.name, style="bold")
    yield section("Use", {"intended": card.use.intended, "not for": card.use.not_for})
    shown = (found for found in figures(card.metrics) if found[0][0] != COMPARED or found[0][2:] in COMPARED_BY)
    if card.training.leaks:
        yield Text("\nLEAKING SPLIT: no figure below is an estimate", style="bold red")
        yield from (Text(f"- {one_line(leak)}", style="red") for leak in card.training.leaks)
    yield section("Metrics", {" / ".join(path): figure_text(figure) for path, figure in shown})
    yield section("Training", training(card))
    yield section("Model", model(card, folder))


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
        "magnifications": ", ".join(f"{m:g}x" for m in view.magnifications),
        "mpp": "" if view.mpp is None else f"{view.mpp:g}",
    }
    if card.task == "classify":
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


def _domain(domain: Domain) -> str:
    """How the model recognizes images unlike its training images."""
    if not domain.rank:
        return "unknown: this model cannot tell whether an image is like its training images"
    unseen = f"{100 * domain.flagged:.1f} % of the images of {domain.cases} held-out cases"
    return f"flags images unlike its training images, and {unseen} (at most {100 * domain.share:.0f} % expected)"


def section(title: str, facts: dict[str, str]) -> RenderableType:
    """A heading and its non-empty facts."""
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=f"\n{title}", title_justify="left", title_style="bold", show_header=False, box=None, pad_edge=False
    )
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
    """A figure as text, with its interval and count: `0.800 (95% CI 0.700 to 0.900 over 20 patients), n 530`."""
    if not isinstance(figure, dict):
        return f"{figure:.3f}" if isinstance(figure, float) else str(figure)
    known = dict(figure)
    texts = [figure_text(known.pop("value"))] if "value" in known else []
    low, high, units = known.pop("low", None), known.pop("high", None), known.pop("interval_units", None)
    if low is not None and high is not None:
        over = f" over {units} patients" if units is not None else ""
        texts[0] += f" (95% CI {figure_text(low)} to {figure_text(high)}{over})"
    if "value" in figure and "count" in known:
        texts.append(f"n {known.pop('count')}")
    texts += [f"{name.replace('_', ' ')} {figure_text(value)}" for name, value in known.items()]
    return ", ".join(texts)


def headline(card: Card) -> str:
    """The main figure of a card with its interval; empty if it has none."""
    first: dict[str, Any] = {}
    for path, figure in figures(card.metrics):
        first.setdefault(path[-1], figure)
    for name in HEADLINES:
        if name in first:
            figure = first[name]
            bare = (
                {k: figure[k] for k in ("value", "low", "high") if k in figure} if isinstance(figure, dict) else figure
            )
            return f"{'LEAKING SPLIT: ' if card.training.leaks else ''}{name} {figure_text(bare)}"
    return ""
