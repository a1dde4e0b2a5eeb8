"""The Python API: `create_pipeline(...)` and `Pipeline.predict(...)`."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import closing
from functools import partial
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import TYPE_CHECKING

from uadx.bundle.reader import open_bundle
from uadx.errors import InferenceError, UsageError
from uadx.images.camera import Camera, find_camera
from uadx.images.live import Live
from uadx.images.source import Source
from uadx.images.sources import expand
from uadx.images.video import may_have_frames, read_video
from uadx.pipeline.config import NAME, ConfigFile, PipelineConfig, config_of, load_config
from uadx.pipeline.inspector import Inspector
from uadx.result import Result

if TYPE_CHECKING:
    from uadx.tune.fastest import Fastest


class Pipeline:
    """An opened model on a device. A context manager; close() may be called twice.

    config: what runs. fastest: where that was measured (`enable_hpi`) and not asked for, else None.

    >>> from uadx import create_pipeline
    >>> pipeline = create_pipeline(threshold=0.5)
    >>> pipeline.config.threshold
    0.5
    >>> pipeline.close()
    """

    def __init__(self, config: PipelineConfig, stage: Callable[[str], None] = lambda what: None) -> None:
        """stage: is told what is being done, where that takes long."""
        self.bundle = open_bundle(config.model)
        self.fastest: Fastest | None = None
        if config.enable_hpi:
            from uadx.tune.fastest import fastest

            self.fastest = fastest(self.bundle, config, stage)
            config = self.fastest.config
        self.config = config
        self.inspector = Inspector(self.bundle, config)
        if self.fastest is not None:
            self.inspector.opened.requested = self.fastest.requested
        self._closed = False

    def predict(
        self,
        input: object,  # PaddleX's name for it
        *,
        batch_size: int | None = None,
        threshold: float | None = None,
        fpr: float | None = None,
        recursive: bool = True,
        fps: float | None = None,
        max_frames: int | None = None,
    ) -> Generator[Result, None, None]:
        """Inspect images and yield one result for each, in input order, while later ones are still on their way.

        input: an array (uint8 or uint16; BGR [H, W, 3], grey [H, W], BGRA), encoded bytes, a path, a URL, a
        directory, a glob, a list file, a video, {"img": x} or {"input": x}, or a list of any of these. Or one live
        stream, a camera's number or an rtsp:// address: the newest frame, each time the device is free, until the
        generator is closed.
        batch_size, threshold, fpr: instead of the pipeline's own. fps: frames to inspect of each second of a video or a
        live stream; None: all of a video, of a live one as many as can be. max_frames: the end of a live stream, or of
        each video.

        Arguments are checked at once: raises UsageError for an input that means nothing, InputError for a live stream
        that cannot be opened. An image that cannot be read is a result with `error`. Raises InferenceError where the
        device fails.

        >>> import numpy as np
        >>> from uadx import create_pipeline
        >>> grey = np.full((120, 160), 128, np.uint8)
        >>> with create_pipeline() as pipeline:
        ...     inspected, broken = pipeline.predict([grey, b"no picture"])
        >>> inspected["image_size"]
        [120, 160]
        >>> broken.error.kind
        'not_an_image'
        """
        if self._closed:
            raise UsageError("the pipeline is closed", hint="make a new one: create_pipeline(...)")
        config = self.config.override(batch_size=batch_size, threshold=threshold, fpr=fpr)
        _check_frames(fps, max_frames, input)
        if camera := find_camera(input):
            return self._live(camera, config, fps, max_frames)
        read = partial(read_video, fps=fps, max_frames=max_frames)
        return self.inspect(expand(input, recursive=recursive, read_video=read), config)

    def live(
        self,
        camera: Camera,
        config: PipelineConfig,
        *,
        fps: float | None = None,
        max_frames: int | None = None,
        stop: Event | None = None,
    ) -> Live:
        """A camera as sources for `inspect`, no more of them at a time than keep the device busy; see Live."""
        in_flight = max(self.inspector.opened.async_depth + 1, config.batch_size or 1)
        return Live(camera, in_flight=in_flight, fps=fps, max_frames=max_frames, stop=stop)

    def _live(
        self, camera: Camera, config: PipelineConfig, fps: float | None, max_frames: int | None
    ) -> Generator[Result, None, None]:
        config = one_by_one(config)
        live = self.live(camera, config, fps=fps, max_frames=max_frames)
        results = self.inspect(live, config)

        def each() -> Generator[Result, None, None]:
            with closing(results), closing(live):  # live first: it is what the stages wait for
                for result in results:
                    yield result
                    live.done()

        return each()

    def inspect(self, sources: Iterator[Source], config: PipelineConfig) -> Generator[Result, None, None]:
        """Results for sources that are already known; config: this pipeline's, or an override of it."""
        thresholds = self.inspector.thresholds_for(config)
        batch_size = config.batch_size or self.inspector.batch_size

        def results() -> Generator[Result, None, None]:
            try:
                for result in self.inspector.inspect(sources, thresholds, batch_size):
                    yield result
                    result.release()
            except (RuntimeError, CancelledError, InferenceError) as error:
                if not self._closed:
                    raise
                raise UsageError("the pipeline was closed before all its results were taken") from error

        return results()

    def close(self) -> None:
        """Release the device and the threads."""
        if not self._closed:
            self._closed = True
            self.inspector.close()

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _check_frames(fps: object, max_frames: object, what: object) -> None:
    if fps is not None and (not isinstance(fps, (int, float)) or not 0 < fps < math.inf):
        raise UsageError(f"fps is {fps!r}, not a number of frames a second", hint="a number above 0, such as 2 or 0.5")
    if max_frames is not None and (not isinstance(max_frames, int) or max_frames < 1):
        raise UsageError(f"max_frames is {max_frames!r}, not a number of frames", hint="a whole number above 0")
    for name, value in (("fps", fps), ("max_frames", max_frames)):
        if value is not None and not may_have_frames(what):
            raise UsageError(
                f"{name} chooses frames of a video or a live stream, and the input has none", hint="leave it out"
            )


def one_by_one(config: PipelineConfig) -> PipelineConfig:
    """For inputs that come one after the other: none must wait until the next ones fill a batch."""
    return config if config.batch_size else config.override(batch_size=1)


def create_pipeline(
    pipeline: str | os.PathLike[str] = NAME,
    device: str | None = None,
    model: str | os.PathLike[str] | None = None,
    enable_hpi: bool | None = None,
    use_hpip: bool | None = None,
    config: Mapping[str, object] | None = None,
    **settings: object,
) -> Pipeline:
    """Open the anomaly-detection pipeline: "anomaly_detection", or a configuration file (see `uadx config`).

    device: a device string such as "cpu", "gpu:0", "openvino:CPU". model: a bundle; default: the demo product's.
    enable_hpi: run the backend, precision and batch size that are fastest here, as `uadx tune` measures them; device
    and settings say among which. Measured once a machine, for half a minute, and remembered. use_hpip: PaddleX's name
    for it. config: the content of a configuration file, in place of `pipeline`.
    settings: any key of the file's `Pipeline`, such as threshold=..., fpr=..., batch_size=..., workers=....
    Explicit arguments beat the file. Raises UsageError, BundleError, UnavailableError, CompileError, PlacementError.

    >>> from uadx import create_pipeline
    >>> with create_pipeline(device="cpu") as pipeline:
    ...     for result in pipeline.predict("parts/test/hole"):
    ...         print(result["input_path"], "NG" if result["is_anomaly"] else "OK")
    parts/test/hole/000.png NG
    parts/test/hole/001.png NG
    """
    if unknown := sorted(set(settings) - set(PipelineConfig.__struct_fields__)):
        raise UsageError(
            f"create_pipeline has no argument {unknown[0]!r}",
            hint=f"it takes pipeline, device, model and {', '.join(PipelineConfig.__struct_fields__[2:])}",
        )
    if not isinstance(model, (str, os.PathLike, type(None))):
        raise UsageError(f"model is {model!r}, not a path", hint="a bundle that `uadx train` wrote: model='my_model'")
    if enable_hpi is not None and use_hpip is not None:
        raise UsageError("use_hpip is another name for enable_hpi", hint="give one of them")
    model = None if model is None else os.fspath(model)
    hpi = use_hpip if enable_hpi is None else enable_hpi
    file = find_config(pipeline) if config is None else config_of(config, "config")
    return Pipeline(file.Pipeline.override(device=device, model=model, enable_hpi=hpi, **settings))


def find_config(pipeline: str | os.PathLike[str]) -> ConfigFile:
    """The configuration a pipeline argument means: the built-in one by name, or a file."""
    if not isinstance(pipeline, (str, os.PathLike)):
        raise UsageError(f"pipeline is {pipeline!r}, not a name", hint=f"the pipeline is {NAME!r}, or a .yaml file")
    if str(pipeline) == NAME:
        return ConfigFile()
    path = Path(pipeline)
    if path.suffix.lower() not in {".yaml", ".yml"}:
        raise UsageError(
            f"there is no pipeline {str(pipeline)!r}",
            hint=f"the pipeline is {NAME!r}; a file of your own ends in .yaml",
        )
    return load_config(path)
