"""Choose the configuration that explains a URL, among several at one path."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from nginx_stream_lint.analysis.explainer import Explainer, Explanation
from nginx_stream_lint.nginx.hostnames import HostnameTable, lower
from nginx_stream_lint.nginx.request import Request
from nginx_stream_lint.nginx.servers import host_of


class Explainers:
    """The explainers of several configurations for one path.

    The first one explains a URL, unless another one has a server with its name, or it has none
    that listens there. `others` are only made if they are needed.
    """

    def __init__(self, first: Explainer, others: Iterable[Explainer] = ()) -> None:
        self.first = first
        self._others = others

    @cached_property
    def _every(self) -> list[Explainer]:
        return [self.first, *self._others]

    @cached_property
    def _named(self) -> HostnameTable[list[Explainer]]:
        """The explainers by the names of their servers."""
        found: dict[str, list[Explainer]] = {}
        for one in self._every:
            for name in dict.fromkeys(one.names):
                found.setdefault(lower(name), []).append(one)
        names: HostnameTable[list[Explainer]] = HostnameTable()
        for name, several in found.items():
            names.add(name, several)
        return names

    def of(self, request: Request) -> Explainer:
        """The explainer for a request."""
        if not self._others or request.host is None or self.first.has_name(request):
            return self.first
        named = self._named.find(host_of(request) or "") or []
        patterned = [one for one in self._every if any(name[0] == "~" for name in one.names)]
        having = (one for one in [*named, *patterned] if one.has_name(request))
        accepting = (one for one in self._every if one.accepts(request))
        return next(having, None) or next(accepting, self.first)

    def explain_all(
        self, requests: Iterable[tuple[str, Request]]
    ) -> list[tuple[Explainer, Explanation]]:
        """Explain several URLs, in their order; each with its explainer."""
        chosen = [(self.of(request), url, request) for url, request in requests]
        by_explainer: dict[Explainer, list[tuple[str, Request]]] = {}
        for explainer, url, request in chosen:
            by_explainer.setdefault(explainer, []).append((url, request))
        found: dict[str, Explanation] = {}
        for explainer, own in by_explainer.items():
            found |= {one.url: one for one in explainer.explain_all(own)}
        return [(explainer, found[url]) for explainer, url, _ in chosen]
