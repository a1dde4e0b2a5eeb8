"""What uadx says of one image: a mapping of plain JSON values, with the anomaly map and pictures on demand."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from uadx.errors import InputError, UsageError
from uadx.files import write_whole
from uadx.images.source import Source, Stored
from uadx.scoring.calibration import Thresholds
from uadx.scoring.fusion import upsample
from uadx.scoring.regions import Region, find_regions

_PICTURES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp"})


class Result(Mapping[str, Any]):
    """One inspected image, or one input that could not be inspected (then `error` is set, score and verdict None).

    Keys: input_path, frame, image_size [H, W], windows, score, threshold, pixel_threshold, is_anomaly, p_value,
    unfamiliar, regions, model, device, ms, error.
    It shares nothing with other results or the pipeline. It can be copied, and pickled but where it was read from
    standard input; where its picture came from a file, that is read again when `image` or `img` is asked for. The
    result of a frame of a video or a live stream keeps its picture, which cannot be read again.

    >>> from uadx import create_pipeline
    >>> with create_pipeline() as pipeline:
    ...     (result,) = pipeline.predict("parts/test/hole/000.png")
    >>> result["is_anomaly"], result["score"] > result["threshold"], result.anomaly_map.shape
    (True, True, (300, 300))
    >>> sorted(result["regions"][0])
    ['area', 'bbox', 'peak', 'score']
    """

    def __init__(
        self,
        fields: dict[str, Any],
        source: Source,
        load: Callable[[Source], NDArray[np.uint8]],
        *,
        feature_map: NDArray[np.float32] | None = None,
        error: InputError | None = None,
    ) -> None:
        self._fields = fields
        self._load = load
        self._image: NDArray[np.uint8] | None = None
        self._anomaly_map: NDArray[np.float32] | None = None
        self.source = source
        self.feature_map = feature_map
        self.regions: list[Region] = []
        self.error = error

    def __getitem__(self, key: str) -> Any:
        value = self._fields[key]
        return copy.deepcopy(value) if isinstance(value, (dict, list)) else value

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        if self.error is not None:
            return f"<Result {self['input_path']}: {self.error.kind}>"
        verdict = "NG" if self["is_anomaly"] else "OK"
        simulated = ", SIMULATED" if self._fields["device"]["simulated"] else ""
        return f"<Result {self['input_path']}: {verdict}, score {self['score']:.4g}{simulated}>"

    @property
    def json(self) -> dict[str, Any]:
        """The fields as a dictionary of plain JSON values: a copy, all the way down."""
        fields: dict[str, Any] = msgspec.to_builtins(self._fields)  # new containers, in a tenth of deepcopy's time
        return fields

    @property
    def image(self) -> NDArray[np.uint8]:
        """The picture as it was inspected: uint8 BGR [H, W, 3]. Read again where it came from a file and the pipeline
        has moved on, so that keeping results costs no memory. Raises InputError."""
        if self._image is not None:
            return self._image
        return self._load(self.source)

    @property
    def anomaly_map(self) -> NDArray[np.float32]:
        """The anomaly map at the original size, float32 [H, W], on the score's scale.

        Raises this result's InputError where there is none.
        """
        if self._anomaly_map is not None:
            return self._anomaly_map
        if self.feature_map is None:
            assert self.error is not None
            raise self.error
        height, width = self["image_size"]
        return upsample(self.feature_map, height, width)

    @property
    def region_threshold(self) -> float:
        """The map value above which the regions of an anomalous image lie: pixel_threshold, or the image's own where
        its map stays below that. Raises this result's InputError where there is no map."""
        high: float = self["pixel_threshold"]
        low: float = self["threshold"]
        if not self["is_anomaly"]:  # it has none, and its map need not be made to say so
            return high
        return high if self.anomaly_map.max() > high else low

    @property
    def img(self) -> NDArray[np.uint8]:
        """The overlay: heat map, contours, score and verdict on the original picture, uint8 BGR [H, W, 3]."""
        from uadx.render.overlay import overlay

        return overlay(
            self.image,
            self.anomaly_map,
            threshold=self["threshold"],
            region_threshold=self.region_threshold,
            score=self["score"],
            is_anomaly=self["is_anomaly"],
            note="SIMULATED" if self._fields["device"]["simulated"] else "",
        )

    def print(self, format_json: bool = True, indent: int = 4, ensure_ascii: bool = False) -> None:
        """Print the fields, as indented JSON or as one Python dictionary."""
        if format_json:
            print(json.dumps(self._fields, indent=indent, ensure_ascii=ensure_ascii))
        else:
            print(self._fields)

    def save_to_json(
        self, save_path: str | os.PathLike[str], indent: int | None = 4, ensure_ascii: bool = False
    ) -> Path:
        """Write the fields to save_path, or into it as NAME.json where it is no .json file.

        The sub-directories of a directory input are kept, so that equal file names do not overwrite each other; a
        ".." in a path becomes "__", so that nothing is written above save_path. Raises OutputError.
        """
        _check_path(save_path)
        path = self._target(save_path, frozenset({".json"}), f"{self.source.output.name}.json")
        text = json.dumps(self._fields, indent=indent, ensure_ascii=ensure_ascii) + "\n"
        write_whole(path, text.encode("utf-8", "backslashreplace"))
        return path

    def save_to_img(self, save_path: str | os.PathLike[str]) -> Path | None:
        """Write the overlay to save_path, or into it under the input's file name where it is no picture file.

        A picture file is one whose name ends in .png, .jpg, .jpeg, .bmp or .webp; any other name, "x.foo" too, is a
        folder and made where it is missing. Below it the input's sub-directories are kept and a ".." in a path
        becomes "__". Raises OutputError.

        Returns where it was written; None, and nothing written, for an input that could not be inspected.

        >>> from uadx import create_pipeline
        >>> with create_pipeline() as pipeline:
        ...     (result,) = pipeline.predict("parts/test/hole/000.png")
        >>> result.save_to_img("overlays/").as_posix()
        'overlays/000.png'
        """
        _check_path(save_path)
        if self.error is not None:
            return None
        name = self.source.output.name
        same = Path(name).suffix.lower() in _PICTURES
        path = self._target(save_path, _PICTURES, name if same else f"{name}.png")
        write_whole(path, encode_image(self.img, path.suffix))
        return path

    def judge(self) -> None:
        """Set the verdict, and the regions of an anomalous image, by the thresholds that it has."""
        is_anomaly = self._fields["score"] > self._fields["threshold"]
        self._fields |= {"is_anomaly": is_anomaly, "regions": []}
        self.regions = []
        if is_anomaly:
            self._anomaly_map = self.anomaly_map
            self.regions = find_regions(self._anomaly_map, self.region_threshold)
            self._fields["regions"] = [region.as_json() for region in self.regions]

    def against(self, thresholds: Thresholds) -> Result:
        """The same image judged by other thresholds, which takes no second inference."""
        fields = {**self._fields, "threshold": thresholds.image, "pixel_threshold": thresholds.pixel}
        other = Result(fields, self.source, self._load, feature_map=self.feature_map, error=self.error)
        other._image, other._anomaly_map = self._image, self._anomaly_map
        if self.error is None:
            other.judge()
        return other

    def hold(self, image: NDArray[np.uint8]) -> None:
        """Keep what the pipeline has at hand, for the consumer who asks at once."""
        self._image = image

    def release(self) -> None:
        """Let go of what can be had again: a file is read again, a URL may show another picture by now."""
        self._anomaly_map = None
        if isinstance(self.source.data, (Path, Stored)):
            self._image = None

    def _target(self, save_path: str | os.PathLike[str], suffixes: frozenset[str], name: str) -> Path:
        path = Path(save_path)
        if path.suffix.lower() in suffixes and not path.is_dir():
            return path
        return path / self.source.output.with_name(name)


def _check_path(save_path: object) -> None:
    if not isinstance(save_path, (str, os.PathLike)):
        raise UsageError(f"save_path is {save_path!r}, not a path", hint="name a file or a folder: 'overlays/'")


def encode_image(image: NDArray[np.uint8], suffix: str) -> bytes:
    """A picture as the bytes of a file of that suffix; JPEG at quality 90, PNG at a fast compression level."""
    settings = [cv2.IMWRITE_JPEG_QUALITY, 90] if suffix.lower() in {".jpg", ".jpeg"} else []
    if suffix.lower() == ".png":
        settings = [cv2.IMWRITE_PNG_COMPRESSION, 3]
    encoded, data = cv2.imencode(suffix, image, settings)
    if not encoded:
        raise ValueError(f"OpenCV cannot write a {suffix} of shape {image.shape}")
    return data.tobytes()
