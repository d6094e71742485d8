"""The files beside slides' rows, made from finished tables: no network runs again."""

from __future__ import annotations

from cancernet_cli.core import interruption
from cancernet_cli.core.events import Reporter, StageAdvanced, StageFinished, StageStarted, Warn
from cancernet_cli.core.records import Failure
from cancernet_cli.data.loading.slides import PlannedSlide, SlideToPlan
from cancernet_cli.engine.classify.finish import tiles_file
from cancernet_cli.engine.classify.job import Job
from cancernet_cli.engine.classify.slide_files import slide_files
from cancernet_cli.engine.classify.slide_state import SlideRun
from cancernet_cli.engine.classify.slide_stream import slide_decoder
from cancernet_cli.engine.classify.worklist import Plan
from cancernet_cli.outputs.tables.classified_tiles import numbered_tiles

STAGE = "slides' files"


def write_again(job: Job, plan: Plan, report: Reporter) -> None:
    """Write GeoJSON, heat map and probability map of every slide that has a verdict.

    The slides are planned again, which is the same plan for the same file and options, and their tiles' probabilities
    are read from the tile table.
    """
    options = job.options
    decoder = slide_decoder(job)
    report(StageStarted(STAGE, plan.kinds()["slide"], "slides"))
    for file in plan.slides():
        interruption.check()
        planned = decoder[SlideToPlan(file)]
        assert isinstance(planned, PlannedSlide)
        if not isinstance(planned.plan, Failure):
            run = SlideRun(file, planned.plan, job.card, options)
            run.restore(numbered_tiles(tiles_file(options.out), file.path))
            verdict = run.verdict()
            if isinstance(verdict, Failure):
                report(Warn(f"{file.path} has no verdict, and so no files: {verdict}"))
            else:
                for write in slide_files(run, verdict, options):
                    write()
        report(StageAdvanced(STAGE, 1))
    report(StageFinished(STAGE))
