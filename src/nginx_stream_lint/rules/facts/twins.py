"""Facts about one path that two controllers configure; `analysis/twins.py` provides their values.

They compare what one rule reports for both. For a stream they are all None.
"""

from __future__ import annotations

from nginx_stream_lint.rules.facts.base import Facts, fact


@fact()
def worse_rule(_: Facts) -> str | None:
    """The rule with a worse finding for one of two controllers; none in rules about streams."""
    return None


@fact()
def worse_controller(_: Facts) -> str | None:
    """That controller."""
    return None


@fact()
def worse_severity(_: Facts) -> str | None:
    """The severity of its finding for that controller: error, warning, note."""
    return None


@fact()
def worse_reason(_: Facts) -> str | None:
    """The first sentence of the message of that finding."""
    return None


@fact()
def better_controller(_: Facts) -> str | None:
    """The other controller, which configures the same host, path and backend."""
    return None


@fact()
def better_place(_: Facts) -> str | None:
    """The place where it does so: ingress.yaml:16."""
    return None


@fact()
def better_severity(_: Facts) -> str | None:
    """The severity of the rule's finding for that one; none if the rule has none."""
    return None
