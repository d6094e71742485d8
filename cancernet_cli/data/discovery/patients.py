"""Patients from paths, by the regular expression of `--patient-pattern`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from cancernet_cli.core.errors import InputError
from cancernet_cli.core.figures import counted
from cancernet_cli.core.options.shared.patient_pattern import EXAMPLE, compiled_pattern, group_of
from cancernet_cli.core.records import FoundFile


class PatientPattern:
    """Finds patients in paths, and counts, so that an expression that does not fit the paths is noticed.

    The expression is searched for anywhere in the path, relative to the input folder, as in a table's column `path`. A
    file that it does not match keeps the patient that is known from elsewhere.

    Args:
        pattern: the expression; "" matches nothing and reports nothing.

    Raises:
        OptionError: it is invalid (`core.options.patient_pattern`).
    """

    def __init__(self, pattern: str) -> None:
        self._pattern = compiled_pattern(pattern) if pattern else None
        self._text = pattern
        self._first = ""
        self._files = self._matched = 0
        self._patients: set[str] = set()
        self._repeats = False  # from then on the names are not kept

    def patient(self, path: str) -> str | None:
        """The patient in a path; None if the expression does not match, or matches nothing there."""
        if self._pattern is None:
            return None
        self._first = self._first or path
        self._files += 1
        match = self._pattern.search(path)
        found: str | None = match[group_of(self._pattern)] if match else None
        if not found:
            return None
        self._matched += 1
        if not self._repeats:
            self._repeats = found in self._patients
            self._patients.add(found)
            if self._repeats:
                self._patients.clear()
        return found

    def named(self, file: FoundFile) -> FoundFile:
        """The file with the patient in its path."""
        patient = self.patient(file.path)
        return file if patient is None else replace(file, truth=replace(file.truth, patient=patient))

    def check(self, on_problem: Callable[[str], None]) -> None:
        """Report what does not fit; called after the last file.

        Raises:
            InputError: the expression matches no file.
        """
        if not self._files:
            return
        if not self._matched:
            raise InputError(
                f"--patient-pattern {self._text!r} matches no path; the first of {counted(self._files, 'file')} is "
                f"{self._first!r}",
                fix=f"correct it to match the paths as shown; examples: {EXAMPLE}",
            )
        if self._matched < self._files:
            on_problem(f"--patient-pattern matches {self._matched:,} of {counted(self._files, 'file')}")
        if self._matched > 1 and not self._repeats:
            on_problem(
                f"--patient-pattern gives each of {self._matched:,} files a different patient, as if nobody had two "
                "images; check that it does not match file names"
            )
