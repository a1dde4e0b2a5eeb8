"""A client of `uadx serve` in a few lines of httpx (extra `client`)."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from uadx.errors import UadxError


class Client:
    """A connection to a server; a context manager. timeout: seconds for one answer.

    >>> from uadx.client import Client
    >>> with Client(url) as line:  # such as "http://127.0.0.1:8080", which `uadx serve` prints
    ...     row = line.inspect("parts/test/hole/000.png", fpr=0.05)
    >>> row["is_anomaly"]
    True
    """

    def __init__(
        self, url: str = "http://127.0.0.1:8080", *, api_key: str | None = None, timeout: float = 60.0
    ) -> None:
        """url: as `uadx serve` prints it. api_key: the server's, where it has one."""
        headers = {} if api_key is None else {"X-API-Key": api_key}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout)

    def inspect(self, image: bytes | str | os.PathLike[str], **asked: float | bool) -> dict[str, Any]:
        """Inspect one encoded image, or the file of that name, and return its row as results.jsonl has it.

        asked: threshold=... or fpr=... instead of the server's; anomaly_map=True, picture=True for these fields too.
        Raises UadxError with the server's reason.
        """
        data = image if isinstance(image, bytes) else Path(image).read_bytes()
        try:
            answer = self._http.post("/v1/inspect", files={"image": data}, params=dict(asked))
        except httpx.HTTPError as error:
            raise UadxError(f"{self._http.base_url} does not answer", cause_text=str(error)) from error
        if answer.is_error:
            raise UadxError(f"the server answered {answer.status_code}", cause_text=_reason(answer))
        row: dict[str, Any] = answer.json()["results"][0]
        return row

    def close(self) -> None:
        """End the connection."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _reason(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):  # a proxy's page, not the server's answer
        return answer.text[:200]
