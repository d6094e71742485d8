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
from cancernet_cli.core.cards import SegmentationPolicy, read_card, write_card
from cancernet_cli.core.errors import InputError, ModelError
from cancernet_cli.core.events import Event, Warn
from cancernet_cli.engine.quantize import quantise
from cancernet_cli.inference.int8 import Int8Network, find_int8, make_int8, quantised
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
    (kept,) = (tmp_path / "cache" / "int8").glob("*/int8_none.bin")
    kept.write_bytes(kept.read_bytes()[:-1] + b"x")
    events = []
    out = tmp_path / "third.parquet"
    classify(tiny_folder, out=out, model=str(model), device="cpu", precision="int8", report=events.append)
    assert any("int8_none.bin has changed since it was made; it is made again" in str(event) for event in events)
    assert pq.read_table(out).equals(tables[0])
    classify(tiny_folder, out=tmp_path / "exact.parquet", model=str(model), device="cpu")
    exact = pq.read_table(tmp_path / "exact.parquet")["prob_malignant"].to_numpy()
    quick = tables[0]["prob_malignant"].to_numpy()
    assert (exact != quick).any()
    np.testing.assert_allclose(quick, exact, atol=0.05)


def test_a_command_saves_it_with_the_model(model: Path, tiny_folder: Path) -> None:
    path = quantise(str(model), [str(tiny_folder)])
    network = find_int8(model, read_card(model))
    assert network is not None
    assert path == model / "int8_none.xml" == network.path
    assert read_card(model).weights.int8 == {"none": network.sha256}
    assert int8_convolutions(network.read()) > 5


class TestNetworkNextToACard:
    """The card has the checksum of the network, whose two files need not be a network for that."""

    @pytest.fixture
    def pinned(self, model: Path) -> Int8Network:
        for suffix in (".xml", ".bin"):
            (model / "int8_none").with_suffix(suffix).write_bytes(b"made")
        network = Int8Network.at(model / "int8_none.xml")
        card = read_card(model)
        write_card(replace(card, weights=replace(card.weights, int8={"none": network.sha256})), model)
        return network

    def test_it_is_found(self, model: Path, pinned: Int8Network) -> None:
        assert find_int8(model, read_card(model)) == pinned

    @pytest.mark.parametrize("suffix", [".xml", ".bin"])
    def test_a_changed_file_is_refused_when_found_and_when_read(
        self, model: Path, pinned: Int8Network, suffix: str
    ) -> None:
        pinned.path.with_suffix(suffix).write_bytes(b"else")
        with pytest.raises(ModelError, match=r"has SHA-256 .*, its card has .*; make it again with"):
            find_int8(model, read_card(model))
        with pytest.raises(ModelError, match=r"or its \.bin file has changed since it was made"):
            pinned.read()

    def test_a_missing_file_is_refused(self, model: Path, pinned: Int8Network) -> None:
        pinned.path.with_suffix(".bin").unlink()
        with pytest.raises(ModelError, match=r"int8_none.bin cannot be read: No such file"):
            find_int8(model, read_card(model))

    def test_one_that_is_not_in_the_card_is_refused(self, model: Path, pinned: Int8Network) -> None:
        card = read_card(model)
        write_card(replace(card, weights=replace(card.weights, int8=None)), model)
        with pytest.raises(ModelError, match="is not in its card, so its origin is unknown"):
            find_int8(model, read_card(model))

    def test_files_that_are_no_network_are_refused(self, pinned: Int8Network) -> None:
        with pytest.raises(ModelError, match="cannot be read by this version of OpenVINO"):
            pinned.read()


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
