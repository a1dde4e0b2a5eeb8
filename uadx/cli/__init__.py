"""The command line. Commands are imported when they are called, so that `uadx --help` loads no engine."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

import click

from uadx import __version__
from uadx.cli.stopping import TerminatedError, interrupted_by_sigterm
from uadx.errors import UadxError

COMMANDS = {
    "run": ("uadx.cli.run", "Inspect images: verdicts, heat maps, results.jsonl."),
    "serve": ("uadx.cli.serve", "Inspect images over HTTP: PaddleX's API, uadx's own, Open Inference Protocol."),
    "train": ("uadx.cli.train", "Train a model bundle on good images."),
    "import": ("uadx.cli.import_model", "Make a bundle of an STFPM model that anomalib taught."),
    "check": ("uadx.cli.check", "Find what is wrong with a folder of images before training on it."),
    "eval": ("uadx.cli.eval", "Measure a model on labelled images."),
    "recalibrate": ("uadx.cli.recalibrate", "Derive a model's threshold anew, for other pictures or for tiles."),
    "drift": ("uadx.cli.drift", "Tell whether production still has the scores that the threshold is for."),
    "info": ("uadx.cli.info", "Show what a model bundle is and what its threshold means."),
    "devices": ("uadx.cli.devices", "List what can be typed after --device here, and why not the rest."),
    "verify": ("uadx.cli.verify", "Check that a device repeats a model's golden vectors."),
    "bench": ("uadx.cli.bench", "Measure how fast a model runs here."),
    "tune": ("uadx.cli.tune", "Measure which backend, precision and batch size is fastest here, for run --hpi."),
    "export": ("uadx.cli.export", "Add a form of the model that a vendor's runtime takes, such as an .om."),
    "config": ("uadx.cli.config", "Write a pipeline configuration file."),
    "demo": ("uadx.cli.demo", "Make pictures of a demo product, inspect them, show the results."),
    "conformance": ("uadx.cli.conformance", "Prove that a backend keeps its promises on a device."),
}


class _ReaderGoneError(Exception):
    """Nobody reads on what is printed, as in `uadx devices | head -1`."""


class _LazyGroup(click.Group):
    """Knows the commands by name and imports the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = import_module(COMMANDS[name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # click would make it an exit like any other
            raise _ReaderGoneError from None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # PaddleX has no sub-commands: `paddlex --pipeline anomaly_detection --input x` is `uadx run ...`, and with
        # --serve anywhere in it `uadx serve ...`
        if args and args[0].startswith("--") and args[0] not in {"--help", "--version"}:
            command = "serve" if "--serve" in args else "run"
            args = [command, *(arg for arg in args if arg != "--serve")]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS:
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, n=1)
            advice = f" Did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"There is no command {args[0]!r}.{advice}", ctx)
        return super().resolve_command(ctx, args)


def _say_version(ctx: click.Context, param: click.Parameter, asked: bool) -> None:
    if not asked or ctx.resilient_parsing:
        return
    from uadx.claims import find_claims  # metadata alone: no plugin is imported

    claims, _ = find_claims()
    click.echo(f"uadx {__version__}")
    for name in sorted(claims):
        click.echo(f"  {name}: {', '.join(claim.provider for claim in claims[name])}")
    ctx.exit()


@click.command(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_say_version,
    help="Show uadx and its backends.",
)
def app() -> None:
    """Find defects in images with STFPM: train on good images, get a verdict and a heat map for each image.

    \b
    uadx demo                                     see it work
    uadx train --data good/ --output my_model     teach it your product
    uadx run --model my_model --input images/     inspect
    """


def main(args: list[str] | None = None) -> None:
    """Entry point of the `uadx` script: turns errors into their text and exit code, never into a traceback."""
    try:
        with interrupted_by_sigterm():
            status: Any = app.main(args, prog_name="uadx", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt) as error:
        terminated = isinstance(error.__cause__ or error, TerminatedError)  # click's Abort has it as its cause
        click.echo("terminated" if terminated else "interrupted", err=True)
        sys.exit(143 if terminated else 130)
    except _ReaderGoneError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes at its end
        sys.exit(1)
    except UadxError as error:
        click.echo(error.render(), err=True)
        sys.exit(error.exit_code)
    except (Exception, SystemExit) as error:  # nothing of uadx raises SystemExit: a plugin must not end a run as done
        if os.environ.get("UADX_DEBUG"):
            raise
        click.echo(f"error: unexpected {type(error).__name__}: {error}", err=True)
        click.echo("  fix: please report it with what UADX_DEBUG=1 prints", err=True)
        sys.exit(1)
    sys.exit(status if isinstance(status, int) else 0)
