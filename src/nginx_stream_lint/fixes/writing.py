"""Write fixed files: prepare all first, and write none outside the named folders."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack

from nginx_stream_lint.config import Source
from nginx_stream_lint.files.source import ENCODING, ERRORS
from nginx_stream_lint.files.workspace import HOST_FOLDERS
from nginx_stream_lint.util.git import is_below, repository_root
from nginx_stream_lint.util.replacing import Refused, Replacement, remove_stale


class NotWritten(Exception):
    """Not all files could be written. The message starts with the place of the failed one.

    It ends with the names of the changed and unchanged files.
    """

    def __init__(self, name: str, why: str, written: Sequence[str], left: Sequence[str]) -> None:
        state = "nothing was changed"
        if written:
            state = f"changed: {', '.join(written)}; not changed: {', '.join(left)}"
        super().__init__(f"{name}:1:1: cannot be written ({why}); {state}")


def roots_of(paths: Iterable[str]) -> tuple[str, ...]:
    """The folders below which files may be written, for the paths that the user named.

    Each is the root of the repository, or the folder. A link counts by its own place.
    """
    roots: dict[str, None] = {}
    for path in paths:
        folder = os.path.realpath(path if os.path.isdir(path) else os.path.dirname(path))
        host = next((one for one in HOST_FOLDERS if is_below(folder, one)), None)
        roots[repository_root(folder) or host or folder] = None
    return tuple(roots)


def write(changed: Mapping[str, tuple[Source, Source]], roots: Sequence[str]) -> Iterator[str]:
    """Write fixed files: (before, after) by path. Yields the name of each written file.

    First all new texts are written beside the old ones, then each replaces its old one. A file is
    left as it is if it has changed since it was read or is not below one of the `roots`, and so
    are those after it. Raises NotWritten.
    """
    names = {os.path.realpath(path): after.name for path, (_, after) in changed.items()}
    at = ""
    written: list[str] = []
    try:
        with ExitStack() as prepared:
            news: list[Replacement] = []
            for path, (before, after) in changed.items():
                at = os.path.realpath(path)
                if not any(is_below(at, root) for root in roots):
                    raise Refused(f"it is outside of {' and '.join(roots)}")
                mark = before.byte_order_mark
                new = Replacement(at, [_encoded(after, mark)], expected=_encoded(before, mark))
                news.append(prepared.enter_context(new))
            for new in news:
                at = new.path
                new.check()
            for new in news:
                at = new.path
                new.commit()
                written.append(names.pop(at))
                yield written[-1]
    except OSError as error:
        why = error.strerror or str(error)
        raise NotWritten(names[at], why, written, list(names.values())) from None


def clean_up(sources: Iterable[str], roots: Sequence[str]) -> None:
    """Remove temporary files that killed runs left beside these files."""
    for folder in {os.path.dirname(os.path.realpath(name)) for name in sources}:
        if any(is_below(folder, root) for root in roots):
            remove_stale(folder)


def _encoded(source: Source, mark: str) -> bytes:
    return f"{mark}{source.text}".encode(ENCODING, ERRORS)
