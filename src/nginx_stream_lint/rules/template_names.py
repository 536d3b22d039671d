"""Find the names that a template uses without Jinja, which takes 30 ms to import.

The result is never smaller than the real set: `templates.mistake` refuses a template in which Jinja
finds more names.
"""

from __future__ import annotations

import re
from functools import lru_cache

from msgspec import Struct

_TAG = re.compile(r"\{([{%])[-+]?(.*?)[-+]?[}%]\}", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_]\w*")
_CALL = re.compile(r"""\b(value|origin)\s*\(\s*(?:"([^"]*)"|'([^']*)')\s*\)""")
# An expression that only prints an origin.
_SAYS_ORIGIN = re.compile(
    r"""\s*(?:.*\selse\s+)?origin\s*\(\s*(?:"[^"]*"|'[^']*')\s*\)\s*""", re.DOTALL
)


class NamesInTemplate(Struct, frozen=True):
    """The names in a template.

    `names` may be facts or phrases. `values` and `origins` are the directives that `value` and
    `origin` are called with. `compares_origins`: the template does more with an origin than print
    it.
    """

    names: frozenset[str]
    values: frozenset[str]
    origins: frozenset[str]
    compares_origins: bool


@lru_cache(1024)  # rules have few templates, whatever the checked files contain
def names_in(text: str) -> NamesInTemplate:
    """Return the names that a template uses, and perhaps some that it only quotes."""
    names: set[str] = set()
    calls: dict[str, set[str]] = {"value": set(), "origin": set()}
    compares_origins = False
    for kind, code in _TAG.findall(text):
        names.update(_NAME.findall(code))
        for function, *quoted in _CALL.findall(code):
            calls[function].update(filter(None, quoted))
        number = len(re.findall(r"\borigin\b", code))
        if number:
            says = kind == "{" and number == 1 and _SAYS_ORIGIN.fullmatch(code)
            compares_origins = compares_origins or not says
    return NamesInTemplate(
        frozenset(names), frozenset(calls["value"]), frozenset(calls["origin"]), compares_origins
    )
