"""Run TIAToolbox's `PatchPredictor` on a list of images with a ResNet50; writes the probabilities as .npy.

`compare_tiatoolbox.py` writes the job and runs this script in the environment of TIAToolbox, which has no cancernet.

The network is TIAToolbox's own `CNNModel` in patch mode, its way of classifying image files. Its preprocessing resizes
with TIAToolbox's `imresize`, by area means as CancerNet does, and normalises. The engine requires all images of a run
to have one size, so each size is a separate run; it reads every file twice, first in the main process to compare sizes.

    python benchmarks/tiatoolbox_script.py job.json
"""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tiatoolbox.models import IOPatchPredictorConfig, PatchPredictor
from tiatoolbox.models.architecture.vanilla import CNNModel
from tiatoolbox.utils.transforms import imresize
from torch import Tensor
from torchvision import transforms

PACKAGES = ("tiatoolbox", "torch", "torchvision", "numpy", "opencv-python", "opencv-python-headless")


class Preprocess:
    """An image `[H, W, 3]` uint8 to `[h, w, 3]` float32, resized and normalised."""

    def __init__(self, width_px: int, height_px: int, mean: list[float], std: list[float]) -> None:
        self.size = (width_px, height_px)
        self.normalise = transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)])

    def __call__(self, image: NDArray[np.uint8]) -> Tensor:
        """The image at the input size of the network."""
        # By default `imresize` uses cubic interpolation for shrinking too, since it inverts the scale.
        sized = imresize(image, output_size=self.size, interpolation=cv2.INTER_AREA)
        pixels: Tensor = self.normalise(sized)
        return pixels.permute(1, 2, 0)


def by_size(images: list[Path]) -> dict[tuple[int, int], list[int]]:
    """Indices of the images of each height and width in pixels."""
    found = defaultdict(list)
    for index, path in enumerate(images):
        with Image.open(path) as file:
            found[file.height, file.width].append(index)
    return found


def classified(job: dict[str, Any]) -> NDArray[np.float32]:
    """Probabilities `[N, K]` of the job's images, in order."""
    network = CNNModel("resnet50", num_classes=job["classes"])
    network.preproc_func = Preprocess(job["width_px"], job["height_px"], job["mean"], job["std"])
    predictor = PatchPredictor(
        model=network,
        weights=job["weights"],
        batch_size=job["batch_size"],
        num_workers=job["workers"],
        device=job["device"],
        verbose=False,
    )
    images = [Path(name) for name in job["images"]]
    probs = np.empty((len(images), job["classes"]), np.float32)
    for size, indices in by_size(images).items():
        config = IOPatchPredictorConfig(
            input_resolutions=[{"units": "baseline", "resolution": 1.0}], patch_input_shape=size, stride_shape=size
        )
        given = [images[index] for index in indices]
        # Without an output folder, the engine keeps results in memory: nothing is written, and nothing old is found.
        output = predictor.run(given, patch_mode=True, ioconfig=config, output_type="dict", return_probabilities=True)
        probs[indices] = output["probabilities"]
    return probs


def installed(package: str) -> str | None:
    """Installed version of a package."""
    try:
        return version(package)
    except ModuleNotFoundError:
        return None


def main() -> None:
    """Classify and print the time it took, without imports."""
    started = time.perf_counter()
    job = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    np.save(job["out"], classified(job))
    elapsed_s = time.perf_counter() - started
    versions = {name: installed(name) for name in PACKAGES}
    print(json.dumps({"files": len(job["images"]), "elapsed_s": round(elapsed_s, 3), "versions": versions}))


if __name__ == "__main__":
    main()
