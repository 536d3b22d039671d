"""The shipped rules, and the rules of a user's folders after them."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

from nginx_stream_lint.rules.rule import Rule
from nginx_stream_lint.util.data import data_folder, data_names, table

if TYPE_CHECKING:
    from pathlib import Path

    from nginx_stream_lint.files import Workspace


def builtin_folder() -> Path:
    """The folder of the shipped rules: inside the wheel, or `rules/` of the checkout."""
    from pathlib import Path

    return Path(_folder())


@cache
def _folder() -> str:
    here = os.path.dirname(__file__)
    if any(name.endswith(".yaml") for name in data_names(here)):
        return here
    return os.path.abspath(os.path.join(data_folder(__file__), "../../../rules"))


def load_rules(
    *paths: Path, check_shipped: bool = False, workspace: Workspace | None = None
) -> tuple[Rule, ...]:
    """Read all rules of folders or files, in this order and sorted by name.

    `workspace` has the files that are not shipped; without it, the caller trusts these paths.
    `check_shipped` also checks the templates of the shipped rules, which normally only the tests
    do. Raises RuleMistake, also for a repeated name and for a `replaces` that names no rule.
    """
    shipped: tuple[Rule, ...] = ()
    if paths and paths[0] == builtin_folder() and not check_shipped:
        shipped, paths = shipped_rules(), paths[1:]
    if not paths:
        return shipped
    from nginx_stream_lint.rules.rule_file import read_rules

    return read_rules(paths, shipped, check_shipped, workspace)


@cache
def shipped_rules() -> tuple[Rule, ...]:
    """The shipped rules, sorted by name."""
    return table("rules", tuple[Rule, ...], read)


def read() -> tuple[Rule, ...]:
    """Read the shipped rules from their YAML files."""
    from nginx_stream_lint.rules.rule_file import read_rules

    return read_rules([builtin_folder()])
