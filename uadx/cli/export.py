"""`uadx export`: a bundle with another form of its model in it: int8, or for the runtimes that take no ONNX file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from uadx.errors import UnavailableError, UsageError
from uadx.limits import FEW_COMPARED, LARGEST_BATCH
from uadx.plural import counted

if TYPE_CHECKING:
    from uadx.api import Precision
    from uadx.bundle.manifest import Cost
    from uadx.bundle.reader import Bundle

ALLOWED = 0.01
"""Share of other verdicts from which `uadx tune` refuses a form, too."""
LEAST_AGREEMENT = 0.98
"""Rank correlation; good models of one product reach 0.99 and more."""


class _Batches(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic since click 8.4
    name = "N,N,..."

    def convert(
        self, value: str | tuple[int, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        if not isinstance(value, str):
            return value
        sizes = [size.strip() for size in value.split(",")]
        if not all(size.isdecimal() and 0 < int(size) <= LARGEST_BATCH for size in sizes):
            self.fail(f"{value!r} is no list of batch sizes of 1 to {LARGEST_BATCH}, such as 1,2,4,8", param, ctx)
        return tuple(sorted({int(size) for size in sizes}))


@click.command()
@click.option("--model", "-m", metavar="MODEL", required=True, help="Bundle, directory or .zip.")
@click.option(
    "--format",
    "-f",
    "format_",
    metavar="FORMAT",
    help="onnx: the int8 form, for OpenVINO, ONNX Runtime and TensorRT; the default with --precision int8. "
    "openvino, ort, torchscript, paddle, executorch: those runtimes' own. om: for Huawei Ascend, by CANN's atc.",
)
@click.option(
    "--data", metavar="DIR", type=click.Path(path_type=Path), help="For int8: the folder that the model was trained on."
)
@click.option("--soc-version", "--target", "target", metavar="CHIP", help="The chip to compile for: Ascend310P3, ...")
@click.option("--precision", type=click.Choice(["f32", "bf16", "f16", "int8"]), help="Default: the format's own.")
@click.option("--batch", "batches", type=_Batches(), help="Batch sizes to compile for. Default: 1,2,4,8.")
@click.option(
    "--converted",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Take over the file that the vendor's tool made on another machine.",
)
@click.option(
    "--output",
    "-o",
    metavar="MODEL",
    type=click.Path(path_type=Path),
    help="Another bundle to write. Default: --model.",
)
def command(
    model: str,
    format_: str | None,
    data: Path | None,
    target: str | None,
    precision: Precision | None,
    batches: tuple[int, ...] | None,
    converted: Path | None,
    output: Path | None,
) -> None:
    """Add a form of the model to a bundle, so that `uadx run` has it for the device or the precision that needs it.

    \b
    uadx export --model my_model --precision int8 --data photos_of_good_parts/
    uadx export --model my_model --format om --soc-version Ascend310P3

    Where the vendor's tool is not installed here, the command line for it is printed; what it makes elsewhere is taken
    over with --converted.
    """
    from uadx.bundle.reader import DEFAULT, open_bundle
    from uadx.bundle.variants import add_variant, check_loses_nothing

    if output is None and model == DEFAULT:
        raise UsageError(
            "the bundle that ships with uadx is left as it is", hint="name another to write: --output MODEL"
        )
    if format_ is None and precision != "int8":
        raise UsageError("no --format is given", hint="for the int8 form: --precision int8 --data DIR")
    bundle = open_bundle(model)
    where = output or Path(model)
    check_loses_nothing(bundle, format_ or "onnx", where)
    if format_ in (None, "onnx"):
        _refuse(format_ or "onnx", {"--soc-version": target, "--batch": batches, "--converted": converted})
        click.echo(_quantised(bundle, precision, data, where))
        return
    _refuse(format_, {"--data": data})
    from uadx.api import ExportOptions
    from uadx.pipeline.forms import check_form

    options = ExportOptions(precision, target, converted=converted)
    if batches is not None:
        options = replace(options, batches=batches)
    variant = add_variant(bundle, format_, options, where)
    made = " ".join(filter(None, (variant.target, variant.precision)))
    click.echo(f"{where} has {variant.file}" + (f" ({made})" if made else ""))
    try:
        used, parity = check_form(open_bundle(where), variant)
    except UnavailableError as error:
        click.echo(f"not run here: {error.in_one_line}")
        return
    worst = max(level.maximum for level in parity.levels.values())
    click.echo(f"{used} ({parity.precision}) repeats the golden vectors with it: {worst:.2g} apart at most")


def _refuse(format_: str, given: Mapping[str, object]) -> None:
    """Raises UsageError for an option that the format has no use for: it would be ignored without a word."""
    for option, value in given.items():
        if value is not None:
            raise UsageError(f"{option} means nothing for the format {format_!r}", hint=f"leave {option} out")


def _quantised(bundle: Bundle, precision: Precision | None, data: Path | None, where: Path) -> str:
    if precision != "int8":
        raise UsageError(
            f"the model is ONNX already, and runs in {precision or 'f32'} where the device does",
            hint="the form that is another: --precision int8 --data DIR",
        )
    if data is None:
        raise UsageError(
            "int8 takes --data: its ranges and thresholds come from the good images",
            hint="name the folder that the model was trained on: --data DIR",
        )
    if find_spec("onnx") is None:
        raise UnavailableError(
            "int8 takes the package 'onnx', which is not installed", hint="python -m pip install 'uadx[int8]'"
        )
    from uadx.cli.progress import shown_stages, shown_warnings
    from uadx.quantise.export import INT8, add_int8

    with shown_warnings(), shown_stages() as stage:
        cost = add_int8(bundle, data, where, stage)
    said = f"{where} has {INT8} (int8)"
    for doubt in _doubts(cost):
        click.echo(f"warning: {doubt}", err=True)
    if cost is None:
        return said
    said += (
        f"\nbeside f32, on {cost.images} images: {cost.flips} other verdicts, "
        f"scores in the same order to {cost.agreement:.4f} (rank correlation)"
    )
    if cost.auroc is not None:
        said += f", image AUROC {cost.auroc_f32:.4f} -> {cost.auroc:.4f}"
    return f"{said}\nuadx run --model {where} --precision int8"


def _doubts(cost: Cost | None) -> Iterator[str]:
    """Why the int8 form may not be as good as float32, or cannot be told to be, and what to do."""
    if cost is None or cost.images < FEW_COMPARED:
        count = counted(0 if cost is None else cost.images, "image")
        yield (
            f"int8 was compared with f32 on {count}, which shows little: name a folder that has {FEW_COMPARED} or more "
            "below test/, or train on more good images; until then run f32"
        )
    if cost is not None and (cost.flips > ALLOWED * cost.images or cost.agreement < LEAST_AGREEMENT):
        yield (
            f"int8 gives {counted(cost.flips, 'other verdict')} on {cost.images} images, and a rank correlation of "
            f"{cost.agreement:.3f}: run f32, or bf16 where the device has it"
        )
