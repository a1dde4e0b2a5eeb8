"""Converts an ONNX model into an .om for one kind of card, with CANN's compiler `atc`: the command, and running it.

Options: https://www.hiascend.com/document/detail/en/canncommercial/850/devaids/atctool/atlasatcparam_16_0015.html.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from uadx.errors import CompileError, UnavailableError, UsageError
from uadx_ascend.description import Description
from uadx_ascend.errors import advice_on
from uadx_ascend.interface import Interface, read

PRECISION_MODES = {"f16": "cube_fp16in_fp32out", "f32": "must_keep_origin_dtype"}
"""f16: convolutions multiply float16 and add in float32, all else stays float32 (atc's own choice is float16
throughout, where an epsilon of 1e-12 is 0). f32: every operator keeps its type, on the card's own CPU if need be."""

_MOST_GEARS = 100
_LAST_WORDS = 4000


def command(
    onnx: Path, out: Path, soc_version: str, gears: Sequence[int], *, precision: str = "f16", program: str = "atc"
) -> list[str]:
    """The command line. gears: the batch sizes to convert for, one for a fixed batch.

    Raises UsageError for a soc_version or gears that atc does not take, CompileError where onnx is no ONNX model.
    """
    _check(soc_version, gears)
    gears = sorted(set(gears))
    batch = gears[0] if len(gears) == 1 else -1
    inputs = _interface(onnx).inputs.items()
    shapes = ";".join(f"{name}:{','.join(map(str, (batch, *shape[1:])))}" for name, shape in inputs)
    options = {
        "model": str(onnx),
        "framework": "5",
        "output": str(out.with_suffix("")),  # atc adds .om
        "soc_version": soc_version,
        "input_format": "ND",  # pictures come as [N, H, W, 3]
        "input_shape": shapes,
        "precision_mode": PRECISION_MODES[precision],
        "log": "error",
    }
    if len(gears) > 1:
        options["dynamic_batch_size"] = ",".join(map(str, gears))
    return [program, *(f"--{name}={value}" for name, value in options.items())]


def convert(
    onnx: Path,
    out: Path,
    soc_version: str,
    gears: Sequence[int],
    *,
    precision: str = "f16",
    run: Callable[..., subprocess.CompletedProcess[bytes]] = subprocess.run,
) -> Description:
    """Write `out`, an .om, and its description beside it, each whole or not at all. Takes minutes.

    Raises UnavailableError where atc is not installed, with the command to run where it is; CompileError with its
    words where it fails.
    """
    here = command(onnx, out, soc_version, gears, precision=precision)
    program = shutil.which("atc")
    if program is None:
        raise UnavailableError(
            "atc, which converts models for Ascend cards, is not installed here",
            backend="ascend",
            stage="converting the model",
            cause_text=f"on a machine with the CANN toolkit (it needs no card), run\n{shlex.join(here)}",
            hint="install the CANN toolkit, then `source /usr/local/Ascend/ascend-toolkit/set_env.sh`",
        )
    out = out.absolute()
    # a folder of its own, because atc leaves files where it runs
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
        made = Path(folder) / out.name
        line = command(onnx.absolute(), made, soc_version, gears, precision=precision, program=program)
        done = run(line, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        found = sorted(Path(folder).glob("*.om"))  # some releases add the host's name
        if done.returncode != 0 or len(found) != 1:
            raise _failure(onnx, soc_version, done)
        interface = read(onnx)
        described = Description(
            soc_version, tuple(sorted(set(gears))), tuple(interface.inputs), interface.outputs, precision
        )
        os.replace(found[0], out)
    described.write(out)
    return described


def _check(soc_version: str, gears: Sequence[int]) -> None:
    if not re.fullmatch(r"Ascend\w+", soc_version):
        raise UsageError(
            f"{soc_version!r} is no soc version that atc takes",
            hint="it is `Ascend` and the name that `npu-smi info` shows, such as Ascend310P3 or Ascend910B1",
        )
    if not gears or min(gears) < 1 or len(set(gears)) > _MOST_GEARS:
        raise UsageError(
            f"{list(gears)} are no batch sizes to convert for",
            hint=f"name one batch size, or up to {_MOST_GEARS} different ones: 1,2,4,8",
        )


def _interface(onnx: Path) -> Interface:
    try:
        return read(onnx)
    except ValueError as error:
        raise CompileError(
            f"{onnx} is not converted for Ascend cards",
            backend="ascend",
            stage="converting the model",
            cause_text=str(error),
            hint="check that the file is whole and is an ONNX model",
        ) from error


def _failure(onnx: Path, soc_version: str, done: subprocess.CompletedProcess[bytes]) -> CompileError:
    words = (done.stdout or b"").decode("utf-8", "replace").strip()[-_LAST_WORDS:]
    return CompileError(
        f"atc does not convert {onnx} for {soc_version}",
        backend="ascend",
        stage="converting the model",
        cause_text=f"atc ended with {done.returncode}\n{words}",
        hint=advice_on(words) or "look the code up that begins with E in CANN's error code reference",
    )
