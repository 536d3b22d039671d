"""Kubernetes: the nginx configuration that ingress controllers generate, with places in the YAML.

`configurations` is the entry point.
"""

from nginx_stream_lint.kubernetes.translate import (
    Translation,
    configurations,
    runnable,
    translate_resources,
)

__all__ = ["Translation", "configurations", "runnable", "translate_resources"]
