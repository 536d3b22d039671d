"""Recognize a main file, by its name and its text."""

from __future__ import annotations

import re

from nginx_stream_lint.config.templates.detect import SUFFIXES

_SAMPLES = "sample|example|dist|default|orig"
# A suffix of a template or sample after the final name.
_SUFFIX = rf"(?i)\.(?:{SUFFIXES}|{_SAMPLES})$"
_SAMPLE = rf"(?i)\.(?:{_SAMPLES})$"
_HTTP = re.compile(r"^[ \t]*http[ \t\r\n]*\{", re.MULTILINE)


def plain_name(name: str) -> str:
    """A file's base name without the suffixes of templates and samples."""
    plain = re.split(r"[/\\]", name)[-1]
    while (suffix := re.search(_SUFFIX, plain)) is not None:
        plain = plain[: suffix.start()]
    return plain


def is_sample(name: str) -> bool:
    """Whether a file's name marks it as an example, which nginx does not read."""
    return re.search(_SAMPLE, name) is not None


def has_http(text: str) -> bool:
    """Whether a text looks like a main file: one with `http {}`."""
    return "http" in text and _HTTP.search(text) is not None
