"""Batches of any size through a model that takes only some: split where too large, padded where its size is fixed."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uadx.api import CompiledModel
from uadx.bundle.reader import Bundle
from uadx.devices.opened import Share
from uadx.errors import BundleError, InferenceError


def submit_batch(model: CompiledModel, batch: NDArray[np.uint8]) -> Future[dict[str, NDArray[Any]]]:
    """Start a batch of any size: uint8 RGB [N, H, W, 3] at the model's size -> level maps float32 [N, h, w]."""
    limit = model.capabilities.static_batch or model.capabilities.max_batch or len(batch)
    if len(batch) == limit or (len(batch) < limit and model.capabilities.static_batch is None):
        return model.submit({"image": batch})
    done: Future[dict[str, NDArray[Any]]] = Future()
    try:
        parts = [_infer_padded(model, batch[at : at + limit]) for at in range(0, len(batch), limit)]
        done.set_result({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
    except BaseException as error:  # the future carries it to the caller
        done.set_exception(error)
    return done


def start_batch(share: Share, batch: NDArray[np.uint8]) -> Future[dict[str, NDArray[Any]]]:
    """The same on one of several devices, none of which waits for another."""
    if share.pool is None:
        return submit_batch(share.compiled, batch)
    return share.pool.submit(partial(run_batch, share.compiled, batch))


def run_batch(model: CompiledModel, batch: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """submit_batch, waited for."""
    return submit_batch(model, batch).result()


def run_checked(model: CompiledModel, batch: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """run_batch, and check_answer of it."""
    outputs = run_batch(model, batch)
    check_answer(model, outputs, len(batch))
    return outputs


def check_answer(model: CompiledModel, outputs: object, size: int) -> None:
    """Raise InferenceError where a batch's answer has other names, types or shapes than the model says: wrong rows
    would be scored like right ones."""
    wanted = {spec.name: (spec.dtype, (size, *spec.shape[1:])) for spec in model.outputs}
    given: object = outputs
    if isinstance(outputs, Mapping) and all(isinstance(value, np.ndarray) for value in outputs.values()):
        given = {name: (value.dtype.name, value.shape) for name, value in outputs.items()}
        if given.keys() == wanted.keys() and all(_same(given[name], wanted[name]) for name in wanted):
            return
    raise InferenceError(
        "the device gave another answer than the model's",
        stage="running the model",
        cause_text=f"expected {wanted}\ngot {given}",
        hint="its backend is at fault: tell its authors, `uadx conformance` shows them",
    )


def _same(given: tuple[str, tuple[int, ...]], wanted: tuple[str, tuple[int, ...]]) -> bool:
    (dtype, shape), (wanted_dtype, wanted_shape) = given, wanted
    fits = len(shape) == len(wanted_shape) and all(w in (-1, g) for g, w in zip(shape, wanted_shape, strict=True))
    return dtype == wanted_dtype and fits


def check_fits(compiled: CompiledModel, bundle: Bundle) -> None:
    """A model whose hashes are right may still be another one: raises BundleError where its tensors are not the
    manifest's."""
    size = bundle.manifest.input
    taken = {(spec.name, spec.shape[1:], spec.dtype) for spec in compiled.inputs}
    given = {(spec.name, len(spec.shape), spec.dtype) for spec in compiled.outputs}
    fits = taken == {(size.name, (size.height, size.width, 3), size.dtype)}
    if not fits or not given >= {(level, 3, "float32") for level in bundle.manifest.scoring.levels}:
        raise BundleError(
            f"{bundle.path}: {bundle.artifact.path.name} does not fit its manifest",
            cause_text=f"it takes {sorted(taken)} and gives {sorted(given)}",
            hint="a bundle is what `uadx train` writes",
        )


def _infer_padded(model: CompiledModel, part: NDArray[np.uint8]) -> Mapping[str, NDArray[Any]]:
    fixed = model.capabilities.static_batch
    if fixed is None or len(part) == fixed:
        return model.infer({"image": part})
    padding = np.zeros((fixed - len(part), *part.shape[1:]), part.dtype)
    outputs = model.infer({"image": np.concatenate([part, padding])})
    return {name: value[: len(part)] for name, value in outputs.items()}
