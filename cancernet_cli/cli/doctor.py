"""`cancernet doctor`."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from cancernet_cli.cli import output, progress
from cancernet_cli.cli.bind import FORMAT, Format, options_from
from cancernet_cli.core.options.doctor import DoctorOptions

PROBLEMS = 1


@options_from(DoctorOptions)
def doctor(*, options: DoctorOptions, format: Annotated[Format, FORMAT] = "human") -> None:
    """Check whether CancerNet can run on this machine, and say what to repair.

    Looks at the GPU, limits, cache, disk, packages and models, and times a self-test. Exit code 1: something will fail.

    Examples:

        cancernet doctor

        cancernet doctor --no-self-test --format json
    """
    with progress.reporter(format) as report:
        from cancernet_cli.engine.doctor.run import doctor as check

        findings = check(options, report)
    problems = [finding for finding in findings if finding.state == "problem"]
    if format == "json":
        output.record({"ok": not problems, "findings": [dataclasses.asdict(finding) for finding in findings]})
    elif format == "human":
        from cancernet_cli.cli.render.findings import finding_parts

        output.show(*finding_parts(findings))
    if problems:
        raise typer.Exit(PROBLEMS)
