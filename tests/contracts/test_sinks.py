"""Every registered sink keeps the contract; one more is a file outside the package and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import tifffile
from PIL import Image

from cancernet_cli import classify
from cancernet_cli.core.events import Event, Warn
from cancernet_cli.core.files import OUTPUT_MARKER
from cancernet_cli.core.options import ClassifyOptions
from cancernet_cli.outputs.side_files import side_path
from cancernet_cli.outputs.sink import Explanation, ImageResult, SlideResult, TellingTiles, TileMasks, open_sinks, sinks
from tests.he_images import he_like
from tests.slide_files import tissue_slide, write_svs
from tests.tile_cases import overlapping
from tests.tiny_model import write_tiny_model

# What opens a sink's file, by its suffix: not the code that wrote it.
READERS: dict[str, Callable[[Path], Any]] = {
    ".png": lambda path: Image.open(path).load(),
    ".jpg": lambda path: Image.open(path).load(),
    ".tif": lambda path: tifffile.imread(path),
    ".npz": lambda path: dict(np.load(path)),
    ".geojson": lambda path: json.loads(path.read_text("utf-8"))["features"][0],
}
ODD_NAMES = [b"a.png", "ü/ñ – 1.svs".encode(), b"white space/a b.tif", b"\xff\xfe.png", b"../up.jpg", b"x" * 255]

image_sinks = [entry.name for entry in sinks if "image" in entry.facts["kinds"]]
slide_sinks = [entry.name for entry in sinks if "slide" in entry.facts["kinds"]]
tile_sinks = [entry.name for entry in sinks if "tile" in entry.facts["kinds"]]


def image_result() -> ImageResult:
    mask = np.linspace(0, 1, 30 * 40, dtype=np.float32).reshape(30, 40)
    probs = np.array([0.25, 0.75], np.float32)
    pixels = he_like(0, 80, 60)
    return ImageResult(
        "a.png", ("benign", "malignant"), "malignant", probs, None, pixels, lambda: mask,
        model="tiny", segmenter="threshold", positive="malignant", threshold=0.4, mpp=0.5, explanation=explanation,
    )  # fmt: skip


def slide_result() -> SlideResult:
    probs = {"prob_benign": 0.25, "prob_malignant": 0.75}
    row = {"label": "malignant", **probs, "failed_tiles": 1, "positive_tile_fraction": 0.5, "flags": ""}
    telling = TellingTiles(np.array([3, 0]), np.full((2, 16, 24, 3), 200, np.uint8), lambda: [explanation()] * 2)
    thumbnail = np.full((30, 50, 3), 200, np.uint8)
    return SlideResult(overlapping(), row, "tiny", thumbnail, 2.0, np.ones((30, 50), np.bool_), telling)


def explanation() -> Explanation:
    return Explanation("malignant", "benign", True, np.linspace(-0.01, 0.01, 24, dtype=np.float32).reshape(4, 6), 0.5)


def read_all(entry: Any, path: Path) -> None:
    """Open every file that a sink writes for one input."""
    for suffix in (entry.facts["suffix"], *entry.facts.get("also", ())):
        file = path.with_name(path.name.removesuffix(entry.facts["suffix"]) + suffix)
        READERS[file.suffix](file)


def opened(name: str, folder: Path) -> Any:
    (sink,) = open_sinks(ClassifyOptions(**{name: folder}))
    return sink


@pytest.mark.parametrize("name", sinks.names())
def test_facts_are_complete_and_match_the_methods(name: str) -> None:
    entry = sinks[name]
    assert entry.facts["help"].endswith(".")
    assert entry.facts["title"]
    assert entry.facts["suffix"].startswith(".")
    methods = {"image": "write_image", "slide": "write_slide", "tile": "write_tiles"}
    assert set(entry.facts["kinds"]) == {kind for kind, method in methods.items() if method in vars(entry.factory)}
    assert set(entry.facts.get("needs", ())) <= {"pixels", "mask", "thumbnail", "explanation"}


@pytest.mark.parametrize("name", sinks.names())
def test_a_sink_is_an_option_of_the_command_and_of_python(name: str, tmp_path: Path) -> None:
    options = ClassifyOptions(**{name: str(tmp_path)})
    assert options.sink_folders() == {name: tmp_path}
    assert isinstance(options, ClassifyOptions)


def test_registering_the_sinks_imports_nothing_heavy() -> None:
    heavy = ("numpy", "pyarrow", "torch", "cv2", "PIL", "matplotlib", "shapely", "tifffile")
    script = (
        "import sys; from cancernet_cli.outputs.sink import sinks; sinks.names(); "
        f"print(*sorted(set({heavy!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("location", ODD_NAMES)
@pytest.mark.parametrize("name", image_sinks)
def test_an_image_file_is_one_that_its_reader_opens(name: str, location: bytes, tmp_path: Path) -> None:
    sink = opened(name, tmp_path)
    path = side_path(tmp_path, location, sink.entry.facts["suffix"])
    sink.sink.write_image(image_result(), path)
    read_all(sink.entry, path)
    assert len([p for p in tmp_path.rglob("*") if p.is_file()]) == 1 + len(sink.entry.facts.get("also", ()))


@pytest.mark.parametrize("location", ODD_NAMES)
@pytest.mark.parametrize("name", slide_sinks)
def test_a_slide_file_is_one_that_its_reader_opens(name: str, location: bytes, tmp_path: Path) -> None:
    sink = opened(name, tmp_path)
    path = side_path(tmp_path, location, sink.entry.facts["suffix"])
    sink.sink.write_slide(slide_result(), path)
    read_all(sink.entry, path)
    assert len([p for p in tmp_path.rglob("*") if p.is_file()]) == 1 + len(sink.entry.facts.get("also", ()))


@pytest.mark.parametrize("name", tile_sinks)
def test_tile_files_are_ones_that_their_reader_opens(name: str, tmp_path: Path) -> None:
    sink = opened(name, tmp_path)
    masks = np.stack([np.zeros((8, 8), np.float32), np.ones((8, 8), np.float32)])
    sink.sink.write_tiles(TileMasks([0, 8], [4, 4], masks), tmp_path / "a.svs.masks")
    files = sorted(p for p in tmp_path.rglob("*") if p.is_file())
    assert len(files) == 2
    for file in files:
        READERS[file.suffix](file)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image, a slide, and one of each that cannot be read."""
    folder = tmp_path_factory.mktemp("mixed")
    cv2.imwrite(str(folder / "image.png"), he_like(1, 150, 100))
    write_svs(folder / "slide.svs", tissue_slide(600, 400), mpp="0.5")
    (folder / "bad.png").write_bytes(b"not an image")
    (folder / "bad.ndpi").write_text("not a slide")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


def files_below(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.name != OUTPUT_MARKER}


def test_good_files_have_a_file_per_sink_and_failed_ones_have_none(folder: Path, model: Path, tmp_path: Path) -> None:
    chosen = {name: tmp_path / name for name in sinks.names()}
    result = classify(folder, out=tmp_path / "p.parquet", model=str(model), workers=0, **chosen)
    assert (result.ok, result.failed) == (2, 2)
    assert result.outputs == chosen
    for entry in sinks:
        assert getattr(result, entry.name) == chosen[entry.name]
        good = [f"{kind}{end}" for kind, end in (("image", ".png"), ("slide", ".svs")) if kind in entry.facts["kinds"]]
        ends = (entry.facts["suffix"], *entry.facts.get("also", ()))
        assert files_below(chosen[entry.name]) == {name + end for name in good for end in ends}


def test_a_sink_with_nothing_to_write_warns_once(folder: Path, model: Path, tmp_path: Path) -> None:
    said: list[Event] = []
    chosen = {"model": str(model), "workers": 0, "report": said.append}
    classify(folder / "image.png", out=tmp_path / "1.parquet", geojson=tmp_path / "g", masks=tmp_path / "m", **chosen)
    assert [e.message for e in said if isinstance(e, Warn)] == [
        "--geojson writes files for slides only; there are none among the inputs"
    ]
    said.clear()
    classify(folder / "slide.svs", out=tmp_path / "2.parquet", masks=tmp_path / "m2", **chosen)
    assert [e.message for e in said if isinstance(e, Warn)] == [
        "--masks writes files for images and slides with --mask-regions only; there are none among the inputs"
    ]


def test_a_finished_run_warns_of_files_it_does_not_write(folder: Path, model: Path, tmp_path: Path) -> None:
    said: list[Event] = []
    chosen = {"out": tmp_path / "p.parquet", "model": str(model), "workers": 0}
    classify(folder / "image.png", **chosen)
    classify(folder / "image.png", overlays=tmp_path / "late", report=said.append, **chosen)
    assert [e.message for e in said if isinstance(e, Warn)] == [
        f"--overlays was not written, because {tmp_path / 'p.parquet'} is already complete"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("by", ["python", "command line"])
def test_a_sink_from_outside_the_package_is_one_file(folder: Path, model: Path, tmp_path: Path, by: str) -> None:
    out, notes = tmp_path / "p.parquet", tmp_path / "notes"
    if by == "python":
        call = (
            "from cancernet_cli import classify\n"
            f"result = classify({str(folder)!r}, out={str(out)!r}, model={str(model)!r}, workers=0,"
            f" notes={str(notes)!r})\n"
            "assert result.notes == result.outputs['notes']\n"
        )
    else:
        words = ["classify", str(folder), "--out", str(out), "--model", str(model), "--workers", "0"]
        call = f"from cancernet_cli.cli.app import main\nmain({[*words, '--notes', str(notes)]!r})\n"
    done = subprocess.run(
        [sys.executable, "-c", f"import tests.toy_sink\n{call}"], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == (0 if by == "python" else 7), done.stderr  # two files are bad
    rows = {row["path"]: row for row in pq.read_table(out).to_pylist()}
    assert files_below(notes) == {"image.png.txt", "slide.svs.txt"}
    assert (notes / "image.png.txt").read_text().startswith(f"image {rows['image.png']['label']} ")
    slide = rows["slide.svs"]
    assert (notes / "slide.svs.txt").read_text() == f"slide {slide['label']} of {slide['tiles']} tiles"
    if by == "command line":
        assert f"notes        {notes}" in done.stdout
