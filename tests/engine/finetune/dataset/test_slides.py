"""Training on slides end to end: labels of slides, annotated regions, slides beside photos, leaks, kills."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from cancernet_cli import FinetuneOptions, classify, finetune
from cancernet_cli.classification.pretrained import Pretrained
from cancernet_cli.core.cards import WEIGHTS_FILE, read_card
from cancernet_cli.core.errors import InputError, OptionError
from cancernet_cli.core.events import Event, Note, StageAdvanced, Warn
from cancernet_cli.core.options.recipes import recipe_of
from cancernet_cli.data.discovery.inputs import resolve_base
from cancernet_cli.data.tiles.target_mpp import target_mpp
from cancernet_cli.engine.finetune.card import first_card
from cancernet_cli.engine.finetune.dataset import slide_tiles
from cancernet_cli.engine.finetune.dataset.labelled_images import LabelledImages, list_images
from cancernet_cli.engine.finetune.dataset.listing import open_source
from cancernet_cli.engine.finetune.dataset.slides import SlideCutter
from cancernet_cli.training.distributed import Processes
from tests.he_images import he_like
from tests.slide_files import GLASS, write_tiled

WIDTH, HEIGHT = 640, 480


def options_of(out: Path, **changed: object) -> FinetuneOptions:
    given = {"backbone": "test_efficientnet", "weights": "none", "segmenter": "threshold", "folds": 2, "workers": 2}
    given |= {"view_width_px": 64, "view_height_px": 64, "device": "cpu", "out": out, "tiles_per_slide": 8}
    return FinetuneOptions(**(given | changed))  # type: ignore[arg-type]


def listed(data: Path, out: Path, said: list[Event] | None = None, **changed: object) -> LabelledImages:
    """As `finetune` lists them."""
    options, names = options_of(out, **changed), [str(data)]
    report = (said if said is not None else []).append
    source = open_source(names, options)
    cutter = SlideCutter(options, recipe_of(options), source.lists, source.base, report)
    return list_images(names, options, report, cutter)


def words_of(said: list[Event], kind: type[Note] | type[Warn]) -> list[str]:
    return [event.message for event in said if isinstance(event, kind)]


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two slides a class, in class folders; malignant ones are darker. 0.5 um a pixel."""
    root = tmp_path_factory.mktemp("slides")
    for seed in range(4):
        label = ("benign", "malignant")[seed % 2]
        picture = np.full((HEIGHT, WIDTH, 3), GLASS, np.uint8)
        tissue = he_like(seed, WIDTH - 100, HEIGHT - 100).astype(int) - 40 * (seed % 2)
        picture[50:-50, 50:-50] = tissue.clip(0, 255)
        (root / label).mkdir(exist_ok=True)
        write_tiled(root / label / f"{seed}.tif", picture, factors=(2,), mpp=0.5)
    return root


def a_list(slides: Path, folder: Path, header: str, *rows: str) -> Path:
    """A manifest of the four slides: what follows the path in each row."""
    paths = sorted(slides.glob("*/*.tif"), key=lambda path: path.name)
    file = folder / "list.csv"
    file.write_text("\n".join([header, *(f"{path},{row}" for path, row in zip(paths, rows, strict=True))]) + "\n")
    return file


def halves(path: Path, **classes: str) -> Path:
    """Annotations: the left and the right half of a slide."""
    boxes = {"left": (0, WIDTH // 2), "right": (WIDTH // 2, WIDTH)}
    features = []
    for side, name in classes.items():
        left, right = boxes[side]
        ring = [[left, 0], [right, 0], [right, HEIGHT], [left, HEIGHT], [left, 0]]
        geometry = {"type": "Polygon", "coordinates": [ring]}
        features.append({"type": "Feature", "geometry": geometry, "properties": {"classification": {"name": name}}})
    path.write_text(json.dumps(features))
    return path


def test_a_classifier_learns_from_slides_labels_and_says_so(slides: Path, tmp_path: Path) -> None:
    said: list[Event] = []
    result = finetune([str(slides)], options_of(tmp_path / "model"), said.append)
    assert (result.images, result.patients) == (32, 0)
    card = read_card(tmp_path / "model")
    assert (card.input.mpp, card.input.scale, card.input.view) == (0.5, 1.0, "grid")
    weak = "each tile of 4 slides has its slide's label, whatever it shows (weak labels)"
    assert (card.training.labels, card.training.group_by, card.training.images) == (weak, "slide", 32)
    everyone = [patient for members in card.training.splits.values() for patient in members]
    assert sorted(everyone) == [f"slide {label}/{i}.tif" for label, i in
                                (("benign", 0), ("benign", 2), ("malignant", 1), ("malignant", 3))]  # fmt: skip
    table = pq.read_table(tmp_path / "model" / "out_of_fold.parquet").to_pylist()
    assert {row["slide"]: row["true_label"] for row in table} == {
        f"{label}/{i}.tif": label for i, label in enumerate(("benign", "malignant") * 2)
    }
    assert table[0]["path"].startswith("benign/0.tif#xywh=")
    assert {row["mpp"] for row in table} == {0.5}
    assert any(weak in words for words in words_of(said, Note))
    assert any("the patient of 4 of 4 slides is unknown: each slide counts" in words for words in words_of(said, Warn))
    assert card.training.stamp == "split by slide: may leak"
    assert not (tmp_path / "model.partial").exists()
    how = {"model": str(tmp_path / "model"), "device": "cpu", "runtime": "torch", "workers": 0}
    (tmp_path / "copies").mkdir()
    shutil.copy(slides / "benign" / "0.tif", tmp_path / "copies" / "renamed.tif")
    classify([tmp_path / "copies"], out=tmp_path / "copies.parquet", **how)
    assert pq.read_table(tmp_path / "copies.parquet")["seen_in_training"].to_pylist() == [True]


@pytest.mark.slow
def test_classify_sees_the_very_tiles_that_were_learned_from(slides: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    finetune([str(slides)], options_of(model))
    how = {"model": str(model), "device": "cpu", "runtime": "torch", "workers": 0}
    classify([slides], out=tmp_path / "slides.parquet", **how)
    rows = pq.read_table(tmp_path / "slides.tiles.parquet").to_pylist()
    found = {
        f"{row['slide']}#xywh={row['x']},{row['y']},{row['width_px']},{row['height_px']}": row["prob_malignant"]
        for row in rows
    }
    learned = listed(slides, tmp_path / "again").files
    classify([os.fsdecode(file.location) for file in learned], out=tmp_path / "images.parquet", **how)
    images = pq.read_table(tmp_path / "images.parquet").to_pylist()
    by_name = {row["path"]: row["prob_malignant"] for row in images}
    base = tmp_path / "again.partial" / "tiles"
    for file in learned:
        name = os.path.relpath(os.fsdecode(file.location), base)
        assert by_name[name] == pytest.approx(found[file.path], abs=1e-6)


def test_the_files_that_a_slide_is_made_of_are_no_images(slides: Path, tmp_path: Path) -> None:
    for path in slides.glob("*/*.tif"):
        (tmp_path / path.parent.name).mkdir(exist_ok=True)
        (tmp_path / path.relative_to(slides)).symlink_to(path)
    Image.fromarray(he_like(0)).save(tmp_path / "benign" / "part.jpg")
    (tmp_path / "benign" / "a.vms").write_text("[Virtual Microscope Specimen]\nImageFile=part.jpg\n")
    said: list[Event] = []
    images = listed(tmp_path, tmp_path / "model", said)
    assert images.tiles is not None
    assert images.tiles.are_all
    assert any(words.startswith("benign/a.vms is omitted: ") for words in words_of(said, Warn))


def test_interrupted_between_slides_it_goes_on_with_the_same_tiles(slides: Path, tmp_path: Path) -> None:
    def tiles(name: str) -> list[tuple[str, bytes]]:
        files = listed(slides, tmp_path / name).files
        return [(file.path, Path(os.fsdecode(file.location)).read_bytes()) for file in files]

    class Breaking(list[Event]):
        def append(self, event: Event) -> None:
            if isinstance(event, StageAdvanced):
                raise KeyboardInterrupt
            super().append(event)

    with pytest.raises(KeyboardInterrupt):
        listed(slides, tmp_path / "broken", Breaking(), workers=1)
    kept = {file: file.stat().st_mtime_ns for file in (tmp_path / "broken.partial").rglob("*.png")}
    assert 8 <= len(kept) <= 32
    assert tiles("broken") == tiles("whole")
    assert {file: file.stat().st_mtime_ns for file in kept} == kept


def test_annotated_regions_label_tiles_and_no_slide_stands_on_two_sides(slides: Path, tmp_path: Path) -> None:
    said: list[Event] = []
    files = [halves(tmp_path / f"{i}.json", left="Benign", right="MALIGNANT") for i in range(3)]
    halves(files[0], left="Benign", right="Stroma")
    file = a_list(slides, tmp_path, "path,label,annotations", *(f",{file.name}" for file in files), "malignant,")
    images = listed(file, tmp_path / "model", said, min_annotated=0.9)
    by_slide: dict[str, set[str]] = {}
    for name, label in zip(images.slides.tolist(), images.labels.tolist(), strict=True):
        by_slide.setdefault(Path(name).name, set()).add(images.classes[label])
    both = {"benign", "malignant"}
    assert by_slide == {"0.tif": {"benign"}, "1.tif": both, "2.tif": both, "3.tif": {"malignant"}}
    for tile, label in zip(images.files, images.labels.tolist(), strict=True):
        left = int(tile.path.split("#xywh=")[1].split(",")[0])
        if "3.tif" not in tile.path:
            assert (left >= WIDTH // 2) == bool(label)
    for name in np.unique(images.slides):
        assert len(np.unique(images.folds[images.slides == name])) == 1
    assert images.tiles is not None
    assert images.tiles.labels == (
        "each tile of 1 slide has its slide's label, whatever it shows (weak labels); "
        "tiles of 3 slides have the label of the annotated region they are in"
    )
    told = [words for words in words_of(said, Warn) if "annotated regions" in words]
    assert told == ["annotated regions of 'Stroma' are not used; the classes are benign, malignant"]


def test_annotations_beside_slides_are_found_or_left_alone(slides: Path, tmp_path: Path) -> None:
    for path in slides.glob("*/*.tif"):
        (tmp_path / path.parent.name).mkdir(exist_ok=True)
        (tmp_path / path.relative_to(slides)).symlink_to(path)
    halves(tmp_path / "malignant" / "1.geojson", left="malignant")

    def rightmost(**changed: object) -> int:
        files = listed(tmp_path, tmp_path / "model", **changed).files
        return max(int(file.path.split("=")[1].split(",")[0]) for file in files if "1.tif" in file.path)

    assert rightmost() < WIDTH // 2
    assert rightmost(annotations="none") > WIDTH // 2


def test_broken_annotations_end_the_run_before_anything_is_cut(slides: Path, tmp_path: Path) -> None:
    (tmp_path / "a.geojson").write_text('{"type": "FeatureCollection"')
    file = a_list(slides, tmp_path, "path,label,annotations", "benign,", "malignant,", "benign,", "malignant,a.geojson")
    with pytest.raises(InputError, match=r"a\.geojson is not valid JSON: .*--annotations none"):
        finetune([str(file)], options_of(tmp_path / "model"))
    assert not (tmp_path / "model.partial").exists()


def test_the_lists_patients_and_split_hold_for_the_tiles(slides: Path, tmp_path: Path) -> None:
    file = a_list(
        slides, tmp_path, "path,label,patient,fold", "benign,p0,0", "malignant,p1,0", "benign,p2,1", "malignant,p3,1"
    )
    images = listed(file, tmp_path / "model")
    assert dict(zip(images.patients.tolist(), images.folds.tolist(), strict=True)) == {
        "p0": 0,
        "p1": 0,
        "p2": 1,
        "p3": 1,
    }
    assert not images.unknown_patients.any()


def test_a_patient_whose_slides_stand_on_two_sides_is_refused(slides: Path, tmp_path: Path) -> None:
    file = a_list(
        slides, tmp_path, "path,label,patient,fold", "benign,p0,0", "malignant,p1,0", "benign,p2,1", "malignant,p0,1"
    )
    with pytest.raises(InputError, match=r"1 patient is on two sides of the split \(p0 in fold 0 and fold 1\)"):
        listed(file, tmp_path / "model")


def test_a_copied_slide_under_another_patient_is_kept_on_one_side(slides: Path, tmp_path: Path) -> None:
    said: list[Event] = []
    paths = sorted(slides.glob("*/*.tif"), key=lambda path: path.name)
    (tmp_path / "copy.tif").write_bytes(paths[0].read_bytes())
    rows = [*(f"{path},{path.parent.name},p{i}" for i, path in enumerate(paths)), "copy.tif,benign,p9"]
    (tmp_path / "list.csv").write_text("\n".join(["path,label,patient", *rows]) + "\n")
    images = listed(tmp_path / "list.csv", tmp_path / "model", said, tiles_per_slide=1000)
    assert set(images.groups[np.isin(images.patients, ["p0", "p9"])].tolist()) == {"p0"}
    assert any("show the same picture under different patients" in words for words in words_of(said, Warn))


def test_beside_photos_slides_are_cut_at_what_the_photos_views_show(slides: Path, tmp_path: Path) -> None:
    for path in slides.glob("*/*.tif"):
        (tmp_path / path.parent.name).mkdir(exist_ok=True)
        (tmp_path / path.relative_to(slides)).symlink_to(path)
    for seed in range(2):
        Image.fromarray(he_like(seed, 160, 140)).save(tmp_path / "benign" / f"SOB_B_A-14-100{seed}-100-00{seed}.png")
    said: list[Event] = []
    images = listed(tmp_path, tmp_path / "model", said)
    source = Pretrained("random weights", (0.5,) * 3, (0.5,) * 3)
    policy = first_card("model", recipe_of(options_of(tmp_path)), images, source, "none", None).input
    # BreakHis at 100X has 0.2 um a pixel, looked at at half the size
    assert (policy.mpp, policy.scale, policy.magnifications) == (0.2, 0.5, (100.0,))
    assert target_mpp(policy).mpp == pytest.approx(0.4)
    tiles = [file for file in images.files if "#xywh=" in file.path]
    assert len(images.files) - len(tiles) == 2
    assert {file.path.split(",")[2] for file in tiles} == {"51"}  # 64 pixels of 0.4 um are 51 of 0.5
    assert any("slides are cut at 0.4 µm/px, as for the photos" in words for words in words_of(said, Note))


def test_a_slide_that_is_no_good_is_left_out_with_its_reason(slides: Path, tmp_path: Path) -> None:
    for path in slides.glob("*/*.tif"):
        (tmp_path / path.parent.name).mkdir(exist_ok=True)
        (tmp_path / path.relative_to(slides)).symlink_to(path)
    (tmp_path / "benign" / "noise.svs").write_bytes(b"noise" * 100)
    write_tiled(tmp_path / "benign" / "glass.tif", np.full((500, 600, 3), GLASS, np.uint8))
    (tmp_path / "unlabelled.svs").write_bytes(b"noise")
    said: list[Event] = []
    images = listed(tmp_path, tmp_path / "model", said)
    assert len(np.unique(images.slides)) == 4
    warnings = words_of(said, Warn)
    assert "benign/glass.tif is omitted: no tile was found" in warnings
    assert "benign/noise.svs is omitted: open: NotASlide: no slide reader supports its format" in warnings
    assert any(words.startswith("1 of 7 slides are omitted: no label") for words in words_of(said, Note))


def test_slides_without_labels_change_nothing_for_photos(slides: Path, tmp_path: Path) -> None:
    for i in range(4):
        folder = tmp_path / ("benign", "malignant")[i % 2]
        folder.mkdir(exist_ok=True)
        Image.fromarray(he_like(i)).save(folder / f"{i}.png")
    (tmp_path / "0.tif").symlink_to(slides / "benign" / "0.tif")
    said: list[Event] = []
    images = listed(tmp_path, tmp_path / "model", said)
    assert (len(images.files), images.tiles) == (4, None)
    assert any(
        "1 of 1 slides are omitted: no label, or a label other than benign, malignant" in words
        for words in words_of(said, Note)
    )
    assert not (tmp_path / "model.partial").exists()
    for path in tmp_path.glob("*/*.png"):
        path.unlink()
    with pytest.raises(InputError, match="no image has any of the labels benign, malignant"):
        listed(tmp_path, tmp_path / "model")


def test_the_runs_own_tiles_are_no_input(slides: Path, tmp_path: Path) -> None:
    for path in slides.glob("*/*.tif"):
        (tmp_path / path.parent.name).mkdir(exist_ok=True)
        (tmp_path / path.relative_to(slides)).symlink_to(path)
    out = tmp_path / "benign" / "model"
    first = listed(tmp_path, out)
    assert list((tmp_path / "benign" / "model.partial").rglob("*.png"))
    assert [file.path for file in listed(tmp_path, out).files] == [file.path for file in first.files]


def test_a_slide_that_crashes_its_reader_is_omitted_with_the_reason(
    slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, opens = os.getpid(), slide_tiles.open_slide

    def open_there(location: bytes) -> object:
        assert os.getpid() != here
        if location.endswith(b"0.tif"):
            os.kill(os.getpid(), signal.SIGKILL)
        return opens(location)

    for path in slides.glob("*/*.tif"):  # and one more, so that a class has two slides left
        (tmp_path / path.parent.name).mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / path.relative_to(slides))
    shutil.copy(slides / "benign" / "2.tif", tmp_path / "benign" / "4.tif")
    monkeypatch.setattr(slide_tiles, "open_slide", open_there)
    said: list[Event] = []
    images = listed(tmp_path, tmp_path / "model", said)
    assert not any(file.path.startswith("benign/0.tif") for file in images.files)
    assert any("benign/0.tif is omitted: decode: WorkerDied: " in words for words in words_of(said, Warn))


def test_several_processes_share_the_slides_and_list_the_same(slides: Path, tmp_path: Path) -> None:
    names = [str(slides)]
    options = options_of(tmp_path / "model")
    found = []
    for rank in (0, 1):
        told: list[Event] = []
        cutter = SlideCutter(options, recipe_of(options), [], resolve_base(names), told.append, Processes(rank, 2))
        found.append(list_images(names, options, told.append, cutter))
    assert found[0].files == found[1].files


def test_scale_is_for_photos(slides: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"--scale 0\.5 applies to photos only; .*--tile-mpp"):
        listed(slides, tmp_path / "model", scale=0.5)


@pytest.mark.slow
def test_a_tuned_backbone_and_the_papers_recipe_learn_from_tiles(slides: Path, tmp_path: Path) -> None:
    finetune([str(slides)], options_of(tmp_path / "tuned", unfreeze=1, epochs=1, segmenter="none", workers=0))
    finetune([str(slides)], options_of(tmp_path / "paper", recipe="paper", epochs=1, tile_mpp=0.6))
    assert read_card(tmp_path / "tuned").metrics["out_of_fold"]["images"]["auroc"]["count"] == 32
    card = read_card(tmp_path / "paper")
    assert (card.input.view, card.input.mpp, target_mpp(card.input).mpp) == ("resize", 0.6, 0.6)


def test_a_u_net_takes_no_slides(slides: Path, tmp_path: Path) -> None:
    slide = slides / "benign" / "0.tif"
    (tmp_path / "manifest.csv").write_text(f"image,mask,patient\n{slide},mask.png,p\n")
    for data in (slide, tmp_path):
        with pytest.raises(
            InputError, match=r"0\.tif is a slide, and a U-Net is trained on images with masks; cut images"
        ):
            finetune([str(data)], options_of(tmp_path / "model", task="segment"))


CALL = """
import sys
from pathlib import Path
from cancernet_cli import finetune
from tests.engine.finetune.dataset.test_slides import options_of
finetune([sys.argv[1]], options_of(Path(sys.argv[2]), workers=1, tiles_per_slide=30))
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_while_it_cuts_it_ends_at_the_same_bytes(slides: Path, tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[4]

    def start(out: Path) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
        return subprocess.Popen([sys.executable, "-c", CALL, str(slides), str(out)], cwd=root, env=environment)

    assert start(tmp_path / "whole").wait() == 0
    partial = tmp_path / "killed.partial"
    for wanted in (5, 40, 80):
        process = start(tmp_path / "killed")
        while len(list(partial.rglob("*.png"))) < wanted and process.poll() is None:
            time.sleep(0.001)
        process.kill()
        process.wait()
    assert start(tmp_path / "killed").wait() == 0
    assert (tmp_path / "whole" / WEIGHTS_FILE).read_bytes() == (tmp_path / "killed" / WEIGHTS_FILE).read_bytes()
