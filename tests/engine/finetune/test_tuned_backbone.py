"""Tuning on generated images: it learns, goes on, keeps patients apart, and speaks by the card's views."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import log_loss, roc_auc_score
from torch import Tensor, nn

from cancernet_cli.classification import Classifier, build_backbone, build_classifier
from cancernet_cli.classification.base import LinearHead
from cancernet_cli.core.cards import Architecture, Card, InputPolicy, SegmentationPolicy
from cancernet_cli.core.errors import InputError, OptionError
from cancernet_cli.core.events import Event, StageAdvanced, silent
from cancernet_cli.core.options import FinetuneOptions
from cancernet_cli.core.options.recipes import Tuning, recipe_of
from cancernet_cli.core.records import FoundFile
from cancernet_cli.data.loading.limits import FileLimits
from cancernet_cli.data.loading.views import make_views
from cancernet_cli.data.splits.folds import SplitPart
from cancernet_cli.engine.finetune.checkpoints import file_facts, open_checkpoints
from cancernet_cli.engine.finetune.dataset.labelled_images import LabelledImages
from cancernet_cli.engine.finetune.job import FinetuneJob
from cancernet_cli.engine.finetune.predict_views import CardViews
from cancernet_cli.engine.finetune.tuned_backbone import Tuned, Tuner, final_epochs
from cancernet_cli.engine.finetune.tuning_setup import backbone_stages, judgement, learning_groups
from cancernet_cli.inference.pipeline import Pipeline
from cancernet_cli.inference.runtime import resolve
from cancernet_cli.inference.torch_runner import TorchRunner
from cancernet_cli.segmentation import segmenters
from cancernet_cli.training.distributed import ALONE, Processes, join_processes
from tests.he_images import he_like

LABELS = np.arange(12) // 2 % 2
PATIENTS = np.array([f"p{i // 2}" for i in range(12)])
PART = SplitPart("fold_0", np.arange(8), np.arange(8, 10), np.arange(10, 12))
NOBODY = np.empty(0, np.int64)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[FoundFile]:
    """Twelve images of six patients; those of the second class are darker."""
    return write_images(tmp_path_factory.mktemp("images"))


def write_images(folder: Path) -> list[FoundFile]:
    found = []
    for i, label in enumerate(LABELS):
        path = folder / f"{i:02d}.png"
        image = he_like(i, 80, 70).astype(int) - 60 * int(label)
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(path)
        found.append(FoundFile(path.name, os.fsencode(path), path.stat().st_size, path.stat().st_mtime_ns))
    return found


def options_of(out: Path, **changed: object) -> FinetuneOptions:
    given = {"backbone": "test_efficientnet", "weights": "none", "head": "level_stats", "levels": "1,2,3"}
    given |= {"unfreeze": 2, "epochs": 3, "batch_size": 4, "workers": 0, "device": "cpu", "learning_rate": 0.01}
    given |= {"view_width_px": 48, "view_height_px": 32, "out": out}
    return FinetuneOptions(**(given | changed))  # type: ignore[arg-type]


def card_of(options: FinetuneOptions) -> Card:
    recipe = recipe_of(options)
    architecture = Architecture(
        backbone=recipe.backbone, head=recipe.head, levels=recipe.levels, classes=("benign", "malignant")
    )
    policy = InputPolicy(
        view=recipe.view, width_px=recipe.view_width_px, height_px=recipe.view_height_px, scale=recipe.scale
    )
    return Card(
        name="tiny",
        task="classify",
        architecture=architecture,
        input=policy,
        segmentation=SegmentationPolicy(segmenter="threshold", background_weight=recipe.background_weight),
    )


def start_of(options: FinetuneOptions) -> Classifier:
    torch.manual_seed(0)
    return build_classifier(card_of(options).architecture).eval()


def tuned(files: list[FoundFile], options: FinetuneOptions, part: SplitPart = PART, **given: Any) -> Tuned:
    job = FinetuneJob((), options, recipe_of(options), resolve(options), join_processes(), given.get("report", silent))
    checkpoints = open_checkpoints(options, job.recipe, map(file_facts, files), job.runtime, ALONE)
    start, segmenter = given.get("start", start_of(options)), segmenters["threshold"].factory(None)
    tuner = Tuner(images_of(files), card_of(options), segmenter, start, job, checkpoints)
    return tuner.tune(part, given.get("stop_after"))


def images_of(files: list[FoundFile]) -> LabelledImages:
    zeros = np.zeros(len(files))
    return LabelledImages(
        files=files,
        classes=("benign", "malignant"),
        labels=LABELS,
        patients=PATIENTS,
        unknown_patients=zeros.astype(bool),
        slides=PATIENTS,
        magnifications=zeros,
        groups=PATIENTS,
        folds=zeros.astype(np.int64),
    )


def state_of(found: Tuned) -> dict[str, Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in found.classifier.state_dict().items()}


def same(one: Tuned, other: Tuned) -> bool:
    return all(torch.equal(value, state_of(other)[name]) for name, value in state_of(one).items())


@pytest.fixture(scope="module")
def undisturbed(files: list[FoundFile], tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    return tuned(files, options_of(tmp_path_factory.mktemp("models") / "m"))


def test_predicts_what_the_pipeline_does_on_the_cards_views(undisturbed: Tuned, files: list[FoundFile]) -> None:
    card = card_of(options_of(Path("m")))
    classifier = build_classifier(card.architecture)
    classifier.load_state_dict(state_of(undisturbed))
    pipeline = Pipeline(card, segmenters["threshold"].factory(None), classifier).eval()
    rows = np.array([10, 3])
    expected = []
    for row in rows:
        image = np.asarray(Image.open(os.fsdecode(files[row].location)))
        with torch.no_grad():
            expected.append(pipeline(torch.from_numpy(make_views(image, card.input))).logits.mean(dim=0).numpy())
    np.testing.assert_allclose(undisturbed.logits(rows), expected, atol=1e-4)


def test_the_history_has_every_figure(undisturbed: Tuned) -> None:
    assert [row.epoch for row in undisturbed.history] == [1, 2, 3]
    assert undisturbed.best_epoch == min(undisturbed.history, key=lambda row: row.validation_loss or 0).epoch
    for row in undisturbed.history:
        assert row.split == "fold_0"
        assert row.images == 8
        assert row.validation_loss is not None
        assert row.validation_accuracy in (0, 0.5, 1)
        assert row.learning_rate is not None


def test_learns_what_is_plain_to_see(files: list[FoundFile], tmp_path: Path) -> None:
    options = options_of(tmp_path / "m", epochs=12, patience=0, segmenter="none")
    part = SplitPart("final", np.arange(8), NOBODY, NOBODY)
    found = tuned(files, options, part, stop_after=10)
    assert len(found.history) == found.best_epoch == 10
    assert found.history[-1].train_loss < found.history[0].train_loss / 2
    assert (found.logits(np.arange(8, 12)).argmax(axis=1) == LABELS[8:]).all()


def test_stopped_after_an_epoch_it_ends_at_the_same_weights(
    undisturbed: Tuned, files: list[FoundFile], tmp_path: Path
) -> None:
    options = options_of(tmp_path / "m")

    def stop(event: Event) -> None:
        if isinstance(event, StageAdvanced) and event.figures.get("epoch") == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tuned(files, options, report=stop)
    resumed = tuned(files, replace(options, workers=2))  # the count of workers changes nothing
    assert same(resumed, undisturbed)
    assert same(tuned(files, options), undisturbed)  # finished: what is kept is given


def test_the_start_is_left_as_it_was_and_other_starts_are_other_trainings(
    files: list[FoundFile], tmp_path: Path
) -> None:
    options = options_of(tmp_path / "m", epochs=1)
    start = start_of(options)
    before = {name: value.clone() for name, value in start.state_dict().items()}
    tuned(files, options, start=start)
    assert all(torch.equal(value, before[name]) for name, value in start.state_dict().items())
    other = start_of(options)
    nn.init.zeros_(other.head.linear.weight)  # type: ignore[arg-type,union-attr]
    with pytest.raises(Exception, match="other options or data"):
        tuned(files, options, start=other)


def test_the_head_standardises_by_the_training_views_alone(undisturbed: Tuned, files: list[FoundFile]) -> None:
    options = options_of(Path("m"))
    start = start_of(options)
    card, runtime = card_of(options), resolve(options)
    from cancernet_cli.classification import heads
    from cancernet_cli.engine.finetune.frozen.features import FeatureExtractor

    reading = FeatureExtractor(start.backbone, heads["level_stats"].facts["reads"])
    runner = TorchRunner(Pipeline(card, segmenters["threshold"].factory(None), reading), runtime)
    read = CardViews(files, card.input, FileLimits(), ALONE).every(runner, PART.train)
    np.testing.assert_allclose(state_of(undisturbed)["head.centre"], read.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(state_of(undisturbed)["head.spread"], read.std(axis=0), atol=1e-5)


@pytest.mark.parametrize("head", ["linear", "flatten"])
def test_takes_every_head(files: list[FoundFile], tmp_path: Path, head: str) -> None:
    options = options_of(tmp_path / "m", head=head, levels="4", epochs=1, loss="focal", sampling="class")
    assert np.isfinite(tuned(files, options).logits(PART.test)).all()


def test_only_the_thawed_stages_change(files: list[FoundFile], tmp_path: Path) -> None:
    options = options_of(tmp_path / "m", unfreeze=1)
    start = start_of(options)
    stages = backbone_stages(start.backbone, card_of(options).architecture)
    names = {id(p): name for name, p in start.named_parameters()}
    found = state_of(tuned(files, options, start=start))
    for k, stage in enumerate(stages):
        changed = [not torch.equal(found[names[id(p)]], p) for p in stage]
        assert all(changed) if k == 0 else not any(changed)
    running = {name: value for name, value in start.state_dict().items() if "running" in name}
    assert running
    assert all(torch.equal(found[name], value) for name, value in running.items())


@pytest.mark.parametrize(("name", "levels"), [("vgg16", (4,)), ("resnet50", (3,)), ("test_efficientnet", (1, 2, 3))])
def test_stages_are_found_by_what_depends_on_them(name: str, levels: tuple[int, ...]) -> None:
    backbone = build_backbone(name, levels)
    stages = backbone_stages(backbone, Architecture(backbone=name, levels=levels))
    assert len(stages) == max(levels) + 1
    named = {id(p): key for key, p in backbone.named_parameters()}
    keys = [[named[id(p)] for p in stage] for stage in stages]
    assert sorted(key for stage in keys for key in stage) == sorted(named.values())
    if name == "vgg16":
        assert [sorted({int(key.split(".")[1]) for key in stage}) for stage in keys[:2]] == [[24, 26, 28], [17, 19, 21]]
    if name == "resnet50":
        assert {key.split(".")[0] for key in keys[0]} == {"layer3"}
        assert {key.split(".")[0] for key in keys[-1]} == {"conv1", "bn1"}


def test_deeper_stages_learn_first_and_faster() -> None:
    options = options_of(Path("m"))
    groups = learning_groups(start_of(options), card_of(options), unfreeze=3, epochs=30)
    assert [(group.rate, group.start) for group in groups] == [(1.0, 0), (0.5, 3), (0.25, 6), (0.125, 9)]


def test_all_stages_at_once_at_one_rate() -> None:
    options = options_of(Path("m"))
    tuning = Tuning(thaw=0.0, backbone_rate=0.25, deeper_rate=1.0)
    groups = learning_groups(start_of(options), card_of(options), unfreeze=3, epochs=6, tuning=tuning)
    assert [(group.rate, group.start) for group in groups] == [(1.0, 0), (0.25, 0), (0.25, 0), (0.25, 0)]


def patches_options(out: Path) -> FinetuneOptions:
    return options_of(out, recipe="patches", head="linear", levels="4", unfreeze=None, epochs=2)


def test_dropped_features_and_batch_statistics_are_the_same_after_an_interruption(
    files: list[FoundFile], tmp_path: Path
) -> None:
    undisturbed = tuned(files, patches_options(tmp_path / "one"))
    options = patches_options(tmp_path / "two")

    def stop(event: Event) -> None:
        if isinstance(event, StageAdvanced) and event.figures.get("epoch") == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tuned(files, options, report=stop)
    torch.manual_seed(5)  # what the process has drawn before does not matter
    assert same(tuned(files, replace(options, workers=1)), undisturbed)
    start, found = start_of(options), state_of(undisturbed)
    moved = [not torch.equal(found[name], value) for name, value in start.state_dict().items() if "running" in name]
    assert moved
    assert all(moved)
    assert not any(module.training for module in undisturbed.classifier.modules())


def test_the_head_drops_features_in_training_only() -> None:
    start = start_of(patches_options(Path("m")))
    head = start.head
    assert isinstance(head, LinearHead)
    maps = [torch.rand(3, head.linear.in_features, 2, 2)]
    plain = head(maps)
    head.dropout = 0.5
    assert torch.equal(head(maps), plain)
    head.train()
    torch.manual_seed(0)
    found = torch.stack([head(maps) for _ in range(2000)])
    assert not torch.equal(found[0], found[1])
    torch.testing.assert_close(found.mean(dim=0), plain, atol=0.05, rtol=0)


def test_validation_figures_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    logits, labels, weights = rng.normal(size=(30, 2)), rng.integers(0, 2, 30), rng.dirichlet(np.ones(30))
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = judgement(logits, labels, weights, ("benign", "malignant"))
    assert found.loss == pytest.approx(log_loss(labels, probs, sample_weight=weights))
    assert found.auroc == pytest.approx(roc_auc_score(labels, probs[:, 1]))
    assert found.accuracy == pytest.approx((probs.argmax(axis=1) == labels).mean())
    assert judgement(logits, np.zeros(30, int), weights, ("benign", "malignant")).auroc is None


def test_the_final_training_takes_the_median_of_the_folds_epochs() -> None:
    assert final_epochs([3, 9, 4]) == 4
    assert final_epochs([1, 2]) == 2


def test_an_image_that_has_gone_stops_it_with_its_reason(files: list[FoundFile], tmp_path: Path) -> None:
    gone = [*files[:3], replace(files[3], location=os.fsencode(tmp_path / "gone.png")), *files[4:]]
    for head in ("linear", "level_stats"):  # found by the training's loader; by the head's first look
        with pytest.raises(InputError, match=r"No such file or directory; repair or remove (it|the file)"):
            tuned(gone, options_of(tmp_path / head, head=head))


def test_a_batch_must_be_shared_evenly() -> None:
    assert [Processes(rank, 2).share(8) for rank in (0, 1)] == [slice(0, 4), slice(4, 8)]
    with pytest.raises(OptionError, match="a batch of 4 cannot be divided among 3 processes; use --batch-size 3"):
        Processes(0, 3).share(4)


SHARED = """
import sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from cancernet_cli.training.distributed import join_processes
from tests.engine.finetune.test_tuned_backbone import options_of, state_of, tuned, write_images
torch.set_num_threads(1)
processes = join_processes()
folder = Path(sys.argv[1]) / f"rank{processes.rank}of{processes.count}"
folder.mkdir()
found = tuned(write_images(folder), options_of(Path(sys.argv[1]) / f"model{processes.count}"))
save_file(state_of(found), folder / "weights.safetensors")
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_processes_end_where_one_does(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    root = Path(__file__).resolve().parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    script = tmp_path / "shared.py"
    script.write_text(SHARED)
    alone = [sys.executable, str(script), str(tmp_path)]
    together = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *alone[1:]]
    for command in (alone, together):
        subprocess.run(command, cwd=root, env=environment, check=True)
    one, first, second = (
        load_file(tmp_path / name / "weights.safetensors") for name in ("rank0of1", "rank0of2", "rank1of2")
    )
    for name, value in one.items():
        assert torch.equal(first[name], second[name]), name
        torch.testing.assert_close(first[name], value, rtol=1e-3, atol=1e-4)
    assert not torch.equal(one["head.linear.weight"], start_of(options_of(tmp_path)).head.linear.weight)  # type: ignore[union-attr,arg-type]
