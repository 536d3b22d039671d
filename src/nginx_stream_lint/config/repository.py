"""The files around a configuration: what git knows of, or what lies in the folder.

Configuration in a repository seldom stands where nginx will look for it. From here come the files
that an include may mean, the main files that may include a snippet, and what is worth reading in a
folder.
"""

from __future__ import annotations

import os
import re
from fnmatch import fnmatch
from functools import cached_property

from nginx_stream_lint.config.source import ENCODING, ERRORS
from nginx_stream_lint.config.tree import is_known
from nginx_stream_lint.util.lazily import regex

# Whoever has more files than this has named the wrong folder.
_MAX_FILES = 50_000
_MAX_SNIFFED = 2 * 1024 * 1024
_ENOUGH_STATEMENTS = 20

_SKIPPED = frozenset({"node_modules", "__pycache__", "venv", "site-packages"})

# Folders below the one that nginx calls its prefix, or that people keep its files in.
_OF_NGINX = regex(
    r"(?:conf|http|stream|server|site|mod|location|main|default)s?\.d|nginx(?:[._-]?conf(?:ig)?s?)?|sites?-\w+|conf|confs|"
    r"snippets|templates|servers?|includes?|locations|modules-\w+|proxy-confs|vhosts?|upstreams?"
)

# What a template or a sample has behind the name that it will get.
_SUFFIX = regex(
    r"(?:\.(?:template|sample|example|dist|default|tmpl|tpl|gotmpl|gtpl|j2|jinja2?|erb|in|orig))+$"
)

_YAML = (".yaml", ".yml", ".json")
_MARKDOWN = (".md", ".mdx", ".markdown", ".rst")
# Files of other programs that look alike, or that nobody means.
_NEVER = regex(
    r".*\.(?:py|sh|js|ts|go|c|h|lua|css|html?|xml|sql|lock|toml|ini|txt|log|csv|md5|patch|diff)"
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


class Repository:
    """A folder with all its files, as far as git does not ignore them."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._texts: dict[str, str] = {}

    @cached_property
    def files(self) -> list[str]:
        """The paths of the files in order, those in the current folder as seen from there."""
        listed = _git_files(self.root)
        if listed is None:
            listed = _walked(self.root)
        here = os.path.join(os.getcwd(), "")
        paths = (os.path.normpath(os.path.join(self.root, name)) for name in listed)
        return sorted(path.removeprefix(here) for path in paths)

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
        here = os.path.abspath(os.path.dirname(near))
        best: tuple[int, int, str] | None = None
        folders: dict[str, list[str]] = {}
        for name in names:
            for path in self._by_name.get(name, ()):
                if os.path.abspath(path) == os.path.abspath(near) or not self._text(path):
                    continue
                folder = os.path.dirname(os.path.abspath(path))
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
        return [path for path in self.files if self._is_candidate(path, documents)]

    def mains(self) -> list[str]:
        """The files that look like main files."""
        return [
            path
            for path in self.files
            if _may_be_nginx(path)
            and has_http(self._text(path))
            and looks_like_nginx(self._text(path))
        ]

    def _is_candidate(self, path: str, documents: bool) -> bool:
        if is_markdown(path):
            return documents and "nginx" in self._text(path) and "```" in self._text(path)
        if is_yaml(path):
            return _IN_YAML.search(self._text(path)) is not None
        if not _may_be_nginx(path):
            return False
        if path.endswith(".conf"):
            # By its name it is; other programs' files have none of nginx's statements.
            text = self._text(path)
            return not text.strip() or _known_statements(text)[0] > 0
        return looks_like_nginx(self._text(path))

    def _text(self, path: str) -> str:
        """A file's text for a first look; empty for what is no text or too large."""
        if path not in self._texts:
            self._texts[path] = _read(path)
        return self._texts[path]


def around(path: str) -> str:
    """The folder of what a file belongs to: git's, or the outermost that is nginx's by name."""
    folder = os.path.dirname(os.path.abspath(path))
    at = folder
    while True:
        if os.path.exists(os.path.join(at, ".git")):
            return at
        parent = os.path.dirname(at)
        if parent == at:
            break
        at = parent
    while _OF_NGINX.fullmatch(os.path.basename(folder)) and os.path.dirname(folder) != folder:
        folder = os.path.dirname(folder)
    return folder


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


def _git_files(root: str) -> list[str] | None:
    """What git tracks below a folder, and what it would not ignore; None where there is no git."""
    import subprocess

    try:
        done = subprocess.run(
            ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            capture_output=True,
            check=True,
            timeout=20,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    names = done.stdout.decode(ENCODING, ERRORS).split("\0")
    return [name for name in names if name and os.path.isfile(os.path.join(root, name))]


def _walked(root: str) -> list[str]:
    found: list[str] = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and name not in _SKIPPED
        )
        inside = os.path.relpath(folder, root)
        found += [name if inside == "." else os.path.join(inside, name) for name in names]
        if len(found) > _MAX_FILES:
            break
    return [name for name in found if os.path.isfile(os.path.join(root, name))]


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


def _read(path: str) -> str:
    try:
        if os.path.getsize(path) > _MAX_SNIFFED:
            return ""
        with open(path, "rb") as stream:
            data = stream.read()
    except OSError:
        return ""
    return "" if b"\0" in data else data.decode(ENCODING, ERRORS)
