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


def fetch(
    address: str, *, timeout: float, max_bytes: int, opener: urllib.request.OpenerDirector | None = None
) -> bytes:
    """GET address and return its body. Redirects are followed to http and https only; proxies are the
    environment's.

    opener: what connects instead, where not every address may be asked.
    timeout: seconds for everything: name lookup, connection, redirects, headers, body.
    Raises InputError: fetch_failed, timeout, too_large.
    """
    # urllib's own timeout starts anew with each byte and a name lookup has none: a thread can be left behind
    body: Future[bytes] = Future()
    deadline = time.monotonic() + timeout

    def download() -> None:
        try:
            body.set_result(_download(address, deadline, max_bytes, opener or opener_with()))
        except BaseException as error:  # the future carries it to the caller
            body.set_exception(error)

    threading.Thread(target=download, name="uadx-fetch", daemon=True).start()
    try:
        return body.result(timeout)
    except HTTPError as error:
        with error:
            reason = " ".join(str(error.reason).split())  # of a redirect loop, urllib says three lines
            raise InputError("fetch_failed", f"the server answered {error.code} {reason}") from None
    except (TimeoutError, FutureTimeout):
        raise InputError("timeout", f"not fetched within {timeout:g} s") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        cause = error.reason if isinstance(error, URLError) else error
        if isinstance(cause, TimeoutError):
            raise InputError("timeout", f"not fetched within {timeout:g} s") from None
        raise InputError("fetch_failed", "cannot be fetched", cause_text=str(cause)) from None


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
