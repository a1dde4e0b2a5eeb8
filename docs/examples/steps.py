"""What docs/edge.md tells any other language to do, step by step in NumPy: no uadx, no OpenCV between pixels and score.

    python docs/examples/steps.py MODEL_FOLDER PICTURE...

prints each picture's score and verdict. Runs `stfpm.ort` where the folder has it, else `stfpm.onnx`; for whole images
and the fit `letterbox`. It trusts the bundle: `uadx info MODEL` checks its hashes.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

GRAIN = 4


def decoded(path):
    """RGB [H, W, 3] of 8 bits, upright: OpenCV reads the EXIF orientation. None where it is no such picture."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if picture is not None and picture.dtype == np.uint16:
        picture = np.rint(picture / 257).astype(np.uint8)
    return None if picture is None or picture.dtype != np.uint8 else picture[..., ::-1]


def letterboxed(picture, height, width):
    """RGB [H, W, 3] -> uint8 [height, width, 3], and height and width of the part that shows the picture."""
    rows, columns = picture.shape[:2]
    scale = min(height / rows, width / columns)
    high, wide = (
        min(most, max(GRAIN, round(side * scale / GRAIN) * GRAIN)) for side, most in ((rows, height), (columns, width))
    )
    pixels = grown(shrunk(picture, min(rows, high), min(columns, wide)), high, wide)
    return pixels[mirrored(high, height)][:, mirrored(wide, width)], (high, wide)


def shrunk(picture, height, width):
    """Each pixel the mean of the area that it covers; halves to the even, but up where both sides shrink twofold."""
    rows, columns = picture.shape[:2]
    if (rows, columns) == (height, width):
        return picture
    exact = np.einsum("ij,jkc,lk->ilc", areas(rows, height), picture, areas(columns, width), optimize=True)
    if (rows, columns) == (2 * height, 2 * width):
        return np.floor(exact + 0.5).astype(np.uint8)
    return np.rint(exact.round(9)).astype(np.uint8)


def areas(size, target):
    """[target, size]: the share of each pixel in each cell."""
    edges = np.arange(target + 1) * size / target
    pixels = np.arange(size)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.maximum(0, overlap) * target / size


def grown(picture, height, width):
    """Bilinear, half-pixel centres, with whole 256ths as weights; halves up."""
    (left, right, across), (upper, lower, down) = ends(picture.shape[1], width), ends(picture.shape[0], height)
    whole = picture.astype(np.int64)
    rows = whole[:, left] * (256 - across)[:, None] + whole[:, right] * across[:, None]
    result = rows[upper] * (256 - down)[:, None, None] + rows[lower] * down[:, None, None]
    return ((result + (1 << 15)) >> 16).astype(np.uint8)


def ends(size, target):
    """For each new pixel the two old ones that it lies between, and the second one's weight in 256ths."""
    places = np.clip(1 / (target / size) * (np.arange(target) + 0.5) - 0.5, 0, size - 1)
    first = np.floor(places).astype(int)
    return first, np.minimum(first + 1, size - 1), np.rint((places - first) * 256).astype(np.int64)


def mirrored(shown, length):
    """Which pixel stands at each place: the shown ones, then back again, the last one twice, as often as it takes."""
    place = np.arange(length) % (2 * shown)
    return np.minimum(place, 2 * shown - 1 - place)


def anomaly_map(maps, scoring):
    """{level: [h, w]} -> [H/4, W/4]: each level on its scale, resized, smoothed; their weighted mean."""
    height, width = maps["level1"].shape
    weights = sum(level["weight"] for level in scoring["levels"].values())
    total = np.zeros((height, width))
    for name, level in scoring["levels"].items():
        scaled = (maps[name] - level["low"]) / (level["high"] - level["low"])
        rows = smoothing(height, scoring["smoothing"]) @ resizing(scaled.shape[0], height)
        columns = smoothing(width, scoring["smoothing"]) @ resizing(scaled.shape[1], width)
        total += level["weight"] / weights * (rows @ scaled @ columns.T)
    return total


def resizing(size, target):
    """[target, size]: bilinear, half-pixel centres."""
    places = np.clip((np.arange(target) + 0.5) * size / target - 0.5, 0, size - 1)
    return np.maximum(0, 1 - np.abs(places[:, None] - np.arange(size)))


def smoothing(size, sigma):
    """[size, size]: a Gaussian cut at four deviations, the edge's cells repeated."""
    if sigma == 0:
        return np.eye(size)
    offsets = np.arange(-math.ceil(4 * sigma), math.ceil(4 * sigma) + 1)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
    matrix = np.zeros((size, size))
    for offset, weight in zip(offsets, kernel / kernel.sum(), strict=True):
        matrix[np.arange(size), np.clip(np.arange(size) + offset, 0, size - 1)] += weight
    return matrix


def score(whole, shown, height, width, fraction):
    """The mean of the highest cells among those that show the picture, wholly or partly."""
    cells = whole[: -(-shown[0] * whole.shape[0] // height), : -(-shown[1] * whole.shape[1] // width)]
    return float(np.sort(cells, axis=None)[-max(1, round(fraction * cells.size)) :].mean())


def threshold(scores, rate):
    """scores: in ascending order, as they stand in the manifest."""
    return scores[max(math.ceil((len(scores) + 1) * (1 - rate) - 1e-9), 1) - 1]


def main(folder, *pictures):
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    asked, scoring = manifest["input"], manifest["scoring"]
    if asked["fit"] != "letterbox" or asked["tiling"] is not None:
        sys.exit("this example inspects whole, letterboxed images")
    limit = threshold(manifest["calibration"]["quantile"], manifest["default_fpr"])
    file = "stfpm.ort" if (folder / "stfpm.ort").exists() else "stfpm.onnx"
    session = onnxruntime.InferenceSession(str(folder / file), providers=["CPUExecutionProvider"])
    names = list(scoring["levels"])
    for path in pictures:
        picture = decoded(path)
        if picture is None:
            sys.exit(f"{path} cannot be read as a picture of 8 or 16 bits")
        pixels, shown = letterboxed(picture, asked["height"], asked["width"])
        levels = session.run(names, {"image": pixels[None]})
        whole = anomaly_map({name: level[0] for name, level in zip(names, levels, strict=True)}, scoring)
        found = score(whole, shown, asked["height"], asked["width"], scoring["top_fraction"])
        print(json.dumps({"input_path": str(path), "score": found, "threshold": limit, "is_anomaly": found > limit}))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
