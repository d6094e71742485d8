"""Patients from paths, and expressions that do not fit."""

from __future__ import annotations

import pytest

from cancernet_cli.core.errors import InputError, OptionError
from cancernet_cli.core.options import ClassifyOptions, EvaluateOptions, FinetuneOptions
from cancernet_cli.core.records import FoundFile, Truth
from cancernet_cli.data.discovery.patients import PatientPattern


def patients(pattern: str, *paths: str) -> tuple[list[str | None], list[str]]:
    """The patient in each path, and the warnings."""
    found, said = PatientPattern(pattern), []
    names = [found.patient(path) for path in paths]
    found.check(said.append)
    return names, said


@pytest.mark.parametrize("pattern", ["^([^/]+)/", "^(?P<patient>[^/]+)/", "^(?P<patient>[^/]+)/(benign|malignant)/"])
def test_the_group_is_the_patient(pattern: str) -> None:
    paths = ("p1/benign/a.png", "p1/malignant/b.png", "p2/benign/a.png")
    assert patients(pattern, *paths) == (["p1", "p1", "p2"], [])


def test_a_pattern_is_searched_anywhere_and_overrides_other_sources() -> None:
    file = FoundFile("benign/case_07_x.png", b"/d/benign/case_07_x.png", 1, 1, Truth("benign", "14-1", "14-1A"))
    named = PatientPattern(r"case_(\d+)").named(file)
    assert named.truth == Truth("benign", "07", "14-1A")
    other = FoundFile("benign/x.png", b"/d/benign/x.png", 1, 1, Truth("benign", "14-1"))
    assert PatientPattern(r"case_(\d+)").named(other) is other, "where it does not match, the patient stays"


def test_no_pattern_matches_nothing_in_silence() -> None:
    assert patients("", "a.png") == ([None], [])


def test_a_pattern_that_matches_no_path_ends_the_run_and_shows_one() -> None:
    with pytest.raises(InputError, match=r"matches no path; the first of 2 files is 'benign/a.png'") as caught:
        patients(r"case_(\d+)", "benign/a.png", "benign/b.png")
    assert "'^([^/]+)/'" in caught.value.fix


@pytest.mark.parametrize(
    ("pattern", "paths", "words"),
    [
        (r"^p(\d+)/", ("p1/a.png", "p1/b.png", "other/c.png"), "matches 2 of 3 files"),
        (r"(x)?.png", ("ax.png", "bx.png", "c.png"), "matches 2 of 3 files"),
        (r"([^/]+)\.png", ("p1/a.png", "p1/b.png", "p2/c.png"), "each of 3 files a different patient"),
    ],
)
def test_a_pattern_that_hardly_fits_is_reported(pattern: str, paths: tuple[str, ...], words: str) -> None:
    _, said = patients(pattern, *paths)
    assert len(said) == 1
    assert words in said[0]


@pytest.mark.parametrize("record", [ClassifyOptions, EvaluateOptions, FinetuneOptions])
@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("case_(", "is not a regular expression"),
        (r"case_\d+", "has no group"),
        ("(a)(b)", "has 2 groups, none of them named 'patient'"),
    ],
)
def test_a_wrong_expression_is_a_usage_error_with_an_example(record: type, pattern: str, words: str) -> None:
    with pytest.raises(OptionError, match=words) as caught:
        record(patient_pattern=pattern)
    assert caught.value.exit_code == 2
    assert "'^([^/]+)/'" in caught.value.fix
