"""The files of a configuration that its copy may have: those of one folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator

from nginx_stream_lint.config import Directive
from nginx_stream_lint.probe.copy_model import Copy

# Included files that hold no more than content types, parameters for applications, or modules.
_ONLY_TABLES = re.compile(
    r"(?:^|/)(?:mime\.types|(?:fastcgi|scgi|uwsgi)_params|fastcgi\.conf|modules-enabled/[^/]*)$"
)


def statements(copy: Copy, block: Iterable[Directive]) -> Iterator[Directive]:
    """The directives of a block, with includes replaced by their contents."""
    for directive in block:
        if directive.name != "include" or directive.block is not None:
            yield directive
            continue
        matters = not directive.args or _ONLY_TABLES.search(directive.args[0]) is None
        if not directive.included and not _has_wildcard(directive):
            copy.leave_out(directive, "the file cannot be read", matters)
        for file in directive.included:
            if is_below(file.source.name, copy.tree):
                yield from statements(copy, file.directives)
            else:
                copy.leave_out(directive, f"it is outside {copy.tree}", matters)


def tree_of(path: str) -> str:
    """The folder that belongs to a configuration, absolute.

    It is the main file's own, or the nearest above it with an `nginx.conf`, so that a site of
    `/etc/nginx/sites-enabled` may include what lies in `/etc/nginx`.
    """
    own = os.path.dirname(os.path.abspath(path))
    folder = own
    while True:
        if os.path.isfile(os.path.join(folder, "nginx.conf")):
            return folder
        above = os.path.dirname(folder)
        if above == folder:
            return own
        folder = above


def is_below(path: str, folder: str) -> bool:
    """Whether a path is inside a folder."""
    return os.path.abspath(path).startswith(folder.rstrip(os.sep) + os.sep)


def _has_wildcard(directive: Directive) -> bool:
    return bool(directive.args) and re.search(r"[*?[]", directive.args[0]) is not None
