"""Filters as far as they decide about delivery; random ones are measured in tests/conformance."""

from __future__ import annotations

import pytest

from nginx_stream_lint.nginx.delivery import DeliveryPath, Scenario, delivery_path_for
from nginx_stream_lint.nginx.directives import table
from nginx_stream_lint.nginx.levels import Effective
from nginx_stream_lint.nginx.versions import NEW

SSE = ("text/event-stream",)
PIECES = {"proxy_http_version": "1.1", "gzip": "on", "gzip_types": "text/event-stream"}


def path_with(
    written: dict[str, str], family: str = "proxy", types: tuple[str, ...] = SSE
) -> DeliveryPath:
    """The path where these directives are in force and everything else is default."""

    def settings(name: str) -> Effective:
        if name in written:
            return Effective(name, (tuple(written[name].split(" ")),), "explicit")
        default = table()[name].default(NEW, in_stream=False)
        return Effective(name, () if default is None else (default,), "default")

    return delivery_path_for(settings, family, types)


@pytest.mark.parametrize(
    ("pattern", "compresses"),
    [
        (".", False),
        ("^(mozilla|openai|python|node|go-|curl)", False),
        ("msie6", True),
        ("curl", True),
        ("Mozilla", True),
        ("(", True),
    ],
)
def test_gzip_disable(pattern: str, compresses: bool) -> None:
    """A pattern that leaves some usual clients out leaves gzip on for those."""
    assert path_with(PIECES | {"gzip_disable": pattern}).gzip is compresses


@pytest.mark.parametrize(
    ("framing", "least", "verdict"),
    [
        ("length", "100", "stalls"),
        ("length", "10k", "streams"),
        ("chunked", "10k", "stalls"),
    ],
)
def test_gzip_min_length(framing: str, least: str, verdict: str) -> None:
    """It counts where the answer has a length, and that length reaches the filter."""
    rows = PIECES | {"fastcgi_keep_conn": "on", "gzip_min_length": least}
    scenario = Scenario(framing=framing, accept_encoding="gzip")  # type: ignore[arg-type]
    assert path_with(rows, "fastcgi").deliver(scenario).verdict == verdict
    rows |= {"sub_filter": "a b", "sub_filter_types": "*"}
    assert path_with(rows, "fastcgi").deliver(scenario).held_by == "gzip"


@pytest.mark.parametrize(
    ("buffer", "verdict"), [("64", "streams"), ("236", "streams"), ("1k", "stalls")]
)
def test_a_token_that_fills_the_tls_buffer(buffer: str, verdict: str) -> None:
    found = path_with({"proxy_http_version": "1.1", "ssl_buffer_size": buffer})
    assert found.deliver(Scenario("h1-tls")).verdict == verdict


@pytest.mark.parametrize(
    ("pattern", "late"),
    [
        ("\nevent", True),
        ("\n\nevent", True),
        ("}\n\nevent", True),
        ("\n", False),
        ("\n\n", False),
        ("event\n", False),
        ("$arg_x", False),
        ("", False),
    ],
)
def test_a_text_that_begins_with_the_end_of_an_event(pattern: str, late: bool) -> None:
    rows = {"sub_filter": pattern, "proxy_buffering": "off"}
    delivery = path_with(rows | {"sub_filter_types": "text/event-stream"}).deliver(Scenario("h2"))
    assert (delivery.verdict, delivery.held_by) == (
        ("stalls", "sub-filter") if late else ("streams", None)
    )
    assert path_with(rows).deliver(Scenario("h2")).verdict == "streams"
    all_types = rows | {"sub_filter_types": "*"}
    assert path_with(all_types, "grpc").deliver(Scenario("h2")).held_by is None


def test_lines_end_with_one_line_break() -> None:
    rows = {"sub_filter": "\n\n", "sub_filter_types": "*"}
    assert path_with(rows, types=("application/x-ndjson",)).sub_filter
    assert not path_with(rows).sub_filter
