"""Cache function results for one run.

Thousands of locations share few paths, comments and patterns, so results for a text are cached. The
cache ends with the run: a process that lints for days, such as an editor's, would collect the texts
of all configurations it has ever checked. Results about one block of a configuration are cached on
that block instead (`nginx.levels.cached_on_level`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

_F = TypeVar("_F", bound=Callable[..., object])

_clear: list[Callable[[], None]] = []


def remembered(function: _F) -> _F:
    """Decorator: cache all results of a function of texts and other plain values."""
    return _kept(function, None)


def latest_remembered(most: int) -> Callable[[_F], _F]:
    """Decorator: cache only the most recently used results."""
    return lambda function: _kept(function, most)


def forgotten(clear: Callable[[], None]) -> None:
    """Register a function that clears another cache; `forget` calls it."""
    _clear.append(clear)


def forget() -> None:
    """Clear all caches before a new run. A run in another thread computes its results again."""
    for clear in _clear:
        clear()


def _kept(function: _F, most: int | None) -> _F:
    kept = lru_cache(most)(function)
    forgotten(kept.cache_clear)
    return kept  # type: ignore[return-value]  # called in the same way, only quicker
