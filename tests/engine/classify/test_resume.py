"""Interruptions of real processes: whatever happens, the same command ends with the same bytes."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from cancernet_cli import classify
from cancernet_cli.core.errors import OutputError
from cancernet_cli.core.options import ClassifyOptions
from tests.tiny_model import write_tiny_model

FILES = 120
# A part after every batch, and a pause at each, so that a kill finds a run in the middle.
SLOW = """
import sys, time
from cancernet_cli.outputs.tables import parts
parts.FLUSH_ROWS = 1
from cancernet_cli.engine.classify import batches
predict = batches.predict
batches.predict = lambda *a: (time.sleep(0.03), predict(*a))[1]
from cancernet_cli.cli.app import main
main(sys.argv[1:])
"""

# A batch that takes a minute and reports it.
STUCK = SLOW.replace("(time.sleep(0.03)", "(print('stuck', flush=True), time.sleep(60)").replace("[1]", "[2]")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    generator = np.random.default_rng(0)
    for number in range(FILES):
        cv2.imwrite(str(folder / f"{number:03d}.png"), generator.integers(0, 255, (48, 64, 3), dtype=np.uint8))
    (folder / "bad.png").write_bytes(b"no image")
    return folder


def start(many: Path, out: Path, model: Path, *flags: str, script: str = SLOW) -> subprocess.Popen[str]:
    words = ["classify", str(many), "--out", str(out), "--model", str(model), "--batch-size", "4", "--workers", "1"]
    return subprocess.Popen(
        [sys.executable, "-c", script, *words, "--format", "quiet", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_parts(out: Path, count: int, process: subprocess.Popen[str]) -> None:
    folder = out.with_name(out.name + ".partial")
    while len(list(folder.glob("part-*.parquet"))) < count and process.poll() is None:
        time.sleep(0.01)


def options(out: Path, model: Path) -> ClassifyOptions:
    return ClassifyOptions(out=out, model=str(model), batch_size=4, workers=0)


@pytest.fixture(scope="module")
def undisturbed(many: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return classify([many], options(tmp_path_factory.mktemp("whole") / "p.parquet", model)).out.read_bytes()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_a_signal_finishes_the_batch_and_keeps_what_is_done(
    many: Path, model: Path, tmp_path: Path, undisturbed: bytes, number: int, code: int
) -> None:
    out = tmp_path / "p.parquet"
    process = start(many, out, model)
    wait_for_parts(out, 3, process)
    process.send_signal(number)
    _, words = process.communicate(timeout=60)
    assert process.returncode == code, words
    assert "files are done and kept" in words
    assert "run the same command again to resume" in words
    assert "Traceback" not in words
    assert not out.exists()
    result = classify([many], options(out, model))
    assert 0 < result.reused < result.files
    assert out.read_bytes() == undisturbed
    assert {p.name for p in tmp_path.iterdir()} == {"p.parquet", "p.run.json", "p.contents.parquet"}


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_a_second_signal_stops_at_once_with_a_message(
    many: Path, model: Path, tmp_path: Path, number: int, code: int
) -> None:
    process = start(many, tmp_path / "p.parquet", model, script=STUCK)
    assert process.stdout is not None
    assert process.stdout.readline() == "stuck\n"
    process.send_signal(number)
    time.sleep(0.2)
    assert process.poll() is None  # the first one waits for the batch
    process.send_signal(number)
    _, words = process.communicate(timeout=30)
    assert process.returncode == code, words
    assert "at once, so what was begun is lost and what was finished is kept" in words
    assert "run the same command again to resume" in words
    assert "Traceback" not in words


@pytest.mark.slow
def test_after_kill_9_the_same_command_ends_with_the_same_bytes(
    many: Path, model: Path, tmp_path: Path, undisturbed: bytes
) -> None:
    out = tmp_path / "p.parquet"
    generator = random.Random(0)
    for parts in (1, 2, 3):
        process = start(many, out, model)
        wait_for_parts(out, parts * 2, process)
        time.sleep(generator.random() * 0.1)
        process.kill()
        process.communicate()
    process = start(many, out, model)
    _, words = process.communicate(timeout=120)
    assert process.returncode == 7, words  # bad.png
    assert out.read_bytes() == undisturbed


def interrupted(many: Path, out: Path, model: Path) -> None:
    process = start(many, out, model)
    wait_for_parts(out, 4, process)
    process.kill()
    process.communicate()


@pytest.mark.slow
def test_only_valid_parts_are_reused(many: Path, model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    shutil.copytree(many, folder)
    out = tmp_path / "p.parquet"
    interrupted(folder, out, model)
    changed, removed, added = folder / "001.png", folder / "002.png", folder / "0005.png"
    shutil.copy(folder / "100.png", changed)
    os.utime(changed, ns=(1, 1))
    removed.unlink()
    shutil.copy(folder / "101.png", added)
    result = classify([folder], options(out, model))
    assert 0 < result.reused < FILES
    fresh = classify([folder], options(tmp_path / "fresh.parquet", model))
    ours, theirs = (pq.read_table(r.out, columns=["path", "prob_malignant"]).to_pydict() for r in (result, fresh))
    assert ours["path"] == theirs["path"]
    assert "0005.png" in ours["path"]
    assert "002.png" not in ours["path"]
    good = [i for i, p in enumerate(ours["prob_malignant"]) if p is not None]
    np.testing.assert_allclose(
        [ours["prob_malignant"][i] for i in good], [theirs["prob_malignant"][i] for i in good], atol=1e-6
    )


@pytest.mark.slow
def test_a_run_that_would_mix_two_models_is_refused(many: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.parquet"
    interrupted(many, out, model)
    other = write_tiny_model(tmp_path / "other", seed=1)
    with pytest.raises(OutputError, match=r"unfinished run made with .*model.*--overwrite"):
        classify([many], options(out, other))
    assert classify([many], ClassifyOptions(out=out, model=str(other), overwrite=True, workers=0)).reused == 0


@pytest.mark.slow
def test_a_damaged_part_is_redone(many: Path, model: Path, tmp_path: Path, undisturbed: bytes) -> None:
    out = tmp_path / "p.parquet"
    interrupted(many, out, model)
    part = sorted(out.with_name("p.parquet.partial").glob("part-*.parquet"))[1]
    part.write_bytes(part.read_bytes()[:100])
    classify([many], options(out, model))
    assert pq.read_table(out).num_rows == FILES + 1
