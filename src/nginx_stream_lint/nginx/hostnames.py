"""Host names with and without wildcards, as nginx looks them up.

Source: `ngx_hash_add_key` and `ngx_hash_find_combined` in nginx's src/core/ngx_hash.c.
"""

from __future__ import annotations

from typing import Generic, TypeVar

Value = TypeVar("Value")

_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


def lower(text: str) -> str:
    """Convert a text to lower case as nginx does: ASCII only."""
    return text.translate(_LOWER)


class HostnameTable(Generic[Value]):
    """Values by name: exact ones first, then the longest `*.x` or `.x`, then the longest `x.*`.

    The first value added for a name wins; case does not matter.
    """

    def __init__(self) -> None:
        self._exact: dict[str, Value] = {}
        # By the text after the asterisk; True for `.x`, which also matches x itself.
        self._leading: dict[str, tuple[Value, bool]] = {}
        self._trailing: dict[str, Value] = {}
        # Names that `.x` blocks for later ones, even if it was itself too late.
        self._taken: set[str] = set()

    def add(self, name: str, value: Value) -> None:
        """Add a name that is no regular expression."""
        name = lower(name)
        if name.startswith("."):
            if name[1:] not in self._exact and name[1:] not in self._taken:
                self._taken.add(name[1:])
                self._leading.setdefault(name, (value, True))
        elif name.startswith("*."):
            self._leading.setdefault(name[1:], (value, False))
        elif name.endswith(".*"):
            self._trailing.setdefault(name[:-1], value)
        elif name not in self._taken:
            self._exact.setdefault(name, value)

    def add_exact(self, name: str, value: Value) -> None:
        """Add a name whose dots and asterisks are literal."""
        self._exact.setdefault(lower(name), value)

    def find(self, host: str) -> Value | None:
        """The value of the name that matches a host best."""
        host = lower(host)
        if host in self._exact:
            return self._exact[host]
        whole = self._leading.get(f".{host}")
        if whole is not None and whole[1]:
            return whole[0]
        dots = [at for at, character in enumerate(host) if character == "."]
        for at in dots:
            if host[at:] in self._leading:
                return self._leading[host[at:]][0]
        for at in reversed(dots):
            if host[: at + 1] in self._trailing:
                return self._trailing[host[: at + 1]]
        return None
