"""TF32: float32 of which CUDA's tensor cores keep ten bits. cuDNN takes it unasked, so it is switched off.

The switches are the process's, as torch has no other. From torch 2.9 on they have new names, and a program that uses
both kinds is an error (https://docs.pytorch.org/docs/stable/notes/cuda.html#tf32-on-ampere).
"""

from __future__ import annotations

import torch

_NEW = hasattr(torch.backends, "fp32_precision")


def switch_off() -> None:
    """From now on float32 is float32, in this process."""
    if _NEW:
        torch.backends.cuda.matmul.fp32_precision = "ieee"
        # both, because torch refuses to tell the old switch while they differ
        torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]
        torch.backends.cudnn.rnn.fp32_precision = "ieee"  # type: ignore[attr-defined]
    else:
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False


def is_on() -> bool:
    """Whether convolutions in float32 may run in TF32, as the switch stands now."""
    if _NEW:
        return bool(torch.backends.cudnn.conv.fp32_precision != "ieee")  # type: ignore[attr-defined]
    return torch.backends.cudnn.allow_tf32
