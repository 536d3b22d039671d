"""The facts that rules speak of, about one stream through one location.

Each fact is a function of `Facts` marked with `@fact`; its docstring is its documentation. A rule
file may use no other names, so this module is all that Python has to say about what rules can see.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from nginx_stream_lint.config import has_placeholder
from nginx_stream_lint.config.mapped_text import Author
from nginx_stream_lint.nginx.caching import NOTHING, response_caching
from nginx_stream_lint.nginx.delivery import (
    USUAL_ENCODINGS,
    AcceptEncoding,
    Delivery,
    DeliveryPath,
    Hold,
    Scenario,
    delivery_path_for,
)
from nginx_stream_lint.nginx.directives import FAMILIES, table
from nginx_stream_lint.nginx.handshake import (
    LONG_CONNECTION,
    Handshake,
    connection_variable,
    handshake_at,
)
from nginx_stream_lint.nginx.levels import Effective, Level, cached_on_level
from nginx_stream_lint.nginx.listeners import PLAIN, Client, idle_timeout_s, plain_clients
from nginx_stream_lint.nginx.location_match import find_location, match_of
from nginx_stream_lint.nginx.request import Request
from nginx_stream_lint.nginx.request_body import (
    app_ends_client_silence,
    client_silence_s,
    collected_by,
)
from nginx_stream_lint.nginx.request_route import route_in_server
from nginx_stream_lint.nginx.stream_limits import StreamLimit, stream_limit
from nginx_stream_lint.nginx.undefined_names import defines
from nginx_stream_lint.nginx.values import parse_size, parse_time
from nginx_stream_lint.nginx.variables import RequestState, unknown_request
from nginx_stream_lint.nginx.versions import NEW, OLD, Version
from nginx_stream_lint.rules.conditions import UNKNOWN, Quantity, Unknown
from nginx_stream_lint.streams.detect import ProxiedLocation
from nginx_stream_lint.streams.evidence import streams_at
from nginx_stream_lint.streams.stream import CONTENT_TYPES, Stream
from nginx_stream_lint.util.numbers import whole_number

_NOT_YET = object()

FACTS: dict[str, Callable[[Facts], Any]] = {}
# Facts whose value is the name of a directive: `<name>` in a rule file stands for that directive.
PLACEHOLDERS: set[str] = set()

# What facts may ask for beside directives; see `Facts.asked`.
TARGET = "the target"
PREFIX = "the location's path"
UPSTREAM = "the upstream"
AUTH_TARGET = "the target of auth_request"
MIRRORS = "the targets of mirror"
HANDSHAKE = "the handshake"
VERSION = "the version"
PLACE = "the place itself"
SOCKETS = "the listening sockets"
IDLE = "the idle timeout of HTTP/3"
CONDITIONS = "what a cache makes of the request"
# Behind the name of a directive: its rows as `telling` leaves them.
HEADERS = ": headers"
BESIDE = frozenset(
    {TARGET, PREFIX, UPSTREAM, AUTH_TARGET, MIRRORS, HANDSHAKE, PLACE, SOCKETS, IDLE, CONDITIONS}
)

# Facts that have no stream behind them, by what they are about: a rule asks for those of one group
# and for no others, or for none of them.
REMARKS = {
    "comments": frozenset({"ignore_mistake", "ignored_rules"}),
    "blocks": frozenset({"never_matches", "meant"}),
    "declarations": frozenset({"declared", "nginx_answers", "absent_include"}),
}

# Headers to the upstream that somebody sets for a reason and misses when they are dropped.
_MISSED = re.compile(r"(?i)connection|upgrade|host|x-forwarded-.*")
_PLACEHOLDER = re.compile(r"<(\w+)>")
_SCHEME = re.compile(r"^\w+://")
# The headers whose values facts look at.
_TELLING = frozenset(
    {"cache-control", "connection", "content-length", "upgrade", "x-accel-buffering"}
)
# The connections that a browser has to a server over HTTP/1.1: fewer streams are few.
_SIX = 6
# Protocols that also poll, at the same path.
_TRANSPORTS = re.compile(r"(?i)socket\\?\.?io|sockjs|signalr|blazor|\bhubs?\b")
# Names for the variable that Connection gets, the usual one first.
_NAMES = ("connection_upgrade", "websocket_connection", "websocket_connection_2")
# One address of an upstream, not a name that may stand for several.
_ADDRESS = re.compile(r"(?:\d+\.\d+\.\d+\.\d+|\[[0-9a-fA-F:.]+\])(?::\d+)?$|unix:")


def fact(function: Callable[[Facts], Any]) -> Callable[[Facts], Any]:
    """Make a method of `Facts` a subject of rules, under its own name."""
    FACTS[function.__name__] = function
    return function


def names_directive(function: Callable[[Facts], Any]) -> Callable[[Facts], Any]:
    """Make a fact that gives a directive's name; `<name>` in a rule file is that directive."""
    PLACEHOLDERS.add(function.__name__)
    return fact(function)


class Facts:
    """The subjects of rules for one stream; values are worked out when asked for.

    `version` is None where nobody said which nginx runs: then the old defaults hold.

    `asked` is all that the values so far depend on, beside the handler's family, the clients and
    the streams: names of directives, and the words above. Where these are alike, so are the facts;
    see `alike.py`.
    """

    def __init__(
        self,
        served: ProxiedLocation,
        stream: Stream,
        version: Version | None,
        min_read_timeout_s: float,
    ) -> None:
        self.served = served
        self.stream = stream
        self.version = version or OLD
        self.version_is_known = version is not None
        self.minimum_s = min_read_timeout_s
        self.asked: set[str] = set()
        self._used: dict[str, Effective] = {}
        self._values: dict[str, Any] = {}

    def about(self, stream: Stream) -> Facts:
        """The facts about another stream through the same place; what is asked for is one."""
        facts = Facts(self.served, stream, self.version, self.minimum_s)
        facts.version_is_known = self.version_is_known
        facts.asked = self.asked
        facts._used = self._used
        return facts

    @cached_property
    def newer(self) -> Facts:
        """The facts with the defaults of a new nginx; what is asked for is one."""
        facts = Facts(self.served, self.stream, NEW, self.minimum_s)
        facts.asked = self.asked
        facts._used = {name: one for name, one in self._used.items() if not _by_version(one)}
        return facts

    def value(self, subject: str) -> Any:
        """The value of a directive or fact; see `conditions.Subjects`."""
        known = self._values.get(subject, _NOT_YET)
        if known is _NOT_YET:
            function = FACTS.get(subject)
            known = function(self) if function is not None else self._directive(subject)
            self._values[subject] = known
        return known

    def effective(self, name: str) -> Effective:
        """What is in force for a directive; KeyError if the table lacks it."""
        if "<" in name:
            name = self.resolve(name)
        found = self._used.get(name)
        if found is None:
            level = self.served.level
            if table()[name].merge == "own":
                level = holder(level, name)
            found = self._used[name] = self._ask(level, name)
        return found

    def _ask(self, level: Level, name: str) -> Effective:
        """What is in force at some level, noted as asked for."""
        self.asked.add(name)
        found = level.effective(name, self.version)
        if _by_version(found):
            self.asked.add(VERSION)
        return found

    def headers(self, name: str) -> list[tuple[str, ...]]:
        """The rows of headers in force; of those that rules know nothing of, only the names."""
        name = self.resolve(name)
        known: list[tuple[str, ...]] | None = self._values.get(name + HEADERS)
        if known is None:
            known = self._values[name + HEADERS] = self._headers_at(self.served.level, name)
        return known

    def _headers_at(self, level: Level, name: str) -> list[tuple[str, ...]]:
        self.asked.add(name + HEADERS)
        return [relevant_header(row) for row in level.effective(name, self.version).rows]

    def is_written(self, name: str) -> bool:
        """Whether a directive in force is written somewhere."""
        name = self.resolve(name)
        if name.endswith("_header"):
            return bool(self.headers(name))
        return bool(self.effective(name).directives)

    def _is_since(self, version: Version) -> bool:
        """Whether this nginx is not older than a version."""
        self.asked.add(VERSION)
        return self.version >= version

    def resolve(self, name: str) -> str:
        """A directive's name with placeholders such as `<family>` and `<read_timeout>` filled in.

        Empty where the placeholder's fact does not apply.
        """
        if "<" not in name:
            return name

        def fill(match: re.Match[str]) -> str:
            return str(self.value(match[1]) or "")

        return _PLACEHOLDER.sub(fill, name)

    def has(self, name: str) -> bool:
        """Whether there is such a directive for this stream's family."""
        return self.resolve(name) in table()

    def _directive(self, subject: str) -> Any:
        name = self.resolve(subject)
        entry = table().get(name)
        if entry is None:
            return None  # this family has no such directive
        effective = self.effective(name)
        if not effective.rows:
            return None
        if entry.value in ("strings", "row"):
            return [arg for row in effective.rows for arg in row]
        text = effective.text
        if "$" in text or has_placeholder(text):
            return UNKNOWN
        if entry.value in ("time", "size"):
            return Quantity(text, parse_time if entry.value == "time" else parse_size)
        return text.lower() if entry.value == "flag" else text

    @property
    def author(self) -> Author | None:
        """Who makes this configuration, where that is a controller and no person."""
        return self.served.handler.directive.file.reading.author

    @fact
    def controller(self) -> str | None:
        """The ingress controller that makes this configuration; none where it is nginx text."""
        return self.author.name if self.author is not None else None

    @fact
    def controller_by_class(self) -> bool:
        """Whether only the name of an Ingress' class says which controller that is."""
        return self.author is not None and self.author.by_class

    @fact
    def buffering_is_default(self) -> bool:
        """Whether it is a default, of nginx or a controller, whether answers are buffered."""
        name = f"{self.served.handler.family}_buffering"
        return name in table() and not any(
            one.is_written for one in self.effective(name).directives
        )

    # How the stream is delivered

    @cached_property
    def path(self) -> DeliveryPath:
        """The delivery path of the stream's answers, without what `sub_filter` keeps of events."""
        return replace(self.whole_path, sub_filter=False)

    @fact
    def event_ends_wait(self) -> bool:
        """Whether the end of each event waits for the next one (`sub_filter`)."""
        return bool(self.usual) and self.whole_path.sub_filter

    @cached_property
    def whole_path(self) -> DeliveryPath:
        """The delivery path of the stream's answers."""
        recorded = response_caching(
            self.effective, self.served.handler.family, self.stream.method or "GET", self._request
        )
        plain = PLAIN
        if recorded is not NOTHING and "h2" in self.served.clients:
            self.asked.add(SOCKETS)
            plain = plain_clients(self.served.server, self.version)
        return delivery_path_for(
            self.effective,
            self.served.handler.family,
            CONTENT_TYPES[self.stream.kind],
            recorded,
            plain,
        )

    def _request(self) -> RequestState:
        """A request for the stream, at its end; what is not known of it is unknown."""
        self.asked.add(CONDITIONS)
        method = self.stream.method or "GET"
        where = self.served.level.nearest("location")
        pattern = None if where is None else match_of(where)
        path = self.stream.path
        if path is None and pattern is not None and pattern.modifier in ("", "=", "^~"):
            path = pattern.pattern
        if path is not None and path.startswith("/"):
            asked = Request("http", None, None, path, method)
            found = route_in_server(self.served.server, asked, self.version)
            if found.location is self.served.level and found.state is not None:
                return found.state
        return unknown_request(self.served.server, method, None)

    @property
    def is_http(self) -> bool:
        return self.served.level.kind != "stream-server"

    @cached_property
    def usual_clients(self) -> tuple[Client, ...]:
        """The clients that this server lets in, as far as the stream is known to have them."""
        own = self.stream.clients
        if own is None:
            return self.served.clients
        return tuple(client for client in self.served.clients if client in own) or own

    def scenario(self, client: Client, accepted: AcceptEncoding = "identity") -> Scenario:
        """The usual scenario of a client that accepts this encoding."""
        return Scenario(
            client,
            self.stream.framing or "chunked",
            self.stream.x_accel_buffering or "absent",
            accepted,
        )

    @cached_property
    def usual(self) -> list[Delivery]:
        """What happens in the usual scenarios of each client."""
        if not self.is_http or self.stream.kind in ("websocket", "long-poll"):
            return []  # tunnelled, or a single piece: nothing holds it back
        return [
            self.path.deliver(self.scenario(client, accepted))
            for accepted in USUAL_ENCODINGS
            for client in self.usual_clients
        ]

    def clients_with(self, verdict: str, accepted: AcceptEncoding) -> list[str]:
        """The clients with this verdict among those that accept this encoding."""
        return [
            one.scenario.client
            for one in self.usual
            if one.worst == verdict and one.scenario.accept_encoding == accepted
        ]

    @cached_property
    def changes(self) -> dict[str, Delivery]:
        """What would hold a stream that streams today, by the change that brings it about."""
        if not self.usual:
            return {}
        base = self.scenario(self.usual_clients[0])
        found: dict[str, Delivery] = {}

        def try_out(name: str, scenario: Scenario) -> None:
            delivery = self.path.deliver(scenario)
            if delivery.worst != "streams":
                found[name] = delivery

        def changed(**what: Any) -> Scenario:
            fields = ("client", "framing", "x_accel_buffering", "accept_encoding")
            return Scenario(**{name: getattr(base, name) for name in fields} | what)

        if self.stream.framing is None:
            try_out("close", changed(framing="close"))
        if self.stream.clients is None and "h1-tls" not in self.usual_clients:
            try_out("h1-tls", changed(client="h1-tls"))
        return found

    # The facts

    @names_directive
    def family(self) -> str:
        """The handler's family: proxy, fastcgi, uwsgi, scgi, grpc or tunnel."""
        return self.served.handler.family

    @fact
    def target(self) -> str:
        """What the handler passes to, as written."""
        self.asked.add(TARGET)
        return self.served.handler.target

    @fact
    def kind(self) -> str:
        """The kind of stream: sse, chunked, websocket, long-poll or grpc."""
        return self.stream.kind

    @fact
    def is_endless(self) -> bool:
        """Whether the stream has no end of its own, such as a camera's pictures."""
        return self.stream.is_endless

    @fact
    def method(self) -> str | None:
        """The request method of the stream, where it has only one."""
        return self.stream.method

    @fact
    def websocket_too(self) -> bool:
        """Whether the location is also thought to serve WebSockets."""
        return any(stream.kind == "websocket" for stream in self.served.streams)

    @fact
    def shadowed_by(self) -> str | None:
        """The block that gets the streams this one was written for."""
        shadow = self.served.shadowed_by
        if shadow is None or shadow.directive is None:
            return None
        return f"{shadow.label} ({shadow.directive.source.name}:{shadow.directive.line})"

    @fact
    def prefix(self) -> str:
        """The location's own path."""
        self.asked.add(PREFIX)
        return prefix_of(self.served)

    @fact
    def level(self) -> str:
        """Where the handler stands: location, if-in-location, limit_except or stream-server."""
        return self.served.level.kind

    @fact
    def clients(self) -> list[str]:
        """The clients that reach the stream: h1, h1-tls, h2, h3."""
        return list(self.usual_clients)

    @fact
    def buffered(self) -> bool:
        """Whether the answer is buffered in the usual scenario."""
        if not self.usual:
            return False
        return self.path.is_buffered(self.stream.x_accel_buffering or "absent")

    @fact
    def app_asks_for_buffering(self) -> bool:
        """Whether the app itself switches buffering on (`X-Accel-Buffering: yes`)."""
        asked = self.stream.x_accel_buffering == "yes" and self.value("buffered")
        return bool(asked) and not self.path.accel_ignored

    @fact
    def stalled_clients(self) -> list[str]:
        """The clients for which the stream stalls in a usual scenario."""
        stalled = [one.scenario.client for one in self.usual if one.worst == "stalls"]
        return list(dict.fromkeys(stalled))

    @fact
    def replayed_clients(self) -> list[str]:
        """The clients that get a recording instead of the stream."""
        return self.clients_with("replays", "identity")

    @fact
    def breaking_changes(self) -> list[str]:
        """The common changes that would hold it: close, h1-tls."""
        return list(self.changes)

    @fact
    def holds(self) -> list[str]:
        """Everything that holds the response in some usual scenario."""
        found: dict[Hold, None] = {}
        for one in self.usual:
            found |= dict.fromkeys(self.path.holds(one.scenario))
        return list(found)

    @fact
    def held_bytes(self) -> int | None:
        """How many bytes the worst usual hold collects; None: the whole answer, or nothing."""
        held = [one.held_bytes for one in self.usual if one.worst == "stalls"]
        return None if None in held else max((one for one in held if one is not None), default=None)

    @fact
    def first_text_s(self) -> float | None:
        """How long the first text waits in the worst usual case; None: until the answer ends."""
        waits = [one.first_text_s for one in self.usual]
        return None if None in waits else max((one for one in waits if one is not None), default=0)

    @fact
    def cached(self) -> str:
        """Whether a cache answers later requests: no, yes, unknown (only while buffered)."""
        return self.path.recording.later if self.value("buffered") else "no"

    @fact
    def stored(self) -> bool:
        """Whether answers are written to files (`<family>_store`) while buffered."""
        if not self.value("buffered"):
            return False
        return self.effective("<family>_store").text not in ("", "off")

    @names_directive
    def recorded_by(self) -> str | None:
        """The directive that may record answers: `<family>_cache` or `<family>_store`."""
        if self.value("cached") != "no":
            return f"{self.served.handler.family}_cache"
        return f"{self.served.handler.family}_store" if self.value("stored") else None

    # Comments that ignore findings; see suppress/comments.py

    @fact
    def ignore_mistake(self) -> str | None:
        """What is wrong with a comment: no-reason, unknown-rule, unused; none for a stream."""
        return None

    @fact
    def ignored_rules(self) -> list[str]:
        """The rules in such a comment that this is about."""
        return []

    # Blocks that no request ends in; see nginx/unreachable_locations.py

    @fact
    def never_matches(self) -> str | None:
        """The path of a location that no request can end in; none for a stream."""
        return None

    @fact
    def meant(self) -> list[str]:
        """How such a location was probably meant, the likeliest first."""
        return []

    # Declared streams that nginx passes to no app; see streams/unproxied.py

    @fact
    def declared(self) -> str | None:
        """A declared path or URL that nginx passes to no app; none for a stream."""
        return None

    @fact
    def nginx_answers(self) -> str | None:
        """What nginx does with it instead, in words: it returns 404."""
        return None

    @fact
    def absent_include(self) -> str | None:
        """An include that leads nowhere here and may pass it on; none for a stream."""
        return None

    # X-Accel-Buffering, and buffering of other families

    @fact
    def accel_header_ignored(self) -> bool:
        """Whether the app's X-Accel-Buffering is dead (`<family>_ignore_headers`)."""
        return self.is_http and self.path.accel_ignored

    @fact
    def accel_header_added(self) -> bool:
        """Whether `add_header X-Accel-Buffering no` is in force."""
        return self.is_http and _has_header(self.headers("add_header"), "x-accel-buffering")

    @fact
    def accel_header_sent_upstream(self) -> bool:
        """Whether X-Accel-Buffering is set on the request to the app."""
        if self.served.handler.family not in ("proxy", "grpc") or not self.is_http:
            return False
        return _has_header(self.headers("<family>_set_header"), "x-accel-buffering")

    @names_directive
    def misplaced_accel(self) -> str | None:
        """The directive that sets X-Accel-Buffering where this nginx does not look.

        To the app it never does anything; to the client only while the answer is buffered here.
        """
        if self.value("accel_header_sent_upstream"):
            return f"{self.served.handler.family}_set_header"
        added = self.value("accel_header_added") and self.value("buffered")
        return "add_header" if added else None

    @names_directive
    def other_family_buffering(self) -> str | None:
        """`<family>_buffering off` of another family than the handler's, written at this level."""
        named = self.served.level.nearest("location") or self.served.level
        for family in FAMILIES:
            name = f"{family}_buffering"
            if family == self.served.handler.family:
                continue
            self.asked.add(name)
            for row in named.rows.get(name, []):
                if row.args[:1] == ("off",) and row.is_written:
                    return name
        return None

    # Time

    @names_directive
    def read_timeout(self) -> str:
        """The directive that limits silence: `<family>_read_timeout`, `proxy_timeout` in stream."""
        return f"{self.served.handler.family}_read_timeout" if self.is_http else "proxy_timeout"

    @fact
    def read_timeout_s(self) -> float | None:
        """The longest silence nginx waits for, in seconds."""
        return parse_time(self.effective(self.value("read_timeout")).text)

    @fact
    def client_streams(self) -> bool:
        """Whether the client goes on sending while the stream lasts."""
        return self.stream.client_streams and self.is_http

    @fact
    def client_timeout_s(self) -> float | None:
        """The longest silence of a client that still sends, in seconds; none for any other."""
        return client_silence_s(self.effective) if self.value("client_streams") else None

    @fact
    def client_timeout_is_short(self) -> bool:
        """Whether that is less than a stream should survive."""
        limit = self.value("client_timeout_s")
        return limit is not None and limit < self.minimum_s

    @cached_property
    def _cuts(self) -> dict[str, float]:
        """The silence in seconds that cuts the stream, by the directive that says so.

        Without those that heartbeats of the app prevent.
        """
        limits = {self.value("read_timeout"): self.value("read_timeout_s")}
        restarted = set(limits)
        if self.value("client_streams"):
            limits["client_body_timeout"] = self.value("client_timeout_s")
            if app_ends_client_silence(self.effective, self.served.handler.family):
                restarted.add("client_body_timeout")
        heartbeat = self.stream.heartbeat_s
        return {
            name: limit
            for name, limit in limits.items()
            if limit is not None
            and not (name in restarted and heartbeat is not None and heartbeat < limit)
        }

    @fact
    def cut_after_s(self) -> float | None:
        """The silence in seconds that cuts the stream; None if heartbeats come more often."""
        return min(self._cuts.values(), default=None)

    @names_directive
    def cut_by(self) -> str:
        """The directive that cuts it: the read timeout, or `client_body_timeout`."""
        return min(
            self._cuts, key=lambda name: self._cuts[name], default=self.value("read_timeout")
        )

    @names_directive
    def cut_soon_by(self) -> str | None:
        """The same, if that is sooner than a stream should survive."""
        limit = self.value("cut_after_s")
        return self.value("cut_by") if limit is not None and limit < self.minimum_s else None

    @fact
    def http3_cut_after_s(self) -> float | None:
        """The silence in seconds that cuts HTTP/3 clients without PINGs; none where it is no less.

        That is the server's `keepalive_timeout`; none, too, if heartbeats come more often.
        """
        if "h3" not in self.usual_clients or not self.is_http:
            return None
        self.asked.add(IDLE)
        limit = idle_timeout_s(self.served.server, self.version)
        heartbeat = self.stream.heartbeat_s
        if limit is None or (heartbeat is not None and heartbeat < limit):
            return None
        other = self.value("cut_after_s")
        return limit if other is None or limit < other else None

    @names_directive
    def http3_cut_by(self) -> str | None:
        """What lets in HTTP/3 clients that are cut sooner than a stream should survive: listen."""
        limit = self.value("http3_cut_after_s")
        is_sooner = limit is not None and limit < self.minimum_s
        return "listen" if is_sooner and self.value("cut_soon_by") is None else None

    @fact
    def known_silence_s(self) -> float | None:
        """A silence in seconds that the app is known to keep, with a source in the catalogue."""
        return self.stream.silence_s

    @fact
    def min_read_timeout_s(self) -> float:
        """The silence in seconds that a stream should survive (--min-read-timeout)."""
        return self.minimum_s

    # The request to the upstream

    @names_directive
    def request_collected_by(self) -> str | None:
        """The directive that collects the whole request while the client still sends it."""
        if not self.value("client_streams"):
            return None
        rows = self.effective("mirror").rows
        is_mirrored = self.effective("mirror_request_body").text != "off" and any(
            row[:1] not in ((), ("off",)) for row in rows
        )
        return collected_by(self.effective, self.served.handler.family, is_mirrored)

    @fact
    def http_version(self) -> str | Unknown | None:
        """The HTTP version spoken to the upstream by the proxy family."""
        return self.value("proxy_http_version") if self._proxies_http else None

    @property
    def _proxies_http(self) -> bool:
        return self.served.handler.family == "proxy" and self.is_http

    def _sent_header(self, name: str) -> str | None:
        """A header row in force for the upstream; None if there is none.

        Of several nginx sends all that are not empty.
        """
        rows = self.headers("proxy_set_header")
        values = [row[1] if len(row) > 1 else "" for row in rows if row and row[0].lower() == name]
        return next(filter(None, values), "") if values else None

    @fact
    def connection_row(self) -> str | None:
        """The Connection row in force for the app, as written; None where nginx decides."""
        return self._sent_header("connection") if self._proxies_http else None

    @fact
    def connection_header(self) -> str | Unknown | None:
        """The Connection header as sent to the upstream; empty if none is, unknown if variable."""
        if not self._proxies_http:
            return None
        sent = self.value("connection_row")
        if sent is None:
            return "" if self._is_since(NEW) else "close"
        return UNKNOWN if "$" in sent or has_placeholder(sent) else sent.lower()

    @fact
    def closes_upstream_connections(self) -> bool:
        """Whether the app is told to close each connection: by a row, or in vain with `keepalive`.

        Without a row nginx does so by default before 1.29.7, and that matters only where the
        upstream's block keeps connections. Not where an outer row is dropped, which may come back.
        """
        if self.value("connection_header") != "close":
            return False
        if any(name.lower() == "connection" for name in self.value("dropped_headers")):
            return False
        return self.value("connection_row") is not None or bool(self.value("upstream_keepalive"))

    @fact
    def upgrade_header(self) -> str | None:
        """The Upgrade header row in force, as written."""
        return self._sent_header("upgrade") if self._proxies_http else None

    @cached_property
    def _handshakes(self) -> Handshakes:
        """What becomes of WebSocket handshakes here."""
        self.asked |= {HANDSHAKE, VERSION}
        return handshakes(self.served, self.version)

    @fact
    def handshake(self) -> str | None:
        """What becomes of WebSocket handshakes: none (nothing bad), or one of three.

        `fails`; `depends-on-app` where nginx uses HTTP/1.0, which some apps refuse;
        `depends-on-client` where it fails if Connection says more than Upgrade, as Firefox's does.
        """
        return self._handshakes.verdict

    @fact
    def handshake_lacks(self) -> list[str]:
        """What is missing or wrong in handshakes: HTTP/1.1, GET, and the names of headers."""
        shown = self._handshakes.shown
        if shown is None or self.value("handshake") is None:
            return []
        old = ["HTTP/1.1"] if shown.http_version not in ("1.1", None) else []
        return [*old, *([] if shown.is_get else ["GET"]), *shown.wrong_headers]

    @fact
    def handshake_gets(self) -> list[str]:
        """What the app gets instead, in words: HTTP/1.0, no Upgrade header, Connection: close."""
        shown = self._handshakes.shown
        sent = {} if shown is None else dict(shown.headers)
        words: list[str] = []
        for name in self.value("handshake_lacks"):
            if name == "HTTP/1.1" and shown is not None:
                words.append(f"HTTP/{shown.http_version}")
            elif name == "GET" and shown is not None:
                words.append(f"method {shown.method}")
            else:
                words.append(f"{name}: {sent[name]}" if sent[name] else f"no {name} header")
        return words

    @fact
    def handshake_hidden(self) -> list[str]:
        """The headers of the app's 101 that the client needs and `proxy_hide_header` removes."""
        shown = self._handshakes.shown
        return [] if shown is None else list(shown.hidden)

    @fact
    def hidden_here(self) -> bool:
        """Whether the rows of `proxy_hide_header` in force stand in the location itself."""
        return self.effective("proxy_hide_header").origin == "explicit"

    @fact
    def connection_value(self) -> str:
        """What Connection should say here: a variable, or "upgrade" where all are handshakes."""
        if self._handshakes.variable is not None:
            return f"${self._handshakes.variable}"
        added = self.value("added_variable")
        return f"${added}" if added is not None else '"upgrade"'

    @fact
    def added_variable(self) -> str | None:
        """The variable that a new map should make for Connection; none where none is needed."""
        if self._handshakes.variable is not None:
            return None
        self.asked.add(PREFIX)
        return None if only_websockets(self.served) else new_variable(self.served)

    @fact
    def upstream_keepalive(self) -> bool:
        """Whether the upstream's block asks for kept-alive connections (`keepalive`)."""
        self.asked.add(UPSTREAM)
        return keeps_alive(self.served)

    @fact
    def dropped_headers(self) -> list[str]:
        """Names of outer `<family>_set_header` rows that rows of this level drop, if missed."""
        if self.served.handler.family not in ("proxy", "grpc") or not self.is_http:
            return []
        name = f"{self.served.handler.family}_set_header"
        if not self.headers(name):
            return []
        levels = [level for level in self.served.level.outward() if level.rows.get(name)]
        if len(levels) < 2:
            return []
        here = {row.args[0].lower() for row in levels[0].rows[name] if row.args}
        if "connection" in here:
            here.add("upgrade")  # one belongs to the other, and this level has decided on it
        return [
            row.args[0]
            for row in levels[1].rows[name]
            if row.args and _MISSED.fullmatch(row.args[0]) and row.args[0].lower() not in here
        ]

    @names_directive
    def runs_twice(self) -> str | None:
        """What sends the same request a second time: `<family>_next_upstream` or `mirror`."""
        if not self.is_http:
            return None
        retries = _contains_any_arg(self.effective("<family>_next_upstream"), "non_idempotent")
        if retries and self.stream.method != "GET" and not self._has_one_peer:
            return f"{self.served.handler.family}_next_upstream"
        return "mirror" if self._mirrors else None

    @property
    def _mirrors(self) -> bool:
        """Whether a copy of the request, its body included, goes to another location's app."""
        if self.stream.method != "GET" and self.effective("mirror_request_body").text == "off":
            return False
        if all(row[:1] in ((), ("off",)) for row in self.effective("mirror").rows):
            return False
        self.asked.add(MIRRORS)
        return is_mirrored(self.served, self.version)

    @property
    def _has_one_peer(self) -> bool:
        self.asked.add(UPSTREAM)
        return has_one_peer(self.served)

    @fact
    def next_upstream_once(self) -> str:
        """The conditions of `<family>_next_upstream` in force, without `non_idempotent`."""
        rows = self.effective("<family>_next_upstream").rows
        kept = [arg for row in rows for arg in row if arg != "non_idempotent"]
        return " ".join(kept) or "error timeout"

    @cached_property
    def auth_target(self) -> Level | None:
        """The location of this server that `auth_request` asks, if it hands requests on."""
        if not self.is_http:
            return None
        if self.effective("auth_request").text in ("", "off"):
            return None
        self.asked.add(AUTH_TARGET)
        return auth_target(self.served, self.version)

    @fact
    def auth_waits_for_body(self) -> str | None:
        """The `auth_request` target that announces a body to its upstream and sends none."""
        target = self.auth_target
        if target is None or target.handler is None or target.handler.family != "proxy":
            return None
        if self._ask(target, "proxy_set_body").rows:
            return None
        if _has_header(self._headers_at(target, "proxy_set_header"), "content-length"):
            return None
        if self._ask(target, "proxy_pass_request_headers").text == "off":
            return None
        return target.label

    # The way to the client

    @fact
    def throttle(self) -> int | Unknown | None:
        """The lowest rate limit in force, in bytes a second; None without one.

        Those of http {} count while the answer is buffered.
        """
        if self.is_http and not self.value("buffered"):
            return None
        texts = [self.effective(name).text for name in self._rate_limits]
        if any("$" in text for text in texts):
            return UNKNOWN
        return min((rate for rate in map(parse_size, texts) if rate), default=None)

    @names_directive
    def throttled_by(self) -> str | None:
        """The directive with the lowest rate limit: `limit_rate`, `proxy_download_rate` …"""
        rates = {name: parse_size(self.effective(name).text) or 0 for name in self._rate_limits}
        limits = {name: rate for name, rate in rates.items() if rate}
        return min(limits, key=lambda name: limits[name], default=None)

    @property
    def _rate_limits(self) -> list[str]:
        if not self.is_http:
            return ["proxy_download_rate"]
        names = ("limit_rate", f"{self.served.handler.family}_limit_rate")
        return [name for name in names if name in table()]

    @names_directive
    def cdn_may_store(self) -> str | None:
        """The directive that tells caches in front to keep the answer: expires or add_header."""
        if not self.is_http:
            return None
        rows = self.headers("add_header")
        values = [row[1] for row in rows if len(row) > 1 and row[0].lower() == "cache-control"]
        if any(_is_forbidden(value) for value in values):
            return None
        if any(_is_allowed(value) for value in values):
            return "add_header"
        expires = self.effective("expires").rows
        value = expires[0][-1].lstrip("+@") if expires else "off"
        return "expires" if value == "max" or (parse_time(value) or 0) > 0 else None

    @fact
    def six_per_browser(self) -> bool:
        """Whether browsers have only HTTP/1.1 over TLS here: six connections a server.

        Not where somebody said which clients there are.
        """
        reach = self.served.clients
        return "h1-tls" in reach and "h2" not in reach and self.stream.clients is None

    @fact
    def http2_is_directive(self) -> bool:
        """Whether this nginx has `http2` as a directive (1.25.1), not only as a listen word."""
        return self._is_since((1, 25, 1))

    @cached_property
    def _limit(self) -> StreamLimit | None:
        """The `limit_conn` or `limit_req` that allows the fewest streams."""
        self.asked |= {"limit_conn_zone", "limit_req_zone"}
        limit = stream_limit(self.served.level, self.effective)
        if self.effective("limit_conn").rows or self.effective("limit_req").rows:
            self.asked.add("server_name")  # a server without one leaves that key empty
        return limit

    @names_directive
    def scarce(self) -> str:
        """What runs out first: limit_conn or limit_req of less than six, or worker_connections."""
        limit = self._limit
        return "worker_connections" if limit is None or limit.streams >= _SIX else limit.directive

    @fact
    def limited_streams(self) -> int | None:
        """How many streams it lets a client have at a time, or begin at once."""
        return None if self._limit is None else self._limit.streams

    @fact
    def limited_key(self) -> str:
        """What it counts by, such as $binary_remote_addr; empty where that is not there to see."""
        return "" if self._limit is None else self._limit.key

    @fact
    def more_streams(self) -> str:
        """The arguments of that directive with room for 100 streams."""
        return "" if self._limit is None else self._limit.raised(100)

    @fact
    def streams_per_worker(self) -> int | None:
        """How many streams one worker has connections for: two each."""
        text = self.effective("worker_connections").text
        number = whole_number(text)
        return None if number is None else number // 2


def _by_version(effective: Effective) -> bool:
    """Whether another nginx may use something else."""
    return effective.origin == "default" and table()[effective.name].default_changed


def relevant_header(header: tuple[str, ...]) -> tuple[str, ...]:
    """A row of a header as far as facts look at it: most values tell them nothing."""
    return header if header and header[0].lower() in _TELLING else header[:1]


def holder(level: Level, name: str) -> Level:
    """The level to ask for a directive: the stream's, or where a level's `own` ones stand."""
    entry = table()[name]
    if entry.merge != "own":
        return level
    if entry.contexts == {"events"}:
        main = level.nearest("main")
        return (main and main.first("events")) or level
    return level.nearest(*entry.contexts) or level


def prefix_of(served: ProxiedLocation) -> str:
    """The path of the location that a place is in."""
    return match_of(served.level.nearest("location") or served.level).pattern


def _host(target: str) -> str:
    """The name or address in a handler's target."""
    return _SCHEME.sub("", target).split("/")[0]


@cached_on_level
def _upstreams(http: Level) -> dict[str, Level]:
    """The `upstream` blocks by name, the first of each."""
    found: dict[str, Level] = {}
    for level in http.children:
        if level.kind == "upstream" and level.directive and len(level.directive.args) == 1:
            found.setdefault(level.directive.args[0], level)
    return found


def _upstream(served: ProxiedLocation) -> Level | None:
    """The `upstream` block that the handler names."""
    http = served.level.nearest("http")
    return _upstreams(http).get(_host(served.handler.target)) if http is not None else None


def keeps_alive(served: ProxiedLocation) -> bool:
    """Whether the block of the upstream asks for kept-alive connections."""
    upstream = _upstream(served)
    rows = upstream.rows.get("keepalive", []) if upstream is not None else []
    return bool(rows) and rows[-1].args[:1] != ("0",)


def has_one_peer(served: ProxiedLocation) -> bool:
    """Whether there is only one address to send a request to, so that none is tried again."""
    upstream = _upstream(served)
    if upstream is None:
        hosts = [_host(served.handler.target)]
    else:
        hosts = [row.args[0] for row in upstream.rows.get("server", []) if row.args]
    return len(hosts) == 1 and _ADDRESS.match(hosts[0]) is not None


def is_mirrored(served: ProxiedLocation, version: Version) -> bool:
    """Whether a `mirror` in force leads to a location that hands requests on."""
    rows = served.level.effective("mirror", version).rows
    uris = [row[0] for row in rows if row and row[0] != "off"]
    return any(_handing_on(served.server, uri) is not None for uri in uris)


class Handshakes(Struct, frozen=True):
    """What becomes of WebSocket handshakes at a place.

    `shown` is the one that `verdict` is about; see `Facts.handshake`. `variable` is one that is
    right for Connection there, without its `$`.
    """

    verdict: str | None
    shown: Handshake | None
    variable: str | None


def handshakes(served: ProxiedLocation, version: Version) -> Handshakes:
    """What becomes of WebSocket handshakes at a place, for the usual clients."""
    path = next((one.path for one in served.streams if one.kind == "websocket"), None)
    path = path.partition("*")[0] if path is not None else None
    scheme = "http" if "h1" in served.clients else "https"
    variable = connection_variable(served.server)

    def of(*connection: str) -> Handshake | None:
        return handshake_at(served.level, served.server, version, path, scheme, *connection)

    usual, other = of(), of(LONG_CONNECTION)
    if usual is not None and usual.fails:
        return Handshakes("fails", usual, variable)
    if other is not None and other.fails:
        return Handshakes("depends-on-client", other, variable)
    is_old = usual is not None and usual.is_old
    return Handshakes("depends-on-app" if is_old else None, usual, variable)


def only_websockets(served: ProxiedLocation) -> bool:
    """Whether a location is for WebSockets alone, by its path.

    Not if they are one transport of several there, as with Socket.IO, SockJS and SignalR.
    """
    pattern = prefix_of(served)
    kinds = {one.kind for one in (*served.streams, *streams_at(pattern))}
    if kinds != {"websocket"} or _TRANSPORTS.search(pattern):
        return False
    return bool(streams_at(pattern)) or pattern in {one.path for one in served.streams}


@cached_on_level
def _free_name(http: Level) -> str | None:
    return next((name for name in _NAMES if not defines(http, name)), None)


def new_variable(served: ProxiedLocation) -> str | None:
    """A name for a new variable at a place, without its `$`."""
    http = served.level.nearest("http")
    return _NAMES[0] if http is None else _free_name(http)


def auth_target(served: ProxiedLocation, version: Version) -> Level | None:
    """The location of this server that `auth_request` asks, if it hands requests on."""
    uri = served.level.effective("auth_request", version).text
    return None if uri in ("", "off") or "$" in uri else _handing_on(served.server, uri)


def _handing_on(server: Level, uri: str) -> Level | None:
    """The location that a URI of the configuration leads to, if it hands requests on."""
    level = find_location(server, uri.split("?", maxsplit=1)[0])
    return level if level is not None and level.handler is not None else None


def _has_header(rows: list[tuple[str, ...]], name: str) -> bool:
    return any(row[0].lower() == name for row in rows if row)


def _contains_any_arg(effective: Effective, word: str) -> bool:
    return any(word == arg for row in effective.rows for arg in row)


def _is_forbidden(cache_control: str) -> bool:
    """Whether a Cache-Control value keeps shared caches from answering with what they have."""
    return bool(_words(cache_control) & {"no-store", "private", "no-cache"})


def _is_allowed(cache_control: str) -> bool:
    """Whether a Cache-Control value lets shared caches keep an answer."""
    words = _words(cache_control)
    ages = [re.fullmatch(r"(?:s-maxage|max-age)=([0-9]+)", word) for word in words]
    return "public" in words or any(age is not None and age[1].strip("0") for age in ages)


def _words(cache_control: str) -> set[str]:
    return {word.strip().lower() for word in cache_control.split(",")}
