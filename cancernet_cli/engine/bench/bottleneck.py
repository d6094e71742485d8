"""What holds a machine back, from what was measured, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

NEAR = 0.85  # of what is possible: no more is to be had by turning knobs
DISTURBED = 1.15  # times what is possible: something else took the cores while the limits were measured


@dataclass(frozen=True)
class Bounds:
    """Images a second on the whole way, of the loader and of the networks by themselves, and how they share cores.

    `decode_core_s`, `model_core_s`: processor time that an image takes; they count where the networks run on the CPU,
    too. `quicker`: a precision that has not been used and may be quicker, or "".
    """

    whole_per_s: float
    decode_per_s: float
    model_per_s: float
    decode_core_s: float
    model_core_s: float
    cores: int
    workers: int
    on_cpu: bool
    image_format: str = ""
    quicker: str = ""

    @property
    def possible_per_s(self) -> float:
        """What the loader and the networks allow together: the slower of both, or the cores that they share."""
        slower = min(self.decode_per_s, self.model_per_s)
        core_s = self.decode_core_s + self.model_core_s
        return min(slower, self.cores / core_s) if self.on_cpu and core_s else slower


def verdict(bounds: Bounds) -> str:
    """What holds the machine back, and what to change, in one sentence."""
    if bounds.whole_per_s > DISTURBED * bounds.possible_per_s:
        return (
            f"The machine did other work meanwhile: the whole way ran at {_rate(bounds.whole_per_s)}, more than the"
            f" {_rate(bounds.possible_per_s)} that its parts allowed later; measure again when it is idle."
        )
    if bounds.whole_per_s < NEAR * bounds.possible_per_s and not _lacks_workers(bounds):
        share = f"{100 * bounds.whole_per_s / bounds.possible_per_s:.0f} %"
        return (
            f"Neither the loader nor the networks alone: the whole way reaches {share} of the"
            f" {_rate(bounds.possible_per_s)} that both allow; {_between(bounds)}."
        )
    return _shared(bounds) if bounds.on_cpu else _apart(bounds)


def _apart(bounds: Bounds) -> str:
    """Where a device of its own runs the networks: the slower of both decides."""
    if bounds.decode_per_s < bounds.model_per_s:
        return (
            f"Decoding holds it back: {_workers(bounds)} {_rate(bounds.decode_per_s)},"
            f" the networks could take {_rate(bounds.model_per_s)}; {_quicker_decoding(bounds)}."
        )
    return (
        f"The networks hold it back: they take {_rate(bounds.model_per_s)},"
        f" {_workers(bounds)} {_rate(bounds.decode_per_s)}; {_quicker_networks(bounds)}."
    )


def _shared(bounds: Bounds) -> str:
    """Where loader and networks share the cores."""
    if _lacks_workers(bounds):
        return (
            f"Decoding holds it back: {_workers(bounds)} {_rate(bounds.decode_per_s)}, the networks could take"
            f" {_rate(bounds.model_per_s)}; {_quicker_decoding(bounds)}."
        )
    whole = bounds.decode_core_s + bounds.model_core_s
    share = bounds.model_core_s / whole if whole else 0.0
    cores = "The one core is" if bounds.cores == 1 else f"All {bounds.cores} cores are"
    change = _quicker_networks(bounds) if share >= 0.5 else _lighter_decoding(bounds)
    return (
        f"{cores} busy: networks take {100 * share:.0f} % of their time,"
        f" reading and decoding {100 * (1 - share):.0f} %; {change}."
    )


def _lacks_workers(bounds: Bounds) -> bool:
    """Whether more processes could decode: they are the slower part, and cores are left."""
    if bounds.decode_per_s >= bounds.model_per_s or max(bounds.workers, 1) >= bounds.cores:
        return False
    in_use = bounds.whole_per_s * (bounds.decode_core_s + (bounds.model_core_s if bounds.on_cpu else 0.0))
    return in_use < NEAR * bounds.cores


def _workers(bounds: Bounds) -> str:
    if bounds.workers == 0:
        return "the main process delivers"
    return f"{bounds.workers} worker{'s deliver' if bounds.workers > 1 else ' delivers'}"


def _rate(per_s: float) -> str:
    return f"{per_s:,.0f} images/s" if per_s >= 20 else f"{per_s:.1f} images/s"


def _quicker_decoding(bounds: Bounds) -> str:
    if bounds.workers < bounds.cores:
        more = min(bounds.cores, max(bounds.workers + 1, 2 * bounds.workers))
        return f"use --workers {more}" + (", or JPEG files" if bounds.image_format != "jpeg" else "")
    return _lighter_decoding(bounds)


def _lighter_decoding(bounds: Bounds) -> str:
    return "use smaller files or more cores" if bounds.image_format == "jpeg" else "use JPEG files or more cores"


def _quicker_networks(bounds: Bounds) -> str:
    if bounds.quicker:
        return f"try --precision {bounds.quicker}, or a smaller network"
    return "use a smaller network" + (", more cores or a GPU" if bounds.on_cpu else " or a quicker device")


def _between(bounds: Bounds) -> str:
    if bounds.workers == 0:
        return "with --workers 0 nothing is decoded while the networks run: use --workers 1 or more"
    return "look for other programs on this machine, try --sweep-batch-size and --sweep-workers, or more files"
