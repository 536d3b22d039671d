"""The directive tree of one file, and the contexts that allow each directive.

crossplane's parser builds the tree, from our tokens: its own lexer reads some texts differently
from nginx. crossplane's analyzer, with a corrected table, knows the contexts. This is the
only module that uses crossplane; tests/config/test_tree.py fails when a release of crossplane
changes what is used here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from types import ModuleType
from typing import Any, NoReturn

from msgspec import Struct, field

from nginx_stream_lint.config.crossplane_corrections import with_corrections
from nginx_stream_lint.config.mapped_text import MappedText, has_placeholder
from nginx_stream_lint.config.tokens import Statements, Word, words_at
from nginx_stream_lint.files.source import Source
from nginx_stream_lint.util.problems import Problem
from nginx_stream_lint.util.remembering import remembered

# crossplane's parser recurses once per block. This is far from Python's limit, and far deeper than
# real configurations.
MAX_DEPTH = 256
# All comments with instructions for the linter contain this.
SIGN = "nginx-stream-lint:"


def _private_crossplane() -> ModuleType:
    """A second, empty instance of the package `crossplane`, whose modules load on import.

    Changes to it do not affect other users of crossplane in this process. Its `lexer` is ours.
    """
    # As `importlib.util.find_spec` does, which takes 0.3 ms to import.
    find = [finder.find_spec for finder in sys.meta_path if hasattr(finder, "find_spec")]
    spec = next((found for one in find if (found := one("crossplane", None))), None)
    if spec is None:
        raise ModuleNotFoundError("No module named 'crossplane'", name="crossplane")
    assert spec.submodule_search_locations is not None
    package = ModuleType(f"{__name__}.crossplane")
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules[package.__name__] = package
    # The seam: crossplane's parser calls `lex` with the file name that `parse` was called with, and
    # iterates over the tokens that it returns. Here the "file name" is the `_Tokens` themselves and
    # `lex` is `iter`. So the parser opens no file, and threads share nothing that changes.
    lexer = ModuleType(f"{package.__name__}.lexer")
    vars(lexer)["lex"] = iter
    sys.modules[lexer.__name__] = lexer
    return package


_crossplane = _private_crossplane()
_errors: Any = import_module(".errors", _crossplane.__name__)
_analyzer: Any = import_module(".analyzer", _crossplane.__name__)
_parser: Any = import_module(".parser", _crossplane.__name__)
_analyzer.DIRECTIVES = with_corrections(_analyzer)


class Directive(Struct, eq=False):
    """A directive as written: `name`, decoded `args`, and its `block` if it has one.

    Offsets are those of the source: `start` of the name, `end` after the `;` or the `{`,
    `block_end` of the `}` that closes the block. The tree of a file is independent of where the
    file is included, so one tree serves every use. `included` holds the files of an `include`, in
    nginx's order. `unknown` is the reason why the effect of the directive is unknown: a missing
    include, a placeholder in its place, a mistake; empty for all others. `may_set` are the
    directives that a missing include can contain, None for any. `may_match_more`: in production,
    the include's pattern may match files that are not here.
    """

    name: str
    args: tuple[str, ...]
    file: File
    start: int
    end: int
    block_end: int
    block: list[Directive] | None = None
    included: tuple[File, ...] = ()
    unknown: str = ""
    may_set: frozenset[str] | None = None
    may_match_more: bool = False
    _start_in_text: int = -1  # in the reading, if that differs from the source

    def __repr__(self) -> str:
        return f"<{self.name} {' '.join(self.args)} at {self.file.source.name}:{self.line}>"

    @property
    def source(self) -> Source:
        return self.file.reading.source

    @property
    def name_span(self) -> tuple[int, int]:
        """Offsets of the name as written, including quotes."""
        return self._spans()[0]

    @property
    def arg_spans(self) -> list[tuple[int, int]]:
        """Offsets of the arguments as written, with quotes (for `if`, with its parentheses)."""
        return self._spans()[1:]

    @property
    def words(self) -> list[str]:
        """The arguments, for `if` with its parentheses."""
        return [word.value for word in self._words()[1:]]

    @property
    def head_end(self) -> int:
        """Offset after the last argument, or after the name."""
        if not self.args:
            return self.start + len(self.name)
        text = self.file.reading.text
        if not self.file.reading.pieces and text[self.end - 1 : self.end] in (";", "{"):
            head = text[self.start : self.end - 1]
            if "#" not in head:  # without a comment, only white space can follow
                return self.start + len(head.rstrip(" \t\r\n"))
        return self.arg_spans[-1][1]

    @property
    def whole_end(self) -> int:
        """Offset after the statement, with its block."""
        return self.end if self.block is None else self.block_end + 1

    def _words(self) -> list[Word]:
        # Few callers need the places of words, so the words are parsed again.
        at = self.start if self._start_in_text < 0 else self._start_in_text
        return words_at(self.file.reading, at) or [Word(self.name, at, at, False)]

    def _spans(self) -> list[tuple[int, int]]:
        source_span = self.file.reading.source_span
        return [source_span(word.start, word.end) for word in self._words()]

    @property
    def is_written(self) -> bool:
        """Whether it is written in the source, not added by a generator."""
        return self.file.reading.author is None or self.start < self.end

    @property
    def is_conditional(self) -> bool:
        """Whether it is in a template's condition or loop."""
        return self.file.reading.condition(self.start) is not None

    @property
    def line(self) -> int:
        return self.source.position(self.start)[0]

    @property
    def column(self) -> int:
        return self.source.position(self.start)[1]


class File(Struct, eq=False):
    """A parsed file: its directives, and its comments' (start, end) in the source.

    `mistakes` are those that nginx's tokenizer would refuse. `uses` counts the includes of it;
    `shared`: more than one place of the configuration uses its directives, directly or through
    another shared file.
    """

    reading: MappedText
    directives: list[Directive] = field(default_factory=list)
    comments: list[tuple[int, int]] = field(default_factory=list)
    mistakes: list[Problem] = field(default_factory=list)
    uses: int = 0
    shared: bool = False

    @property
    def source(self) -> Source:
        return self.reading.source

    @property
    def templated(self) -> bool:
        """Whether the text that nginx sees differs from the source."""
        return self.reading.text is not self.reading.source.text

    @property
    def problems(self) -> list[Problem]:
        """The problems of this file: from nginx's tokenizer, and from reading templates."""
        return [*self.reading.problems, *self.mistakes]


def parse(source: Source | MappedText) -> File:
    """Parse one file, or one mapped text of it; includes are not followed.

    `File.problems` has what nginx would refuse. Raises `Unreadable` if blocks nest too deep.
    """
    reading = source if isinstance(source, MappedText) else MappedText(source, source.text)
    tokens = _Tokens(reading)
    payload = _parser.parse(
        tokens, onerror=_raise, single=True, strict=False, check_ctx=False, check_args=False
    )
    found = tokens.statements
    file = File(reading, comments=found.comments, mistakes=found.problems)
    file.directives = _adopted(payload["config"][0]["parsed"], file)
    if reading.pieces:
        _place_in_source(file)
    return file


class _Place(Struct, gc=False):
    """Offsets of a statement in the text of a reading; see `Directive`."""

    start: int
    end: int
    block_end: int


class _Tokens:
    """Tokens in the form of crossplane's lexer: a word, its line, whether it is quoted.

    The line is replaced by the `_Place` of the statement. All words are marked as quoted, so that
    the parser treats none as punctuation or a comment.
    """

    def __init__(self, reading: MappedText) -> None:
        self.statements = Statements(reading, MAX_DEPTH)
        self._name = reading.source.name

    def __fspath__(self) -> str:
        return self._name

    def __iter__(self) -> Iterator[tuple[str, _Place | None, bool]]:
        opened: list[_Place] = []
        for name, args, start, end, mark in self.statements:
            if mark == "}":
                opened.pop().block_end = start
                yield mark, None, False
                continue
            place = _Place(start, end, end)
            if mark == "{":
                opened.append(place)
            yield name, place, True
            for arg in args:
                yield arg, place, True
            yield mark, place, False


def _raise(error: Exception) -> NoReturn:
    """Raise an error of our tokenizer, which crossplane's parser would only record."""
    raise error


def _adopted(parsed: list[dict[str, Any]], file: File) -> list[Directive]:
    """Convert the result of crossplane's parser to `Directive`s; this empties `parsed`.

    The parser's inner functions refer to one another and to its result, which would stay in memory
    until the next garbage collection: 1.1 × the peak of `crossplane.parse` for 20,000 locations.
    """
    top: list[Directive] = []
    work = [(parsed, top)]
    known: dict[tuple[str, ...], tuple[str, ...]] = {}  # share equal arguments
    while work:
        parsed, block = work.pop()
        for statement in parsed:
            place = statement["line"]
            args = tuple(statement["args"])
            directive = Directive(
                statement["directive"],
                known.setdefault(args, args),
                file,
                place.start,
                place.end,
                place.block_end,
            )
            block.append(directive)
            inner = statement.get("block")
            if inner is not None:
                directive.block = []
                work.append((inner, directive.block))
        parsed.clear()
    return top


def _place_in_source(file: File) -> None:
    """Convert offsets in the reading's text to offsets in the source."""
    reading = file.reading
    blocks = [file.directives]
    first, behind, place = 0, 0, (0, 0)  # a span of the text that is one place in the source
    while blocks:
        for directive in blocks.pop():
            at, end = directive.start, directive.end
            directive._start_in_text = at
            if directive.block is None and first <= at and end <= behind:
                directive.start, directive.end = place
                continue
            # An inserted `;` takes no room.
            room = 1 if at < end and reading.text[end - 1] in ";{}" else 0
            directive.start = reading.source_span(at, at)[0]
            directive.end = reading.source_span(end - room, end)[1]
            if directive.block is None:
                first, behind, place = reading.one_place(at)
            else:
                close = directive.block_end
                directive.block_end = reading.source_span(close, close)[0]
                blocks.append(directive.block)
    file.comments = [reading.source_span(*span) for span in file.comments]
    if reading.author is not None:
        file.comments.sort()  # in the order of the source, as callers expect


def statements(block: Iterable[Directive]) -> Iterator[Directive]:
    """The directives of a block, with includes replaced by their contents, as in nginx.

    A missing include stays, because its contents are unknown.
    """
    for directive in block:
        if directive.name == "include":
            for file in directive.included:
                yield from statements(file.directives)
            if directive.unknown:
                yield directive
        else:
            yield directive


# A context is crossplane's tuple of enclosing block names, such as ("http", "server").
Context = tuple[str, ...]


def enter(directive: Directive, context: Context) -> Context:
    """The context inside a directive's block."""
    inner: Context = _analyzer.enter_block_ctx({"directive": directive.name}, context)
    return inner


def misuse(directive: Directive, context: Context) -> str | None:
    """Return nginx's error about a directive here: wrong context, arguments, or ending.

    A placeholder may become any arguments.
    """
    # The analyzer puts a wrong argument into its message, and formats that with `%` again.
    args = [arg.replace("%", "%%") for arg in directive.args]
    statement = {"directive": directive.name, "line": 0, "args": args}
    term = ";" if directive.block is None else "{"
    try:
        _analyzer.analyze("", statement, term, context)
    except _errors.NgxParserDirectiveContextError as error:
        return str(error.strerror)
    except _errors.NgxParserDirectiveError as error:
        return None if any(has_placeholder(arg) for arg in directive.args) else str(error.strerror)
    return None


@remembered
def least_arguments(name: str) -> int:
    """The fewest arguments that nginx accepts for a directive, in any context.

    0 for unknown directives.
    """
    masks = _analyzer.DIRECTIVES.get(name, ())
    return min(map(_fewest, masks), default=0)


def _fewest(mask: int) -> int:
    """The fewest arguments of a mask, whose lowest bits mean 0, 1, 2 … arguments."""
    if mask & _analyzer.NGX_CONF_ANY:
        return 0
    numbers = [number for number in range(8) if mask >> number & 1]
    if mask & (_analyzer.NGX_CONF_FLAG | _analyzer.NGX_CONF_1MORE):
        numbers.append(1)
    if mask & _analyzer.NGX_CONF_2MORE:
        numbers.append(2)
    return min(numbers, default=0)


def is_complete(directive: Directive) -> bool:
    """Whether a directive has at least the arguments that nginx requires.

    nginx refuses one with fewer, unless a placeholder provides them: then its value is unknown.
    """
    return len(directive.args) >= least_arguments(directive.name)


def has_commands(context: Context) -> bool:
    """Whether nginx looks up directives here (in `map`, `types` … it does not)."""
    return context in _analyzer.CONTEXTS


def fits(name: str, context: Context) -> bool:
    """Whether a context allows a directive; true for unknown directives."""
    masks = _analyzer.DIRECTIVES.get(name)
    return masks is None or any(mask & _analyzer.CONTEXTS[context] for mask in masks)


def is_known(name: str) -> bool:
    """Whether a name is a directive of nginx or of a module that crossplane knows."""
    return name in _analyzer.DIRECTIVES
