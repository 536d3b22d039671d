"""Whether a text is a template at all: most are not, and need nothing else of this folder."""

from __future__ import annotations

import re
from itertools import chain

_NAME = re.compile(
    r"\.(?:(?:template|tmpl|tpl|gtpl|gotmpl|ctmpl|j2|jinja2?|erb|epp|hbs|mustache|tftpl)\b|in$)"
    r"[^/\\]*$",
    re.IGNORECASE,
)

# What all that follows begins like: most texts have nothing of it, and are searched only once.
_ANY = re.compile(
    r"\{[{%#]|<[%A-Za-z]|\[[\[A-Za-z]|%[{%]|\$\{?_*[A-Z]|\\\$[a-z{]|@[A-Z]|__|\.\.\.|…|#\{[A-Za-z]"
)
# One of these is in every template.
_SIGNS = ("{{", "{%", "{#", "<%", "[[ ", "[[-", "[[.", "%{", "%%")
_PATTERNS = [
    re.compile(pattern)
    for pattern in (r"\$\{?_*[A-Z]", r"\\\$[a-z{]", "@[A-Z]", "__[a-z0-9]*[A-Z]")
]
# These are not rare in comments. Each starts with a character, which is looked for quickly.
_WORDS = [
    re.compile(pattern) for pattern in (r"\.\.\.", "…", "<[A-Za-z]", r"\[[A-Za-z]", r"\#\{[A-Za-z]")
]


def has_template_name(name: str) -> bool:
    """Whether a file is called like a template."""
    return _NAME.search(name) is not None


def may_be_template(text: str) -> bool:
    """Whether there is something in a text that only templates have."""
    return _ANY.search(text) is not None and (
        any(sign in text for sign in _SIGNS)
        or any(one.search(text) for one in _PATTERNS)
        or has_markers(text)
    )


def has_markers(text: str) -> bool:
    """Whether there are, outside comments, what only a statement's words tell for markers."""
    for match in chain.from_iterable(pattern.finditer(text) for pattern in _WORDS):
        at = match.start()
        sign, before = text[at], text[at - 1 : at]
        if sign == "<" and before in ("?", "k", "P"):
            continue  # a named group of an expression
        if sign == "[":
            if not before.isspace():
                continue
            at -= 1
        line = text.rfind("\n", max(0, at - 1000), at) + 1
        if "#" not in text[line:at]:
            return True
    return False
