"""Facts that have no stream behind them; `remarks.py` gives them their values.

Of a stream they are all None or empty.
"""

from __future__ import annotations

from nginx_stream_lint.rules.facts.base import Facts, fact

# The facts by what they are about: a rule asks for those of one group and for no others, or for
# none of them.
REMARKS = {
    "comments": frozenset({"ignore_mistake", "ignored_rules"}),
    "blocks": frozenset({"never_matches", "meant"}),
    "declarations": frozenset({"declared", "nginx_answers", "absent_include"}),
}


@fact()
def ignore_mistake(_: Facts) -> str | None:
    """What is wrong with a comment: no-reason, unknown-rule, unused; none for a stream."""
    return None


@fact()
def ignored_rules(_: Facts) -> list[str]:
    """The rules in such a comment that this is about."""
    return []


@fact()
def never_matches(_: Facts) -> str | None:
    """The path of a location that no request can end in; none for a stream."""
    return None


@fact()
def meant(_: Facts) -> list[str]:
    """How such a location was probably meant, the likeliest first."""
    return []


@fact()
def declared(_: Facts) -> str | None:
    """A declared path or URL that nginx passes to no app; none for a stream."""
    return None


@fact()
def nginx_answers(_: Facts) -> str | None:
    """What nginx does with it instead, in words: it returns 404."""
    return None


@fact()
def absent_include(_: Facts) -> str | None:
    """An include that leads nowhere here and may pass it on; none for a stream."""
    return None
