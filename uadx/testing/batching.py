"""A batch is its images, one after the other, whatever sizes the device takes."""

from __future__ import annotations

import numpy as np

from uadx.errors import InferenceError
from uadx.pipeline.batches import run_batch
from uadx.testing.expect import refusal, require_answer
from uadx.testing.golden import small
from uadx.testing.kit import MAX_BATCH, Kit, fitting, one_by_one

BEYOND = 2 * MAX_BATCH + 1


class Batching(Kit):
    def test_a_batch_gives_what_its_images_give_one_by_one(self) -> None:
        """One batch and as many batches of one give the same numbers."""
        golden = small("stfpm")
        images, _ = golden.batch(MAX_BATCH)
        with self._compile(golden) as model:
            together, alone = run_batch(model, images), one_by_one(model, images)
            require_answer(together, alone, self._allowed(model), f"a batch of {MAX_BATCH} against batches of one")

    def test_a_single_image_always_works(self) -> None:
        """A model compiled for a batch of one, and one compiled for more, take a single image."""
        golden = small("stfpm")
        images, expected = golden.batch(1)
        for max_batch in (1, MAX_BATCH):
            with self._compile(golden, max_batch=max_batch) as model:
                what = f"one image, compiled for batches of up to {max_batch}"
                require_answer(run_batch(model, images), expected, self._allowed(model), what)

    def test_a_ragged_tail(self) -> None:
        """Batches of every size up to the largest are complete to their last row."""
        golden = small("stfpm")
        with self._compile(golden) as model:
            for size in (*range(MAX_BATCH, 0, -1), MAX_BATCH):
                images, expected = golden.batch(size, start=size)
                require_answer(run_batch(model, images), expected, self._allowed(model), f"a batch of {size}")

    def test_the_order_of_a_batch_is_kept(self) -> None:
        """Row i of every output belongs to image i, also after the images have changed places."""
        golden = small("conv_bn")
        with self._compile(golden) as model:
            for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
                images = np.ascontiguousarray(golden.images[order])
                expected = {name: value[order] for name, value in golden.expected.items()}
                require_answer(run_batch(model, images), expected, self._allowed(model), f"images in order {order}")

    def test_the_limits_of_the_batch_are_kept(self) -> None:
        """static_batch and max_batch mean what they say: what they admit works, anything else is an InferenceError."""
        golden = small("relu")
        with self._compile(golden) as model:
            limits = model.capabilities
            admitted = fitting(model, BEYOND)
            images, expected = golden.batch(admitted)
            outputs = model.infer({"image": images})
            require_answer(outputs, expected, self._allowed(model), f"a batch of {admitted}, which {limits} admits")
            if limits.static_batch is None and limits.max_batch is None:
                return
            images, _ = golden.batch(admitted + 1)
            refusal(
                InferenceError,
                lambda: model.infer({"image": images}),
                f"a batch of {admitted + 1}, which {limits} excludes,",
                "check the length of the batch before the device sees it",
            )
