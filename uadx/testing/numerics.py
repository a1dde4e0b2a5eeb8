"""The numbers: models with known answers, each operator that a bundle's graph has, at the precision that runs."""

from __future__ import annotations

from uadx.pipeline.batches import run_batch
from uadx.testing.expect import require, require_answer
from uadx.testing.golden import Golden, default_bundle, small
from uadx.testing.kit import MAX_BATCH, Kit


class Numerics(Kit):
    def test_the_tensors_are_described(self) -> None:
        """inputs and outputs have the model file's names, dtypes and shapes."""
        golden = small("stfpm")
        with self._compile(golden) as model:
            described = {spec.name: (spec.dtype, spec.shape[1:]) for spec in (*model.inputs, *model.outputs)}
        wanted = {"image": ("uint8", golden.images.shape[1:])}
        wanted |= {name: ("float32", value.shape[1:]) for name, value in golden.expected.items()}
        require(
            described == wanted,
            f"TensorSpecs {wanted}, without the batch axis",
            described,
            "take names, dtypes and shapes from the model as it was compiled",
        )

    def test_relu(self) -> None:
        """Relu, with two outputs of one shape that only their names tell apart."""
        self._require_numbers(small("relu"))

    def test_convolution_and_batch_norm(self) -> None:
        """A strided convolution with padding, and a batch norm, on images that are not square."""
        self._require_numbers(small("conv_bn"))

    def test_a_small_stfpm_pair(self) -> None:
        """Every operator of a model bundle; swapped axes, levels or colours show."""
        self._require_numbers(small("stfpm"))

    def test_the_default_bundle(self) -> None:
        """The model that ships with uadx, on its golden vectors."""
        golden = default_bundle()
        self._require_numbers(Golden(golden.name, golden.artifact, *golden.batch(2)))

    def _require_numbers(self, golden: Golden) -> None:
        with self._compile(golden) as model:
            images, expected = golden.batch(min(MAX_BATCH, len(golden.images)))
            require_answer(run_batch(model, images), expected, self._allowed(model), golden.name)
