"""Images in memory: the same result as from files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from cancernet_cli import Classifier, classify, predict
from cancernet_cli.core.errors import CancernetError, InputError, OptionError
from cancernet_cli.core.events import Event, StageAdvanced
from tests.he_images import he_like
from tests.tiny_model import write_tiny_model

ARRAYS = [he_like(seed) for seed in range(3)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_model(tmp_path_factory.mktemp("models") / "tiny", view="grid", rank=2))


@pytest.fixture(scope="module")
def asked(model: str) -> dict[str, Any]:
    return {"model": model, "device": "cpu"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for number, array in enumerate(ARRAYS):
        Image.fromarray(array).save(folder / f"{number}.png")
    return folder


def test_arrays_are_classified_like_their_png_files(asked: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    table = classify(folder, out=tmp_path / "p.parquet", workers=0, labels="none", **asked).table()
    found = predict(ARRAYS, labels="none", **asked)
    assert found.table().drop_columns(["path"]).equals(table.drop_columns(["path"]))
    assert found.table().schema.equals(pq.read_schema(tmp_path / "p.parquet"), check_metadata=True)
    assert found.table()["path"].to_pylist() == ["image 0", "image 1", "image 2"]
    assert found.labels == table["label"].to_pylist()
    assert found.probabilities[:, 1].tolist() == table["prob_malignant"].to_pylist()
    assert found.probabilities.dtype == np.float32
    assert found.flags == [tuple(filter(None, flags.split(","))) for flags in table["flags"].to_pylist()]


def test_every_kind_of_image_gives_the_same(asked: dict[str, Any], folder: Path) -> None:
    expected = predict(ARRAYS, **asked).probabilities
    forms: list[Any] = [
        np.stack(ARRAYS),
        torch.from_numpy(np.stack(ARRAYS)),
        (Image.fromarray(array) for array in ARRAYS),
        [folder / f"{n}.png" for n in range(3)],
        [ARRAYS[0], str(folder / "1.png"), Image.open(folder / "2.png")],
    ]
    for form in forms:
        assert np.array_equal(predict(form, **asked).probabilities, expected)
    for one in (ARRAYS[1], torch.from_numpy(ARRAYS[1]), Image.fromarray(ARRAYS[1]), folder / "1.png"):
        assert predict(one, **asked).probabilities == pytest.approx(expected[1:2], abs=1e-5)


def test_a_damaged_image_is_a_row_with_its_reason(asked: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    found = predict([tmp_path / "bad.png", ARRAYS[0], np.zeros((8, 8, 3), np.uint8)], **asked)
    assert found.errors[0].startswith("check: NotAnImage")
    assert found.errors[1:] == ["", "check: TooFewPixels: 8 x 8, but each side must have at least 16 pixels"]
    assert found.labels[0] is found.labels[2] is None
    assert np.isnan(found.probabilities[[0, 2]]).all()


@pytest.mark.parametrize(
    ("images", "said"),
    [
        ([], "no image was given"),
        (7, "cannot classify int"),
        ([7], "image 0 is of type int"),
        (np.zeros((3, 64, 64), np.uint8), "move the channels last"),
        (np.zeros((64, 64), np.uint8), "image 0 has the shape [64, 64]; pass RGB, [H, W, 3]"),
        ([ARRAYS[0], ARRAYS[0] / 255], "image 1 has numbers of type float64; pass uint8, from 0 to 255"),
        ("nothing.png", "'nothing.png' does not exist"),
    ],
)
def test_what_is_no_image_is_refused(asked: dict[str, Any], images: Any, said: str) -> None:
    with pytest.raises(InputError) as caught:
        predict(images, **asked)
    assert said in str(caught.value)


def test_folders_and_slides_are_for_classify(asked: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder, not an image"):
        predict(folder, **asked)
    Image.fromarray(ARRAYS[0]).save(tmp_path / "slide.tif")
    with pytest.raises(InputError, match="is a slide, not an image"):
        predict(tmp_path / "slide.tif", kind="slide", **asked)


def test_options_are_checked(asked: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="unknown option 'batchsize'; did you mean batch_size"):
        predict(ARRAYS, batchsize=4, **asked)
    with pytest.raises(OptionError, match="--overlays was given, but predictions in memory write no files"):
        predict(ARRAYS, overlays=tmp_path, **asked)
    with pytest.raises(CancernetError, match="no folder of that name"):
        predict(ARRAYS, model="no_such_model")


def test_a_classifier_is_loaded_once(asked: dict[str, Any]) -> None:
    heard: list[Event] = []
    classifier = Classifier(**asked)
    assert len(classifier.predict(ARRAYS, heard.append)) == 3
    assert sum(event.done for event in heard if isinstance(event, StageAdvanced)) == 3
    assert classifier.predict(ARRAYS[0]).labels == predict(ARRAYS[0], **asked).labels


def test_it_shows_itself_in_a_notebook(asked: dict[str, Any]) -> None:
    page = predict(ARRAYS, **asked)._repr_html_()
    assert "Predictions" in page
    assert "image 2" in page
    assert "Research use only" in page
