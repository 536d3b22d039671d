"""Parts of a configuration that are not available: missing includes and outer blocks.

nginx refuses undefined names only after it has read the complete configuration.
"""

from __future__ import annotations

from collections.abc import Iterable

from nginx_stream_lint.config import Directive
from nginx_stream_lint.nginx.levels import Level, cached_on_level


@cached_on_level
def has_missing_includes(level: Level) -> bool:
    """Whether a block may have more directives than those that are visible.

    True for a block around a fragment, one with a missing include, one with an open template part,
    and one that a controller generates, because it writes more than we know.
    """
    if level.directive is None:
        if level.kind != "main":
            return True
    elif level.directive.file.reading.author is not None:
        return True
    return any(map(_may_define, level.unknowns)) or _leads_nowhere(level.block)


def is_complete_configuration(root: Level) -> bool:
    """Whether all parts of a configuration are visible."""
    return not any(map(has_missing_includes, root.walk()))


def _may_define(unknown: Directive) -> bool:
    """Whether a missing include may define names; few of nginx's own files do."""
    return unknown.may_set is None or "set" in unknown.may_set


def _leads_nowhere(block: Iterable[Directive]) -> bool:
    work = [block]
    while work:
        for directive in work.pop():
            if directive.name != "include":
                continue
            if (not directive.included or directive.may_match_more) and _may_define(directive):
                return True
            work += (file.directives for file in directive.included)
    return False
