"""An image's bytes from an http or https address, within a time and a size that the caller sets."""

from __future__ import annotations

import http.client
import threading
import time
import urllib.request
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from urllib.error import HTTPError, URLError
from urllib.parse import quote

from uadx.errors import InputError

_CHUNK = 1 << 16


FETCH_FAILURES = (TimeoutError, FutureTimeout, OSError, http.client.HTTPException, ValueError)
"""What a fetch may end with beside InputError: see `why_not`."""


def fetch(address: str, *, timeout: float, max_bytes: int) -> bytes:
    """GET address and return its body. Redirects are followed to http and https only; proxies are the
    environment's.

    timeout: seconds for everything: name lookup, connection, redirects, headers, body.
    Raises InputError: fetch_failed, timeout, too_large.
    """
    try:
        return begin(address, timeout=timeout, max_bytes=max_bytes, opener=opener_with()).result(timeout)
    except FETCH_FAILURES as error:
        raise why_not(error, timeout) from None


def begin(address: str, *, timeout: float, max_bytes: int, opener: urllib.request.OpenerDirector) -> Future[bytes]:
    """The same in a thread of its own. opener: what connects.

    The caller must not wait longer than the timeout: urllib's own starts anew with each byte, and a name lookup has
    none, so that the thread may outlast it. The future ends with the thread, with InputError or one of FETCH_FAILURES.
    """
    body: Future[bytes] = Future()
    deadline = time.monotonic() + timeout

    def download() -> None:
        try:
            body.set_result(_download(address, deadline, max_bytes, opener))
        except BaseException as error:  # the future carries it to the caller
            body.set_exception(error)

    threading.Thread(target=download, name="uadx-fetch", daemon=True).start()
    return body


def why_not(error: BaseException, timeout: float) -> InputError:
    """One of FETCH_FAILURES for people."""
    if isinstance(error, HTTPError):
        with error:
            reason = " ".join(str(error.reason).split())  # of a redirect loop, urllib says three lines
            return InputError("fetch_failed", f"the server answered {error.code} {reason}")
    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(cause, InputError):
        return cause
    if isinstance(cause, (TimeoutError, FutureTimeout)):
        return InputError("timeout", f"not fetched within {timeout:g} s")
    return InputError("fetch_failed", "cannot be fetched", cause_text=str(cause))


def _download(address: str, deadline: float, max_bytes: int, opener: urllib.request.OpenerDirector) -> bytes:
    quoted = quote(address, safe=":/?#[]@!$&'()*+,;=%~")
    request = urllib.request.Request(quoted, headers={"User-Agent": "uadx"})
    with opener.open(request, timeout=max(deadline - time.monotonic(), 0.001)) as response:
        promised = int(response.headers.get("Content-Length") or -1)
        if promised > max_bytes:
            raise _too_large(max_bytes)
        chunks, received = [], 0
        while chunk := response.read1(_CHUNK):
            chunks.append(chunk)
            received += len(chunk)
            if received > max_bytes:
                raise _too_large(max_bytes)
            if time.monotonic() > deadline:
                raise TimeoutError
    if received < promised:
        raise http.client.HTTPException(f"the connection ended after {received} of {promised} bytes")
    return b"".join(chunks)


def opener_with(*connecting: urllib.request.BaseHandler) -> urllib.request.OpenerDirector:
    """What urllib.request.build_opener makes, without its handlers for file, ftp and data addresses. connecting: what
    opens http and https, by default urllib's own, through the environment's proxies."""
    opener = urllib.request.OpenerDirector()
    own = (urllib.request.ProxyHandler(), urllib.request.HTTPHandler(), urllib.request.HTTPSHandler())
    for handler in (
        *(connecting or own),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _too_large(max_bytes: int) -> InputError:
    return InputError("too_large", f"larger than the limit of {max_bytes:,} bytes")
