"""The facts that rules are made of, one module for each subject.

To add a fact, write a function with the decorator `@fact` in the module of its subject, and a test.
Its docstring is its row in docs/architecture.md. Rule files can use no other names.
"""

from __future__ import annotations

# Importing a module adds its facts to FACTS.
from nginx_stream_lint.rules.facts import (  # noqa: F401
    caching,
    delivery,
    limits,
    location,
    no_stream,
    tiers,
    timeouts,
    twins,
    upstream_request,
    websocket,
)
from nginx_stream_lint.rules.facts.base import FACTS, PLACEHOLDERS, Fact, Facts
from nginx_stream_lint.rules.facts.no_stream import REMARKS

__all__ = ["FACTS", "PLACEHOLDERS", "REMARKS", "Fact", "Facts"]
