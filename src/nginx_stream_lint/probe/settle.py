"""Ask an nginx whether it takes a copy, and leave out what it does not have."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path

from .copied import Copy, Node, written
from .nginx import NginxBinary, NginxError, check

_MOST_ROUNDS = 200

_AT = re.compile(r"\[emerg\] (?P<what>.*) in nginx\.conf:(?P<line>\d+)\s*$", re.MULTILINE)
_UNPLACED = re.compile(r"\[emerg\] (?P<what>.*)$", re.MULTILINE)
_PID = re.compile(r"\d+#\d+: ")
# What another nginx may have, or what went with something that was left out. Anything else is the
# author's mistake, and nginx is right to refuse it.
_REMOVABLE = re.compile(
    r"unknown directive|invalid parameter|invalid value|invalid number of arguments"
    r"|directive is not allowed here|directive is deprecated|requires ngx_"
    r"|is not supported on this platform"
)
# Measured: none of these decides when a piece of the answer leaves.
_WITHOUT_EFFECT = re.compile(
    r"sub_filter.*|ssi.*|addition_.*|add_(?:before|after)_body|slice|gunzip.*|(?:gzip|brotli)_static"
    r"|charset.*|http2_chunk_size|server_tokens|max_ranges|.*_hash_(?:bucket|max)_size|keepalive.*"
)
_NEVER = frozenset({"http", "stream", "server", "location", "listen", "upstream"})


async def settle(copy: Copy, binary: NginxBinary, folder: Path) -> tuple[str, NginxBinary]:
    """The text of a copy that this nginx takes; what it lacks goes on the copy's list.

    Returns:
        The text, and the binary with the modules that it can load.

    Raises:
        NginxError: it refuses the copy for good; the message names the place in the author's file.
    """
    for _ in range(_MOST_ROUNDS):
        await asyncio.sleep(0)  # whoever wants to stop this may
        text, owners = written(copy.root)
        text = f"events {{ worker_connections 4096; }} {text}"
        accepted, said = check(binary, text, folder)
        if accepted:
            return text, binary
        said = _PID.sub("", said).replace(f"{folder.resolve()}/", "")
        unloadable = [line for line in binary.load_modules if Path(line[12:-1]).name in said]
        if unloadable and re.search(r"dlopen|binary compatible|module", said):
            rest = tuple(line for line in binary.load_modules if line not in unloadable)
            binary = replace(binary, load_modules=rest)
            continue
        if not _mended(copy, said, owners):
            raise NginxError(f"{binary} refuses the copy: {_translated(said, owners)}")
    raise NginxError(f"{binary} refuses the copy in more than {_MOST_ROUNDS} places")


def _mended(copy: Copy, said: str, owners: dict[int, Node]) -> bool:
    variable = re.search(r'\[emerg\] unknown "(\w+)" variable', said)
    if variable:
        return _define(copy, variable[1])
    zone = re.search(r'\[emerg\] .*(?:memory zone "([^"]+)"| zone "([^"]+)" is unknown)', said)
    if zone:
        name = zone[1] or zone[2]
        rows = [
            one
            for one in copy.root.walk()
            if one[0].name.endswith("_cache") and one[0].args[0].strip("\"'") == name
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
            copy.note(culprit.origin, "replaced", f"this nginx says: {what}", True)
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


def _remove(copy: Copy, rows: list[tuple[Node, list[Node]]], why: str) -> bool:
    for node, siblings in rows:
        if node in siblings:
            siblings.remove(node)
            if node.origin is not None:
                matters = _WITHOUT_EFFECT.fullmatch(node.name) is None
                copy.note(node.origin, "left out", why, matters)
    return bool(rows)


def _define(copy: Copy, name: str) -> bool:
    """Give a variable of a module that is not there: it is empty."""
    done = False
    use = re.compile(r"\$\{?" + re.escape(name) + r"\b", re.IGNORECASE)
    for block in (copy.http, copy.stream):
        if block is None or block.children is None:
            continue
        users = [
            node.origin
            for node, _ in block.walk()
            if node.origin is not None and any(use.search(arg) for arg in (node.name, *node.args))
        ]
        if not users:
            continue
        source = "$host" if block is copy.http else "$remote_addr"
        rows = [Node("default", ['""'])]
        if any(one.name == "map" and one.args[-1:] == [f"${name}"] for one in block.children):
            return False
        block.children.insert(0, Node("map", [source, f"${name}"], None, rows))
        copy.note(users[0], "replaced", f"${name} is unknown to this nginx: it is empty", True)
        done = True
    return done


def _translated(said: str, owners: dict[int, Node]) -> str:
    """What nginx said first, with the place in the author's file."""
    placed = _AT.search(said)
    if placed is None:
        first = _UNPLACED.search(said)
        return first["what"] if first else said.strip()[:300]
    node = owners.get(int(placed["line"]))
    if node is None or node.origin is None:
        return placed["what"]
    return f"{placed['what']} in {node.origin.source.name}:{node.origin.line}"
