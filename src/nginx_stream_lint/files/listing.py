"""The files below a folder that git does not ignore. git itself is never started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from nginx_stream_lint.util.git import Patterns, Steps, as_bytes, lines
from nginx_stream_lint.util.problems import Unreadable
from nginx_stream_lint.util.temporary import is_temporary

if TYPE_CHECKING:
    from nginx_stream_lint.files.workspace import Workspace

_SKIPPED = frozenset({"node_modules", "__pycache__", "venv", "site-packages"})
_MAX_IGNORE_BYTES = 1024 * 1024

# The patterns of a file, and the length of the folder that they are relative to.
_Ignored = tuple[Patterns, int]


def list_files(
    workspace: Workspace, root: str, git_root: str | None, steps: Steps
) -> Iterator[str]:
    """The paths of the files below a folder.

    Ignored files are omitted, even if git tracks them: the names of such files are only in git's
    index. Folders with a `.git` are other repositories, and omitted, too; `root` is always read,
    because the caller named it. Links to folders are not followed. An unreadable folder is treated
    as empty. Raises `Unreadable` if there are more entries than the run has left.
    """
    real = workspace.key(root)
    # From the folder outwards: the patterns that apply there, and the folder they are relative to.
    outer = [] if git_root is None else _patterns_above(workspace, real, git_root, steps)
    waiting = [(root, real, outer)]
    while waiting:
        folder, real, outer = waiting.pop()
        entries = list(workspace.entries(folder))
        names = {name for name, _ in entries}
        if folder != root and ".git" in names:
            continue
        start = _slashed(real)
        inner = None
        if ".gitignore" in names:
            inner = _patterns(workspace, os.path.join(real, ".gitignore"), steps)
        patterns = [(inner, len(start)), *outer] if inner else outer
        for name, is_folder in entries:
            if (
                name == ".git"
                or is_temporary(name)
                or (is_folder and (name in _SKIPPED or (git_root is None and name.startswith("."))))
            ):
                continue
            path = os.path.join(folder, name)
            if not is_folder and not workspace.is_file(path):
                continue
            if patterns and _is_ignored(start + as_bytes(name), is_folder, patterns):
                continue
            if is_folder:
                waiting.append((path, os.path.join(real, name), patterns))
            else:
                yield path


def _patterns_above(workspace: Workspace, folder: str, top: str, steps: Steps) -> list[_Ignored]:
    """The patterns of the folders from `top` down to the parent of `folder`, the nearest first.

    The repository's exclude file comes last; those of a user or machine do not count.
    """
    found: list[_Ignored] = []
    at = folder
    while at != top:
        at = os.path.dirname(at)
        own = _patterns(workspace, os.path.join(at, ".gitignore"), steps)
        found += [(own, len(_slashed(at)))] if own else []
    git = os.path.join(top, ".git")
    if not workspace.is_link(git):
        own = _patterns(workspace, os.path.join(git, "info", "exclude"), steps)
        found += [(own, len(_slashed(top)))] if own else []
    return found


def _patterns(workspace: Workspace, path: str, steps: Steps) -> Patterns | None:
    """The patterns of a file. Links are not followed, as in git."""
    if workspace.is_link(path) or not workspace.is_file(path):
        return None
    try:
        return Patterns(lines(workspace.read(path, _MAX_IGNORE_BYTES)), steps)
    except Unreadable:
        steps.exceeded = True
        return None


def _is_ignored(path: str, is_folder: bool, patterns: list[_Ignored]) -> bool:
    """Whether the nearest patterns that match a path ignore it."""
    for one, start in patterns:
        verdict = one.verdict(path[start:], is_folder)
        if verdict is not None:
            return verdict
    return False


def _slashed(folder: str) -> str:
    """A folder in git's form: one character for each byte, and a final slash."""
    return as_bytes(os.path.join(folder, "")).replace(os.sep, "/")
