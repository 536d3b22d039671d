"""Recognize a main file, by its name and its text."""

from __future__ import annotations

import re

# Suffixes of templates and samples after the final name.
_SUFFIX = (
    r"(?i)(?:\.(?:template|sample|example|dist|default|tmpl|tpl|gotmpl|gtpl|ctmpl|tftpl|j2|jinja2?|erb|"
    r"epp|hbs|handlebars|mustache|liquid|ejs|in|orig))+$"
)
_SAMPLE = r"(?i)\.(?:sample|example|dist|default|orig)$"
_HTTP = re.compile(r"^[ \t]*http[ \t\r\n]*\{", re.MULTILINE)


def plain_name(name: str) -> str:
    """A file's base name without the suffixes of templates and samples."""
    return re.sub(_SUFFIX, "", re.split(r"[/\\]", name)[-1])


def is_sample(name: str) -> bool:
    """Whether a file's name marks it as an example, which nginx does not read."""
    return re.search(_SAMPLE, name) is not None


def has_http(text: str) -> bool:
    """Whether a text looks like a main file: one with `http {}`."""
    return "http" in text and _HTTP.search(text) is not None
