"""The files around a configuration: what lies in the folder and git does not ignore.

Configuration in a repository seldom stands where nginx will look for it. From here come the files
that an include may mean, the main files that may include a snippet, and what is worth reading in a
folder.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cached_property

from nginx_stream_lint.config.problems import Problem
from nginx_stream_lint.config.source import ENCODING, ERRORS
from nginx_stream_lint.config.tree import is_known
from nginx_stream_lint.util.git import Patterns, Steps, as_bytes, lines, repository_root
from nginx_stream_lint.util.lazily import regex
from nginx_stream_lint.util.replacing import is_temporary

# Of files and folders. Whoever has more has named the wrong folder.
MAX_FILES = 200_000
# Of matching names with patterns, for all folders of a run: one to two seconds.
MAX_STEPS = 5_000_000
_MAX_IGNORE_BYTES = 1024 * 1024
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
    """A folder with all its files, as far as git does not ignore them.

    Once `files` are listed, `problems` say why some are missing, `notes` why some are there that
    git ignores.
    """

    def __init__(self, root: str, steps: Steps | None = None) -> None:
        self.root = root
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        self._steps = steps or Steps(MAX_STEPS)
        self._texts: dict[str, str] = {}

    @cached_property
    def files(self) -> list[str]:
        """The paths of the files in order, those in the current folder as seen from there."""
        here = os.path.join(os.getcwd(), "")
        listed: list[str] = []
        for count, (path, is_folder) in enumerate(_walked(self.root, self._steps)):
            if count == MAX_FILES:
                message = f"this folder has more than {MAX_FILES:,} files and folders"
                self.problems.append(Problem(self.root, 1, 1, message, "name a smaller folder"))
                break
            if not is_folder:
                listed.append(os.path.normpath(path).removeprefix(here))
        if self._steps.exceeded:
            self.notes.append(
                "the .gitignore files have too many patterns to try all; ignored files are read"
            )
        return sorted(listed)

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
    root = repository_root(folder)
    if root is not None:
        return root
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


def _walked(root: str, steps: Steps) -> Iterator[tuple[str, bool]]:
    """The paths of all files and folders below a folder, and whether each is a folder.

    What git would ignore is left out, also where git tracks it: the names of such files are only in
    git's index. Folders with a `.git` are other repositories, and left out, too; `root` is what
    somebody asked for, and read in any case. Links to folders are not followed. A folder that
    cannot be read counts as empty.
    """
    real = os.path.realpath(root)
    top = repository_root(real)
    # From the folder outwards: the patterns that hold there, and where their paths start.
    outer = [] if top is None else _patterns_above(real, top, steps)
    waiting = [(root, os.path.join(real, ""), outer)]
    while waiting:
        folder, real, outer = waiting.pop()
        entries = _entries(folder)
        names = {entry.name for entry in entries}
        if folder != root and ".git" in names:
            continue
        start = _slashed(real)
        inner = (
            _patterns(os.path.join(real, ".gitignore"), steps) if ".gitignore" in names else None
        )
        patterns = [(inner, len(start)), *outer] if inner else outer
        for entry in entries:
            name = entry.name
            is_folder = entry.is_dir(follow_symlinks=False)
            if (
                name == ".git"
                or is_temporary(name)
                or (is_folder and (name in _SKIPPED or (top is None and name.startswith("."))))
            ):
                continue
            if not is_folder and not _is_file(entry):
                continue
            if patterns and _is_ignored(start + as_bytes(name), is_folder, patterns):
                continue
            path = os.path.join(folder, name)
            if is_folder:
                waiting.append((path, os.path.join(real, name, ""), patterns))
            yield path, is_folder


def _patterns_above(folder: str, top: str, steps: Steps) -> list[tuple[Patterns, int]]:
    """The patterns of the folders from `top` down to the parent of `folder`, the nearest first.

    What git calls excludes of the repository comes last; those of a user or machine do not count.
    """
    found: list[tuple[Patterns, int]] = []
    at = folder
    while at != top:
        at = os.path.dirname(at)
        own = _patterns(os.path.join(at, ".gitignore"), steps)
        found += [(own, len(_slashed(os.path.join(at, ""))))] if own else []
    if not os.path.islink(os.path.join(top, ".git")):
        own = _patterns(os.path.join(top, ".git", "info", "exclude"), steps)
        found += [(own, len(_slashed(os.path.join(top, ""))))] if own else []
    return found


def _patterns(path: str, steps: Steps) -> Patterns | None:
    """The patterns of a file. Like git, this follows no link."""
    try:
        found = os.lstat(path)
        if not stat.S_ISREG(found.st_mode):
            return None
        if found.st_size > _MAX_IGNORE_BYTES:
            steps.exceeded = True
            return None
        with open(path, "rb") as stream:
            return Patterns(lines(stream.read(_MAX_IGNORE_BYTES)), steps)
    except OSError:
        return None


def _is_ignored(path: str, is_folder: bool, patterns: list[tuple[Patterns, int]]) -> bool:
    """Whether the nearest patterns that say something of a path ignore it."""
    for one, start in patterns:
        verdict = one.verdict(path[start:], is_folder)
        if verdict is not None:
            return verdict
    return False


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False  # a link that leads to itself


def _slashed(path: str) -> str:
    """A path as git has it, with one character for each byte."""
    return as_bytes(path).replace(os.sep, "/")


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
