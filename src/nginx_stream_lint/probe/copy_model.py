"""The sandboxed copy of a configuration, as data: directives that know where they come from."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct, field

from nginx_stream_lint.config import Directive
from nginx_stream_lint.nginx.pass_target import PassTarget
from nginx_stream_lint.probe.quoting import quoted

_LONGEST_HEAD = 120  # characters of a directive that are shown


class CopyChange(Struct, frozen=True):
    """A difference between the copy and the configuration.

    `name` is the directive's name, `text` the directive as written, `done` what happened to it:
    `removed` or `replaced`. `matters`: the route or the delivery may differ because of it.
    """

    name: str
    text: str
    file: str
    line: int
    done: str
    why: str
    matters: bool


class CopiedPlace(Struct, frozen=True):
    """A block that can handle a request.

    `kind` is `server`, `location` or `if`; `directive` is None for what is assumed around a
    fragment. `cached`: nginx may record responses there.
    """

    kind: str
    label: str
    file: str
    line: int
    directive: Directive | None
    server: str
    cached: bool


class CopiedSocket(Struct):
    """A socket of the copy, in place of a listen address of the configuration."""

    address: str
    port: int = 0
    tls: bool = False
    is_stream: bool = False


class NextCopy(Struct, frozen=True):
    """The copy of the next nginx of a chain: its port, and the target in the configuration."""

    port: int
    target: PassTarget


class CopiedDirective(Struct, eq=False):
    """One directive of the copy: decoded words, quoted only when they are written.

    `origin` is the directive it stands for, None for what the probe adds.
    """

    name: str
    args: list[str] = field(default_factory=list)
    origin: Directive | None = None
    children: list[CopiedDirective] | None = None

    def walk(self) -> Iterator[tuple[CopiedDirective, list[CopiedDirective]]]:
        """Everything inside, each with the list it is in."""
        work = [self.children or []]
        while work:
            siblings = work.pop()
            for node in siblings:
                yield node, siblings
                if node.children is not None:
                    work.append(node.children)


class Copy(Struct, eq=False):
    """A configuration that a real nginx runs without touching anything of its author's.

    `root` is the main level; `http` and `stream` are its blocks, if it has them. `tree` is the
    folder that its files are from (see `copied_files.tree_of`). `sockets` has by the original
    listen address (see `nginx.listeners.address`) where the copy listens. `places` has by marker
    (the value of `X-Nsl-Route` in a response) the block. `changes` lists everything that was
    removed or replaced. `upstream` has the ports that get all requests: those of the test upstream,
    and of the copies of the next nginx. `over_tls`: some of the latter get them over TLS.
    """

    root: CopiedDirective
    tree: str
    http: CopiedDirective | None = None
    stream: CopiedDirective | None = None
    sockets: dict[str, CopiedSocket] = field(default_factory=dict)
    places: dict[str, CopiedPlace] = field(default_factory=dict)
    changes: list[CopyChange] = field(default_factory=list)
    upstream: frozenset[int] = frozenset()
    over_tls: bool = False
    _noted: set[tuple[int, str]] = field(default_factory=set)

    @property
    def caches(self) -> bool:
        """Whether any block may cache its responses."""
        return any(place.cached for place in self.places.values())

    def leave_out(self, directive: Directive, why: str, matters: bool) -> CopiedDirective | None:
        """Add a directive to the list of removed ones; returns None, its replacement."""
        self._note(directive, "removed", why, matters)
        return None

    def note_replaced(self, directive: Directive, why: str, matters: bool) -> None:
        """Add a directive to the list of those that have another form in the copy."""
        self._note(directive, "replaced", why, matters)

    def _note(self, directive: Directive, done: str, why: str, matters: bool) -> None:
        """Add a change once per directive, however often its file is included."""
        key = (id(directive), why)
        if key not in self._noted:
            self._noted.add(key)
            place = directive.source.name, directive.line
            head = directive_head(directive)
            self.changes.append(CopyChange(directive.name, head, *place, done, why, matters))


def empty_variable(name: str, is_stream: bool) -> CopiedDirective:
    """A `map` that defines a variable as empty."""
    source = "$remote_addr" if is_stream else "$host"
    return CopiedDirective("map", [source, f"${name}"], None, [CopiedDirective("default", [""])])


def directive_head(directive: Directive) -> str:
    """A directive without its block on one line, shortened."""
    text = " ".join(directive.source.text[directive.start : directive.head_end].split())
    return text if len(text) <= _LONGEST_HEAD else f"{text[: _LONGEST_HEAD - 3]}..."


def copy_text(node: CopiedDirective) -> tuple[str, dict[int, CopiedDirective]]:
    """Return the text of the copy, and the directive on each of its lines (from 1).

    Raises UnwritableWord for a word that should not have got into the copy.
    """
    lines: list[str] = []
    owners: dict[int, CopiedDirective] = {}
    # None closes a block.
    work: list[tuple[CopiedDirective | None, CopiedDirective]] = [
        (child, child) for child in reversed(node.children or ())
    ]
    while work:
        one, owner = work.pop()
        if one is None:
            text = "}"
        else:
            text = " ".join(map(quoted, (one.name, *one.args)))
            text += ";" if one.children is None else " {"
            if one.children is not None:
                work.append((None, one))
                work.extend((child, child) for child in reversed(one.children))
        lines.append(text)
        owners[len(lines)] = owner
    return "\n".join(lines) + "\n", owners
