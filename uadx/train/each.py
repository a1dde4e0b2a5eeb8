"""A bundle for each of many products: every training is a process of its own, as many at once as there are devices."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from uadx.bundle.manifest import Manifest
from uadx.bundle.reader import open_bundle
from uadx.child import UADX, python
from uadx.errors import BundleError, UsageError
from uadx.train.dataset import good_folder


@dataclass(frozen=True)
class Product:
    """A folder of good images, or in MVTec layout, and the bundle that is to be made of it."""

    name: str
    data: Path
    bundle: Path


@dataclass(frozen=True)
class Outcome:
    """What came of one product. state: trained, kept (a bundle was there already) or failed. manifest: the bundle's,
    None where it failed. error: what its training printed last. warnings: what it warned of. seconds: of its training.
    """

    product: Product
    state: str
    seconds: float = 0.0
    manifest: Manifest | None = None
    error: str | None = None
    warnings: tuple[str, ...] = ()


def find_products(root: Path, output: Path) -> list[Product]:
    """The sub-folders of root, in order of their names, but hidden ones. output: the folder of the bundles.

    Raises UsageError where root is no folder of products.
    """
    if not root.is_dir():
        raise UsageError(f"--data {root} is not a directory", hint="name a folder that has a folder for each product")
    if (root / "train").is_dir() or (root / "test").is_dir():
        raise UsageError(f"{root} is one product in MVTec layout", hint="leave out --each")
    found = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    products = [Product(path.name, path, output / path.name) for path in found if path.resolve() != output.resolve()]
    if not products:
        raise UsageError(f"{root} has no folder, and so no product", hint="leave out --each to train on its images")
    return products


def train_each(products: Sequence[Product], options: Sequence[str], devices: Sequence[str]) -> Iterator[Outcome]:
    """Train one model for each product, and yield what came of it as it ends.

    options: of `uadx train` beside --data, --output and --device. devices: one training at a time on each. A product
    whose bundle is there already is kept as it is, so that the same call goes on after a kill; one that fails costs no
    other. Where the caller stops early, the trainings that run are asked to stop, and what they did stays.
    """
    free: SimpleQueue[str] = SimpleQueue()
    for device in devices:
        free.put(device)
    running = _Running()

    def one(product: Product) -> Outcome:
        if product.bundle.exists():
            with suppress(BundleError):  # a damaged bundle is made anew
                return Outcome(product, "kept", manifest=open_bundle(product.bundle).manifest)
        try:
            good_folder(product.data)
        except UsageError as error:
            return Outcome(product, "failed", error=error.in_one_line)
        device = free.get()
        try:
            return _train(product, [*options, "--device", device], running)
        finally:
            free.put(device)

    with ThreadPoolExecutor(len(devices), thread_name_prefix="uadx-train") as pool:
        trainings = [pool.submit(one, product) for product in products]
        try:
            for done in as_completed(trainings):
                yield done.result()
        finally:
            for training in trainings:
                training.cancel()
            running.terminate()


class _Running:
    """The processes that run, to be stopped together."""

    def __init__(self) -> None:
        self._processes: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._over = False

    def run(self, command: Sequence[str]) -> tuple[int, str]:
        """Exit code, and what was printed to stderr."""
        with self._lock:
            if self._over:
                return 143, "error: stopped before it began"
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.PIPE, text=True)  # fmt: skip
            self._processes.add(process)
        try:
            _, said = process.communicate()
        finally:
            with self._lock:
                self._processes.discard(process)
        return process.returncode, said

    def terminate(self) -> None:
        """Ask all to stop. They keep what they did."""
        with self._lock:
            self._over = True
            for process in self._processes:
                process.terminate()


def _train(product: Product, options: Sequence[str], running: _Running) -> Outcome:
    paths = ["--data", str(product.data), "--output", str(product.bundle)]
    began = time.monotonic()
    code, said = running.run(python(UADX, "train", *paths, "--quiet", *options))
    seconds = time.monotonic() - began
    if code:
        return Outcome(product, "failed", seconds, error=_reason(said, code))
    warned = tuple(line.removeprefix("warning: ") for line in said.splitlines() if line.startswith("warning: "))
    return Outcome(product, "trained", seconds, open_bundle(product.bundle).manifest, warnings=warned)


def _reason(said: str, code: int) -> str:
    """The error of a training that ended so, in one line: from "error:" on, or its last words."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    first = next((number for number, line in enumerate(lines) if line.startswith("error: ")), None)
    if first is not None:
        return " · ".join(lines[first:]).removeprefix("error: ")
    return f"the process ended with code {code}" + (f": {lines[-1]}" if lines else "")
