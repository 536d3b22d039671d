"""Facts about limits of rates, connections and streams."""

from __future__ import annotations

from nginx_stream_lint.nginx.directives import table
from nginx_stream_lint.nginx.stream_limits import StreamLimit
from nginx_stream_lint.nginx.values import parse_size
from nginx_stream_lint.rules.conditions import UNKNOWN, Unknown
from nginx_stream_lint.rules.facts.base import Facts, fact
from nginx_stream_lint.rules.facts.location import is_http
from nginx_stream_lint.rules.facts.other_inputs import STREAM_LIMIT, VERSION
from nginx_stream_lint.rules.facts.upstream_request import is_since
from nginx_stream_lint.util.numbers import whole_number

# The directives that limit a rate; see `rate_limits`.
RATE_LIMITS = ("limit_rate", "<family>_limit_rate", "proxy_download_rate")
# A browser opens this many HTTP/1.1 connections to a server; a lower limit is too low.
_SIX = 6


def rate_limits(facts: Facts) -> list[str]:
    """The directives that may limit the rate of this stream."""
    if not is_http(facts):
        return ["proxy_download_rate"]
    names = ("limit_rate", f"{facts.proxied.handler.family}_limit_rate")
    return [name for name in names if name in table()]


@fact(reads=["buffered", *RATE_LIMITS])
def throttle(facts: Facts) -> int | Unknown | None:
    """The lowest rate limit in force, in bytes per second; none if there is none.

    Limits of http {} only count while the response is buffered.
    """
    if is_http(facts) and not facts.value("buffered"):
        return None
    texts = [facts.effective(name).text for name in rate_limits(facts)]
    if any("$" in text for text in texts):
        return UNKNOWN
    return min((rate for rate in map(parse_size, texts) if rate), default=None)


@fact(reads=[*RATE_LIMITS], directives=[*RATE_LIMITS])
def throttled_by(facts: Facts) -> str | None:
    """The directive with the lowest rate limit: `limit_rate`, `proxy_download_rate` …"""
    rates = {name: parse_size(facts.effective(name).text) or 0 for name in rate_limits(facts)}
    limits = {name: rate for name, rate in rates.items() if rate}
    return min(limits, key=lambda name: limits[name], default=None)


@fact()
def six_per_browser(facts: Facts) -> bool:
    """Whether browsers have only HTTP/1.1 over TLS here: six connections per server.

    False if the kinds of clients are declared.
    """
    reach = facts.proxied.clients
    return "h1-tls" in reach and "h2" not in reach and facts.stream.clients is None


@fact(reads=[VERSION])
def http2_is_directive(facts: Facts) -> bool:
    """Whether this nginx has the `http2` directive (1.25.1), not only the listen parameter."""
    return is_since(facts, (1, 25, 1))


def fewest_streams(facts: Facts) -> StreamLimit | None:
    """The `limit_conn` or `limit_req` that allows the fewest streams."""
    limit: StreamLimit | None = facts.elsewhere(STREAM_LIMIT)
    return limit


@fact(reads=[STREAM_LIMIT], directives=["worker_connections", "limit_conn", "limit_req"])
def scarce(facts: Facts) -> str:
    """The tightest limit: limit_conn or limit_req below six, or worker_connections."""
    limit = fewest_streams(facts)
    return "worker_connections" if limit is None or limit.streams >= _SIX else limit.directive


@fact(reads=[STREAM_LIMIT])
def limited_streams(facts: Facts) -> int | None:
    """Number of streams that this limit allows a client at a time, or to start at once."""
    limit = fewest_streams(facts)
    return None if limit is None else limit.streams


@fact(reads=[STREAM_LIMIT])
def limited_key(facts: Facts) -> str:
    """The key of this limit, such as $binary_remote_addr; empty if it is not visible."""
    limit = fewest_streams(facts)
    return "" if limit is None else limit.key


@fact(reads=[STREAM_LIMIT])
def more_streams(facts: Facts) -> str:
    """The arguments of that directive for 100 streams."""
    limit = fewest_streams(facts)
    return "" if limit is None else limit.raised(100)


@fact(reads=["worker_connections"])
def streams_per_worker(facts: Facts) -> int | None:
    """Number of streams for which a worker has connections; each stream needs two."""
    text = facts.effective("worker_connections").text
    number = whole_number(text)
    return None if number is None else number // 2
