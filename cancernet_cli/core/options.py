"""Every option of every command: type, default, bounds and help, declared once.

The command line (`cli.bind`) and library callers read the same dataclasses. Rules between fields stand in
`__post_init__` and name the flags.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from cancernet_cli.core.errors import OptionError
from cancernet_cli.core.models import DEFAULT_MODEL

Auto = Literal["auto"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
ClassifyPrecision = Literal["auto", "fp32", "bf16", "fp16", "int8"]


@dataclass(frozen=True)
class OptionSpec:
    """What the command line needs to know beyond a field's name, type and default."""

    help: str
    min: float | None = None
    max: float | None = None
    short: str | None = None
    group: str = "Options"
    changes_result: bool = False


def option(
    default: Any,
    *,
    help: str,
    min: float | None = None,
    max: float | None = None,
    short: str | None = None,
    group: str = "Options",
    changes_result: bool = False,
) -> Any:
    """A dataclass field that is also a command-line flag.

    `changes_result` marks options on which the predictions depend: they go into the table's metadata and decide
    what a resumed run may reuse.
    """
    return field(default=default, metadata={"option": OptionSpec(help, min, max, short, group, changes_result)})


@dataclass(frozen=True, kw_only=True)
class Options:
    """Base of all options: checks bounds and choices, for library callers as for the command line."""

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for spec, name, value in self._declared():
            if isinstance(value, str) and (hints[name] is Path or Path in typing.get_args(hints[name])):
                object.__setattr__(self, name, Path(value))
                continue
            allowed = choices(hints[name])
            flag = flag_name(name)
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if allowed and isinstance(value, str) and value not in allowed:
                raise OptionError(f"{flag} is {value!r}", fix=f"choose one of: {', '.join(allowed)}")
            if is_number and spec.min is not None and value < spec.min:
                raise OptionError(f"{flag} is {value}", fix=f"give at least {spec.min:g}")
            if is_number and spec.max is not None and value > spec.max:
                raise OptionError(f"{flag} is {value}", fix=f"give at most {spec.max:g}")

    def _declared(self) -> list[tuple[OptionSpec, str, Any]]:
        found = [(f.metadata.get("option"), f.name) for f in dataclasses.fields(self)]
        return [(spec, name, getattr(self, name)) for spec, name in found if spec is not None]

    def result_options(self) -> dict[str, Any]:
        """The options on which the predictions depend."""
        return {name: value for spec, name, value in self._declared() if spec.changes_result}


def choices(hint: Any) -> tuple[str, ...]:
    """The strings that a type admits when it is a Literal; empty when it admits other things too."""
    if typing.get_origin(hint) is Literal:
        return tuple(typing.get_args(hint))
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        inner = [h for h in typing.get_args(hint) if h is not type(None)]
        found = [choices(h) for h in inner]
        return sum(found, ()) if all(f or h is int for f, h in zip(found, inner, strict=True)) else ()
    return ()


def flag_name(name: str) -> str:
    """`batch_size` as `--batch-size`."""
    return "--" + name.replace("_", "-")


@dataclass(frozen=True, kw_only=True)
class LoaderOptions(Options):
    """How files are read and where the networks run; shared by the commands that do so."""

    device: str = option("auto", help="auto, cpu, cuda, cuda:N or mps.", group="Machine")
    precision: Precision = option(
        "auto",
        help="Number format of the networks; auto is fp32 on a CPU and fp16 on CUDA.",
        group="Machine",
        changes_result=True,
    )
    batch_size: int | Auto = option("auto", help="Views a forward pass takes.", min=1, group="Machine")
    workers: int | Auto = option(
        "auto", help="Processes that read and decode; 0 does it in the main one.", min=0, max=256, group="Machine"
    )
    max_megapixels: float = option(
        100.0,
        help="Refuse images with more pixels than this, in millions.",
        min=0.001,
        group="Input",
        changes_result=True,
    )
    labels: str = option(
        "auto",
        help="Where true labels come from: auto, none, folders, breakhis, or a CSV or Parquet file with "
        "path,label[,patient].",
        group="Input",
        changes_result=True,
    )


@dataclass(frozen=True, kw_only=True)
class ClassifyOptions(LoaderOptions):
    """Options of `cancernet classify`."""

    out: Path = option(Path("predictions.parquet"), help="The table to write.", short="-o", group="Output")
    model: str = option(DEFAULT_MODEL, help="A bundled model's name, or a model's folder.", short="-m", group="Model")
    segmenter: str | None = option(
        None,
        help="none, threshold, watershed or unet, where the model's card allows it; default: the card's.",
        group="Model",
        changes_result=True,
    )
    precision: ClassifyPrecision = option(  # type: ignore[assignment]  # one more than where networks learn
        "auto",
        help="Number format of the networks; auto is fp32 on a CPU and fp16 on CUDA. int8 is for CPUs: quicker, "
        "probabilities differ a little.",
        group="Machine",
        changes_result=True,
    )
    runtime: Literal["auto", "torch", "openvino"] = option(
        "auto",
        help="What runs the networks; auto is OpenVINO on a CPU, where it can run the model, and PyTorch elsewhere.",
        group="Machine",
    )
    metrics: Path | None = option(
        None, help="Where metrics go when labels are known; default: beside the table.", group="Output"
    )
    overlays: Path | None = option(
        None, help="Write each image with mask contour, label and percentage here.", group="Output"
    )
    masks: Path | None = option(None, help="Write each image's mask (PNG, 0 to 255) here.", group="Output")
    overwrite: bool = option(False, help="Replace an output that was made with other options.", group="Output")
    strict: bool = option(False, help="Stop at the first file that fails.", group="Run")
    dry_run: bool = option(False, help="Say what would be done, and do nothing.", group="Run")


@dataclass(frozen=True, kw_only=True)
class LearningOptions(LoaderOptions):
    """What is learned from, and how it is split; shared by the commands that train."""

    magnification: str = option(
        "", help="Learn from these magnifications only, with commas, as 100 or 40,100; default: all.", group="Input"
    )
    target: Literal["binary", "subtype"] = option(
        "binary", help="What to tell apart: benign and malignant, or the eight subtypes of BreakHis.", group="Input"
    )
    classes: str = option(
        "",
        help="The labels to learn, with commas, instead of --target's; of two, the last is the positive one.",
        group="Input",
    )
    folds: int = option(
        5,
        help="Folds of the cross-validation, split by patient; 1: one split into train, validation and test.",
        min=1,
        max=100,
        group="Split",
    )
    test_share: float = option(
        0.2, help="Share of the patients that test, with --folds 1.", min=0.01, max=0.8, group="Split"
    )
    validation_share: float = option(
        0.2,
        help="Share of the training patients that say when to stop, and with --folds 1 choose the threshold.",
        min=0.01,
        max=0.8,
        group="Split",
    )
    resplit: bool = option(
        False, help="Draw the split even where the manifest has a column split or fold.", group="Split"
    )
    allow_leak: bool = option(
        False,
        help="Go on when a given split has a patient, or the same picture, on both sides; every figure is stamped.",
        group="Split",
    )
    seed: int = option(0, help="Seed of every random choice.", min=0, group="Training")


@dataclass(frozen=True, kw_only=True)
class FinetuneOptions(LearningOptions):
    """Options of `cancernet finetune`; None where the recipe (`core.recipes`) decides."""

    out: Path = option(Path("models/mine"), help="The model's folder to write.", short="-o", group="Output")
    overwrite: bool = option(False, help="Replace a model that is already there.", group="Output")
    about: Path | None = option(
        None,
        help="TOML file whose [training], [weights] and [use] texts go into the card: licence, citation, ...",
        group="Output",
    )
    tensorboard: Path | None = option(
        None, help='Write TensorBoard events here too; needs `pip install "cancernet[tensorboard]"`.', group="Output"
    )
    task: Literal["classify", "segment"] = option(
        "classify", help="Train a classifier on labels, or a U-Net on masks.", group="Model"
    )
    recipe: Literal["modern", "paper"] = option(
        "modern",
        help="What is used where nothing else is said: what does best here on unseen patients, or the method of the "
        "paper (224 x 224, the convolutions' output into a softmax layer, Adam, 25 epochs).",
        group="Model",
    )
    backbone: str | None = option(
        None,
        help="vgg16, resnet50, densenet121, tf_efficientnet_lite0 or any timm name; the encoder of a U-Net.",
        group="Model",
    )
    weights: str = option(
        "imagenet", help="What the backbone starts from: imagenet, none, or a safetensors file.", group="Model"
    )
    head: Literal["level_stats", "correlations", "linear", "flatten"] | None = option(
        None,
        help="What turns feature maps into logits: a linear layer on the mean and spread of every channel, on the "
        "correlations of channels, on the averaged last level, or on all of the last level.",
        group="Model",
    )
    levels: str | None = option(
        None, help="Levels of the backbone that the head reads, 0 (stride 2) to 4 (stride 32), as 1,2,3.", group="Model"
    )
    segmenter: Literal["none", "threshold", "watershed", "unet"] = option(
        "unet", help="What the classifier looks at is segmented by.", group="Model"
    )
    segmentation_model: str = option(
        "tnbc_unet", help="The U-Net of --segmenter unet: a bundled model's name, or a folder.", group="Model"
    )
    also_segmenters: str = option(
        "", help="Segmenters, with commas, that are measured too and then allowed for this model.", group="Model"
    )
    keep: float | None = option(
        None,
        help="How much of a pixel outside the mask stays: 0 blanks it, 1 ignores the mask.",
        min=0,
        max=1,
        group="Model",
    )
    view: Literal["resize", "grid"] | None = option(
        None, help="Squeeze an image into one view, or cover it with views at its own scale.", group="Model"
    )
    view_width_px: int | None = option(None, help="Width of a view.", min=32, group="Model")
    view_height_px: int | None = option(None, help="Height of a view.", min=32, group="Model")
    scale: float | None = option(None, help="0.5 looks at images shrunk by half.", min=0.05, max=4, group="Model")
    density: Literal["as_is", "scaled", "balanced"] | None = option(
        None,
        help="Take pixels as they are, bring each image's optical densities to one darkest value, as if all were "
        "stained and lit alike, or take out the tint of the lightest pixels too.",
        group="Model",
    )
    unfreeze: int = option(
        0,
        help="Stages of the backbone, from the deepest, that learn too, one after the other; 0 leaves it as it is and "
        "computes its features once.",
        min=0,
        max=5,
        group="Training",
    )
    epochs: int | None = option(None, help="How often each training image is seen.", min=1, group="Training")
    learning_rate: float | None = option(None, help="The highest learning rate.", min=0, group="Training")
    patience: int = option(
        8,
        help="Epochs without a better validation loss after which training stops; 0 never stops.",
        min=0,
        group="Training",
    )
    sampling: Literal["natural", "class", "patient"] | None = option(
        None,
        help="How often an image is drawn: each alike, each class alike, or each class, and each patient in it, alike.",
        group="Training",
    )
    loss: Literal["cross-entropy", "weighted", "focal"] | None = option(
        None,
        help="Cross-entropy, the same with classes weighted by their rarity, or focal loss.",
        group="Training",
    )
    variants: int = option(
        0,
        help="Re-stained and zoomed copies of each image that a head on a frozen backbone also learns from.",
        min=0,
        max=64,
        group="Training",
    )
    crop_px: int = option(192, help="Side of a U-Net's training crops, in pixels at --scale.", min=32, group="Training")


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(Options):
    """Options of `cancernet evaluate`."""

    out: Path | None = option(
        None,
        help="Folder for report.md, metrics.json and plots; default: <table>.evaluation.",
        short="-o",
        group="Output",
    )
    overwrite: bool = option(False, help="Replace a report that is already there.", group="Output")
    labels: Path | None = option(
        None, help="CSV or Parquet file with path,label[,patient] that replaces the table's labels.", group="Input"
    )
    against: Path | None = option(
        None, help="A second table of the same images: the difference, with interval and McNemar's test.", group="Input"
    )
    positive: str | None = option(
        None, help="The positive one of two classes; default: the one the table was decided by.", group="Measures"
    )
    threshold: float | None = option(
        None, help="Decide again at this probability of the positive class.", min=0, max=1, group="Measures"
    )
    resamples: int = option(1000, help="Resamples of the bootstrap over patients.", min=100, group="Measures")
    seed: int = option(0, help="Seed of the bootstrap.", min=0, group="Measures")
    plots: bool = option(
        True, help="Draw ROC, precision-recall, reliability, confusion and threshold plots.", group="Output"
    )


@dataclass(frozen=True, kw_only=True)
class CompareOptions(LearningOptions):
    """Options of `cancernet compare`."""

    out: Path = option(
        Path("comparison"), help="Folder for the table, the curves and the finished cells.", short="-o", group="Output"
    )
    overwrite: bool = option(False, help="Start again even where cells were made with other options.", group="Output")
    backbones: str = option(
        "vgg16,resnet50,densenet121,tf_efficientnet_lite0", help="The networks to compare, with commas.", group="Model"
    )
    segmenters: str = option(
        "none,threshold,watershed,unet", help="The segmenters to compare, with commas.", group="Model"
    )
    segmentation_model: str = option("tnbc_unet", help="The U-Net: a bundled model's name, or a folder.", group="Model")
    weights: str = option(
        "imagenet",
        help="What the networks start from: imagenet, none, or name=file pairs with commas; networks not named start "
        "from imagenet, and from random weights (the table says so) where that cannot be had.",
        group="Model",
    )
    recipe: Literal["modern", "paper"] = option("paper", help="The recipe each cell is trained by.", group="Model")
    keep: float | None = option(
        None, help="How much of a pixel outside the mask stays; default: the recipe's.", min=0, max=1, group="Model"
    )
    baselines: bool = option(
        True, help="Colour and texture with SVM and naive Bayes stand in the table too.", group="Model"
    )
    leaking: bool = option(True, help="Show beside it what a split by image would have claimed.", group="Split")
    epochs: int | None = option(None, help="Epochs of a cell; default: the recipe's.", min=1, group="Training")


@dataclass(frozen=True, kw_only=True)
class BenchOptions(Options):
    """Options of `cancernet bench`; those of the machine are `ClassifyOptions`' own, measured instead of used."""

    json: Path | None = option(None, help="Write everything that was measured here.", group="Output")
    plot: Path | None = option(None, help="Draw stages, rates and sweeps as a PNG.", group="Output")
    compare: Path | None = option(
        None, help="A file of an earlier --json: show each stage's change against it.", group="Output"
    )
    model: str = option(DEFAULT_MODEL, help="A bundled model's name, or a model's folder.", short="-m", group="Model")
    backbone: str | None = option(
        None,
        help="Measure this network instead, with random weights, two classes and images squeezed into 224 x 224; "
        "nothing is segmented unless --segmenter says so.",
        group="Model",
    )
    segmenter: str | None = option(None, help="none, threshold, watershed or unet; default: the card's.", group="Model")
    input: Path | None = option(
        None, help="Measure on the images of this folder; default: generated ones.", short="-i", group="Input"
    )
    files: int | Auto = option(
        "auto",
        help="How many images to generate, of 16 different pictures; auto is 64 on a CPU and 16384 on a GPU.",
        min=1,
        group="Input",
    )
    size: str = option("700x460", help="Width and height of generated images, in pixels.", group="Input")
    image_format: Literal["png", "jpeg", "tiff"] = option("png", help="Format of generated images.", group="Input")
    repeat: int = option(3, help="Times that everything is measured; the median counts.", min=1, group="Measures")
    warm_up: int = option(1, help="Whole runs before the ones that count.", min=0, group="Measures")
    cold: bool = option(
        False,
        help="Time the first start of all too, with networks converted or compiled into an empty cache.",
        group="Measures",
    )
    sweep_batch_size: str = option(
        "", help="Measure the whole way with each of these batch sizes, with commas, as 1,4,16.", group="Measures"
    )
    sweep_workers: str = option(
        "", help="Measure the whole way with each of these counts of workers, with commas, as 0,1,2.", group="Measures"
    )
    sweep_precision: str = option(
        "",
        help="Measure the whole way, and how far probabilities move, in each of these precisions, as fp32,bf16.",
        group="Measures",
    )
    advise: bool = option(
        True,
        help="Keep the best of a sweep for this model and machine, for auto of `cancernet classify`.",
        group="Measures",
    )
    device: str = option("auto", help="auto, cpu, cuda, cuda:N or mps.", group="Machine")
    precision: Literal["auto", "fp32", "bf16", "fp16", "int8"] = option(
        "auto", help="Number format of the networks.", group="Machine"
    )
    runtime: Literal["auto", "torch", "openvino"] = option("auto", help="What runs the networks.", group="Machine")
    batch_size: int | Auto = option("auto", help="Views a forward pass takes.", min=1, group="Machine")
    workers: int | Auto = option(
        "auto", help="Processes that read and decode; 0 does it in the main one.", min=0, max=256, group="Machine"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.size_px, self.batch_sizes, self.worker_counts, self.precisions

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of generated images."""
        sides = self.size.lower().split("x")
        if len(sides) != 2 or not all(side.isdecimal() and 16 <= int(side) <= 20_000 for side in sides):
            raise OptionError(f"--size is {self.size!r}", fix="give width and height in pixels, as 700x460")
        return int(sides[0]), int(sides[1])

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """Those of --sweep-batch-size."""
        return _numbers("--sweep-batch-size", self.sweep_batch_size, least=1)

    @property
    def worker_counts(self) -> tuple[int, ...]:
        """Those of --sweep-workers."""
        return _numbers("--sweep-workers", self.sweep_workers, least=0)

    @property
    def precisions(self) -> tuple[str, ...]:
        """Those of --sweep-precision."""
        found = tuple(name.strip() for name in self.sweep_precision.split(",") if name.strip())
        known = ("fp32", "bf16", "fp16", "int8")
        for name in found:
            if name not in known:
                raise OptionError(f"--sweep-precision names {name!r}", fix=f"choose from: {', '.join(known)}")
        return found


@dataclass(frozen=True, kw_only=True)
class TileOptions(Options):
    """Options of `cancernet tile`."""

    out: Path = option(Path("tiles"), help="Folder for tables and pictures.", short="-o", group="Output")
    overwrite: bool = option(False, help="Replace a plan that is already there.", group="Output")
    images: bool = option(False, help="Write every tile as a PNG too, in a folder for each slide.", group="Output")
    model: str = option(
        DEFAULT_MODEL,
        help="Whose views tiles become: a bundled model's name, or a model's folder.",
        short="-m",
        group="Model",
    )
    mpp: float | None = option(
        None,
        help="Micrometres that a pixel of a tile shows; default: the model card's.",
        min=0.02,
        max=10,
        group="Model",
    )
    tile_size_px: int | None = option(
        None, help="Side of a tile, in pixels at --mpp; default: the model's view.", min=16, max=8192, group="Model"
    )
    overlap: float = option(
        0.0, help="Share of a side that neighbouring tiles have in common.", min=0, max=0.95, group="Model"
    )
    tissue: Literal["none", "otsu"] = option("otsu", help="How tissue is found; none takes everything.", group="Input")
    min_tissue: float = option(
        0.25, help="Leave out tiles with less tissue than this share; 0: any will do.", min=0, max=1, group="Input"
    )
    slide_mpp: float | None = option(
        None,
        help="Micrometres per pixel of slides that do not say; default: --mpp, with a warning.",
        min=0.02,
        max=10,
        group="Input",
    )
    kind: Literal["auto", "slide", "image"] = option(
        "auto",
        help="auto takes what is a slide by its content; slide takes every TIFF for one; image takes none.",
        group="Input",
    )


def _numbers(flag: str, words: str, *, least: int) -> tuple[int, ...]:
    """Whole numbers with commas between them, each once, in their order."""
    found = [word.strip() for word in words.split(",") if word.strip()]
    for word in found:
        if not word.isdecimal() or int(word) < least:
            raise OptionError(f"{flag} names {word!r}", fix=f"give whole numbers from {least} on, with commas")
    return tuple(dict.fromkeys(map(int, found)))
