"""`cancernet tile` as a person meets it: exit codes, stdout, stderr, files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.command_line import cancernet
from tests.slide_files import tissue_slide, write_svs


@pytest.fixture
def slides(tmp_path: Path) -> Path:
    folder = tmp_path / "slides"
    folder.mkdir()
    write_svs(folder / "a.svs", tissue_slide(1200, 800))
    return folder


def test_human_output_shows_each_slide_and_the_paths(
    slides: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert cancernet("tile", slides, "--out", out, "--tile-mpp", 1, "--tile-size-px", 64) == 0
    said = capsys.readouterr().out
    assert "a.svs" in said
    assert "0.499  slide" in said
    assert str(out / "tiles.parquet") in said
    assert pq.read_metadata(out / "tiles.parquet").num_rows > 10


def test_a_failed_slide_is_exit_code_7_and_the_others_are_planned(
    slides: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (slides / "a.svs").read_bytes()
    (slides / "b.svs").write_bytes(whole[: len(whole) // 2])
    out = tmp_path / "out"
    assert cancernet("tile", slides, "--out", out, "--format", "json") == 7
    told = capsys.readouterr()
    result = json.loads(told.out)
    assert [row["status"] for row in result["rows"]] == ["ok", "failed"]
    assert (result["slides"], result["failed"]) == (2, 1)
    assert "1 of 2 slides failed" in told.err
    assert (out / "a.svs.preview.png").is_file()


def test_quiet_is_silent_and_errors_have_a_fix(
    slides: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert cancernet("tile", slides, "--out", out, "--format", "quiet") == 0
    done = capsys.readouterr()
    assert (done.out, done.err) == ("", "")
    assert cancernet("tile", slides, "--out", out) == 6
    assert "--overwrite" in capsys.readouterr().err
    assert cancernet("tile", slides, "--kind", "image", "--out", tmp_path / "no") == 3
    assert "no slide was found" in capsys.readouterr().err
    assert cancernet("tile", slides, "--overlap", "1.0") == 2
    assert cancernet("tile", slides, "--tissue", "magic") == 2
    assert cancernet("tile", slides, "--model", "nobody", "--out", tmp_path / "no") == 4


def test_its_help_loads_neither_networks_nor_pixels() -> None:
    script = (
        "import sys\n"
        "from cancernet_cli.cli.app import main\n"
        "try:\n"
        "    main(['tile', '--help'])\n"
        "except SystemExit as left:\n"
        "    assert not left.code\n"
        "heavy = {'torch', 'cv2', 'PIL', 'openslide', 'tifffile', 'pyarrow'}\n"
        "print(*sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.split() == []


def test_a_plan_needs_no_torch(slides: Path, tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from cancernet_cli.engine.tile import tile\n"
        f"tile({str(slides)!r}, out={str(tmp_path / 'out')!r})\n"
        "print('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
