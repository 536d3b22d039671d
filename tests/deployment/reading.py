"""Read small repositories in memory."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import dedent

from nginx_stream_lint.deployment.model import Deployment, Instance
from nginx_stream_lint.deployment.read import read_deployment
from nginx_stream_lint.files.workspace import Workspace


def deployment(files: Mapping[str, str]) -> Deployment:
    """The deployment of files by path, as `read_deployment` finds it."""
    workspace = Workspace.in_memory({path: dedent(text) for path, text in files.items()})
    return read_deployment(workspace, ".", list(files))


def compose(text: str, **others: str) -> Deployment:
    """The deployment of a compose file and other files; `__` in their names stands for `/`."""
    named = {name.replace("__", "/").replace("_", "."): one for name, one in others.items()}
    return deployment({"compose.yaml": text, **named})


def instance(found: Deployment) -> Instance:
    """The only instance of a deployment."""
    assert len(found.instances) == 1, found.instances
    return found.instances[0]


def files(one: Instance) -> dict[str, str | None]:
    """The origins of the files of an instance, without those of its image."""
    return {file.inside: file.path for file in one.files if file.how not in ("image", "removed")}


def notes(found: Deployment) -> list[str]:
    """The notes as printed."""
    return [str(one) for one in found.notes]
