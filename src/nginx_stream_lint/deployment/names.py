"""Which files of a repository describe a deployment, by their names and texts."""

from __future__ import annotations

import os
import re

from nginx_stream_lint.config.inputs import STDIN
from nginx_stream_lint.config.templates.detect import has_template_name

KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
# Kinds of Kubernetes objects that are part of a deployment.
_KINDS = (
    "Deployment|StatefulSet|DaemonSet|ReplicaSet|ReplicationController|DeploymentConfig|Rollout|Job"
    "|CronJob|Pod|ConfigMap|Secret|Service|Ingress|BackendConfig|List"
)
# Ends of files that are named after a Dockerfile, such as `Dockerfile.md`.
_NO_DOCKERFILE = (
    *(".dockerignore", ".md", ".py", ".sh", ".rst", ".txt", ".yaml", ".yml", ".json", ".go"),
    *(".ts", ".js"),
)


def may_describe(path: str) -> bool:
    """Whether a file describes a deployment, by its name."""
    return is_compose(path) or is_kustomization(path) or is_dockerfile(path)


def is_compose(path: str) -> bool:
    """Whether a file's name is that of a compose file."""
    name = os.path.basename(path)
    if not ("compose" in name or "stack" in name) or not name.endswith((".yaml", ".yml")):
        return False
    first = r"(?:(?:docker-)?compose|docker-stack)(?:[.-][\w.-]*)?\.ya?ml"
    return re.fullmatch(rf"{first}|[\w.-]+[.-](?:docker-)?compose\.ya?ml", name) is not None


def is_kustomization(path: str) -> bool:
    """Whether a file's name is that of a kustomization."""
    return os.path.basename(path) in KUSTOMIZATIONS


def is_dockerfile(path: str) -> bool:
    """Whether a file's name is that of a Dockerfile."""
    name = os.path.basename(path).lower()
    if not ("dockerfile" in name or "containerfile" in name):
        return False
    if name.endswith(_NO_DOCKERFILE) or has_template_name(name):
        return False
    first = r"(?:docker|container)file(?:[.-][\w.-]*)?"
    return re.fullmatch(rf"{first}|[\w.-]+[.-]dockerfile", name) is not None


def may_be_manifest(path: str) -> bool:
    """Whether a file may have Kubernetes manifests, by its name; standard input may."""
    return path == STDIN or (path.endswith((".yaml", ".yml")) and not is_compose(path))


def is_manifest(data: bytes) -> bool:
    """Whether a YAML file has Kubernetes objects that are part of a deployment."""
    # The expression begins with a word, because a search for a word is fast.
    pattern = rf"kind[\"']?:[ \t]*[\"']?(?:{_KINDS})\b".encode()
    for kind in re.finditer(pattern, data):
        line = data[data.rfind(b"\n", 0, kind.start()) + 1 : kind.start()]
        if not line.strip(b" \t-\"'"):
            return True
    return False


def mentions_nginx(text: str | bytes) -> bool:
    """Whether a text has a name of nginx, or of a server based on it."""
    # Lowering bytes is fast; lowering text of another language is not.
    data = (text.encode("utf-8", "replace") if isinstance(text, str) else text).lower()
    return b"nginx" in data or b"openresty" in data or b"angie" in data
