"""Name the bottleneck of a measured run and what to change."""

from __future__ import annotations

from dataclasses import dataclass

NEAR = 0.85  # of the possible rate: tuning options gains no more
DISTURBED = 1.15  # times the possible rate: other programs used the cores while the limits were measured


@dataclass(frozen=True)
class Bounds:
    """Images per second end to end, of the loader alone and of the networks alone, and how they share cores.

    decode_core_s, model_core_s: CPU time per image. faster_precision: one that is not in use and may be faster, or "".
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
    faster_precision: str = ""

    @property
    def possible_per_s(self) -> float:
        """The rate at which loader and networks can run together: limited by the slower one or by shared cores."""
        slower = min(self.decode_per_s, self.model_per_s)
        core_s = self.decode_core_s + self.model_core_s
        return min(slower, self.cores / core_s) if self.on_cpu and core_s else slower


def verdict(bounds: Bounds) -> str:
    """One sentence that names the bottleneck and what to change."""
    if bounds.whole_per_s > DISTURBED * bounds.possible_per_s:
        return (
            f"The machine was busy: the run reached {_rate(bounds.whole_per_s)}, more than the"
            f" {_rate(bounds.possible_per_s)} that its parts allowed later; measure again when it is idle."
        )
    if bounds.whole_per_s < NEAR * bounds.possible_per_s and not _needs_workers(bounds):
        share = f"{100 * bounds.whole_per_s / bounds.possible_per_s:.0f} %"
        return (
            f"Neither the loader nor the networks are the bottleneck: the run reaches {share} of the"
            f" {_rate(bounds.possible_per_s)} that both allow; {_between(bounds)}."
        )
    # Networks on a separate device leave all cores to the loader: the slower of the two decides.
    if _needs_workers(bounds) if bounds.on_cpu else bounds.decode_per_s < bounds.model_per_s:
        return (
            f"Decoding is the bottleneck: {_workers(bounds)} {_rate(bounds.decode_per_s)},"
            f" the networks could process {_rate(bounds.model_per_s)}; {_faster_decoding(bounds)}."
        )
    if bounds.on_cpu:
        return _shared(bounds)
    return (
        f"The networks are the bottleneck: they process {_rate(bounds.model_per_s)},"
        f" {_workers(bounds)} {_rate(bounds.decode_per_s)}; {_faster_networks(bounds)}."
    )


def _shared(bounds: Bounds) -> str:
    """The sentence for loader and networks that share cores without an idle one."""
    whole = bounds.decode_core_s + bounds.model_core_s
    share = bounds.model_core_s / whole if whole else 0.0
    cores = "The one core is" if bounds.cores == 1 else f"All {bounds.cores} cores are"
    change = _faster_networks(bounds) if share >= 0.5 else _lighter_decoding(bounds)
    return (
        f"{cores} busy: the networks use {100 * share:.0f} % of the CPU time,"
        f" reading and decoding {100 * (1 - share):.0f} %; {change}."
    )


def _needs_workers(bounds: Bounds) -> bool:
    """Whether more workers would help: decoding is slower than the networks, and cores are idle."""
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


def _faster_decoding(bounds: Bounds) -> str:
    if bounds.workers < bounds.cores:
        more = min(bounds.cores, max(bounds.workers + 1, 2 * bounds.workers))
        return f"use --workers {more}" + (", or JPEG files" if bounds.image_format != "jpeg" else "")
    return _lighter_decoding(bounds)


def _lighter_decoding(bounds: Bounds) -> str:
    return "use smaller files or more cores" if bounds.image_format == "jpeg" else "use JPEG files or more cores"


def _faster_networks(bounds: Bounds) -> str:
    if bounds.faster_precision:
        return f"try --precision {bounds.faster_precision}, or a smaller network"
    return "use a smaller network" + (", more cores or a GPU" if bounds.on_cpu else " or a faster device")


def _between(bounds: Bounds) -> str:
    if bounds.workers == 0:
        return "with --workers 0, decoding stops while the networks run: use --workers 1 or more"
    return "stop other programs on this machine, try --sweep-batch-size and --sweep-workers, or use more files"
