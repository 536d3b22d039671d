"""The nginx behind the one that a probe measures, for each of its requests."""

from __future__ import annotations

from collections.abc import Sequence

from nginx_stream_lint.analysis.explainer import Explainer
from nginx_stream_lint.nginx.request import parse_url
from nginx_stream_lint.nginx.self_proxying import MOST_TIERS
from nginx_stream_lint.probe.probe_model import PassedOn, ProbeRequest
from nginx_stream_lint.tiers.hops import Hop


def passed_on(explainer: Explainer, requests: Sequence[ProbeRequest]) -> list[PassedOn]:
    """Where the requests are passed from one nginx to another, each `*_pass` directive once.

    The path ends at a location that passes to a server of the same configuration. If a request
    may take several paths, the one that `explain` shows is used.
    """
    found: dict[int, PassedOn] = {}
    for request in requests:
        if not request.stream:
            for one in _of_request(explainer, request):
                found.setdefault(id(one.directive), one)
    return list(found.values())


def _of_request(explainer: Explainer, request: ProbeRequest) -> list[PassedOn]:
    explanation = explainer.explain(request.name, parse_url(request.name, request.method))
    shown = [(place.nginx, place.level) for place in explanation.places[-2::-1]]
    hop = Hop(explainer.nginx, explanation.route)
    found: list[PassedOn] = []
    for at in range(MOST_TIERS):
        following = explainer.behind(hop)
        wanted = shown[at : at + 1]
        on_way = [one for one in following if (one.nginx, one.route.location) in wanted]
        behind = next(iter([*on_way, *following]), None)
        handler, target = hop.route.handler, hop.route.target
        if behind is None or behind.nginx is hop.nginx or handler is None or target is None:
            break
        found.append(
            PassedOn(
                hop.nginx.configuration,
                handler.directive,
                target,
                behind.nginx.configuration,
                behind.socket,
            )
        )
        hop = behind
    return found
