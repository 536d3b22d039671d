"""Fixes of translated configuration: annotations, and fields of a VirtualServer."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import islice
from operator import itemgetter

from msgspec import Struct, field

from nginx_stream_lint.config.mapped_text import SourceEdit, has_placeholder
from nginx_stream_lint.kubernetes.controllers import Controller
from nginx_stream_lint.kubernetes.manifest import Mapping, MappingEntry, Scalar
from nginx_stream_lint.kubernetes.nginx_org import (
    paths_by_upstream,
    paths_of_routes,
    upstreams_of,
)
from nginx_stream_lint.kubernetes.resources import (
    ControllerSettings,
    Ingress,
    IngressPath,
    VirtualServer,
)
from nginx_stream_lint.util.remembering import latest_remembered


class Annotator(Struct, frozen=True, eq=False):
    """The `Author` of the nginx text that a controller generates; places fixes in its YAML.

    `by_class` tells that nothing but the name of its class assigns the resource to the controller;
    `assumed` that not even that does.
    """

    controller: Controller
    resource: Ingress | VirtualServer | ControllerSettings
    by_class: bool
    assumed: bool
    _upstreams: dict[int, Mapping] = field(default_factory=dict)  # see `upstreams_of`
    _sharing: dict[int, dict[str, None]] = field(default_factory=dict)  # see `paths_by_upstream`
    _routes: dict[int, str] = field(default_factory=dict)  # see `paths_of_routes`
    # The paths of an Ingress, each once; and where each of them is written: start, end, path.
    _paths: dict[str, None] = field(default_factory=dict)
    _spans: list[tuple[int, int, str]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.controller.name

    @property
    def notes(self) -> tuple[int, int]:
        """Where comments are about all of the resource's locations: among the annotations."""
        resource = self.resource
        if isinstance(resource, Ingress) and resource.home is not None:
            text = resource.document.text
            start = text.rfind("\n", 0, resource.home.span.start)
            # Comments may be above the first annotation.
            while start > 0:
                before = text.rfind("\n", 0, start)
                if not text[before + 1 : start].strip().startswith("#"):
                    break
                start = before
            return start, resource.home.span.end
        return 0, 0

    @property
    def region(self) -> tuple[int, int]:
        """The document that contains the resource."""
        return self.resource.document.span

    def line(self, name: str, value: str) -> str:
        """A directive as it is written for this controller."""
        if isinstance(self.resource, VirtualServer):
            field = self._field(name, value)
            return f"{field[0]}: {field[1]}" if field else f"{name} {value};"
        found = self._annotation(name, value)
        if found is not None:
            return f'{found[0]}: "{found[1]}"'
        key = self._key(name, value)
        if key is not None:
            return f'{key[0]}: "{key[1]}"  # in the ConfigMap of {self.name}'
        snippet = self.controller.prefixes[0] + self.controller.snippets["location"]
        return f"{snippet}: |\n  {name} {value};"

    @property
    def apart(self) -> str:
        """Advice: how to separate a path so that its settings affect no other path."""
        if isinstance(self.resource, VirtualServer):
            return "give it its own upstream"
        return "move it to its own resource"

    def others(self, offset: int, most: int) -> tuple[list[str], int]:
        """The paths that share annotations or an upstream with the one at an offset.

        As many as `most` of them, and how many there are.
        """
        resource = self.resource
        if isinstance(resource, VirtualServer):
            return self._sharing_upstream(resource, offset, most)
        if not isinstance(resource, Ingress):
            return [], 0
        if not self._paths:
            entries = [path for host in resource.hosts for path in host.paths]
            self._paths.update(dict.fromkeys(map(_path_of, entries)))
            if resource.default is not None:
                self._paths["the default backend"] = None
            self._spans.extend(sorted((*one.span, _path_of(one)) for one in entries))
        at = bisect_right(self._spans, offset, key=itemgetter(0)) - 1
        own = self._spans[at] if at >= 0 else (0, 0, "")
        mine = own[2] if offset < own[1] else None
        named = islice((path for path in self._paths if path != mine), most)
        return list(named), len(self._paths) - (mine in self._paths)

    def _sharing_upstream(
        self, resource: VirtualServer, offset: int, most: int
    ) -> tuple[list[str], int]:
        upstream = self._upstream(resource, offset)
        if not self._routes:
            self._routes.update(paths_of_routes(resource))
            self._sharing.update(paths_by_upstream(resource))
        paths = {} if upstream is None else self._sharing.get(upstream.span.start, {})
        mine = self._routes.get(offset)
        named = islice((path for path in paths if path != mine), most)
        return list(named), len(paths) - (mine in paths)

    def _upstream(self, resource: VirtualServer, offset: int) -> Mapping | None:
        """The upstream of the route that begins at an offset."""
        if not self._upstreams:
            self._upstreams.update(upstreams_of(resource))
        return self._upstreams.get(offset)

    def has_setting(self, name: str, value: str) -> bool:
        """Whether a directive's value has an annotation or a field; a snippet sets others."""
        if isinstance(self.resource, VirtualServer):
            return self._field(name, value) is not None
        return self._annotation(name, value) is not None

    def changes(self, settings: Sequence[tuple[str, str]], offset: int) -> list[SourceEdit] | None:
        """How to give directives their values at the location that begins at an offset.

        None where it cannot be done by machine: placeholders, flow mappings, anchors.
        """
        resource = self.resource
        if isinstance(resource, VirtualServer):
            upstream = self._upstream(resource, offset)
            return self._fields(upstream, settings) if upstream is not None else None
        if not isinstance(resource, Ingress) or resource.unknown is not None:
            return None
        found: list[SourceEdit] = []
        new: list[str] = []
        snippets: list[str] = []
        for name, value in settings:
            pair = self._annotation(name, value)
            if pair is None:
                snippets.append(f"{name} {value};")
                continue
            entry = self._entry(pair[0])
            if entry is None:
                new.append(f'{pair[0]}: "{pair[1]}"')
                continue
            change = self._replaced(entry, pair[1])
            if change is None:
                return None
            found.append(change)
        if snippets:
            more = self._snippet(snippets)
            if more is None:
                return None
            if isinstance(more, SourceEdit):
                found.append(more)
            else:
                new += more
        if new:
            inserted = self._inserted(new, bool(snippets))
            if inserted is None:
                return None
            found.append(inserted)
        return found

    # Annotations

    def _annotation(self, name: str, value: str) -> tuple[str, str] | None:
        """Name and value of the annotation for a directive; None where there is none."""
        row = self.controller.setting(name)
        if row is None or row.annotation is None:
            return None
        said = row.annotated(value)
        return None if said is None else (self.controller.prefixes[0] + row.annotation, said)

    def _key(self, name: str, value: str) -> tuple[str, str] | None:
        """Key and value in the controller's ConfigMap for a directive without annotation."""
        if name in ("http2", "listen"):
            return (self.controller.http2, "true") if "http2" in f"{name} {value}" else None
        for level in ("main", "events", "http", "upstream"):
            for row in self.controller.settings[level]:
                if row.directive == name and row.key is not None:
                    said = row.annotated(value)
                    return None if said is None else (row.key, said)
        return None

    def _entry(self, key: str) -> MappingEntry | None:
        assert isinstance(self.resource, Ingress)
        for prefix in self.controller.prefixes:
            short = self.controller.short(key)
            entry = self.resource.annotations.get(f"{prefix}{short}")
            if entry is not None:
                return entry
        return None

    def _replaced(self, entry: MappingEntry, text: str) -> SourceEdit | None:
        value = entry.value
        if entry.is_alias or not isinstance(value, Scalar) or has_placeholder(value.text):
            return None
        if not self._is_own(entry) or value.style in ("|", ">"):
            return None
        if value.style:
            return SourceEdit(value.start, value.end, text)
        if not value.text:
            end = entry.key.end + (1 if entry.key.style else 0)
            at = self._text.find(":", end) + 1
            return SourceEdit(at, at, f' "{text}"')
        return SourceEdit(value.start, value.end, f'"{text}"')

    def _is_own(self, entry: MappingEntry) -> bool:
        """Whether an annotation is written in this mapping, and not taken over from an anchor."""
        assert isinstance(self.resource, Ingress)
        home = self.resource.home
        return home is not None and any(one is entry for one in home.own)

    @property
    def _text(self) -> str:
        return self.resource.document.text

    def _snippet(self, lines: list[str]) -> SourceEdit | list[str] | None:
        """More lines for the snippet; a change, or new lines for the annotations."""
        key = self.controller.prefixes[0] + self.controller.snippets["location"]
        entry = self._entry(key)
        if entry is None:
            return [f"{key}: |", *(f"  {line}" for line in lines)]
        value = entry.value
        if entry.is_alias or not isinstance(value, Scalar) or not self._is_own(entry):
            return None
        if value.style != "|" or not value.lines:
            return None
        last = value.lines[-1][1]
        begin = self._text.rfind("\n", 0, last.start) + 1
        written = self._text[begin : last.end]
        indent = written[: len(written) - len(written.lstrip())]
        newline = _newline(self._text)
        more = "".join(f"{newline}{indent}{line}" for line in lines)
        return SourceEdit(last.end, last.end, more, is_safe=False)

    def _inserted(self, lines: list[str], has_snippet: bool) -> SourceEdit | None:
        resource = self.resource
        assert isinstance(resource, Ingress)
        text = self._text
        newline = _newline(text)
        home = resource.home
        is_safe = not has_snippet
        if home is not None:
            if home.is_flow or not home.own:
                return None
            where = self._behind(home)
            if where is None:
                return None
            at, indent = where
            more = "".join(f"{newline}{indent}{line}" for line in lines)
            if has_snippet:
                # Two of these in one place would give one key twice.
                return _not_twice(text, at, more, is_safe)
            return SourceEdit(at, at, more, is_safe)
        parent = resource.parent
        if parent is None or parent.is_flow or not parent.own:
            return None
        given = parent.entries.get("annotations")
        if given is not None:
            if given.is_alias or not isinstance(given.value, Scalar) or given.value.text:
                return None
            column = _indent(text, given.span.start)
            if column is None:
                return None
            indent = column
            at = _end_of_line(text, given.key.end)
            rest = text[given.key.end : at].lstrip("\"' ").removeprefix(":").strip()
            if rest and not rest.startswith("#"):
                return None  # `~`, or an anchor
            more = "".join(f"{newline}{indent}{_step(text)}{line}" for line in lines)
            return _not_twice(text, at, more, is_safe)
        where = self._behind(parent)
        if where is None:
            return None
        at, indent = where
        more = f"{newline}{indent}annotations:" + "".join(
            f"{newline}{indent}{_step(text)}{line}" for line in lines
        )
        return _not_twice(text, at, more, is_safe)

    def _behind(self, mapping: Mapping) -> tuple[int, str] | None:
        """Where a new line of a block mapping goes, and how far in.

        Behind the last entry that is no mapping, since a mapping may get lines at its own end; in
        front of the first where there is none, and in a template, since entries may stand under a
        condition.
        """
        text = self._text
        first = mapping.own[0]
        indent = _indent(text, first.span.start)
        if indent is None:
            return None
        last = next(
            (one for one in reversed(mapping.own) if not isinstance(one.value, Mapping)), None
        )
        if last is not None and text == self.resource.document.source.text:
            return _end_of_line(text, last.span.end), indent
        above = text.rfind("\n", 0, first.span.start)
        while above > 0:
            before = text.rfind("\n", 0, above)
            line = text[before + 1 : above].strip()
            if line and not line.startswith("#"):
                break
            above = before
        if above <= 0 or text[:above].rstrip().rsplit("\n", 1)[-1].lstrip().startswith("- "):
            return None
        return above - (1 if text[above - 1] == "\r" else 0), indent

    # Fields

    def _field(self, name: str, value: str) -> tuple[str, str] | None:
        row = self.controller.setting(name)
        if row is None or row.field is None:
            return None
        said = row.annotated(value)
        if said is None:
            return None
        return row.field, said.lower() if row.value == "boolean" else said

    def _fields(
        self, upstream: Mapping, settings: Sequence[tuple[str, str]]
    ) -> list[SourceEdit] | None:
        found: list[SourceEdit] = []
        new: list[str] = []
        for name, value in settings:
            field = self._field(name, value)
            if field is None or upstream.is_flow:
                return None
            entry = upstream.entries.get(field[0])
            if entry is None:
                new.append(f"{field[0]}: {field[1]}")
                continue
            word = entry.value
            if (
                entry.is_alias
                or not isinstance(word, Scalar)
                or has_placeholder(word.text)
                or not word.text
            ):
                return None
            if all(entry is not own for own in upstream.own):
                return None
            found.append(SourceEdit(word.start, word.end, field[1]))
        if new:
            where = self._behind(upstream)
            if where is None:
                return None
            at, indent = where
            newline = _newline(self._text)
            found.append(SourceEdit(at, at, "".join(f"{newline}{indent}{line}" for line in new)))
        return found


def _path_of(path: IngressPath) -> str:
    return "/" if path.path is None else path.path.text


def _not_twice(text: str, offset: int, more: str, is_safe: bool) -> SourceEdit | None:
    """An insertion that another one in the same place does not go with."""
    if not offset:
        return None
    return SourceEdit(offset - 1, offset, text[offset - 1] + more, is_safe)


@latest_remembered(2)
def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _end_of_line(text: str, offset: int) -> int:
    end = text.find("\n", offset)
    if end < 0:
        return len(text)
    return end - 1 if end and text[end - 1] == "\r" else end


def _indent(text: str, offset: int) -> str | None:
    """The indentation of a key; of one behind a dash, blanks."""
    before = text[text.rfind("\n", 0, offset) + 1 : offset]
    if re.fullmatch(r"[ ]*(?:- +)*", before) is None:
        return None
    return " " * len(before)


@latest_remembered(2)
def _step(text: str) -> str:
    """The indentation that a file uses for one level."""
    match = re.search(r":[ \t]*\r?\n( *)(?=[^ \s#-])", text)
    return match[1] if match and 0 < len(match[1]) <= 8 else "  "
