"""Fixes keep the variables of templates: their values are set elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from nginx_stream_lint.config.deployed import Deployed
from nginx_stream_lint.config.mapped_text import PLACEHOLDER, MappedText
from nginx_stream_lint.config.templates.dialects import ENVSUBST_VARIABLE
from nginx_stream_lint.files.source import Source
from nginx_stream_lint.rules.filters import listed
from nginx_stream_lint.rules.finding import Edit, Fix

_VARIABLE = re.compile(ENVSUBST_VARIABLE, re.ASCII)


class FilledVariables:
    """The variables in templates that were replaced by their values."""

    def __init__(self, readings: Iterable[MappedText]) -> None:
        self._readings: dict[int, list[MappedText]] = {}
        for one in readings:
            if one.pieces and one.author is None:
                self._readings.setdefault(id(one.source), []).append(one)
        self._known: dict[int, dict[int, tuple[str, set[str]]]] = {}

    def keep_in(self, fix: Fix, running: Sequence[Deployed]) -> Fix:
        """Return a fix that replaces no such variable; it is manual if it would.

        The title names the places that set the variables for the nginx that run the template.
        """
        lost = dict(each for edit in fix.edits for each in self._lost(edit))
        if not lost:
            return fix
        said: list[str] = []
        for name, values in lost.items():
            # A value from --env-file takes precedence, and has no place to name.
            origins = dict.fromkeys(
                one.value_origin(name) for one in running if one.values.get(name) in values
            )
            places = [f"{one.file}:{one.line}" for one in origins if one is not None]
            said.append(f"{name} ({listed(places)})" if places else name)
        title = f"Change {listed(said)}, so that nginx reads this"
        return Fix(title, "manual", fix.snippet)

    def _lost(self, edit: Edit) -> Iterator[tuple[str, set[str]]]:
        """The variables that an edit replaces: their names and values."""
        if edit.start == edit.end or id(edit.source) not in self._readings:
            return
        filled = self._filled(edit.source)
        written = edit.source.text[edit.start : edit.end]
        for match in _VARIABLE.finditer(written):
            variable = filled.get(edit.start + match.start())
            if variable is not None and match[0] not in edit.text:
                yield variable

    def _filled(self, source: Source) -> dict[int, tuple[str, set[str]]]:
        """The filled variables of a template and their values, by their offsets."""
        found = self._known.get(id(source))
        if found is None:
            found = self._known[id(source)] = {}
            for reading in self._readings[id(source)]:
                for start, end, at, stop in reading.pieces:
                    name = _VARIABLE.fullmatch(source.text[at:stop]) if stop > at else None
                    value = reading.text[start:end]
                    if name is not None and PLACEHOLDER not in value:
                        found.setdefault(at, (name[1] or name[2], set()))[1].add(value)
        return found
