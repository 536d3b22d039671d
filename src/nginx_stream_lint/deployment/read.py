"""Read the deployment of a repository from its files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from nginx_stream_lint.deployment.model import DeployedAt, Deployment, Instance
from nginx_stream_lint.deployment.names import is_compose, is_dockerfile, is_kustomization
from nginx_stream_lint.deployment.relevant import manifests_of, names_server
from nginx_stream_lint.files.workspace import Workspace
from nginx_stream_lint.util.problems import Problem, Unreadable

if TYPE_CHECKING:
    from nginx_stream_lint.deployment.instance import Container
    from nginx_stream_lint.deployment.manifests import ManifestObject

_MAX_FILES = 2000  # of each kind
_MAX_INSTANCES = 500


def read_deployment(
    workspace: Workspace, root: str, files: Sequence[str], manifests: Sequence[str] | None = None
) -> Deployment:
    """Read the deployment that the files of a repository describe.

    `root` is the folder of the repository, `files` are the paths of all its files. `manifests` are
    those YAML files that contain Kubernetes objects (`is_manifest`); None if that was not checked.
    A file is read if its name belongs to a deployment, or if such a file names it. Unreadable files
    become notes.
    """
    notes: list[Problem] = []
    containers = _of_compose(workspace, files, notes)
    used = {workspace.key(one.dockerfile) for one in containers if one.dockerfile is not None}
    for path in _some([one for one in files if is_dockerfile(one)], notes):
        if workspace.key(path) not in used:
            container = _of_dockerfile(workspace, path, root, notes)
            if container is not None:
                containers.append(container)
    containers += _of_manifests(workspace, files, manifests, notes)
    if not containers:
        return Deployment(notes=tuple(notes))
    from nginx_stream_lint.deployment.instance import instance_of, service_of
    from nginx_stream_lint.deployment.proxies import proxies

    instances: list[Instance] = []
    for one in containers:
        if len(instances) == _MAX_INSTANCES:
            place = one.origin.file, one.origin.line, one.origin.column
            message = f"this repository runs more than {_MAX_INSTANCES} nginx instances"
            notes.append(Problem(*place, message, "the others are unknown; check a folder of it"))
            break
        found = None if one.is_rescaled else instance_of(workspace, one, notes)
        if found is not None:
            beside = [each for each in containers if each.project == one.project]
            in_front = (*one.in_front, *proxies(workspace, one, beside))
            instances.append(replace(found, in_front=in_front))
    services = tuple(service_of(one) for one in containers if one.names or one.selected_by)
    return Deployment(tuple(instances), services, tuple(notes))


def _some(paths: Sequence[str], notes: list[Problem]) -> Sequence[str]:
    """The first paths, and a note if there are too many."""
    if len(paths) > _MAX_FILES:
        message = f"the repository has more than {_MAX_FILES:,} files of this kind"
        notes.append(
            Problem(paths[_MAX_FILES], 1, 1, message, "this file and all after it were not read")
        )
    return paths[:_MAX_FILES]


def _of_compose(
    workspace: Workspace, files: Sequence[str], notes: list[Problem]
) -> list[Container]:
    """The containers of compose files."""
    paths = _some([one for one in files if is_compose(one)], notes)
    if not paths:
        return []
    from nginx_stream_lint.deployment.compose import projects

    return projects(workspace, paths, notes)


def _of_dockerfile(
    workspace: Workspace, path: str, root: str, notes: list[Problem]
) -> Container | None:
    """The container of a Dockerfile that no compose file builds."""
    if not names_server(workspace, path):
        return None
    from nginx_stream_lint.deployment.build_context import context_of
    from nginx_stream_lint.deployment.dockerfile import build
    from nginx_stream_lint.deployment.instance import Container
    from nginx_stream_lint.deployment.instructions import instructions

    try:
        source = workspace.source(path)
        context = context_of(workspace, path, instructions(source), root)
        made = build(workspace, source, context)
    except Unreadable as error:
        notes.append(error.problem)
        return None
    name = os.path.relpath(path, root)
    name = path if name.startswith(os.pardir) else name.replace(os.sep, "/")
    return Container(name, path, DeployedAt(path, 1), None, made.base_origin, made, context, path)


def _of_manifests(
    workspace: Workspace,
    files: Sequence[str],
    manifests: Sequence[str] | None,
    notes: list[Problem],
) -> list[Container]:
    """The containers of Kubernetes workloads."""
    paths = [one for one in files if is_kustomization(one)]
    if manifests is None:
        manifests = manifests_of(workspace, files)
    if not paths and not manifests:
        return []
    from nginx_stream_lint.deployment import kustomize, workloads
    from nginx_stream_lint.deployment.manifests import folder_sets, objects

    kustomizations = kustomize.Kustomizations(workspace, notes)
    sets = kustomizations.sets(_some(paths, notes))
    alone: list[ManifestObject] = []
    for path in _some(manifests, notes):
        if workspace.key(path) not in kustomizations.taken:
            alone += objects(workspace, path, notes)
    sets += folder_sets(alone)
    every = [one for group in sets for one in group.objects]
    return [one for group in sets for one in workloads.containers(group, every)]
