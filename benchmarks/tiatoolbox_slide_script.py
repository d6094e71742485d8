"""Run TIAToolbox's `PatchPredictor` on one slide with a ResNet50; writes positions and probabilities as .npz.

`compare_slides.py` writes the job and runs this script in the environment of TIAToolbox, which has no cancernet.

    python benchmarks/tiatoolbox_slide_script.py job.json
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from tiatoolbox.models import IOPatchPredictorConfig, PatchPredictor
from tiatoolbox.models.architecture.vanilla import CNNModel
from tiatoolbox_script import PACKAGES, installed
from torch import Tensor
from torchvision import transforms


class Normalise:
    """A tile `[H, W, 3]` uint8 to `[H, W, 3]` float32, normalised."""

    def __init__(self, mean: list[float], std: list[float]) -> None:
        self.steps = transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)])

    def __call__(self, tile: NDArray[np.uint8]) -> Tensor:
        """The normalised tile."""
        pixels: Tensor = self.steps(tile)
        return pixels.permute(1, 2, 0)


def classified(job: dict[str, Any]) -> Path:
    """The Zarr store written by the engine."""
    network = CNNModel("resnet50", num_classes=job["classes"])
    network.preproc_func = Normalise(job["mean"], job["std"])
    predictor = PatchPredictor(
        model=network,
        weights=job["weights"],
        batch_size=job["batch_size"],
        num_workers=job["workers"],
        device=job["device"],
        verbose=False,
    )
    side = job["side_px"], job["side_px"]
    config = IOPatchPredictorConfig(
        input_resolutions=[{"units": "mpp", "resolution": job["mpp"]}], patch_input_shape=side, stride_shape=side
    )
    output = predictor.run(
        [Path(job["slide"])],
        patch_mode=False,
        ioconfig=config,
        save_dir=Path(job["folder"]),
        output_type="zarr",
        return_probabilities=True,
        auto_get_mask=job["tissue"],
    )
    return Path(next(iter(output.values())))


def main() -> None:
    """Classify and print the time it took, without imports."""
    started = time.perf_counter()
    job = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    store = classified(job)
    elapsed_s = time.perf_counter() - started
    found = zarr.open(store, mode="r")
    np.savez(job["out"], places=found["coordinates"][:, :2], probs=found["probabilities"][:])
    versions = {name: installed(name) for name in (*PACKAGES, "openslide-python")}
    print(json.dumps({"elapsed_s": round(elapsed_s, 3), "parts_s": {}, "versions": versions}))


if __name__ == "__main__":
    main()
