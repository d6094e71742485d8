"""Griffe extension: document each option by its `help` text, and show its default instead of the `option(...)` call."""

from __future__ import annotations

import ast
from typing import Any

from griffe import Attribute, Docstring, Extension


class OptionHelp(Extension):
    """Reads dataclass fields declared as `name: type = option(default, help=...)`."""

    def on_attribute_instance(self, *, node: Any, attr: Attribute, **kwargs: Any) -> None:
        """Turn the help text into the attribute's docstring."""
        call = getattr(node, "value", None)
        if not isinstance(call, ast.Call) or getattr(call.func, "id", "") != "option":
            return
        texts = [keyword.value for keyword in call.keywords if keyword.arg == "help"]
        if texts and isinstance(texts[0], ast.Constant):
            attr.docstring = Docstring(texts[0].value, lineno=node.lineno, parent=attr)
        attr.value = ast.unparse(call.args[0])
