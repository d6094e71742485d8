"""Weights files that are not what they say, under a checksum that is true: one sentence, never a traceback."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from cancernet_cli.classification.build import load_classifier
from cancernet_cli.core.cards import WEIGHTS_FILE, Weights, file_sha256, read_card, write_card
from cancernet_cli.core.errors import ModelError
from cancernet_cli.segmentation.unet import load_unet
from tests.tiny_model import write_tiny_model, write_tiny_unet

Header = dict[str, Any]
State = dict[str, torch.Tensor]


def sign(folder: Path) -> None:
    """Make the card's checksum that of the weights."""
    write_card(replace(read_card(folder), weights=Weights(sha256=file_sha256(folder / WEIGHTS_FILE))), folder)


def with_header(change: Callable[[Header], object]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        content = path.read_bytes()
        (size,) = struct.unpack("<Q", content[:8])
        header = json.loads(content[8 : 8 + size])
        change(header)
        text = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + size :])

    return apply


def with_state(change: Callable[[State, str], object]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        state = load_file(path)
        change(state, next(name for name, value in state.items() if value.dim() == 4))
        save_file(state, path)

    return apply


def first(header: Header) -> Header:
    found: Header = next(value for name, value in header.items() if name != "__metadata__")
    return found


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


DAMAGE: dict[str, Callable[[Path], None]] = {
    "empty": lambda path: path.write_bytes(b"") and None,
    "cut": cut,
    "header_length": lambda path: path.write_bytes(struct.pack("<Q", 2**63) + path.read_bytes()[8:]) and None,
    "not_json": lambda path: path.write_bytes(struct.pack("<Q", 4) + b"{[}]") and None,
    "not_utf8": lambda path: path.write_bytes(struct.pack("<Q", 4) + b"\xff\xfe\xff\xfe") and None,
    "unknown_type": with_header(lambda header: first(header).update(dtype="F12")),
    "negative_shape": with_header(lambda header: first(header).update(shape=[-1])),
    "huge_shape": with_header(lambda header: first(header).update(shape=[2**40, 2**40])),
    "offsets_beyond": with_header(lambda header: first(header).update(data_offsets=[0, 2**40])),
    "offsets_reversed": with_header(lambda header: first(header).update(data_offsets=[8, 4])),
    "no_offsets": with_header(lambda header: first(header).pop("data_offsets")),
    "list": lambda path: path.write_bytes(struct.pack("<Q", 2) + b"[]") and None,
    "missing_tensor": with_state(lambda state, name: state.pop(name)),
    "extra_tensor": with_state(lambda state, name: state.update(extra=torch.zeros(1))),
    "other_shape": with_state(lambda state, name: state.update({name: state[name].flatten()})),
    "integers": with_state(lambda state, name: state.update({name: state[name].to(torch.int32)})),
    "nan": with_state(lambda state, name: state[name].view(-1)[:1].fill_(torch.nan)),
    "infinite": with_state(lambda state, name: state[name].view(-1)[:1].fill_(-torch.inf)),
}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = write_tiny_model(tmp_path_factory.mktemp("good") / "model", segmenter="none")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_classifier(name: str, good: dict[str, bytes], tmp_path: Path) -> None:
    for file, content in good.items():
        (tmp_path / file).write_bytes(content)
    DAMAGE[name](tmp_path / WEIGHTS_FILE)
    sign(tmp_path)
    with pytest.raises(ModelError) as caught:
        load_classifier(tmp_path, read_card(tmp_path))
    assert "\n" not in str(caught.value)
    assert caught.value.fix == "restore the card and weights of one training run"


@pytest.mark.parametrize("name", ["cut", "integers", "nan"])
def test_a_unet(name: str, tmp_path: Path) -> None:
    folder = write_tiny_unet(tmp_path / "unet")
    DAMAGE[name](folder / WEIGHTS_FILE)
    sign(folder)
    with pytest.raises(ModelError, match="restore the card and weights"):
        load_unet(folder)
