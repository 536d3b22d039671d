"""Facts about a proxy in front of nginx; `analysis/tier_findings.py` provides their values.

For a stream they are all None, empty or false.
"""

from __future__ import annotations

from nginx_stream_lint.rules.facts.base import Facts, fact


@fact()
def tier(_: Facts) -> str | None:
    """The proxy in front of nginx, such as Cloudflare; none in rules about streams."""
    return None


@fact()
def tier_cuts(_: Facts) -> str | None:
    """What it limits, if it cuts a stream too soon: a `silence`, or the whole `response`."""
    return None


@fact()
def tier_cuts_after_s(_: Facts) -> float | None:
    """The number of seconds after which it does."""
    return None


@fact()
def tier_cuts_by_s(_: Facts) -> float | None:
    """The seconds after which it does at the latest, if its documentation has two figures."""
    return None


@fact()
def tier_limit_is_known(_: Facts) -> bool:
    """Whether that limit is in the repository, not a default of the product."""
    return False


@fact()
def tier_silence_s(_: Facts) -> float | None:
    """The longest known silence of the app, in seconds."""
    return None


@fact()
def tier_setting(_: Facts) -> str | None:
    """The setting that cuts the stream, or holds it."""
    return None


@fact()
def tier_setting_is_default(_: Facts) -> bool:
    """Whether that setting has its default value, as far as the repository says."""
    return False


@fact()
def tier_remedy(_: Facts) -> str | None:
    """What to change at the proxy; none if nothing can be changed there."""
    return None


@fact()
def tier_heartbeat(_: Facts) -> str | None:
    """What the app can send in a silence: a comment line, a ping, a blank line."""
    return None


@fact()
def tier_heartbeat_s(_: Facts) -> float | None:
    """How often the app has to send it, in seconds."""
    return None


@fact()
def tier_holds(_: Facts) -> bool:
    """Whether it collects a stream before it forwards it."""
    return False


@fact()
def tier_word(_: Facts) -> str | None:
    """A word for what it cuts: stream, WebSocket."""
    return None
