"""nginx text inside other files: strings in YAML, fenced blocks in Markdown."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate, islice

import yaml
from msgspec import Struct
from msgspec.structs import replace

from nginx_stream_lint.config.mapped_text import MappedText, SourceMapping
from nginx_stream_lint.config.recognise import all_nginx, looks_like_nginx, names_nginx
from nginx_stream_lint.config.templates import readings_within
from nginx_stream_lint.files.source import FILLER, Source
from nginx_stream_lint.util.problems import Unreadable
from nginx_stream_lint.util.yamlfile import YamlMistake, compose_all

# Keys of ingress controllers, whose snippets are incomplete on their own (`kubernetes/`).
_SNIPPET = re.compile(r".*-snippets?|.*nginx\.(?:ingress\.kubernetes\.io|org|com)/.*")

# Line ends in YAML, and those that YAML converts to another one.
_BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")
_ODD_BREAK = re.compile(r"\r(?!\n)|\x85")
_ESCAPE = re.compile(
    r"\\(?:\r?\n[ \t]*|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)|(?:[ \t]*\r?\n[ \t]*)+",
    re.DOTALL,
)

_OPENING = re.compile(
    r"^(?P<indent>[ \t>]*)(?P<fence>`{3,}|~{3,})[ \t]*(?P<language>[\w.+-]*)[^\n`]*\n",
    re.MULTILINE,
)
_CLOSING = re.compile(r"^(?P<indent>[ \t>]*)(?P<fence>`{3,}|~{3,})[`~]*[ \t]*\r?$", re.MULTILINE)
_CODE_BLOCK = re.compile(
    r"^(?P<indent>[ \t]*)\.\. (?:code-block|code|sourcecode):: *(?P<language>\w*)[^\n]*\n"
    r"(?P<body>(?:(?P=indent)[ \t]+[^\n]*\n|[ \t]*\r?\n)+)",
    re.MULTILINE,
)
_LANGUAGES = ("nginx", "nginxconf", "nginx.conf")
_OTHERS = ("conf", "config", "text", "")


class EmbeddedBlock(Struct, frozen=True):
    """nginx text embedded in another file; `name` is its key or title, if any.

    `place` is the offset of the key, `document` the number of the YAML document.
    """

    name: str
    reading: MappedText
    place: int = -1
    document: int = 0


def blocks_in_yaml(outer: MappedText) -> tuple[list[EmbeddedBlock], YamlMistake | None]:
    """Find the strings of a YAML text that are nginx configuration, up to the first YAML mistake.

    `outer` is the reading of the whole file with template tags masked; its offsets are the
    source's.
    """
    documents, mistake = compose_all(outer.text)
    found: list[EmbeddedBlock] = []
    for number, document in enumerate(documents):
        keys = _keys(document)
        is_compose = bool(keys & {"services", "configs"})
        for key, node in _strings(document):
            name = "" if key is None else str(key.value)
            if _SNIPPET.fullmatch(name) or not looks_like_nginx(node.value):
                continue
            inner = _conditional(outer, _reading(outer.source, outer.text, node, is_compose))
            within = readings_within(inner)
            if names_nginx(name) or all_nginx(within):
                place = _place(outer.text, key)
                found += [EmbeddedBlock(name, reading, place, number) for reading in within]
    return found, mistake


def _place(text: str, key: yaml.Node | None) -> int:
    """The offset of a key without its quote."""
    if key is None:
        return -1
    start: int = key.start_mark.index
    return start + (text[start : start + 1] in ("'", '"'))


def _conditional(outer: MappedText, inner: MappedText) -> MappedText:
    """Keep only conditions inside a block; one around the whole block does not count."""
    start, end = inner.pieces[0].source_start, inner.pieces[-1].source_end
    first, last = (bisect_left(outer.conditional, (at, 0)) for at in (start, end))
    regions = outer.conditional[first:last]
    return replace(inner, conditional=regions)


def blocks_in_markdown(source: Source) -> list[EmbeddedBlock]:
    """Find the fenced blocks of a document that are nginx configuration."""
    found: list[EmbeddedBlock] = []
    text = source.text
    code = ((match["language"], *match.span("body")) for match in _CODE_BLOCK.finditer(text))
    for language, start, end in (*_fenced(text), *code):
        name = language.lower()
        if name in _LANGUAGES or (name in _OTHERS and looks_like_nginx(text[start:end])):
            body_reading = _mapped(source, text, start, end)
            found += [EmbeddedBlock("", reading) for reading in readings_within(body_reading)]
    return sorted(found, key=lambda block: block.reading.pieces[0].source_start)


def _fenced(text: str) -> Iterator[tuple[str, int, int]]:
    """The language of each fenced block, and the offsets of its body."""
    closing: dict[tuple[str, str], list[tuple[int, int, int]]] = {}  # start, length, end
    for match in _CLOSING.finditer(text):
        key = match["indent"], match["fence"][0]
        closing.setdefault(key, []).append((match.start(), len(match["fence"]), match.end()))
    # The longest fence from each one on, to stop early if no closing fence follows.
    longest = {
        key: list(accumulate((length for _, length, _ in reversed(fences)), max))[::-1]
        for key, fences in closing.items()
    }
    done = 0
    for match in _OPENING.finditer(text):
        key, length = (match["indent"], match["fence"][0]), len(match["fence"])
        fences = closing.get(key, [])
        at = bisect_left(fences, (match.end(), 0, 0))
        if match.start() < done or at == len(fences) or longest[key][at] < length:
            continue
        start, _, done = next(one for one in islice(fences, at, None) if one[1] >= length)
        yield match["language"], match.end(), start


def _keys(document: yaml.Node) -> set[str]:
    if not isinstance(document, yaml.MappingNode):
        return set()
    return {str(key.value) for key, _ in document.value}


def _strings(document: yaml.Node) -> Iterator[tuple[yaml.Node | None, yaml.ScalarNode]]:
    """The strings with more than one line or statement, with their keys, each node once."""
    work: list[tuple[yaml.Node | None, yaml.Node]] = [(None, document)]
    seen: set[int] = set()
    while work:
        key, node = work.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            work += reversed(node.value)
        elif isinstance(node, yaml.SequenceNode):
            work += [(key, value) for value in reversed(node.value)]
        elif isinstance(node, yaml.ScalarNode) and ("\n" in node.value or "{" in node.value):
            yield key, node


def _reading(source: Source, text: str, node: yaml.ScalarNode, is_compose: bool) -> MappedText:
    start, end = node.start_mark.index, node.end_mark.index
    if node.style in ("|", ">"):
        head = _BREAK.search(text, start)
        body = end if head is None else head.end()
        reading = _mapped(source, text, body, max(body, end), is_compose)
        reading = replace(reading, text=_ODD_BREAK.sub("\n", reading.text))
        # YAML folds lines into one, so a comment would extend to the end.
        return replace(reading, read_only=True) if node.style == ">" else reading
    return _escaped(source, text, start, end, node)


def _mapped(
    source: Source, text: str, start: int, end: int, is_compose: bool = False
) -> MappedText:
    """Map a span of a file without changes."""
    body = text[start:end]
    if is_compose:
        body = body.replace("$$", f"{FILLER}$")
    return MappedText(source, body, (SourceMapping(0, end - start, start, end),))


def _escaped(source: Source, text: str, start: int, end: int, node: yaml.ScalarNode) -> MappedText:
    """Map a quoted or plain string, in which each escape becomes one character."""
    quote = text[start] if text[start] in "'\"" else ""
    at, end = start + len(quote), end - len(quote)
    pieces: list[SourceMapping] = []
    value = node.value
    done = 0
    for match in _ESCAPE.finditer(text, at, end) if quote == '"' else ():
        size = match.start() - at
        stands_for = 0 if match[0].startswith(("\\\n", "\\\r")) else 1
        if size:
            pieces.append(SourceMapping(done, done + size, at, match.start()))
        if stands_for:
            pieces.append(SourceMapping(done + size, done + size + 1, *match.span()))
        done += size + stands_for
        at = match.end()
    if end > at:
        pieces.append(SourceMapping(done, done + end - at, at, end))
    if not pieces or pieces[-1].end != len(value):
        pieces = [SourceMapping(0, len(value), start, end)]  # such as folded lines
    return MappedText(source, value, tuple(pieces), read_only=True)


def yaml_problem(source: Source, mistake: YamlMistake) -> Unreadable:
    """Return the problem of a YAML file that cannot be read further."""
    offset = source.offset(mistake.line, mistake.column)
    advice = "correct the YAML; what follows was not checked"
    return Unreadable(source.problem(offset, f"is not YAML: {mistake.message}", advice))
