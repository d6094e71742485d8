from pathlib import Path

import numpy as np
import pytest

from cancernet_cli.core.records import Failure, FoundFile, Truth
from cancernet_cli.engine.classify.worklist import Worklist


def found(name: str, size: int = 1, **truth: str) -> FoundFile:
    return FoundFile(name, name.encode(), size, 7, Truth(**truth))  # type: ignore[arg-type]


@pytest.fixture
def plan(tmp_path: Path) -> Worklist:
    plan = Worklist(tmp_path / "plan.sqlite")
    broken = FoundFile("c.png", b"c.png", 0, 0, problem=Failure("discover", "FileNotFoundError", "gone"))
    files = [found("b.png", label="benign", patient="14-1"), broken, found("a/z.png"), found("b.png", size=9)]
    assert sum(plan.add(files)) == 4
    return plan


def test_files_come_in_path_order_once_each(plan: Worklist) -> None:
    assert [file.path for file in plan.pending()] == ["a/z.png", "b.png", "c.png"]
    assert len(plan) == plan.count_pending() == 3


def test_facts_of_a_file_survive(plan: Worklist) -> None:
    _, labelled, broken = plan.pending()
    assert labelled.truth == Truth(label="benign", patient="14-1")
    assert broken.problem == Failure("discover", "FileNotFoundError", "gone")


def test_only_unchanged_files_count_as_done(plan: Worklist) -> None:
    unknown = (None, None)
    plan.mark_done(
        [(0, 5, "a/z.png", 1, 7, *unknown), (0, 6, "b.png", 2, 7, *unknown), (0, 7, "x.png", 1, 7, *unknown)]
    )
    assert [file.path for file in plan.pending()] == ["b.png", "c.png"]
    assert next(plan.done()) == (0, 5)


def test_an_image_whose_magnification_or_resolution_has_changed_is_pending_again(tmp_path: Path) -> None:
    plan = Worklist(tmp_path / "files.sqlite")
    known = (Truth(magnification=40.0), Truth(mpp=0.3), Truth(), Truth(magnification=40.0, mpp=0.5))
    files = [FoundFile(f"{i}.png", b"", 1, 7, truth) for i, truth in enumerate(known)]
    slide = FoundFile("slide.svs", b"", 1, 7, Truth(), kind="slide")
    list(plan.add([*files, slide]))
    single = float(np.float32(0.3))
    origins = [(40.0, None), (None, single), (100.0, None), (40.0, None), (None, 0.25)]
    plan.mark_done((0, row, file.path, 1, 7, *origins[row]) for row, file in enumerate([*files, slide]))
    assert [file.path for file in plan.pending()] == ["2.png", "3.png"]


def test_the_digest_changes_with_a_file(tmp_path: Path) -> None:
    digests = set()
    for number, files in enumerate([[found("a"), found("b")], [found("b"), found("a")], [found("a"), found("b", 2)]]):
        plan = Worklist(tmp_path / f"{number}.sqlite")
        list(plan.add(files))
        digests.add(plan.digest())
    assert len(digests) == 2


def test_suffixes_are_counted(plan: Worklist) -> None:
    assert plan.endings() == {".png": 3}


def test_the_digest_can_cover_what_decides_the_scale(tmp_path: Path) -> None:
    digests = {with_scale: set[str]() for with_scale in (False, True)}
    for number, truth in enumerate((Truth(), Truth(magnification=40.0), Truth(mpp=0.5))):
        plan = Worklist(tmp_path / f"{number}.sqlite")
        list(plan.add([FoundFile("a.png", b"", 1, 7, truth)]))
        for with_scale, found_digests in digests.items():
            found_digests.add(plan.digest(with_scale=with_scale))
    assert (len(digests[False]), len(digests[True])) == (1, 3)
