"""Say which bundled model suits the files of a run better than the one that was chosen."""

from __future__ import annotations

from cancernet_cli.core.cards import Card, read_card
from cancernet_cli.core.events import Note, Reporter
from cancernet_cli.core.models import bundled_models
from cancernet_cli.engine.classify.worklist import Worklist


def suggest_models(card: Card, worklist: Worklist, report: Reporter) -> None:
    """Report a note for each kind of file that the model is not for and a bundled one is, by their cards."""
    for kind, count in worklist.kinds().items():
        if not count or is_for(card, kind):
            continue
        others = (read_card(folder) for folder in bundled_models().values())
        names = [other.name for other in others if other.task == "classify" and other.use.suits == f"{kind}s"]
        if names:
            made = "is not made for slides" if kind == "slide" else "is made for slides and the tiles cut from them"
            wanted = "slides" if kind == "slide" else "photos"
            report(Note(f"{card.name} {made}; for {wanted}, use --model {' or --model '.join(names)}"))


def is_for(card: Card, kind: str) -> bool:
    """Whether a model is for files of a kind, `image` or `slide`; if its card does not say, for slides with an mpp."""
    if card.use.suits:
        return card.use.suits == f"{kind}s"
    return kind == "image" or card.input.mpp is not None
