"""What goes wrong is a typed error in the SDK's words, and nothing is broken by it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from uadx.api import CompileOptions, DeviceRef, ModelArtifact
from uadx.errors import CompileError, InferenceError, UnavailableError
from uadx.testing.expect import captured_stdout, refusal, require, require_answer, success
from uadx.testing.golden import small
from uadx.testing.kit import Kit, fitting

if TYPE_CHECKING:
    from uadx.api import Array, CompiledModel

UNKNOWN = "no-such-device"
_ADVICE = "check the names, dtypes and shapes before the device sees the batch"


class Errors(Kit):
    def test_an_unknown_device_is_unavailable(self) -> None:
        """A selector that no device has raises UnavailableError with a reason or advice; no other device is opened."""
        error = refusal(
            UnavailableError,
            lambda: self._compile(small("relu"), ref=DeviceRef(UNKNOWN)).placement(),
            f"compile for {UNKNOWN!r}",
            "open exactly the selector of DeviceRef, or say which devices there are",
        )
        require(
            bool(error.cause_text or error.hint),
            "the error has a cause_text or a hint",
            str(error),
            "pass the SDK's own words on as cause_text, and name the devices there are",
        )

    def test_a_corrupt_model_is_a_compile_error(self) -> None:
        """A file that is no model raises CompileError with the SDK's words."""
        self._require_compile_error(b"this is no model" * 64, "a corrupt file")

    def test_a_truncated_model_is_a_compile_error(self) -> None:
        """A model file that ends too early raises CompileError with the SDK's words."""
        whole = small("conv_bn").artifact.path.read_bytes()
        self._require_compile_error(whole[: len(whole) // 2], "a truncated file")

    def test_a_wrong_dtype_is_an_inference_error(self) -> None:
        """float32 images where the model takes uint8 raise InferenceError, and the model stays usable."""
        with self._stays_usable() as (model, images):
            self._require_inference_error(model, {"image": images.astype(np.float32)}, "a float32 batch")

    def test_a_wrong_shape_is_an_inference_error(self) -> None:
        """Images of another size than the model's raise InferenceError, and the model stays usable."""
        with self._stays_usable() as (model, images):
            self._require_inference_error(model, {"image": images[:, :-2]}, "a batch of lower images")
            self._require_inference_error(model, {"image": images[0]}, "a batch without its first axis")

    def test_a_wrong_name_is_an_inference_error(self) -> None:
        """An input that the model does not have raises InferenceError, and the model stays usable."""
        with self._stays_usable() as (model, images):
            self._require_inference_error(model, {"picture": images}, "an input called `picture`")

    def test_a_missing_input_is_an_inference_error(self) -> None:
        """A batch without the model's input raises InferenceError, and the model stays usable."""
        with self._stays_usable() as (model, _):
            self._require_inference_error(model, {}, "an empty batch")

    def test_a_closed_model_is_an_inference_error(self) -> None:
        """infer and submit of a closed model raise InferenceError."""
        model = self._compile(small("relu"))
        images, _ = small("relu").batch(fitting(model, 1))
        model.infer({"image": images})
        model.close()
        for name, call in (
            ("infer", lambda: model.infer({"image": images})),
            ("submit", lambda: model.submit({"image": images}).result(timeout=self.patience)),
        ):
            refusal(InferenceError, call, f"{name} after close", "remember in close() that the model is closed")

    def test_nothing_is_printed(self) -> None:
        """Listing, compiling, inferring and every error leave standard output alone, native code included."""
        with captured_stdout() as printed, tempfile.TemporaryDirectory() as folder:
            subject = self.subject
            subject.backend.devices()
            with self._compile(small("relu")) as model:
                images, _ = small("relu").batch(fitting(model, 1))
                model.infer({"image": images})
                self._provoke(model, folder)
        text = printed()
        require(
            text == "",
            "nothing on standard output, which belongs to the program that uses uadx",
            repr(text[:500]),
            "turn the SDK's messages off or to standard error",
        )

    def _provoke(self, model: CompiledModel, folder: str) -> None:
        """Each kind of error once; what they are is for the other checks."""
        corrupt = Path(folder) / "corrupt.onnx"
        corrupt.write_bytes(b"no model")
        with suppress(Exception):
            self._compile_file(corrupt)
        with suppress(Exception):
            self._compile(small("relu"), ref=DeviceRef(UNKNOWN)).close()
        with suppress(Exception):
            model.infer({})

    def _compile_file(self, path: Path) -> CompiledModel:
        options = CompileOptions(self.subject.precision)
        return self.subject.backend.compile(ModelArtifact(path, "onnx", ""), self.subject.ref, options)

    def _require_compile_error(self, content: bytes, what: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "broken.onnx"
            path.write_bytes(content)
            error = refusal(
                CompileError,
                lambda: self._compile_file(path),
                f"compile of {what}",
                "catch what the SDK raises while it reads and compiles, and raise CompileError from it",
            )
        require(
            bool(error.cause_text),
            "CompileError.cause_text has the SDK's words",
            str(error),
            "CompileError(..., cause_text=str(error))",
        )

    def _require_inference_error(self, model: CompiledModel, batch: dict[str, Array], what: str) -> None:
        refusal(InferenceError, lambda: model.infer(batch), f"infer with {what}", _ADVICE)

    @contextmanager
    def _stays_usable(self) -> Iterator[tuple[CompiledModel, Array]]:
        """A model, images that it takes, and afterwards the right answer for them."""
        with self._compile(small("relu")) as model:
            images, expected = small("relu").batch(fitting(model, 2))
            yield model, images
            outputs = success(
                lambda: model.infer({"image": images}), "infer after an error", "leave the model as it was: " + _ADVICE
            )
            require_answer(outputs, expected, self._allowed(model), "infer after an error")
