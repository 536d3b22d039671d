"""Locations that no request can reach, because nginx never looks up such a path.

nginx compares a location without `~` literally with the normalized URI (see `uri.py`). That begins
with a slash, has no `.` and `..` segments, no query, and with `merge_slashes on` no two slashes in
a row. A backslash, a `|` or an expression could only come from %XX escapes, which clients do not
send. Characters that occur in URIs, such as those in `/c++/` and `/$metadata`, are not reported.
"""

from __future__ import annotations

import re

from nginx_stream_lint.config import has_placeholder
from nginx_stream_lint.nginx.levels import Level, cached_on_level
from nginx_stream_lint.nginx.location_match import LocationPattern, match_of
from nginx_stream_lint.nginx.versions import OLD
from nginx_stream_lint.util.remembering import latest_remembered

# Syntax that only regular expressions have: `.*`, `\\.`, `[^/]`, `[0-9]`, `(?:`, `(a|b)`, `/?` at
# the end.
_EXPRESSION = r"\.[*+]|\\|\[\^|\[[^\]]*\w-\w[^\]]*\]|\(\?|\||/\?$|\)[?*+$]|[*+]\$"
_SEGMENT = r"(?<=[^/])/\*(?=/.)"  # `/v1/*/events`; a client may request `/*` itself
_DOTS = r"/\.\.?(?=/)"
_ODD = re.compile(r"[\\*?|$^\[(]|//|/\.")
_WORD = r"[a-z][a-z0-9._/-]*"


@latest_remembered(4096)
def intended_location(match: LocationPattern, merge_slashes: bool = True) -> tuple[str, ...]:
    """The likely intended forms of a location that never matches, the likeliest first.

    Empty for other locations.
    """
    modifier, path = match.modifier, match.pattern
    if modifier not in ("", "=", "^~") or not path or has_placeholder(path):
        return ()
    if path[0] != "/":
        return _without_slash(path)
    own = f"{modifier} " if modifier else ""
    if "?" in path and not re.search(_EXPRESSION, path):
        return (f"{own}{path.partition('?')[0]}",)
    if re.search(_SEGMENT, path):
        expression = re.sub(_SEGMENT, "/[^/]+", path.rstrip("$"))
        return (f"~ ^{expression}{'$' if path.endswith('$') else ''}",)
    if re.search(_EXPRESSION, path):
        return (f"~ ^{path}",)
    if path.endswith("$") and not path.endswith("$$"):
        return (f"= {path[:-1]}", f"~ ^{path}")
    plain = re.sub(_DOTS, "", path)
    while merge_slashes and "//" in plain:
        plain = plain.replace("//", "/")
    return () if plain == path else (f"{own}{plain or '/'}",)


@cached_on_level
def unreachable_locations(server: Level) -> dict[Level, tuple[str, ...]]:
    """The outermost locations that no request reaches, with the intended forms of each."""
    found: dict[Level, tuple[str, ...]] = {}
    for level in server.children:
        if level.kind != "location" or level.directive is None:
            continue
        path = level.directive.args[-1]
        how: tuple[str, ...] = ()
        if path[:1] != "/" or _ODD.search(path) is not None:
            how = intended_location(match_of(level))
            if how and level.effective("merge_slashes", OLD).text == "off":
                how = intended_location(match_of(level), merge_slashes=False)
        if how:
            found[level] = how
        elif level.children:
            found |= unreachable_locations(level)
    return found


def _without_slash(path: str) -> tuple[str, ...]:
    if path[0] == "^":
        rest = path[1:]
        plain = rest[:1] == "/" and not re.search(_EXPRESSION, rest) and "$" not in rest
        return (f"~ {path}", f"^~ {rest}") if plain else (f"~ {path}",)
    if path[0] == "*":
        return (f"~ {path[1:].replace('.', chr(92) + '.')}$",)
    if re.search(_EXPRESSION, path) or path.endswith("$"):
        return (f"~ {path}",)
    # Anything else may be part of a template.
    return (f"/{path}", f"~ {path}") if re.fullmatch(_WORD, path) else ()
