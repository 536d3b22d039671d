"""Place fixes in Kubernetes' YAML: annotations of an Ingress, fields of a VirtualServer."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nginx_stream_lint.config.mapped_text import Author, SourceEdit, has_placeholder
from nginx_stream_lint.fixes.gateway_placement import policy_edits
from nginx_stream_lint.kubernetes.author import ControllerAuthor
from nginx_stream_lint.kubernetes.gateway_author import GatewayAuthor
from nginx_stream_lint.kubernetes.manifest import Document, Mapping, MappingEntry, Scalar
from nginx_stream_lint.kubernetes.resources import Ingress, VirtualServer
from nginx_stream_lint.util.remembering import latest_remembered


def setting_edits(
    author: Author, settings: Sequence[tuple[str, str]], offset: int
) -> list[SourceEdit] | None:
    """The edits that set directives at the location that begins at an offset.

    None if they must be made manually: placeholders, flow mappings, anchors.
    """
    if isinstance(author, GatewayAuthor):
        return policy_edits(author, settings)
    assert isinstance(author, ControllerAuthor)
    return _SettingEdits(author).changes(settings, offset)


class _SettingEdits:
    """Writes the settings of one resource."""

    def __init__(self, author: ControllerAuthor) -> None:
        self.author = author

    def changes(self, settings: Sequence[tuple[str, str]], offset: int) -> list[SourceEdit] | None:
        """See `setting_edits`."""
        resource = self.author.resource
        if isinstance(resource, VirtualServer):
            upstream = self.author.upstream_at(resource, offset)
            return self._fields(upstream, settings) if upstream is not None else None
        if not isinstance(resource, Ingress) or resource.unknown is not None:
            return None
        found: list[SourceEdit] = []
        new: list[str] = []
        snippets: list[str] = []
        for name, value in settings:
            pair = self.author.annotation_for(name, value)
            if pair is None:
                snippets.append(f"{name} {value};")
                continue
            entry = self._entry(pair[0])
            if entry is None and self._is_removed(pair[0]):
                return None
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

    def _entry(self, key: str) -> MappingEntry | None:
        assert isinstance(self.author.resource, Ingress)
        for prefix in self.author.controller.prefixes:
            short = self.author.controller.short(key)
            entry = self.author.resource.annotations.get(f"{prefix}{short}")
            if entry is not None:
                return entry
        return None

    def _is_removed(self, key: str) -> bool:
        """Whether a patch removes an annotation; one that is added would be removed, too."""
        resource = self.author.resource
        assert isinstance(resource, Ingress)
        home = resource.home
        if key in resource.removed:
            return True
        return home is not None and any(one.key.text == key for one in self._mapping(home)[0].own)

    def _replaced(self, entry: MappingEntry, text: str) -> SourceEdit | None:
        place = self._place(entry)
        if place is None:
            return None
        entry, document = place
        value = entry.value
        if entry.is_alias or not isinstance(value, Scalar) or has_placeholder(value.text):
            return None
        if value.style in ("|", ">"):
            return None
        source = document.source
        if value.style:
            return SourceEdit(value.start, value.end, text, source=source)
        if not value.text:
            end = entry.key.end + (1 if entry.key.style else 0)
            at = document.text.find(":", end) + 1
            return SourceEdit(at, at, f' "{text}"', source=source)
        return SourceEdit(value.start, value.end, f'"{text}"', source=source)

    def _place(self, entry: MappingEntry) -> tuple[MappingEntry, Document] | None:
        """An annotation as it is written, and its document; None if an anchor has it."""
        resource = self.author.resource
        assert isinstance(resource, Ingress)
        origin = resource.origins.get(id(entry))
        if origin is not None and isinstance(origin.node, MappingEntry):
            # Which mapping of a patch has the entry is unknown: it may be merged from another.
            return None if "<<" in origin.document.text else (origin.node, origin.document)
        home = resource.home
        is_own = home is not None and any(one is entry for one in home.own)
        return (entry, resource.document) if is_own else None

    def _mapping(self, mapping: Mapping) -> tuple[Mapping, Document]:
        """A mapping as it is written, and its document."""
        origin = self.author.resource.origins.get(id(mapping))
        if origin is not None and isinstance(origin.node, Mapping):
            return origin.node, origin.document
        return mapping, self.author.resource.document

    def _snippet(self, lines: list[str]) -> SourceEdit | list[str] | None:
        """Add lines to the snippet: an edit, or new lines for the annotations."""
        key = self.author.controller.prefixes[0] + self.author.controller.snippets["location"]
        entry = self._entry(key)
        if entry is None and self._is_removed(key):
            return None
        if entry is None:
            return [f"{key}: |", *(f"  {line}" for line in lines)]
        place = self._place(entry)
        if place is None:
            return None
        entry, document = place
        value, text = entry.value, document.text
        if entry.is_alias or not isinstance(value, Scalar):
            return None
        if value.style != "|" or not value.lines:
            return None
        last = value.lines[-1][1]
        begin = text.rfind("\n", 0, last.start) + 1
        written = text[begin : last.end]
        indent = written[: len(written) - len(written.lstrip())]
        newline = _newline(text)
        more = "".join(f"{newline}{indent}{line}" for line in lines)
        return SourceEdit(last.end, last.end, more, is_safe=False, source=document.source)

    def _inserted(self, lines: list[str], has_snippet: bool) -> SourceEdit | None:
        resource = self.author.resource
        assert isinstance(resource, Ingress)
        home = resource.home
        is_safe = not has_snippet
        if home is not None:
            home, document = self._mapping(home)
            if home.is_flow or not home.own:
                return None
            where = _behind(home, document)
            if where is None:
                return None
            at, indent = where
            newline = _newline(document.text)
            more = "".join(f"{newline}{indent}{line}" for line in lines)
            if has_snippet:
                # Two of these in one place would repeat a key.
                return _not_twice(document, at, more, is_safe)
            return SourceEdit(at, at, more, is_safe, document.source)
        parent = resource.parent
        if parent is None:
            return None
        parent, document = self._mapping(parent)
        text = document.text
        newline = _newline(text)
        if parent.is_flow or not parent.own:
            return None
        given = parent.entries.get("annotations")
        if given is None and any(one.key.text == "annotations" for one in parent.own):
            return None  # a patch removes them
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
            return _not_twice(document, at, more, is_safe)
        where = _behind(parent, document)
        if where is None:
            return None
        at, indent = where
        more = f"{newline}{indent}annotations:" + "".join(
            f"{newline}{indent}{_step(text)}{line}" for line in lines
        )
        return _not_twice(document, at, more, is_safe)

    def _fields(
        self, upstream: Mapping, settings: Sequence[tuple[str, str]]
    ) -> list[SourceEdit] | None:
        found: list[SourceEdit] = []
        new: list[str] = []
        origins = self.author.resource.origins
        written, document = self._mapping(upstream)
        for name, value in settings:
            field = self.author.field_for(name, value)
            if field is None or written.is_flow:
                return None
            entry = upstream.entries.get(field[0])
            if entry is None and any(own.key.text == field[0] for own in written.own):
                return None  # a patch removes it
            if entry is None:
                new.append(f"{field[0]}: {field[1]}")
                continue
            origin = origins.get(id(entry))
            holder = document
            if origin is not None and isinstance(origin.node, MappingEntry):
                entry, holder = origin.node, origin.document
            word = entry.value
            if (
                entry.is_alias
                or not isinstance(word, Scalar)
                or has_placeholder(word.text)
                or not word.text
            ):
                return None
            if all(entry is not own for own in written.own) and (
                origin is None or "<<" in holder.text
            ):
                return None
            found.append(SourceEdit(word.start, word.end, field[1], source=holder.source))
        if new:
            where = _behind(written, document) if written.own else None
            if where is None:
                return None
            at, indent = where
            newline = _newline(document.text)
            more = "".join(f"{newline}{indent}{line}" for line in new)
            found.append(SourceEdit(at, at, more, source=document.source))
        return found


def _behind(mapping: Mapping, document: Document) -> tuple[int, str] | None:
    """The offset for a new line of a block mapping, and its indentation.

    After the last entry that is no mapping, because a mapping may get lines at its own end.
    Before the first entry if there is none, and in a template, because entries may be
    conditional.
    """
    text = document.text
    first = mapping.own[0]
    indent = _indent(text, first.span.start)
    if indent is None:
        return None
    last = next((one for one in reversed(mapping.own) if not isinstance(one.value, Mapping)), None)
    if last is not None and text == document.source.text:
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


def _not_twice(document: Document, offset: int, more: str, is_safe: bool) -> SourceEdit | None:
    """An insertion that excludes another one in the same place."""
    if not offset:
        return None
    before = document.text[offset - 1]
    return SourceEdit(offset - 1, offset, before + more, is_safe, document.source)


@latest_remembered(2)
def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _end_of_line(text: str, offset: int) -> int:
    end = text.find("\n", offset)
    if end < 0:
        return len(text)
    return end - 1 if end and text[end - 1] == "\r" else end


def _indent(text: str, offset: int) -> str | None:
    """The indentation of a key; for a key after a dash, blanks."""
    before = text[text.rfind("\n", 0, offset) + 1 : offset]
    if re.fullmatch(r"[ ]*(?:- +)*", before) is None:
        return None
    return " " * len(before)


@latest_remembered(2)
def _step(text: str) -> str:
    """The indentation that a file uses for one level."""
    match = re.search(r":[ \t]*\r?\n( *)(?=[^ \s#-])", text)
    return match[1] if match and 0 < len(match[1]) <= 8 else "  "
