"""Kubernetes: the nginx configuration that ingress controllers make, with its place in the YAML.

`configurations` is the way in.
"""

from nginx_stream_lint.kubernetes.translate import (
    Translation,
    configurations,
    runnable,
    translate_resources,
)

__all__ = ["Translation", "configurations", "runnable", "translate_resources"]
