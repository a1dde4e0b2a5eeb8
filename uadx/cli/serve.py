"""`uadx serve`: inspect images that come over HTTP."""

from __future__ import annotations

import logging
import os
import re
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import click

from uadx.cli import options
from uadx.errors import UnavailableError, UsageError
from uadx.limits import LARGEST_BATCH

if TYPE_CHECKING:
    from uadx.serve.settings import Settings

LOOPBACK = ("localhost", "127.0.0.1", "::1")


@click.command()
@click.option("--model", "-m", metavar="MODEL", help="Model bundle, directory or .zip. Default: the demo product's.")
@options.device
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at; 0.0.0.0: all of them.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0: any that is free.")
@click.option(
    "--max-batch",
    type=click.IntRange(1, LARGEST_BATCH),
    help="Images per inference. Default: what suits the device.",
)
@click.option(
    "--max-delay-ms",
    type=click.FloatRange(0, 10_000),
    default=2.0,
    show_default=True,
    help="How long an image waits for others to fill its batch.",
)
@click.option(
    "--queue",
    type=click.IntRange(1),
    default=64,
    show_default=True,
    help="Images that may wait or be under way; the next is refused with 503.",
)
@click.option("--max-per-client", type=click.IntRange(1), help="Of them, those of one address; the next gets 429.")
@click.option("--max-body-mb", type=click.IntRange(1, 4096), default=64, show_default=True, help="Of one request, MiB.")
@click.option(
    "--max-pixels",
    type=click.IntRange(1),
    default=50_000_000,
    show_default=True,
    help="Of one image; larger ones are refused undecoded.",
)
@click.option("--allow-url", metavar="HOST[,HOST]", default="", help="Hosts from which images may be fetched.")
@click.option(
    "--allow-host",
    metavar="NAME[,NAME]",
    default="",
    help="Names that this server may be called by, beside loopback's. Default: at loopback none, else any.",
)
@click.option("--api-key", envvar="UADX_API_KEY", show_envvar=True, help="What every request must bring.")
@click.option("--admin-key", envvar="UADX_ADMIN_KEY", show_envvar=True, help="What loading another model takes.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "--label-map/--no-label-map",
    default=True,
    show_default=True,
    help="Whether PaddleX's answers have their 65,536 numbers unless the request says so.",
)
@click.option("--model-name", metavar="NAME", help="Of the Open Inference Protocol. Default: the bundle's own.")
@click.option(
    "--drain",
    type=click.FloatRange(1),
    metavar="SECONDS",
    default=60.0,
    show_default=True,
    help="Time for what was accepted when the server is stopped.",
)
@options.threshold
@options.fpr
@options.precision
@options.tile
@options.overlap
@click.option(
    "--hpi/--no-hpi",
    "--use_hpip",
    "enable_hpi",
    default=None,
    help="Run what uadx tune measures to be fastest here.",
)
@click.option("--workers", type=click.IntRange(1), help="Threads that decode and score. Default: one per core.")
@options.fallback
@options.devices_file
@options.pipeline
def command(
    host: str,
    port: int,
    max_batch: int | None,
    max_delay_ms: float,
    queue: int,
    max_per_client: int | None,
    max_body_mb: int,
    allow_url: str,
    allow_host: str,
    api_key: str | None,
    admin_key: str | None,
    log_format: Literal["text", "json"],
    label_map: bool,
    model_name: str | None,
    drain: float,
    pipeline: str | None,
    **settings: Any,
) -> int:
    """Inspect images over HTTP: PaddleX's API, /v1/inspect and the Open Inference Protocol.

    \b
    uadx serve --model my_model --device cpu
    curl -F image=@part.png http://127.0.0.1:8080/v1/inspect

    SIGTERM and Ctrl-C end it once everything that was accepted is answered; SIGHUP reads the model again.
    """
    _require_packages()
    from uadx.serve.settings import Settings

    _check_key("--api-key", "UADX_API_KEY", api_key)
    _check_key("--admin-key", "UADX_ADMIN_KEY", admin_key)
    if model_name is not None and not re.fullmatch(r"[\w.-]+", model_name):
        raise UsageError(
            f"--model-name {model_name!r} cannot be part of an address", hint="letters, digits, -, _ and . make one"
        )
    names = _hosts("--allow-host", allow_host, with_port=False)
    serving = Settings(
        max_delay=max_delay_ms / 1e3,
        queue=queue,
        max_body=max_body_mb << 20,
        per_client=max_per_client,
        allow_url=_hosts("--allow-url", allow_url, with_port=True),
        allow_hosts=(*names, *LOOPBACK) if names or host in LOOPBACK else (),
        api_key=api_key,
        admin_key=admin_key,
        drain=drain,
        label_map=label_map,
        model_name=model_name,
    )
    _serve(host, port, serving, log_format, pipeline, {**settings, "batch_size": max_batch})
    return 0


def _check_key(option: str, variable: str, key: str | None) -> None:
    """What HTTP cannot carry as it is would never be the key that a client sends. A variable that is there and empty,
    which click takes for none, was meant to be a key."""
    if key is None and os.environ.get(variable) == "":
        option, key = variable, ""
    if key is None or re.fullmatch("[!-~]+", key):
        return
    what = "is empty" if not key.strip() else "has blanks, line breaks or letters that are not ASCII"
    raise UsageError(f"{option} {what}", hint="give a long random one: openssl rand -hex 32")


def _hosts(option: str, names: str, *, with_port: bool) -> tuple[str, ...]:
    """Host names, lower case; with_port: a port may follow."""
    found = []
    for name in filter(None, (name.strip().lower() for name in names.split(","))):
        # an IPv6 address without a port needs no brackets
        given = f"[{name}]" if name.count(":") > 1 and "[" not in name else name
        try:
            parts = urlsplit(f"//{given}")
            host, port = parts.hostname or "", parts.port
        except ValueError:
            host, port = "", None
        if (
            not re.fullmatch(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d+)?", given)
            or not host
            or port == 0
            or (port and not with_port)
        ):
            form = "HOST or HOST:PORT" if with_port else "a name without a port"
            raise UsageError(f"{option}: {name!r} is no host", hint=f"give {form}, such as images.example.com")
        found.append(host if port is None else f"{host}:{port}")
    if names.strip() and not found:
        raise UsageError(f"{option}: {names!r} names no host", hint="such as images.example.com")
    return tuple(found)


def _require_packages() -> None:
    missing = [
        name for name in ("starlette", "uvicorn", "prometheus_client", "python_multipart") if not find_spec(name)
    ]
    if missing:
        raise UnavailableError(f"uadx serve needs {', '.join(missing)}", hint="pip install 'uadx[serve]'")


def _serve(
    host: str,
    port: int,
    serving: Settings,
    log_format: Literal["text", "json"],
    pipeline: str | None,
    given: dict[str, Any],
) -> None:
    from uadx.cli.opening import what_runs
    from uadx.images.capture import prepare_opencv
    from uadx.images.naming import printable
    from uadx.pipeline.config import NAME
    from uadx.pipeline.pipeline import find_config
    from uadx.serve.engine import Engine
    from uadx.serve.lifecycle import address_of, bound, serve
    from uadx.serve.log import log_to_stderr, warnings_logged
    from uadx.serve.metrics import Metrics
    from uadx.serve.service import Service

    file = find_config(pipeline or NAME)
    config = file.Pipeline.override(**given)
    serving = replace(serving, visualize=file.Serving.visualize)
    prepare_opencv()
    log_to_stderr(log_format)
    with warnings_logged(), bound(host, port) as taken:
        metrics = Metrics()
        service = Service(Engine(config, serving, metrics), serving, metrics)
        opened = service.engine.pipeline
        device = opened.inspector.opened
        log = logging.getLogger("uadx.serve")
        for line in what_runs(opened):
            log.info(line)
        if device.simulated:
            log.warning(f"SIMULATED: {device.used} is no hardware")
        if host not in LOOPBACK and serving.api_key is None:
            log.warning(f"whoever reaches {host} may use this server: it has no --api-key")
        name = printable(opened.bundle.manifest.name)
        serve(service, taken, lambda: click.echo(f"{name} on {device.label}: {address_of(taken)}"))
