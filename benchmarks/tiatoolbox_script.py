"""TIAToolbox's `PatchPredictor` on a list of images, with a ResNet50 of given weights; the probabilities as .npy.

`compare_tiatoolbox.py` writes the job and runs this inside TIAToolbox's own environment, which has no cancernet.

The network is TIAToolbox's own `CNNModel`, in patch mode: the engine's way to classify image files. Its preproc resizes
with TIAToolbox's `imresize`, by area means as ours does, and normalises. The engine wants all images of a run to be of
one size, so each size gets a run; it reads every file twice, first in the main process to compare sizes.

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
    """An image `[H, W, 3]` uint8 to what the loader collates, `[h, w, 3]` float32, normalised."""

    def __init__(self, width_px: int, height_px: int, mean: list[float], std: list[float]) -> None:
        self.size = (width_px, height_px)
        self.normalise = transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)])

    def __call__(self, image: NDArray[np.uint8]) -> Tensor:
        """The image at the network's size."""
        # Left to choose, `imresize` takes cubic for shrinking too: it divides input by output where it means the scale.
        sized = imresize(image, output_size=self.size, interpolation=cv2.INTER_AREA)
        pixels: Tensor = self.normalise(sized)
        return pixels.permute(1, 2, 0)


def by_size(images: list[Path]) -> dict[tuple[int, int], list[int]]:
    """Height and width in pixels to the indices of the images that have them."""
    found = defaultdict(list)
    for index, path in enumerate(images):
        with Image.open(path) as file:
            found[file.height, file.width].append(index)
    return found


def classified(job: dict[str, Any]) -> NDArray[np.float32]:
    """Probabilities `[N, K]` of the job's images, in its order."""
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
        # Without a folder to save in, the engine keeps everything in memory: it writes nothing and finds nothing old.
        output = predictor.run(given, patch_mode=True, ioconfig=config, output_type="dict", return_probabilities=True)
        probs[indices] = output["probabilities"]
    return probs


def installed(package: str) -> str | None:
    """The version of a package, here."""
    try:
        return version(package)
    except ModuleNotFoundError:
        return None


def main() -> None:
    """Classify and say how long it took, without the imports."""
    started = time.perf_counter()
    job = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    np.save(job["out"], classified(job))
    elapsed_s = time.perf_counter() - started
    versions = {name: installed(name) for name in PACKAGES}
    print(json.dumps({"files": len(job["images"]), "elapsed_s": round(elapsed_s, 3), "versions": versions}))


if __name__ == "__main__":
    main()
