from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile

from cancernet_cli.outputs.nuclei.label_images import write_labels, write_outlines_as_labels
from cancernet_cli.segmentation.nuclei import measure_nuclei
from tests.nuclei_images import in_a_grid, with_nuclei


def test_16_bits_until_they_do_not_suffice(tmp_path: Path) -> None:
    for most, kind in ((65535, np.uint16), (65536, np.uint32)):
        labels = np.array([[0, most]], np.int32)
        write_labels(labels, tmp_path / "a.tif")
        found = tifffile.imread(tmp_path / "a.tif")
        assert found.dtype == kind
        assert found.tolist() == labels.tolist()


def test_outlines_of_a_slide_become_the_labels_they_were_made_from(tmp_path: Path) -> None:
    image, labels = with_nuclei(1300, 700, in_a_grid(1300, 700, 90))  # some cross the edges of blocks
    nuclei = measure_nuclei(labels, image)
    path = tmp_path / "slide.tif"
    write_outlines_as_labels(nuclei.outlines, nuclei.labels, path, width_px=1300, height_px=700, mpp=0.25)
    with tifffile.TiffFile(path) as file:
        assert file.is_bigtiff
        assert file.pages[0].is_tiled
        assert len(file.pages) == 1
        found = file.asarray()
    assert found.shape == labels.shape
    assert ((found > 0) != (labels > 0)).mean() < 0.02  # only at outlines
    both = (found > 0) & (labels > 0)
    assert (found[both] == labels[both]).all()
