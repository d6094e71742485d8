"""Records passed between the packages."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cancernet_cli.core.options.sinks import sinks
from cancernet_cli.core.results import Result, figure_rows, read_table, table_of
from cancernet_cli.core.text import one_line

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["image", "slide"]


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known about a file apart from its pixels; None if unknown.

    patient: the unit that splits and confidence intervals group by: for BreakHis the slide number without its letters
    ("14-22549"), for a label file its `case` column, otherwise its `patient` column. slide: the physical slide
    ("14-22549AB"). magnification: of the objective (40, 100, 200, 400). mpp: micrometers per pixel.
    """

    label: str | None = None
    patient: str | None = None
    slide: str | None = None
    magnification: float | None = None
    mpp: float | None = None


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file found by discovery.

    path: its name in the table (`core.files.display_path`). location: absolute path, as bytes. problem: set if the file
    cannot be accessed (a dangling link, a listed name that does not exist). kind: images are read at once, slides in
    tiles.
    """

    path: str
    location: bytes
    size_bytes: int
    mtime_ns: int
    truth: Truth = Truth()
    problem: Failure | None = None
    kind: Kind = "image"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a file has no prediction: stage, class of the error, and message."""

    stage: str
    error: str
    message: str

    @classmethod
    def of(cls, stage: str, error: BaseException) -> Failure:
        """The failure for an exception, with its message on one line."""
        return cls(stage, type(error).__name__, " ".join(str(error).split()) or "no message")

    def __str__(self) -> str:
        return one_line(f"{self.stage}: {self.error}: {self.message}")


class Unreadable(Exception):
    """Base of the errors of files that cannot be read; `failure` has the stage and the reason."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure


@dataclass(frozen=True)
class RunResult(Result):
    """A finished `classify` run.

    Attributes:
        out: The predictions table.
        run_file: The run's options, versions, device and times, in JSON.
        model: The model's name.
        files: The number of input files.
        ok: Files with a prediction.
        failed: Files without one.
        reused: Files whose predictions came from an earlier, interrupted run.
        elapsed_s: Duration of this run.
        label_counts: Files by predicted class.
        unsure: Files with a prediction whose label is `unsure`.
        flag_counts: Files by flag, those without one excluded.
        failures: Path and reason of the first failures.
        metrics: Metrics, if any true label is known.
        metrics_file: Where they were written.
        outputs: The folder of each output sink that was asked for, by its name, which is also an attribute:
            `result.overlays`.
        slides: Files that are whole slides.
        partial: Slides with a prediction although some of their tiles failed; included in `ok`.
        unlisted_folders: Folders that could not be listed, so that their files have no rows.
        tiles_file: The table of tiles, if there are slides.
        report_file: The HTML page, if it was asked for.
        patients_file: The table of patients and physical slides, if any is known.
        spreadsheet: The table as CSV or for Excel, if `out` was given such a name; `out` is then the Parquet table.
    """

    out: Path
    run_file: Path
    model: str
    files: int
    ok: int
    failed: int
    reused: int
    elapsed_s: float
    label_counts: dict[str, int] = field(default_factory=dict)
    unsure: int = 0
    flag_counts: dict[str, int] = field(default_factory=dict)
    failures: list[tuple[str, str]] = field(default_factory=list)
    metrics: dict[str, Any] | None = None
    metrics_file: Path | None = None
    slides: int = 0
    partial: int = 0
    unlisted_folders: int = 0
    tiles_file: Path | None = None
    report_file: Path | None = None
    patients_file: Path | None = None
    spreadsheet: Path | None = None
    outputs: dict[str, Path] = field(default_factory=dict)

    def table(self) -> pa.Table:
        """The predictions, one row per file."""
        return read_table(self.out)

    if not TYPE_CHECKING:  # a type checker would accept any attribute

        def __getattr__(self, name: str) -> Path | None:
            """The folder of an output sink; None if it was not asked for."""
            if name in sinks:
                return self.__dict__.get("outputs", {}).get(name)
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


@dataclass(frozen=True)
class SegmentResult(Result):
    """A finished `segment` run.

    Attributes:
        out: The folder with everything that was written.
        images_file: The table of files.
        nuclei_file: The table of nuclei.
        run_file: The run's options, versions, device and times, in JSON.
        model: The model's name, or the segmenter's.
        files: The number of input files.
        ok: Files whose nuclei were found.
        failed: Files that failed.
        nuclei: The number of nuclei in all files.
        reused: Files whose nuclei came from an earlier, interrupted run.
        elapsed_s: Duration of this run.
        slides: Files that are whole slides.
        partial: Slides some of whose tiles failed; included in `ok`.
        failures: Path and reason of the first failures.
        overlap: With true masks: the figures of the report.
        report_file: The report on the overlap with true masks.
        unlisted_folders: Folders that could not be listed, so that their files have no rows.
    """

    out: Path
    images_file: Path
    nuclei_file: Path
    run_file: Path
    model: str
    files: int
    ok: int
    failed: int
    nuclei: int
    reused: int
    elapsed_s: float
    slides: int = 0
    partial: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    overlap: dict[str, Any] | None = None
    report_file: Path | None = None
    unlisted_folders: int = 0

    def table(self) -> pa.Table:
        """One row per file."""
        return read_table(self.images_file)


@dataclass(frozen=True)
class FinetuneResult(Result):
    """A finished `finetune` run.

    Attributes:
        out: The model's folder.
        name: The model's name.
        task: `classify` or `segment`.
        images: The number of images trained on.
        patients: The number of known patients they come from.
        elapsed_s: Duration of this run.
        metrics: The metrics on the card.
        doubts: Why the model may be of no use, one sentence per reason.
    """

    out: Path
    name: str
    task: str
    images: int
    patients: int
    elapsed_s: float
    metrics: dict[str, Any] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()

    def table(self) -> pa.Table:
        """The metrics on the card, one row per figure."""
        return table_of(list(figure_rows(self.metrics)))


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch of a training run; None for figures that do not exist.

    split: the training it belongs to, such as `fold_0` or `final`. epoch: from 1. Accuracies are fractions of images
    (pixels for a U-Net); validation_dice is computed over the validation pixels. elapsed_s: of this epoch.
    """

    split: str
    epoch: int
    train_loss: float
    train_accuracy: float | None = None
    validation_loss: float | None = None
    validation_accuracy: float | None = None
    validation_auroc: float | None = None
    validation_dice: float | None = None
    learning_rate: float | None = None
    images: int = 0
    elapsed_s: float = 0.0
