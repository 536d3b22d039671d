"""Turn a template into nginx texts of the same length."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from nginx_stream_lint.config.mapped_text import PLACEHOLDER, MappedText
from nginx_stream_lint.config.templates import placeholders as shapes
from nginx_stream_lint.config.templates import statements, tags, yaml_lines
from nginx_stream_lint.config.templates.detect import has_markers, may_be_template
from nginx_stream_lint.config.templates.overlay import (
    Span,
    blank,
    fill_spans,
    is_inside,
    outermost,
    replace_spans,
)
from nginx_stream_lint.config.templates.statements import StatementScan
from nginx_stream_lint.config.templates.tags import TemplateBlock
from nginx_stream_lint.files.source import FILLER, Source
from nginx_stream_lint.util.problems import Problem

# At most this many definitions and branches of a file get separate readings.
_MAX_READINGS = 32
# Conditions that are nested deeper are not examined.
_MAX_DEPTH = 64


def readings_of(source: Source, is_template: bool, values: Mapping[str, str]) -> list[MappedText]:
    """The nginx texts of a source with signs of a template; see `templates.readings`."""
    text, pieces = shapes.substitute(source.text, values)
    template = _Template(MappedText(source, text, pieces), is_template=is_template)
    plain = MappedText(source, source.text)
    if template.problems and tags.is_nginx(plain):
        return [plain]
    return template.readings()


def readings_within(reading: MappedText) -> list[MappedText]:
    """The readings of nginx text in another file, such as a block of Markdown or YAML."""
    blocks = _blocks_within(reading)
    if not blocks and not may_be_template(reading.text):
        return [reading]
    template = _Template(reading, blocks=blocks)
    if template.problems and tags.is_nginx(reading):
        return [reading]
    return template.readings()


def _blocks_within(reading: MappedText) -> list[TemplateBlock]:
    """The conditions that are already known, as offsets in the reading's text."""
    if not reading.conditional or len(reading.pieces) != 1:
        return []
    ((start, end, source_start, _),) = reading.pieces
    shift = start - source_start
    blocks = tags.blocks_of(reading.source.text, reading.conditional)
    for block in blocks:
        block.branches = [(begin + shift, stop + shift) for begin, stop in block.branches]
        block.start, block.end = block.start + shift, block.end + shift
    return [one for one in blocks if one.end <= end]


def yaml_reading(source: Source) -> MappedText:
    """The text of a YAML file that may be a template; the result is valid YAML."""
    if not may_be_template(source.text):
        return MappedText(source, source.text)
    return _Template(MappedText(source, source.text), is_yaml=True).yaml()


class _Template:
    """The masking of one text."""

    def __init__(
        self,
        reading: MappedText,
        *,
        is_template: bool = False,
        is_yaml: bool = False,
        blocks: Iterable[TemplateBlock] = (),
    ) -> None:
        self.original = reading
        self.source = reading.source
        self.is_template = is_template
        self.problems: list[Problem] = []
        text = reading.text
        put_in = [
            (start, end)
            for start, end, *span in reading.pieces
            if text[start:end] != self.source.text[slice(*span)]
        ]
        found = tags.find(reading, put_in)
        self.tags = found.tags
        self.blocks = sorted([*found.blocks, *blocks], key=lambda one: (one.start, -one.end))
        self._report_unpaired(found)
        text = fill_spans(
            text,
            (
                (tag.start, tag.end, PLACEHOLDER if tag.kind == "value" else " ")
                for tag in self.tags
            ),
        )
        has_no_tags = not is_yaml and not self.tags
        dialects = shapes.recognised(text) if has_no_tags else found.dialects
        variables = shapes.find(text, dialects)
        literal = outermost([*put_in, *tags.lua_regions(MappedText(self.source, text))])
        spans = [span for span in variables.spans if not is_inside(literal, span[0])]
        self.placeholders = dict(spans)
        self.placeholders.update((tag.start, tag.end) for tag in self.tags if tag.kind == "value")
        text = fill_spans(
            text,
            sorted(
                [(start, end, PLACEHOLDER) for start, end in spans]
                + [(at, at + 1, FILLER) for at in variables.escapes]
            ),
        )
        self.masked = MappedText(self.source, text, reading.pieces)

    def _report_unpaired(self, found: tags.Tags) -> None:
        for at in found.unclosed[:1]:
            self.problems.append(
                self.original.problem(
                    at, "this template tag is never closed", "close it in the same file"
                )
            )
        for at in found.unopened[:1]:
            self.problems.append(
                self.original.problem(
                    at,
                    "this template tag has no opening tag",
                    "add the opening tag to the same file",
                )
            )

    def yaml(self) -> MappedText:
        """The reading of YAML around nginx text."""
        text = yaml_lines.fit_lines(
            self.original.text, self.masked.text, self.placeholders, self.blocks
        )
        return self._reading(text, self._conditional(self.blocks), self.problems)

    def readings(self) -> list[MappedText]:
        """The readings of the nginx text itself."""
        is_plain = not self.blocks and not self.tags and self.masked.text == self.original.text
        if is_plain and not self.is_template and not has_markers(self.original.text):
            return [self.original]
        text = self.masked.text
        definitions = self._definitions()
        main = fill_spans(text, ((start, end, " ") for start, end in definitions))
        made = self._document(main, (0, len(text)), is_optional=bool(definitions))
        for start, end in definitions:
            alone = blank(text[:start]) + text[start:end] + blank(text[end:])
            made += [
                replace(one, is_definition=True)
                for one in self._document(alone, (start, end), is_optional=True)
            ]
        if not made:
            problem = self.original.problem(
                definitions[0][0] if definitions else 0,
                "this template contains no nginx configuration",
                "do not check this file",
            )
            made = [self._reading(blank(text), (), [problem])]
        if self.problems:
            made[0].problems = (*self.problems, *made[0].problems)
        return made

    def _definitions(self) -> list[Span]:
        """The bodies of definitions, which are used elsewhere."""
        spans: list[Span] = []
        for block in self.blocks:
            if block.kind == "define" and (not spans or block.start >= spans[-1][1]):
                spans.append((block.branches[0][0], block.branches[-1][1]))
        return spans if len(spans) <= _MAX_READINGS else []

    def _document(self, text: str, region: Span, *, is_optional: bool) -> list[MappedText]:
        """The readings of a part of the text; empty if it is optional and no nginx text."""
        masked = MappedText(self.source, text, self.original.pieces)
        found = statements.read(masked, region, self.placeholders, is_template=self.is_template)
        if is_optional and not found.is_nginx:
            return []
        blocks = [one for one in self.blocks if region[0] <= one.start < region[1]]
        text = fill_spans(text, ((start, end, PLACEHOLDER) for start, end in found.placeholders))
        text = fill_spans(text, ((end, end + 1, ";") for end in found.ends))
        within: list[TemplateBlock] = []
        for block in blocks:
            is_outer = not within or block.start >= within[-1].end
            if is_outer and found.within(text, block.start, block.end):
                within.append(block)
        text = fill_spans(text, ((one.start, one.end, PLACEHOLDER) for one in within))
        # nginx requires a blank after a closing quote, so the inserted value must start with one.
        behind = sorted(at for at in found.quotes if text.startswith(PLACEHOLDER, at))
        text = fill_spans(text, ((at, at + 1, " ") for at in behind))
        original = self.original.text
        text = replace_spans(
            text, ((start, end, original[start:end]) for start, end in found.comments)
        )
        if text == original and not blocks:
            return [self._reading(text, (), found.problems)]
        inline = [(one.start, one.end) for one in within]
        blocks = [one for one in blocks if not is_inside(inline, one.start)]
        conditional = self._conditional(blocks)
        made = []
        for left_out, problems in _choices(self.original, found, blocks):
            chosen = fill_spans(text, ((start, end, " ") for start, end in left_out))
            made.append(self._reading(chosen, conditional, [*found.problems, *problems]))
            found.problems = []
        return made

    def _conditional(self, blocks: Iterable[TemplateBlock]) -> tuple[Span, ...]:
        """The branches in the source, outer ones first."""
        spans = (
            (self.original.source_span(start, start)[0], self.original.source_span(end, end)[0])
            for block in blocks
            if block.kind == "if"
            for start, end in block.branches
            if end > start
        )
        return tuple(sorted(spans, key=_outer_first))

    def _reading(
        self, text: str, conditional: tuple[Span, ...], problems: Iterable[Problem]
    ) -> MappedText:
        return replace(
            self.original,
            text=text,
            conditional=tuple(sorted({*self.original.conditional, *conditional}, key=_outer_first)),
            problems=(*self.original.problems, *problems),
        )


def _outer_first(span: Span) -> Span:
    return span[0], -span[1]


def _choices(
    original: MappedText, scan: StatementScan, blocks: list[TemplateBlock]
) -> list[tuple[list[Span], list[Problem]]]:
    """The branches to omit in each reading, so that blocks are balanced.

    Empty if all branches together are balanced, which is the usual case.
    """
    alternatives = _alternatives(scan.braces, blocks, 2 if _is_whole(scan.braces) else 1)
    if not alternatives:
        return [([], [])]
    count = min(max(len(one.branches) for one in alternatives), _MAX_READINGS)
    choices = [
        outermost(
            span
            for block in alternatives
            for index, span in enumerate(block.branches)
            if index != min(number, len(block.branches) - 1)
        )
        for number in range(count)
    ]
    whole = [
        one
        for one in choices
        if _is_whole(brace for brace in scan.braces if not is_inside(one, brace[0]))
    ]
    advice = "in each branch, close the blocks that it opens"
    if not whole:
        problem = original.problem(
            alternatives[0].start,
            "the blocks that the template branches open and close from here on do not match",
            advice,
        )
        return [(choices[0], [problem])]
    unread = [
        start
        for block in alternatives
        for start, _ in block.branches
        if all(is_inside(left_out, start) for left_out in whole)
    ]
    problems = [
        original.problem(
            start,
            "this template branch was skipped: the blocks that it opens and closes do not match",
            advice,
        )
        for start in unread[:1]
    ]
    return [(one, [] if index else problems) for index, one in enumerate(whole)]


def _alternatives(
    braces: list[tuple[int, int]], blocks: list[TemplateBlock], at_least: int
) -> list[TemplateBlock]:
    """The conditions with mutually exclusive branches, in order.

    At least `at_least` of their branches have an unbalanced brace.
    """
    places = [place for place, _ in braces]
    counts = bytearray(b"\1" * len(braces))
    chosen: list[TemplateBlock] = []
    for block in sorted(blocks, key=lambda one: one.end):  # inner ones first
        if block.kind != "if" or len(block.branches) < 2 or block.depth > _MAX_DEPTH:
            continue
        ranges = [
            range(bisect_left(places, start), bisect_left(places, end))
            for start, end in block.branches
        ]
        halves = [one for one in ranges if not _is_whole(braces[i] for i in one if counts[i])]
        if len(halves) < at_least:
            continue
        chosen.append(block)
        for hidden in ranges[1:]:
            counts[hidden.start : hidden.stop] = bytes(len(hidden))
    return sorted(chosen, key=lambda one: one.start)


def _is_whole(braces: Iterable[tuple[int, int]]) -> bool:
    depth = 0
    for _, step in braces:
        depth += step
        if depth < 0:
            return False
    return depth == 0
