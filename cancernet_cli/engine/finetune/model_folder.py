"""The folder of a trained model: weights, card, and the user's texts about the data."""

from __future__ import annotations

import dataclasses
import shlex
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import nn

from cancernet_cli.core.cards import CARD_FILE, WEIGHTS_FILE, Card, Use, card_text, file_sha256
from cancernet_cli.core.errors import InputError, ModelError
from cancernet_cli.core.files import check_output_folder, mark_output, output_error, partial_folder, write_bytes
from cancernet_cli.core.options import FinetuneOptions, flag_name

NOT_FOR = (
    "Research only. Not a medical device and not a diagnosis: it must not be used to decide about any patient's care, "
    "nor in place of a pathologist."
)
_ABOUT = {
    "training": {"data", "licence", "url", "citation"},
    "weights": {"licence"},
    "use": {"suits", "intended", "not_for"},
}


def check_out(options: FinetuneOptions) -> None:
    """Check, before hours of training, that the model can be written.

    Raises:
        OutputError: the folder holds a model already, or the path is a file.
    """
    check_output_folder(options.out, overwrite=options.overwrite, marker=CARD_FILE)
    folder = work_folder(options)
    if not folder.is_dir():
        try:
            folder.mkdir(parents=True)
            folder.rmdir()
        except OSError as error:
            raise output_error(options.out, error) from None


def make_folder(folder: Path) -> None:
    """Create a folder of this run, marked as an output.

    Raises:
        OutputError: it cannot be created or written to.
    """
    try:
        mark_output(folder)
    except OSError as error:
        raise output_error(folder, error) from error


def work_folder(options: FinetuneOptions) -> Path:
    """The folder of checkpoints to resume from: next to the model's folder, until the model is written."""
    return partial_folder(options.out.resolve())


def write_model(network: nn.Module, card: Card, options: FinetuneOptions) -> Card:
    """Write weights and card, each atomically, and return the card with the weights' checksum.

    The weights come first: a reader in between finds that their checksum does not match the old card.

    Raises:
        OutputError: a file cannot be written.
    """
    # Contiguous copies: safetensors refuses channels-last memory, and the bytes must not depend on the layout.
    state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    content = save(state)
    path = options.out / WEIGHTS_FILE
    write_bytes(path, content)
    weights = replace(card.weights, sha256=file_sha256(path), size_bytes=len(content))
    about = read_about(options)
    card = replace(
        card,
        summary=about.get("summary", card.summary),
        weights=replace(weights, **about.get("weights", {})),
        training=replace(card.training, **about.get("training", {})),
        use=replace(card.use, **about.get("use", {})),
    )
    write_bytes(options.out / CARD_FILE, card_text(card).encode())
    return card


def read_about(options: FinetuneOptions) -> dict[str, Any]:
    """The texts of `--about`, by section.

    Raises:
        InputError: the file cannot be read, or has an entry that is not a text of the card.
    """
    if options.about is None:
        return {}
    try:
        about = tomllib.loads(options.about.read_text("utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"--about: file not found: {options.about}", fix="correct the path") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{options.about} cannot be read: {error}", fix="pass a valid TOML file") from None
    for name, value in about.items():
        texts = {"summary": value} if name == "summary" else value if isinstance(value, dict) else {}
        known = {"summary"} if name == "summary" else _ABOUT.get(name, set())
        if not texts or not set(texts) <= known or not all(isinstance(text, str) for text in texts.values()):
            raise InputError(
                f"{options.about} has an entry {name!r} that the card has no place for",
                fix="give summary, [training] data, licence, url, citation, [weights] licence, [use] suits, intended, "
                "not_for",
            )
    try:
        Use(**about.get("use", {}))
    except ModelError as error:
        raise InputError(f"{options.about}: {error.message}", fix=error.fix) from None
    return about


def command_line(data: Sequence[str], options: FinetuneOptions) -> str:
    """The command line of this run, with the options that differ from their defaults."""
    words = ["cancernet", "finetune", *data]
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if value == field.default and field.name not in ("out", "seed"):
            continue
        if isinstance(value, bool):
            words += [flag_name(field.name)] if value and field.name != "overwrite" else []
        else:
            words += [flag_name(field.name), f"{value:g}" if isinstance(value, float) else str(value)]
    return shlex.join(words)
