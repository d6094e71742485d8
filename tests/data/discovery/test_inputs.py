import os
from pathlib import Path

import pytest

from cancernet_cli.core.errors import InputError
from cancernet_cli.data.discovery.inputs import parse_inputs, resolve_base


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("a/b/x.png", "a/c/y.png", "a/lists/m.csv", "a/[1].png", "other/z.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("inputs", "base"),
    [
        (["a"], "a"),
        (["a/"], "a"),
        (["./a/../a/b"], "a/b"),
        (["a/b/x.png"], "a/b"),
        (["a/b", "a/c"], "a"),
        (["a/b", "a"], "a"),
        (["a/b/x.png", "a/c/y.png"], "a"),
        (["a/b", "other"], "."),
        (["a/*/x.png"], "a"),
        (["a/**/*.png"], "a"),
        (["*.png"], "."),
        (["a/lists/m.csv"], "a/lists"),
        (["a/lists/m.csv", "a/b/x.png"], "a"),
        (["-"], "."),
        (["a/[1].png"], "a"),
    ],
)
def test_the_base_is_the_deepest_common_folder(here: Path, inputs: list[str], base: str) -> None:
    assert resolve_base(inputs) == Path(os.path.normpath(here / base))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("a", "folder"),
        ("a/b/x.png", "file"),
        ("a/lists/m.csv", "manifest"),
        ("a/*.png", "pattern"),
        ("a/[1].png", "file"),  # it exists, so its brackets are no wildcards
        ("-", "stdin"),
    ],
)
def test_kinds(here: Path, text: str, kind: str) -> None:
    assert [one.kind for one in parse_inputs([text])] == [kind]


def test_a_dotted_path_through_a_link_leads_where_the_system_says(here: Path) -> None:
    (here / "link").symlink_to("a/b")
    assert resolve_base(["link/../c"]) == here.resolve() / "a" / "c"


@pytest.mark.parametrize("text", ["gone", "gone/x.png", "gone/*.png"])
def test_what_does_not_exist_is_refused_at_once(here: Path, text: str) -> None:
    with pytest.raises(InputError) as caught:
        resolve_base([text])
    assert caught.value.message == f"{text!r} does not exist"
    assert caught.value.fix == "correct the path, or quote a pattern so that the shell keeps it"
    assert caught.value.exit_code == 3


def test_an_empty_word_is_not_the_current_folder(here: Path) -> None:
    with pytest.raises(InputError, match="an input is an empty string; pass a folder or file"):
        resolve_base(["a", ""])


def test_no_input_is_refused() -> None:
    with pytest.raises(InputError, match="no input was given; pass folders, files"):
        resolve_base([])
