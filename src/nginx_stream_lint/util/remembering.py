"""Cache results of functions for one run.

Thousands of locations share few paths, comments and patterns, so what is found out about one text
is kept for the next. It is not kept for the next run: a process that lints for days, such as an
editor's, would collect the texts of all configurations that it has ever seen. What is about one
block of a configuration is kept on that block instead (`nginx.levels.cached_on_level`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

_F = TypeVar("_F", bound=Callable[..., object])

_clear: list[Callable[[], None]] = []


def remembered(function: _F) -> _F:
    """Decorator: keep all results of a function of texts and other plain values."""
    return _kept(function, None)


def latest_remembered(most: int) -> Callable[[_F], _F]:
    """Decorator: keep only so many results, those that were last asked for."""
    return lambda function: _kept(function, most)


def forgotten(clear: Callable[[], None]) -> None:
    """Name what forgets results that are kept in another way; it is called with the rest."""
    _clear.append(clear)


def forget() -> None:
    """Forget all results: a new run begins. Those of a run in another thread are found again."""
    for clear in _clear:
        clear()


def _kept(function: _F, most: int | None) -> _F:
    kept = lru_cache(most)(function)
    forgotten(kept.cache_clear)
    return kept  # type: ignore[return-value]  # called in the same way, only quicker
