"""Model cards: the metadata that travels with a model's weights, read from and written to `card.toml`.

A model is a folder with `card.toml` and `model.safetensors`. The card is the only source of input size, mean and
standard deviation, classes, temperature, decision threshold and checksum.
"""

from cancernet_cli.core.cards.files import (
    CARD_FILE,
    WEIGHTS_FILE,
    RenamedKey,
    card_text,
    checked_weights,
    load_weights,
    read_card,
    with_segmenter,
    without_abstaining,
    write_card,
)
from cancernet_cli.core.cards.sections import (
    Abstain,
    Architecture,
    Card,
    Decision,
    Domain,
    InputPolicy,
    SegmentationPolicy,
    Training,
    Use,
    Weights,
    split_stamp,
)
from cancernet_cli.core.files import file_sha256

__all__ = [
    "CARD_FILE",
    "WEIGHTS_FILE",
    "Abstain",
    "Architecture",
    "Card",
    "Decision",
    "Domain",
    "InputPolicy",
    "RenamedKey",
    "SegmentationPolicy",
    "Training",
    "Use",
    "Weights",
    "card_text",
    "checked_weights",
    "file_sha256",
    "load_weights",
    "read_card",
    "split_stamp",
    "with_segmenter",
    "without_abstaining",
    "write_card",
]
