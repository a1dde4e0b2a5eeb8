"""`uadx info`: what a bundle is, where it comes from, and which false-alarm rates it can certify."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from uadx.bundle.manifest import Training


@click.command()
@click.argument("model", metavar="[MODEL]", default="default")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
def command(model: str, as_json: bool) -> None:
    """Show a model bundle; every file's hash is checked on the way. Without MODEL: the one that ships with uadx."""
    import msgspec

    from uadx.bundle.reader import Bundle, open_bundle
    from uadx.images.naming import printable
    from uadx.scoring.fusion import FUSIONS

    bundle = open_bundle(model)
    if as_json:
        click.echo(json.dumps({**msgspec.to_builtins(bundle.manifest), "sha256": bundle.sha256}, indent=4))
        return
    manifest = bundle.manifest
    calibration = bundle.calibration("quantile")
    training = manifest.training

    def thresholds(bundle: Bundle) -> list[tuple[str, str]]:
        return [
            (f"threshold ({fusion})", f"{bundle.calibration(fusion).threshold(manifest.default_fpr):.6g}")
            for fusion in FUSIONS
        ]

    rows = [
        ("name", manifest.name),
        ("path", str(bundle.path)),
        ("sha256", bundle.sha256),
        ("seal", f"{manifest.seal}, intact"),
        ("made by", manifest.created_by),
        *([("made from", manifest.parent)] if manifest.parent else []),
        ("input", f"{manifest.input.height} x {manifest.input.width} {manifest.input.color}, {manifest.input.fit}"),
        ("inspects", "whole images" if manifest.input.tiling is None else str(manifest.input.tiling)),
        ("teacher", manifest.teacher.id),
        ("trained on", _taught(training)),
        ("calibrated on", f"{len(training.held_out)} held-out good images"),
        ("trust in levels", ", ".join(f"{name} {scale.weight:g}" for name, scale in manifest.scoring.levels.items())),
        ("false-alarm rate", f"{manifest.default_fpr:.4g} at the default threshold"),
        *thresholds(bundle),
        ("certifies", f"false-alarm rates of {calibration.lowest_fpr:.4g} and more (--fpr)"),
        *((f"measured {name}", f"{value:.4g}") for name, value in manifest.metrics.items()),
        *(
            (f"also as {variant.format}", " ".join(filter(None, (variant.file, variant.target, variant.precision))))
            for variant in manifest.variants
        ),
        *((f"file {name}", digest) for name, digest in manifest.files.items()),
    ]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        click.echo(f"{printable(name):<{width}}  {printable(value)}")  # the bundle may be anybody's


def _taught(training: Training) -> str:
    if training.by == "uadx":
        return f"{training.images} good images, {training.epochs} epochs, seed {training.seed}"
    epochs = f", {training.epochs} epochs" if training.epochs else ""
    return f"images that only {training.by} knows{epochs}"
