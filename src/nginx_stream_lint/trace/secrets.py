"""Find the secrets of a request, and hide them in texts.

A report has two kinds of foreign text. A server's text is never shown: a recording gets only words
that `known_words` lists. The user's text (URLs, a configuration) is shown without the secrets of
the request, which the functions here hide.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, unquote, unquote_plus, urlsplit

HIDDEN = "***"

# Headers whose values are no secret.
_OPEN_HEADERS = frozenset(
    [
        "accept",
        "accept-charset",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "connection",
        "content-type",
        "host",
        "origin",
        "pragma",
        "user-agent",
    ]
)
_SECRET_NAME = re.compile(
    r"key|token|secret|passw|auth|credential|session|cookie|signature|bearer|jwt", re.IGNORECASE
)
_VENDOR_KEY = re.compile(r"(?:sk|pk|rk|ghp|gho|xox[a-z]|hf|glpat|AKIA|AIza|eyJ)[-_A-Za-z0-9.]{12,}")
_LONG_WORD = re.compile(r"[-_A-Za-z0-9+/=.]{24,}")
_QUERY_NAME = re.compile(r"[A-Za-z][-_.A-Za-z\[\]]{0,30}")
_SHORTEST = 4  # characters: replacing shorter secrets would ruin a text
_LONGEST = 1 << 14  # characters: URLs and lines of a configuration have no longer ones
_NO_SECRETS = ("bearer", "basic", "digest", "true", "false")
# A part of a value is also searched separately, unless it is a plain word.
_SHORTEST_MIXED_PART, _SHORTEST_PART = 6, 12
_MOST_DIGITS, _MOST_HUMPS = 4, 4  # in a part of a path with a readable name


class Secrets:
    """The secrets of a request, in every form in which the user's texts may contain them."""

    def __init__(
        self,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        urls: Iterable[str] = (),
    ) -> None:
        """Find what is secret.

        Args:
            headers: (name, value) as sent.
            body: as sent.
            urls: all requested URLs, with credentials and query.
        """
        self._headers = tuple(headers)
        self._body = body
        self._urls = tuple(urls)

    @cached_property
    def _forms(self) -> tuple[frozenset[str], frozenset[str]]:
        """The secrets as they are, and in their canonical form where that is long enough."""
        found = {
            form
            for secret in _secrets(self._headers, self._body, self._urls)
            for form in _coded(secret.strip())
        }
        canonical = {short for form in found if len(short := _canonical(form)) >= _SHORTEST}
        return frozenset(map(str.casefold, found)), frozenset(canonical)

    def are_in(self, text: str) -> bool:
        """Whether a text contains a secret, in any form."""
        exact, canonical = self._forms
        if not exact:
            return False
        texts = {text.casefold(), unquote(text).casefold()}
        flat = {_canonical(one) for one in texts}
        return any(secret in one for one in texts for secret in exact) or any(
            secret in one for one in flat for secret in canonical
        )

    def hide(self, text: str) -> str:
        """Return a text without the secrets: each word that contains one is hidden completely.

        If only several words together contain a secret, the whole text is hidden.
        """
        if not self.are_in(text):
            return text
        words = re.split(r"(\s+)", text)
        shown = "".join(HIDDEN if self.are_in(word) else word for word in words)
        return HIDDEN if self.are_in(shown) else shown


def shown_url(url: str, secrets: Secrets | None = None) -> str:
    """Return a URL without credentials, query values, and parts that look like a key.

    Args:
        url: as requested.
        secrets: of the request; parts of the path that contain one are hidden, too.
    """
    secrets = secrets or Secrets()
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    rows = [part.partition("=") for part in parts.query.split("&") if part]
    query = "&".join(
        f"{name if _QUERY_NAME.fullmatch(name) and not secrets.are_in(name) else HIDDEN}={HIDDEN}"
        if equals
        else HIDDEN
        for name, equals, _ in rows
    )
    # Some services have their keys in the path.
    path = "/".join(
        HIDDEN if _is_key(part) or secrets.are_in(part) else part for part in parts.path.split("/")
    )
    return f"{parts.scheme}://{host}{path or '/'}{'?' if query else ''}{query}"


def _is_key(part: str) -> bool:
    """Whether a part of a path looks like a key."""
    text = unquote(part)
    digits = sum(one.isdecimal() for one in text)
    humps = len(re.findall(r"[a-z][A-Z]", text))
    return any(_keys_in(text)) or digits > _MOST_DIGITS or humps > _MOST_HUMPS


def _canonical(text: str) -> str:
    """Letters and digits alone, without differences that readers overlook.

    Each character by itself, so that a text has the canonical forms of all its parts in it.
    """
    return "".join(
        one
        for character in text
        for one in unicodedata.normalize("NFKC", character).casefold()
        if one.isalnum()
    )


# What is secret


def _secrets(headers: Iterable[tuple[str, str]], body: bytes, urls: Iterable[str]) -> Iterator[str]:
    for name, value in headers:
        if name.lower() not in _OPEN_HEADERS:
            yield from _in_header(name, value)
    for url in urls:
        parts = urlsplit(url)
        credentials = parts.netloc.rpartition("@")[0]
        if credentials:
            yield credentials
            yield unquote(credentials)
            yield from (unquote(part) for part in credentials.split(":", 1))
        for part in parts.query.split("&"):
            name, equals, value = part.partition("=")
            secret = unquote_plus(value if equals else name)
            yield secret
            yield from _parts(secret)
    yield from _in_body(body)


def _in_header(name: str, value: str) -> Iterator[str]:
    yield value
    # Cookies and credentials are made of parts, each of which counts.
    yield from re.split(r"[\s;,=]+", value) if _SECRET_NAME.search(name) else ()
    yield from _parts(value)
    scheme, _, coded = value.partition(" ")
    if scheme.lower() == "basic":
        with contextlib.suppress(binascii.Error, ValueError):
            credentials = base64.b64decode(coded).decode("utf-8")
            yield credentials
            yield from credentials.split(":", 1)


def _parts(secret: str) -> Iterator[str]:
    """Parts of a key or a JWT that give it away."""
    for part in re.split(r"[^A-Za-z0-9]+", secret):
        mixed = any(map(str.isdecimal, part)) and len(part) >= _SHORTEST_MIXED_PART
        if mixed or len(part) >= _SHORTEST_PART:
            yield part


def _in_body(body: bytes) -> Iterator[str]:
    text = body.decode("utf-8", "replace")
    yield from _keys_in(text)
    try:
        yield from _in_value(json.loads(text), False)
    except (ValueError, RecursionError):
        yield from (
            value
            for name, value in parse_qsl(text, keep_blank_values=True)
            if _SECRET_NAME.search(name)
        )


def _keys_in(text: str) -> Iterator[str]:
    """Words that look like a key or token: a vendor's prefix, or a long word with a digit in it."""
    yield from _VENDOR_KEY.findall(text)
    for word in _LONG_WORD.findall(text):
        if re.search(r"[0-9]", word) and re.search(r"[A-Za-z]", word):
            yield word


def _in_value(value: Any, is_secret: bool) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _in_value(inner, is_secret or bool(_SECRET_NAME.search(str(name))))
    elif isinstance(value, list):
        for inner in value:
            yield from _in_value(inner, is_secret)
    elif is_secret and isinstance(value, str):
        yield value


def _coded(secret: str) -> Iterator[str]:
    """A secret as it is and in base64, with all three places where its bytes may start."""
    if not _SHORTEST <= len(secret) <= _LONGEST or secret.lower() in _NO_SECRETS:
        return
    yield secret
    data = secret.encode("utf-8", "surrogatepass")
    yield base64.b64encode(data).decode().rstrip("=")
    for start in (1, 2):
        # Without the characters that share bits with what is around it.
        inner = base64.b64encode(b"\0" * start + data).decode().rstrip("=")[start + 1 : -1]
        if len(inner) >= _SHORTEST:
            yield inner
