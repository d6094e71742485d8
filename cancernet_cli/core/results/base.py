"""The base of the results of commands."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cancernet_cli.core.errors import CancernetError
from cancernet_cli.core.results.html import facts_html, rows_html

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_SHOWN = 10


class Result:
    """Base of the results of commands: `table()`, `to_pandas()`, and a summary in notebooks.

    A subclass is a dataclass that provides `table`.
    """

    def table(self) -> pa.Table:
        """The rows of the result as an Arrow table."""
        raise NotImplementedError

    def to_pandas(self) -> Any:
        """The rows of the result as a pandas DataFrame; categories stay categories.

        Raises:
            CancernetError: pandas is not installed.
        """
        try:
            import pandas  # noqa: F401
        except ImportError:
            raise CancernetError(
                "pandas is not installed", fix="run pip install pandas, or use table(), which gives an Arrow table"
            ) from None
        return self.table().to_pandas()

    def _repr_html_(self) -> str:
        """The summary that Jupyter shows: facts, and the first rows."""
        parts = [f"<h4>{escape(type(self).__name__)}</h4>", facts_html(self._facts())]
        note = "<p>Research use only: not for diagnosis.</p>"
        try:
            table = self.table()
        except Exception:  # its files may have been moved since; a summary must not fail
            return "".join([*parts, note])
        return "".join([*parts, rows_html(table.slice(0, ROWS_SHOWN).to_pylist(), table.num_rows), note])

    def _facts(self) -> Mapping[str, Any]:
        """Facts for the summary, by name: by default the fields that fit on a line."""
        fields = dataclasses.fields(self)  # type: ignore[arg-type]  # a subclass is a dataclass
        found = {field.name: getattr(self, field.name) for field in fields}
        return {
            name: value
            for name, value in found.items()
            if isinstance(value, (str, int, float, Path)) or _is_flat(value)
        }


def _is_flat(value: Any) -> bool:
    """Whether a value is a few plain ones by name, such as counts by label."""
    return (
        isinstance(value, Mapping)
        and 0 < len(value) <= 20
        and all(isinstance(one, (str, int, float, Path)) for one in value.values())
    )
