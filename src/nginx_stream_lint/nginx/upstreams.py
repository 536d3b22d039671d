"""The `upstream` blocks that targets name."""

from __future__ import annotations

from nginx_stream_lint.nginx.hostnames import lower
from nginx_stream_lint.nginx.levels import Level, cached_on_level


@cached_on_level
def _blocks(http: Level) -> dict[str, Level]:
    """The blocks by name, in lower case; of several with one name the first."""
    found: dict[str, Level] = {}
    for level in http.children:
        if level.kind == "upstream" and level.directive is not None and level.directive.args:
            found.setdefault(lower(level.directive.args[0]), level)
    return found


def upstream_block(http: Level, host: str) -> Level | None:
    """The block of an `http` block that a target's host names, in any case; None for an address."""
    return _blocks(http).get(lower(host))
