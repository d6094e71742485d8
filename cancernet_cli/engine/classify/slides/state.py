"""State of a slide being classified: its tiles so far, and the row pooled from them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cancernet_cli.core.arrays import I64, Pixels
from cancernet_cli.core.cards import Card
from cancernet_cli.core.options import ClassifyOptions
from cancernet_cli.core.records import Failure, FoundFile
from cancernet_cli.data.loading.slides import DecodedTiles, TileSpan
from cancernet_cli.data.tiles.slide_plan import TOO_DARK, SlidePlan
from cancernet_cli.engine.classify.flags import BLURRED_BELOW, flags_of, join_flags, slide_flags, split_flags
from cancernet_cli.engine.classify.predictions import NOT_FINITE, decide, probabilities
from cancernet_cli.engine.classify.slides.bad_tiles import NOT_READ, one_too_many, too_many
from cancernet_cli.engine.classify.slides.pooling import pooled
from cancernet_cli.engine.explain.explanations import most_telling
from cancernet_cli.inference.runner import Outputs
from cancernet_cli.outputs.slides.results import TileResults
from cancernet_cli.outputs.tables.predictions import row_batch

CONSTANT = "constant_output"
_CONSTANT_TILES, _CONSTANT_SPREAD = 16, 1e-5


class SlideState:
    """T tiles of one slide, `[T]` arrays in the order of its plan, filled as outputs arrive.

    probs: `[T, K]` float32, NaN until then and where a tile failed; likewise novelty, blur and brightness, `[T]`.
    errors: reasons, by the tile's number. is_there: `[T]`, whether a tile is classified or has failed.
    """

    seen: bool | None = None  # whether the model was trained on the slide, if known
    read: int | None = None  # how many of its first tiles count, if the others were given up

    def __init__(self, file: FoundFile, plan: SlidePlan, card: Card, options: ClassifyOptions) -> None:
        self.file, self.plan, self.card, self.options = file, plan, card, options
        count = len(plan.tiles)
        self.probs = np.full((count, len(card.architecture.classes)), np.nan, np.float32)
        self.mask_fraction = np.full(count, np.nan, np.float32)
        self.novelty, self.blur, self.brightness = (np.full(count, np.nan, np.float32) for _ in range(3))
        self.errors: dict[int, str] = {}
        self.is_there = np.zeros(count, np.bool_)
        self.views: dict[int, Pixels] | None = None  # of the most telling tiles so far, if they are kept

    def __len__(self) -> int:
        return len(self.is_there)

    @property
    def is_complete(self) -> bool:
        """Whether every tile is classified or has failed."""
        return bool(self.is_there.all())

    def restore(self, rows: pa.Table) -> None:
        """Restore tiles from an earlier run's parts, except those that could not be read: they are retried."""
        for start in ("read: ", str(NOT_READ)):
            rows = rows.filter(pc.invert(pc.starts_with(rows["error"], start)))
        numbers = rows["_number"].to_numpy()
        self.is_there[numbers] = True
        for k, name in enumerate(self.card.architecture.classes):
            self.probs[numbers, k] = rows[f"prob_{name}"].to_numpy()
        for name in ("mask_fraction", "novelty", "blur", "brightness"):
            getattr(self, name)[numbers] = rows[name].to_numpy()
        failed = rows.filter(pc.not_equal(rows["error"], ""))
        self.errors |= dict(zip(failed["_number"].to_pylist(), failed["error"].to_pylist(), strict=True))

    def spans(self, most: int) -> list[TileSpan]:
        """The remaining tiles in spans of at most `most`."""
        tiles = self.plan.tiles
        left = np.flatnonzero(~self.is_there)
        cuts = (left[first : first + most] for first in range(0, len(left), most))
        return [TileSpan(self.file, tiles.size, numbers, tiles.x[numbers], tiles.y[numbers]) for numbers in cuts]

    def add(self, tiles: DecodedTiles, answer: Outputs, schema: pa.Schema) -> pa.RecordBatch:
        """Record classified tiles; returns their rows, with the columns of a part of the tile table."""
        numbers = tiles.span.numbers
        good = numbers[tiles.good]
        if len(good):
            probs = probabilities(answer.logits, self.card)
            self.probs[good] = probs
            self.mask_fraction[good] = answer.mask_fraction
            self.blur[good], self.brightness[good] = tiles.blur, tiles.brightness
            if answer.novelty is not None:
                self.novelty[good] = answer.novelty
            for number in good[~np.isfinite(probs).all(axis=1)].tolist():
                self.probs[number] = np.nan
                self.errors[number] = str(NOT_FINITE)
        self.errors |= {int(numbers[i]): str(why) for i, why in tiles.failures.items()}
        self.is_there[numbers] = True
        if self.views is not None and len(good):
            self._keep_views(tiles)
        return self._rows(numbers, schema)

    def keep_telling_views(self) -> None:
        """Keep the views of the most telling tiles from now on; those among the restored ones are read again."""
        self.views = {}
        self.is_there[self._telling()] = False

    def _telling(self) -> I64:
        return most_telling(self.probs, self._positive)

    def _keep_views(self, tiles: DecodedTiles) -> None:
        """Of the tiles kept before and those just added, keep the most telling ones."""
        assert self.views is not None
        wanted = set(self._telling().tolist())
        numbers = tiles.span.numbers[tiles.good].tolist()
        # A restored tile that is read again may not be among the most telling ones when it comes
        new = {n: view.numpy().copy() for n, view in zip(numbers, tiles.pixels, strict=True) if n in wanted}
        self.views = {n: view for n, view in (self.views | new).items() if n in wanted}

    def telling_views(self) -> tuple[I64, Pixels] | None:
        """Numbers of the most telling tiles and their views, `[T, h, w, 3]` uint8; None if there are none."""
        numbers = [n for n in self._telling().tolist() if self.views and n in self.views]
        if not numbers or self.views is None:
            return None
        return np.array(numbers, np.int64), np.stack([self.views[n] for n in numbers])

    def give_up(self, why: Failure, schema: pa.Schema) -> pa.RecordBatch:
        """Let all tiles have failed, read or not, so that the rows do not depend on when; returns their rows."""
        for values in (self.probs, self.mask_fraction, self.novelty, self.blur, self.brightness):
            values[:] = np.nan
        self.errors = dict.fromkeys(range(len(self)), str(why))
        self.is_there[:] = True
        return self._rows(np.arange(len(self)), schema)

    def too_many_bad(self) -> int | None:
        """The number of the tile with which too many have failed (`bad_tiles`); None if they have not."""
        return one_too_many(self.errors, self.is_there, self.options.max_bad_tiles, len(self))

    def stop(self, last: int, schema: pa.Schema) -> pa.RecordBatch:
        """Let the tiles after `last` count as not read, even if they were; returns the rows of all tiles."""
        self.read = last + 1
        for values in (self.probs, self.mask_fraction, self.novelty, self.blur, self.brightness):
            values[self.read :] = np.nan
        self.errors |= dict.fromkeys(range(self.read, len(self)), str(NOT_READ))
        self.is_there[:] = True
        return self._rows(np.arange(len(self)), schema)

    def results(self) -> TileResults:
        """The tiles as output sinks receive them."""
        plan, size, everything = self.plan, self.plan.tiles.size, np.arange(len(self))
        return TileResults(
            slide=self.file.path,
            width_px=plan.levels[0].width_px,
            height_px=plan.levels[0].height_px,
            mpp=plan.resolution.mpp,
            tile_width_px=size.width_px,
            tile_height_px=size.height_px,
            x=plan.tiles.x,
            y=plan.tiles.y,
            probs=self.probs,
            labels=self.labels(everything, self.flags(everything)),
            classes=tuple(self.card.architecture.classes),
            positive=self.card.decision.positive,
            threshold=self.card.decision.threshold if self.card.decision.positive else None,
            unlike=self.novelty > 1,
        )

    def labels(self, numbers: np.ndarray, flags: list[str | None]) -> list[str | None]:
        """Labels of tiles with these `flags`, by the card's threshold, or `unsure`; None where the flags are None."""
        rows = zip(self.probs[numbers], flags, strict=True)
        return [None if joined is None else decide(row, self.card, split_flags(joined)) for row, joined in rows]

    def flags(self, numbers: np.ndarray) -> list[str | None]:
        """Flags of tiles, joined; None for tiles without probabilities."""
        known = np.isfinite(self.probs[numbers]).all(axis=1)
        measured = (self.novelty, self.plan.tiles.tissue_fraction, self.blur, self.brightness)
        rows = zip(known.tolist(), *(values[numbers].tolist() for values in measured), strict=True)
        return [
            join_flags(flags_of(novelty=novelty, tissue_fraction=tissue, blur=blur, brightness=brightness))
            if is_known
            else None
            for is_known, novelty, tissue, blur, brightness in rows
        ]

    def predict(self) -> Failure | dict[str, Any]:
        """The columns of the slide's row that depend on its tiles, or why it has no prediction."""
        read = len(self) if self.read is None else self.read
        failed = len(self.errors) - (len(self) - read)
        if not len(self):
            if TOO_DARK in self.plan.flags:
                return Failure("tile", "TooDark", "it is too dark to find tissue (--tissue none tiles the whole slide)")
            reason = "no tissue was found" if not self.plan.tissue.mask.any() else "no tile has enough tissue"
            return Failure("tile", "NoTissue", f"{reason} (--tissue none tiles the whole slide)")
        first = self.errors[min(self.errors)] if self.errors else ""
        # The file itself is unavailable, maybe temporarily, or was given up.
        if failed == read and first.startswith(("read: ", "decode: TimedOut", "decode: WorkerDied")):
            return Failure(*first.split(": ", 2))
        if read < len(self):
            return too_many(failed, read, len(self), first)
        if failed > self.options.max_bad_tiles * len(self):
            return Failure("tile", "TooManyBadTiles", f"{failed:,} of {len(self):,} tiles failed, the first: {first}")
        return self._pooled(f"tiles: {failed:,} of {len(self):,} failed, the first: {first}" if failed else "")

    def _pooled(self, error: str) -> dict[str, Any]:
        card, classes, positive = self.card, self.card.architecture.classes, self._positive
        ok = np.isfinite(self.probs).all(axis=1)
        probs = pooled(self.probs[ok], self.options.pool, positive=positive, top_k=self.options.top_k)
        is_positive = None
        if positive is not None:
            is_positive = float((self.probs[ok, positive] >= np.float32(card.decision.threshold)).mean())
        spread = np.ptp(self.probs[ok], axis=0).max()
        constant = ok.sum() >= _CONSTANT_TILES and spread < _CONSTANT_SPREAD
        flags = slide_flags(self.plan.flags, self.flags(np.flatnonzero(ok)), (CONSTANT,) if constant else ())
        return {
            "failed_tiles": len(self.errors),
            "status": "partial" if error else "ok",
            "error": error,
            "label": decide(probs, card, split_flags(flags)),
            **{f"prob_{name}": probs[k] for k, name in enumerate(classes)},
            "mask_fraction": float(self.mask_fraction[ok].mean(dtype=np.float64)),
            "novelty": None if np.isnan(self.novelty[ok]).any() else float(np.median(self.novelty[ok])),
            "blur": float(np.median(self.blur[ok])),
            "brightness": float(np.median(self.brightness[ok])),
            "positive_tile_fraction": is_positive,
            "blurred_tile_fraction": float((self.blur[ok] < BLURRED_BELOW).mean()),
            "flags": flags,
        }

    @property
    def _positive(self) -> int | None:
        """Index of the positive of two classes."""
        decision = self.card.decision
        return self.card.architecture.classes.index(decision.positive) if decision.positive else None

    def _rows(self, numbers: np.ndarray, schema: pa.Schema) -> pa.RecordBatch:
        plan, size = self.plan, self.plan.tiles.size
        errors = [self.errors.get(number, "") for number in numbers.tolist()]
        blur, flags = self.blur[numbers], self.flags(numbers)
        columns = {
            "slide": self.file.path,
            "x": plan.tiles.x[numbers],
            "y": plan.tiles.y[numbers],
            "width_px": size.width_px,
            "height_px": size.height_px,
            "mpp": plan.target_mpp,
            "status": ["failed" if error else "ok" for error in errors],
            "error": errors,
            "label": self.labels(numbers, flags),
            "flags": [joined or "" for joined in flags],
            "novelty": self.novelty[numbers],
            **{f"prob_{name}": self.probs[numbers, k] for k, name in enumerate(self.card.architecture.classes)},
            "mask_fraction": self.mask_fraction[numbers],
            "tissue_fraction": plan.tiles.tissue_fraction[numbers],
            "pen_fraction": plan.tiles.pen_fraction[numbers],
            "blur": blur,
            "is_blurred": np.where(np.isnan(blur), None, blur < BLURRED_BELOW),
            "brightness": self.brightness[numbers],
            "_number": numbers,
            "_size_bytes": self.file.size_bytes,
            "_mtime_ns": self.file.mtime_ns,
        }
        return row_batch(columns, len(numbers), schema)
