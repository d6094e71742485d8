"""Images of a segment run: from views to nuclei, rows and files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
from torch import Tensor

from cancernet_cli.core.arrays import F32, Labels, Pixels
from cancernet_cli.core.files import real_path
from cancernet_cli.core.nuclei import Nuclei
from cancernet_cli.core.records import Failure, FoundFile
from cancernet_cli.data.loading.images import DecodedBatch, DecodedImage, chunks
from cancernet_cli.data.loading.true_masks import MaskedDecoder, MaskedImage
from cancernet_cli.data.loading.views import stitch_scaled
from cancernet_cli.data.scales import image_policy
from cancernet_cli.engine.classify.batches import Batch
from cancernet_cli.engine.segment.job import SegmentJob
from cancernet_cli.engine.segment.rows import file_row, part_row, summary
from cancernet_cli.inference.runner import Outputs
from cancernet_cli.metrics.overlap import label_overlap, overlap_values
from cancernet_cli.outputs.nuclei.geojson import write_nuclei_geojson
from cancernet_cli.outputs.nuclei.label_images import write_labels
from cancernet_cli.outputs.nuclei.overlay import draw_nuclei
from cancernet_cli.outputs.pictures.files import write_jpeg, write_mask, write_png
from cancernet_cli.outputs.side_files import side_path
from cancernet_cli.outputs.tables.nuclei import PART_SCHEMA
from cancernet_cli.outputs.tables.parts import BatchOutcome
from cancernet_cli.segmentation.instances import connected_nuclei, full_size, separate_nuclei
from cancernet_cli.segmentation.nuclei import measure_nuclei

_VIEWS_PER_IMAGE = 4  # of a microscope field, about
SUFFIXES = {
    "binary_masks": ("masks", ".mask.png"),
    "soft_masks": ("soft_masks", ".soft.png"),
    "instances": ("instances", ".instances.tif"),
    "geojson": ("geojson", ".geojson"),
    "overlays": ("overlays", ".overlay.jpg"),
}


@dataclass(frozen=True)
class FoundNuclei:
    """The nuclei of one image.

    mask: `[H, W]` float32, 0 to 1. labels: `[H, W]` int32. truth: `[H, W]` int32, None if unknown; is_instances:
    whether its values are.
    """

    file: FoundFile
    pixels: Pixels
    mask: F32
    labels: Labels
    nuclei: Nuclei
    truth: Labels | None
    is_instances: bool


class ImageStream:
    """Work for the loader, and batches from what it returns; see `engine.classify.batches.ImageSource`."""

    tile_schema = PART_SCHEMA

    def __init__(
        self, job: SegmentJob, files: Iterator[FoundFile], masks: Mapping[str, bytes], schema: pa.Schema
    ) -> None:
        self.job, self.schema = job, schema
        self.work = chunks(files, max(1, job.runtime.batch_size // _VIEWS_PER_IMAGE))
        self.decoder = MaskedDecoder(
            job.policy,
            job.options.max_pixels,
            keep_originals=True,
            timeout_s=job.options.file_timeout,
            masks=masks,
        )

    def __iter__(self) -> Iterator[Any]:
        return self.work

    def batches(self, loaded: Iterator[Any]) -> Iterator[Batch]:
        """Each decoded batch, ready for the network."""
        return map(self.batch, loaded)

    def batch(self, decoded: DecodedBatch) -> Batch:
        """A decoded batch, ready for the network."""
        pixels: Tensor | None = decoded.pixels if len(decoded.pixels) else None
        return Batch(pixels, partial(self._commit, decoded))

    def finish(self) -> None:
        """Called after the last batch."""

    def _commit(self, decoded: DecodedBatch, answer: Outputs) -> BatchOutcome:
        rows, parts, writes = [], [], []
        failures: list[tuple[str, Failure]] = []
        originals, start = iter(decoded.originals), 0
        for file, image in zip(decoded.files, decoded.images, strict=True):
            if isinstance(image, Failure):
                failures.append((file.path, image))
                rows.append(file_row(file, self.job.name, image, self.schema))
                continue
            assert answer.mask is not None
            assert isinstance(image, MaskedImage)
            views = answer.mask[start : start + image.views]
            start += image.views
            found = find_nuclei(file, next(originals).numpy(), image, views, self.job)
            rows.append(file_row(file, self.job.name, image_columns(found, image, self.job), self.schema))
            parts.append(part_row(file, found.nuclei))
            writes += image_writes(found, self.job)
        return BatchOutcome(_all(rows), _all(parts) if parts else None, writes, len(decoded.files), failures)


def find_nuclei(file: FoundFile, pixels: Pixels, image: MaskedImage, views: F32, job: SegmentJob) -> FoundNuclei:
    """The nuclei of an image, from the masks of its views `[V, h, w]`."""
    policy = image_policy(job.policy, file.truth)
    small = stitch_scaled(views, image.width_px, image.height_px, policy)
    labels = separate_nuclei(small, job.view_mpp)
    mask, labels = full_size(small, labels, image.width_px, image.height_px)
    truth = None if image.truth is None else image.truth.numpy()
    if truth is not None and not image.is_instances:
        truth = connected_nuclei(truth > 0)
    return FoundNuclei(file, pixels, mask, labels, measure_nuclei(labels, pixels), truth, image.is_instances)


def image_columns(found: FoundNuclei, image: DecodedImage, job: SegmentJob) -> dict[str, Any]:
    """The columns of an image's row that depend on its pixels."""
    area = image.width_px * image.height_px
    tissue, mpp = image.quality.tissue_fraction, found.file.truth.mpp
    columns = {
        **summary(found.nuclei, area_px=area, tissue_px=area * tissue, mpp=mpp),
        "flags": ",".join(image.flags),
        "width_px": image.width_px,
        "height_px": image.height_px,
        "tissue_fraction": tissue,
        "scale": image_policy(job.policy, found.file.truth).scale,
        "mpp_source": None if mpp is None else "option" if job.options.mpp else "image",
    }
    if found.truth is None:
        return columns
    overlap = label_overlap(found.labels, found.truth)
    values = {"true_nuclei": len(overlap.true), "true_instances": found.is_instances}
    return columns | values | overlap_values(overlap)


def image_writes(found: FoundNuclei, job: SegmentJob) -> list[Callable[[], None]]:
    """One write per file that the options ask for; each makes its file when called."""
    makers: dict[str, Callable[[Any], None]] = {
        "binary_masks": lambda path: write_png((found.labels > 0).astype("uint8") * 255, path),
        "soft_masks": lambda path: write_mask(found.mask, path),
        "instances": lambda path: write_labels(found.labels, path),
        "geojson": lambda path: write_nuclei_geojson(found.nuclei, found.file.truth.mpp, path),
        "overlays": lambda path: write_jpeg(
            draw_nuclei(found.pixels, found.nuclei, found.truth, name=job.name, mpp=found.file.truth.mpp), path
        ),
    }
    name = real_path(found.file.path)
    places = {option: side_path(job.options.out / folder, name, end) for option, (folder, end) in SUFFIXES.items()}
    return [partial(makers[option], places[option]) for option, is_wanted in job.writes.items() if is_wanted]


def _all(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    return pa.Table.from_batches(batches).combine_chunks().to_batches()[0]
