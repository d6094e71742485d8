"""Charts of a training: accuracy and loss per epoch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from cancernet_cli.core.records import Epoch
from cancernet_cli.outputs.report.content import Chart

_MEASURES = {"accuracy": "fraction of images", "loss": "loss"}


def history_charts(runs: Mapping[str, Sequence[Epoch]]) -> list[Chart]:
    """One chart per measure, training solid and validation dashed; a run's folds are averaged.

    An epoch is drawn if at least half of the folds reached it.

    Args:
        runs: by name, the epochs of all its folds.
    """
    charts = []
    for measure, title in _MEASURES.items():
        series: list[dict[str, Any]] = []
        for color, (name, epochs) in enumerate(runs.items()):
            for side in ("train", "validation"):
                curve = _mean(epochs, f"{side}_{measure}")
                if curve:
                    words = {"train": "training", "validation": "validation"}[side]
                    series.append(
                        {
                            "name": f"{name}, {words}" if name else words,
                            "epochs": list(curve),
                            "values": list(curve.values()),
                            "dashed": side == "validation",
                            "color": color % 8,
                        }
                    )
        if series:
            data = {"series": series, "yTitle": title, **({"most": 1} if measure == "accuracy" else {})}
            last = "; ".join(f"{one['name']} {one['values'][-1]:.3f} after epoch {one['epochs'][-1]}" for one in series)
            heading = f"{measure.capitalize()} per epoch"
            charts.append(Chart(f"history-{measure}", "history", data, heading, f"Means over all folds. {last}."))
    return charts


def _mean(epochs: Sequence[Epoch], name: str) -> dict[int, float]:
    values: dict[int, list[float]] = defaultdict(list)
    for epoch in epochs:
        value = getattr(epoch, name)
        if value is not None:
            values[epoch.epoch].append(value)
    most = max(map(len, values.values()), default=0)
    return {number: round(sum(each) / len(each), 5) for number, each in sorted(values.items()) if 2 * len(each) >= most}
