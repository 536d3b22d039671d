"""The files around a configuration.

A repository seldom has the folder structure that nginx sees in production. This module finds the
files that an include may mean, the main files that may include a snippet, and the files of a folder
that are worth reading.
"""

from __future__ import annotations

import os
import re
from fnmatch import fnmatchcase
from functools import cached_property

from msgspec import Struct

from nginx_stream_lint.config.documents import is_markdown, is_yaml, may_embed_nginx
from nginx_stream_lint.config.main_files import has_http, is_sample, plain_name
from nginx_stream_lint.config.recognise import (
    MAX_NAMED,
    Verdict,
    is_called_configuration,
    is_called_nginx,
    longest,
    looks_like_nginx,
    may_be_nginx,
    plausible,
    recognise,
)
from nginx_stream_lint.files.globbing import is_pattern
from nginx_stream_lint.files.source import ENCODING, ERRORS
from nginx_stream_lint.files.workspace import HOST_FOLDERS, Workspace
from nginx_stream_lint.util.problems import Unreadable

# The usual places of nginx's main file.
_NGINX_FOLDERS = tuple(tuple(folder.strip("/").split("/")) for folder in HOST_FOLDERS)
_AVAILABLE, _ENABLED = "sites-available", "sites-enabled"

# A variant among several, one of which a script selects: `app.conf.prod`.
_VARIANT = r"(\.conf)\.[\w-]+$"

# Objects of the Gateway API belong to nginx only if something says so: the class of the Gateway, a
# policy, or the name of a Gateway that is elsewhere.
_IN_GATEWAY_API = r"gateway\.networking\.k8s\.io/"
_OF_NGINX = (
    r"gateway\.nginx\.org|gatewayClassName[\"']?: *[\"']?[\w.-]*nginx"
    r"|parentRefs[\"']?:[\s\S]{0,300}?\bname[\"']?: *[\"']?[\w.-]*nginx"
)


class _FileSummary(Struct, frozen=True):
    """Summary of a file from its name and text."""

    is_blank: bool
    is_main: bool
    is_plausible: bool
    is_nginx_like: bool  # most of its first statements are nginx directives
    verdict: Verdict


class IncludeCandidates(Struct, frozen=True):
    """The repository files that an include most likely means.

    `same`: their folders agree with the include, as far as the repository has them.
    """

    paths: list[str]
    same: bool


class Repository:
    """A folder with all its files."""

    def __init__(self, workspace: Workspace, root: str) -> None:
        self._workspace = workspace
        self._root = root
        self._looks: dict[str, _FileSummary] = {}

    @cached_property
    def files(self) -> list[str]:
        """The paths of the files, sorted."""
        return self._workspace.files_below(self._root)

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        """The files by their name in production: without suffixes of templates and samples."""
        found: dict[str, list[str]] = {}
        for path in self.files:
            for name in {plain_name(path), re.sub(_VARIANT, r"\1", os.path.basename(path))}:
                found.setdefault(name, []).append(path)
        return found

    def nearest(self, argument: str, near: str, main: str) -> IncludeCandidates:
        """The files that an include's argument in the file `near` most likely means.

        Those with the longest common end of their path and the argument, then the nearest. For a
        pattern with wildcards, the name of a folder must match, too. `main` is the main file.
        """
        parts = [part for part in re.split(r"[/\\]", argument) if part not in ("", ".", "..")]
        if not parts:
            return IncludeCandidates([], same=False)
        wild = is_pattern(argument)
        names = (
            [name for name in self._by_name if fnmatchcase(name, parts[-1])]
            if is_pattern(parts[-1])
            else [plain_name(parts[-1])]
        )
        key = self._workspace.key
        never = {key(near), key(main)}
        here = self._folders(near)
        best: tuple[int, int, str] | None = None
        found: dict[tuple[int, int, str], dict[str, list[str]]] = {}
        for name in names:
            for path in self._by_name.get(name, ()):
                folders = self._folders(path)
                alike = _common_end(folders, parts[:-1])
                base = folders[: len(folders) - alike]
                if wild and all(map(is_pattern, parts[len(parts) - 1 - alike : -1])):
                    continue
                rank = (-alike, _distance(here, folders if not wild else base), "/".join(base))
                if (best is not None and rank > best) or key(path) in never:
                    continue
                if not self._may_be_meant(path, alike, wild):
                    continue
                place = os.path.join(os.path.dirname(path), name)
                found.setdefault(rank, {}).setdefault(place, []).append(path)
                best = rank
        if best is None:
            return IncludeCandidates([], same=False)
        paths = _without_samples(found[best])
        paths = paths if wild else paths[:1]
        places = {tuple(self._folders(path)) for path in paths}
        same = not any(map(_is_doubtful, paths)) and all(
            _agrees_with(place, parts[:-1], tuple(self._folders(main))) for place in places
        )
        return IncludeCandidates(paths, same)

    def templates_of(self, path: str) -> list[str]:
        """The templates beside a path or pattern from which its files are rendered.

        Scripts drop the `.conf` of some, as with `proxy_params.conf`.
        """
        folder, name = os.path.split(path)
        inside = (
            os.path.join(folder, entry)
            for entry, is_folder in self._workspace.entries(folder or os.curdir)
            if not is_folder
        )
        found = {
            os.path.join(folder, plain): one
            for one in sorted(inside)
            if (plain := plain_name(one)) != os.path.basename(one)
            and fnmatchcase(plain, name)
            and not is_sample(one)
        }
        longer = f"{path}.conf"
        if not found and "." not in name and not is_pattern(path) and self._may_be_read(longer):
            return [longer]
        return list(found.values())

    def _may_be_read(self, path: str) -> bool:
        return self._workspace.is_file(path) and self._look(path).is_plausible

    def candidates(self, documents: bool) -> list[tuple[str, Verdict]]:
        """The files worth reading, with the reason; `documents` includes Markdown.

        If a site is both available and enabled, only the enabled one is returned.
        """
        found: list[tuple[str, Verdict]] = []
        routes: list[tuple[str, Verdict]] = []
        has_gateway = False
        for path in self.files:
            if is_yaml(path) or is_markdown(path):
                if not (is_yaml(path) or documents):
                    continue
                text = self.text(path)
                if may_embed_nginx(path, text):
                    found.append((path, "named"))
                elif is_yaml(path) and re.search(_IN_GATEWAY_API, text) is not None:
                    routes.append((path, "named"))
                has_gateway = has_gateway or re.search(_OF_NGINX, text) is not None
            elif may_be_nginx(self._name(path)):
                look = self._look(path)
                if look.verdict != "not" and not look.is_blank:
                    found.append((path, look.verdict))
        if has_gateway:
            found = sorted((*found, *routes))
        paths = {path for path, _ in found}
        return [
            (path, verdict)
            for path, verdict in found
            if not self._is_enabled_elsewhere(path, paths)
        ]

    def rejected(self) -> list[str]:
        """The files that seem to be nginx files but do not parse as such."""
        return [
            path
            for path, look in self._looks.items()
            if look.verdict == "not" and look.is_nginx_like and is_called_configuration(path)
        ]

    def mains(self) -> list[str]:
        """The files that look like main files."""
        return [
            path
            for path in self.files
            if not (is_yaml(path) or is_markdown(path))
            and may_be_nginx(self._name(path))
            and self._look(path).is_main
        ]

    def _is_enabled_elsewhere(self, path: str, paths: set[str]) -> bool:
        folder, name = os.path.split(path)
        if not folder.endswith(_AVAILABLE):
            return False
        enabled = os.path.join(folder.removesuffix(_AVAILABLE) + _ENABLED, name)
        key = self._workspace.key
        is_copy = enabled in paths and key(enabled) != key(path)
        return is_copy and self.text(enabled) == self.text(path)

    def _may_be_meant(self, path: str, alike: int, wild: bool) -> bool:
        """Whether an include may mean a file with this many common folders.

        Other programs have a `conf.d/*.conf`, too.
        """
        if alike == 0 or wild:
            look = self._look(path)
            return look.is_plausible or (alike > 0 and look.is_blank)
        return bool(self._workspace.is_file(path))

    def _name(self, path: str) -> str:
        """A path from the repository's root: folders above are no evidence."""
        return "/".join([*self._folders(path), os.path.basename(path)])

    def _folders(self, path: str) -> list[str]:
        """The folders of a file, from the repository's root."""
        folder = self._workspace.key(os.path.dirname(path) or os.curdir)
        root = self._workspace.root_of(folder)
        return [part for part in re.split(r"[/\\]", folder.removeprefix(root)) if part]

    def text(self, path: str, most: int = MAX_NAMED) -> str:
        """A file's text; empty for binary or too large files."""
        try:
            data = self._workspace.read(path, most)
        except Unreadable:
            data = b""
        return "" if b"\0" in data else data.decode(ENCODING, ERRORS)

    def _is_empty(self, path: str) -> bool:
        try:
            return not self._workspace.read(path, 1)
        except Unreadable:
            return False

    def _look(self, path: str) -> _FileSummary:
        if path not in self._looks:
            name = self._name(path)
            text = self.text(path, longest(name))
            if not text and is_called_nginx(name) and not self._is_empty(path):
                # Binary or too large: only a problem if the name says that it is an nginx file.
                self._looks[path] = _FileSummary(False, False, True, False, "named")
                return self._looks[path]
            is_plausible = plausible(name, text)
            is_nginx_like = is_plausible and looks_like_nginx(text)
            is_main = is_nginx_like and has_http(text)
            is_blank = not text.strip()
            self._looks[path] = _FileSummary(
                is_blank, is_main, is_plausible, is_nginx_like, recognise(name, text)
            )
        return self._looks[path]


def _without_samples(places: dict[str, list[str]]) -> list[str]:
    """For each place, the least doubtful file; samples only if there is nothing else."""

    def doubt(path: str) -> tuple[bool, bool, str]:
        name = os.path.basename(path)
        return _is_doubtful(path), plain_name(name) != name, path

    chosen = [min(paths, key=doubt) for paths in places.values()]
    return sorted([path for path in chosen if not _is_doubtful(path)] or chosen)


def _is_doubtful(path: str) -> bool:
    """Whether a file is an example, or a variant that a script selects."""
    name = os.path.basename(path)
    return is_sample(name) or re.search(_VARIANT, plain_name(name)) is not None


def _common_end(folder: list[str], wanted: list[str]) -> int:
    """Number of folders that two paths share at their ends; `wanted` may have wildcards."""
    count = 0
    for have, want in zip(reversed(folder), reversed(wanted), strict=False):
        if not fnmatchcase(have, want):
            break
        count += 1
    return count


def _agrees_with(place: tuple[str, ...], wanted: list[str], main: tuple[str, ...]) -> bool:
    """Whether a folder agrees with an include's path, as far as the repository has its folders.

    The path may also start from the main file's folder, which stands for nginx's own folder.
    """
    alike = _common_end(list(place), wanted)
    if alike in (len(place), len(wanted)):
        return True
    rest = place[len(main) :] if place[: len(main)] == main else None
    own = next((one for one in _NGINX_FOLDERS if tuple(wanted[: len(one)]) == one), None)
    if rest is None or own is None:
        return bool(rest) and alike >= len(rest or ())
    return list(rest) == wanted[len(own) :]


def _distance(here: list[str], there: list[str]) -> int:
    """Number of steps from one folder to another."""
    common = 0
    while here[: common + 1] == there[: common + 1] and common < min(len(here), len(there)):
        common += 1
    return len(here) + len(there) - 2 * common
