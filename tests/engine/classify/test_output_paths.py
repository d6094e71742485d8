"""Places that a run must not write to, refused before it begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cancernet_cli import classify
from cancernet_cli.core.errors import CancernetError
from cancernet_cli.core.options import ClassifyOptions
from tests.tiny_model import write_tiny_model


@pytest.mark.parametrize(
    ("options", "said", "code"),
    [
        ({"out": "p.csv"}, "--out is 'p.csv', and the table is a Parquet file; name it p.parquet", 2),
        ({"metrics": "slides"}, "slides is a folder; give --metrics the name of a file", 6),
        ({"out": "p.parquet", "metrics": "./p.parquet"}, "--metrics and --out are both 'p.parquet'", 2),
        ({"overlays": "slides"}, "--overlays is 'slides', where images are looked for", 2),
        ({"masks": "link"}, "--masks is 'link', where images are looked for", 2),
    ],
)
def test_a_place_that_cannot_be_is_refused_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], said: str, code: int
) -> None:
    monkeypatch.chdir(tmp_path)
    model = write_tiny_model(tmp_path / "tiny")
    (tmp_path / "slides").mkdir()
    (tmp_path / "link").symlink_to("slides")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CancernetError) as caught:
        classify("slides", ClassifyOptions(model=str(model), device="cpu", **options))
    assert said in str(caught.value)
    assert caught.value.exit_code == code
    assert sorted(tmp_path.rglob("*")) == before
