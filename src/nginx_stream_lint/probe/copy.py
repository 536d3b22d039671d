"""Copy a configuration so that a real nginx runs it without touching anything of its author's.

The copy is made of the parsed words of `nginx.levels`, never of source text: includes are expanded
into one text. Directives are kept by an allow list (`allowed_directives`), listening sockets move
to free ports of loopback, targets become the dripping upstream or the copy of the next nginx, paths
lead into the sandbox. All changes are listed. `verify` checks the finished text against the allow
list again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct, field

from nginx_stream_lint.config import Configuration, Directive
from nginx_stream_lint.nginx.levels import Level, build
from nginx_stream_lint.nginx.validity import condition_error
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.probe.allowed_directives import DATA_BLOCKS, KEPT, LARGEST_WEIGHT, NAME
from nginx_stream_lint.probe.copied_files import statements, tree_of
from nginx_stream_lint.probe.copied_sockets import Sockets
from nginx_stream_lint.probe.copy_model import CopiedDirective, Copy, NextCopy
from nginx_stream_lint.probe.folders import WRITABLE
from nginx_stream_lint.probe.kept_directives import as_written, condition, unlisted, with_words
from nginx_stream_lint.probe.launch import NginxError
from nginx_stream_lint.probe.markers import Markers
from nginx_stream_lint.probe.own_directives import add_own_directives
from nginx_stream_lint.probe.pass_targets import PROTOCOLS, Targets
from nginx_stream_lint.probe.special_directives import INVALID, SpecialDirectives, is_special

# Kinds of levels that are written with another name.
_WRITTEN = {
    "if-in-server": "if",
    "if-in-location": "if",
    "stream-server": "server",
    "stream-upstream": "upstream",
}
# Arguments of the blocks that are assumed around a fragment, by the kind of level. The method is
# never empty, so the `if` is always true.
_AROUND_FRAGMENTS = {
    "location": ("/",),
    "upstream": ("fragment",),
    "if-in-location": ("($request_method)",),
}
_UPSTREAMS = ("upstream", "stream-upstream")
_IN_STREAM = ("stream", "stream-server", "stream-upstream")
_WITHOUT_WORDS = frozenset({"http", "server", "stream"})


def copy_of(
    configuration: Configuration,
    version: Version,
    upstream: Mapping[str, int],
    folder: Path,
    next_copies: Mapping[int, NextCopy] | None = None,
    markers: int = 0,
) -> Copy:
    """The copy of a configuration.

    Args:
        configuration: as `config.read` returns it, without the parts that could not be read.
        version: of the nginx that will run the copy.
        upstream: protocol to port of the dripping upstream.
        folder: an existing one, which is written into. All paths in the copy are relative to it.
        next_copies: by the `id` of a `*_pass` directive, where it leads instead of the upstream.
        markers: how many markers other copies of the chain have.

    Raises:
        NginxError: there is nothing to run, or there are no free ports.
    """
    if configuration.root is None:
        raise NginxError(f"{configuration.path} cannot be read")
    for name in ("tmp", "cache"):
        (folder / WRITABLE / name).mkdir(parents=True, exist_ok=True)
    copy = Copy(
        CopiedDirective("main", children=[]),
        tree_of(configuration.path),
        upstream=frozenset(upstream.values()),
    )
    sockets = Sockets(copy, version)
    targets = Targets(copy, version, upstream, next_copies or {})
    special = SpecialDirectives(copy, version, folder)
    marked = Markers(copy, configuration.path, version, markers)
    _Copying(copy, marked, sockets, targets, special).fill(build(configuration))
    targets.finish()
    special.finish()
    sockets.finish()
    add_own_directives(copy)
    return copy


class _Copying(Struct):
    """Copies the levels of a configuration."""

    copy: Copy
    markers: Markers
    sockets: Sockets
    targets: Targets
    special: SpecialDirectives
    work: list[tuple[Level, CopiedDirective]] = field(default_factory=list)

    def fill(self, root: Level) -> None:
        """Fill the copy's root with the main level and all levels inside."""
        self.work.append((root, self.copy.root))
        while self.work:
            self._fill(*self.work.pop())

    def _fill(self, level: Level, node: CopiedDirective) -> None:
        rows = list(statements(self.copy, level.block))
        assert node.children is not None
        node.children += self.markers.rows(level)
        if level.kind in ("server", "stream-server"):
            listens = [row for row in rows if row.name == "listen" and row.args]
            node.children += self.sockets.listen(level, listens)
        inner: dict[int, list[Level]] = {}
        for child in reversed(level.children):
            if child.directive is None:
                # The blocks around a fragment, which are unknown.
                name = _WRITTEN.get(child.kind, child.kind)
                args = list(_AROUND_FRAGMENTS.get(child.kind, ()))
                made = CopiedDirective(name, args, None, [])
                self._open(child, made, node.children)
                node.children.append(made)
            else:
                inner.setdefault(id(child.directive), []).append(child)
        for row in rows:
            opened = inner.get(id(row))
            copied = self._row(row, level, opened.pop() if opened else None, node.children)
            if copied is not None:
                node.children.append(copied)

    def _row(
        self, row: Directive, level: Level, opened: Level | None, siblings: list[CopiedDirective]
    ) -> CopiedDirective | None:
        """The copy of one directive; None if it is removed."""
        kind = level.kind
        if opened is not None and opened.kind != "events":
            return self._block(row, opened, siblings)
        if row.block is not None:
            if row.name in DATA_BLOCKS.get(kind, ()):
                return self._data(row)
            if not row.name.endswith("_by_lua_block"):
                return unlisted(self.copy, row)
        if kind in _UPSTREAMS and row.name == "server":
            return CopiedDirective("server", ["", *filter(_is_flag, row.args[1:])], row)
        family = row.name.removesuffix("_pass")
        if row.args and row.name.endswith("_pass"):
            if kind in _IN_STREAM and family == "proxy":
                return self.targets.add_pass(row, level, "stream")
            if kind not in ("main", "upstream", *_IN_STREAM) and family in PROTOCOLS:
                return self.targets.add_pass(row, level, family)
        if is_special(row.name, kind):
            return self.special.copied(row, level, siblings)
        if row.name in KEPT.get(kind, ()):
            return as_written(self.copy, row)
        return unlisted(self.copy, row)

    def _block(
        self, row: Directive, level: Level, siblings: list[CopiedDirective]
    ) -> CopiedDirective | None:
        words = row.words if row.name == "if" else list(row.args)
        if not _opens_block(row.name, words):
            return self.copy.leave_out(row, INVALID, True)
        if row.name == "if":
            words = condition(self.copy, row)
        if level.kind in _UPSTREAMS and (len(words) != 1 or NAME.fullmatch(words[0]) is None):
            return self.copy.leave_out(row, "its name is not valid in the copy", True)
        node = with_words(self.copy, row, words, [])
        if node is not None:
            self._open(level, node, siblings)
        return node

    def _open(self, level: Level, node: CopiedDirective, siblings: list[CopiedDirective]) -> None:
        """Remember a block for later steps."""
        if level.kind == "http":
            self.copy.http = self.copy.http or node
        elif level.kind == "stream":
            self.copy.stream = self.copy.stream or node
        elif level.kind in _UPSTREAMS:
            self.targets.add_group(node, siblings, level.kind == "stream-upstream")
        self.work.append((level, node))

    def _data(self, row: Directive) -> CopiedDirective | None:
        """Copy a block of rows, which nginx always reads as data."""
        assert row.block is not None
        rows = [one for one in statements(self.copy, row.block) if one.block is None]
        node = with_words(self.copy, row, list(row.args), [])
        if node is not None:
            made = (with_words(self.copy, one, list(one.args)) for one in rows)
            node.children = [one for one in made if one is not None]
        return node


def _is_flag(arg: str) -> bool:
    """Whether a parameter of an upstream's server affects which server is used."""
    weight = re.fullmatch(r"weight=(\d{1,4})", arg)
    if weight is not None:
        return int(weight[1]) <= LARGEST_WEIGHT
    return arg in ("backup", "down")


def _opens_block(name: str, words: list[str]) -> bool:
    """Whether nginx opens a block with these words."""
    if name == "if":
        return bool(words) and condition_error(words) is None
    return not words if name in _WITHOUT_WORDS else bool(words)
