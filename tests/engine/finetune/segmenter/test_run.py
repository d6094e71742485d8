"""A U-Net trained on generated pairs: folds by patient, history, kills, and several processes."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from cancernet_cli.core import interruption
from cancernet_cli.core.cards import WEIGHTS_FILE, read_card
from cancernet_cli.core.errors import InputError, Interrupted, OutputError
from cancernet_cli.core.events import Event, StageAdvanced
from cancernet_cli.core.options import FinetuneOptions
from cancernet_cli.core.options.recipes import recipe_of
from cancernet_cli.core.records import FinetuneResult
from cancernet_cli.engine.finetune import random_batches
from cancernet_cli.engine.finetune.segmenter import unet as finetune_unet
from cancernet_cli.engine.finetune.segmenter.evaluation import worse_than_otsu
from cancernet_cli.engine.finetune.segmenter.overlap import CUTS
from cancernet_cli.engine.finetune.segmenter.run import train_segmenter
from cancernet_cli.outputs.reports.history import HISTORY_FILE, read_history
from tests.he_images import he_like


def options_of(out: Path, **changed: object) -> FinetuneOptions:
    given = {"backbone": "test_efficientnet", "weights": "none", "epochs": 2, "crop_px": 32, "folds": 2, "workers": 0}
    given |= {"batch_size": 4, "task": "segment", "device": "cpu", "out": out}
    return FinetuneOptions(**(given | changed))  # type: ignore[arg-type]


def train(data: Path, options: FinetuneOptions, report: object = lambda event: None) -> FinetuneResult:
    return train_segmenter([str(data)], options, recipe_of(options), report)  # type: ignore[arg-type]


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """A thin decoder, and no threads that wait for one another."""
    threads, channels = torch.get_num_threads(), finetune_unet.DECODER_CHANNELS
    torch.set_num_threads(1)
    finetune_unet.DECODER_CHANNELS = (8, 8, 8, 8, 8)
    yield
    torch.set_num_threads(threads)
    finetune_unet.DECODER_CHANNELS = channels


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight pairs of four patients, without a split."""
    root = tmp_path_factory.mktemp("masked")
    lines = ["image,mask,patient"]
    for seed in range(8):
        image = he_like(seed, 64, 64)
        Image.fromarray(image).save(root / f"i{seed}.png")
        Image.fromarray(((image[..., 1] < 100) * 255).astype(np.uint8)).save(root / f"m{seed}.png")
        lines.append(f"i{seed}.png,m{seed}.png,p{seed // 2}")
    (root / "manifest.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture(scope="module")
def split(masked: Path) -> Path:
    """The same pairs with a split: two patients train, one validates, one tests."""
    rows = list(csv.DictReader((masked / "manifest.csv").open()))
    of = {"p0": "train", "p1": "train", "p2": "val", "p3": "test"}
    path = masked / "split.csv"
    lines = [f"{row['image']},{row['mask']},{row['patient']},{of[row['patient']]}" for row in rows]
    path.write_text("\n".join(["image,mask,patient,split", *lines]) + "\n")
    return path


@pytest.fixture(scope="module")
def undisturbed(masked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("models") / "unet"
    train(masked, options_of(out))
    return out


def test_every_patient_is_tested_by_a_training_without_that_patient(undisturbed: Path) -> None:
    card = read_card(undisturbed)
    everyone = [patient for members in card.training.splits.values() for patient in members]
    assert sorted(everyone) == ["p0", "p1", "p2", "p3"]
    assert list(card.training.splits) == ["fold_0", "fold_1"]
    assert card.training.images == 8
    found = card.metrics["out_of_fold"]
    assert sorted(found["by_patient"]) == sorted(everyone)
    assert set(found["baselines"]) == {"threshold", "watershed"}
    assert found["dice"]["images"] == 8
    for fold, members in card.training.splits.items():
        assert set(found["by_fold"][fold]) == {"cut", "unet", "threshold", "watershed"}
        assert found["by_fold"][fold]["unet"]["patients"] == len(members)
        assert found["by_fold"][fold]["cut"] in CUTS
    assert "Dice on 4 patients out of fold (2 folds)" in card.decision.chosen_on


def test_the_history_has_every_epoch_of_every_training(undisturbed: Path) -> None:
    rows = read_history(undisturbed / HISTORY_FILE)
    assert [(row.split, row.epoch) for row in rows] == [
        (split, epoch) for split in ("fold_0", "fold_1", "final") for epoch in (1, 2)
    ]
    # Held-out patients of a fold are watched; the final training has none
    assert all((row.validation_dice is None) == (row.split == "final") for row in rows)
    assert all(0 <= (row.train_accuracy or -1) <= 1 for row in rows)
    assert not undisturbed.with_name("unet.partial").exists()


def test_the_evaluation_has_every_image_held_out(undisturbed: Path) -> None:
    folder = undisturbed / "evaluation"
    rows = pq.read_table(folder / "images.parquet").to_pylist()
    splits = read_card(undisturbed).training.splits
    assert sorted(row["image"] for row in rows) == [f"i{seed}.png" for seed in range(8)]
    assert all(row["patient"] in splits[row["split"]] for row in rows)
    assert all(0 <= row[name] <= 1 for row in rows for name in ("dice", "jaccard", "aji", "pq"))
    text = (folder / "report.md").read_text("utf-8")
    links = [line.split("](")[1].rstrip(")") for line in text.splitlines() if line.startswith("![")]
    assert {"pictures/worst.jpg", "pictures/best.jpg", "plots/loss.png", "plots/dice.png"} <= set(links)
    assert all((folder / link).is_file() for link in links)


def test_a_network_that_is_no_better_than_otsu_is_doubted(undisturbed: Path) -> None:
    card = read_card(undisturbed)
    found = card.metrics["out_of_fold"]
    unet, otsu = (one["mean_of_patients"]["value"] for one in (found, found["baselines"]["threshold"]))
    assert bool(card.training.doubts) == (unet <= otsu)
    better = {"mean_of_patients": {"value": 0.8}, "baselines": {"threshold": {"mean_of_patients": {"value": 0.7}}}}
    assert worse_than_otsu({"out_of_fold": better}) == ()
    better["mean_of_patients"] = {"value": 0.7}
    (doubt,) = worse_than_otsu({"test": better})
    assert "0.700, no better than the 0.700 of Otsu's threshold" in doubt


def test_a_given_split_validates_and_tests_on_its_own_patients(split: Path, tmp_path: Path) -> None:
    train(split, options_of(tmp_path / "unet", tensorboard=tmp_path / "events"))
    card = read_card(tmp_path / "unet")
    assert card.training.splits == {"train": ["p0", "p1"], "validation": ["p2"], "test": ["p3"]}
    assert list(card.metrics["test"]["by_patient"]) == ["p3"]
    assert card.metrics["test"]["cut"] in CUTS
    assert "Dice on 1 patients held out for validation" in card.decision.chosen_on
    rows = read_history(tmp_path / "unet" / HISTORY_FILE)
    assert all(0 <= (row.validation_dice or 0) <= 1 and row.validation_loss is not None for row in rows)
    assert list((tmp_path / "events" / "final").iterdir())


def test_at_a_cut_of_a_half_the_network_is_kept_as_it_learned(masked: Path, undisturbed: Path, tmp_path: Path) -> None:
    train(masked, options_of(tmp_path / "unet", mask_threshold=0.5))
    kept, moved = (load_file(folder / WEIGHTS_FILE) for folder in (tmp_path / "unet", undisturbed))
    changed = {name for name in kept if not torch.equal(kept[name], moved[name])}
    assert changed == {"segmentation_head.0.bias"}
    assert read_card(tmp_path / "unet").decision.chosen_on == ""


def test_a_given_split_is_redrawn_with_resplit(split: Path, masked: Path, undisturbed: Path, tmp_path: Path) -> None:
    train(split, options_of(tmp_path / "unet", resplit=True))
    assert set(read_card(tmp_path / "unet").metrics["out_of_fold"]["by_patient"]) == {"p0", "p1", "p2", "p3"}


def test_one_fold_is_one_split_by_patient(masked: Path, tmp_path: Path) -> None:
    train(masked, options_of(tmp_path / "unet", folds=1, test_share=0.25, validation_share=0.3))
    splits = read_card(tmp_path / "unet").training.splits
    assert {name: len(members) for name, members in splits.items()} == {"train": 2, "validation": 1, "test": 1}
    assert len({patient for members in splits.values() for patient in members}) == 4


def test_more_folds_than_patients_are_refused(masked: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--folds"):
        train(masked, options_of(tmp_path / "unet", folds=5))


def test_stopped_and_started_again_it_ends_at_the_same_bytes(masked: Path, undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "unet"

    def stop(event: Event) -> None:
        if isinstance(event, StageAdvanced) and event.stage == "train fold_1" and event.figures.get("epoch") == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(masked, options_of(out), stop)
    assert sorted(path.name for path in out.with_name("unet.partial").iterdir()) == [
        "fold_0.pt",
        "fold_1.pt",
        "held_out",
    ]
    assert not out.exists()
    seen: list[Event] = []
    train(masked, options_of(out, workers=2), seen.append)  # the count of workers changes nothing either
    assert (out / WEIGHTS_FILE).read_bytes() == (undisturbed / WEIGHTS_FILE).read_bytes()
    assert read_card(out).metrics == read_card(undisturbed).metrics
    first = [event.done for event in seen if isinstance(event, StageAdvanced) and event.stage == "train fold_0"]
    assert first == [2]  # both epochs came from the checkpoint, at once


def test_pairs_that_do_not_fit_into_memory_give_the_same_weights(
    masked: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random_batches, "HELD_BYTES", 1)
    train(masked, options_of(tmp_path / "unet"))
    assert (tmp_path / "unet" / WEIGHTS_FILE).read_bytes() == (undisturbed / WEIGHTS_FILE).read_bytes()


def test_checkpoints_of_other_options_are_refused(masked: Path, tmp_path: Path) -> None:
    out = tmp_path / "unet"

    def stop(event: Event) -> None:
        if isinstance(event, StageAdvanced) and event.figures.get("epoch") == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(masked, options_of(out), stop)
    with pytest.raises(OutputError, match=r"to a training with other options or data; .*--overwrite"):
        train(masked, options_of(out, seed=1))
    train(masked, options_of(out, seed=1, overwrite=True))
    assert read_card(out).training.seed == 1


def test_a_disk_that_fills_leaves_the_last_checkpoint(
    masked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "unet"
    whole, calls = Path.write_bytes, []

    def full(self: Path, content: bytes) -> int:
        calls.append(self)
        if len(calls) == 2:
            whole(self, content[: len(content) // 2])
            raise OSError(28, "No space left on device")
        return whole(self, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left on device; free some disk space"):
        train(masked, options_of(out))
    monkeypatch.undo()
    assert [path.name for path in out.with_name("unet.partial").iterdir()] == ["fold_0.pt"]
    seen: list[Event] = []
    train(masked, options_of(out), seen.append)
    assert any("resumes after epoch 1" in getattr(event, "message", "") for event in seen)


def test_an_interruption_explains_how_to_resume(masked: Path, tmp_path: Path) -> None:
    def stop(event: Event) -> None:
        if isinstance(event, StageAdvanced) and event.figures.get("epoch") == 1:
            os.kill(os.getpid(), signal.SIGINT)

    with (
        pytest.raises(Interrupted, match="SIGINT; fold_0 is kept up to epoch 2; run the same command again to resume"),
        interruption.watch(),
    ):
        train(masked, options_of(tmp_path / "unet", epochs=3), stop)


CALL = """
import sys
from pathlib import Path
from cancernet_cli.engine.finetune.segmenter import unet as finetune_unet
from tests.engine.finetune.segmenter.test_run import options_of, train
finetune_unet.DECODER_CHANNELS = (8, 8, 8, 8, 8)
train(Path(sys.argv[1]), options_of(Path(sys.argv[2]), epochs=4, workers=1))
"""


def start(masked: Path, out: Path, *launcher: str) -> subprocess.Popen[bytes]:
    root = Path(__file__).resolve().parents[4]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *launcher, "-c", CALL, str(masked), str(out)]
    return subprocess.Popen(command, cwd=root, env=environment)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_at_any_moment_it_ends_at_the_same_bytes(masked: Path, tmp_path: Path) -> None:
    assert start(masked, tmp_path / "whole").wait() == 0
    out = tmp_path / "unet"
    random = np.random.default_rng(0)
    for wanted in ("fold_0.pt", "fold_1.pt", "final.pt"):
        process = start(masked, out)
        while not (out.with_name("unet.partial") / wanted).exists() and process.poll() is None:
            time.sleep(0.005)
        time.sleep(random.uniform(0, 0.3))
        process.kill()
        process.wait()
    assert start(masked, out).wait() == 0
    assert (out / WEIGHTS_FILE).read_bytes() == (tmp_path / "whole" / WEIGHTS_FILE).read_bytes()
    assert not out.with_name("unet.partial").exists()
