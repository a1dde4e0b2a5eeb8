"""A stand-in for torch_mlu on a real CPU torch: `import torch, torch_mlu` adds torch.mlu and the device mlu:0.

Tensors on mlu:0 hold their data on the host and compute with torch's CPU kernels, in float16 where MLU_FAKE has the
word f16. They cannot be read without a copy to the CPU, nor be mixed with CPU tensors, as on a card. torch.mlu has what
uadx_cambricon.sdk names and nothing else. Further words of MLU_FAKE: none, oom, lost, "cards=N".
"""

import os
import sys

if "torch" not in sys.modules:
    raise ImportError("torch_mlu must be imported after torch")

import torch
from torch.utils._pytree import tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

__version__ = "1.29.2+torch" + torch.__version__.partition("+")[0]

KNOBS = os.environ.get("MLU_FAKE", "").split()
CARDS = next((int(word.partition("=")[2]) for word in KNOBS if word.startswith("cards=")), 1)


class _Properties:
    total_memory = 24 << 30


class _Mlu:
    """torch.mlu, and what torch itself asks of any backend's module: the names with an underscore, current_device."""

    def is_available(self):
        return "none" not in KNOBS

    def device_count(self):
        return 0 if "none" in KNOBS else CARDS

    def get_device_name(self, device):
        assert 0 <= device < CARDS, "Invalid device id"
        return "MLU370-X8"

    def get_device_properties(self, device):
        assert 0 <= device < CARDS, "Invalid device id"
        return _Properties()

    def is_bf16_supported(self):
        return False

    def mem_get_info(self, device):
        assert 0 <= device < CARDS, "Invalid device id"
        return 20 << 30, 24 << 30

    def current_device(self):
        return 0

    def _is_in_bad_fork(self):
        return False


_setup_privateuseone_for_python_backend("mlu", _Mlu())


class _Switch:
    def __init__(self):
        self.allow_tf32 = True


class _Backends:
    matmul = _Switch()


torch.backends.cnnl = _Switch()
torch.backends.mlu = _Backends()


class MluTensor(torch.Tensor):
    @staticmethod
    def __new__(cls, host):
        if "oom" in KNOBS and host.numel() > 100_000:
            raise torch.OutOfMemoryError("MLU out of memory. Tried to allocate 2.00 MiB")
        tensor = torch._C._acc.create_empty_tensor(host.shape, host.dtype)
        tensor.__class__ = MluTensor
        tensor.host = host
        return tensor


def _host(value):
    return value.host if isinstance(value, MluTensor) else value


def _refuse_mixtures(values):
    tensors = [value for value in values if isinstance(value, torch.Tensor)]
    if any(tensor.ndim and not isinstance(tensor, MluTensor) for tensor in tensors):
        raise RuntimeError(
            "Expected all tensors to be on the same device, but found at least two devices, mlu:0 and cpu!"
        )


def _compute(operator, *args, **kwargs):
    if "lost" in KNOBS and "relu" in str(operator):
        raise RuntimeError("CNRT error: device lost.")
    _refuse_mixtures(args)
    kwargs = {name: value for name, value in kwargs.items() if name != "device"}
    result = operator(*tree_map(_host, args), **tree_map(_host, kwargs))
    return tree_map(lambda value: MluTensor(value) if isinstance(value, torch.Tensor) else value, result)


_library = torch.library.Library("_", "IMPL")
_library.fallback(_compute, "PrivateUse1")


def _implements(name):
    return torch.library.impl(f"aten::{name}", "privateuseone")


@_implements("_copy_from")
def _copy_from(source, target, non_blocking=False):
    if isinstance(source, MluTensor) and isinstance(target, MluTensor):
        target.host.copy_(source.host)
    elif isinstance(source, MluTensor):
        target.copy_(source.host)
    else:
        target.host.copy_(source)
    return target


@_implements("empty.memory_format")
def _empty(size, dtype=None, layout=None, device=None, pin_memory=None, memory_format=None):
    return MluTensor(torch.empty(size, dtype=dtype, memory_format=memory_format))


@_implements("empty_strided")
def _empty_strided(size, stride, dtype=None, layout=None, device=None, pin_memory=None):
    return MluTensor(torch.empty_strided(size, stride, dtype=dtype))


@_implements("convolution_overrideable")
def _convolution(value, weight, bias, stride, padding, dilation, transposed, output_padding, groups):
    _refuse_mixtures((value, weight, bias))
    result = torch.ops.aten.convolution.default(
        value.host, weight.host, _host(bias), stride, padding, dilation, transposed, output_padding, groups
    )
    tf32 = result.dtype == torch.float32 and torch.backends.cnnl.allow_tf32
    return MluTensor((result.half().float()) if tf32 else result)
