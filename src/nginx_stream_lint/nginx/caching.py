"""Which responses nginx records while it sends them, and which requests get a recording.

Only a buffered response is recorded. Source: `ngx_http_upstream_cache` and
`ngx_http_upstream_send_response` in nginx's src/http/ngx_http_upstream.c, and
src/http/ngx_http_file_cache.c. tests/nginx/test_recording.py and tests/conformance compare with a
real nginx.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import Struct

from nginx_stream_lint.nginx.directives import BUFFERING_FAMILIES
from nginx_stream_lint.nginx.levels import Effective
from nginx_stream_lint.nginx.variable_syntax import variables_in

if TYPE_CHECKING:
    from nginx_stream_lint.nginx.variables import RequestState

Truth = Literal["no", "yes", "unknown"]


class ResponseCaching(Struct, frozen=True):
    """What nginx caches when the same request is sent repeatedly, one after the other.

    `first` and `second`: whether nginx writes the response to that request to a file, if the
    response comes from the app. `repeat`: whether the second request gets the recording instead;
    `later`: whether any later request does.
    """

    first: Truth = "no"
    second: Truth = "no"
    repeat: Truth = "no"
    later: Truth = "no"


NOTHING = ResponseCaching()
_STORED = ResponseCaching("yes", "yes")

# Returns the effective value of a directive.
Settings = Callable[[str], Effective]
# Returns the request that gives variables their values; called only if there are variables.
RequestOf: TypeAlias = "Callable[[], RequestState]"


def response_caching(
    settings: Settings, family: str, method: str, request_of: RequestOf, permitted: bool = False
) -> ResponseCaching:
    """What nginx caches of responses with status 200 from a handler of this family.

    `permitted`: headers of the response permit caching; otherwise, they are unknown.
    """
    if family not in BUFFERING_FAMILIES:
        return NOTHING
    if settings(f"{family}_store").text not in ("", "off"):
        return _STORED
    cache = settings(f"{family}_cache").text
    if cache in ("", "off"):
        return NOTHING
    # Imported here, because few locations have a cache.
    from nginx_stream_lint.nginx.cache_settings import CacheSettings

    return CacheSettings(settings, family, request_of, permitted).recording(cache, method)


def depends_on_the_request(settings: Settings, family: str) -> bool:
    """Whether the result of `response_caching` depends on the request."""
    if family not in BUFFERING_FAMILIES or settings(f"{family}_cache").text in ("", "off"):
        return False
    key = settings(f"{family}_cache_key")
    names = ("cache", "no_cache", "cache_bypass")
    rows = [row for name in names for row in settings(f"{family}_{name}").rows]
    rows += () if key.is_default else key.rows
    return any(variables_in(arg) for row in rows for arg in row)
