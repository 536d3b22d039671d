"""Facts about a location and its stream: handler, level, clients."""

from __future__ import annotations

from nginx_stream_lint.config.mapped_text import Author
from nginx_stream_lint.nginx.listeners import Client
from nginx_stream_lint.rules.facts.base import Facts, computed, fact
from nginx_stream_lint.rules.facts.other_inputs import PREFIX, TARGET


def author(facts: Facts) -> Author | None:
    """The generator of this configuration if it is a controller; None if a person wrote it."""
    return facts.proxied.handler.directive.file.reading.author


def is_http(facts: Facts) -> bool:
    """Whether the handler is in http {}, not in stream {}."""
    return facts.proxied.level.kind != "stream-server"


@fact()
def family(facts: Facts) -> str:
    """The handler's family: proxy, fastcgi, uwsgi, scgi, grpc or tunnel."""
    return facts.proxied.handler.family


@fact(reads=[TARGET])
def target(facts: Facts) -> str:
    """The argument of the handler, as written."""
    return str(facts.elsewhere(TARGET))


@fact()
def kind(facts: Facts) -> str:
    """The kind of stream: sse, chunked, websocket, long-poll or grpc."""
    return facts.stream.kind


@fact()
def is_endless(facts: Facts) -> bool:
    """Whether the stream never ends by itself, such as camera pictures."""
    return facts.stream.is_endless


@fact()
def method(facts: Facts) -> str | None:
    """The request method of the stream, if there is only one."""
    return facts.stream.method


@fact()
def websocket_too(facts: Facts) -> bool:
    """Whether the location probably also serves WebSockets."""
    return any(stream.kind == "websocket" for stream in facts.proxied.streams)


@fact()
def client_streams(facts: Facts) -> bool:
    """Whether the client keeps sending during the stream."""
    return facts.stream.client_streams and is_http(facts)


@fact()
def shadowed_by(facts: Facts) -> str | None:
    """The block that handles the streams that this one was written for."""
    shadow = facts.proxied.shadowed_by
    if shadow is None or shadow.directive is None:
        return None
    return f"{shadow.label} ({shadow.directive.source.name}:{shadow.directive.line})"


@fact(reads=[PREFIX])
def prefix(facts: Facts) -> str:
    """The location's own path."""
    return str(facts.elsewhere(PREFIX))


@fact()
def level(facts: Facts) -> str:
    """The handler's block: location, if-in-location, limit_except or stream-server."""
    return facts.proxied.level.kind


@computed
def usual_clients(facts: Facts) -> tuple[Client, ...]:
    """The kinds of clients that this server accepts, limited to those known to use the stream."""
    own = facts.stream.clients
    if own is None:
        return facts.proxied.clients
    return tuple(client for client in facts.proxied.clients if client in own) or own


@fact()
def clients(facts: Facts) -> list[str]:
    """The kinds of clients that reach the stream: h1, h1-tls, h2, h3."""
    return list(usual_clients(facts))


@fact()
def controller(facts: Facts) -> str | None:
    """The ingress controller that generates this configuration; none for nginx text."""
    made_by = author(facts)
    return made_by.name if made_by is not None else None


@fact()
def controller_by_class(facts: Facts) -> bool:
    """Whether only the name of an Ingress class identifies the controller."""
    made_by = author(facts)
    return made_by is not None and made_by.by_class
