"""Facts that do not belong to a stream; `remarks.py` provides their values.

For a stream they are all None or empty.
"""

from __future__ import annotations

from nginx_stream_lint.rules.facts.base import Facts, fact

# The facts by group: a condition uses the facts of one group only, or of none.
REMARKS = {
    "comments": frozenset({"ignore_mistake", "ignored_rules"}),
    "blocks": frozenset({"never_matches", "meant"}),
    "declarations": frozenset({"declared", "nginx_answers", "absent_include"}),
    "handshakes": frozenset({"refused_with", "refused_by"}),
    "tiers": frozenset(
        {
            *("tier", "tier_cuts", "tier_cuts_after_s", "tier_cuts_by_s", "tier_silence_s"),
            *("tier_setting", "tier_setting_is_default", "tier_remedy", "tier_heartbeat"),
            *("tier_heartbeat_s", "tier_holds", "tier_word", "tier_limit_is_known"),
        }
    ),
    "twins": frozenset(
        {
            *("worse_controller", "worse_rule", "worse_severity", "worse_reason"),
            *("better_controller", "better_place", "better_severity"),
        }
    ),
}


@fact()
def ignore_mistake(_: Facts) -> str | None:
    """An ignore comment's mistake: no-reason, unknown-rule, unused; none in rules about streams."""
    return None


@fact()
def ignored_rules(_: Facts) -> list[str]:
    """The rules in that comment that the mistake is about."""
    return []


@fact()
def never_matches(_: Facts) -> str | None:
    """The path of a location that no request can reach; none in rules about streams."""
    return None


@fact()
def meant(_: Facts) -> list[str]:
    """The probable intentions of such a location, the likeliest first."""
    return []


@fact()
def declared(_: Facts) -> str | None:
    """A declared path or URL that nginx passes to no app; none in rules about streams."""
    return None


@fact()
def nginx_answers(_: Facts) -> str | None:
    """How nginx responds to it instead, in words: it returns 404."""
    return None


@fact()
def absent_include(_: Facts) -> str | None:
    """A missing include that may pass it to an app; none in rules about streams."""
    return None
