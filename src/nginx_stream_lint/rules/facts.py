"""The facts that rules speak of, about one stream through one location.

Each fact is a function of `Facts` marked with `@fact`; its docstring is its documentation. A rule
file may use no other names, so this module is all that Python has to say about what rules can see.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from typing import Any

from nginx_stream_lint.nginx.delivery import Delivery, Hold, Path, Scenario, path
from nginx_stream_lint.nginx.directives import FAMILIES, table
from nginx_stream_lint.nginx.levels import Effective, Level
from nginx_stream_lint.nginx.listeners import Client
from nginx_stream_lint.nginx.routing import find
from nginx_stream_lint.nginx.values import seconds, size
from nginx_stream_lint.nginx.versions import NEW, OLD, Version
from nginx_stream_lint.rules.conditions import UNKNOWN
from nginx_stream_lint.streams.find import Served
from nginx_stream_lint.streams.stream import CONTENT_TYPES, Stream

FACTS: dict[str, Callable[[Facts], Any]] = {}

# Headers to the upstream that somebody sets for a reason and misses when they are dropped.
_MISSED = re.compile(r"(?i)connection|upgrade|host|x-forwarded-.*")


def fact(function: Callable[[Facts], Any]) -> Callable[[Facts], Any]:
    """Make a method of `Facts` a subject of rules, under its own name."""
    FACTS[function.__name__] = function
    return function


class Facts:
    """The subjects of rules for one stream; values are worked out when asked for.

    `version` is None where nobody said which nginx runs: then the old defaults hold.
    """

    def __init__(
        self,
        served: Served,
        stream: Stream,
        version: Version | None,
        min_read_timeout_s: float,
    ) -> None:
        self.served = served
        self.stream = stream
        self.version = version or OLD
        self.version_is_known = version is not None
        self.minimum_s = min_read_timeout_s
        self.used: dict[str, Effective] = {}
        self._values: dict[str, Any] = {}

    def value(self, subject: str) -> Any:
        """The value of a directive or fact; see `conditions.Subjects`."""
        if subject not in self._values:
            function = FACTS.get(subject)
            self._values[subject] = function(self) if function else self._directive(subject)
        return self._values[subject]

    def effective(self, name: str) -> Effective:
        """What is in force for a directive; KeyError if the table lacks it."""
        name = self.resolve(name)
        if name not in self.used:
            level = self.served.level
            if table()[name].contexts == {"events"}:
                main = level.nearest("main")
                level = (main and main.first("events")) or level
            self.used[name] = level.effective(name, self.version)
        return self.used[name]

    def resolve(self, name: str) -> str:
        """A directive's name with `<family>` and `<read_timeout>` filled in."""
        if name == "<read_timeout>":
            return str(self.value("read_timeout"))
        return name.replace("<family>", self.served.handler.family)

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
        return UNKNOWN if "$" in effective.text else effective.text

    # How the stream is delivered

    @cached_property
    def path(self) -> Path:
        """The delivery path of the stream's answers."""
        return path(
            self.served.level,
            self.served.handler.family,
            self.version,
            CONTENT_TYPES[self.stream.kind],
            self.stream.method or "GET",
        )

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

    def scenario(self, client: Client) -> Scenario:
        """The usual scenario of a client."""
        return Scenario(
            client, self.stream.framing or "chunked", self.stream.x_accel_buffering or "absent"
        )

    @cached_property
    def usual(self) -> list[Delivery]:
        """What happens in the usual scenario of each client."""
        if not self.is_http or self.stream.kind in ("websocket", "long-poll"):
            return []  # tunnelled, or a single piece: nothing holds it back
        return [self.path.deliver(self.scenario(client)) for client in self.usual_clients]

    @cached_property
    def changes(self) -> dict[str, Delivery]:
        """What would hold a stream that streams today, by the change that brings it about."""
        if not self.usual:
            return {}
        base = self.scenario(self.usual_clients[0])
        found: dict[str, Delivery] = {}

        def try_out(name: str, scenario: Scenario) -> None:
            delivery = self.path.deliver(scenario)
            if delivery.verdict != "streams":
                found[name] = delivery

        def changed(**what: Any) -> Scenario:
            fields = ("client", "framing", "x_accel_buffering", "accept_encoding")
            return Scenario(**{name: getattr(base, name) for name in fields} | what)

        if self.stream.framing is None:
            try_out("close", changed(framing="close"))
        try_out("gzip", changed(accept_encoding="gzip"))
        if self.stream.clients is None and "h1-tls" not in self.usual_clients:
            try_out("h1-tls", changed(client="h1-tls"))
        return found

    # The facts

    @fact
    def family(self) -> str:
        """The handler's family: proxy, fastcgi, uwsgi, scgi or grpc."""
        return self.served.handler.family

    @fact
    def target(self) -> str:
        """What the handler passes to, as written."""
        return self.served.handler.target

    @fact
    def kind(self) -> str:
        """The kind of stream: sse, chunked, websocket or long-poll."""
        return self.stream.kind

    @fact
    def level(self) -> str:
        """Where the handler stands: location, if-in-location, limit_except or stream-server."""
        return self.served.level.kind

    @fact
    def clients(self) -> list[str]:
        """The clients that reach the stream: h1, h1-tls, h2."""
        return list(self.usual_clients)

    @fact
    def buffered(self) -> bool:
        """Whether the answer is buffered in the usual scenario."""
        if not self.usual:
            return False
        return self.path.is_buffered(self.stream.x_accel_buffering or "absent")

    @fact
    def stalled_clients(self) -> list[str]:
        """The clients for which the stream stalls in the usual scenario."""
        return [one.scenario.client for one in self.usual if one.verdict == "stalls"]

    @fact
    def replayed_clients(self) -> list[str]:
        """The clients that get a recording instead of the stream."""
        return [one.scenario.client for one in self.usual if one.verdict == "replays"]

    @fact
    def breaking_changes(self) -> list[str]:
        """The common changes that would hold it: close, gzip, h1-tls."""
        return list(self.changes)

    @fact
    def holds(self) -> list[str]:
        """Everything that holds the answer for some usual client, or one that accepts gzip."""
        found: dict[Hold, None] = {}
        for client in self.usual_clients:
            usual = self.scenario(client)
            for encoding in ("identity", "gzip"):
                scenario = Scenario(
                    client,
                    usual.framing,
                    usual.x_accel_buffering,
                    "gzip" if encoding == "gzip" else "identity",
                )
                found |= dict.fromkeys(self.path.holds(scenario))
        return list(found) if self.usual else []

    @fact
    def held_bytes(self) -> int | None:
        """How many bytes the worst usual hold collects; None: the whole answer, or nothing."""
        held = [one.held_bytes for one in self.usual if one.verdict == "stalls"]
        return None if None in held else max((one for one in held if one is not None), default=None)

    @fact
    def first_text_s(self) -> float | None:
        """How long the first text waits in the worst usual case; None: until the answer ends."""
        waits = [one.first_text_s for one in self.usual]
        return None if None in waits else max((one for one in waits if one is not None), default=0)

    @fact
    def cached(self) -> str:
        """Whether a cache answers later requests: no, yes, unknown (only while buffered)."""
        return self.path.cache if self.value("buffered") else "no"

    @fact
    def stored(self) -> bool:
        """Whether answers are written to files (`<family>_store`) while buffered."""
        if not self.value("buffered"):
            return False
        return self.effective("<family>_store").text not in ("", "off")

    # X-Accel-Buffering, and buffering of other families

    @fact
    def accel_header_ignored(self) -> bool:
        """Whether the app's X-Accel-Buffering is dead (`<family>_ignore_headers`)."""
        return self.is_http and self.path.accel_ignored

    @fact
    def accel_header_added(self) -> bool:
        """Whether `add_header X-Accel-Buffering no` is in force."""
        return self.is_http and _has_header(self.effective("add_header"), "x-accel-buffering")

    @fact
    def accel_header_sent_upstream(self) -> bool:
        """Whether X-Accel-Buffering is set on the request to the app."""
        if self.served.handler.family not in ("proxy", "grpc") or not self.is_http:
            return False
        return _has_header(self.effective("<family>_set_header"), "x-accel-buffering")

    @fact
    def other_family_buffering(self) -> str | None:
        """`<family>_buffering off` of another family than the handler's, set at this level."""
        named = self.served.level.nearest("location") or self.served.level
        for family in FAMILIES:
            for row in named.rows.get(f"{family}_buffering", []):
                if family != self.served.handler.family and row.args[:1] == ("off",):
                    return row.name
        return None

    # Time

    @fact
    def read_timeout(self) -> str:
        """The directive that limits silence: `<family>_read_timeout`, `proxy_timeout` in stream."""
        return f"{self.served.handler.family}_read_timeout" if self.is_http else "proxy_timeout"

    @fact
    def read_timeout_s(self) -> float | None:
        """The longest silence nginx waits for, in seconds."""
        return seconds(self.effective(self.value("read_timeout")).text)

    @fact
    def cut_after_s(self) -> float | None:
        """The silence in seconds that cuts the stream; None if heartbeats come more often."""
        limit: float | None = self.value("read_timeout_s")
        heartbeat = self.stream.heartbeat_s
        if limit is not None and heartbeat is not None and heartbeat < limit:
            return None
        return limit

    @fact
    def min_read_timeout_s(self) -> float:
        """The silence in seconds that a stream should survive (--min-read-timeout)."""
        return self.minimum_s

    # The request to the upstream

    @fact
    def http_version(self) -> str | None:
        """The HTTP version spoken to the upstream by the proxy family."""
        return self.value("proxy_http_version") if self._proxies_http else None

    @property
    def _proxies_http(self) -> bool:
        return self.served.handler.family == "proxy" and self.is_http

    def _sent_header(self, name: str) -> str | None:
        """A header row in force for the upstream; None if there is none."""
        for row in self.effective("proxy_set_header").rows:
            if row[0].lower() == name:
                return row[1] if len(row) > 1 else ""
        return None

    @fact
    def connection_header(self) -> Any:
        """The Connection header as sent to the upstream; empty if none is, unknown if variable."""
        if not self._proxies_http:
            return None
        sent = self._sent_header("connection")
        if sent is None:
            return "" if self.version >= NEW else "close"
        return UNKNOWN if "$" in sent else sent.lower()

    @fact
    def upgrade_header(self) -> str | None:
        """The Upgrade header row in force, as written."""
        return self._sent_header("upgrade") if self._proxies_http else None

    @fact
    def upgrades(self) -> bool:
        """Whether a WebSocket handshake reaches the upstream whole."""
        connection = self._sent_header("connection") if self._proxies_http else None
        return (
            self.value("http_version") == "1.1"
            and bool(self.value("upgrade_header"))
            and connection is not None
            and ("$" in connection or "upgrade" in connection.lower())
        )

    @fact
    def upstream_keepalive(self) -> bool:
        """Whether the upstream's block asks for kept-alive connections (`keepalive`)."""
        upstream = self._upstream()
        rows = upstream.rows.get("keepalive", []) if upstream is not None else []
        return bool(rows) and rows[-1].args[:1] != ("0",)

    def _upstream(self) -> Level | None:
        """The `upstream` block that the handler names."""
        http = self.served.level.nearest("http")
        name = re.sub(r"^\w+://", "", self.served.handler.target).split("/")[0]
        for level in http.children if http is not None else []:
            if level.kind == "upstream" and level.directive and level.directive.args == (name,):
                return level
        return None

    @fact
    def dropped_headers(self) -> list[str]:
        """Names of outer `<family>_set_header` rows that rows of this level drop, if missed."""
        return [row[0] for row in self.dropped_rows]

    @cached_property
    def dropped_rows(self) -> list[tuple[str, ...]]:
        """The outer rows that are dropped here and that somebody will miss."""
        if self.served.handler.family not in ("proxy", "grpc") or not self.is_http:
            return []
        name = f"{self.served.handler.family}_set_header"
        levels = [level for level in self.served.level.outward() if level.rows.get(name)]
        if len(levels) < 2:
            return []
        here = {row.args[0].lower() for row in levels[0].rows[name] if row.args}
        return [
            row.args
            for row in levels[1].rows[name]
            if row.args and _MISSED.fullmatch(row.args[0]) and row.args[0].lower() not in here
        ]

    @fact
    def runs_twice(self) -> str | None:
        """What sends the same request a second time: `<family>_next_upstream` or `mirror`."""
        if not self.is_http:
            return None
        if _contains_any_arg(self.effective("<family>_next_upstream"), "non_idempotent"):
            return f"{self.served.handler.family}_next_upstream"
        mirror = self.effective("mirror")
        return "mirror" if mirror.rows and mirror.text != "off" else None

    @fact
    def auth_waits_for_body(self) -> str | None:
        """The `auth_request` target that announces a body to its upstream and sends none."""
        if not self.is_http:
            return None
        uri = self.effective("auth_request").text
        if uri in ("", "off") or "$" in uri:
            return None
        target = find(self.served.server, uri.split("?")[0])
        handler = target.handler if target is not None else None
        if target is None or handler is None or handler.family != "proxy":
            return None
        for row in target.effective("proxy_set_header", self.version).rows:
            if row[0].lower() == "content-length":
                return None
        if target.effective("proxy_pass_request_headers", self.version).text == "off":
            return None
        return target.label

    # The way to the client

    @fact
    def throttle(self) -> Any:
        """The lowest rate limit in force while buffered, in bytes a second; None without one."""
        if not self.value("buffered"):
            return None
        names = ["limit_rate"]
        if f"{self.served.handler.family}_limit_rate" in table():
            names.append(f"{self.served.handler.family}_limit_rate")
        rates = []
        for name in names:
            text = self.effective(name).text
            if "$" in text:
                return UNKNOWN
            rates.append(size(text) or 0)
        return min((rate for rate in rates if rate), default=None)

    @fact
    def cdn_may_store(self) -> str | None:
        """The directive that tells caches in front to keep the answer: expires or add_header."""
        if not self.is_http:
            return None
        expires = self.effective("expires").rows
        value = expires[0][-1] if expires else "off"
        if value == "max" or ((seconds(value) or 0) > 0 and not value.startswith("-")):
            return "expires"
        for row in self.effective("add_header").rows:
            if row[0].lower() == "cache-control" and _is_cacheable(row[1]):
                return "add_header"
        return None

    @fact
    def six_per_browser(self) -> bool:
        """Whether browsers have only HTTP/1.1 over TLS here: six connections a server."""
        return "h1-tls" in self.served.clients and "h2" not in self.served.clients

    @fact
    def streams_per_worker(self) -> int | None:
        """How many streams one worker has connections for: two each."""
        text = self.effective("worker_connections").text
        return int(text) // 2 if text.isdigit() else None


def _has_header(effective: Effective, name: str) -> bool:
    return any(row[0].lower() == name for row in effective.rows if row)


def _contains_any_arg(effective: Effective, word: str) -> bool:
    return any(word == arg for row in effective.rows for arg in row)


def _is_cacheable(value: str) -> bool:
    """Whether a Cache-Control value lets a shared cache keep an answer."""
    words = {word.strip().lower() for word in value.split(",")}
    if words & {"no-store", "private", "no-cache"}:
        return False
    ages = [re.fullmatch(r"s?-?max-?age=(\d+)", word) for word in words]
    return "public" in words or any(age is not None and int(age[1]) > 0 for age in ages)
