"""Text in cells of spreadsheets: made harmless on writing, restored on reading.

A program such as Excel evaluates text that starts with `=`, `+`, `-` or `@` as a formula, which may run commands or
send data elsewhere. File and patient names come from others, so such cells get an apostrophe in front (OWASP, "CSV
Injection": https://owasp.org/www-community/attacks/CSV_Injection). Numbers are never changed.
"""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

# Tab, CR and LF are skipped by some programs; the wide forms are what some East Asian ones take for the narrow ones.
_STARTS = r"[=+\-@\t\r\n＝＋－＠]"
_UNSAFE = rf"^('*{_STARTS})"  # an apostrophe in front is escaped as well, so that reading restores every text
_ESCAPED = rf"^'('*{_STARTS})"


def harmless(text: pa.Array) -> pa.Array:
    """Text cells with an apostrophe before those that a spreadsheet would evaluate."""
    return pc.replace_substring_regex(text, _UNSAFE, r"'\1")


def restored(text: pa.Array) -> pa.Array:
    """The inverse of `harmless`."""
    return pc.replace_substring_regex(text, _ESCAPED, r"\1")


def harmless_name(name: str) -> str:
    """The heading of a column, likewise."""
    return re.sub(_UNSAFE, r"'\1", name)


def restored_name(name: str) -> str:
    """The inverse of `harmless_name`."""
    return re.sub(_ESCAPED, r"\1", name)


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """A table's columns as a spreadsheet has them: text for categories, bytes (in hexadecimal), times and the like.

    Raises:
        TypeError: a column has several values per row.
    """
    return pa.schema([(field.name, _plain_type(field)) for field in schema])


def plain_batch(batch: pa.RecordBatch, plain: pa.Schema) -> pa.RecordBatch:
    """Rows with the columns of `plain_schema`, their text as it is."""
    return pa.RecordBatch.from_arrays([_plain(batch[field.name], field.type) for field in plain], schema=plain)


def _plain_type(field: pa.Field) -> pa.DataType:
    kind = field.type
    if pa.types.is_dictionary(kind):
        return _plain_type(pa.field(field.name, kind.value_type))
    if pa.types.is_nested(kind):
        raise TypeError(f"column {field.name} has several values per row ({kind})")
    if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return kind
    return pa.string()


def _plain(column: pa.Array, wanted: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return pa.array([None if value is None else value.hex() for value in column.to_pylist()], wanted)
    return column.cast(wanted)
