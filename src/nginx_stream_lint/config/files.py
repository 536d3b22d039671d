"""Where the files of a configuration come from: the disk, or an `nginx -T` dump."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from nginx_stream_lint.config.problems import Absent, Problem
from nginx_stream_lint.config.repository import MAX_STEPS, Repository, around
from nginx_stream_lint.config.source import Reading, Source, load
from nginx_stream_lint.config.templates import readings
from nginx_stream_lint.util.git import Steps, repository_root
from nginx_stream_lint.util.lazily import regex

_WILD = regex(r"[*?\[]")


def is_pattern(path: str) -> bool:
    """Whether an include's argument has wildcards."""
    return _WILD.search(path) is not None


class Files:
    """Files on disk.

    Each is loaded once, so that all that is said of a file is about one `Source`. `texts` stand in
    for the files of these paths (as `key` gives them), `values` are those of a template's
    variables, `absent` patterns of include arguments that are meant to be missing.
    """

    def __init__(
        self,
        texts: Mapping[str, Source] | None = None,
        values: Mapping[str, str] | None = None,
        absent: Sequence[str] = (),
    ) -> None:
        self.texts = texts or {}
        self._values = values or {}
        self._absent = absent
        self._sources: dict[str, Source] = {}
        self._keys: dict[str, str] = {}
        self.repositories: dict[str, Repository] = {}
        self._steps = Steps(MAX_STEPS)
        # How directives are used that nginx takes, by the blocks around; see `reading`.
        self.accepted: dict[tuple[str, ...], set[tuple[str, int, bool, bool]]] = {}
        # The folders that were named to be read, as absolute paths.
        self.folders: list[str] = []
        self._tops: dict[str, str] = {}

    def top(self, path: str) -> str:
        """The folder a file belongs to: its repository, else the named folder, else its own."""
        folder = os.path.dirname(os.path.abspath(path))
        found = self._tops.get(folder)
        if found is None:
            around = (one for one in self.folders if os.path.commonpath((one, folder)) == one)
            found = repository_root(folder) or min(around, key=len, default=folder)
            self._tops[folder] = found
        return found

    def key(self, path: str) -> str:
        """What tells one file from another, whatever the way to it."""
        if path not in self._keys:
            folder, name = os.path.split(path)
            if not folder or name in ("", os.curdir, os.pardir) or os.path.islink(path):
                self._keys[path] = os.path.realpath(path)
            else:
                # Of a thousand files in a folder the way there is looked at once.
                self._keys[path] = os.path.join(self.key(folder), name)
        return self._keys[path]

    def load(self, path: str) -> Source:
        """A file's text. Raises as `source.load` does."""
        key = self.key(path)
        if key not in self._sources:
            self._sources[key] = self.texts.get(key) or load(path)
        return self._sources[key]

    def readings(self, path: str) -> list[Reading]:
        """What nginx gets to see of a file: several texts for some templates. Raises as `load`."""
        return readings(self.load(path), self._values)

    def matching(self, pattern: str) -> list[str]:
        """The files that a pattern matches, as glob(3) gives them, in order."""
        # It knows two things more than Python's: a backslash, and [^a] for [!a].
        pattern = re.sub(r"\\(.)", lambda escaped: glob.escape(escaped[1]), pattern)
        return sorted(glob.glob(pattern.replace("[^", "[!")))

    def is_folder(self, path: str) -> bool:
        """Whether a folder is there."""
        return os.path.isdir(path)

    def nearest(self, pattern: str, near: str) -> list[str]:
        """What an include that leads nowhere most likely means; see `Repository.nearest`."""
        return self.repository(near).nearest(pattern, near)

    def may_be_absent(self, name: str) -> bool:
        """Whether an include is meant to be missing here."""
        return any(fnmatchcase(name, pattern) for pattern in self._absent)

    def mains(self, path: str) -> list[str]:
        """The main files around a file that may include it."""
        return self.repository(path).mains()

    def repository(self, path: str) -> Repository:
        """The files around a file, or in a folder."""
        root = path if os.path.isdir(path) else around(path)
        if root not in self.repositories:
            self.repositories[root] = Repository(root, self._steps)
        return self.repositories[root]


class Given(Files):
    """Texts that stand for themselves. Nothing is looked for on disk."""

    def top(self, path: str) -> str:
        return os.path.dirname(os.path.abspath(path))

    def load(self, path: str) -> Source:
        source = self.texts.get(self.key(path))
        if source is None:
            message, advice = "is not read: this text stands alone", "write it out"
            raise Absent(Problem(path, 1, 1, message, advice))
        return source

    def matching(self, pattern: str) -> list[str]:  # noqa: ARG002
        return []

    def is_folder(self, path: str) -> bool:  # noqa: ARG002
        return False

    def nearest(self, pattern: str, near: str) -> list[str]:  # noqa: ARG002
        return []

    def mains(self, path: str) -> list[str]:  # noqa: ARG002
        return []


class Dump(Files):
    """The files of an `nginx -T` dump. Nothing is looked for on disk."""

    def __init__(self, sources: Mapping[str, Source], texts: Mapping[str, Source]) -> None:
        super().__init__()
        self._sources = {
            os.path.normpath(name): texts.get(os.path.realpath(name), source)
            for name, source in sources.items()
        }

    def top(self, path: str) -> str:
        return os.path.dirname(os.path.abspath(path))

    def key(self, path: str) -> str:
        return os.path.normpath(path)

    def load(self, path: str) -> Source:
        source = self._sources.get(self.key(path))
        if source is None:
            message, advice = "is not in the dump", "dump again with nginx -T"
            raise Absent(Problem(path, 1, 1, message, advice))
        return source

    def readings(self, path: str) -> list[Reading]:
        source = self.load(path)
        return [Reading(source, source.text)]

    def matching(self, pattern: str) -> list[str]:
        """As `Files.matching`; an asterisk does not match a slash."""
        wanted = os.path.normpath(pattern).split("/")
        return sorted(
            name
            for name in self._sources
            if len(name.split("/")) == len(wanted)
            and all(map(fnmatchcase, name.split("/"), wanted))
        )

    def is_folder(self, path: str) -> bool:  # noqa: ARG002
        return True  # nginx was there, and found what it found

    def nearest(self, pattern: str, near: str) -> list[str]:  # noqa: ARG002
        return []


_HEADER = regex(r"^# configuration file (.+):\r?$", re.MULTILINE)
# What `nginx -T` says on standard error, where that ends up in the same file.
_SAID = regex(r"nginx: .*\n?")


def dumped(source: Source) -> dict[str, Source] | None:
    """The files of an `nginx -T` dump by their names, the main one first; None if it is none."""
    text = source.text
    if "# configuration file " not in text:
        return None
    headers = list(_HEADER.finditer(text))
    before = text[: headers[0].start()] if headers else text
    if not headers or _SAID.sub("", before).strip():
        return None
    found: dict[str, Source] = {}
    for header, after in zip(headers, [*headers[1:], None], strict=True):
        body = text[header.end() + 1 : len(text) if after is None else after.start()]
        # nginx ends each file with a line end of its own.
        body = re.sub(r"\r?\n(?:nginx: [^\n]*\n)*\Z", "", body)
        found.setdefault(header[1], Source(header[1], body, on_disk=False))
    return found
