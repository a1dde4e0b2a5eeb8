"""`uadx run` on what moves: which frames of a video are taken, and a live stream until it is stopped."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from uadx.cli.progress import shown_progress, shown_warnings
from uadx.errors import UsageError

if TYPE_CHECKING:
    from uadx.cli.run import Asked
    from uadx.images.camera import Camera
    from uadx.images.sources import ReadVideo
    from uadx.output.record import Counts
    from uadx.pipeline.config import PipelineConfig


@dataclass(frozen=True)
class Choice:
    """The frames that --fps and --max-frames choose; None: all."""

    fps: float | None
    max_frames: int | None

    @property
    def words(self) -> str:
        """For the record of a run, behind its input."""
        fps = f", {self.fps:g} frames a second" if self.fps else ""
        return f"{fps}, {self.max_frames} frames" if self.max_frames else fps

    @property
    def read_video(self) -> ReadVideo:
        """For `expand`."""
        from uadx.images.video import read_video

        return partial(read_video, fps=self.fps, max_frames=self.max_frames)

    def check(self, what: str) -> None:
        """Raises UsageError where there is a choice, but what has no frames."""
        from uadx.images.naming import printable, without_password
        from uadx.images.video import may_have_frames

        if (self.fps or self.max_frames) and not may_have_frames(what):
            raise UsageError(
                "--fps and --max-frames choose frames of a video or a camera; "
                f"{printable(without_password(what))} has none",
                hint="leave them out, or name a video, a list of videos, camera:0 or rtsp://...",
            )

    def expected(self, what: str) -> int | None:
        """About how many frames there will be, where what is one video; None where nobody knows."""
        from uadx.images.frame import VIDEO_SUFFIXES
        from uadx.images.video import frames_to_come

        path = Path(what)
        if path.suffix.lower() not in VIDEO_SUFFIXES or not path.is_file():
            return None
        return frames_to_come(path, fps=self.fps, max_frames=self.max_frames)


def inspect_live(asked: Asked, camera: Camera, config: PipelineConfig) -> Counts:
    """Until a signal, the last of --max-frames, or the end of the stream. NG frames get a line each."""
    from uadx.cli.opening import opened_for
    from uadx.cli.run_report import Report
    from uadx.cli.stopping import stopped_by_signals
    from uadx.output.hot_folder import HotRunFolder
    from uadx.output.run_folder import RunFolder
    from uadx.output.runner import run
    from uadx.pipeline.pipeline import one_by_one
    from uadx.plural import counted
    from uadx.result import Result

    if asked.resume and "jsonl" not in asked.formats:
        raise UsageError(
            "a live stream that goes on keeps its results in results.jsonl", hint="let --format have jsonl"
        )
    choice, config = asked.choice, one_by_one(config)
    with shown_warnings(), ExitStack() as stack:
        stop = stack.enter_context(stopped_by_signals())
        opened = stack.enter_context(opened_for(config))
        live = stack.enter_context(opened.live(camera, config, fps=choice.fps, max_frames=choice.max_frames, stop=stop))
        if not asked.quiet:
            click.echo(f"inspecting {camera.label}; Ctrl-C ends it", err=True)
        draw = stack.enter_context(shown_progress("inspecting", asked.quiet))

        def advance(done: int) -> None:
            draw(done, note=f"{live.passed_over} passed over")

        report = Report(opened, asked.quiet, advance, lines=("NG",))

        def add(result: Result) -> None:
            report.add(result)
            live.done()

        summary = run(
            opened, live, asked.folder, asked.formats, what=camera.label, resume=asked.resume,
            open_folder=HotRunFolder if asked.resume else RunFolder, on_result=add,
        )  # fmt: skip
        report.end(summary, asked.folder, rate=True)
        if not asked.quiet:
            click.echo(f"the stream gave {counted(live.seen, 'frame')}, {live.passed_over} of them passed over")
    return summary.counts
