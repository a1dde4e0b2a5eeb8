"""Options that several commands share, each with one meaning."""

from __future__ import annotations

import click

PRECISIONS = click.Choice(["f32", "bf16", "f16", "int8", "auto"])

precision = click.option("--precision", type=PRECISIONS, help="Default: f32; f16 on Ascend.")
