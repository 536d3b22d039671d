"""The nginx that shell commands install."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from nginx_stream_lint.deployment.shell import VARIABLE, commands, started

_PACKAGE = r"(nginx|nginx-(?:full|light|extras|core|mainline))(?:[=~@-]+v?(\d+\.\d+(?:\.\d+)?)\S*)?"
_INSTALLERS = {
    "apt-get": "install",
    "apt": "install",
    "aptitude": "install",
    "apk": "add",
    "yum": "install",
    "dnf": "install",
    "microdnf": "install",
    "tdnf": "install",
    "zypper": "install",
}
_DOWNLOAD = (
    r"nginx\.org/(?:\S*/)?download/nginx-(\d+\.\d+\.\d+)\.tar|/nginx-(\d+\.\d+\.\d+)\.tar\.gz"
)
_OTHER_PACKAGES = r"nginx\.org/(?:packages|keys)|ppa:|add-apt-repository|openresty\.org/package"


class Installed(Struct, frozen=True):
    """A command that installs nginx; `version` is None if the package manager chooses it.

    `is_own`: the package comes from the distribution, not from another package source.
    """

    version: str | None
    is_own: bool


def installed(text: str) -> Installed | None:
    """The nginx that a shell text installs."""
    is_other = re.search(_OTHER_PACKAGES, text) is not None
    found: Installed | None = None
    lists: dict[str, str] = {}  # `packages="nginx=1.27.4 gettext"; apt-get install $packages`
    for written in commands(text):
        words = started(written)
        if not words:
            lists.update(
                {name: value for name, _, value in (one.partition("=") for one in written)}
            )
            continue
        verb = _INSTALLERS.get(posixpath.basename(words[0]))
        if verb is None or verb not in words:
            continue
        for word in _listed(words[words.index(verb) + 1 :], lists):
            match = re.fullmatch(_PACKAGE, word)
            if match is not None:
                found = Installed(match[2], not is_other)
    if found is None:
        match = re.search(_DOWNLOAD, text)
        if match is not None and re.search(r"\bmake\b|\bconfigure\b|tar\b", text):
            return Installed(match[1] or match[2], False)
    return found


def _listed(words: Iterable[str], lists: Mapping[str, str]) -> Iterator[str]:
    """The words of a command; a variable yields those of its value."""
    for word in words:
        variable = re.fullmatch(VARIABLE, word)
        value = None if variable is None else lists.get(variable[1] or variable[2])
        yield from (word,) if value is None else value.split()
