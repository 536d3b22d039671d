"""Test a copy with `nginx -t`, and remove directives that this nginx lacks.

Each text is verified before nginx reads it, also after something was removed.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from nginx_stream_lint.config import Directive
from nginx_stream_lint.probe.copy_model import CopiedDirective, Copy, copy_text, empty_variable
from nginx_stream_lint.probe.folders import WRITABLE
from nginx_stream_lint.probe.launch import NginxError, SandboxLimits
from nginx_stream_lint.probe.nginx import check
from nginx_stream_lint.probe.nginx_binary import NginxBinary
from nginx_stream_lint.probe.quoting import UnwritableWord, quoted
from nginx_stream_lint.probe.verify import Bounds, Forbidden, verify

_MOST_ROUNDS = 200
_MOST_SECONDS = 60.0  # for all rounds: some are slow

_AT = re.compile(r"\[emerg\] (?P<what>.*) in nginx\.conf:(?P<line>\d+)\s*$", re.MULTILINE)
_UNPLACED = re.compile(r"\[emerg\] (?P<what>.*)$", re.MULTILINE)
_PID = re.compile(r"\d+#\d+: ")
# Errors about missing modules, or about parts that were removed. Any other error is a mistake in
# the configuration, which nginx must report.
_REMOVABLE = re.compile(
    r"unknown directive|invalid parameter|invalid value|invalid number of arguments"
    r"|directive is not allowed here|directive is deprecated|requires ngx_"
    r"|is not supported on this platform"
)
# Measured: none of these affects when a part of the response is sent.
_WITHOUT_EFFECT = re.compile(
    r"sub_filter.*|ssi.*|addition_.*|add_(?:before|after)_body|slice|gunzip.*|(?:gzip|brotli)_static"
    r"|charset.*|http2_chunk_size|server_tokens|max_ranges|.*_hash_(?:bucket|max)_size|keepalive.*"
)
_NEVER = frozenset({"http", "stream", "server", "location", "listen", "upstream"})


# Directives that need a module, by a word in the module's name.
_NEEDED_BY = {
    "brotli_filter": re.compile(r"brotli(?!_static)(_.*)?"),
    "ndk_http": re.compile(r"body_filter_by_lua"),
    "http_js": re.compile(r"js_.*"),
    "http_lua": re.compile(r"body_filter_by_lua"),
    "ngx_stream_module": re.compile(r"stream"),
}


async def adapt_copy(copy: Copy, binary: NginxBinary, folder: Path) -> tuple[str, SandboxLimits]:
    """Return the text of a copy that this nginx accepts; removed directives are added to the copy's
    list.

    Args:
        folder: the one that the copy was made for.

    Returns:
        The text, and the sandbox to run it in.

    Raises:
        NginxError: the sandbox or nginx refuses the copy for good; the message names the place in
            the author's file.
    """
    modules = {line.removeprefix("load_module ").rstrip(";") for line in binary.load_modules}
    over = time.monotonic() + _MOST_SECONDS
    for _ in range(_MOST_ROUNDS):
        if time.monotonic() > over:
            raise NginxError(f"{binary} still rejects the copy after {_MOST_SECONDS:g} s")
        await asyncio.sleep(0)  # lets the user interrupt this
        needed = sorted(filter(lambda path: _is_needed(path, copy), modules), key=_order)
        text, owners = _written(copy, needed)
        sandbox = _verified(copy, text, owners, needed, folder)
        accepted, said = check(binary, text, folder, sandbox)
        if accepted:
            return text, sandbox
        said = _PID.sub("", said).replace("./nginx.conf", "nginx.conf")
        unloadable = {path for path in needed if Path(path).name in said}
        if unloadable and re.search(r"dlopen|binary compatible|module", said):
            modules -= unloadable
            continue
        if not _mended(copy, said, owners):
            raise NginxError(f"{binary} rejects the copy: {_translated(said, owners)}")
    raise NginxError(f"{binary} rejects the copy in more than {_MOST_ROUNDS} places")


def _is_needed(path: str, copy: Copy) -> bool:
    """Whether the copy has a directive of a module."""
    names = [names for word, names in _NEEDED_BY.items() if word in Path(path).name]
    return any(one.fullmatch(node.name) for one in names for node, _ in copy.root.walk())


def _order(path: str) -> tuple[bool, str]:
    return "ndk_http" not in path, path  # Lua's dependencies come before it


def _written(copy: Copy, modules: Iterable[str]) -> tuple[str, dict[int, CopiedDirective]]:
    """The whole text, and the directive on each of its lines."""
    rows = [
        *(["load_module", path] for path in modules),
        ["daemon", "off"],
        # One process: a worker process would not end with the supervisor (PDEATHSIG).
        ["master_process", "off"],
        ["pid", f"{WRITABLE}/nginx.pid"],
        ["error_log", "stderr", "warn"],
    ]
    try:
        text, owners = copy_text(copy.root)
        head = " ".join(" ".join(map(quoted, row)) + ";" for row in rows)
    except UnwritableWord as error:
        raise NginxError(f"the sandbox cannot write the copy: {error}") from None
    return f"{head} events {{ worker_connections 4096; }} {text}", owners


def _verified(
    copy: Copy, text: str, owners: dict[int, CopiedDirective], modules: Sequence[str], folder: Path
) -> SandboxLimits:
    """The limits of the sandbox for a text that may run."""
    listens = [socket.port for socket in copy.sockets.values()]
    bounds = Bounds(frozenset(listens), copy.upstream, frozenset(modules), copy.over_tls)
    try:
        found = verify(text, bounds)
    except Forbidden as error:
        where = _place(owners.get(error.line))
        raise NginxError(f"the sandbox rejects the copy: {error}{where}") from None
    if not _is_same(found[-len(copy.root.children or ()) :], copy.root.children or []):
        raise NginxError("the sandbox rejects the copy: nginx would read something else")
    return SandboxLimits(
        folder,
        folder / WRITABLE,
        tuple(map(Path, modules)),
        tuple(listens),
        tuple(sorted(copy.upstream)),
    )


def _is_same(found: Sequence[Directive], meant: Sequence[CopiedDirective]) -> bool:
    """Whether a parsed text has exactly the words of the copy."""
    work = [(found, meant)]
    while work:
        found, meant = work.pop()
        if len(found) != len(meant):
            return False
        for one, node in zip(found, meant, strict=True):
            words = one.words if one.name == "if" else one.args
            if [one.name, *words] != [node.name, *node.args]:
                return False
            if (one.block is None) != (node.children is None):
                return False
            work.append((one.block or (), node.children or ()))
    return True


def _mended(copy: Copy, said: str, owners: dict[int, CopiedDirective]) -> bool:
    variable = re.search(r'\[emerg\] unknown "(\w+)" variable', said)
    if variable:
        return _define(copy, variable[1])
    zone = re.search(r'\[emerg\] .*(?:memory zone "([^"]+)"| zone "([^"]+)" is unknown)', said)
    if zone:
        name = zone[1] or zone[2]
        rows = [
            one
            for one in copy.root.walk()
            if one[0].name.endswith("_cache") and one[0].args[:1] == [name]
        ]
        return _remove(copy, rows, f'there is no zone "{name}"')
    placed = _AT.search(said)
    if placed is None or not _REMOVABLE.search(placed["what"]):
        return False
    what, culprit = placed["what"], owners.get(int(placed["line"]))
    if culprit is None:
        return False
    parameter = re.search(r'invalid parameter "([^"]*)"', what)
    if parameter and parameter[1] in culprit.args[1:]:
        culprit.args.remove(parameter[1])
        if culprit.origin is not None:
            copy.note_replaced(culprit.origin, f"this nginx says: {what}", True)
        return True
    unknown = what.startswith("unknown directive")
    if culprit.name in _NEVER and not (unknown and culprit.name == "stream"):
        return False
    if culprit.name.endswith("_pass") and not unknown:
        return False
    if unknown and culprit.name == "stream":
        copy.stream = None
        copy.sockets = {key: one for key, one in copy.sockets.items() if not one.is_stream}
    rows = [
        (node, siblings)
        for node, siblings in copy.root.walk()
        if node is culprit or (unknown and node.name == culprit.name)
    ]
    return _remove(copy, rows, f"this nginx says: {what}")


def _remove(
    copy: Copy, rows: list[tuple[CopiedDirective, list[CopiedDirective]]], why: str
) -> bool:
    for node, siblings in rows:
        if node in siblings:
            siblings.remove(node)
            if node.origin is not None:
                matters = _WITHOUT_EFFECT.fullmatch(node.name) is None
                copy.leave_out(node.origin, why, matters)
    return bool(rows)


def _define(copy: Copy, name: str) -> bool:
    """Define a variable of a missing module as empty."""
    done = False
    use = re.compile(r"\$\{?" + re.escape(name) + r"\b", re.IGNORECASE)
    for block, is_stream in ((copy.http, False), (copy.stream, True)):
        if block is None or block.children is None:
            continue
        users = [
            node.origin
            for node, _ in block.walk()
            if node.origin is not None and any(use.search(arg) for arg in (node.name, *node.args))
        ]
        if not users:
            continue
        if any(one.name == "map" and one.args[-1:] == [f"${name}"] for one in block.children):
            return False
        block.children.insert(0, empty_variable(name, is_stream))
        copy.note_replaced(users[0], f"this nginx does not know ${name}, so it is empty", True)
        done = True
    return done


def _translated(said: str, owners: dict[int, CopiedDirective]) -> str:
    """Translate nginx's first message to the position in the user's file."""
    placed = _AT.search(said)
    if placed is None:
        first = _UNPLACED.search(said)
        return first["what"] if first else said.strip()[:300]
    return placed["what"] + _place(owners.get(int(placed["line"])))


def _place(node: CopiedDirective | None) -> str:
    """The position in the user's file that a directive comes from."""
    if node is None or node.origin is None:
        return ""
    return f" in {node.origin.source.name}:{node.origin.line}"
