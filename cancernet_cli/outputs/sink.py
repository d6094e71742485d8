"""What an output sink is and what it receives.

A new sink is one module that subclasses `Sink` and registers it:

    @sinks.register("notes", help="Write a text note per image and slide to this folder.", title="notes",
                    suffix=".txt", kinds=("image", "slide"))
    class Notes(Sink): ...

The name becomes the option (`--notes DIR`, `classify(..., notes=DIR)`) and the entry of `RunResult.outputs`. Facts:

    help: of the option.
    title: label of the folder in the printed result.
    suffix: appended to the input's relative path to name the file (`outputs.side_files.side_path`).
    kinds: which methods the sink implements: "image", "slide", "tile" (masks of slide tiles in --mask-regions).
    needs: what the run must keep for it: any of "pixels" (of images), "mask", "thumbnail" (of slides), "explanation".
    also: suffixes of further files that it writes next to the first. Default none.
    requires_segmenter: whether the sink is useless, hence refused, without a segmenter.

Modules import only light packages at the top: `cancernet --help` loads every sink.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from cancernet_cli.core.files import mark_output, output_error
from cancernet_cli.core.options.sinks import sinks as registry
from cancernet_cli.core.registry import Entry, Registry

if TYPE_CHECKING:  # numpy alone would double the time of `import cancernet_cli`
    from cancernet_cli.core.arrays import F32, I64, Bools, Pixels
    from cancernet_cli.core.options import ClassifyOptions
    from cancernet_cli.outputs.slides.results import TileResults


@dataclass(frozen=True)
class Explanation:
    """What each place of an image adds to the log odds of a class (of several: to its logit less the others' mean).

    toward, away: the classes that positive and negative contributions speak for. map: `[h, w]` float32, in the image's
    proportions. If `is_exact`, the sum of the map and `constant` is the calibrated log odds.
    """

    toward: str
    away: str
    is_exact: bool
    map: F32
    constant: float


@dataclass(frozen=True)
class ImageResult:
    """A classified image.

    path: as in the table. label: a class, or `unsure`. probs: `[K]` float32. pixels: `[H, W, 3]` uint8 RGB; None unless
    the sink needs "pixels". mask: returns the mask `[h, w]` float32, 0 to 1, in the image's proportions; None without a
    segmenter, or unless the sink needs "mask". true_label: None if unknown. flags: reasons to distrust the prediction,
    as in the table. model, segmenter: their names. positive, threshold: of the decision; "" and None with more than two
    classes. unsure: probabilities of the positive class between which the label is `unsure`; None for no such band.
    mpp: micrometers per pixel; None if unknown. explanation: returns it; None unless the sink needs "explanation".
    """

    path: str
    classes: tuple[str, ...]
    label: str
    probs: F32
    true_label: str | None
    pixels: Pixels | None
    mask: Callable[[], F32 | None]
    flags: tuple[str, ...] = ()
    model: str = ""
    segmenter: str = ""
    positive: str = ""
    threshold: float | None = None
    unsure: tuple[float, float] | None = None
    mpp: float | None = None
    explanation: Callable[[], Explanation] | None = None

    @property
    def percent(self) -> float:
        """Probability of the label, or of the most probable class if that is `unsure`, 0 to 100."""
        return 100.0 * float(self.probs[self.classes.index(self.shown_class)])

    @property
    def shown_class(self) -> str:
        """The label, or the most probable class if that is `unsure`."""
        return shown_class(self.label, self.classes, self.probs)

    @property
    def shown_threshold(self) -> float | None:
        """The probability of the shown class at which the label turns; None with more than two classes."""
        if self.threshold is None or not self.positive:
            return None
        return self.threshold if self.shown_class == self.positive else 1 - self.threshold

    @property
    def shown_unsure(self) -> tuple[float, float] | None:
        """The probabilities of the shown class between which the label is `unsure`; None for no such band."""
        if self.unsure is None or self.shown_class == self.positive:
            return self.unsure
        return 1 - self.unsure[1], 1 - self.unsure[0]


def shown_class(label: str, classes: Sequence[str], probs: Sequence[float] | F32) -> str:
    """The label, or the most probable class if that is `unsure`."""
    return label if label in classes else classes[max(range(len(classes)), key=lambda k: float(probs[k]))]


@dataclass(frozen=True)
class TellingTiles:
    """The tiles that say most about a slide. numbers: `[T]`, in `SlideResult.tiles`. views: `[T, h, w, 3]` uint8."""

    numbers: I64
    views: Pixels
    explanations: Callable[[], list[Explanation]]


@dataclass(frozen=True)
class SlideResult:
    """A classified slide.

    tiles: its tiles with their probabilities; `tiles.slide` is the path as in the table. row: columns of the
    predictions table. thumbnail: `[h, w, 3]` uint8 RGB, empty unless the sink needs "thumbnail"; each pixel covers
    `downsample` pixels of level 0. tissue: `[h, w]` bool; None where it was not looked for. telling: None unless the
    sink needs "explanation".
    """

    tiles: TileResults
    row: Mapping[str, Any]
    model: str
    thumbnail: Pixels
    downsample: float
    tissue: Bools | None = None
    telling: TellingTiles | None = None


@dataclass(frozen=True)
class TileMasks:
    """T tiles of a slide that intersect --mask-regions. x, y: `[T]` at level 0; masks: `[T, h, w]` float32, 0 to 1."""

    x: list[int]
    y: list[int]
    masks: F32


class Sink:
    """Writes files for results; a subclass overrides the method of each kind among its facts.

    The methods run in the writer thread, before the row counts as done, and should write atomically
    (`core.files.atomic_write`). They raise `OutputError` when a file cannot be written.
    """

    def __init__(self, options: ClassifyOptions) -> None:
        self.options = options

    def write_image(self, image: ImageResult, path: Path) -> None:
        """Write the file of an image."""
        raise NotImplementedError

    def write_slide(self, slide: SlideResult, path: Path) -> None:
        """Write the file of a slide that has a prediction."""
        raise NotImplementedError

    def write_tiles(self, tiles: TileMasks, folder: Path) -> None:
        """Write files for some tiles of a slide to its folder, `<slide>.<sink>`."""
        raise NotImplementedError


sinks = cast(Registry[type[Sink]], registry)


@dataclass(frozen=True)
class OpenSink:
    """A sink that the run writes to."""

    entry: Entry[type[Sink]]
    folder: Path
    sink: Sink

    @property
    def name(self) -> str:
        """Name of the sink and of its option."""
        return self.entry.name

    def writes(self, kind: str) -> bool:
        """Whether the sink writes files of this kind: "image", "slide" or "tile"."""
        return kind in self.entry.facts["kinds"]

    def needs(self, what: str) -> bool:
        """Whether the run must keep "pixels", "mask", "thumbnail" or "explanation" for this sink."""
        return what in self.entry.facts.get("needs", ())

    def make_folder(self) -> bool:
        """Create the folder; whether it is marked as an output (`core.files.mark_output`).

        Raises:
            OutputError: it cannot be created or written to.
        """
        try:
            return mark_output(self.folder)
        except OSError as error:
            raise output_error(self.folder, error) from error


def open_sinks(options: ClassifyOptions) -> list[OpenSink]:
    """The sinks whose folders are set, by name."""
    folders = options.sink_folders()
    return [OpenSink(sinks[name], folder, sinks[name].factory(options)) for name, folder in folders.items()]
