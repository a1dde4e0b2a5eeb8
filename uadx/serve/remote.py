"""Images by their address, from hosts that the operator named and nowhere else.

Each connection, a redirect's too, is checked where it is made: its host is on the list, all that its name means are
public addresses, and it goes to the very address that was checked, whatever the name means a moment later.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import urllib.request
from collections.abc import Callable, Collection
from concurrent.futures import Future
from functools import partial
from typing import Any

from uadx.errors import InputError
from uadx.images import fetch

_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052
_UNICAST = ipaddress.ip_network("2000::/3")  # RFC 4291: all that IANA gives to hosts of the internet
_NOBODY = (
    ipaddress.ip_network("192.88.99.0/24"),  # relays of 6to4, RFC 7526
    ipaddress.ip_network("3fff::/20"),  # for documentation, RFC 9637
)


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet's: not this machine's, a private network's, a link's or a cloud's
    own. An IPv4 address that an IPv6 one wraps counts as itself.

    Source: IANA's special-purpose address registries, as Python's ipaddress has them; the rest is above.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        translated = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None
        ip = translated or ip.ipv4_mapped or ip.sixtofour or ip
    if ip.version == 6 and ip not in _UNICAST:
        return False
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in _NOBODY)


def check_any(allowed: Collection[str]) -> None:
    """Raise InputError, url_refused, where nothing may be fetched at all."""
    if not allowed:
        raise InputError("url_refused", "this server fetches no URLs: send the image itself, as base64")


def begin(address: str, allowed: Collection[str], *, timeout: float, max_bytes: int) -> Future[bytes]:
    """GET an image; see uadx.images.fetch.begin. allowed: "host" for its usual ports, or "host:port". InputError has
    url_refused too."""

    def connect(host: str, port: int, timeout: float | None, usual: int) -> socket.socket:
        return _connected(host, port, timeout, usual, allowed)

    return fetch.begin(
        address, timeout=timeout, max_bytes=max_bytes, opener=fetch.opener_with(_Http(connect), _Https(connect))
    )


_Connect = Callable[[str, int, "float | None", int], socket.socket]


def _connected(host: str, port: int, timeout: float | None, usual: int, allowed: Collection[str]) -> socket.socket:
    name = host.lower()
    if f"{name}:{port}" not in allowed and not (name in allowed and port == usual):
        raise InputError("url_refused", f"this server fetches nothing from {name}:{port}")
    found = [entry[4][0] for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    for address in found:
        if not is_public(str(address)):
            raise InputError("url_refused", f"{name} is in a private network, where this server asks nothing")
    return socket.create_connection((str(found[0]), port), timeout)


class _HttpConnection(http.client.HTTPConnection):
    def __init__(self, reach: _Connect, host: str, **options: Any) -> None:
        super().__init__(host, **options)
        self._reach = reach

    def connect(self) -> None:
        self.sock = self._reach(self.host, self.port, self.timeout, http.client.HTTP_PORT)


class _HttpsConnection(http.client.HTTPSConnection):
    def __init__(self, reach: _Connect, host: str, **options: Any) -> None:
        super().__init__(host, **options)
        self._reach = reach

    def connect(self) -> None:
        plain = self._reach(self.host, self.port, self.timeout, http.client.HTTPS_PORT)
        self.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=self.host)


class _Http(urllib.request.HTTPHandler):
    def __init__(self, connect: _Connect) -> None:
        super().__init__()
        self._connect = connect

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_HttpConnection, self._connect), request)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, connect: _Connect) -> None:
        super().__init__()
        self._connect = connect

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_HttpsConnection, self._connect), request)
