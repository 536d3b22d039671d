"""Which files of a repository may concern an nginx, by a search of their bytes.

Most compose files, Dockerfiles and manifests do not. Searching them is many times quicker than
importing the parsers and parsing them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress

from nginx_stream_lint.config.inputs import STDIN
from nginx_stream_lint.deployment.images import may_name_server
from nginx_stream_lint.deployment.names import (
    is_compose,
    is_dockerfile,
    is_kustomization,
    is_manifest,
    may_be_manifest,
    mentions_nginx,
)
from nginx_stream_lint.files.workspace import Workspace
from nginx_stream_lint.util.problems import Unreadable

_MAX_BYTES = 2 * 1024 * 1024  # of a manifest
# A compose file with one of these may run an nginx that it does not name.
_LEADS_ELSEWHERE = (b"build", b"extends", b"include")


def relevant_files(workspace: Workspace, files: Sequence[str]) -> list[str]:
    """The compose files, Dockerfiles and kustomizations that may concern an nginx."""
    # The compose files of a folder may belong together.
    folders = {os.path.dirname(one) for one in files if is_compose(one) and _runs(workspace, one)}
    return [
        one
        for one in files
        if is_kustomization(one)
        or (is_compose(one) and os.path.dirname(one) in folders)
        or (is_dockerfile(one) and names_server(workspace, one))
    ]


def _runs(workspace: Workspace, path: str) -> bool:
    """Whether a compose file may run nginx."""
    try:
        data = workspace.read(path)
    except Unreadable:
        return True  # reading it again reports the reason
    if may_name_server(data) or any(word in data for word in _LEADS_ELSEWHERE):
        return True
    variables = os.path.join(os.path.dirname(path), ".env")
    return b"$" in data and workspace.is_file(variables) and names_server(workspace, variables)


def names_server(workspace: Workspace, path: str) -> bool:
    """Whether a file may name nginx or an image that runs it."""
    try:
        return may_name_server(workspace.read(path))
    except Unreadable:
        return True


def manifests_of(workspace: Workspace, files: Sequence[str]) -> list[str]:
    """The Kubernetes manifests that may concern an nginx.

    They are in the folder of a manifest that mentions nginx, or in a folder beside it.
    """
    found: list[str] = []
    around: set[str] = set()
    for path in files:
        if not may_be_manifest(path):
            continue
        try:
            data = workspace.read(path, None if path == STDIN else _MAX_BYTES)
        except Unreadable:
            continue
        if is_manifest(data):
            found.append(path)
            if mentions_nginx(data):
                around.add(_parent(path))
    return [one for one in found if _parent(one) in around]


def runs_server(workspace: Workspace, files: Sequence[str]) -> bool:
    """Whether a manifest has a line with an image that may run nginx."""
    image = rb"(?m)^[ \t-]*[\"']?image[\"']?:.*"
    for path in files:
        if may_be_manifest(path):
            with suppress(Unreadable):
                data = workspace.read(path, None if path == STDIN else _MAX_BYTES)
                if any(map(may_name_server, re.findall(image, data))):
                    return True
    return False


def _parent(path: str) -> str:
    """The folder around that of a file."""
    return os.path.dirname(os.path.dirname(path))
