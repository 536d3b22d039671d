"""Facts about one path that two controllers configure; `analysis/twins.py` provides their values.

They compare what one rule reports in both configurations. For a stream they are all None.
"""

from __future__ import annotations

from nginx_stream_lint.rules.facts.base import Facts, fact


@fact()
def worse_rule(_: Facts) -> str | None:
    """The rule that reports more for one of the two controllers; none in rules about streams."""
    return None


@fact()
def worse_controller(_: Facts) -> str | None:
    """That controller."""
    return None


@fact()
def worse_severity(_: Facts) -> str | None:
    """The severity that the rule reports for it: error, warning, note."""
    return None


@fact()
def worse_reason(_: Facts) -> str | None:
    """The first sentence of the message that the rule reports for it."""
    return None


@fact()
def better_controller(_: Facts) -> str | None:
    """The other controller, which configures the same host, path and backend."""
    return None


@fact()
def better_place(_: Facts) -> str | None:
    """The place where it does: ingress.yaml:16."""
    return None


@fact()
def better_severity(_: Facts) -> str | None:
    """The milder severity that the rule reports for it; none if it reports nothing."""
    return None
