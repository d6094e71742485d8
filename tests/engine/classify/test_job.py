"""Output paths that cannot be used are refused before the run begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cancernet_cli import classify
from cancernet_cli.core.errors import CancernetError
from cancernet_cli.core.options import ClassifyOptions
from cancernet_cli.data.discovery.inputs import parse_inputs
from cancernet_cli.engine.classify.job import check_output_paths
from tests.tiny_model import write_tiny_model


@pytest.mark.parametrize(
    ("options", "said", "code"),
    [
        (
            {"out": "p.json"},
            "--out is 'p.json', but the table is written as Parquet, CSV or Excel; name it p.parquet",
            2,
        ),
        ({"out": "p.csv", "metrics": "p.parquet"}, "--metrics and --out are both 'p.parquet'", 2),
        ({"metrics": "slides"}, "slides is a folder; give --metrics a file name, such as metrics.json", 6),
        ({"out": "p.parquet", "metrics": "./p.parquet"}, "--metrics and --out are both 'p.parquet'", 2),
        ({"out": "slides"}, "slides is a folder; give --out a file name, such as preds.parquet", 6),
        ({"overlays": "slides"}, "--overlays is 'slides', an input folder: the next run would classify its files", 2),
        ({"masks": "link"}, "--masks is 'link', an input folder: the next run would classify its files", 2),
        ({"heatmaps": "slides"}, "--heatmaps is 'slides', an input folder: the next run would classify its files", 2),
    ],
)
def test_an_unusable_output_path_is_refused_before_anything_is_read(
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


def test_geojson_files_may_be_written_next_to_their_slides(tmp_path: Path) -> None:
    (tmp_path / "slides").mkdir()
    check_output_paths(parse_inputs([str(tmp_path / "slides")]), ClassifyOptions(geojson=tmp_path / "slides"))
