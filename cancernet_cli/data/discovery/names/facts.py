"""What the file names of published data sets state about an image."""

from __future__ import annotations

from dataclasses import dataclass

from cancernet_cli.core.records import Truth
from cancernet_cli.data.discovery.names.breakhis import parse_breakhis
from cancernet_cli.data.discovery.names.idc import parse_idc

_NOTHING = Truth()


@dataclass(frozen=True, slots=True)
class NameFacts:
    """What a name states. labels: the class in each classification that the data set has. truth: everything else."""

    labels: tuple[str, ...] = ()
    truth: Truth = _NOTHING


_NO_FACTS = NameFacts()


def facts_of_name(name: str) -> NameFacts:
    """What a BreakHis or IDC file name states; nothing for any other name."""
    if breakhis := parse_breakhis(name):
        labels = (breakhis.label, breakhis.subtype)
        return NameFacts(labels, Truth(None, breakhis.patient, breakhis.slide, breakhis.magnification))
    if patch := parse_idc(name):
        return NameFacts((patch.label,), Truth(None, patch.patient))
    return _NO_FACTS
