"""Plots: what they say, that a stamp cannot be missed, and that the same data give the same bytes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image
from sklearn.metrics import average_precision_score, confusion_matrix, roc_auc_score

from cancernet_cli.core.errors import OutputError
from cancernet_cli.metrics.calibration import quantile_bins
from cancernet_cli.outputs import plots
from cancernet_cli.outputs.plots import Band, Row, Series, canvas

RED = np.array([round(255 * c) for c in to_rgb(canvas.RED)])


def series(name: str = "images", n: int = 60, *, weighted: bool = False) -> Series:
    rng = np.random.default_rng(0)
    labels = rng.random(n) < 0.6
    scores = np.clip(rng.normal(0.4 + 0.2 * labels, 0.2), 0, 1).round(2)
    return Series(name, labels, scores, rng.integers(1, 4, n).astype(float) if weighted else None)


def history(epochs: int, seed: int) -> list[dict[str, float | None]]:
    rng = np.random.default_rng(seed)
    keys = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "validation_dice")
    return [{"epoch": e, **dict(zip(keys, rng.random(5).tolist(), strict=True))} for e in range(1, epochs + 1)]


BINS = quantile_bins(np.linspace(0, 1, 60), np.arange(60) % 7 < 3)
ROWS = [{"threshold": t, "sensitivity": 1 - t, "specificity": t, "ppv": None} for t in (0.0, 0.5, 1.0)]
DRAW: dict[str, Callable[..., None]] = {
    "roc": lambda path, **more: plots.plot_roc([series()], path, **more),
    "precision_recall": lambda path, **more: plots.plot_precision_recall([series()], path, **more),
    "reliability": lambda path, **more: plots.plot_reliability({"images": BINS}, path, **more),
    "confusion": lambda path, **more: plots.plot_confusion([[3, 1], [0, 5]], ["benign", "malignant"], path, **more),
    "thresholds": lambda path, **more: plots.plot_thresholds(ROWS, path, 0.4, **more),
    "history": lambda path, **more: plots.plot_history({"VGG16": history(5, 0)}, path, measure="loss", **more),
    "intervals": lambda path, **more: plots.plot_intervals([("all", 0.8, 0.7, 0.9)], path, measure="AUROC", **more),
}


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer pixels, for speed."""
    monkeypatch.setattr(canvas, "DPI", 50)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are written, kept to look into."""
    kept: list[Figure] = []
    draw = FigureCanvasAgg.draw

    def keep(self: FigureCanvasAgg) -> None:
        kept.append(self.figure)
        draw(self)

    monkeypatch.setattr(FigureCanvasAgg, "draw", keep)
    return kept


def legend_of(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def red_share(path: Path) -> float:
    """Share of pixels in the stamp's full red."""
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return float((np.abs(pixels - RED).max(axis=2) < 12).mean())


@pytest.mark.parametrize("name", DRAW)
def test_the_same_bytes_a_small_png_and_a_stamp_that_is_seen(name: str, tmp_path: Path) -> None:
    DRAW[name](tmp_path / "a.png", title="a title")
    DRAW[name](tmp_path / "b.png", title="a title")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    image = Image.open(tmp_path / "a.png")
    assert image.format == "PNG"
    assert "Software" not in image.info
    assert red_share(tmp_path / "a.png") < 0.001
    DRAW[name](tmp_path / "stamped.png", title="a title", stamp="LEAKING SPLIT: two patients on both sides")
    assert red_share(tmp_path / "stamped.png") > 0.03
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png", "stamped.png"]


def test_full_size_is_sharp_and_small_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    runs = {f"{name} fold {i}": history(25, i) for name in ("VGG16", "ResNet50", "DenseNet121") for i in range(5)}
    plots.plot_history(runs, tmp_path / "h.png", measure="accuracy", stamp="LEAKING SPLIT")
    assert round(Image.open(tmp_path / "h.png").info["dpi"][0]) == 150
    assert Image.open(tmp_path / "h.png").width == 7 * 150
    assert (tmp_path / "h.png").stat().st_size < 200_000


def test_roc_says_the_area_the_counts_and_the_operating_point(tmp_path: Path, drawn: list[Figure]) -> None:
    one = series(weighted=True)
    plots.plot_roc([one, series("others")], tmp_path / "r.png", thresholds={"images": 0.5})
    area = roc_auc_score(one.labels, one.scores, sample_weight=one.weights)
    assert one.weights is not None
    positives = int(one.weights[one.labels].sum())
    negatives = int(one.weights[~one.labels].sum())
    matrix = confusion_matrix(one.labels, one.scores >= 0.5, sample_weight=one.weights)
    (tn, fp), (fn, tp) = matrix
    words = legend_of(drawn[0])
    assert words[0] == f"images: AUROC {area:.3f} ({positives} positive, {negatives} negative)"
    assert words[1] == f"threshold 0.5: sensitivity {tp / (tp + fn):.2f}, specificity {tn / (tn + fp):.2f}"
    assert words[2].startswith("others: AUROC")
    assert words[3] == "chance: AUROC 0.5"


def test_precision_recall_says_the_average_precision(tmp_path: Path, drawn: list[Figure]) -> None:
    one = series()
    plots.plot_precision_recall([one], tmp_path / "p.png", thresholds={"images": 0.5})
    precision = one.labels[one.scores >= 0.5].mean()
    recall = (one.scores[one.labels] >= 0.5).mean()
    assert f"AUPRC {average_precision_score(one.labels, one.scores):.3f}" in legend_of(drawn[0])[0]
    assert legend_of(drawn[0])[1] == f"threshold 0.5: recall {recall:.2f}, precision {precision:.2f}"


@pytest.mark.parametrize("plot", [plots.plot_roc, plots.plot_precision_recall])
def test_one_class_has_no_curve_and_says_so(plot: Callable[..., None], tmp_path: Path, drawn: list[Figure]) -> None:
    plot([Series("alone", np.ones(3, bool), np.array([0.1, 0.2, 0.3]))], tmp_path / "p.png")
    assert legend_of(drawn[0])[0] == "alone: only one class (3 positive, 0 negative)"


def test_reliability_has_equal_axes_intervals_and_the_calibration_error(tmp_path: Path, drawn: list[Figure]) -> None:
    notes = {"images": "calibration error 0.075"}
    plots.plot_reliability({"images": BINS, "empty": []}, tmp_path / "r.png", notes=notes)
    words = legend_of(drawn[0])
    assert words[0] == "images: 60 in 6 bins of about equal size, calibration error 0.075"
    assert words[1].startswith("empty: 0")
    axes = drawn[0].axes[0]
    assert axes.get_xlim() == axes.get_ylim() == (-0.01, 1.01)
    assert axes.get_aspect() == 1
    (whiskers,) = [bar for container in axes.containers for bar in container[2]]
    ends = [(segment[0][1], segment[1][1]) for segment in whiskers.get_segments()]
    np.testing.assert_allclose(ends, [(b["observed_low"], b["observed_high"]) for b in BINS])


def test_confusion_says_counts_and_row_shares(tmp_path: Path, drawn: list[Figure]) -> None:
    plots.plot_confusion([[3, 1], [0, 0]], ["benign", "$malignant"], tmp_path / "c.png")
    words = [text.get_text() for text in drawn[0].axes[0].texts]
    assert words == ["3", "75.0 %", "1", "25.0 %", "0", "–", "0", "–"]
    eight = np.diag(range(8))
    plots.plot_confusion(eight, [f"a_class_with_a_long_name_{i}" for i in range(8)], tmp_path / "c.png")
    plots.plot_confusion(np.eye(20, dtype=int), [str(i) for i in range(20)], tmp_path / "c.png")
    assert not drawn[2].axes[0].texts


def test_thresholds_draw_what_there_is(tmp_path: Path, drawn: list[Figure]) -> None:
    plots.plot_thresholds(ROWS, tmp_path / "t.png", 0.4)  # type: ignore[arg-type]
    assert legend_of(drawn[0]) == ["sensitivity", "specificity", "threshold in use: 0.4"]
    plots.plot_thresholds(ROWS, tmp_path / "t.png", None)  # type: ignore[arg-type]
    assert legend_of(drawn[1]) == ["sensitivity", "specificity"]
    assert len(drawn[1].axes) == 1
    whole = [row | {"ppv": 0.5, "npv": 0.5, "f1": 0.2} for row in ROWS]
    plots.plot_thresholds(whole, tmp_path / "t.png", 0.4)  # type: ignore[arg-type]
    assert [len(axes.lines) - 1 for axes in drawn[2].axes] == [2, 2, 1]


def test_history_gives_a_network_a_colour_and_folds_a_mean(tmp_path: Path, drawn: list[Figure]) -> None:
    runs = {f"VGG16 fold {i}": history(4, i) for i in range(3)} | {"final": history(4, 9)}
    plots.plot_history(runs, tmp_path / "h.png", measure="accuracy")
    assert legend_of(drawn[0]) == [
        "VGG16 (mean of 3 folds)", "final", "training", "validation", "best epoch in validation"
    ]  # fmt: skip
    lines = drawn[0].axes[0].lines
    assert len(lines) == 2 * (3 + 1) + 2 + 2
    mean = np.mean([[row["train_accuracy"] for row in runs[f"VGG16 fold {i}"]] for i in range(3)], axis=0)
    np.testing.assert_allclose(lines[3].get_ydata(), mean)
    assert lines[3].get_linewidth() > 2 * lines[0].get_linewidth()
    plots.plot_history({f"fold_{i}": history(2, i) for i in range(5)}, tmp_path / "h.png", measure="dice")
    assert legend_of(drawn[1]) == ["mean of 5 folds", "validation", "best epoch in validation"]


def test_the_best_epoch_is_the_one_with_the_lowest_loss_or_the_highest_share(
    tmp_path: Path, drawn: list[Figure]
) -> None:
    values = [0.9, 0.3, 0.5, 20.0]
    rows: list[dict[str, float | None]] = [
        {"epoch": i + 1, "validation_loss": v, "validation_accuracy": v / 20} for i, v in enumerate(values)
    ]
    for measure, best in (("loss", 2), ("accuracy", 4)):
        plots.plot_history({"run": rows}, tmp_path / "h.png", measure=measure)  # type: ignore[arg-type]
        (number,) = drawn[-1].axes[0].texts
        assert number.get_text() == str(best)
    assert drawn[0].axes[0].get_yscale() == "log", "one loss is so high that the others would look flat"
    assert drawn[1].axes[0].get_ylim() == (-0.01, 1.01)


def test_histories_stand_side_by_side_with_one_color_per_network(tmp_path: Path, drawn: list[Figure]) -> None:
    runs = {"U-Net": {"VGG16": history(3, 0), "ResNet50": history(3, 1)}, "none": {"ResNet50": history(3, 2)}}
    plots.plot_histories(runs, tmp_path / "h.png", measure="accuracy")
    first, second = drawn[0].axes
    assert [axes.get_title() for axes in (first, second)] == ["U-Net", "none"]
    assert second.lines[0].get_color() == first.lines[3].get_color() != first.lines[0].get_color()
    assert first.get_ylim() == second.get_ylim()
    assert legend_of(drawn[0])[:2] == ["VGG16", "ResNet50"]


def test_a_history_may_have_gaps_or_nothing(tmp_path: Path, drawn: list[Figure]) -> None:
    rows: list[dict[str, float | None]] = [{"epoch": 1, "train_loss": 0.5, "validation_loss": None}]
    plots.plot_history({"run": rows, "empty": []}, tmp_path / "h.png", measure="loss")
    assert len(drawn[0].axes[0].lines) == 1
    plots.plot_history({}, tmp_path / "h.png", measure="dice")


def test_intervals_stand_beside_their_names(tmp_path: Path, drawn: list[Figure]) -> None:
    nan = float("nan")
    plots.plot_intervals(
        [("all", 0.8, 0.7, 0.9), ("few", -0.5, nan, nan)], tmp_path / "i.png", measure="difference", reference=0
    )
    axes = drawn[0].axes[0]
    words = [text.get_text() for text in axes.texts if text.get_text()]
    assert words == ["0.800  (0.700 to 0.900)", "all", "−0.500  (no interval)", "few"]


def test_groups_of_intervals_differ_in_color_and_filling(tmp_path: Path, drawn: list[Figure]) -> None:
    rows = [Row("a", 0.8, 0.7, 0.9, "20 images"), Row("", 0.9, 0.8, 1.0, group=1), Row("b", 0.5, 0.4, 0.6, "3 images")]
    plots.plot_intervals(rows, tmp_path / "i.png", measure="AUROC", groups=("by patient", "by image"))
    markers = [line for line in drawn[0].axes[0].lines if line.get_marker() in ("s", "o")]
    assert [line.get_marker() for line in markers] == ["s", "o", "s"]
    assert markers[1].get_markerfacecolor() == "white"
    assert legend_of(drawn[0]) == ["by patient", "by image"]
    assert "20 images" in [text.get_text() for text in drawn[0].axes[0].texts]


def test_a_roc_curve_may_have_a_band_and_a_note(tmp_path: Path, drawn: list[Figure]) -> None:
    x = np.linspace(0, 1, 5)
    one = dataclasses.replace(series(), band=Band(x, x / 2, np.sqrt(x), "95 % of resamples"), note="one more")
    plots.plot_roc([one], tmp_path / "r.png")
    words = legend_of(drawn[0])
    assert words[0].endswith("negative; one more)")
    assert words[1] == "95 % of resamples"
    assert len(drawn[0].axes[0].collections) == 1


def test_a_place_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        DRAW["intervals"](tmp_path / "file" / "p.png")


def test_no_shared_state_of_matplotlib_is_touched(tmp_path: Path) -> None:
    before = matplotlib.rcParams.copy()
    DRAW["roc"](tmp_path / "r.png", stamp="LEAKING SPLIT")
    assert matplotlib.rcParams.copy() == before
