"""Which files of a repository describe a deployment, by their names and texts."""

from __future__ import annotations

import os
import re

from nginx_stream_lint.config.inputs import STDIN

KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_COMPOSE = re.compile(
    r"(?:docker-)?compose(?:[.-][\w.-]*)?\.ya?ml|[\w.-]+[.-](?:docker-)?compose\.ya?ml"
)
_DOCKERFILE = re.compile(r"(?i)(?:docker|container)file(?:[.-][\w.-]*)?|[\w.-]+[.-]dockerfile")
_NO_DOCKERFILE = re.compile(
    r"(?i).*\.(?:dockerignore|md|py|sh|j2|tmpl|tpl|rst|txt|ya?ml|json|go|ts|js)"
)
_OBJECT = re.compile(
    r"(?m)^[ \t-]*[\"']?kind[\"']?:[ \t]*[\"']?(?:Deployment|StatefulSet|DaemonSet|ReplicaSet|Job"
    r"|CronJob|Pod|ConfigMap|Service|Ingress|List)\b"
)


def may_describe(path: str) -> bool:
    """Whether a file's name says that it describes a deployment."""
    return is_compose(path) or is_kustomization(path) or is_dockerfile(path)


def is_compose(path: str) -> bool:
    """Whether a file's name is that of a compose file."""
    return _COMPOSE.fullmatch(os.path.basename(path)) is not None


def is_kustomization(path: str) -> bool:
    """Whether a file's name is that of a kustomization."""
    return os.path.basename(path) in KUSTOMIZATIONS


def is_dockerfile(path: str) -> bool:
    """Whether a file's name is that of a Dockerfile."""
    name = os.path.basename(path)
    return bool(_DOCKERFILE.fullmatch(name)) and not _NO_DOCKERFILE.fullmatch(name)


def may_be_manifest(path: str) -> bool:
    """Whether a file's name allows manifests of Kubernetes: those of `helm template`, too."""
    return path == STDIN or (path.endswith((".yaml", ".yml")) and not is_compose(path))


def is_manifest(text: str) -> bool:
    """Whether a YAML text has objects of Kubernetes in it that count for a deployment."""
    return _OBJECT.search(text) is not None
