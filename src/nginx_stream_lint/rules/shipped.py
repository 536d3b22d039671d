"""The rules that come with the linter, and those of a user's folders behind them."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

from nginx_stream_lint.rules.rule import Rule
from nginx_stream_lint.util.compiled import compiled
from nginx_stream_lint.util.data import data_folder, data_names

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
    """All rules of some folders or files, in this order and by name.

    `workspace` has the files that are not shipped; without it, these paths are named by a person.
    The shipped rules, where they come first, are read from their YAML only where that has changed,
    or with `check_shipped`, which also checks their templates; otherwise their tests do.
    Raises RuleMistake, also for a name that is there twice and for `replaces` without such a rule.
    """
    shipped: tuple[Rule, ...] = ()
    if paths and paths[0] == builtin_folder() and not check_shipped:
        shipped = _compiled()
    others = paths[1:] if shipped else paths
    if not others:
        return shipped
    from nginx_stream_lint.rules.rule_file import read_rules

    return read_rules(others, shipped, check_shipped, workspace)


def shipped_rules() -> tuple[Rule, ...]:
    """The shipped rules, by name."""
    return _compiled() or load_rules(builtin_folder())


@cache
def _compiled() -> tuple[Rule, ...]:
    """The shipped rules as they were compiled; none where that is not what they are today."""
    ready = compiled("nginx_stream_lint.rules.rules_compiled", shipped_files())
    return () if ready is None else ready.RULES


def shipped_files() -> list[str]:
    """The files of the shipped rules, by name."""
    folder = _folder()
    return [os.path.join(folder, name) for name in data_names(folder) if name.endswith(".yaml")]
