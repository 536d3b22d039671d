"""Copy the words of directives, as far as the limits of the sandbox allow.

Each function returns None for a directive that the copy omits, which is then on its list.
"""

from __future__ import annotations

import re

from nginx_stream_lint.config import Directive
from nginx_stream_lint.probe.allowed_directives import (
    BELOW_ROOT,
    LEADS_TO_FILES,
    MACHINE,
    MACHINE_RENAMED,
    NAME,
    NOWHERE,
    reason_for_omission,
    too_large,
)
from nginx_stream_lint.probe.copy_model import CopiedDirective, Copy
from nginx_stream_lint.probe.quoting import UnwritableWord, quoted

_FILE_TEST = re.compile(r"\(?!?-[fdex]")
_UPWARDS = re.compile(r"(?:^|/)\.\.(?:/|$)")


def with_words(
    copy: Copy, row: Directive, words: list[str], children: list[CopiedDirective] | None = None
) -> CopiedDirective | None:
    """A directive with these words, if nginx's syntax and the sandbox's limits have room."""
    if too_large(row.name, words):
        return copy.leave_out(row, "it needs more memory than the probe allows", True)
    kept = [MACHINE.sub(rf"\1{MACHINE_RENAMED}", word) for word in (row.name, *words)]
    try:
        for word in kept:
            quoted(word)
    except UnwritableWord as error:
        return copy.leave_out(row, f"the copy cannot contain it: {error}", True)
    if kept != [row.name, *words]:
        copy.note_replaced(row, "values that show this machine are empty in the copy", True)
    return CopiedDirective(kept[0], kept[1:], row, children)


def as_written(copy: Copy, row: Directive) -> CopiedDirective | None:
    """A directive of the allow list."""
    if row.name in LEADS_TO_FILES:
        paths = row.args[1:] if row.name == "rewrite" else row.args
        if any(_UPWARDS.search(path) for path in paths):
            return copy.leave_out(row, "it leads out of the document root", True)
    if row.name == "sticky" and (
        row.args[:1] not in (("cookie",), ("route",)) or "zone=" in " ".join(row.args)
    ):
        return copy.leave_out(row, "the probe keeps no sessions", True)
    if row.name == "zone":
        if not row.args or NAME.fullmatch(row.args[0]) is None:
            return copy.leave_out(row, "its name is not plain text", False)
        return with_words(copy, row, [row.args[0], "1m"])
    return with_words(copy, row, list(row.args))


def condition(copy: Copy, row: Directive) -> list[str]:
    """The words of an `if`, in which file tests are limited to the root."""
    words = list(row.words)
    for at in range(1, len(words)):
        test, path = words[at - 1], words[at]
        if _FILE_TEST.fullmatch(test) and BELOW_ROOT.match(path) is None:
            words[at] = f"{NOWHERE}/{path.lstrip('/')}"
            copy.note_replaced(row, "there are no files in the sandbox", True)
    return words


def unlisted(copy: Copy, row: Directive) -> CopiedDirective | None:
    """Omit a directive that is not on the allow list."""
    return copy.leave_out(row, *reason_for_omission(row.name))
