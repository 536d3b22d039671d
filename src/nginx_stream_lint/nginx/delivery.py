"""How nginx delivers a stream from the upstream to the client.

Everything here was measured on nginx 1.22 and 1.31, and tests/conformance/test_delivery.py repeats
it. A response passes the holds in turn. One rule matters most: a response that is not buffered is
flushed through everything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from nginx_stream_lint.config import has_placeholder
from nginx_stream_lint.nginx.caching import NOTHING, ResponseCaching
from nginx_stream_lint.nginx.filters import gzip_is_disabled, withholds_event_ends
from nginx_stream_lint.nginx.levels import Effective
from nginx_stream_lint.nginx.listeners import PLAIN, Client
from nginx_stream_lint.nginx.values import parse_size

Framing = Literal["chunked", "close", "length"]
AccelBuffering = Literal["absent", "no", "yes"]
AcceptEncoding = Literal["identity", "gzip"]
# `no-stream`: a WebSocket handshake fails.
Verdict = Literal["streams", "stalls", "no-stream"]
Repeat = Literal["streams", "stalls", "replays", "unknown", "no-stream"]
Worst = Literal["streams", "stalls", "replays", "no-stream"]
Hold = Literal[
    "upstream-buffer",
    "sub-filter",
    "gzip",
    "brotli",
    "body-filter",
    "file-buffer",
    "tls-buffer",
    "tier",
]

FRAMINGS: tuple[Framing, ...] = ("chunked", "close", "length")
_EVERY = frozenset(FRAMINGS)
ACCEL_BUFFERINGS: tuple[AccelBuffering, ...] = ("absent", "no", "yes")
ACCEPT_ENCODINGS: tuple[AcceptEncoding, ...] = ("identity", "gzip")
# Usual Accept-Encoding: programs often send none, browsers and most SDKs accept gzip.
USUAL_ENCODINGS = ACCEPT_ENCODINGS

# The stream for which waiting times are computed: OpenAI-style chunks from a fast model.
TOKEN_BYTES = 230
TOKENS_PER_SECOND = 30
# Size of a whole response, where only its length matters; the probe sends the same.
ANSWER_BYTES = 800
# Chunk overhead of that size on the way to an HTTP/1.1 client: "e6" CR LF before, CR LF after.
_CHUNK_OVERHEAD = 6

# This much data is passed on at once, whatever the settings are.
_UNBUFFERED = ("grpc", "tunnel")

# Time that the kernel holds data that does not fill a packet, with tcp_nopush.
_CORKED_S = 0.2
BODY_FILTERS = (
    "body_filter_by_lua",
    "body_filter_by_lua_block",
    "body_filter_by_lua_file",
    "js_body_filter",
)


class Scenario(Struct, frozen=True):
    """A combination of client and response: how a stream is requested and sent."""

    client: Client = "h1"
    framing: Framing = "chunked"
    x_accel_buffering: AccelBuffering = "absent"
    accept_encoding: AcceptEncoding = "identity"


class Delivery(Struct, frozen=True):
    """Result of one scenario, for the first request of a resource.

    `repeat` is what happens to the second request, `is_replayed` whether any later one gets a
    recording. `held_by` is the first hold, `held_bytes` the number of bytes that the largest hold
    collects before the client gets anything (None: the whole response, or no hold), `first_text_s`
    the delay of the first text for a stream of 230-byte tokens at 30 per second (None: until the
    end of the response; 0.0 if it streams), and `slowest` the hold that causes this delay.
    """

    scenario: Scenario
    verdict: Verdict
    held_by: Hold | None = None
    held_bytes: int | None = None
    first_text_s: float | None = 0.0
    slowest: Hold | None = None
    repeat: Repeat = "streams"
    is_replayed: bool = False

    @property
    def worst(self) -> Worst:
        """The worst outcome of several requests."""
        return "replays" if self.is_replayed else self.verdict


class DeliveryPath(Struct, frozen=True):
    """Everything in a configuration that affects the delivery of one kind of response.

    Sizes are in bytes. `piecewise` are the upstream framings whose pieces pass through a buffered
    response; `recording` is what nginx records of it. `sub_filter`: the end of each event is held
    until the next event; `replaces`: that filter or SSI is active, so a response has no length any
    more.
    With `sendfile`, a recorded response is sent from its file, unless a filter has to read it; with
    `tcp_nopush` the kernel may then wait, too. `plain` are the clients without TLS.
    """

    family: str
    buffering: bool
    accel_ignored: bool
    piecewise: frozenset[Framing]
    buffer_size: int
    gzip: bool
    brotli: bool
    body_filter: bool
    postpone_output: int
    ssl_buffer_size: int
    recording: ResponseCaching = NOTHING
    gzip_min_length: int = 0
    brotli_min_length: int = 0
    sub_filter: bool = False
    replaces: bool = False
    sendfile: bool = False
    tcp_nopush: bool = False
    plain: frozenset[Client] = PLAIN

    def is_buffered(self, x_accel_buffering: AccelBuffering) -> bool:
        """Whether the response is buffered, given the app's X-Accel-Buffering header."""
        if self.family in _UNBUFFERED:
            return False
        if x_accel_buffering != "absent" and not self.accel_ignored:
            return x_accel_buffering == "yes"
        return self.buffering

    def holds(self, scenario: Scenario) -> list[Hold]:
        """All holds of the first response in a scenario, in order."""
        return self._holds(scenario, self.recording.first == "yes")

    def _holds(self, scenario: Scenario, is_recorded: bool) -> list[Hold]:
        late: list[Hold] = ["sub-filter"] if self.sub_filter else []
        if not self.is_buffered(scenario.x_accel_buffering):
            return late
        found: list[Hold] = []
        if scenario.framing not in self.piecewise:
            found.append("upstream-buffer")
        found += late
        compression = self.compression(scenario)
        if compression is not None:
            found.append(compression)
        # A piece that fills the buffer passes at once.
        if self.body_filter and self.postpone_output > TOKEN_BYTES:
            found.append("body-filter")
        if is_recorded and self._sends_files(scenario, found):
            found.append("file-buffer")
        if scenario.client == "h1-tls" and self.ssl_buffer_size > TOKEN_BYTES + _CHUNK_OVERHEAD:
            found.append("tls-buffer")
        return found

    def compression(self, scenario: Scenario) -> Literal["brotli", "gzip"] | None:
        """The compression of the response, buffered or not; None if there is none."""
        if scenario.accept_encoding == "gzip":
            # This scenario's client accepts every compression; nginx prefers brotli.
            if self.brotli and self._is_long_enough(scenario, self.brotli_min_length):
                return "brotli"
            if self.gzip and self._is_long_enough(scenario, self.gzip_min_length):
                return "gzip"
        return None

    def _sends_files(self, scenario: Scenario, holds: list[Hold]) -> bool:
        """Whether nginx collects a cached response in a file before it sends it."""
        is_read = self.replaces or self.body_filter or "gzip" in holds or "brotli" in holds
        piece = TOKEN_BYTES + (_CHUNK_OVERHEAD if scenario.client == "h1" else 0)
        return (
            self.sendfile
            and not is_read
            and scenario.client in self.plain
            and self.postpone_output > piece
        )

    def _is_long_enough(self, scenario: Scenario, least: int) -> bool:
        """Whether a response is long enough to be compressed; one without a length always is."""
        return scenario.framing != "length" or self.replaces or least <= ANSWER_BYTES

    def held_bytes(self, hold: Hold) -> int | None:
        """The bytes that a hold collects before it releases them; None: the whole response."""
        if hold == "upstream-buffer":
            return self.buffer_size
        if hold == "tls-buffer":
            return self.ssl_buffer_size
        if hold in ("body-filter", "file-buffer"):
            return self.postpone_output
        if hold == "sub-filter":
            return TOKEN_BYTES
        return None

    def deliver(self, scenario: Scenario) -> Delivery:
        """The result of a scenario."""
        recording = self.recording if self.is_buffered(scenario.x_accel_buffering) else NOTHING
        first = self._live(scenario, recording.first == "yes")
        if recording is NOTHING:
            return first if first.verdict == "streams" else replace(first, repeat="stalls")
        repeat: Repeat = "unknown"
        if recording.repeat == "yes":
            repeat = "replays"
        elif recording.repeat == "no":
            # It may be unknown whether the response is recorded, without any effect.
            live = {"yes": (True,), "no": (False,), "unknown": (True, False)}[recording.second]
            verdicts = {self._live(scenario, is_recorded).verdict for is_recorded in live}
            repeat = verdicts.pop() if len(verdicts) == 1 else "unknown"
        return replace(first, repeat=repeat, is_replayed=recording.later == "yes")

    def _live(self, scenario: Scenario, is_recorded: bool) -> Delivery:
        """The result for a response that comes from the app, not from a cache."""
        holds = self._holds(scenario, is_recorded)
        if not holds:
            return Delivery(scenario, "streams")
        sizes = [self.held_bytes(hold) for hold in holds]
        known = [size for size in sizes if size is not None]
        if len(known) < len(sizes):
            return Delivery(scenario, "stalls", holds[0], None, None, holds[sizes.index(None)])
        # Each hold collects what the previous one releases, so the largest one sets the pace.
        held = max(known)
        in_chunks = sizes[-1] == held and ("tls-buffer" in holds or holds == ["file-buffer"])
        token = TOKEN_BYTES + (_CHUNK_OVERHEAD if in_chunks and scenario.client != "h2" else 0)
        wait = held / (token * TOKENS_PER_SECOND)
        if self.tcp_nopush and "file-buffer" in holds:
            wait += _CORKED_S
        slowest = holds[sizes.index(held)]
        return Delivery(scenario, "stalls", holds[0], held, round(wait, 1), slowest)


# Returns the effective value of a directive.
Settings = Callable[[str], Effective]


def delivery_path_for(
    settings: Settings,
    family: str,
    content_types: tuple[str, ...],
    recorded: ResponseCaching = NOTHING,
    plain: frozenset[Client] = PLAIN,
) -> DeliveryPath:
    """The delivery path of responses from a handler of this family with these settings.

    `content_types` are the possible types of the response; a filter for one of them counts.
    `recorded` is what nginx records, `plain` are the clients without TLS.
    """
    unbuffered = family in _UNBUFFERED
    ignored = () if unbuffered else settings(f"{family}_ignore_headers").rows
    return DeliveryPath(
        family=family,
        buffering=not unbuffered and settings(f"{family}_buffering").text.lower() == "on",
        accel_ignored=any(arg.lower() == "x-accel-buffering" for row in ignored for arg in row),
        piecewise=_piecewise(settings, family),
        buffer_size=parse_size(settings(f"{family}_buffer_size").text) or 4096,
        gzip=_compresses(settings, "gzip", content_types)
        and not gzip_is_disabled(settings("gzip_disable").rows),
        brotli=_compresses(settings, "brotli", content_types),
        body_filter=any(settings(name).rows for name in BODY_FILTERS),
        postpone_output=parse_size(settings("postpone_output").text) or 0,
        ssl_buffer_size=parse_size(settings("ssl_buffer_size").text) or 16384,
        recording=recorded,
        gzip_min_length=parse_size(settings("gzip_min_length").text) or 0,
        brotli_min_length=parse_size(settings("brotli_min_length").text) or 0,
        sub_filter=not unbuffered
        and withholds_event_ends(
            settings("sub_filter"), settings("sub_filter_types"), content_types
        ),
        replaces=_replaces(settings, content_types) or _includes(settings, content_types),
        sendfile=settings("sendfile").text.lower() == "on"
        and not _includes(settings, content_types),
        tcp_nopush=settings("tcp_nopush").text.lower() == "on",
        plain=plain,
    )


def _piecewise(settings: Settings, family: str) -> frozenset[Framing]:
    """The framings whose pieces nginx recognizes: it must see where the next piece ends."""
    if family in _UNBUFFERED:
        return _EVERY
    if family == "proxy":
        http_version = settings("proxy_http_version").text
        if http_version == "2":
            return _EVERY
        # A placeholder's value is assumed to be right.
        passes = http_version == "1.1" or has_placeholder(http_version)
        return frozenset({"chunked"}) if passes else frozenset()
    if family == "fastcgi":
        keep = settings("fastcgi_keep_conn").text.lower()
        return _EVERY if keep == "on" or has_placeholder(keep) else frozenset()
    return frozenset()


def _compresses(settings: Settings, name: str, content_types: tuple[str, ...]) -> bool:
    """Whether gzip or brotli is on for one of the content types (text/html always is)."""
    if settings(name).text.lower() != "on":
        return False
    types = {arg.lower() for row in settings(f"{name}_types").rows for arg in row}
    return "*" in types or any(kind in types or kind == "text/html" for kind in content_types)


def _replaces(settings: Settings, content_types: tuple[str, ...]) -> bool:
    """Whether `sub_filter` processes responses of one of the content types."""
    return bool(settings("sub_filter").rows) and _is_about(
        settings("sub_filter_types"), content_types
    )


def _includes(settings: Settings, content_types: tuple[str, ...]) -> bool:
    """Whether `ssi` processes responses of one of the content types."""
    return settings("ssi").text.lower() == "on" and _is_about(settings("ssi_types"), content_types)


def _is_about(types: Effective, content_types: tuple[str, ...]) -> bool:
    names = {arg.lower() for row in types.rows for arg in row}
    return "*" in names or not names.isdisjoint(content_types)
