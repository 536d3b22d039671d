"""The files around a configuration.

Configuration in a repository seldom stands where nginx will look for it. From here come the files
that an include may mean, the main files that may include a snippet, and what is worth reading in a
folder.
"""

from __future__ import annotations

import os
import re
from fnmatch import fnmatch
from functools import cached_property
from typing import NamedTuple

from nginx_stream_lint.config.tree import is_known
from nginx_stream_lint.files.source import ENCODING, ERRORS
from nginx_stream_lint.files.workspace import Workspace
from nginx_stream_lint.util.lazily import regex
from nginx_stream_lint.util.problems import Unreadable

_MAX_SNIFFED = 2 * 1024 * 1024
_ENOUGH_STATEMENTS = 20

# What a template or a sample has behind the name that it will get.
_SUFFIX = regex(
    r"(?:\.(?:template|sample|example|dist|default|tmpl|tpl|gotmpl|gtpl|j2|jinja2?|erb|in|orig))+$"
)

_YAML = (".yaml", ".yml", ".json")
_MARKDOWN = (".md", ".mdx", ".markdown", ".rst")
# Files of other programs that look alike, or that nobody means.
_NEVER = regex(
    r".*\.(?:py|sh|js|ts|go|c|h|lua|css|html?|xml|sql|lock|toml|ini|txt|log|csv|md5|patch|diff|"
    r"png|jpe?g|gif|ico|webp|svg|woff2?|ttf|eot|pdf|zip|gz|bz2|xz|jar|mp[34]|so|map)"
)
_STATEMENT = regex(r"^[ \t]*([a-z][a-z0-9_]*)(?:[ \t][^\n#;{]*)?[;{]", re.MULTILINE)
_HTTP = regex(r"^[ \t]*http[ \t\r\n]*\{", re.MULTILINE)
_IN_YAML = regex(
    r"nginx\.(?:ingress\.kubernetes\.io|org|com)/|kind: *(?:Ingress|VirtualServer)\b|"
    r"^[ ]+(?:server|http|upstream [^\n{]*|location [^\n{]*)[ ]*\{",
    re.MULTILINE,
)


def plain_name(name: str) -> str:
    """A file's base name without what templates and samples add to it."""
    return _SUFFIX.sub("", re.split(r"[/\\]", name)[-1])


def has_http(text: str) -> bool:
    """Whether a text looks like a main file: one with `http {}`."""
    return "http" in text and _HTTP.search(text) is not None


def is_yaml(path: str) -> bool:
    """Whether a file's name says that it is YAML (or JSON, which is YAML, too)."""
    return path.endswith(_YAML)


def is_markdown(path: str) -> bool:
    """Whether a file's name says that it is a document."""
    return path.endswith(_MARKDOWN)


class _Look(NamedTuple):
    """What a first look at a file says."""

    is_text: bool
    is_main: bool
    is_candidate: bool


class Repository:
    """A folder with all its files."""

    def __init__(self, workspace: Workspace, root: str) -> None:
        self._workspace = workspace
        self._root = root
        self._looks: dict[str, _Look] = {}

    @cached_property
    def files(self) -> list[str]:
        """The paths of the files in order."""
        return self._workspace.files_below(self._root)

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for path in self.files:
            found.setdefault(plain_name(path), []).append(path)
        return found

    def nearest(self, pattern: str, near: str) -> list[str]:
        """The files that an include most likely means: by base name, nearest to the file `near`.

        `pattern` is the include's argument. A pattern with wildcards also needs its folder's name:
        the files of the one folder that fits best are given.
        """
        parts = [part for part in re.split(r"[/\\]", pattern) if part not in ("", ".", "..")]
        if not parts:
            return []
        wanted = _SUFFIX.sub("", parts[-1])
        wild = re.search(r"[*?\[]", wanted) is not None
        if wild and (len(parts) < 2 or re.search(r"[*?\[]", parts[-2])):
            return []
        names = [name for name in self._by_name if fnmatch(name, wanted)] if wild else [wanted]
        key = self._workspace.key
        here = key(os.path.dirname(near) or os.curdir)
        best: tuple[int, int, str] | None = None
        folders: dict[str, list[str]] = {}
        for name in names:
            for path in self._by_name.get(name, ()):
                if key(path) == key(near) or not self._look(path).is_text:
                    continue
                folder = key(os.path.dirname(path) or os.curdir)
                alike = _common_end(folder.split(os.sep), parts[:-1])
                if wild and not alike:
                    continue
                rank = (-alike, _distance(here, folder), folder)
                folders.setdefault(folder, []).append(path)
                if best is None or rank < best:
                    best = rank
        if best is None:
            return []
        found = sorted(folders[best[2]])
        return found if wild else found[:1]

    def candidates(self, documents: bool) -> list[str]:
        """The files worth reading, by name and content; `documents` counts Markdown in."""
        return [
            path
            for path in self.files
            if (is_yaml(path) or (is_markdown(path) and documents) or _may_be_nginx(path))
            and self._look(path).is_candidate
        ]

    def mains(self) -> list[str]:
        """The files that look like main files."""
        return [path for path in self.files if _may_be_nginx(path) and self._look(path).is_main]

    def _look(self, path: str) -> _Look:
        """What a first look at a file says; nothing of what is no text or too large."""
        if path not in self._looks:
            try:
                data = self._workspace.read(path, _MAX_SNIFFED)
            except Unreadable:
                data = b""
            text = "" if b"\0" in data else data.decode(ENCODING, ERRORS)
            is_main = _may_be_nginx(path) and has_http(text) and looks_like_nginx(text)
            self._looks[path] = _Look(bool(text), is_main, _is_candidate(path, text))
        return self._looks[path]


def _is_candidate(path: str, text: str) -> bool:
    """Whether a file is worth reading, by its name and content."""
    if is_markdown(path):
        return "nginx" in text and "```" in text
    if is_yaml(path):
        return _IN_YAML.search(text) is not None
    if path.endswith(".conf"):
        # By its name it is; other programs' files have none of nginx's statements.
        return not text.strip() or _known_statements(text)[0] > 0
    return looks_like_nginx(text)


def looks_like_nginx(text: str) -> bool:
    """Whether most of the first statements of a text are nginx's."""
    known, others = _known_statements(text)
    return known > others


def _known_statements(text: str) -> tuple[int, int]:
    """How many of the first statements, each on a line, are nginx's, and how many are not."""
    known = others = 0
    for match in _STATEMENT.finditer(text):
        if is_known(match[1]):
            known += 1
        else:
            others += 1
        if known + others >= _ENOUGH_STATEMENTS:
            break
    return known, others


def _common_end(folder: list[str], wanted: list[str]) -> int:
    count = 0
    for have, want in zip(reversed(folder), reversed(wanted), strict=False):
        if have != want:
            break
        count += 1
    return count


def _distance(here: str, there: str) -> int:
    """How many steps it is from one folder to another."""
    common = os.path.commonpath((here, there))
    return here.count(os.sep) + there.count(os.sep) - 2 * common.count(os.sep)


def _may_be_nginx(path: str) -> bool:
    return not (is_yaml(path) or is_markdown(path) or _NEVER.fullmatch(path))
