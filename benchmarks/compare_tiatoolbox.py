"""Compare `cancernet classify` with TIAToolbox 2.1.3's `PatchPredictor`: same files, network and weights, in turn.

    python benchmarks/compare_tiatoolbox.py FOLDER                        # ResNet50, random weights, 224 px, fp32
    python benchmarks/compare_tiatoolbox.py FOLDER --files 200              # on 200 links to FOLDER's images
    python benchmarks/compare_tiatoolbox.py FOLDER --precision int8
    python benchmarks/compare_tiatoolbox.py FOLDER --model MODEL_FOLDER  # a ResNet50 that resizes whole images
    python benchmarks/compare_tiatoolbox.py FOLDER --default-model          # also measure the bundled model

TIAToolbox runs in a separate environment, created by pip on the first call, which takes about 7 GB and some minutes
(Python 3.11 to 3.14). If its OpenCV does not find libGL, replace `opencv-python` in that environment with
`opencv-python-headless`.

First, both classify images that need no resizing, in fp32: their probabilities must agree within 1e-4. Then they take
turns; a first round, in which CancerNet converts or quantises the network once for all later runs, is not counted.
Each is timed twice, as in `compare_plain.py`: as a whole process, and without Python's imports.
A ratio above 1 states how many times as many images per second CancerNet processes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import machine
import numpy as np
import torch
from compare_plain import TOLERANCE, agreement_folder, run_cancernet
from environments import ENVIRONMENTS, peer_python
from folders import images_below, links_of_one_size, random_model, size_px
from numpy.typing import NDArray
from processes import measured
from safetensors.torch import load_file

from cancernet_cli.core.cards import WEIGHTS_FILE, Card, read_card
from cancernet_cli.core.models import DEFAULT_MODEL, find_model

VERSION = "2.1.3"
ENVIRONMENT = ENVIRONMENTS / f"tiatoolbox-{VERSION}"
SCRIPT = Path(__file__).with_name("tiatoolbox_script.py")
ENDINGS = (".jpg", ".jpeg", ".tif", ".tiff", ".png")  # formats of its PatchDataset, in lower case only
CLOCKS = ("process", "work")
# Its CNNModel keeps torchvision's ResNet in a Sequential: conv1, bn1, relu, maxpool, layer1 to layer4.
PLACES = {"conv1": 0, "bn1": 1, "layer1": 4, "layer2": 5, "layer3": 6, "layer4": 7}

Times = dict[str, float]


def tiatoolbox_python(environment: Path) -> Path:
    """Path of Python in an environment with TIAToolbox, which is created if necessary.

    Raises:
        SystemExit: the installation failed; the output of pip went to stderr.
    """
    return peer_python(environment, "tiatoolbox", VERSION)


@dataclass(frozen=True)
class Settings:
    """Settings of the TIAToolbox job, without the images: weights, network input and run options."""

    weights: str
    classes: int
    width_px: int
    height_px: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    batch_size: int
    workers: int
    device: str


def run_tiatoolbox(
    python: Path, folder: Path, settings: Settings, scratch: Path
) -> tuple[Times, NDArray[np.float32], dict[str, str]]:
    """Times of `PatchPredictor`, its probabilities `[N, K]` in path order, and the versions it ran with."""
    out, job = scratch / "tiatoolbox.npy", scratch / "tiatoolbox.json"
    job.write_text(json.dumps({**asdict(settings), "images": in_path_order(folder), "out": str(out)}), "utf-8")
    taken = measured([python, SCRIPT, job])
    printed = json.loads(taken.stdout.splitlines()[-1])
    return {"process_s": taken.elapsed_s, "work_s": float(printed["elapsed_s"])}, np.load(out), printed["versions"]


def in_path_order(folder: Path) -> list[str]:
    """Every image under a folder, in the row order of `cancernet classify`."""
    return [str(p) for p in sorted(images_below(folder), key=lambda p: bytes(p.relative_to(folder)))]


def check_model(model: Path, card: Card) -> None:
    """Reject a model that TIAToolbox cannot run unchanged.

    Raises:
        SystemExit: it is not a ResNet50 with a linear head on resized whole images without other preprocessing.
    """
    wanted = {
        "backbone resnet50": card.architecture.backbone.split(".")[0] == "resnet50",  # timm writes resnet50.a1_in1k
        "head linear": card.architecture.head == "linear" and card.architecture.levels in ((), (4,)),
        "view resize": card.input.view == "resize",
        "stain_normalization none": card.input.stain_normalization == "none",
        "segmenter none": card.segmentation.segmenter == "none",
    }
    if missing := [name for name, is_met in wanted.items() if not is_met]:
        raise SystemExit(f"{model} cannot be run by TIAToolbox: its card needs {', '.join(missing)}")


def check_images(folder: Path) -> None:
    """Reject a folder that TIAToolbox cannot read.

    Raises:
        SystemExit: it has no images, or images in a format or with an extension that TIAToolbox does not accept.
    """
    images = images_below(folder)
    if not images:
        raise SystemExit(f"no images under {folder}")
    if refused := [path for path in images if path.suffix not in ENDINGS]:
        raise SystemExit(f"TIAToolbox reads only {', '.join(ENDINGS)}: not {refused[0]} and {len(refused) - 1} more")


def tiatoolbox_weights(model: Path, card: Card) -> dict[str, torch.Tensor]:
    """The model's weights, renamed for TIAToolbox's `CNNModel("resnet50")`, with the temperature applied."""
    found = {}
    for name, values in load_file(model / WEIGHTS_FILE).items():
        if name.startswith("head.linear."):
            found[name.replace("head.linear", "classifier")] = values / card.decision.temperature
        else:
            layer, _, rest = name.removeprefix("backbone.").removeprefix("network.").partition(".")  # network: timm's
            found[f"feat_extract.{PLACES[layer]}.{rest}"] = values
    return found


def largest_difference(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    """Largest absolute difference between two arrays of probabilities.

    Raises:
        SystemExit: they have different files or classes.
    """
    if ours.shape != theirs.shape:
        raise SystemExit(f"CancerNet has rows and classes {ours.shape}, TIAToolbox {theirs.shape}")
    return float(np.abs(ours - theirs).max())


def check_agreement(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    """Largest difference between the probabilities of both tools.

    Raises:
        SystemExit: it exceeds 1e-4, or a probability is missing.
    """
    apart = largest_difference(ours, theirs)
    if not apart <= TOLERANCE:  # also true for NaN, where a file failed
        raise SystemExit(
            f"probabilities differ by {apart:.2g}, more than {TOLERANCE:g}: the tools do not compute the same"
        )
    return apart


def figures(times: Sequence[Times], files: int) -> dict[str, Any]:
    """Images per second of one tool: median, minimum and maximum over the rounds."""
    found: dict[str, Any] = {"rounds": times}
    for clock in CLOCKS:
        speeds = [files / taken[f"{clock}_s"] for taken in times]
        found[f"{clock}_images_per_s"] = round(statistics.median(speeds), 2)
        found[f"{clock}_images_per_s_spread"] = [round(min(speeds), 2), round(max(speeds), 2)]
    return found


def ratios(ours: Sequence[Times], theirs: Sequence[Times]) -> dict[str, Any]:
    """Ratio of images per second, CancerNet over TIAToolbox, round by round: median, minimum and maximum."""
    found: dict[str, Any] = {}
    for clock in CLOCKS:
        each = [b[f"{clock}_s"] / a[f"{clock}_s"] for a, b in zip(ours, theirs, strict=True)]
        found[f"{clock}_ratio"] = round(statistics.median(each), 3)
        found[f"{clock}_ratio_spread"] = [round(min(each), 3), round(max(each), 3)]
    return found


def main() -> None:
    """Parse arguments, run the comparison and report it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", help="model folder; default: a ResNet50 with random weights")
    parser.add_argument(
        "--precision",
        default="fp32",
        choices=("fp32", "bf16", "fp16", "int8"),
        help="precision of CancerNet in the rounds",
    )
    parser.add_argument("--default-model", action="store_true", help=f"also measure the bundled {DEFAULT_MODEL}")
    parser.add_argument("--files", type=int, help="number of links to images of the most common size to measure on")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=16, help="batch size of TIAToolbox")
    parser.add_argument("--workers", type=int, default=2, help="workers of TIAToolbox")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--environment", type=Path, default=ENVIRONMENT)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    check_images(given.folder)

    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        model = find_model(given.model) if given.model else random_model(scratch / "resnet50_random", "resnet50", 224)
        card = read_card(model)
        check_model(model, card)
        python = tiatoolbox_python(given.environment.expanduser().absolute())
        weights = scratch / "tiatoolbox.pt"
        torch.save(tiatoolbox_weights(model, card), weights)
        policy = card.input
        settings = Settings(
            str(weights),
            len(card.architecture.classes),
            policy.width_px,
            policy.height_px,
            policy.mean,
            policy.std,
            given.batch_size,
            given.workers,
            given.device,
        )

        small = agreement_folder(given.folder, card, scratch)
        ours = run_cancernet(small, model, scratch, given.device, "--precision", "fp32")[1]
        _, theirs, versions = run_tiatoolbox(python, small, settings, scratch)
        apart = check_agreement(ours, theirs)

        folder = links_of_one_size(given.folder, given.files, scratch) if given.files else given.folder
        sizes = Counter("{} x {}".format(*size_px(path)) for path in images_below(folder))
        models = {"cancernet": model} | (
            {"cancernet_default": find_model(DEFAULT_MODEL)} if given.default_model else {}
        )
        times: dict[str, list[Times]] = {tool: [] for tool in (*models, "tiatoolbox")}
        probs: dict[str, NDArray[Any]] = {}
        for turn in range(1 + given.rounds):
            for tool in sorted(times, reverse=bool(turn % 2)):  # alternate the order, so that neither benefits
                if tool == "tiatoolbox":
                    taken, probs[tool], _ = run_tiatoolbox(python, folder, settings, scratch)
                else:
                    taken, probs[tool] = run_cancernet(
                        folder, models[tool], scratch, given.device, "--precision", given.precision
                    )
                times[tool].append({name: round(value, 3) for name, value in taken.items()})

    counted = {tool: taken[1:] for tool, taken in times.items()}
    files = len(probs["tiatoolbox"])
    found: dict[str, Any] = {
        tool: figures(taken, files) | (ratios(taken, counted["tiatoolbox"]) if tool in models else {})
        for tool, taken in counted.items()
    }
    found["tiatoolbox"] |= {"batch_size": given.batch_size, "workers": given.workers, "versions": versions}
    if given.default_model:
        found["cancernet_default"] |= {"model": DEFAULT_MODEL}
    result = machine.facts() | {
        "files": files,
        "sizes": sizes,
        "model": card.name,
        "network": card.architecture.backbone,
        "view": f"{policy.view} {policy.width_px} x {policy.height_px}",
        "precision": given.precision,
        "spread": {"largest": float(theirs[:, 0].max()), "smallest": float(theirs[:, 0].min())},
        "largest_difference_without_resizing": apart,
        "largest_difference_on_folder": largest_difference(probs["cancernet"], probs["tiatoolbox"]),
        **found,
    }
    machine.report(f"tiatoolbox-{card.name}-{given.precision}", result, given.out)


if __name__ == "__main__":
    main()
