"""int8: close to fp32, created on first use, cached, and recorded in the table."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from cancernet_cli import classify
from cancernet_cli.core.cards import SegmentationPolicy, read_card
from cancernet_cli.core.errors import InputError, ModelError
from cancernet_cli.core.events import Event, Warn
from cancernet_cli.engine.quantize import quantise
from cancernet_cli.inference.int8 import int8_file, make_int8, quantised
from cancernet_cli.inference.openvino_import import ov
from cancernet_cli.inference.openvino_model import openvino_model
from tests.he_images import he_like
from tests.tiny_model import write_tiny_model

BUNDLED = Path(__file__).resolve().parents[2] / "models" / "breakhis_lite0"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "tiny_int8", segmenter="none")


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANCERNET_CACHE", str(tmp_path / "cache"))


def int8_convolutions(network: ov.Model) -> int:
    """Convolutions with 8-bit weights: their input is a FakeQuantize or a conversion from i8."""
    found = 0
    for op in network.get_ops():
        if op.get_type_name() in ("Convolution", "GroupConvolution"):
            kinds, node = set(), op.input_value(1).get_node()
            while node.get_input_size():
                node = node.input_value(0).get_node()
                kinds.add(node.get_element_type().get_type_name() if node.get_type_name() == "Constant" else "")
            found += "i8" in kinds
    return found


@pytest.mark.slow
def test_first_use_creates_it_and_the_next_reuses_it(model: Path, tiny_folder: Path, tmp_path: Path) -> None:
    tables, told = [], []
    for name in ("first", "second"):
        events: list[Event] = []
        out = tmp_path / f"{name}.parquet"
        classify(tiny_folder, out=out, model=str(model), device="cpu", precision="int8", report=events.append)
        tables.append(pq.read_table(out))
        told.append([event for event in events if isinstance(event, Warn)])
    assert tables[0].equals(tables[1])
    assert "only 8 views" in told[0][0].message
    assert told[1] == []
    metadata = tables[0].schema.metadata
    assert metadata[b"cancernet.precision"] == b"int8"
    assert len(metadata[b"cancernet.int8_sha256"]) == 64
    classify(tiny_folder, out=tmp_path / "exact.parquet", model=str(model), device="cpu")
    exact = pq.read_table(tmp_path / "exact.parquet")["prob_malignant"].to_numpy()
    quick = tables[0]["prob_malignant"].to_numpy()
    assert (exact != quick).any()
    np.testing.assert_allclose(quick, exact, atol=0.05)


def test_a_command_saves_it_with_the_model(model: Path, tiny_folder: Path) -> None:
    path = quantise(str(model), [str(tiny_folder)])
    assert path == model / "int8_none.xml" == int8_file(model, read_card(model))
    assert int8_convolutions(ov.Core().read_model(path)) > 5


@pytest.mark.slow
def test_a_head_on_statistics_keeps_an_exact_backbone() -> None:
    card = read_card(BUNDLED)
    network = openvino_model(BUNDLED, card)
    views = [he_like(seed, 352, 224)[None] for seed in range(2)]
    layers = sum(op.get_type_name() in ("Convolution", "GroupConvolution") for op in network.get_ops())
    in_int8 = int8_convolutions(quantised(network, card, views))
    assert 30 < in_int8 < layers - 10  # the U-Net's, none of the classifier's
    bare = replace(card, segmentation=SegmentationPolicy(segmenter="none"))
    with pytest.raises(ModelError, match="cannot be quantised without a segmenter"):
        make_int8(BUNDLED, bare, [])


def test_no_readable_image_is_an_error(model: Path, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_bytes(b"no image")
    with pytest.raises(InputError, match="no readable image to quantise"):
        quantise(str(model), [str(tmp_path / "broken")])


@pytest.mark.slow
def test_on_the_command_line(model: Path, tiny_folder: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "cancernet_cli.cli.app",
        "models",
        "quantise",
        str(model),
        str(tiny_folder),
        "--format",
        "json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["int8"] == str(model / "int8_none.xml")
