"""Facts about the request that nginx sends to the app, and to other locations."""

from __future__ import annotations

import re

from nginx_stream_lint.config import has_placeholder
from nginx_stream_lint.nginx.levels import Effective
from nginx_stream_lint.nginx.request_body import collected_by
from nginx_stream_lint.nginx.versions import NEW, Version
from nginx_stream_lint.rules.conditions import UNKNOWN, Unknown
from nginx_stream_lint.rules.facts.base import Facts, Headers, fact
from nginx_stream_lint.rules.facts.location import is_http
from nginx_stream_lint.rules.facts.other_inputs import AUTH_REQUEST, MIRRORED, UPSTREAM, VERSION

# The directives that `collected_by` reads.
COLLECTING = (
    *("<family>_request_buffering", "<family>_pass_request_body", "proxy_set_body"),
    "proxy_http_version",
)
# Headers that are set for a reason: the app needs them if they are dropped.
_MISSED = r"(?i)connection|upgrade|host|x-forwarded-.*"


def proxies_http(facts: Facts) -> bool:
    """Whether `proxy_pass` in http {} passes the request to the app."""
    return facts.proxied.handler.family == "proxy" and is_http(facts)


def sent_header(facts: Facts, name: str) -> str | None:
    """The rows of a header in force for the upstream; None if there are none.

    If there are several, nginx sends all that are not empty.
    """
    rows = facts.headers("proxy_set_header")
    values = [row[1] if len(row) > 1 else "" for row in rows if row and row[0].lower() == name]
    return next(filter(None, values), "") if values else None


def is_since(facts: Facts, version: Version) -> bool:
    """Whether this nginx is at least of a version."""
    return bool(facts.elsewhere(VERSION) >= version)


@fact(
    reads=["client_streams", "mirror", "mirror_request_body", *COLLECTING],
    directives=[*COLLECTING, "mirror"],
)
def request_collected_by(facts: Facts) -> str | None:
    """The directive that collects the whole request while the client still sends it."""
    if not facts.value("client_streams"):
        return None
    rows = facts.effective("mirror").rows
    is_mirrored = facts.effective("mirror_request_body").text != "off" and any(
        row[:1] not in ((), ("off",)) for row in rows
    )
    return collected_by(facts.effective, facts.proxied.handler.family, is_mirrored)


@fact(reads=["proxy_http_version"])
def http_version(facts: Facts) -> str | Unknown | None:
    """The HTTP version that the proxy family uses to the upstream."""
    return facts.value("proxy_http_version") if proxies_http(facts) else None


@fact(reads=[Headers("proxy_set_header")])
def connection_row(facts: Facts) -> str | None:
    """The Connection row in force for the app, as written; none if there is none."""
    return sent_header(facts, "connection") if proxies_http(facts) else None


@fact(reads=["connection_row", VERSION])
def connection_header(facts: Facts) -> str | Unknown | None:
    """The Connection header as sent to the app; empty if none is sent, unknown if variable."""
    if not proxies_http(facts):
        return None
    sent = facts.value("connection_row")
    if sent is None:
        return "" if is_since(facts, NEW) else "close"
    return UNKNOWN if "$" in sent or has_placeholder(sent) else sent.lower()


@fact(reads=["connection_header", "dropped_headers", "connection_row", "upstream_keepalive"])
def closes_upstream_connections(facts: Facts) -> bool:
    """Whether nginx sends `Connection: close` although the connection should stay open.

    Either a row sends `Connection: close`, or there is no row and `keepalive` has no effect,
    because nginx before 1.29.7 sends `close` by default. False if an outer row is dropped, because
    that row may be restored.
    """
    if facts.value("connection_header") != "close":
        return False
    if any(name.lower() == "connection" for name in facts.value("dropped_headers")):
        return False
    return facts.value("connection_row") is not None or bool(facts.value("upstream_keepalive"))


@fact(reads=[UPSTREAM])
def upstream_keepalive(facts: Facts) -> bool:
    """Whether the upstream's block keeps connections open (`keepalive`)."""
    return bool(facts.elsewhere(UPSTREAM).keeps_alive)


@fact(reads=[Headers("proxy_set_header")])
def upgrade_header(facts: Facts) -> str | None:
    """The Upgrade header row in force, as written."""
    return sent_header(facts, "upgrade") if proxies_http(facts) else None


@fact(reads=[Headers("<family>_set_header")])
def dropped_headers(facts: Facts) -> list[str]:
    """Names of outer `<family>_set_header` rows that this level drops and the app needs."""
    if facts.proxied.handler.family not in ("proxy", "grpc") or not is_http(facts):
        return []
    if not facts.headers("<family>_set_header"):
        return []
    outward = facts.proxied.level.outward()
    written = [facts.headers_written(level, "<family>_set_header") for level in outward]
    levels = [[row[0] for row in rows if row] for rows in written if rows]
    if len(levels) < 2:
        return []
    here = {name.lower() for name in levels[0]}
    if "connection" in here:
        here.add("upgrade")  # both belong together, and this level already sets one
    return [name for name in levels[1] if re.fullmatch(_MISSED, name) and name.lower() not in here]


@fact(
    reads=["<family>_next_upstream", UPSTREAM, "mirror_request_body", MIRRORED],
    directives=["<family>_next_upstream", "mirror"],
)
def runs_twice(facts: Facts) -> str | None:
    """The directive that sends the same request twice: `<family>_next_upstream` or `mirror`."""
    if not is_http(facts):
        return None
    retries = _contains_any_arg(facts.effective("<family>_next_upstream"), "non_idempotent")
    if retries and facts.stream.method != "GET" and not facts.elsewhere(UPSTREAM).has_one_peer:
        return f"{facts.proxied.handler.family}_next_upstream"
    return "mirror" if _is_mirrored(facts) else None


def _is_mirrored(facts: Facts) -> bool:
    """Whether a copy of the request, with its body, goes to the app of another location."""
    if facts.stream.method != "GET" and facts.effective("mirror_request_body").text == "off":
        return False
    return bool(facts.elsewhere(MIRRORED))


@fact(reads=["<family>_next_upstream"])
def next_upstream_once(facts: Facts) -> str:
    """The conditions of `<family>_next_upstream` in force, without `non_idempotent`."""
    rows = facts.effective("<family>_next_upstream").rows
    kept = [arg for row in rows for arg in row if arg != "non_idempotent"]
    return " ".join(kept) or "error timeout"


@fact(reads=[AUTH_REQUEST])
def auth_waits_for_body(facts: Facts) -> str | None:
    """The `auth_request` target that announces a body to its upstream and sends none."""
    label: str | None = facts.elsewhere(AUTH_REQUEST)
    return label


def _contains_any_arg(effective: Effective, word: str) -> bool:
    return any(word == arg for row in effective.rows for arg in row)
