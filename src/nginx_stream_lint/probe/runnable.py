"""Find out whether an nginx could run the copy of a configuration."""

from __future__ import annotations

import re

from nginx_stream_lint.config import Configuration, Problem
from nginx_stream_lint.probe.allowed_directives import (
    DATA_BLOCKS,
    HTTP,
    LEADS_TO_FILES,
    STREAM,
    UPSTREAM,
)
from nginx_stream_lint.probe.copied_files import is_below, tree_of
from nginx_stream_lint.probe.pass_targets import PROTOCOLS
from nginx_stream_lint.probe.special_directives import SPECIAL

_BLOCKS = frozenset({"http", "if", "limit_except", "location", "server", "stream", "upstream"})
# Beginnings of problems about files that are missing, or that may not be read.
_NOT_INCLUDED = ('included file "', 'include "')
_MISUSED = re.compile(r'"(\w+)" directive')


def first_problem(configuration: Configuration) -> Problem | None:
    """The first problem for which no nginx would run a configuration, sandboxed or not.

    A missing include, or one that leads out of the tree, does not count, because the copy omits it;
    nor does a directive that is not on the allow list.
    """
    if configuration.root is None:
        return configuration.problems[0]
    tree = tree_of(configuration.path)
    for problem in configuration.problems:
        missing = problem.message.startswith(_NOT_INCLUDED)
        name = _MISUSED.search(problem.message)
        if is_below(problem.file, tree) and not missing and (name is None or _may_run(name[1])):
            return problem
    return None


def _may_run(name: str) -> bool:
    """Whether a copy may have a directive, in some form."""
    data = {inner for block in DATA_BLOCKS.values() for inner in block}
    return (
        name in HTTP | STREAM | UPSTREAM | LEADS_TO_FILES | _BLOCKS | data
        or name in SPECIAL
        or name.removesuffix("_pass") in PROTOCOLS
    )
