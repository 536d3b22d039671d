"""The levels of a configuration (http, server, location …) and the effective values at each.

A level is a block whose directives others may inherit: main, http, server, location, `if`,
`limit_except`, and the same for `stream {}`. The `merge` of a directive's entry in
`directives.yaml` determines how its value is inherited.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from nginx_stream_lint.config import (
    Configuration,
    Directive,
    has_placeholder,
    is_complete,
    statements,
)
from nginx_stream_lint.nginx.directives import FAMILIES, table
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.util.remembering import remembered

_PASS = {f"{family}_pass": family for family in FAMILIES}

# Block directives that open a level, by the level that contains them. Other blocks (map, geo,
# types, upstream ...) hold data, not levels.
_OPENS = {
    "main": {"http": "http", "stream": "stream", "events": "events"},
    "http": {"server": "server", "upstream": "upstream"},
    "server": {"location": "location", "if": "if-in-server"},
    "location": {
        "location": "location",
        "if": "if-in-location",
        "limit_except": "limit_except",
    },
    "stream": {"server": "stream-server", "upstream": "stream-upstream"},
}
# The target of tunnel_pass without an argument.
_WHERE_ASKED = "$host:$request_port"
# One of these that is on at a level turns the other one off there.
RIVALS = {
    f"{family}_{one}": f"{family}_{other}"
    for family in FAMILIES
    for one, other in (("cache", "store"), ("store", "cache"))
}
# Directives that handle a request, or pass it to another location.
_ANSWERS = frozenset(
    {
        "return",
        "root",
        "alias",
        "try_files",
        "index",
        "autoindex",
        "stub_status",
        "empty_gif",
        "deny",
    }
)
_CONTEXT_KINDS: dict[tuple[str, ...], tuple[str, ...]] = {
    (): ("main",),
    ("http",): ("main", "http"),
    ("http", "server"): ("main", "http", "server"),
    ("http", "location"): ("main", "http", "server", "location"),
    ("http", "location", "if"): ("main", "http", "server", "location", "if-in-location"),
    ("http", "upstream"): ("main", "http", "upstream"),
    ("stream",): ("main", "stream"),
    ("stream", "server"): ("main", "stream", "stream-server"),
}

OriginKind = Literal["explicit", "inherited", "default"]


class Effective(Struct, frozen=True):
    """The effective value of a directive at a level.

    `rows` are the arguments of each directive in force (one for most, several for lists, none if
    nothing is set). `origin` is where they come from, and `directives` are the ones that set them
    (empty for a default); `depth` counts the levels up to there, 0 being the level itself.
    `unknown_by` is the unseen part that may change the value: a missing include, a placeholder, a
    template's condition.
    """

    name: str
    rows: tuple[tuple[str, ...], ...]
    origin: OriginKind
    directives: tuple[Directive, ...] = ()
    depth: int = 0
    unknown_by: Directive | None = None

    @property
    def text(self) -> str:
        """The arguments of the first row, as one string; empty if nothing is set."""
        return " ".join(self.rows[0]) if self.rows else ""

    @property
    def is_default(self) -> bool:
        return self.origin == "default"


class Handler(Struct, frozen=True):
    """The handler of requests: `family` of the `*_pass` directive and its `target` as written.

    If only settings of the family are visible, `target` is empty and `directive` is one of them:
    documentation omits the rest, or a missing include has it.
    """

    family: str
    target: str
    directive: Directive


class Level:
    """A block of the configuration, with the rows written directly in it.

    `kind` is one of the contexts of directives.yaml. `directive` opened the block; None for the
    main level and for implied levels around a fragment. `block` has its directives in order.
    `unknowns` are its directives with an unknown effect or under a condition; `uncertain`: there
    are some here or in outer blocks.
    """

    __slots__ = (
        "__weakref__",
        "_owners",
        "block",
        "children",
        "directive",
        "in_stream",
        "kept",
        "kind",
        "own_handler",
        "parent",
        "rows",
        "uncertain",
        "unknowns",
    )

    def __init__(self, kind: str, directive: Directive | None, parent: Level | None) -> None:
        self.kind = kind
        self.directive = directive
        self.parent = parent
        self.rows: dict[str, list[Directive]] = {}
        self.children: list[Level] = []
        self.own_handler: Handler | None = None
        self.block: list[Directive] = []
        self.in_stream: bool = kind == "stream" or (parent is not None and parent.in_stream)
        self.unknowns: list[Directive] = []
        self.uncertain: bool = parent is not None and parent.uncertain
        self._owners: dict[str, Level | None] = {}
        self.kept: dict[Hashable, Any] | None = None  # see `cached_on_level`

    def __repr__(self) -> str:
        return f"<{self.kind} {self.directive!r}>"

    @property
    def label(self) -> str:
        """The block as written: `location ~ ^/v1/`, `if ($http_upgrade)`, `server`."""
        if self.directive is None:
            return self.kind
        if self.kind.startswith("if"):
            return f"if ({' '.join(self.directive.args)})"
        return " ".join((self.directive.name, *self.directive.args))

    @property
    def place(self) -> str:
        """The block's position, as text after its label: ` (nginx.conf:3)`; empty if implied."""
        if self.directive is None:
            return ""
        return f" ({self.directive.source.name}:{self.directive.line})"

    @property
    def handler(self) -> Handler | None:
        """The handler of requests that end here; `if` and `limit_except` use the outer one."""
        level: Level | None = self
        while level is not None:
            if level.own_handler is not None:
                return level.own_handler
            if level.kind not in ("if-in-location", "limit_except"):
                return None
            level = level.parent
        return None

    def outward(self) -> Iterator[Level]:
        """This level and the ones around it, nearest first."""
        level: Level | None = self
        while level is not None:
            yield level
            level = level.parent

    def nearest(self, *kinds: str) -> Level | None:
        """The nearest level of one of the kinds, this one included."""
        return next((level for level in self.outward() if level.kind in kinds), None)

    def walk(self) -> Iterator[Level]:
        """This level and all inside it, in file order."""
        work = [self]
        while work:
            level = work.pop()
            yield level
            work.extend(reversed(level.children))

    def first(self, kind: str) -> Level | None:
        """The first level of a kind directly inside this one."""
        return next((child for child in self.children if child.kind == kind), None)

    def effective(self, name: str, version: Version) -> Effective:
        """The effective value of a directive of the table at this level.

        Raises KeyError for a directive that the table does not have.
        """
        found = self._written(name, version) or _default(name, version, self.in_stream)
        if self.uncertain:
            doubt = self._doubt(name, found)
            if doubt is not None:
                return replace(found, unknown_by=doubt)
        return found

    def _doubt(self, name: str, effective: Effective) -> Directive | None:
        """The include or template that may override an effective value."""
        entry = table()[name]
        for depth, level in enumerate(self.outward()):
            nearer = effective.is_default or depth < effective.depth
            if level.unknowns and level.kind in entry.contexts:
                # A value is set at most once at one level, but lists may have more rows.
                goes_on = nearer or entry.merge == "rows" or entry.joins
                one = _unknown_at(level, name, None if goes_on else effective.directives)
                if one is not None:
                    return one
            if not nearer or entry.merge in ("own", "handler"):
                break
        return None

    def _written(self, name: str, version: Version) -> Effective | None:
        """The effective value if it is written; None if the default applies."""
        entry = table()[name]
        if entry.merge in ("own", "handler"):
            rows = self.rows.get(name)
            return _found(name, rows, 0, entry.joins) if rows else None
        owner = self._owner(name)
        rival = RIVALS.get(name)
        if owner is None or (rival is not None and self._switched_off(owner, rival)):
            return None
        if name in ("add_header", "add_trailer"):
            return self._inheritable_list(name, version)
        depth = 0
        level: Level | None = self
        while level is not owner and level is not None:
            depth += 1
            level = level.parent
        return _found(name, owner.rows[name], depth, entry.joins)

    def _owner(self, name: str) -> Level | None:
        """The nearest level that sets a directive; cached for levels with many children."""
        if self.rows.get(name):
            return self
        parent = self.parent
        if parent is None:
            return None
        if name not in parent._owners:
            parent._owners[name] = parent._owner(name)
        return parent._owners[name]

    def _switched_off(self, owner: Level, rival: str) -> bool:
        """Whether a directive is off because a nearer level than its owner turns its rival on."""
        for level in self.outward():
            if level is owner:
                break
            if any(row.args[:1] != ("off",) for row in level.rows.get(rival, ())):
                return True
        return False

    def _inheritable_list(self, name: str, version: Version) -> Effective | None:
        """`add_header` and `add_trailer`, whose inheritance is itself a setting (1.29.3)."""
        found: list[Directive] = []
        first_depth = 0
        for depth, level in enumerate(self.outward()):
            rows = level.rows.get(name, [])
            if rows and not found:
                first_depth = depth
            found += rows
            how = level.effective(f"{name}_inherit", version).text
            if how == "off" or (rows and how != "merge"):
                break
        return _found(name, found, first_depth, False) if found else None


_P = ParamSpec("_P")
_T = TypeVar("_T")


def cached_on_level(
    make: Callable[Concatenate[Level, _P], _T],
) -> Callable[Concatenate[Level, _P], _T]:
    """Decorator: cache a function's result on the level that it is called with.

    Other arguments are positional and hashable.
    """

    def known(level: Level, /, *args: _P.args, **none: _P.kwargs) -> _T:
        results = level.kept
        if results is None:
            results = level.kept = {}
        key = (make, *args) if args else make
        if key not in results:
            results[key] = make(level, *args, **none)
        found: _T = results[key]
        return found

    return known


def rows_in_force(level: Level, name: str) -> list[Directive]:
    """The rows of a directive at the nearest level that has any, in the table or not."""
    return next((one.rows[name] for one in level.outward() if name in one.rows), [])


def _unknown_at(
    level: Level, name: str, among: tuple[Directive, ...] | None = None
) -> Directive | None:
    """The first directive of a level that may set another one unseen, such as a missing include.

    With `among`, one of those if it does set it.
    """
    if among is not None:
        unseen = _unseen(level)
        return next((one for one in among if id(one) in unseen), None)
    places = _unknowns(level)
    found = [places[one] for one in (name, None) if one in places]
    return level.unknowns[min(found)] if found else None


@cached_on_level
def _unseen(level: Level) -> frozenset[int]:
    return frozenset(map(id, level.unknowns))


@cached_on_level
def _unknowns(level: Level) -> dict[str | None, int]:
    """The index of the first of a level's `unknowns` that may set each directive; None: any."""
    found: dict[str | None, int] = {}
    for at, one in enumerate(level.unknowns):
        if not one.unknown:
            found.setdefault(one.name, at)  # conditional, or with a placeholder for its value
        elif one.may_set is None:
            found.setdefault(None, at)
        else:
            for name in one.may_set:
                found.setdefault(name, at)
    return found


@remembered
def _default(name: str, version: Version, in_stream: bool) -> Effective:
    """The default value of a directive."""
    args = table()[name].default(version, in_stream)
    return Effective(name, () if args is None else (args,), "default")


def _found(name: str, rows: list[Directive], depth: int, joins: bool) -> Effective:
    args = tuple(row.args for row in rows)
    if joins and len(args) > 1:
        args = (tuple(arg for row in args for arg in row),)
    return Effective(name, args, "inherited" if depth else "explicit", tuple(rows), depth)


def build(configuration: Configuration) -> Level:
    """Build the levels of a configuration and return the main one.

    A fragment is put inside of empty levels that represent its surroundings.
    """
    kinds = _CONTEXT_KINDS[configuration.context]
    root = level = Level(kinds[0], None, None)
    for kind in kinds[1:]:
        inner = Level(kind, None, level)
        level.children.append(inner)
        level = inner
    if configuration.root is not None:
        aside = {id(one) for rows in configuration.elsewhere.values() for one in rows}
        _fill(level, [one for one in configuration.root.directives if id(one) not in aside])
        for context, directives in configuration.elsewhere.items():
            _fill(_surroundings(root, context), directives)
    for level in root.walk():
        if level.kind == "location" and (configuration.context or level.unknowns):
            _imply_handler(level)
    return root


def _imply_handler(level: Level) -> None:
    """Assume a handler if a location has settings of a family but its `*_pass` is not visible."""
    if level.own_handler is not None or level.directive is None:
        return
    if any(name in _ANSWERS or name.endswith("_pass") for name in level.rows):
        return
    if any(inner.own_handler is not None for inner in level.walk()):
        return
    for name, rows in level.rows.items():
        family = name.partition("_")[0]
        if family in FAMILIES and name in table():
            level.own_handler = Handler(family, "", rows[0])
            return


def _surroundings(root: Level, context: tuple[str, ...]) -> Level:
    """The level for statements of another context than their file: an existing or an empty one."""
    level = root
    for kind in _CONTEXT_KINDS[context][1:]:
        inner = level.first(kind) if kind == "http" else None
        if inner is None:
            inner = next((one for one in level.children if one.directive is None), None)
        if inner is None or inner.kind != kind:
            inner = Level(kind, None, level)
            level.children.append(inner)
        level = inner
    return level


def _is_unknown(directive: Directive, level: Level) -> bool:
    """Whether a template determines a directive's value, or whether it exists."""
    return any(map(has_placeholder, directive.args)) or not stands_always(directive, level)


def _fill(level: Level, block: list[Directive]) -> None:
    work = [(level, block)]
    while work:
        level, block = work.pop()
        level.block = [*level.block, *block] if level.block else block
        level.uncertain = level.uncertain or (level.parent is not None and level.parent.uncertain)
        opens = _OPENS.get(level.kind, {})
        for directive in statements(block):
            whole = is_complete(directive)
            if (
                not whole
                or directive.unknown
                or (directive.file.templated and _is_unknown(directive, level))
            ):
                level.unknowns.append(directive)
                level.uncertain = True
                if directive.name == "include" or not whole:
                    continue
            kind = opens.get(directive.name) if directive.block is not None else None
            if kind is not None:
                child = Level(kind, directive, level)
                level.children.append(child)
                assert directive.block is not None
                work.append((child, directive.block))
                continue
            rows = level.rows.get(directive.name)
            if rows is None:
                level.rows[directive.name] = [directive]
            else:
                rows.append(directive)
            family = _PASS.get(directive.name)
            # nginx refuses unknown directives here: a wrong place, or a block that is not allowed.
            if family is not None and not directive.unknown:
                # Each sets the location's handler, so the last one written wins.
                target = directive.args[0] if directive.args else _WHERE_ASKED
                level.own_handler = Handler(family, target, directive)


def take_apart(root: Level) -> None:
    """Cut the references from levels to their parents, so that no cycles keep them in memory."""
    for level in list(root.walk()):
        level.parent = level.kept = None
        level._owners = {}


def always_responds(level: Level) -> bool:
    """Whether a level handles requests itself in every branch of a template."""
    return any(stands_always(row, level) for row in level.rows.get("return", ()))


def stands_always(row: Directive, level: Level) -> bool:
    """Whether a directive of a level is always present when the level is."""
    region = row.file.reading.condition(row.start)
    if region is None:
        return True
    # The block may be under the same condition, in the same file.
    block = level.directive
    return block is not None and block.file is row.file and region[0] <= block.start < region[1]
