"""`uadx export --format om`: by atc where it is installed; elsewhere the command to run, whose .om is then taken over.

The header of an .om: MODEL_FILE_MAGIC_NUM of https://gitee.com/ascend/metadef/blob/master/inc/common/util.
"""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

from uadx.api import Exported, ExportOptions, ModelArtifact
from uadx.errors import UnavailableError, UsageError
from uadx_ascend import atc
from uadx_ascend.description import Description
from uadx_ascend.interface import read

_MAGIC = b"IMOD"


def export_om(artifact: ModelArtifact, folder: Path, options: ExportOptions) -> Exported:
    """Write the .om for one kind of card and its description into folder.

    Raises UsageError for options that atc does not take, UnavailableError with the command line where atc is not
    installed, CompileError with its words where it fails.
    """
    soc, precision = options.target, options.precision or "f16"
    if soc is None:
        raise UsageError(
            "an .om is made for one kind of card, and none is named",
            hint="--soc-version: `Ascend` and the name that `npu-smi info` shows, such as Ascend310P3 or Ascend910B1",
        )
    if precision not in atc.PRECISION_MODES:
        raise UsageError(f"an .om is not made in {precision}", hint=f"--precision {' or '.join(atc.PRECISION_MODES)}")
    out = folder / f"stfpm.{soc}.{precision}.om"
    if options.converted is not None:
        _take_over(artifact, options.converted, out, soc, precision, options.batches)
    elif shutil.which("atc") is None:
        raise _to_be_run_elsewhere(artifact, out.name, soc, precision, options.batches)
    else:
        atc.convert(artifact.path, out, soc, options.batches, precision=precision)
    return Exported(out, soc, precision)


def _take_over(
    artifact: ModelArtifact, made: Path, out: Path, soc: str, precision: str, batches: tuple[int, ...]
) -> None:
    atc.command(artifact.path, out, soc, batches, precision=precision)  # refuses what no .om can have been made with
    try:
        with open(made, "rb") as file:
            head = file.read(len(_MAGIC))
        if head != _MAGIC:
            raise UsageError(f"{made} is no .om", hint="give the file that atc wrote")
        shutil.copyfile(made, out)
    except OSError as error:
        raise UsageError(
            f"{made} cannot be read", cause_text=str(error), hint="give the file that atc wrote"
        ) from error
    interface = read(artifact.path)
    gears = tuple(sorted(set(batches)))
    Description(soc, gears, tuple(interface.inputs), interface.outputs, precision).write(out)


def _to_be_run_elsewhere(
    artifact: ModelArtifact, name: str, soc: str, precision: str, batches: tuple[int, ...]
) -> UnavailableError:
    line = shlex.join(atc.command(artifact.path, Path(name), soc, batches, precision=precision))
    return UnavailableError(
        "atc, which converts models for Ascend cards, is not installed here",
        backend="ascend",
        stage="converting the model",
        cause_text=f"copy {artifact.path}\nto a machine with the CANN toolkit (it needs no card) and run there, with "
        f"the path it has there:\n{line}",
        hint=f"then the same uadx command here with --converted {name}; or, where the toolkit is installed: "
        "source /usr/local/Ascend/ascend-toolkit/set_env.sh",
    )
