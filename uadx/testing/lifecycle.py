"""What a model leaves behind: nothing of its own when it is closed, and nothing of others at any time."""

from __future__ import annotations

import gc
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import SkipTest

import numpy as np
from numpy.typing import NDArray

from uadx.pipeline.batches import run_batch
from uadx.testing.expect import require, require_answer, success
from uadx.testing.golden import Golden, small
from uadx.testing.kit import Kit, fitting

if TYPE_CHECKING:
    from uadx.api import CompiledModel

CYCLES = 10
SETTLING = 2.0
"""Seconds that threads may take to end after close()."""


class Lifecycle(Kit):
    def test_closing_twice_is_closing_once(self) -> None:
        """close() may be called again, before and after the model has run."""
        for used in (False, True):
            model = self._compile(small("relu"))
            if used:
                run_batch(model, small("relu").images[:1])
            model.close()
            success(model.close, "a second close()", "remember that the model is closed, and do nothing")

    def test_a_model_is_a_context_manager(self) -> None:
        """`with backend.compile(...) as model` gives the model and closes it."""
        compiled = self._compile(small("relu"))
        with compiled as model:
            require(model is compiled, "__enter__ gives the model", model, "return self, or inherit the method")
            images, expected = small("relu").batch(1)
            require_answer(run_batch(model, images), expected, self._allowed(model), "infer inside `with`")

    def test_threads_do_not_pile_up(self) -> None:
        """Compiling and closing ten times leaves no more threads than before."""
        if not Path("/proc/self/task").is_dir():
            raise SkipTest("this system does not list a process's threads in /proc")
        self._require_steady("/proc/self/task", "threads", "end every thread that compile starts in close()")

    def test_file_descriptors_do_not_pile_up(self) -> None:
        """Compiling and closing ten times leaves no more open files than before."""
        if not Path("/proc/self/fd").is_dir():
            raise SkipTest("this system does not list a process's open files in /proc")
        self._require_steady("/proc/self/fd", "open files", "close every file and device handle in close()")

    def test_two_models_live_side_by_side(self) -> None:
        """Two models on one device keep their own answers, and one lives on when the other is closed."""
        relu, stfpm = small("relu"), small("stfpm")
        with self._compile(stfpm) as kept:
            with self._compile(relu) as other:
                for golden, model in ((relu, other), (stfpm, kept), (relu, other)):
                    self._require_alive(model, golden, f"{golden.name}, the other of two models")
            self._require_alive(kept, stfpm, "the model that is left when the other is closed")

    def test_outputs_belong_to_the_caller(self) -> None:
        """An output survives later requests and close(), and writing into it changes no later answer."""
        golden = small("relu")
        with self._compile(golden) as model:
            size, allowed = fitting(model, 1), self._allowed(model)
            images, expected = golden.batch(size)
            others, other_answers = golden.batch(size, start=1)
            kept = model.infer({"image": images})
            for _ in range(2 * model.capabilities.async_depth):
                model.infer({"image": others})
            require_answer(kept, expected, allowed, "an output, after later requests")
            for value in kept.values():
                require(value.flags.writeable, "outputs are writeable", "read-only", "return a copy")
                value.fill(-1)
            require_answer(model.infer({"image": images}), expected, allowed, "infer after its output was written to")
            last = model.infer({"image": others})
        del model
        require_answer(last, other_answers, allowed, "an output, after close()")

    def test_outputs_share_no_memory(self) -> None:
        """The outputs of two requests, and the outputs of one, are memory of their own."""
        with self._compile(small("relu")) as model:
            images, _ = small("relu").batch(fitting(model, 1))
            arrays = [value for _ in range(2) for value in model.infer({"image": images}).values()]
            shared = any(np.shares_memory(a, b) for i, a in enumerate((images, *arrays)) for b in arrays[i:])
        require(
            not shared, "every output is memory of its own", "some share it", "return a copy of the device's buffer"
        )

    def test_inputs_are_not_written(self) -> None:
        """Images are the same after infer and submit; read-only and strided ones are taken too."""
        golden = small("stfpm")
        with self._compile(golden) as model:
            size = fitting(model, 2)
            images, expected = golden.batch(size)
            strided = np.repeat(images, 2, axis=0)[::2]
            read_only = images.copy()
            read_only.flags.writeable = False
            for what, batch in (("writeable", images), ("strided", strided), ("read-only", read_only)):
                self._require_untouched(model, batch, expected, f"{what} images")

    def _require_untouched(
        self, model: CompiledModel, images: NDArray[np.uint8], expected: dict[str, NDArray[np.float32]], what: str
    ) -> None:
        before = images.copy()
        outputs = success(
            lambda: [model.infer({"image": images}), model.submit({"image": images}).result(self.patience)],
            f"infer and submit of {what}",
            "copy them where the SDK wants another kind of memory: np.require(array, requirements='C')",
        )
        require(
            bool((images == before).all()),
            f"the {what} as they were",
            "they were written to",
            "let the device work on a copy, or in memory of its own",
        )
        for output in outputs:
            require_answer(output, expected, self._allowed(model), what)

    def _require_alive(self, model: CompiledModel, golden: Golden, what: str) -> None:
        images, expected = golden.batch(2)
        advice = "let each model own what it needs; reference-count what they share"
        require_answer(success(lambda: run_batch(model, images), what, advice), expected, self._allowed(model), what)

    def _require_steady(self, folder: str, what: str, advice: str) -> None:
        for _ in range(3):  # pools that live as long as the process are there after this
            self._cycle()
        before = _settled(folder, 0)
        for _ in range(CYCLES):
            self._cycle()
        after = _settled(folder, before)
        require(
            after - before < CYCLES,
            f"about {before} {what} after {CYCLES} times compile, infer and close",
            f"{after} {what}",
            advice,
        )

    def _cycle(self) -> None:
        with self._compile(small("relu")) as model:
            run_batch(model, small("relu").images[:1])


def _settled(folder: str, wanted: int) -> int:
    """How many entries there are; a while is given for what is ending."""
    deadline = time.monotonic() + (SETTLING if wanted else 0)
    while True:
        gc.collect()
        count = len(os.listdir(folder))
        if count <= wanted or time.monotonic() >= deadline:
            return count
        threading.Event().wait(0.05)
