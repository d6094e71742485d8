import pytest

from cancernet_cli.core.files import display_path, real_path

NAMES = [
    b"plain.png",
    "Übersicht 7 µm.png".encode(),
    b"line\nbreak.png",
    b"invalid \xff\xfe.png",
    rb"looks like an escape \xff.png",
    rb"escaped escape \x5cxff.png",
    rb"a backslash \ alone.png",
]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_becomes_text_and_comes_back(name: bytes) -> None:
    shown = display_path(name)
    assert shown.encode("utf-8")  # no surrogates: any Parquet reader takes it
    assert real_path(shown) == name


def test_two_files_never_share_a_name() -> None:
    assert len({display_path(name) for name in NAMES}) == len(NAMES)


def test_ordinary_names_stay_as_they_are() -> None:
    assert display_path(b"a/b c.png") == "a/b c.png"
