"""Compare `cancernet classify` with TIAToolbox and WSInfer on a slide: same tiles, network and weights, in turn.

    python benchmarks/compare_slides.py                     # 600 tiles, tissue up to the borders: all use every tile
    python benchmarks/compare_slides.py --glass             # tissue on glass, with each tool's own tissue detection
    python benchmarks/compare_slides.py --peers tiatoolbox
    python benchmarks/compare_slides.py --wsinfer-speedup   # as `wsinfer run --speedup`

A two-class ResNet50 with random weights processes tiles of 224 x 224 pixels at 0.25 um in fp32. The slide has the same
resolution, so nothing is resampled, and probabilities must agree within 5e-4 at every position that two tools share;
otherwise nothing is measured. The result has the largest and the mean difference. The slide is an SVS, since TIAToolbox
reads no mpp from the tags of a plain TIFF. `--peers` run in separate environments, created by pip on the first call
(7 GB each).

TIAToolbox 2.1.3's `PatchPredictor` writes a Zarr store, WSInfer 0.6.1 CSV and GeoJSON, CancerNet two Parquet tables.
WSInfer always detects tissue; its time for inference alone is reported as well. Without `--glass`, CancerNet and
TIAToolbox do not detect tissue. Each is timed twice, as in `compare_plain.py`: as a whole process, and without Python's
imports. A ratio above 1 states how many times as many tiles per second CancerNet processes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import machine
import numpy as np
import pyarrow.parquet as pq
import torch
from compare_tiatoolbox import CLOCKS, ENVIRONMENT, Times, tiatoolbox_python, tiatoolbox_weights, with_spread
from environments import ENVIRONMENTS, peer_python
from numpy.typing import NDArray
from processes import classify_command, measured
from safetensors.torch import load_file
from slide_files import write_slide
from torch import Tensor, nn

from cancernet_cli.classification import build_classifier
from cancernet_cli.core.cards import WEIGHTS_FILE, Card, read_card, write_card
from cancernet_cli.engine.bench.random_model import random_model

HERE = Path(__file__).parent
WSINFER = "0.6.1"
# Its tiffslide needs an older zarr, which its metadata does not state; without OpenSlide, reading is many times slower.
WSINFER_NEEDS = ("zarr<3", "tiffslide<3", "openslide-python", "openslide-bin")
PEERS = ("tiatoolbox", "wsinfer")
# Twenty times as many images as in compare_plain.py, so the largest rounding error is larger; a tile that is off by one
# pixel differs by hundreds of times as much.
TOLERANCE = 5e-4
SIDE_PX = 224
MPP = 0.25

Place = tuple[int, int]


@dataclass(frozen=True)
class Run:
    """One run of a tool: its times, and the probabilities `[K]` of each tile by its (x, y) at level 0."""

    times: Times
    tiles: dict[Place, NDArray[np.float32]]
    parts_s: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


def by_place(places: NDArray[Any], probs: NDArray[np.float32]) -> dict[Place, NDArray[np.float32]]:
    """Combine positions `[T, 2]` and probabilities `[T, K]` into a mapping.

    Raises:
        SystemExit: a position occurs twice.
    """
    found = {(int(x), int(y)): row for (x, y), row in zip(places.tolist(), probs, strict=True)}
    if len(found) < len(places):
        raise SystemExit(f"of {len(places)} tiles, {len(places) - len(found)} have the same position as another")
    return found


def run_cancernet(slide: Path, model: Path, scratch: Path, device: str, *more: str) -> Run:
    """Run `cancernet classify` on the slide."""
    out = scratch / "cancernet.parquet"
    tiles_file = out.with_suffix(".tiles.parquet")
    for old in (out, tiles_file):
        old.unlink(missing_ok=True)
    command = classify_command(slide, model, out, "--device", device, "--precision", "fp32", "--labels", "none", *more)
    taken = measured(command)
    table = pq.read_table(tiles_file)
    probs = np.stack([table[name].to_numpy() for name in table.column_names if name.startswith("prob_")], axis=1)
    run = json.loads(out.with_suffix(".run.json").read_text("utf-8"))
    places = np.stack([table["x"].to_numpy(), table["y"].to_numpy()], axis=1)
    return Run({"process_s": taken.elapsed_s, "work_s": float(run["elapsed_s"])}, by_place(places, probs))


def run_peer(python: Path, script: str, job: dict[str, Any], scratch: Path) -> Run:
    """Run a peer's script in its environment, with an empty folder for its results."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        file, out = Path(folder) / "job.json", Path(folder) / "out.npz"
        file.write_text(json.dumps({**job, "folder": str(Path(folder) / "results"), "out": str(out)}), "utf-8")
        taken = measured([python, HERE / script, file])
        printed = json.loads(taken.stdout.splitlines()[-1])
        with np.load(out) as found:
            tiles = by_place(found["places"], found["probs"])
    times = {"process_s": taken.elapsed_s, "work_s": float(printed["elapsed_s"])}
    return Run(times, tiles, printed["parts_s"], printed["versions"])


class Scaled(nn.Module):
    """A classifier with temperature scaling: `[B, 3, H, W]` to logits `[B, K]`, as expected by WSInfer."""

    def __init__(self, classifier: nn.Module, temperature: float) -> None:
        super().__init__()
        self.classifier = classifier
        self.temperature = temperature

    def forward(self, pixels: Tensor) -> Tensor:
        """Scaled logits."""
        logits: Tensor = self.classifier(pixels) / self.temperature
        return logits


def write_torchscript(model: Path, card: Card, path: Path) -> Path:
    """Save the model as TorchScript for WSInfer."""
    classifier = build_classifier(card.architecture)
    classifier.load_state_dict(load_file(model / WEIGHTS_FILE))
    whole = Scaled(classifier, card.decision.temperature).eval()
    with torch.inference_mode():
        pixels = torch.rand(2, 3, card.input.height_px, card.input.width_px)
        torch.jit.trace(whole, pixels).save(str(path))  # type: ignore[no-untyped-call]
    return path


def tiatoolbox_job(slide: Path, model: Path, card: Card, given: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """The job file for `tiatoolbox_slide_script.py`."""
    weights = scratch / "tiatoolbox.pt"
    torch.save(tiatoolbox_weights(model, card), weights)
    return {
        "slide": str(slide),
        "weights": str(weights),
        "classes": len(card.architecture.classes),
        "mean": card.input.mean,
        "std": card.input.std,
        "side_px": card.input.width_px,
        "mpp": card.input.mpp,
        "tissue": given.glass,
        "batch_size": given.batch_size,
        "workers": given.workers,
        "device": given.device,
    }


def wsinfer_job(slide: Path, model: Path, card: Card, given: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """The job file for `wsinfer_script.py`, with a configuration like those of WSInfer's model zoo."""
    return {
        "slide": str(slide),
        "weights": str(write_torchscript(model, card, scratch / "wsinfer.pt")),
        "config": {
            "spec_version": "1.0",
            "architecture": card.architecture.backbone,
            "num_classes": len(card.architecture.classes),
            "patch_size_pixels": card.input.width_px,
            "spacing_um_px": card.input.mpp,
            "class_names": list(card.architecture.classes),
            "transform": [
                {"name": "ToTensor"},
                {"name": "Normalize", "arguments": {"mean": list(card.input.mean), "std": list(card.input.std)}},
            ],
        },
        "speedup": given.wsinfer_speedup,
        "batch_size": given.batch_size,
        "workers": given.workers,
    }


def check_agreement(tool: str, ours: Run, theirs: Run) -> dict[str, Any]:
    """Number of tiles that both share, and the largest and mean difference of their probabilities.

    Raises:
        SystemExit: they share no tile, or differ by more than 5e-4.
    """
    common = sorted(ours.tiles.keys() & theirs.tiles.keys())
    if not common:
        raise SystemExit(
            f"{tool} has {len(theirs.tiles)} tiles, CancerNet {len(ours.tiles)}, with no position in common"
        )
    each = np.abs([ours.tiles[place] - theirs.tiles[place] for place in common])
    apart = float(each.max())
    if not apart <= TOLERANCE:  # also true for NaN, where a tile failed
        raise SystemExit(f"{tool}'s probabilities differ by {apart:.2g}, more than {TOLERANCE:g}")
    return {"common_tiles": len(common), "largest_difference": apart, "mean_difference": float(each.mean())}


def figures(runs: Sequence[Run]) -> dict[str, Any]:
    """Tiles per second of one tool: median, minimum and maximum over the rounds."""
    tiles = len(runs[0].tiles)
    found: dict[str, Any] = {"tiles": tiles, "rounds": [rounded(run.times) for run in runs]}
    for clock in CLOCKS:
        found |= with_spread(f"{clock}_tiles_per_s", [tiles / run.times[f"{clock}_s"] for run in runs], 2)
    if runs[0].parts_s:
        found["parts_s"] = [run.parts_s for run in runs]
    if "inference_s" in runs[0].parts_s:
        found["inference_tiles_per_s"] = round(statistics.median(tiles / run.parts_s["inference_s"] for run in runs), 2)
    return found


def ratios(ours: Sequence[Run], theirs: Sequence[Run]) -> dict[str, Any]:
    """Ratio of tiles per second, CancerNet over the peer, round by round: median, minimum and maximum."""
    found: dict[str, Any] = {}
    for clock in CLOCKS:
        each = [
            (len(a.tiles) / a.times[f"{clock}_s"]) / (len(b.tiles) / b.times[f"{clock}_s"])
            for a, b in zip(ours, theirs, strict=True)
        ]
        found |= with_spread(f"{clock}_ratio", each, 3)
    return found


def rounded(times: Times) -> Times:
    """Round times to milliseconds."""
    return {name: round(value, 3) for name, value in times.items()}


def model_at(folder: Path, mpp: float) -> Path:
    """Write a ResNet50 with random weights for pixels of this size in micrometers."""
    random_model(folder, "resnet50", SIDE_PX)
    card = read_card(folder)
    write_card(replace(card, input=replace(card.input, mpp=mpp)), folder)
    return folder


def main() -> None:
    """Parse arguments, run the comparison and report it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--columns", type=int, default=24, help="columns of tiles of the generated slide")
    parser.add_argument("--rows", type=int, default=25)
    parser.add_argument("--glass", action="store_true", help="tissue on glass, detected by each tool")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=16, help="batch size of the peers")
    parser.add_argument("--workers", type=int, default=2, help="workers of the peers")
    parser.add_argument("--wsinfer-speedup", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--tiatoolbox-environment", type=Path, default=ENVIRONMENT)
    parser.add_argument("--wsinfer-environment", type=Path, default=ENVIRONMENTS / f"wsinfer-{WSINFER}")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()

    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        model = model_at(scratch / "resnet50_random", MPP)
        card = read_card(model)
        size = given.columns * SIDE_PX, given.rows * SIDE_PX
        slide = write_slide(scratch / "slides" / "slide.svs", *size, mpp=MPP, glass=given.glass)
        tissue = "otsu" if given.glass else "none"
        tools: dict[str, Callable[[], Run]] = {
            "cancernet": partial(run_cancernet, slide, model, scratch, given.device, "--tissue", tissue)
        }
        if "tiatoolbox" in given.peers:
            python = tiatoolbox_python(given.tiatoolbox_environment.expanduser().absolute())
            job = tiatoolbox_job(slide, model, card, given, scratch)
            tools["tiatoolbox"] = partial(run_peer, python, "tiatoolbox_slide_script.py", job, scratch)
        if "wsinfer" in given.peers:
            place = given.wsinfer_environment.expanduser().absolute()
            python = peer_python(place, "wsinfer", WSINFER, WSINFER_NEEDS)
            job = wsinfer_job(slide, model, card, given, scratch)
            tools["wsinfer"] = partial(run_peer, python, "wsinfer_script.py", job, scratch)

        # Not counted: in this round CancerNet converts the network once for all later ones
        first = {name: run() for name, run in tools.items()}
        agreement = {name: check_agreement(name, first["cancernet"], first[name]) for name in tools if name in PEERS}
        runs: dict[str, list[Run]] = {name: [] for name in tools}
        for turn in range(given.rounds):
            for name in sorted(tools, reverse=bool(turn % 2)):  # alternate the order, so that none benefits
                runs[name].append(tools[name]())

    found: dict[str, Any] = {name: figures(taken) for name, taken in runs.items()}
    for name in agreement:
        found[name] |= {
            **agreement[name],
            "cancernet_is_times_as_fast": ratios(runs["cancernet"], runs[name]),
            "batch_size": given.batch_size,
            "workers": given.workers,
            "versions": first[name].versions,
        }
    probs = np.stack(list(first["cancernet"].tiles.values()))
    result = machine.facts() | {
        "slide": f"generated, {size[0]} x {size[1]}, {MPP:g} um, {'tissue on glass' if given.glass else 'all tissue'}",
        "network": card.architecture.backbone,
        "tile": f"{SIDE_PX} x {SIDE_PX} at {MPP:g} um",
        "precision": "fp32",
        "wsinfer_speedup": given.wsinfer_speedup,
        "spread": {"largest": float(probs[:, 0].max()), "smallest": float(probs[:, 0].min())},
        **found,
    }
    kind = "-glass" if given.glass else ""
    machine.report(f"slides{kind}{'-speedup' if given.wsinfer_speedup else ''}", result, given.out)


if __name__ == "__main__":
    main()
