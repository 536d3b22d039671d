"""Choose the nginx for a conformance program: the named one, or all installed ones."""

from __future__ import annotations

import argparse
from pathlib import Path

from nginx_stream_lint.probe import NginxBinary, find_nginx
from nginx_stream_lint.probe.nginx_binary import inspect


def add_nginx_option(parser: argparse.ArgumentParser) -> None:
    """Add `--nginx`."""
    parser.add_argument(
        "--nginx", metavar="PATH|old|new", help="an executable, or the oldest or newest one here"
    )


def chosen(nginx: str | None) -> list[NginxBinary]:
    """The nginx that `--nginx` names, otherwise every installed one, the oldest first.

    Raises NginxError if the path is not an nginx binary.
    """
    if nginx in ("old", "new"):
        return find_nginx()[:1] if nginx == "old" else find_nginx()[-1:]
    return find_nginx() if nginx is None else [inspect(Path(nginx))]
