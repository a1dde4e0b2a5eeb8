"""torchvision's ImageNet ResNet-18: found where it was downloaded before, or fetched once, checked by its sha256."""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from platformdirs import user_cache_path

from uadx.errors import UnavailableError
from uadx.files import whole_file

URL = "https://download.pytorch.org/models/resnet18-f37072fd.pth"
"""ResNet18_Weights.IMAGENET1K_V1: https://pytorch.org/vision/stable/models/generated/torchvision.models.resnet18.html"""
SHA256 = "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec"
MIRROR = "UADX_TEACHER_URL"
"""The environment variable that names another address of the same file."""
TIMEOUT = 30.0
"""Seconds without a byte after which the server is given up."""
_CHUNK = 1 << 18


def torchvision_resnet18(on_bytes: Callable[[int, int], None]) -> Path:
    """The file of weights: 46.8 MB, from uadx's cache, torch's, or the network. on_bytes: done and total.

    Raises UnavailableError where it cannot be fetched or is not the file that it should be.
    """
    url = os.environ.get(MIRROR) or URL
    name = Path(URL).name
    cached = user_cache_path("uadx", appauthor=False) / "teachers" / name
    of_torch = Path(os.environ.get("TORCH_HOME") or Path.home() / ".cache" / "torch") / "hub" / "checkpoints" / name
    hint = f"without a network: fetch {URL} elsewhere and put it at {cached}; or --teacher default, which is at hand"
    for path in (cached, of_torch):
        if path.is_file():
            if (found := _sha256(path)) == SHA256:
                return path
            hint = f"the file at {path} is another: its sha256 is {found}, not {SHA256}; {hint}"
    with whole_file(cached) as file:
        try:
            digest = _download(url, file.write, on_bytes)
        except (http.client.HTTPException, urllib.error.URLError, ConnectionError, TimeoutError, ValueError) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            raise UnavailableError(
                f"the teacher cannot be fetched from {url}", cause_text=str(reason), hint=hint
            ) from error
        if digest != SHA256:
            raise UnavailableError(
                f"what {url} sent is not torchvision's ResNet-18",
                cause_text=f"its sha256 is {digest}\nand should be {SHA256}",
                hint=hint,
            )
    return cached


def _download(url: str, write: Callable[[bytes], object], on_bytes: Callable[[int, int], None]) -> str:
    request = urllib.request.Request(url, headers={"User-Agent": "uadx"})
    digest, done = hashlib.sha256(), 0
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        total = int(response.headers.get("Content-Length") or 0)
        while chunk := response.read(_CHUNK):
            write(chunk)
            digest.update(chunk)
            done += len(chunk)
            on_bytes(done, max(total, done))
    if done < total:
        raise http.client.HTTPException(f"the connection ended after {done} of {total} bytes")
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
