"""The nginx that a conformance program runs on: one that is named, or all that are here."""

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
    """What `--nginx` names, else every nginx that is here, the oldest first.

    Raises NginxError for a path to what is not nginx.
    """
    if nginx in ("old", "new"):
        return find_nginx()[:1] if nginx == "old" else find_nginx()[-1:]
    return find_nginx() if nginx is None else [inspect(Path(nginx))]
