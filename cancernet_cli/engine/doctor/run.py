"""Check the machine and the installation, and classify a few generated images."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from cancernet_cli.core.errors import CancernetError
from cancernet_cli.core.events import Reporter, StageAdvanced, StageFinished, StageStarted, silent
from cancernet_cli.core.models import DEFAULT_MODEL
from cancernet_cli.core.options.doctor import DoctorOptions
from cancernet_cli.engine.doctor.findings import Finding
from cancernet_cli.engine.doctor.installation import installation_findings
from cancernet_cli.engine.doctor.machine import machine_findings

SELF_TEST_IMAGES = 8
_SELF_TEST = "self-test"


def doctor(options: DoctorOptions | None = None, report: Reporter = silent, **changes: Any) -> list[Finding]:
    """Check whether CancerNet can run here.

    Args:
        options: Defaults to all checks.
        report: Called with progress (`core.events`).
        changes: Options by name that override `options`, as in `doctor(self_test=False)`.

    Returns:
        One finding per check; a check that fails is a finding and does not raise.
    """
    options = replace(options or DoctorOptions(), **changes)
    findings = [*machine_findings(), *installation_findings()]
    if options.self_test:
        report(StageStarted(_SELF_TEST, 1, "runs"))
        findings.append(_self_test())
        report(StageAdvanced(_SELF_TEST, 1))
        report(StageFinished(_SELF_TEST))
    return findings


def _self_test() -> Finding:
    """Classify generated images with the default model, through a worker, as `classify` does."""
    try:
        from cancernet_cli.engine.bench.synthetic_images import write_fields
        from cancernet_cli.engine.classify.run import classify
    except ImportError as error:
        return Finding(
            _SELF_TEST, "problem", f"a library does not load: {error}", "reinstall cancernet in a new environment"
        )
    try:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            write_fields(folder / "images", SELF_TEST_IMAGES, 700, 460, "png")
            started = time.monotonic()
            result = classify(folder / "images", out=folder / "table.parquet", labels="none")
            seconds = time.monotonic() - started
    except (CancernetError, OSError) as error:
        fix = error.fix if isinstance(error, CancernetError) else "see the checks above"
        return Finding(_SELF_TEST, "problem", f"classify failed: {error}", fix)
    if result.ok != SELF_TEST_IMAGES:
        path, reason = result.failures[0]
        return Finding(_SELF_TEST, "problem", f"{result.failed} of {result.files} images failed; {path}: {reason}", "")
    return Finding(_SELF_TEST, "ok", f"{result.ok} images with {DEFAULT_MODEL} in {seconds:.1f} s, opening it included")
