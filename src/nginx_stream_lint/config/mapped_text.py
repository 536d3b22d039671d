"""nginx text with a mapping of its offsets to the source that it comes from."""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import NamedTuple, Protocol

from msgspec import Struct

from nginx_stream_lint.files.source import FILLER, Source
from nginx_stream_lint.util.escaping import MARKS
from nginx_stream_lint.util.problems import Problem

# A character of a placeholder, whose value is unknown.
PLACEHOLDER = MARKS[0]
_END_OF_PLACEHOLDER = MARKS[1]

_HOLES = f"{PLACEHOLDER}+"


# Spans of a source, (start, end) each.
Regions = tuple[tuple[int, int], ...]


class SourceMapping(NamedTuple):
    """A span of a mapped text, and the corresponding span of the source.

    Offsets are in characters. If both spans have equal length, they correspond character by
    character; otherwise only as a whole.
    """

    start: int
    end: int
    source_start: int
    source_end: int


class SourceEdit(Struct, frozen=True):
    """Replace `[start, end)` of a source by `text`; unsafe edits need the user's consent.

    `source` is None for the source of the place that is fixed.
    """

    start: int
    end: int
    text: str
    is_safe: bool = True
    source: Source | None = None


class Author(Protocol):
    """A program that generates nginx text from another source: an ingress controller.

    Text that it adds, such as its defaults, has an empty span in the source. `by_class`: only the
    name of a class identifies this author; `assumed`: nothing does. Comments in the span `notes`
    apply to all locations. `region` is the whole source span.
    """

    @property
    def name(self) -> str: ...
    @property
    def by_class(self) -> bool: ...
    @property
    def assumed(self) -> bool: ...
    @property
    def notes(self) -> tuple[int, int]: ...
    @property
    def region(self) -> tuple[int, int]: ...

    def line(self, name: str, value: str) -> str:
        """A directive as written in the source, such as an annotation."""

    def has_setting(self, name: str, value: str) -> bool:
        """Whether the source has a setting for a directive; others need a snippet."""

    def others(self, offset: int, most: int) -> tuple[list[str], int]:
        """The paths that settings for the location at an offset would also change.

        Returns at most `most` of them, and their total number.
        """

    @property
    def apart(self) -> str:
        """Advice: how to separate a path so that its settings affect no other path."""

    def service_at(self, offset: int) -> tuple[str, str | None] | None:
        """Name and namespace of the Kubernetes Service of the upstream that begins at an offset.

        None if none begins there.
        """


class MappedText(Struct, eq=False):
    """The text that nginx sees of a source: of a template, of a block in a YAML file, or all of it.

    Placeholders are runs of `PLACEHOLDER`; parts that are not nginx text are blank. `pieces`, in
    order, map the text to the source; if empty, both have the same offsets. `conditional` are
    source spans that exist only under a condition, or several times; they are in order of their
    starts and may be nested. `problems` are parts that could not be converted to this text.
    `read_only`: nginx text cannot simply be inserted into the source, as in a YAML string with
    escapes. `author` is the generator of the text, if the source is not nginx text.
    `is_definition`: the text is defined here but used elsewhere. `is_inlined`: a generator includes
    the text because it stands in another source. Each place that includes it has its own.
    """

    source: Source
    text: str
    pieces: tuple[SourceMapping, ...] = ()
    conditional: Regions = ()
    problems: tuple[Problem, ...] = ()
    read_only: bool = False
    author: Author | None = None
    is_definition: bool = False
    is_inlined: bool = False
    # Computed on first use, and not copied: the starts of the pieces, and see `condition`.
    _starts: list[int] = []
    _changes: list[tuple[int, int]] = []

    def __post_init__(self) -> None:
        self._starts = []
        self._changes = []

    @property
    def region(self) -> tuple[int, int]:
        """The source span that the text comes from, or that its author reads."""
        if self.author is not None:
            return self.author.region
        if not self.pieces:
            return 0, len(self.source.text)
        return self.pieces[0].source_start, self.pieces[-1].source_end

    def source_span(self, start: int, end: int) -> tuple[int, int]:
        """The source span of a span of the text."""
        if not self.pieces:
            return start, end
        first = self._piece(start)
        last = self._piece(max(start, end - 1))
        begin, stop = first.source_start, last.source_end
        if first.end - first.start == first.source_end - first.source_start:
            begin += start - first.start
        if last.end - last.start == last.source_end - last.source_start:
            stop -= last.end - end
        size = len(self.source.text)  # text inserted at the end takes no room
        return min(begin, size), min(max(begin, stop), size)

    def condition(self, offset: int) -> tuple[int, int] | None:
        """The innermost span of `conditional` that contains an offset of the source."""
        if not self.conditional:
            return None
        if not self._changes:
            # The index of the innermost span from each offset on; -1 for none.
            around: list[int] = []
            for at, (start, _) in enumerate((*self.conditional, (len(self.source.text) + 1, 0))):
                while around and self.conditional[around[-1]][1] <= start:
                    end = self.conditional[around.pop()][1]
                    self._changes.append((end, around[-1] if around else -1))
                around.append(at)
                self._changes.append((start, at))
        at = bisect_right(self._changes, (offset, len(self.conditional))) - 1
        found = self._changes[at][1] if at >= 0 else -1
        return self.conditional[found] if 0 <= found < len(self.conditional) else None

    def one_place(self, offset: int) -> tuple[int, int, tuple[int, int]]:
        """The span of text around an offset that comes from one empty span of the source."""
        piece = self._piece(offset)
        if piece.source_start < piece.source_end:
            return 0, 0, (0, 0)
        at = min(piece.source_start, len(self.source.text))
        return piece.start, piece.end, (at, at)

    def _piece(self, offset: int) -> SourceMapping:
        starts = self._starts
        if not starts:
            starts += [piece[0] for piece in self.pieces]
        return self.pieces[max(bisect_right(starts, offset) - 1, 0)]

    def problem(self, offset: int, message: str, advice: str) -> Problem:
        """A problem at an offset of the text, placed in the source."""
        return self.source.problem(self.source_span(offset, offset)[0], message, advice)

    def filled(self, start: int, end: int) -> str:
        """A span of the text, with placeholders as written in the source, and marked."""

        def fill(placeholder: re.Match[str]) -> str:
            begin, stop = self.source_span(start + placeholder.start(), start + placeholder.end())
            return f"{PLACEHOLDER}{self.source.text[begin:stop]}{_END_OF_PLACEHOLDER}"

        return re.sub(_HOLES, fill, self.text[start:end]).replace(FILLER, "")


def has_placeholder(text: str) -> bool:
    """Whether a word has a placeholder, so that its value is unknown."""
    return PLACEHOLDER in text


def without_marks(text: str) -> str:
    """Convert text for messages: placeholders appear as written."""
    if PLACEHOLDER not in text:
        return text
    return text.replace(PLACEHOLDER, "").replace(_END_OF_PLACEHOLDER, "")
