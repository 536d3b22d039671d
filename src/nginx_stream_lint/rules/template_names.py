"""Find the names that a template uses, without Jinja: a lint without findings does not import it.

The result is never smaller than the real set: `template_check.mistake` refuses a template in which
Jinja finds more names.
"""

from __future__ import annotations

import re

from nginx_stream_lint.rules.rule import NamesInTemplate, Template

_TAG = re.compile(r"\{([{%])[-+]?(.*?)[-+]?[}%]\}", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_]\w*")
_CALL = re.compile(r"""\b(value|origin)\s*\(\s*(?:"([^"]*)"|'([^']*)')\s*\)""")
# An expression that only prints an origin.
_SAYS_ORIGIN = re.compile(
    r"""\s*(?:.*\selse\s+)?origin\s*\(\s*(?:"[^"]*"|'[^']*')\s*\)\s*""", re.DOTALL
)


def template(text: str, place: tuple[str, int, int] = ("", 1, 1)) -> Template:
    """Return a template with the names in it."""
    return Template(text, place, _names_in(text)) if "{" in text else Template(text, place)


def _names_in(text: str) -> NamesInTemplate:
    """The names that a template uses, and perhaps some that it only quotes."""
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
    values, origins = sorted(calls["value"]), sorted(calls["origin"])
    return NamesInTemplate(tuple(sorted(names)), tuple(values), tuple(origins), compares_origins)
