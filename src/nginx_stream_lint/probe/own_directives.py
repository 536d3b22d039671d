"""Add the probe's own directives to a copy: paths, a certificate, variables of this machine."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nginx_stream_lint.nginx.directives import BUFFERING_FAMILIES
from nginx_stream_lint.probe.allowed_directives import MACHINE_RENAMED, NOWHERE
from nginx_stream_lint.probe.certificate import CERTIFICATE, KEY
from nginx_stream_lint.probe.copy_model import CopiedDirective, Copy, empty_variable
from nginx_stream_lint.probe.folders import WRITABLE

_RENAMED = re.compile(
    rf"(?<=\$)\{{?{MACHINE_RENAMED}(hostname|pid|realpath_root)(?!\w)", re.IGNORECASE | re.ASCII
)


def add_own_directives(copy: Copy) -> None:
    """Add them to the blocks of a copy that is otherwise complete."""
    for block, is_stream in ((copy.http, False), (copy.stream, True)):
        if block is not None:
            assert block.children is not None
            block.children[:0] = [
                *(empty_variable(name, is_stream) for name in sorted(_machine_variables(block))),
                *(() if is_stream else _paths()),
                *_certificate(copy, is_stream),
            ]


def _machine_variables(block: CopiedDirective) -> set[str]:
    """The variables of this machine that a block uses, as they are called in the copy."""
    return {
        f"{MACHINE_RENAMED}{found[1].lower()}"
        for node, _ in block.walk()
        for word in (node.name, *node.args)
        for found in _RENAMED.finditer(word)
    }


def _paths() -> Iterator[CopiedDirective]:
    yield CopiedDirective("access_log", ["off"])
    yield CopiedDirective("root", [NOWHERE])
    yield CopiedDirective("client_body_temp_path", [f"{WRITABLE}/tmp/body"])
    for family in BUFFERING_FAMILIES:
        yield CopiedDirective(f"{family}_temp_path", [f"{WRITABLE}/tmp/{family}"])


def _certificate(copy: Copy, is_stream: bool) -> Iterator[CopiedDirective]:
    if any(one.tls for one in copy.sockets.values() if one.is_stream == is_stream):
        yield CopiedDirective("ssl_certificate", [CERTIFICATE])
        yield CopiedDirective("ssl_certificate_key", [KEY])
