"""What is sent to each layer, and what of it nobody may read."""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, unquote_plus, urlsplit

HIDDEN = "***"

_DEFAULT_PORTS = {"http": 80, "https": 443}
# Header values that are no secret and worth reading in a message.
_OPEN_HEADERS = frozenset(
    [
        "accept",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "content-type",
        "host",
        "user-agent",
    ]
)
_SECRET_NAME = re.compile(
    r"key|token|secret|passw|auth|credential|session|cookie|signature|bearer|jwt", re.IGNORECASE
)
# What a key or a token looks like: a prefix of a known vendor, or long without blanks and mixed.
_SECRET_VALUE = re.compile(
    r"(?:sk|pk|rk|ghp|gho|xox[a-z]|hf|glpat|AKIA|AIza|eyJ)[-_A-Za-z0-9.]{12,}"
    r"|(?=[^\s]*\d)(?=[^\s]*[A-Za-z])[-_A-Za-z0-9+/=.]{24,}"
)
_SHORTEST = 4  # characters: what is shorter cannot be found in a text without ruining it


class BadRequest(ValueError):
    """Something asked for that cannot be sent; the message says what, without secrets."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When to stop.

    Attributes:
        connect_s: seconds to connect.
        time_s: seconds for a whole answer.
        size: bytes of a body.
    """

    connect_s: float = 10.0
    time_s: float = 300.0
    size: int = 10_000_000


@dataclass(frozen=True, slots=True)
class Ask:
    """The request that goes through every layer.

    Attributes:
        method: GET, POST ...
        headers: (name, value), sent as they are.
        body: empty for none.
        verify: whether certificates are checked.
        ca_file: a file of authorities to trust instead of the system's.
        limits: when to stop.
    """

    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    verify: bool = True
    ca_file: str | None = None
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True)
class Layer:
    """One URL, one layer.

    Attributes:
        number: from 1, which is nearest to the app.
        url: what is asked, with all that is secret.
        address: an IP address to ask instead of the one that DNS gives.
        clients: what to ask with: `h1`, `h2`, `h3`.
    """

    number: int
    url: str
    address: str | None = None
    clients: tuple[str, ...] = ("h1",)

    @property
    def parts(self) -> SplitResult:
        """The URL, taken apart."""
        return urlsplit(self.url)

    @property
    def is_tls(self) -> bool:
        """Whether the layer is asked over TLS."""
        return self.parts.scheme == "https"

    @property
    def port(self) -> int:
        """The port, also where the URL does not say."""
        return self.parts.port or _DEFAULT_PORTS[self.parts.scheme]

    @property
    def shown(self) -> str:
        """The URL for people and files: no credentials, and nothing of a query but its names."""
        return shown_url(self.url)


def parse_layers(
    urls: Sequence[str], clients: Sequence[str], resolve: Sequence[str]
) -> list[Layer]:
    """Return the layers that `urls` are.

    Args:
        urls: nearest to the app first.
        clients: those to ask with; none: HTTP/1.1, and HTTP/2 where there is TLS.
        resolve: `[LAYER=]HOST:PORT:ADDRESS`, as curl's, for one layer or for all that fit.

    Raises:
        BadRequest: what is no URL, or no such rule.
    """
    addresses = [_resolving(text, len(urls)) for text in resolve]
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
        layers.append(Layer(number, url, address, _clients(parts.scheme, clients)))
    return layers


def _parts(url: str, number: int) -> SplitResult:
    where = f"layer {number}"
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - it is checked when it is read
    except ValueError:
        raise BadRequest(f"{where}: this is no URL; write http://host:port/path") from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise BadRequest(f"{where}: a URL starts with http:// or https://")
    if not parts.hostname or re.search(r"[\s\x00-\x1f]", url):
        raise BadRequest(f"{where}: this is no URL; write http://host:port/path")
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
        raise BadRequest("--resolve takes [LAYER=]HOST:PORT:ADDRESS, as in app.test:443:127.0.0.1")
    only = int(found[1]) if found[1] else None
    if only is not None and not 1 <= only <= layers:
        raise BadRequest(f"--resolve: there is no layer {only}")
    return only, found[2].lower(), int(found[3]), found[4] or found[5]


def parse_header(text: str) -> tuple[str, str]:
    """Return name and value of `Name: value`.

    Raises:
        BadRequest: it is no header. The message does not repeat it: it may be a secret.
    """
    name, colon, value = text.partition(":")
    if not colon or not re.fullmatch(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", name.strip()):
        raise BadRequest("a header is written 'Name: value'")
    if re.search(r"[\r\n\x00]", value):
        raise BadRequest(f"the value of {name.strip()} has a line end in it")
    return name.strip(), value.strip()


def shown_url(url: str) -> str:
    """Return a URL without credentials, the values of its query, and what looks like a key."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    rows = [part.partition("=") for part in parts.query.split("&") if part]
    query = "&".join(f"{name}={HIDDEN}" if equals else HIDDEN for name, equals, _ in rows)
    # Some services have their keys in the path.
    path = "/".join(_SECRET_VALUE.sub(HIDDEN, part) for part in parts.path.split("/"))
    return f"{parts.scheme}://{host}{path or '/'}{'?' if query else ''}{query}"


class Secrets:
    """Everything of a request that no output may show, in every form it may come back in."""

    def __init__(self, ask: Ask, urls: Sequence[str]) -> None:
        found = {form for secret in _secrets(ask, urls) for form in _forms(secret)}
        self._pattern = (
            re.compile("|".join(map(re.escape, sorted(found, key=len, reverse=True))))
            if found
            else None
        )

    def hide(self, text: str) -> str:
        """Return a text without them."""
        return text if self._pattern is None else self._pattern.sub(HIDDEN, text)

    def hide_more(self, text: str) -> str:
        """Return a text without them, and without anything else that looks like a key."""
        return _SECRET_VALUE.sub(HIDDEN, self.hide(text))


def _secrets(ask: Ask, urls: Sequence[str]) -> Iterator[str]:
    for name, value in ask.headers:
        if name.lower() not in _OPEN_HEADERS:
            yield value
            yield from re.split(r"[\s;,=]+", value)
            scheme, _, coded = value.partition(" ")
            if scheme.lower() == "basic":
                with contextlib.suppress(binascii.Error, UnicodeDecodeError):
                    yield from base64.b64decode(coded).decode("utf-8").split(":", 1)
    for url in urls:
        parts = urlsplit(url)
        credentials = parts.netloc.rpartition("@")[0]
        if credentials:
            yield credentials
            yield from (unquote(part) for part in credentials.split(":", 1))
            yield base64.b64encode(unquote(credentials).encode()).decode()
        for part in parts.query.split("&"):
            name, equals, value = part.partition("=")
            yield unquote_plus(value if equals else name)
    yield from _in_body(ask.body)


def _in_body(body: bytes) -> Iterator[str]:
    text = body.decode("utf-8", "replace")
    yield from _SECRET_VALUE.findall(text)
    try:
        yield from _in_value(json.loads(text), False)
    except (ValueError, RecursionError):
        yield from (
            value
            for name, value in parse_qsl(text, keep_blank_values=True)
            if _SECRET_NAME.search(name)
        )


def _in_value(value: Any, is_secret: bool) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _in_value(inner, is_secret or bool(_SECRET_NAME.search(str(name))))
    elif isinstance(value, list):
        for inner in value:
            yield from _in_value(inner, is_secret)
    elif is_secret and isinstance(value, str):
        yield value


def _forms(secret: str) -> Iterator[str]:
    secret = secret.strip()
    if len(secret) < _SHORTEST or secret.lower() in ("bearer", "basic", "true", "false"):
        return
    escaped = json.dumps(secret)[1:-1]
    yield from {secret, quote(secret, safe=""), quote(secret), unquote(secret), escaped}
    yield base64.b64encode(secret.encode()).decode()
