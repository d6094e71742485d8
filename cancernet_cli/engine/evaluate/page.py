"""The page of an evaluation in HTML, and what any page says about the run and the model behind a table."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cancernet_cli.core.cards import Card
from cancernet_cli.core.figures import Figure, counted, figures_in
from cancernet_cli.engine.evaluate.curves import page_curves
from cancernet_cli.engine.evaluate.source import Source
from cancernet_cli.metrics.scores import Scores
from cancernet_cli.outputs.pictures.class_colours import class_colours
from cancernet_cli.outputs.report.content import Block, Facts, Page, Section, Table, Words
from cancernet_cli.outputs.report.figures import figure_notes, figure_sections, figure_warnings


def evaluation_page(metrics: Mapping[str, Any], scores: Scores, source: Source, more: Sequence[Section] = ()) -> Page:
    """The page of an evaluation.

    Args:
        metrics: as metrics.json has them. scores: the rows that they are of. more: sections that follow the figures.
    """
    name = Path(metrics["table"]["path"]).name
    model = f", classified by {source.model}" if source.model else ""
    return Page(
        title=f"Evaluation of {name}",
        subtitle=f"{counted(metrics['images']['count'], 'labeled ' + metrics['unit'])}{model}",
        sections=[*measured_sections(metrics, scores), *more, *origin_sections(source, with_card=not more)],
        warnings=figure_warnings(metrics),
        notes=figure_notes(metrics),
        colors=class_colours(source.classes, source.positive),
        footer=f"From {name}. The same figures are in metrics.json, and as text in report.md.",
    )


def measured_sections(metrics: Mapping[str, Any], scores: Scores) -> list[Section]:
    """The sections with figures and charts."""
    thresholds = metrics["decision"]["thresholds"]
    own = thresholds[0] if len(thresholds) == 1 else None
    return figure_sections(metrics, page_curves(scores, own, metrics["unit"]))


def origin_sections(source: Source, *, with_card: bool = True) -> Iterator[Section]:
    """The run and the model card, as far as they are known."""
    record, card = source.record, source.card
    facts = {
        "table": source.table.name,
        "model": source.model or "unknown",
        "predictions": source.split or "by classify",
    }
    if record:
        command = record.get("command")
        facts |= {
            "finished": str(record.get("finished", "")),
            "command": shlex.join(["cancernet", *map(str, command[1:])]) if isinstance(command, list) else "",
            "version": f"cancernet {record.get('cancernet', '')}",
            "duration": f"{record.get('elapsed_s', '')} s",
            **{name: _plain(value) for name, value in _mapping(record, "resolved").items()},
            **{name: _plain(value) for name, value in _mapping(record, "machine").items()},
        }
    blocks: list[Block] = [Facts({name: value for name, value in facts.items() if value})]
    options = {name: _plain(value) for name, value in _mapping(record, "options").items() if value is not None}
    if options:
        blocks.append(Table(["option", "value"], list(options.items()), "Options", folded=True))
    versions = {name: _plain(value) for name, value in _mapping(record, "versions").items()}
    if versions:
        blocks.append(Table(["package", "version"], list(versions.items()), "Versions", folded=True))
    yield Section("run", "Run", blocks, "" if record else "There is no run record next to the table.")
    if card is not None and with_card:
        yield card_section(card)


def card_section(card: Card) -> Section:
    """What a reader must know of a model; `cancernet models show` has everything."""
    return Section("model", "Model card", list(_card_blocks(card)), card.summary)


def _card_blocks(card: Card) -> Iterator[Block]:
    decision, training = card.decision, card.training
    facts = {
        "name": card.name,
        "intended use": card.use.intended,
        "not for": card.use.not_for,
        "network": ", ".join(filter(None, (card.architecture.backbone, card.architecture.head))),
        "segmenter": card.segmentation.segmenter,
        "classes": ", ".join(card.architecture.classes),
        "threshold": f"{decision.threshold:.4f} on {decision.positive}" if decision.positive else "",
        "chosen on": decision.chosen_on,
        "paper": card.paper,
    }
    abstain = decision.abstain
    if abstain is not None and abstain.low is not None and abstain.high is not None:
        facts["unsure between"] = f"{abstain.low:.3f} and {abstain.high:.3f}"
    yield Facts({name: value for name, value in facts.items() if value})
    learned = {
        "data": training.data,
        "images": f"{training.images:,}" if training.images else "",
        "license": training.licence,
        "citation": training.citation,
        "source": training.url,
        "command": training.command,
    }
    yield Facts({name: value for name, value in learned.items() if value})
    doubts = [f"Leaking split: {leak}" for leak in training.leaks] + list(training.doubts)
    if doubts:
        yield Words(doubts, listed=True)
    images = card.metrics.get("images") or {}
    figures = [
        (spec.title, Figure.from_json(images[spec.name]).text(spec.decimals, to="–"))
        for spec in figures_in("images")
        if isinstance(images.get(spec.name), Mapping)
    ]
    if figures:
        yield Table(["figure", ">value"], figures, "Figures on the card, of unseen patients", folded=True)


def _mapping(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = record.get(name)
    return found if isinstance(found, Mapping) else {}


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
