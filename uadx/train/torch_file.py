"""A file of torch read without running code: tensors and plain values, and nothing else."""

from __future__ import annotations

import pickle
from pathlib import Path

from uadx.errors import BundleError


def load_plain(path: Path, what: str, hint: str) -> object:
    """What torch.save wrote, tensors on the processor. what: how an error calls the file; hint: what it advises.

    Raises BundleError for a file that is none of torch's, or that would need code to be read.
    """
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken file makes its reader stumble anywhere: IndexError, KeyError, ...
        raise BundleError(f"{what} cannot be read as plain weights", cause_text=_words(error), hint=hint) from error


def _words(error: Exception) -> str:
    """torch's own, but where it advises to run whatever code the file holds."""
    if isinstance(error, pickle.UnpicklingError):
        return "UnpicklingError: torch reads nothing but tensors from it, and there is something else"
    return f"{type(error).__name__}: {error}"
