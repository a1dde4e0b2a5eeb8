"""Does another form of the same computation run faster? Forms of the shipped model in OpenVINO on the CPU, in turns.

    python benchmarks/below_the_graph.py --rounds 9 --seconds 2

Every form computes the same numbers in float32 (the first line says how closely). Ratios are to the model as it is:
the median of the rounds, the lowest and the highest. --beside BUNDLE: another model, in turn with them. Needs the
packages onnx and openvino.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import openvino
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from uadx.bundle.reader import open_bundle

PIXELS = ("pixels", "pixels/centred", "pixels/normalised", "pixels/nchw")


class Forms:
    """The model of the bundle that ships, and forms of it."""

    def __init__(self) -> None:
        bundle = open_bundle()
        self.model = onnx.load(bundle.artifact.path)
        self.images = bundle.golden.images[:1]
        size = bundle.manifest.input
        self.shape = ["N", 3, size.height, size.width]

    def constant(self, name: str) -> NDArray[np.float32]:
        """An initialiser, as float32."""
        (found,) = (one for one in self.model.graph.initializer if one.name == name)
        return numpy_helper.to_array(found).astype(np.float32)

    @property
    def floats(self) -> NDArray[np.float32]:
        """The images as what the first convolutions take."""
        centred = self.images.astype(np.float32) - self.constant("pixel_mean")
        return np.ascontiguousarray((centred * self.constant("pixel_scale")).transpose(0, 3, 1, 2))

    def without_pixels(self) -> onnx.ModelProto:
        """It takes normalised float32 NCHW: the work on uint8 NHWC is left to somebody else."""
        model = copy.deepcopy(self.model)
        _keep(model, [node for node in model.graph.node if node.output[0] not in PIXELS])
        model.graph.input[0].CopyFrom(helper.make_tensor_value_info("pixels/nchw", TensorProto.FLOAT, self.shape))
        return model


def _keep(model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto]) -> None:
    del model.graph.node[:]
    model.graph.node.extend(nodes)


class Running:
    """A compiled form, fed with the same batch by as many requests as the runtime likes."""

    def __init__(self, model: Any, batch: NDArray[Any], **properties: str) -> None:
        hints = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "f32", **properties}
        self.compiled = openvino.Core().compile_model(model, "CPU", hints)
        self.batch = batch
        self._queue = openvino.AsyncInferQueue(self.compiled)

    def rate(self, seconds: float) -> float:
        """Images per second."""
        began, done = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            self._queue.start_async({0: self.batch})
            done += len(self.batch)
        self._queue.wait_all()
        return done / (time.perf_counter() - began)

    def maps(self) -> list[NDArray[np.float32]]:
        return [np.array(level) for level in self.compiled(self.batch).values()]


def _read(model: onnx.ModelProto) -> Any:
    return openvino.Core().read_model(model.SerializeToString())


def _with_preprocessor(forms: Forms) -> Any:
    """uint8 NHWC is cast, normalised and transposed by OpenVINO's own pre-processing steps."""
    steps = openvino.preprocess.PrePostProcessor(_read(forms.without_pixels()))
    steps.input().tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    steps.input().model().set_layout(openvino.Layout("NCHW"))
    mean, scale = (forms.constant(name).ravel() for name in ("pixel_mean", "pixel_scale"))
    steps.input().preprocess().convert_element_type(openvino.Type.f32).mean(mean.tolist()).scale((1 / scale).tolist())
    return steps.build()


def forms() -> Mapping[str, Callable[[], Running]]:
    """By what the table calls them; the first is the model as it is."""
    found = Forms()
    as_it_is, images = found.model, found.images
    return {
        "as it is: uint8 NHWC, cast and normalised in the graph": lambda: Running(_read(as_it_is), images),
        "float32 NCHW given, its making not counted": lambda: Running(_read(found.without_pixels()), found.floats),
        "uint8 NHWC by OpenVINO's PrePostProcessor": lambda: Running(_with_preprocessor(found), images),
        "batches of 4": lambda: Running(_read(as_it_is), np.repeat(images, 4, axis=0)),
        "batches of 8": lambda: Running(_read(as_it_is), np.repeat(images, 8, axis=0)),
        "one stream of all cores": lambda: Running(_read(as_it_is), images, NUM_STREAMS="1"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--beside", metavar="BUNDLE")
    given = parser.parse_args()
    running = {name: make() for name, make in forms().items()}
    expected, *others = (one.maps() for one in running.values())
    if given.beside is not None:
        other = open_bundle(given.beside)
        running[f"the model of {given.beside}"] = Running(str(other.artifact.path), other.golden.images[:1])
    apart = max(float(np.abs(a - b[:1]).max()) for maps in others for a, b in zip(expected, maps, strict=True))
    print(f"level maps differ by {apart:.1g} at most")
    rates: dict[str, list[float]] = {name: [] for name in running}
    for _ in range(given.rounds):
        for name, one in running.items():
            one.rate(given.seconds / 8)
            rates[name].append(one.rate(given.seconds))
    reference = next(iter(rates.values()))
    print("| form | img/s | ratio | lowest to highest |\n|-|-|-|-|")
    for name, found in rates.items():
        ratios = [rate / base for rate, base in zip(found, reference, strict=True)]
        middle = statistics.median(ratios)
        print(f"| {name} | {statistics.median(found):.1f} | {middle:.3f} | {min(ratios):.3f} to {max(ratios):.3f} |")


if __name__ == "__main__":
    main()
