"""The guard against leaks: patients and pictures on two sides of a split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.core.errors import InputError
from cancernet_cli.core.events import Event, StageStarted, Warn
from cancernet_cli.core.options import LearningOptions
from cancernet_cli.data.splits.pairs import list_pairs, pair_folds
from cancernet_cli.engine.finetune.dataset.labelled_images import LabelledImages, list_images, split_parts
from cancernet_cli.engine.finetune.dataset.leaks import guard_pairs, joined_patients
from cancernet_cli.engine.finetune.dataset.reading import STAGE
from tests.he_images import he_like


def options(**changed: object) -> LearningOptions:
    return LearningOptions(**({"folds": 2} | changed))  # type: ignore[arg-type]


def field(seed: int) -> Pixels:
    return he_like(seed, 210, 138)


def recompressed(pixels: Pixels) -> Pixels:
    """A copy at 0.71 of the size, as a JPEG."""
    small = cv2.resize(pixels, None, fx=0.71, fy=0.71, interpolation=cv2.INTER_AREA)
    return cv2.imdecode(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])[1], cv2.IMREAD_COLOR)


def save(pixels: Pixels, path: Path, **how: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **how)


def a_list(
    folder: Path, *, column: str = "fold", sides: Sequence[object] = (0, 0, 0, 0, 1, 1, 1, 1), copy: str = ""
) -> Path:
    """Eight patients of one image, benign and malignant in turn; the last may be a `copy` of the first."""
    rows = []
    for i in range(8):
        pixels = field(i)
        if i == 7 and copy:
            pixels = recompressed(field(0)) if copy == "near" else field(0)
        save(pixels, folder / f"{i}.png", compress_level=1 + i)
        rows.append(f"{i}.png,{'benign' if i % 2 == 0 else 'malignant'},p{i},{sides[i]}")
    file = folder / "list.csv"
    file.write_text(f"path,label,patient,{column}\n" + "\n".join(rows) + "\n")
    return file


def listed(data: Path, said: list[Event] | None = None, **changed: object) -> LabelledImages:
    return list_images([str(data)], options(**changed), (said if said is not None else []).append)


def warned(said: list[Event]) -> list[str]:
    return [event.message for event in said if isinstance(event, Warn)]


def test_a_sound_split_passes_in_silence(tmp_path: Path) -> None:
    said: list[Event] = []
    images = listed(a_list(tmp_path), said)
    assert images.leaks == ()
    assert warned(said) == []
    assert images.groups.tolist() == images.patients.tolist()


@pytest.mark.parametrize(
    ("column", "sides", "where"),
    [
        ("fold", (0, 1, 0, 0, 1, 1, 1, 1), "p0 in fold 0 and fold 1"),
        ("split", ("train", "val", "train", "train", "train", "train", "test", "test"), "p0 in train and val"),
    ],
)
def test_a_given_split_with_a_patient_on_two_sides_is_refused(
    tmp_path: Path, column: str, sides: Sequence[object], where: str
) -> None:
    file = a_list(tmp_path, column=column, sides=sides)
    file.write_text(file.read_text().replace(",p1,", ",p0,"))
    said: list[Event] = []
    with pytest.raises(InputError) as caught:
        listed(file, said)
    assert caught.value.message == f"1 patient is on two sides of the split ({where}): the figures would be worthless"
    assert "--resplit" in caught.value.fix
    assert "--allow-leak" in caught.value.fix
    assert StageStarted(STAGE, 8, "images") not in said  # said before the minutes that reading takes
    images = listed(file, said, allow_leak=True)
    assert images.leaks == (f"1 patient is on two sides of the split ({where})",)
    assert f"the split leaks: {images.leaks[0]}" in warned(said)
    assert listed(file, resplit=True).leaks == ()


@pytest.mark.parametrize("copy", ["exact", "near"])
def test_a_given_split_with_one_picture_on_both_sides_is_refused(tmp_path: Path, copy: str) -> None:
    file = a_list(tmp_path, copy=copy)
    what = "2 files (0.png (fold 0) = 7.png (fold 1)) show the same picture on two sides of the split"
    with pytest.raises(InputError) as caught:
        listed(file)
    assert caught.value.message == f"{what}: the figures would be worthless"
    assert "--resplit" in caught.value.fix
    assert "--allow-leak" in caught.value.fix
    assert listed(file, allow_leak=True).leaks == (what,)


def test_copies_on_one_side_are_no_leak(tmp_path: Path) -> None:
    assert listed(a_list(tmp_path, copy="near", sides=(0, 0, 1, 1, 1, 1, 0, 0))).leaks == ()


def test_a_drawn_split_keeps_patients_that_share_a_picture_together(tmp_path: Path) -> None:
    file = a_list(tmp_path, copy="near")
    for seed in range(6):
        said: list[Event] = []
        images = listed(file, said, resplit=True, seed=seed)
        assert images.folds[0] == images.folds[7]
        assert images.groups.tolist() == ["p0", "p1", "p2", "p3", "p4", "p5", "p6", "p0"]
        assert images.patients.tolist()[7] == "p7"
        assert images.leaks == ()
        assert warned(said) == [
            "2 files (0.png (p0) = 7.png (p7)) show the same picture under different patients, who are kept on one "
            "side of the split"
        ]
        for part in split_parts(images, options(seed=seed)):
            for rows in (part.train, part.validate, part.test):
                assert (0 in rows) == (7 in rows)


def test_equal_pixels_with_two_labels_are_reported(tmp_path: Path) -> None:
    said: list[Event] = []
    listed(a_list(tmp_path, copy="exact"), said, resplit=True)
    assert "2 files (0.png (benign) = 7.png (malignant)) have equal pixels and different labels" in warned(said)


def test_a_class_whose_patients_share_a_picture_cannot_be_split(tmp_path: Path) -> None:
    for i in range(3):
        save(field(i), tmp_path / "benign" / f"{i}.png")
        save(field(9), tmp_path / "malignant" / f"{i}.png")
    with pytest.raises(InputError, match="the patients of class malignant share pictures, so they cannot be put on"):
        listed(tmp_path)


def test_many_names_are_cut_short(tmp_path: Path) -> None:
    rows = []
    for i in range(12):
        save(field(i // 2), tmp_path / f"{i:02d}.png")
        rows.append(f"{i:02d}.png,{'benign' if i // 2 % 2 else 'malignant'},p{i},{i % 2}")
    file = tmp_path / "list.csv"
    file.write_text("path,label,patient,fold\n" + "\n".join(rows) + "\n")
    with pytest.raises(InputError) as caught:
        listed(file)
    assert caught.value.message.startswith("12 files (00.png (fold 0) = 01.png (fold 1); 02.png")
    assert "; ...)" in caught.value.message
    assert "06.png" not in caught.value.message


def test_patients_are_joined_through_others() -> None:
    patients = np.array(["d", "c", "c", "b", "a", "e"])
    pictures = np.array([0, 0, 1, 1, 2, 3])
    assert joined_patients(patients, pictures).tolist() == ["b", "b", "b", "b", "a", "e"]


def masked(folder: Path, header: str, sides: Sequence[str], copies: bool = False) -> list[str]:
    lines = [f"image,mask,patient,{header}"]
    for i, side in enumerate(sides):
        save(field(0 if copies else i), folder / f"{i}.png")
        save(field(i)[..., :1].repeat(3, 2), folder / f"m{i}.png")
        lines.append(f"{i}.png,m{i}.png,p{i},{side}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return [str(folder)]


def test_pairs_are_guarded_alike(tmp_path: Path) -> None:
    sound = list_pairs(masked(tmp_path / "sound", "split", ["train", "train", "test"]))
    assert guard_pairs(sound, options(), lambda event: None).leaks == ()
    pairs = list_pairs(masked(tmp_path / "copies", "split", ["train", "val", "test"], copies=True))
    with pytest.raises(InputError, match=r"show the same picture on two sides of the split: the figures"):
        guard_pairs(pairs, options(), lambda event: None)
    (leak,) = guard_pairs(pairs, options(allow_leak=True), lambda event: None).leaks
    assert leak.startswith("3 files (")
    guarded = guard_pairs(pairs, options(resplit=True), lambda event: None)
    assert guarded.leaks == ()
    assert guarded.groups.tolist() == ["p0"] * 3


def test_given_folds_of_pairs_are_guarded(tmp_path: Path) -> None:
    data = masked(tmp_path, "fold", ["0", "1", "1"])
    file = tmp_path / "manifest.csv"
    file.write_text(file.read_text().replace("p1", "p0"))
    with pytest.raises(InputError, match=r"1 patient is on two sides of the split \(p0 in fold 0 and fold 1\)"):
        guard_pairs(list_pairs(data), options(), lambda event: None)


def test_pairs_that_share_a_picture_are_drawn_into_one_fold(tmp_path: Path) -> None:
    pairs = list_pairs(masked(tmp_path, "split", [""] * 4))
    save(recompressed(field(0)), tmp_path / "3.png")
    groups = guard_pairs(pairs, options(), lambda event: None).groups.tolist()
    assert groups == ["p0", "p1", "p2", "p0"]
    for seed in range(5):
        folds = pair_folds(pairs, 2, seed, groups=groups)
        assert folds[0] == folds[3]


@pytest.mark.slow
def test_the_real_folds_do_not_leak(real_data: Path) -> None:
    said: list[Event] = []
    images = listed(real_data / "breakhis" / "manifest.csv", said)
    assert images.leaks == ()
    assert len(images.files) == 717
    assert len(set(images.patients)) == 32
    assert set(images.folds) == {0, 1, 2, 3, 4}
    assert warned(said) == []


@pytest.mark.slow
def test_a_real_field_saved_again_under_another_patient_is_found(real_data: Path, tmp_path: Path) -> None:
    """The original PNG files beside the JPEG ones, as if they were other patients'."""
    rows = []
    for i, file in enumerate(sorted(real_data.glob("breakhis_png/*/*.png"))):
        jpeg = real_data / "breakhis" / file.parent.name / f"{file.stem}.jpg"
        rows += [f"{file},{file.parent.name},a{i},0", f"{jpeg},{file.parent.name},b{i},1"]
    (tmp_path / "list.csv").write_text("path,label,patient,fold\n" + "\n".join(rows) + "\n")
    with pytest.raises(InputError, match=r"80 files .* show the same picture on two sides"):
        listed(tmp_path / "list.csv")
