"""Read the deployment of a repository from its files."""

from __future__ import annotations

import os
from collections.abc import Sequence

from nginx_stream_lint.deployment import compose, dockerfile, kubernetes, kustomize
from nginx_stream_lint.deployment.images import server_image
from nginx_stream_lint.deployment.instance import Container, instance_of, service_of
from nginx_stream_lint.deployment.model import MENTIONS, DeployedAt, Deployment, Instance
from nginx_stream_lint.deployment.names import (
    is_compose,
    is_dockerfile,
    is_kustomization,
    is_manifest,
    may_be_manifest,
)
from nginx_stream_lint.deployment.texts import text_of
from nginx_stream_lint.files.workspace import Workspace
from nginx_stream_lint.util.budget import spending
from nginx_stream_lint.util.problems import Problem, Unreadable

_MAX_FILES = 2000  # of each kind
_MAX_INSTANCES = 500


def read_deployment(
    workspace: Workspace, root: str, files: Sequence[str], manifests: Sequence[str] | None = None
) -> Deployment:
    """Read the deployment that the files of a repository describe.

    `root` is its folder, `files` are the paths of all its files; `manifests` are those of its YAML
    files that contain Kubernetes objects (`is_manifest`), or None if that was not checked. Only
    files whose name belongs to a deployment are read, and the files that those name. Unreadable
    files become notes.
    """
    # Do not use up the budget of the check itself.
    with spending(workspace.budget.renewed()):
        return _read(workspace, root, files, manifests)


def _read(
    workspace: Workspace, root: str, files: Sequence[str], manifests: Sequence[str] | None
) -> Deployment:
    notes: list[Problem] = []
    composed = [one for one in files if is_compose(one)]
    containers = compose.projects(workspace, composed[:_MAX_FILES], notes, root)
    used = {workspace.key(one.dockerfile) for one in containers if one.dockerfile is not None}
    for path in [one for one in files if is_dockerfile(one)][:_MAX_FILES]:
        if workspace.key(path) not in used:
            container = _of_dockerfile(workspace, path, root, notes)
            if container is not None:
                containers.append(container)
    containers += _of_manifests(workspace, files, manifests, notes)
    instances: list[Instance] = []
    for one in containers:
        if len(instances) == _MAX_INSTANCES:
            place = one.origin.file, one.origin.line, one.origin.column
            message = f"this repository runs more than {_MAX_INSTANCES} nginx"
            notes.append(Problem(*place, message, "the others are unknown; check a part of it"))
            break
        found = None if one.is_rescaled else instance_of(workspace, one, notes)
        if found is not None:
            instances.append(found)
    services = tuple(service_of(one) for one in containers if one.names)
    return Deployment(tuple(instances), services, tuple(notes))


def _of_manifests(
    workspace: Workspace,
    files: Sequence[str],
    manifests: Sequence[str] | None,
    notes: list[Problem],
) -> list[Container]:
    """The containers of Kubernetes workloads."""
    if manifests is None:
        manifests = [one for one in files if _may_be_manifest(workspace, one)]
        # An nginx reaches the services of its folder and of those beside it: elsewhere, without a
        # mention of nginx, no object counts.
        around = {
            _parent(one) for one in manifests if MENTIONS.search(text_of(workspace, one).text)
        }
        manifests = [one for one in manifests if _parent(one) in around]
    kustomizations = kustomize.Kustomizations(workspace, notes)
    paths = [one for one in files if is_kustomization(one)]
    sets = kustomizations.sets(paths[:_MAX_FILES])
    alone: list[kubernetes.ManifestObject] = []
    for path in manifests[:_MAX_FILES]:
        if workspace.key(path) not in kustomizations.taken:
            alone += kubernetes.objects(workspace, path, notes)
    sets += kubernetes.folder_sets(alone)
    every = [one for group in sets for one in group.objects]
    return [one for group in sets for one in kubernetes.containers(workspace, group, every)]


def _parent(path: str) -> str:
    """The folder around that of a file."""
    return os.path.dirname(os.path.dirname(path))


def _may_be_manifest(workspace: Workspace, path: str) -> bool:
    if not may_be_manifest(path):
        return False
    try:
        return is_manifest(text_of(workspace, path).text)
    except Unreadable:
        return False


def _of_dockerfile(
    workspace: Workspace, path: str, root: str, notes: list[Problem]
) -> Container | None:
    """The container of a Dockerfile that no compose file builds."""
    try:
        source = text_of(workspace, path)
        made = dockerfile.build_text(workspace, source, is_nginx=False)
        if made.base is not None and not (MENTIONS.search(source.text) or server_image(made.base)):
            return None
        found = dockerfile.instructions(source)
        context = dockerfile.context_of(workspace, path, found, root)
        made = dockerfile.build_text(workspace, source, context)
    except Unreadable as error:
        notes.append(error.problem)
        return None
    origin = DeployedAt(path, 1)
    name = os.path.relpath(path, root)
    name = path if name.startswith(os.pardir) else name.replace(os.sep, "/")
    return Container(name, path, origin, None, made.base_origin, made, context, path)
