"""What a search of folders passes over, counted."""

from __future__ import annotations

import os
from collections import Counter

from cancernet_cli.core.figures import counted
from cancernet_cli.core.files import display_path
from cancernet_cli.core.text import one_line

_SHOWN = 5


class PassedOver:
    """Counts of folders that CancerNet wrote, of hidden files and folders, and of other files by ending."""

    def __init__(self) -> None:
        self.outputs = self.hidden = 0
        self.endings: Counter[bytes] = Counter()

    def add_file(self, name: bytes) -> None:
        """Count a file that is neither an image nor a slide, by its name."""
        self.endings[os.path.splitext(name)[1].lower()] += 1

    @property
    def words(self) -> str:
        """All counts on one line, with the most frequent endings; "" if nothing was passed over."""
        found = []
        if self.outputs:
            found.append(f"{counted(self.outputs, 'folder')} that CancerNet wrote")
        if self.hidden:
            found.append(f"{self.hidden:,} hidden {'file or folder' if self.hidden == 1 else 'files and folders'}")
        if self.endings:
            ranked = sorted(self.endings.items(), key=lambda item: (-item[1], item[0]))
            shown = [f"{display_path(ending) or 'no ending'} {count:,}" for ending, count in ranked[:_SHOWN]]
            more = [f"{len(ranked) - _SHOWN:,} more endings"] if len(ranked) > _SHOWN else []
            files = counted(self.endings.total(), "file")
            found.append(
                f"{files} that {'is' if self.endings.total() == 1 else 'are'} no input ({', '.join([*shown, *more])})"
            )
        return one_line(f"passed over {', '.join(found)}") if found else ""
