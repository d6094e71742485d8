"""Slides as training data: their tiles become ordinary images, with the slide's patient and a label."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from cancernet_cli.core import interruption
from cancernet_cli.core.cards import InputPolicy
from cancernet_cli.core.errors import InputError, OptionError
from cancernet_cli.core.events import Note, Reporter, StageAdvanced, StageFinished, StageStarted, Warn
from cancernet_cli.core.figures import counted
from cancernet_cli.core.options import FinetuneOptions
from cancernet_cli.core.options.recipes import Recipe
from cancernet_cli.core.options.shared.patient_pattern import EXAMPLE
from cancernet_cli.core.records import Failure, FoundFile, Truth
from cancernet_cli.data.loading.each import in_workers
from cancernet_cli.data.tiles.annotation_files import find_annotations
from cancernet_cli.data.tiles.annotations import read_annotations
from cancernet_cli.data.tiles.slide_plan import Cut
from cancernet_cli.data.tiles.target_mpp import USUAL_MPP, target_mpp
from cancernet_cli.engine.finetune.dataset.reading import limits_of, workers_of
from cancernet_cli.engine.finetune.dataset.slide_tiles import SlideTiles, cut_slide, tile_file
from cancernet_cli.engine.finetune.model_folder import make_folder, work_folder
from cancernet_cli.training.distributed import ALONE, Processes

STAGE = "cutting slides"
FOLDER = "tiles"
RECTANGLE = "#xywh="  # after a slide's path, in front of a tile's place
UNKNOWN_SLIDE = "slide "  # in front of its path, where a patient is unknown
_SHOWN = 10
_MOST_WORKERS = 4  # thumbnail and masks of a slide take a few hundred megabytes


@dataclass(frozen=True)
class TileFacts:
    """Facts about the training tiles, for the model's card.

    mpp: resolution of a view, in micrometres per pixel. are_all: no image is a photo. labels: where their labels come
    from. pictures: the hash of each slide, by its path.
    """

    mpp: float
    are_all: bool
    labels: str
    pictures: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Tiles:
    """T tiles as files. sources: the absolute path of each tile's slide. facts: None if there is no tile."""

    files: list[FoundFile]
    sources: list[bytes]
    facts: TileFacts | None


@dataclass(frozen=True)
class _SlideCut:
    """Cuts a slide, with its annotations if it has any, in a worker."""

    classes: tuple[str, ...]
    cut: Cut
    options: FinetuneOptions
    folder: Path

    def __call__(self, work: tuple[FoundFile, Path | None]) -> SlideTiles:
        return cut_slide(*work, self.classes, self.cut, self.options, self.folder)


@dataclass(frozen=True)
class _AnnotationsCheck:
    classes: tuple[str, ...]

    def __call__(self, file: Path) -> None:
        read_annotations(file, self.classes)


def _check_annotations(files: Sequence[Path], classes: Sequence[str], options: FinetuneOptions) -> None:
    """Raises InputError if an annotation file cannot be used."""
    checked = in_workers(_AnnotationsCheck(tuple(classes)), files, limits_of(options))
    for file, why in zip(files, checked, strict=True):
        if why is not None:
            raise InputError(f"{file} cannot be read: {why}", fix="correct or remove it")


@dataclass(frozen=True)
class SlideCutter:
    """Cuts the slides of a run into tiles.

    lists: manifests and label files, which may have a column `annotations`. base: a further folder that their paths may
    be relative to.
    """

    options: FinetuneOptions
    recipe: Recipe
    lists: Sequence[Path]
    base: Path
    report: Reporter
    processes: Processes = ALONE

    def tiles(self, slides: Sequence[FoundFile], photos: Sequence[FoundFile], classes: Sequence[str]) -> Tiles:
        """The tiles of the slides that have a label or annotations.

        A tile is one view of the model, at the resolution and with the pixels that `cancernet classify` will use. It is
        named by its rectangle at level 0, as a media fragment (W3C, `#xywh=`), and counts as changed when its slide
        does. Slides without any tile are omitted with a warning.

        Args:
            photos: other training images; tiles are cut at the resolution of their views.

        Raises:
            InputError: an annotation file cannot be used.
            Interrupted: Ctrl-C or SIGTERM; tiles that are written are kept.
            OptionError: `--scale` or `--scales` does not apply to slides.
        """
        files: dict[bytes, Path] = {}
        if self.options.annotations == "auto":
            files = find_annotations([slide.location for slide in slides], self.lists, self.base)
        chosen = [slide for slide in slides if slide.location in files or slide.truth.label is not None]
        if others := len(slides) - len(chosen):
            no_label = (
                f"{others} of {len(slides)} slides are omitted: no label, or a label other than {', '.join(classes)}"
            )
            self.report(Note(no_label))
        if not chosen:
            return Tiles([], [], None)
        cut = self._cut(photos)
        found = self._all_cut(chosen, files, classes, cut)
        tiles: list[FoundFile] = []
        sources: list[bytes] = []
        given = [(slide, its) for slide, its in zip(chosen, found, strict=True) if its.x]
        for slide, its in given:
            tiles += _files(slide, its, cut.mpp)
            sources += [slide.location] * len(its.x)
        if not tiles:
            return Tiles([], [], None)
        facts = self._facts([slide for slide, _ in given], files, len(tiles), cut, not photos)
        pictures = {slide.path: bytes.fromhex(its.picture) for slide, its in given if its.picture}
        return Tiles(tiles, sources, replace(facts, pictures=pictures))

    def _cut(self, photos: Sequence[FoundFile]) -> Cut:
        """The model's view at `--tile-mpp`, or at the resolution of the views of photos."""
        recipe, options = self.recipe, self.options
        if recipe.scales:
            raise OptionError("--scales applies to photos only, but DATA has slides", fix="omit --scales or the slides")
        if recipe.view == "grid" and (recipe.scale > 1 or (not photos and options.scale not in (None, 1.0))):
            raise OptionError(
                f"--scale {recipe.scale:g} applies to photos only; a slide's tile is one view",
                fix="omit it and set the tile resolution with --tile-mpp",
            )
        mpp = options.tile_mpp
        if mpp is None:
            mpp = USUAL_MPP
            powers = {file.truth.magnification for file in photos if file.truth.magnification}
            known = [file.truth.mpp for file in photos if file.truth.mpp]
            if powers or known:
                policy = InputPolicy(
                    view=recipe.view,
                    scale=recipe.scale,
                    magnifications=tuple(sorted(powers)),
                    mpp=float(np.median(known)) if known else None,
                )
                mpp = target_mpp(policy).mpp
            seen = "as for the photos" if powers or known else "as at 20x"
            if photos and not (powers or known):
                seen += " (the resolution of the photos is unknown)"
            self.report(Note(f"slides are cut at {mpp:.3g} µm/px, {seen}; --tile-mpp changes it"))
        return Cut(recipe.view_width_px, recipe.view_height_px, mpp)

    def _all_cut(
        self, slides: Sequence[FoundFile], files: dict[bytes, Path], classes: Sequence[str], cut: Cut
    ) -> list[SlideTiles]:
        """One entry per slide. Each process starts at a different slide, and reuses the others' tiles."""
        options, folder = self.options, work_folder(self.options) / FOLDER
        _check_annotations([*files.values()], classes, options)  # now rather than after hours
        make_folder(work_folder(options))
        first = len(slides) * self.processes.rank // self.processes.count
        turned = [*slides[first:], *slides[:first]]
        work = [(slide, files.get(slide.location)) for slide in turned]
        cuts = in_workers(
            _SlideCut(tuple(classes), cut, options, folder),
            work,
            limits_of(options),
            workers=min(workers_of(options), _MOST_WORKERS),
            are_slides=True,
            meanwhile=partial(interruption.check, "the tiles so far are kept"),
        )
        self.report(StageStarted(STAGE, len(turned), "slides"))
        found: list[SlideTiles] = []
        for slide, made in zip(turned, cuts, strict=True):
            its = SlideTiles(folder, failure=str(made)) if isinstance(made, Failure) else made
            for words in its.warnings:
                self.report(Warn(f"{slide.path}: {words}"))
            if its.failure:
                self.report(Warn(f"{slide.path} is omitted: {its.failure}"))
            found.append(its)
            self.report(StageAdvanced(STAGE, 1, failed=int(not its.x)))
        self.report(StageFinished(STAGE))
        self._tell_others(found, classes)
        back = len(slides) - first
        return [*found[back:], *found[:back]]

    def _tell_others(self, found: Sequence[SlideTiles], classes: Sequence[str]) -> None:
        names = sorted({name for its in found for name in its.others})
        if names:
            shown = ", ".join(repr(name) if name else "no class" for name in names[:_SHOWN])
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            self.report(Warn(f"annotated regions of {shown}{more} are not used; the classes are {', '.join(classes)}"))

    def _facts(
        self, slides: Sequence[FoundFile], files: dict[bytes, Path], tiles: int, cut: Cut, are_all: bool
    ) -> TileFacts:
        annotated = sum(slide.location in files for slide in slides)
        words = []
        if weak := len(slides) - annotated:
            words.append(
                f"each tile of {counted(weak, 'slide')} has its slide's label, whatever it shows (weak labels)"
            )
        if annotated:
            words.append(f"tiles of {counted(annotated, 'slide')} have the label of the annotated region they are in")
        labels = "; ".join(words)
        size = f"{cut.view_width_px} x {cut.view_height_px} px at {cut.mpp:.3g} µm/px"
        self.report(Note(f"{counted(tiles, 'tile')} of {counted(len(slides), 'slide')}, {size}: {labels}"))
        unknown = sum(slide.truth.patient is None for slide in slides)
        if unknown:
            who = (
                f"the patient of {unknown} of {len(slides)} slides is unknown: each slide counts as a separate patient"
            )
            self.report(
                Warn(
                    f"{who}, and its tiles are kept on one side of the split; "
                    f"if paths name the patient, pass --patient-pattern, such as {EXAMPLE}"
                )
            )
        return TileFacts(cut.mpp, are_all, labels)


def _files(slide: FoundFile, its: SlideTiles, mpp: float) -> list[FoundFile]:
    truth = slide.truth
    known = Truth(patient=truth.patient or f"{UNKNOWN_SLIDE}{slide.path}", slide=truth.slide or slide.path, mpp=mpp)
    return [
        FoundFile(
            f"{slide.path}{RECTANGLE}{x},{y},{its.width_px},{its.height_px}",
            os.fsencode(tile_file(its.folder, x, y)),
            # The slide's: a tile that is cut again is the same tile
            slide.size_bytes,
            slide.mtime_ns,
            replace(known, label=label),
        )
        for x, y, label in zip(its.x, its.y, its.labels, strict=True)
    ]
