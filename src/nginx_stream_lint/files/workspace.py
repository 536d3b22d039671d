"""The files of a run, and which of them may be read.

Everything that `lint` and `explain` read comes from here: configurations with their includes,
settings, baselines, rules, template values. So one place keeps a run inside the repository
(`Workspace.source` raises for other paths) and within its budget.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from nginx_stream_lint.files.disk_storage import DiskStorage
from nginx_stream_lint.files.globbing import literal_folder, matching_paths
from nginx_stream_lint.files.source import ENCODING, ERRORS, Source, decode
from nginx_stream_lint.files.storage import IsFolder, NotRegular
from nginx_stream_lint.util.budget import Budget, Limits, spending
from nginx_stream_lint.util.problems import Absent, LeadsOut, NotAFile, Problem, Unreadable

if TYPE_CHECKING:
    from nginx_stream_lint.files.storage import Storage

# The default places of nginx's main file.
HOST_FOLDERS = (
    "/etc/nginx",
    "/usr/local/nginx/conf",
    "/usr/local/etc/nginx",
    "/usr/local/openresty/nginx/conf",
)

# Names of folders that only hold parts of a configuration, whose main file is one folder up: whole
# names, what stands before `.d` (or `s.d`), and what stands before a hyphen and a word.
_OF_PARTS = frozenset(
    (
        *("conf", "confs", "proxy-confs", "vhost", "vhosts", "server", "servers", "locations"),
        *("include", "includes", "snippets", "templates", "upstream", "upstreams"),
    )
)
_BEFORE_D = frozenset(
    ("conf", "http", "stream", "server", "site", "mod", "location", "main", "default")
)
_BEFORE_WORD = frozenset(("site", "sites", "modules"))

_MAX_FOLDERS = 100  # of a path that is resolved folder by folder

_LEADS_OUT = (
    "leads out of the repository, so it was not read",
    "name the file itself on the command line, or copy it into the repository",
)


class Workspace:
    """The files of a run: of a folder on disk, or texts in memory.

    >>> workspace = Workspace.in_memory({"nginx.conf": "events {}", "conf.d/a.conf": "# empty"})
    >>> workspace.source("nginx.conf").text
    'events {}'
    >>> workspace.matching("conf.d/*.conf")
    ['conf.d/a.conf']

    On disk, only files below a root are read: the git root of each named path or, without one, its
    folder. In host mode (`host`) every file of the machine may be read, as by nginx. Reading a path
    that leads out raises `LeadsOut`; all other methods treat it as absent.

    A workspace reads each file once; make a new one when files have changed. All methods that read
    raise `Unreadable` if a file cannot be read, or if the budget is used up.
    """

    def __init__(
        self,
        storage: Storage,
        roots: tuple[str, ...],
        paths: tuple[str, ...] = (),
        *,
        named: frozenset[str] = frozenset(),
        limits: Limits | None = None,
        host: bool = False,
    ) -> None:
        self.paths = paths
        self.roots = roots
        self.host = host
        self.budget = Budget(limits or Limits(), paths[0] if paths else ".")
        self.is_dump = False
        self.notes: dict[str, str] = {}  # notes about a folder, by its path
        self.kept: dict[object, object] = {}  # cached results about these files
        self.left_out: frozenset[str] = frozenset()  # keys of files that nothing includes
        self._storage = storage
        self._named = named
        self._readable = tuple(map(_inside, (*roots, *named)))
        self._prefix = ""  # prefix of keys: separates the files of a dump from others
        self._texts: dict[str, bytes] = {}  # by key, in place of stored texts
        self._given: dict[str, str] = {}  # keys of texts that are no files, by name
        self._sources: dict[str, Source] = {}
        self._keys: dict[str, str] = {}
        self._listings: dict[str, list[str]] = {}

    @classmethod
    def on_disk(
        cls,
        *paths: str,
        also: tuple[str, ...] = (),
        limits: Limits | None = None,
        host: bool | None = None,
    ) -> Workspace:
        """The files around the paths that the user names.

        `also` are files and folders that are read, too, but nothing around them. `host` None: like
        nginx if all paths are in a default folder of nginx.
        """
        storage = DiskStorage()
        if host is None:
            real = [storage.real(path) for path in paths]
            host = bool(real) and all(
                any(_is_below(one, at) for at in HOST_FOLDERS) for one in real
            )
        roots = tuple(dict.fromkeys(_root_of(path, storage) for path in paths))
        named = set[str]()
        for path in also:
            # A link in the repository belongs to the repository, even if the user names it.
            real_path = storage.real(path)
            if _is_below(real_path, _root_of(path, storage)):
                named.add(real_path)
        return cls(storage, roots, paths, named=frozenset(named), limits=limits, host=host)

    @classmethod
    def in_memory(cls, files: Mapping[str, str], limits: Limits | None = None) -> Workspace:
        """Texts by path. Nothing is read from disk.

        >>> Workspace.in_memory({"/etc/nginx/nginx.conf": ""}).is_folder("/etc/nginx")
        True
        """
        from nginx_stream_lint.files.memory_storage import MemoryStorage

        return cls(MemoryStorage(files), ("/",), tuple(files), limits=limits)

    @classmethod
    def from_dump(cls, text: str, limits: Limits | None = None) -> Workspace:
        """The files of an `nginx -T` dump. Raises ValueError for any other text.

        >>> text = "# configuration file /etc/nginx/nginx.conf:\\nevents {}"
        >>> Workspace.from_dump(text).paths
        ('/etc/nginx/nginx.conf',)
        """
        from nginx_stream_lint.files.dump import split_dump
        from nginx_stream_lint.files.memory_storage import MemoryStorage

        files = split_dump(text)
        if files is None:
            raise ValueError("this is not a dump of nginx -T")
        made = cls(MemoryStorage(files), ("/",), (next(iter(files)),), limits=limits)
        made.is_dump = True
        return made

    def overlaid(self, texts: Mapping[str, str], without: Collection[str] = ()) -> Workspace:
        """The same files, but some with other texts: unsaved ones, or fixes to be tried.

        Paths may be keys (see `key`). What was read stays read, and counts on. `without` are keys
        of files that nothing includes, as if they were empty.

        >>> before = Workspace.in_memory({"a.conf": "a", "b.conf": "b"})
        >>> after = before.overlaid({"a.conf": "new"})
        >>> [after.source(path).text for path in ("a.conf", "b.conf")]
        ['new', 'b']
        """
        made = self._like(self._storage, self.roots, self.paths)
        new = {self.key(path): _encoded(path, text) for path, text in texts.items()}
        made._texts = self._texts | new
        made._sources = {key: one for key, one in self._sources.items() if key not in new}
        made.left_out = frozenset(without)
        made.budget = self.budget.renewed()
        return made

    def with_text(self, name: str, data: bytes) -> Workspace:
        """The same files and a text that is no file, such as standard input, under a name."""
        made = self._like(self._storage, self.roots, self.paths)
        made._given = self._given | {name: f"\0{name}"}
        made._texts = self._texts | {f"\0{name}": data}
        return made

    def of_dump(self, source: Source, files: Mapping[str, str]) -> Workspace:
        """The files of a dump that is one of our files; `overlaid` texts are for them, too."""
        from nginx_stream_lint.files.memory_storage import MemoryStorage

        made = self._like(MemoryStorage(files), ("/",), tuple(files))
        made._prefix = f"{source.key}\0"
        made._keys, made._given, made._sources = {}, {}, {}
        made._listings, made.kept = {}, {}
        made.is_dump = True
        return made

    @contextmanager
    def charged_to(self, budget: Budget) -> Iterator[None]:
        """Charge what is read in this block to another budget."""
        own, self.budget = self.budget, budget
        try:
            with spending(budget):
                yield
        finally:
            self.budget = own

    def _like(self, storage: Storage, roots: tuple[str, ...], paths: tuple[str, ...]) -> Workspace:
        made = Workspace(storage, roots, paths, named=self._named, host=self.host)
        made.budget, made.is_dump, made._prefix = self.budget, self.is_dump, self._prefix
        made.notes, made.kept = self.notes, self.kept
        made._texts, made._given = self._texts, self._given
        made._sources, made._keys, made._listings = self._sources, self._keys, self._listings
        return made

    def key(self, path: str) -> str:
        """The identity of a file: its real path."""
        if "\0" in path:  # it is a key
            rest = path.removeprefix(self._prefix)
            return path if "\0" in rest else self._prefix + self._storage.real(rest)
        key = self._keys.get(path)
        if key is None:
            key = self._given.get(path) or self._prefix + self._real(path)
            self._keys[path] = key
        return key

    def _real(self, path: str) -> str:
        folder, name = os.path.split(path)
        is_deep = path.count(os.sep) > _MAX_FOLDERS  # `real` recurses for each folder
        if name in ("", os.curdir, os.pardir):
            real = self._storage.real(path)
            # Only folders have such paths: to the system, a file's name with a slash is another.
            is_file = self._storage.kind(real) == "file"
            return real + self._storage.separator if is_file else real
        if is_deep or not folder or self._storage.is_link(path):
            return self._storage.real(path)
        # A thousand files in a folder share the resolved folder.
        parent = self.key(folder).removeprefix(self._prefix)
        return parent.rstrip(self._storage.separator) + self._storage.separator + name

    def source(self, path: str) -> Source:
        """A file's text, always the same `Source` for the same file."""
        key = self.key(path)
        found = self._sources.get(key)
        if found is None:
            found = decode(path, self.read(path))
            found.key = key
            found.on_disk = self._storage.on_disk and not key.startswith("\0")
            self._sources[key] = found
        return found

    def read(self, path: str, limit: int | None = None) -> bytes:
        """A file's bytes; `limit` lowers the usual size limit."""
        key = self.key(path)
        limit = self.budget.limits.file_bytes if limit is None else limit
        data = self._texts.get(key)
        if data is None:
            data = self._stored(path, key.removeprefix(self._prefix), limit)
        if len(data) > limit:
            size = f"{limit // 1024**2} MB" if limit >= 1024**2 else f"{limit // 1024} KB"
            message, advice = f"is larger than {size}", "split the file; nothing in it was checked"
            raise Unreadable(Problem(path, 1, 1, message, advice))
        return data

    def text(self, path: str, limit: int | None = None) -> str:
        """Read a file that has to be UTF-8, with or without a byte order mark.

        Raises Unreadable, with the place of the first byte that is not UTF-8. For files of nginx,
        which may have any bytes, see `source`.
        """
        try:
            return self.read(path, limit).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            *above, here = error.object[: error.start].split(b"\n")
            problem = Problem(
                path, len(above) + 1, len(here.decode()) + 1, "is not UTF-8", "save it as UTF-8"
            )
            raise Unreadable(problem) from None

    def _stored(self, path: str, real: str, limit: int) -> bytes:
        """The stored bytes at a real path, at most one byte over the limit."""

        def refuse(message: str, advice: str, kind: type[NotAFile] = NotAFile) -> NotAFile:
            return kind(Problem(path, 1, 1, message, advice))

        if real == self._storage.nothing:
            return b""  # like an empty file to nginx, and used as one
        if not self._may_read(real):
            raise refuse(*_LEADS_OUT, LeadsOut)
        before, separator, name = real.rpartition(self._storage.separator)
        if separator and not name and self._storage.kind(before) == "file":
            raise refuse("is a file, not a folder", f'write "{os.path.normpath(path)}"')
        left = self.budget.left("run_bytes")
        try:
            data = self._storage.read(real, min(limit, left))
        except FileNotFoundError:
            if self.is_dump:
                raise refuse(
                    "is not in the dump", "write a new dump with nginx -T", Absent
                ) from None
            raise refuse("no such file", "check the path", Absent) from None
        except IsFolder:
            raise refuse("is a folder", "name the configuration file in it") from None
        except NotRegular:
            raise refuse("is not a regular file", "name a configuration file") from None
        except PermissionError:
            raise refuse("permission denied", "make the file readable") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise refuse(f"cannot be read ({reason})", "check the path") from None
        self.budget.spend("files", 1, path)
        self.budget.spend("run_bytes", min(len(data), limit), path)
        return data

    def leads_out(self, path: str) -> bool:
        """Whether a path leads outside the folders that this run may read."""
        key = self.key(path)
        return key not in self._texts and not self._may_read(key.removeprefix(self._prefix))

    def _may_read(self, real: str) -> bool:
        return self.host or f"{real}{os.sep}".startswith(self._readable)

    def is_file(self, path: str) -> bool:
        """Whether a regular file is there."""
        return self.key(path) in self._texts or self._kind(path) == "file"

    def is_folder(self, path: str) -> bool:
        """Whether a folder exists. In a dump every folder does."""
        return self.is_dump or self._kind(path) == "folder"

    def is_program(self, path: str) -> bool:
        """Whether the path is an executable file or an accessible folder."""
        real = self.key(path).removeprefix(self._prefix)
        return self._kind(path) is not None and self._storage.is_program(real)

    def is_link(self, path: str) -> bool:
        """Whether a path ends in a symbolic link."""
        return self._storage.is_link(path)

    def exists(self, path: str) -> bool:
        """Whether anything exists at the path."""
        return self.key(path) in self._texts or self._kind(path) is not None

    def is_gone(self, path: str) -> bool:
        """Whether a file does not exist, as far as this run can see."""
        return not self.leads_out(path) and not self.exists(path)

    def _kind(self, path: str) -> str | None:
        key = self.key(path)
        if self.leads_out(path) or key.startswith("\0"):
            return None
        return self._storage.kind(key.removeprefix(self._prefix))

    def entries(self, folder: str) -> Iterator[tuple[str, bool]]:
        """The names in a folder, each with whether it is a folder; empty if it does not exist.

        A link is no folder here, wherever it leads.
        """
        if self.leads_out(folder):
            return
        try:
            for entry in self._storage.entries(self.key(folder).removeprefix(self._prefix)):
                self.budget.spend("entries", 1)
                yield entry
        except OSError:
            return

    def matching(self, pattern: str, deep: bool = False) -> list[str]:
        """The paths that a pattern matches, as glob(3) gives them, in order.

        With `deep`, `**` is any number of folders. Folders that lead out are not searched; a file
        that leads out is returned, so that `source` refuses it. Raises `LeadsOut` if the whole
        pattern leads out.
        """
        if self.leads_out(literal_folder(pattern) or os.curdir):
            raise LeadsOut(Problem(pattern, 1, 1, *_LEADS_OUT))
        return matching_paths(pattern, self.entries, self._is_there, self.key, deep)

    def _is_there(self, path: str) -> bool:
        folder = os.path.dirname(path) or os.curdir
        return not self.leads_out(folder) and self._storage.exists(path)

    def files_below(self, folder: str) -> list[str]:
        """The paths of the files below a folder that git does not ignore, in order.

        They are relative to the current folder if possible. If there are more than the run may
        search, only some are returned, and the budget has a problem.
        """
        key = self.key(folder)
        if key not in self._listings:
            from nginx_stream_lint.files.listing import list_files
            from nginx_stream_lint.util.git import Steps

            found: list[str] = []
            git_root = self.git_root(folder)
            steps = Steps(self.budget.limits.ignore_steps, self.budget.limits.ignore_patterns)
            with suppress(Unreadable):
                found.extend(list_files(self, folder, git_root, steps))
            if steps.exceeded:
                self.notes[folder] = (
                    "the .gitignore files have too many patterns; ignored files are checked, too"
                )
            self._listings[key] = sorted(
                self._storage.shown(os.path.normpath(path)) for path in found
            )
        return self._listings[key]

    def is_below(self, path: str, folder: str) -> bool:
        """Whether a path leads to a folder, or to something in it, links followed."""
        return _is_below(self.key(path), self.key(folder))

    def git_root(self, folder: str) -> str | None:
        """The nearest folder with an entry `.git`, from a folder upwards; None if there is none."""
        return _git_root(self.key(folder).removeprefix(self._prefix), self._storage)

    def shown(self, path: str) -> str:
        """An absolute path in its form for messages."""
        return self._storage.shown(path)

    def root_of(self, path: str) -> str:
        """The innermost root that contains a file; without one, the file's folder."""
        real = self.key(path).removeprefix(self._prefix)
        found = [root for root in self.roots if _is_below(real, root)]
        return max(found, key=len) if found else os.path.dirname(real)


def _encoded(path: str, text: str) -> bytes:
    try:
        return text.encode(ENCODING, ERRORS)
    except UnicodeEncodeError as error:
        message = f"contains a character that a file cannot contain: {text[error.start]!a}"
        raise Unreadable(Problem(path, 1, 1, message, "remove it")) from None


def _is_below(real: str, folder: str) -> bool:
    """Whether a real path is a folder's, or below it."""
    return real == folder or real.startswith(_inside(folder))


def _inside(folder: str) -> str:
    """What all real paths in a folder begin with."""
    return folder if folder.endswith(("/", os.sep)) else folder + os.sep


def _is_of_parts(folder: str) -> bool:
    """Whether a folder holds only parts of a configuration, by its name."""
    name, is_list, end = folder.rpartition(".")
    if is_list:
        return end == "d" and name.removesuffix("s") in _BEFORE_D
    before, _, word = folder.partition("-")
    is_word = word.replace("_", "a").isalnum()
    return folder in _OF_PARTS or (is_word and before in _BEFORE_WORD)


def _root_of(path: str, storage: Storage) -> str:
    """The real path of the folder that a named path belongs to.

    That is the git root: the nearest folder above with an entry `.git`, of any kind. Without one,
    it is the named folder, or the folder of the named file. If the folder's name shows that it
    holds only parts of a configuration, it is the folder above.
    """
    path = os.path.join(storage.here(), path)
    folder = os.path.normpath(path)
    is_file = storage.kind(storage.real(path)) != "folder"
    if is_file:
        folder = os.path.dirname(folder)
    git_root = _git_root(folder, storage)
    if git_root is not None:
        return storage.real(git_root)
    while is_file and _is_of_parts(os.path.basename(folder)):
        folder = os.path.dirname(folder)
    return storage.real(folder)


def _git_root(folder: str, storage: Storage) -> str | None:
    """The nearest folder with an entry `.git`, from `folder` upwards; None if there is none."""
    before = ""
    while folder != before:
        if storage.exists(os.path.join(folder, ".git")):
            return folder
        folder, before = os.path.dirname(folder), folder
    return None
