"""Run WSInfer on one slide with a TorchScript network; writes positions and probabilities as .npz.

`compare_slides.py` writes the job and runs this script in the environment of WSInfer, which has no cancernet.

It takes the three steps of `wsinfer run` with its defaults: tissue and coordinates, inference, GeoJSON. The command
itself requests a list of models from Hugging Face before it parses its arguments, so it needs network access even for a
local model.

    python benchmarks/wsinfer_script.py job.json
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from wsinfer.modellib.models import LocalModelTorchScript
from wsinfer.modellib.run_inference import run_inference
from wsinfer.patchlib import segment_and_patch_directory_of_slides
from wsinfer.write_geojson import write_geojsons
from wsinfer_zoo.client import ModelConfiguration

PACKAGES = ("wsinfer", "torch", "torchvision", "numpy", "openslide-python", "tiffslide")


def classified(job: dict[str, Any]) -> dict[str, float]:
    """Seconds of each step; the results are in the folder of the job."""
    config = ModelConfiguration.from_dict(job["config"])
    model = LocalModelTorchScript(config=config, model_path=job["weights"])
    slides, results = Path(job["slide"]).parent, Path(job["folder"])
    clock = [time.perf_counter()]
    segment_and_patch_directory_of_slides(
        wsi_dir=slides,
        save_dir=results,
        patch_size_px=config.patch_size_pixels,
        patch_spacing_um_px=config.spacing_um_px,
    )
    clock.append(time.perf_counter())
    run_inference(slides, results, model, job["batch_size"], job["workers"], speedup=job["speedup"])
    clock.append(time.perf_counter())
    write_geojsons(list((results / "model-outputs-csv").glob("*.csv")), results, job["workers"])
    clock.append(time.perf_counter())
    names = ("tissue_s", "inference_s", "geojson_s")
    return {name: round(end - start, 3) for name, start, end in zip(names, clock, clock[1:], strict=False)}


def main() -> None:
    """Classify and print the time it took, without imports."""
    started = time.perf_counter()
    job = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    parts = classified(job)
    elapsed_s = time.perf_counter() - started
    table = pd.read_csv(Path(job["folder"]) / "model-outputs-csv" / f"{Path(job['slide']).stem}.csv")
    probs = table[[f"prob_{name}" for name in job["config"]["class_names"]]].to_numpy(np.float32)
    np.savez(job["out"], places=table[["minx", "miny"]].to_numpy(np.int64), probs=probs)
    versions = {name: version(name) for name in PACKAGES}
    print(json.dumps({"elapsed_s": round(elapsed_s, 3), "parts_s": parts, "versions": versions}))


if __name__ == "__main__":
    main()
