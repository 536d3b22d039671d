"""The directive tree of one file.

crossplane's parser builds it, from our tokens instead of its own lexer's. This is the only module
that touches crossplane. The seam: a private copy of `crossplane.parser` whose `lex` is ours, where
the line number that travels with each token is the token's index, so that every statement leads
back to its exact place. tests/config/test_tree.py fails if a release of crossplane moves it.
"""

from __future__ import annotations

import gc
import importlib.util
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from crossplane.errors import NgxParserDirectiveContextError, NgxParserDirectiveError

from nginx_stream_lint.config.corrections import corrected
from nginx_stream_lint.config.problems import Problem
from nginx_stream_lint.config.source import Reading, Source, has_hole
from nginx_stream_lint.config.tokens import Tokens, tokenize

# crossplane recurses once per block; this is far from Python's limit and from anything sensible.
MAX_DEPTH = 256


def _private_copy(name: str) -> Any:
    """A second instance of a module, so that changing it changes nothing for anybody else."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_parser = _private_copy("crossplane.parser")
_analyzer = _private_copy("crossplane.analyzer")
_analyzer.DIRECTIVES = corrected(_analyzer)


class Directive:
    """One directive as written: `name`, decoded `args`, and its `block` if it has one.

    The tree of a file does not know where the file is included, so one tree serves every use.
    `included` holds the files an `include` leads to, in nginx's order. `unknown` tells why nobody
    knows what the directive does: an include that is not here, a placeholder in its place, a
    mistake; empty for all others. `may_set` are the directives that such an include can contain,
    None for any.
    """

    __slots__ = ("args", "block", "file", "included", "index", "may_set", "name", "unknown")

    def __init__(self, name: str, args: tuple[str, ...], file: File, index: int) -> None:
        self.name = name
        self.args = args
        self.file = file
        self.index = index
        self.block: list[Directive] | None = None
        self.included: tuple[File, ...] = ()
        self.unknown = ""
        self.may_set: frozenset[str] | None = None

    def __repr__(self) -> str:
        return f"<{self.name} {' '.join(self.args)} at {self.file.source.name}:{self.line}>"

    @property
    def source(self) -> Source:
        return self.file.source

    @property
    def start(self) -> int:
        """Offset of the first character of the directive's name."""
        return self.file.tokens.spans[self.index][0]

    @property
    def head_end(self) -> int:
        """Index of the `;` or `{` that ends the directive's arguments."""
        quotes = self.file.tokens.quotes
        index = self.index + 1
        while quotes[index] != ";":
            index += 1
        return index

    @property
    def end(self) -> int:
        """Offset just behind the directive's `;` or, for a block, behind its `{`."""
        return self.file.tokens.spans[self.head_end][1]

    @property
    def arg_spans(self) -> list[tuple[int, int]]:
        """Offsets of the arguments as written, quotes included (for `if`, with its parentheses)."""
        return self.file.tokens.spans[self.index + 1 : self.head_end]

    @property
    def block_end(self) -> int:
        """Offset of the `}` that closes the block."""
        tokens = self.file.tokens
        depth = 0
        for index in range(self.head_end, len(tokens.values)):
            if tokens.quotes[index] == ";":
                if tokens.values[index] == "{":
                    depth += 1
                elif tokens.values[index] == "}":
                    depth -= 1
                    if not depth:
                        return tokens.spans[index][0]
        raise AssertionError("the tokenizer balances blocks")

    @property
    def is_written(self) -> bool:
        """Whether somebody wrote it; an author's own additions take no room in the source."""
        return self.file.reading.author is None or self.start < self.end

    @property
    def conditional(self) -> tuple[tuple[int, int], ...]:
        """The regions around it of a template's conditions and loops, the outermost first."""
        regions = self.file.reading.conditional
        return tuple(one for one in regions if one[0] <= self.start < one[1]) if regions else ()

    @property
    def line(self) -> int:
        return self.source.position(self.start)[0]

    @property
    def column(self) -> int:
        return self.source.position(self.start)[1]


@dataclass(eq=False, slots=True)
class File:
    """What was read of a file, its tokens and directives.

    `uses` counts the includes that lead to it; `shared` tells whether more than one place of the
    configuration uses its directives, directly or through a file that is shared itself.
    """

    reading: Reading
    tokens: Tokens
    directives: list[Directive]
    uses: int = 0
    shared: bool = False

    @property
    def source(self) -> Source:
        return self.reading.source

    @property
    def templated(self) -> bool:
        """Whether nginx gets to see something else than what is written."""
        return self.reading.text is not self.reading.source.text

    @property
    def problems(self) -> list[Problem]:
        """What nginx's tokenizer would refuse, and what could not be read before it."""
        return [*self.reading.problems, *self.tokens.problems]


def parse(source: Source | Reading) -> File:
    """The tree of one file, or of what nginx gets to see of it; includes not followed.

    What nginx would refuse is in `File.problems`. Raises `Unreadable` for what nests too deep.
    """
    reading = source if isinstance(source, Reading) else Reading(source, source.text)
    tokens = tokenize(reading, MAX_DEPTH)
    if reading.author is not None:
        tokens.comments.sort()  # in the order of the source, as everybody expects them
    file = File(reading, tokens, [])

    def lex(_: str) -> Iterator[tuple[str, int, bool]]:
        # Comments are not passed on: they stay with the tokens, and a quoted `#` is a word.
        return zip(
            tokens.values,
            range(len(tokens.values)),
            [quote != ";" for quote in tokens.quotes],
            strict=True,
        )

    _parser.lex = lex
    with _no_collection():
        payload = _parser.parse(
            file.source.name, catch_errors=False, single=True, check_ctx=False, check_args=False
        )
        config = payload["config"][0]
        assert not config["errors"], config["errors"]  # the tokens are balanced
        file.directives = _adopt(config["parsed"], file)
    return file


@contextmanager
def _no_collection() -> Iterator[None]:
    """Without garbage collection: a tree is all live, and looking for garbage doubles its time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _adopt(statements_: list[dict[str, Any]], file: File) -> list[Directive]:
    """crossplane's dictionaries as `Directive`s."""
    top: list[Directive] = []
    work = [(statements_, top)]
    while work:
        raw, into = work.pop()
        for statement in raw:
            directive = Directive(
                statement["directive"], tuple(statement["args"]), file, statement["line"]
            )
            into.append(directive)
            block = statement.get("block")
            if block is not None:
                directive.block = []
                work.append((block, directive.block))
    return top


def statements(block: Iterable[Directive]) -> Iterator[Directive]:
    """The directives of a block with includes replaced by what they lead to, as nginx sees them.

    An include that leads nowhere stays, since nobody knows what it sets.
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
    """What nginx would say against a directive here: wrong context, arguments, or ending.

    How many arguments a placeholder becomes, and which, nobody knows.
    """
    statement = {"directive": directive.name, "line": 0, "args": directive.args}
    term = ";" if directive.block is None else "{"
    try:
        _analyzer.analyze("", statement, term, context)
    except NgxParserDirectiveContextError as error:
        return str(error.strerror)
    except NgxParserDirectiveError as error:
        return None if any(has_hole(arg) for arg in directive.args) else str(error.strerror)
    return None


def has_commands(context: Context) -> bool:
    """Whether nginx looks names up in its directives here (in `map`, `types` … it does not)."""
    return context in _analyzer.CONTEXTS


def fits(name: str, context: Context) -> bool:
    """Whether a directive may stand in a context; true for directives nobody knows."""
    masks = _analyzer.DIRECTIVES.get(name)
    return masks is None or any(mask & _analyzer.CONTEXTS[context] for mask in masks)


def is_known(name: str) -> bool:
    """Whether a name is a directive of nginx or of a module that crossplane knows."""
    return name in _analyzer.DIRECTIVES
