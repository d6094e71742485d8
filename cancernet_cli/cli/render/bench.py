"""Show a measurement on the terminal: stages, rates and limits, memory, start-up, sweeps, changes, bottleneck."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from cancernet_cli.cli.render.tables import FittedTable
from cancernet_cli.core.text import one_line

_STAGES = {
    "read": "read file",
    "decode": "decode",
    "quality": "quality metrics",
    "views": "resize, split into views",
    "host_to_device": "host to device",
    "normalise": "normalise",
    "segment": "segment",
    "combine": "combine",
    "classify": "classify",
    "device_to_host": "device to host",
    "write": "predict and write",
}


def bench_parts(found: dict[str, Any]) -> Iterator[RenderableType]:
    """A measurement, as written by --json, formatted for the terminal."""
    settings = found["settings"]
    machine = found["machine"]
    yield Text(f"{settings['model']}, segmenter {settings['segmenter']}, {settings['view']}", style="bold")
    yield Text(
        f"{settings['device']}, {settings['runtime']}, {settings['precision']}, batch size {settings['batch_size']},"
        f" {_workers(settings['workers'])}; {machine['processor']}, {machine['cores']} cores"
    )
    yield Text(
        f"{settings['files']:,} images ({one_line(settings['images'])}), {settings['views_per_image']:.3g} views each\n"
    )
    yield from _stages(found)
    yield from _rates(found)
    yield from _machine(found)
    for name, rows in found["sweeps"].items():
        yield from _sweep(name, rows)
    yield from _advice(found["advice"])
    if "comparison" in found:
        yield from _comparison(found["comparison"])
    yield Text(f"\n{found['verdict']}", style="bold")


def _stages(found: dict[str, Any]) -> Iterator[RenderableType]:
    table = FittedTable("stage (separately)", ">ms/image", ">min-max", ">CPU ms", ">share", ">ms/view")
    for stage in found["stages"]:
        name = _STAGES[stage["name"]]
        if stage["ms"] is None:
            table.add_row(name, "-", "", "", "", "", style="dim")
            continue
        ms = stage["ms"]
        per_view = _ms(stage["ms_per_view"]) if stage["ms_per_view"] is not None else ""
        spread = f"{_ms(ms['min'])}-{_ms(ms['max'])}"
        share = f"{100 * stage['share']:.0f} %"
        table.add_row(name, _ms(ms["median"]), spread, _ms(stage["core_ms"]), share, per_view)
    yield table
    yield Text(f"networks: {found['networks_by']}\n", style="dim")


def _rates(found: dict[str, Any]) -> Iterator[RenderableType]:
    limits, whole, latency = found["limits"], found["whole"], found["latency_ms"]
    arithmetic = limits["arithmetic"]
    table = FittedTable("rate", ">images/s", ">min-max")
    workers = limits["decode_only"]["workers"]
    table.add_row("end to end", *_spread(whole["images_per_s"]), style="bold")
    table.add_row(f"loader alone, {_workers(workers)}", *_spread(limits["decode_only"]["images_per_s"]))
    table.add_row("networks alone", *_spread(limits["model_only"]["images_per_s"]))
    table.add_row("loader and networks together, at most", _rate(limits["possible_images_per_s"]), "")
    bound = arithmetic["images_per_s"]
    table.add_row("networks at the peak rate of the device", "-" if bound is None else _rate(bound), "")
    yield table
    yield Text(
        f"loop       waits {100 * whole['waiting_for_batches']:.0f} % of the time for batches,"
        f" {100 * whole['waiting_for_answers']:.0f} % for the networks"
    )
    busy = found["busy"]
    yield Text(
        f"networks   a batch takes {_ms(latency['p50'])} ms (p50), {_ms(latency['p95'])} ms (p95);"
        f" the run uses {100 * busy['device']:.0f} % of their rate and {100 * busy['loader']:.0f} % of the loader's"
    )
    words = f"arithmetic {arithmetic['flops_per_view'] / 1e9:.3g} GFLOP per view"
    if bound is not None:
        rate, share = arithmetic["matrix_flops_per_s"], arithmetic["reached_by_networks"]
        words += f"; matrix products reach {rate / 1e9:,.0f} GFLOP/s, the networks {100 * share:.0f} % of that"
    yield Text(words)


def _workers(count: int) -> str:
    return "main process" if count == 0 else f"{count} worker{'s' if count > 1 else ''}"


def _machine(found: dict[str, Any]) -> Iterator[RenderableType]:
    whole, process = found["whole"], found["process"]
    cores = f"wall time is {whole['wall_over_cores']:.2f} x CPU time / cores"
    if whole["wall_over_apart"] is not None:
        cores += f", {whole['wall_over_apart']:.2f} x that of loader and networks measured separately"
    yield Text(
        f"CPU time   {whole['main_core_s']:.1f} s main process, {whole['workers_core_s']:.1f} s workers; {cores}"
    )
    memory = [
        f"{words} {process[key] / 1e6:,.0f} MB"
        for words, key in (
            ("main process", "peak_main_bytes"),
            ("with workers (shared pages counted once)", "peak_tree_bytes"),
        )
        if process[key] is not None
    ]
    if whole["device_peak_bytes"]:
        memory.append(f"device {whole['device_peak_bytes'] / 1e6:,.0f} MB")
    yield Text(f"memory     peak {', '.join(memory)}" if memory else "memory     not reported by this system")
    start = f"start-up   {process['start_s']:.1f} s for the command on one image"
    if process["cold_start_s"] is not None:
        start += f", {process['cold_start_s']:.1f} s with empty caches"
    start += f"; from Python the first row takes {whole['first_row_s']['median']:.1f} s"
    yield Text(f"{start}, of which loading the networks takes {process['open_s']:.1f} s")
    if whole["failed"]:
        yield Text(f"{whole['failed']:,} files failed; rates include them", style="yellow")


def _sweep(name: str, rows: list[dict[str, Any]]) -> Iterator[RenderableType]:
    with_difference = any("probability_difference" in row for row in rows)
    headers = [">images/s", ">min-max"] + ([">change in probabilities"] if with_difference else [])
    table = FittedTable(name.replace("_", " "), *headers)
    for row in rows:
        if "error" in row:
            table.add_row(str(row[name]), "-", one_line(row["error"]), style="dim")
            continue
        cells = [str(row[name]), *_spread(row["images_per_s"])]
        if with_difference:
            difference = row["probability_difference"]
            cells.append("-" if difference is None else f"{difference:.1e}")
        table.add_row(*cells)
    yield Text()
    yield table


def _advice(advice: dict[str, Any] | None) -> Iterator[RenderableType]:
    if advice is None:
        return
    best = [
        f"--{name.replace('_', '-')} {value}"
        for name, value in advice.items()
        if name != "kept_in" and value is not None
    ]
    kept = " (`cancernet classify` uses these for auto from now on)" if advice["kept_in"] else ""
    yield Text(f"\nbest on this machine: {' '.join(best)}{kept}")


def _comparison(found: dict[str, Any]) -> Iterator[RenderableType]:
    """Old and new values, after a list of other differences."""
    yield Text(f"\nCompared with the measurement of {found['old_date']}", style="bold")
    yield from (Text(f"- different {one_line(words)}", style="yellow") for words in found["differs"])
    for title, key, show in (("ms/image", "stages", _ms), ("images/s", "rates", _rate)):
        table = FittedTable(title, ">before", ">now", ">change")
        for name, row in found[key].items():
            change = "-" if row["change_percent"] is None else f"{row['change_percent']:+.0f} %"
            table.add_row(_STAGES.get(name, name), show(row["old"]), show(row["new"]), change)
        yield Text()
        yield table


def _spread(spread: dict[str, float]) -> tuple[str, str]:
    return _rate(spread["median"]), f"{_rate(spread['min'])}-{_rate(spread['max'])}"


def _rate(per_s: float) -> str:
    return f"{per_s:,.0f}" if per_s >= 100 else f"{per_s:.1f}"


def _ms(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.3f}"
