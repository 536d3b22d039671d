"""Templates (being written)."""

from __future__ import annotations

from collections.abc import Mapping

from nginx_stream_lint.config.source import Reading, Source


def readings(source: Source, values: Mapping[str, str]) -> list[Reading]:
    """What nginx gets to see of a source."""
    return [Reading(source, source.text)]
