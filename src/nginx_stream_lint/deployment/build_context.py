"""The folder that a Dockerfile copies files from, and the files of it that a build ignores."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from fnmatch import fnmatchcase

from nginx_stream_lint.deployment.image_folders import is_configuration_path
from nginx_stream_lint.deployment.instructions import MAX_TEXT, Instruction, is_url, words_of
from nginx_stream_lint.files.globbing import is_pattern
from nginx_stream_lint.files.workspace import Workspace
from nginx_stream_lint.util.problems import Unreadable

_MAX_FOLDERS = 20  # above a Dockerfile
_MAX_NAMES = 200  # of copied names that are tried, to find the context
_MAX_PATTERNS = 200  # of .dockerignore


def context_of(
    workspace: Workspace, path: str, found: Sequence[Instruction], root: str
) -> str | None:
    """Find the build context: the Dockerfile's folder, or the nearest above, with all copied files.

    If no folder has all of them, because a build creates some, the nearest one with the copied
    files for nginx's configuration. None if there is no such folder.
    """
    folder = os.path.dirname(path) or os.curdir
    folders = [folder]
    while workspace.key(folder) != workspace.key(root) and len(folders) < _MAX_FOLDERS:
        parent = os.path.normpath(os.path.join(folder, os.pardir))
        if workspace.leads_out(parent) or parent == folder:
            break
        folder = parent
        folders.append(folder)
    copied = _copied_names(found)
    ours = [name for name, target in copied if is_configuration_path(target.rstrip("/"))]
    for names in ([name for name, _ in copied], ours):
        for one in folders:
            if names and all(_is_there(workspace, os.path.join(one, name)) for name in names):
                return one
    return None if ours else folders[0]


def _copied_names(found: Sequence[Instruction]) -> list[tuple[str, str]]:
    """The names copied from the context, and their destinations."""
    names: list[tuple[str, str]] = []
    for one in found:
        if one.name in ("COPY", "ADD") and "from" not in one.flags:
            *sources, target = words_of(one.text) or [""]
            for name in sources:
                if "$" not in name and not name.startswith("<<") and not is_url(name):
                    names.append((name.lstrip("/") or ".", target))
    return names[:_MAX_NAMES]


def _is_there(workspace: Workspace, path: str) -> bool:
    try:
        return bool(workspace.matching(path)) if is_pattern(path) else workspace.exists(path)
    except Unreadable:
        return False


def ignore_patterns(workspace: Workspace, path: str, context: str) -> list[tuple[str, bool]]:
    """The patterns of the .dockerignore for a Dockerfile, each with whether it keeps files."""
    for name in (f"{path}.dockerignore", os.path.join(context, ".dockerignore")):
        if not workspace.is_file(name):
            continue
        try:
            lines = workspace.source(name).text[:MAX_TEXT].split("\n")[:_MAX_PATTERNS]
        except Unreadable:
            return []
        return [
            (posixpath.normpath(line.lstrip("!").strip("/") or "."), line.startswith("!"))
            for line in map(str.strip, lines)
            if line and not line.startswith("#")
        ]
    return []


def is_ignored(name: str, patterns: Sequence[tuple[str, bool]]) -> bool:
    """Whether the patterns of .dockerignore exclude a path of the context."""
    parts = posixpath.normpath(name).split("/")
    ahead = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    verdict = False
    for pattern, keeps in patterns:
        tail = pattern.removeprefix("**/")
        for path in ahead:
            if (path.count("/") == pattern.count("/") and fnmatchcase(path, pattern)) or (
                tail != pattern and fnmatchcase(posixpath.basename(path), tail)
            ):
                verdict = not keeps
    return verdict
