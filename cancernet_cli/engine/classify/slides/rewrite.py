"""Write the sinks' files for slides of a finished run from its tables, without running the networks."""

from __future__ import annotations

from cancernet_cli.core import interruption
from cancernet_cli.core.events import Reporter, StageAdvanced, StageFinished, StageStarted, Warn
from cancernet_cli.core.records import Failure
from cancernet_cli.data.loading.load import load_batches
from cancernet_cli.data.loading.slides import PlannedSlide, SlideToPlan
from cancernet_cli.engine.classify.finish import tiles_file
from cancernet_cli.engine.classify.job import Job
from cancernet_cli.engine.classify.slides.files import slide_writes
from cancernet_cli.engine.classify.slides.state import SlideState
from cancernet_cli.engine.classify.slides.stream import slide_decoder
from cancernet_cli.engine.classify.worklist import Worklist
from cancernet_cli.outputs.tables.classified_tiles import numbered_tiles

STAGE = "slides' files"


def rewrite_slide_files(job: Job, worklist: Worklist, report: Reporter) -> None:
    """Write the files of every slide that has a prediction.

    The slides are planned again, which gives the same plan for the same file and options; the probabilities of the
    tiles are read from the tile table.
    """
    decoder = slide_decoder(job)
    report(StageStarted(STAGE, worklist.kinds()["slide"], "slides"))
    for planned in load_batches(map(SlideToPlan, worklist.slides()), decoder, workers=0):
        interruption.check()
        assert isinstance(planned, PlannedSlide)
        file = planned.file
        if not isinstance(planned.plan, Failure):
            state = SlideState(file, planned.plan, job.card, job.options)
            state.restore(numbered_tiles(tiles_file(job.options.out), file.path))
            prediction = state.predict()
            if isinstance(prediction, Failure):
                report(Warn(f"{file.path} has no prediction, and so no files: {prediction}"))
            else:
                for write in slide_writes(state, prediction, job):
                    write()
        report(StageAdvanced(STAGE, 1))
    report(StageFinished(STAGE))
