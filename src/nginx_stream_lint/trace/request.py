"""The request that is sent to each layer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

from msgspec import Struct

from nginx_stream_lint.trace.secrets import Secrets, shown_url

_DEFAULT_PORTS = {"http": 80, "https": 443}


class BadRequest(ValueError):
    """A request that cannot be sent; the message says why, without secrets."""


class TraceLimits(Struct, frozen=True):
    """Limits: seconds to connect and for a whole response, and bytes of a body."""

    connect_s: float = 10.0
    time_s: float = 300.0
    size: int = 10_000_000


_NO_SECRETS = Secrets()


class TraceRequest(Struct, frozen=True):
    """The request that is sent to each layer.

    `headers` are (name, value), sent unchanged. `verify`: check certificates; `ca_file` is a file
    with authorities to trust instead of the system's.
    """

    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    verify: bool = True
    ca_file: str | None = None
    limits: TraceLimits = TraceLimits()

    def __repr__(self) -> str:
        # Headers and bodies may hold secrets.
        return f"<{self.method} with {len(self.headers)} headers>"


class Layer(Struct, frozen=True):
    """One layer: a URL to request, with `clients` of the kinds `h1`, `h2` and `h3`.

    `number` counts from 1, the layer nearest to the app. `url` has all secrets in it, which
    `secrets` lists. `address` is an IP address to use instead of the one in DNS.
    """

    number: int
    url: str
    address: str | None = None
    clients: tuple[str, ...] = ("h1",)
    secrets: Secrets = _NO_SECRETS

    def __repr__(self) -> str:
        return f"<layer {self.number}: {self.shown}>"

    @property
    def parts(self) -> SplitResult:
        """The URL, taken apart."""
        return urlsplit(self.url)

    @property
    def is_tls(self) -> bool:
        """Whether the layer's URL uses TLS."""
        return self.parts.scheme == "https"

    @property
    def port(self) -> int:
        """The port, or the scheme's default port."""
        return self.parts.port or _DEFAULT_PORTS[self.parts.scheme]

    @property
    def host(self) -> str:
        """The host and port of the connection, for messages."""
        return f"{self.address or self.parts.hostname}:{self.port}"

    @property
    def shown(self) -> str:
        """The URL for messages and files: without credentials and query values."""
        return shown_url(self.url, self.secrets)


_GET = TraceRequest()


def parse_layers(
    urls: Sequence[str],
    clients: Sequence[str],
    resolve: Sequence[str],
    request: TraceRequest = _GET,
) -> list[Layer]:
    """Return the layers that `urls` are.

    Args:
        urls: nearest to the app first.
        clients: the kinds of clients; none: HTTP/1.1, and HTTP/2 for https URLs.
        resolve: `[LAYER=]HOST:PORT:ADDRESS`, as for curl, for one layer or for all that fit.
        request: the request; its secrets are hidden in URLs that are shown.

    Raises:
        BadRequest: an invalid URL or `resolve`.
    """
    addresses = [_resolving(text, len(urls)) for text in resolve]
    secrets = Secrets(request.headers, request.body, urls)
    layers = []
    for number, url in enumerate(urls, 1):
        parts = _parts(url, number)
        host, port = parts.hostname or "", parts.port or _DEFAULT_PORTS[parts.scheme]
        address = next(
            (
                ip
                for only, wanted_host, wanted_port, ip in addresses
                if only in (None, number) and (wanted_host, wanted_port) == (host, port)
            ),
            None,
        )
        layers.append(Layer(number, url, address, _clients(parts.scheme, clients), secrets))
    return layers


def _parts(url: str, number: int) -> SplitResult:
    where = f"layer {number}"
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - it is checked when it is read
    except ValueError:
        raise BadRequest(f"{where}: not a URL; write http://host:port/path") from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise BadRequest(f"{where}: the URL must start with http:// or https://")
    if not parts.hostname or re.search(r"[\s\x00-\x1f]", url):
        raise BadRequest(f"{where}: not a URL; write http://host:port/path")
    return parts


def _clients(scheme: str, wanted: Sequence[str]) -> tuple[str, ...]:
    if scheme == "http":
        return ("h1",)
    return tuple(dict.fromkeys(wanted)) or ("h1", "h2")


def _resolving(text: str, layers: int) -> tuple[int | None, str, int, str]:
    found = re.fullmatch(
        r"(?:([0-9]{1,5})=)?([^:=]+):([0-9]{1,5}):(?:\[([0-9a-fA-F:.]+)\]|([0-9a-fA-F:.]+))", text
    )
    if found is None:
        raise BadRequest(
            "--resolve needs [LAYER=]HOST:PORT:ADDRESS, such as app.test:443:127.0.0.1"
        )
    only = int(found[1]) if found[1] else None
    if only is not None and not 1 <= only <= layers:
        raise BadRequest(
            f"--resolve: there is no layer {only}; layers are numbered from 1, the app first"
        )
    return only, found[2].lower(), int(found[3]), found[4] or found[5]


def parse_header(text: str) -> tuple[str, str]:
    """Return name and value of `Name: value`.

    Raises:
        BadRequest: the text is no header. The message does not repeat it, because it may be a
            secret.
    """
    name, colon, value = text.partition(":")
    if not colon or not re.fullmatch(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", name.strip()):
        raise BadRequest("write a header as 'Name: value'")
    if re.search(r"[\r\n\x00]", value):
        raise BadRequest(f"the value of {name.strip()} contains a line break; remove it")
    return name.strip(), value.strip()
