"""The README next to an exported model: what goes in, what comes out, and three programs to copy."""

from __future__ import annotations

from collections.abc import Callable

from cancernet_cli import __version__
from cancernet_cli.core.cards import Card
from cancernet_cli.core.registry import Entry
from cancernet_cli.core.system import package_versions
from cancernet_cli.engine.export.base import Exporter
from cancernet_cli.engine.export.cascade import Exported

PACKAGES = ("torch", "onnx", "onnxruntime", "onnxscript", "openvino", "keras", "h5py")

_MEANINGS = {
    "probabilities": "`[N, {classes}]` float32, calibrated, in the order of `labels.txt`",
    "novelty": "`[N]` float32: how unlike the training images the input looks; above 1 it is flagged",
    "mask": "`[N, {masks}, {height}, {width}]` float32, 0 to 1: {nuclei}",
}

_WHOLE = """import cv2
import numpy as np

image = cv2.cvtColor(cv2.imread("image.png"), cv2.COLOR_BGR2RGB)
assert image.shape == ({height}, {width}, 3), image.shape
pixels = image[None]  # or several images: np.stack([first, second])
"""

_VIEWS = """import cv2
import numpy as np

WIDTH, HEIGHT, SCALE = {width}, {height}, {scale}
image = cv2.cvtColor(cv2.imread("image.png"), cv2.COLOR_BGR2RGB)
scale = max(SCALE, WIDTH / image.shape[1], HEIGHT / image.shape[0])
size = [max(view, round(side * scale)) for view, side in ((WIDTH, image.shape[1]), (HEIGHT, image.shape[0]))]
how = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_LINEAR if scale > 0.48 else cv2.INTER_AREA
image = cv2.resize(image, size, interpolation=how)
lefts, tops = (
    np.linspace(0, side - view, -(-side // view)).astype(int) for side, view in zip(size, (WIDTH, HEIGHT))
)
pixels = np.stack([image[top : top + HEIGHT, left : left + WIDTH] for top in tops for left in lefts])
"""

_RESIZED = """import cv2
import numpy as np

image = cv2.cvtColor(cv2.imread("image.png"), cv2.COLOR_BGR2RGB)
smaller = image.shape[0] > {height} or image.shape[1] > {width}
image = cv2.resize(image, ({width}, {height}), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
pixels = image[None]  # or several images: np.stack([first, second])
"""

_LABEL = """import numpy as np

labels = open("labels.txt", encoding="utf-8").read().splitlines()
probabilities = outputs[0]
{averaged}for probs in probabilities:
    print({label}, probs)
"""

_AVERAGED = """logits = np.log(probabilities).mean(axis=0, keepdims=True)  # one image: its views are averaged
probabilities = np.exp(logits) / np.exp(logits).sum()
"""

_NUCLEI = """import numpy as np

mask = outputs[0][:, 0]  # [N, {height}, {width}], 0 to 1
print("fraction in nuclei:", (mask >= 0.5).mean(axis=(1, 2)))
"""

_WSINFER = """
## QuPath and WSInfer

`wsinfer/` has the same network as WSInfer calls it, with its configuration. WSInfer:

    wsinfer run --wsi-dir slides/ --results-dir results/ \\
        --config wsinfer/config.json --model-path wsinfer/torchscript_model.pt

QuPath's WSInfer extension: copy the folder `wsinfer` to the folder of user models and choose it in the extension's
list. The network was run as these programs run it, and gave the same probabilities; the programs were not started. They
cut tiles and find tissue differently, and they need a PyTorch that reads this file (written by PyTorch {torch}).
"""


def readme(
    card: Card,
    network: Exported,
    entry: Entry[Callable[[], Exporter]],
    differences: dict[str, float],
    *,
    count: int,
    is_real: bool,
    has_wsinfer: bool,
) -> str:
    """The text of `README.md`.

    Args:
        differences: by output, the largest difference from the engine.
        count, is_real: the images behind them, and whether they were photos and not drawn.
    """
    names = {"width": network.width_px, "height": network.height_px, "scale": card.input.scale}
    versions = package_versions(*PACKAGES)
    file = entry.facts["file"]
    checked = ", ".join(f"{name} {difference:.1e}" for name, difference in differences.items())
    parts = [
        f"# {card.name} as {entry.name}\n",
        f"{card.summary}\n" if card.summary else "",
        f"Exported by CancerNet {__version__} ({', '.join(f'{name} {number}' for name, number in versions.items())}). "
        "Research use only: not a medical device, not for diagnosis.\n",
        f"- Input: `pixels`, `[N, {network.height_px}, {network.width_px}, 3]` uint8 RGB, any N: "
        f"{_input(card, network)}.",
        *_outputs(card, network),
        f"- Checked on {count} {'images' if is_real else 'drawn images'}: largest difference from CancerNet: "
        f"{checked}.",
        "- `card.json`: the model's card: training data, license, performance, uses that are ruled out.",
        "- `labels.txt`: the classes, one per line.\n",
        "## From a file to pixels\n",
        f"```python\n{_reading(card, network).format(**names)}```\n",
        f"## Run\n\n```python\n{entry.facts['program'].format(file=file)}```\n",
        f"## Result\n\n```python\n{_result(card, network).format(**names)}```",
    ]
    text = "\n".join(part for part in parts if part) + "\n"
    return text + (_WSINFER.format(torch=versions.get("torch", "")) if has_wsinfer else "")


def _input(card: Card, network: Exported) -> str:
    policy = card.input
    if card.task == "segment":
        at = f" at {policy.mpp:g} um per pixel" if policy.mpp else ""
        return f"images{at}, as in training"
    if not network.is_view:
        at = (
            f" of a slide at {policy.mpp:g} um per pixel"
            if policy.tile_px == (network.width_px, network.height_px)
            else ""
        )
        return f"{'tiles' if at else 'whole images'}{at}; scaling and cutting into views are part of the file"
    if policy.view == "resize":
        return "whole images resized to this size"
    at = f", at {policy.mpp / policy.scale:g} um per pixel" if policy.mpp else ""
    return (
        f"parts of this size of an image that was resized by {policy.scale:g}{at}, so an image of another size is "
        "several inputs whose log probabilities are averaged (`--image-size` makes that part of the file)"
    )


def _outputs(card: Card, network: Exported) -> list[str]:
    facts = {
        "classes": len(card.architecture.classes),
        "masks": 1 if card.task == "segment" or network.is_view else "views",
        "height": network.height_px if network.is_view or card.task == "segment" else card.input.height_px,
        "width": network.width_px if network.is_view or card.task == "segment" else card.input.width_px,
        "nuclei": "each pixel's probability to be in a nucleus",
    }
    return [f"- Output: `{name}`, {_MEANINGS[name].format(**facts)}." for name in network.outputs]


def _reading(card: Card, network: Exported) -> str:
    if card.task == "segment" or not network.is_view:
        return _WHOLE
    return _RESIZED if card.input.view == "resize" else _VIEWS


def _result(card: Card, network: Exported) -> str:
    if card.task == "segment":
        return _NUCLEI
    classes, positive = card.architecture.classes, card.decision.positive
    label = "labels[int(probs.argmax())]"
    if positive:
        at = classes.index(positive)
        label = f"labels[{at}] if probs[{at}] >= {card.decision.threshold!r} else labels[{1 - at}]"
        if card.decision.abstain is not None and card.decision.abstain.low is not None:
            abstain = card.decision.abstain
            label = f'"unsure" if {abstain.low!r} <= probs[{at}] <= {abstain.high!r} else {label}'
    averaged = _AVERAGED if network.is_view and card.input.view == "grid" else ""
    return _LABEL.replace("{averaged}", averaged).replace("{label}", label)
