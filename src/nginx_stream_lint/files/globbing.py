"""Path patterns as in glob(3), walked one component after the other.

Python's `glob` follows circular links: ten links to their own folder and six asterisks make a
million paths. Here each folder is listed once per component, whatever the path to it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase

_MAX_PATH = 4096  # characters: no system opens a longer path
_WILD = re.compile(r"[*?\[]")
_ESCAPED = r"(?s)\\(.)"

# The names in a folder, each with whether it is a folder itself; empty if it cannot be listed.
Entries = Callable[[str], Iterator[tuple[str, bool]]]


def is_pattern(path: str) -> bool:
    """Whether a path has wildcards."""
    return _WILD.search(path) is not None


def literal_folder(pattern: str) -> str:
    """The folder in which the first wildcard of a pattern is matched."""
    found = _WILD.search(pattern)
    return os.path.dirname(pattern if found is None else pattern[: found.start()])


def matching_paths(
    pattern: str,
    entries: Entries,
    is_there: Callable[[str], bool],
    key: Callable[[str], str],
    deep: bool = False,
) -> list[str]:
    """The paths that a pattern matches, in order; with `deep`, `**` is any number of folders.

    `key` returns the real path of a path; `entries` lists the folder at a real path, `is_there`
    returns whether the last name of a real path exists. A backslash makes a wildcard literal,
    `[^a]` is `[!a]`.
    """
    head, *parts = re.split(r"[/\\]" if os.sep == "\\" else "/", _plain(pattern))
    start = "" if head and not head.endswith(":") else f"{head}/"
    parts = [part for part in ([head] if not start else []) + parts if part]
    found: set[str] = set()
    seen: set[tuple[str, int]] = set()
    # Paths as given and as real paths, with the index of the next component. Resolving a long path
    # is expensive, so each step starts from the last real path.
    work = [(start, key(start or os.curdir), 0)]
    while work:
        folder, real, at = work.pop()
        if at == len(parts):
            found.add(folder)
            continue
        name, is_last = parts[at], at == len(parts) - 1
        if not is_pattern(name):
            path, real = os.path.join(folder, name), os.path.join(real, name)
            if not is_last:  # the next component tells whether it exists
                work.append((path, key(real), at + 1))
            elif is_there(real):
                found.add(path)
            continue
        if (real, at) in seen:
            continue
        seen.add((real, at))
        any_depth = deep and name == "**"
        if any_depth and not is_last:
            work.append((folder, real, at + 1))
        for entry, is_folder in entries(real):
            path, inside = os.path.join(folder, entry), os.path.join(real, entry)
            if any_depth:
                if is_folder and not entry.startswith("."):
                    work.append((path, inside, at))
                elif is_last:
                    found.add(path)
            elif fnmatchcase(entry, name) and (name.startswith(".") or not entry.startswith(".")):
                if is_last:
                    found.add(path)
                elif len(path) < _MAX_PATH:
                    work.append((path, key(inside), at + 1))
    return sorted(found)


def _plain(pattern: str) -> str:
    """The pattern in the syntax of `fnmatch`."""
    if os.sep != "\\":
        pattern = re.sub(
            _ESCAPED, lambda one: f"[{one[1]}]" if one[1] in "*?[" else one[1], pattern
        )
    return pattern.replace("[^", "[!")
