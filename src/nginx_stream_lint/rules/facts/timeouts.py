"""Facts about time: the silence after which nginx cuts a stream."""

from __future__ import annotations

from nginx_stream_lint.nginx.request_body import app_ends_client_silence, client_silence_s
from nginx_stream_lint.nginx.values import parse_time
from nginx_stream_lint.rules.facts.base import Facts, computed, fact
from nginx_stream_lint.rules.facts.location import is_http, usual_clients
from nginx_stream_lint.rules.facts.other_inputs import HTTP3_TIMEOUT

# The directives that `cuts` reads.
CUTS = (
    *("read_timeout", "read_timeout_s", "client_streams", "client_timeout_s"),
    "proxy_http_version",
)


@fact(directives=["<family>_read_timeout", "proxy_timeout"])
def read_timeout(facts: Facts) -> str:
    """The directive that limits silence: `<family>_read_timeout`, `proxy_timeout` in stream."""
    return f"{facts.proxied.handler.family}_read_timeout" if is_http(facts) else "proxy_timeout"


@fact(reads=["<read_timeout>"])
def read_timeout_s(facts: Facts) -> float | None:
    """The longest silence nginx waits for, in seconds."""
    return parse_time(facts.effective(facts.value("read_timeout")).text)


@fact(reads=["client_streams", "client_body_timeout"])
def client_timeout_s(facts: Facts) -> float | None:
    """The longest silence of a client that keeps sending, in seconds; none for other clients."""
    return client_silence_s(facts.effective) if facts.value("client_streams") else None


@fact(reads=["client_timeout_s"])
def client_timeout_is_short(facts: Facts) -> bool:
    """Whether that is less than the silence that a stream should survive."""
    limit = facts.value("client_timeout_s")
    return limit is not None and limit < facts.minimum_s


@computed
def cuts(facts: Facts) -> dict[str, float]:
    """The silence in seconds that cuts the stream, by the directive that limits it.

    Without limits that heartbeats of the app prevent.
    """
    limits = {facts.value("read_timeout"): facts.value("read_timeout_s")}
    restarted = set(limits)
    if facts.value("client_streams"):
        limits["client_body_timeout"] = facts.value("client_timeout_s")
        if app_ends_client_silence(facts.effective, facts.proxied.handler.family):
            restarted.add("client_body_timeout")
    heartbeat = facts.stream.heartbeat_s
    return {
        name: limit
        for name, limit in limits.items()
        if limit is not None
        and not (name in restarted and heartbeat is not None and heartbeat < limit)
    }


@fact(reads=[*CUTS])
def cut_after_s(facts: Facts) -> float | None:
    """The silence in seconds that cuts the stream; none if heartbeats come more often."""
    return min(cuts(facts).values(), default=None)


@fact(reads=[*CUTS], directives=["<read_timeout>", "client_body_timeout"])
def cut_by(facts: Facts) -> str:
    """The directive that cuts the stream: the read timeout, or `client_body_timeout`."""
    return min(cuts(facts), key=lambda name: cuts(facts)[name], default=facts.value("read_timeout"))


@fact(reads=["cut_after_s", "cut_by"], directives=["<read_timeout>", "client_body_timeout"])
def cut_soon_by(facts: Facts) -> str | None:
    """The directive that cuts the stream, if that is sooner than a stream should survive."""
    limit = facts.value("cut_after_s")
    return facts.value("cut_by") if limit is not None and limit < facts.minimum_s else None


@fact(reads=["cut_after_s", HTTP3_TIMEOUT])
def http3_cut_after_s(facts: Facts) -> float | None:
    """The silence in seconds that cuts HTTP/3 clients without PINGs.

    That is the server's `keepalive_timeout`; none if it is not shorter than other limits, or if
    heartbeats come more often.
    """
    if "h3" not in usual_clients(facts) or not is_http(facts):
        return None
    limit: float | None = facts.elsewhere(HTTP3_TIMEOUT)
    heartbeat = facts.stream.heartbeat_s
    if limit is None or (heartbeat is not None and heartbeat < limit):
        return None
    other = facts.value("cut_after_s")
    return limit if other is None or limit < other else None


@fact(
    reads=["http3_cut_after_s", "cut_soon_by"],
    directives=[
        "listen",
    ],
)
def http3_cut_by(facts: Facts) -> str | None:
    """The directive (listen) that accepts HTTP/3 clients which are cut too soon."""
    limit = facts.value("http3_cut_after_s")
    is_sooner = limit is not None and limit < facts.minimum_s
    return "listen" if is_sooner and facts.value("cut_soon_by") is None else None


@fact()
def known_silence_s(facts: Facts) -> float | None:
    """The longest known silence of the app, in seconds; the catalogue has the source."""
    return facts.stream.silence_s


@fact()
def min_read_timeout_s(facts: Facts) -> float:
    """The silence in seconds that a stream should survive (--min-read-timeout)."""
    return facts.minimum_s
