"""Split OpenVINO's run time among the stages of a pipeline, by its own profile."""

from __future__ import annotations

from typing import Any

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.inference.openvino_import import ov
from cancernet_cli.inference.openvino_model import ancestors

ROUNDS = 3


def openvino_shares(model: ov.Model, views: Pixels, precision_hint: str = "f32") -> dict[str, float]:
    """Shares of `normalise`, `segment` and `classify`, which add up to 1.

    Measured with one thread, one view at a time. OpenVINO fuses combining and normalising into common kernels, so both
    count as `normalise`.

    Args:
        model: a converted pipeline (`inference.openvino_model`). views: `[V, H, W, 3]` uint8.
    """
    segmenting = ancestors(model.outputs[2].get_node()) - {model.inputs[0].get_node().get_friendly_name()}
    before = _before_classifier(model, segmenting)
    compiled = ov.Core().compile_model(
        ov.Model([output.node for output in model.outputs[:2]], model.get_parameters()),
        "CPU",
        {"PERF_COUNT": True, "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": precision_hint},
    )
    request = compiled.create_infer_request()
    for row in range(ROUNDS):
        at = row % len(views)
        request.infer({0: views[at : at + 1]})
    known = {op.get_friendly_name() for op in model.get_ops()}
    taken = {"normalise": 0.0, "segment": 0.0, "classify": 0.0}
    for op in compiled.get_runtime_model().get_ordered_ops():
        names = set(_fact(op, "originalLayersNames").split(",")) & known
        micro_s = _fact(op, "execTimeMcs")
        if names and micro_s.isdecimal():
            taken[_stage(names, segmenting, before)] += int(micro_s)
    whole = sum(taken.values())
    return {name: time / whole if whole else 0.0 for name, time in taken.items()}


def _stage(names: set[str], segmenting: set[str], before: set[str]) -> str:
    """The stage of a kernel that replaces these operations; for a fused kernel, the last of its stages."""
    if names <= segmenting:
        return "segment"
    return "normalise" if names <= segmenting | before else "classify"


def _before_classifier(model: ov.Model, segmenting: set[str]) -> set[str]:
    """Names of the operations before the classifier's first convolutions, without the segmenter's."""
    names: set[str] = set()
    convolutions: set[str] = set()
    for op in model.get_ordered_ops():
        name = op.get_friendly_name()
        if "Convolution" in op.get_type_name() and name not in segmenting:
            above = ancestors(op.input_value(0).get_node())
            if not above & convolutions:
                names |= above - segmenting
            convolutions.add(name)
    return names


def _fact(op: Any, name: str) -> str:
    """Runtime information about a kernel of the compiled model; empty if there is none."""
    if name not in op.rt_info:
        return ""
    value = op.rt_info[name]
    return str(getattr(value, "value", value))
