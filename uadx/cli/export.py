"""`uadx export`: a bundle with another form of its model in it, for the runtimes that take no ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from uadx.errors import UsageError

if TYPE_CHECKING:
    from uadx.api import Precision


class _Batches(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic since click 8.4
    name = "N,N,..."

    def convert(
        self, value: str | tuple[int, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        if not isinstance(value, str):
            return value
        sizes = [size.strip() for size in value.split(",")]
        if not all(size.isdecimal() and int(size) > 0 for size in sizes):
            self.fail(f"{value!r} is no list of batch sizes, such as 1,2,4,8", param, ctx)
        return tuple(sorted({int(size) for size in sizes}))


@click.command()
@click.option("--model", "-m", metavar="MODEL", required=True, help="Bundle, directory or .zip.")
@click.option(
    "--format", "-f", "format_", metavar="FORMAT", required=True, help="om: for Huawei Ascend, by CANN's atc."
)
@click.option("--soc-version", "--target", "target", metavar="CHIP", help="The chip to compile for: Ascend310P3, ...")
@click.option("--precision", type=click.Choice(["f32", "bf16", "f16", "int8"]), help="Default: the format's own.")
@click.option(
    "--batch", "batches", type=_Batches(), default="1,2,4,8", show_default=True, help="Batch sizes to compile for."
)
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
    format_: str,
    target: str | None,
    precision: Precision | None,
    batches: tuple[int, ...],
    converted: Path | None,
    output: Path | None,
) -> None:
    """Add a form of the model to a bundle, so that `uadx run` has it for the device that needs it.

    Where the vendor's tool is not installed here, the command line for it is printed; what it makes elsewhere is taken
    over with --converted.
    """
    from uadx.api import ExportOptions
    from uadx.bundle.reader import DEFAULT, open_bundle
    from uadx.bundle.variants import add_variant

    if output is None and model == DEFAULT:
        raise UsageError(
            "the bundle that ships with uadx is left as it is", hint="name another to write: --output MODEL"
        )
    bundle = open_bundle(model)
    variant = add_variant(bundle, format_, ExportOptions(precision, target, batches, converted), output or Path(model))
    made = " ".join(filter(None, (variant.target, variant.precision)))
    click.echo(f"{output or model} has {variant.file} ({made})")
