"""How OpenVINO's time is shared among a pipeline's stages, by its own profile."""

from __future__ import annotations

from typing import Any

from cancernet_cli.core.arrays import Pixels
from cancernet_cli.inference.openvino_import import ov

ROUNDS = 3


def openvino_shares(model: ov.Model, views: Pixels, precision_hint: str = "f32") -> dict[str, float]:
    """Shares of `normalise`, `segment` and `classify`, which add up to 1.

    By one thread, one view after the other. OpenVINO merges what combines, scales and normalises into kernels of its
    own, so that these three count as `normalise`.

    Args:
        model: a converted pipeline (`inference.openvino_model`). views: `[V, h, w, 3]` uint8.
    """
    segmenting = _names_above(model.outputs[2].get_node()) - {model.inputs[0].get_node().get_friendly_name()}
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
    """Where a kernel belongs that does what these operations did; a merged one to the last of its stages."""
    if names <= segmenting:
        return "segment"
    return "normalise" if names <= segmenting | before else "classify"


def _before_classifier(model: ov.Model, segmenting: set[str]) -> set[str]:
    """Names of what leads up to the classifier's first convolutions, segmenting apart."""
    names: set[str] = set()
    convolutions: set[str] = set()
    for op in model.get_ordered_ops():
        name = op.get_friendly_name()
        if "Convolution" in op.get_type_name() and name not in segmenting:
            above = _names_above(op.input_value(0).get_node())
            if not above & convolutions:
                names |= above - segmenting
            convolutions.add(name)
    return names


def _names_above(node: Any) -> set[str]:
    """Names of a node and of everything that its value comes from."""
    seen: set[str] = set()
    waiting = [node]
    while waiting:
        at = waiting.pop()
        if at.get_friendly_name() not in seen:
            seen.add(at.get_friendly_name())
            waiting += [value.get_node() for value in at.input_values()]
    return seen


def _fact(op: Any, name: str) -> str:
    """What the compiled model tells of one of its kernels; empty where it does not."""
    if name not in op.rt_info:
        return ""
    value = op.rt_info[name]
    return str(getattr(value, "value", value))
