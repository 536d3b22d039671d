"""Explain a URL: its location, the effective settings with origins, and whether it streams."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache, cached_property

from msgspec import Struct
from msgspec.structs import replace

from nginx_stream_lint.analysis.lint import (
    Options,
    VerdictCaches,
    detect_streams,
    judge_places,
    with_fixes,
)
from nginx_stream_lint.analysis.stream_paths import (
    Passed,
    PassedPlace,
    ProductPosition,
    StreamPaths,
    delivery_path,
    passed_place,
)
from nginx_stream_lint.analysis.versions import by_version
from nginx_stream_lint.analysis.websockets import deliveries_of_websocket
from nginx_stream_lint.config import Configuration, Note, Problem
from nginx_stream_lint.config.deployed import Deployed
from nginx_stream_lint.nginx.delivery import (
    ACCEL_BUFFERINGS,
    ACCEPT_ENCODINGS,
    FRAMINGS,
    Delivery,
    DeliveryPath,
    Scenario,
)
from nginx_stream_lint.nginx.directives import FAMILIES, table
from nginx_stream_lint.nginx.document_root import DocumentRoot
from nginx_stream_lint.nginx.levels import Effective, Handler, Level, build
from nginx_stream_lint.nginx.listeners import Client, clients, idle_timeout_s
from nginx_stream_lint.nginx.request import Request
from nginx_stream_lint.nginx.request_body import client_silence_s
from nginx_stream_lint.nginx.request_route import Route, route_request
from nginx_stream_lint.nginx.servers import choose_server, has_name
from nginx_stream_lint.nginx.validity import refusals
from nginx_stream_lint.nginx.values import parse_time
from nginx_stream_lint.nginx.versions import OLD, Version
from nginx_stream_lint.rules.finding import Finding
from nginx_stream_lint.rules.judge import FindingWithContext, message
from nginx_stream_lint.streams.declaration_syntax import declaration
from nginx_stream_lint.streams.declarations import Declaration
from nginx_stream_lint.streams.detect import ProxiedLocation, Requested
from nginx_stream_lint.streams.evidence import stream_of_url
from nginx_stream_lint.streams.passed_on import TierLocations, link_streams
from nginx_stream_lint.streams.stream import ASKED, Stream
from nginx_stream_lint.streams.upstreams import deployed_app
from nginx_stream_lint.tiers.finder import TierFinder
from nginx_stream_lint.tiers.hops import Hop, TierConfiguration
from nginx_stream_lint.tiers.in_front import proxies_in_front, tier_in_front
from nginx_stream_lint.util.budget import Budget, Limits, spending
from nginx_stream_lint.util.remembering import remembered

_Settings = tuple[dict[str, Effective], frozenset[str]]


class Explanation(Struct, frozen=True):
    """The explanation of one URL.

    `settings` are the relevant directives at its location, by name, and `written` the names of
    those that are not defaults of nginx. `read_timeout_s` is the longest silence there in seconds
    (of the app, of a client that keeps sending, and on HTTP/3 connections), and `deliveries` every
    scenario for the clients that the server accepts: none if the request is not proxied, and only
    HTTP/1.1 for a WebSocket, because nginx supports no other. `tiers` are the servers that the
    stream passes, in this and other configurations, nearest the app first: the client reaches the
    last one, where the URL ends. `nginx` is the one of the deployment that responds, `app` the name
    of the app that the deployment runs behind it. `stream` is the likely stream of its location;
    `is_websocket` is about the URL itself.
    """

    url: str
    request: Request
    route: Route
    settings: dict[str, Effective]
    read_timeout_s: float | None
    deliveries: list[Delivery]
    tiers: Sequence[Passed] = ()
    nginx: Deployed | None = None
    app: str | None = None
    written: frozenset[str] = frozenset()
    stream: Stream | None = None
    is_websocket: bool = False

    @property
    def places(self) -> list[PassedPlace]:
        """The tiers that are nginx, nearest the app first."""
        return [one for one in self.tiers if isinstance(one, PassedPlace)]


class UnexplainedUrl(Struct, frozen=True):
    """A URL that no server accepts, or that is invalid, with the reason."""

    url: str
    why: str


class _AssumedStream(Struct, frozen=True):
    """A place with an assumed stream; `target` is the path of the stream with its query."""

    server: Level
    level: Level
    target: str | None

    @property
    def declared(self) -> list[Declaration]:
        if self.target is None:
            return []
        return [declaration(self.target, ASKED)]


class Explainer:
    """Explains URLs in one configuration, and in those of the nginx behind it.

    `files` are those behind every `root`. With `streams`, each requested URL is assumed to stream.
    `behind` explain the nginx behind this one, nearest the app first; `read_other` reads the
    configuration of another nginx of the deployment.
    `other_nginx` are those of the deployment that read the same file.
    """

    other_nginx: Sequence[Deployed] = ()

    def __init__(
        self,
        configuration: Configuration,
        options: Options,
        files: DocumentRoot | None = None,
        streams: bool = False,
        budget: Budget | None = None,
        behind: Sequence[Explainer] = (),
        read_other: Callable[[Deployed], Configuration | None] | None = None,
    ) -> None:
        self._given = options
        given = options.policy.nginx_version(configuration.path, options.nginx_version)
        self._is_version_given = given is not None
        # For a tag that may be on either side of a change of defaults, show the older version.
        options = by_version(configuration, options)[0]
        self.budget = budget or Budget(Limits())
        self.root = build(configuration)
        version = options.policy.nginx_version(configuration.path, options.nginx_version)
        self._known_version = version
        self.version: Version = version or OLD
        self._configuration = configuration
        self._options = options
        self._files = files
        http = self.root.first("http")
        self._clients = {} if http is None else clients(http, self.version)
        self.nginx = TierConfiguration(configuration, http, self.version, version is not None)
        self._chain = (*behind, self)
        self._by_tier = {one.nginx: one for one in self._chain}
        self._read_other = read_other
        # Proxies other than nginx that the user names.
        self.products: Sequence[ProductPosition] = ()
        self._others: dict[Deployed, TierConfiguration | None] = {}
        self._finder = TierFinder(tuple(self._by_tier), self._tier_of)
        self._ways = StreamPaths(self._finder.find)
        self._streams = streams
        # The requested places, and the streams there. New ones are examined on demand, many at
        # once, and do not affect the results of others.
        self._requested: dict[_AssumedStream, None] = {}
        self._proxied: dict[_AssumedStream, ProxiedLocation | None] = {}
        self._deliveries: dict[tuple[DeliveryPath, tuple[Client, ...]], list[Delivery]] = {}
        self._caches: VerdictCaches = {}
        self._mistakes: list[Problem] | None = None
        self._settings: dict[tuple[Level, Handler | None], _Settings] = {}

    @property
    def servers(self) -> Sequence[Level]:
        """The servers that may get requests."""
        return list(self._clients)

    @cached_property
    def names(self) -> Sequence[str]:
        """The names of its servers."""
        rows = [row for one in self.servers for row in one.rows.get("server_name", ())]
        return [name for row in rows for name in row.args if name]

    def has_name(self, request: Request) -> bool:
        """Whether a server that listens for a request has its host as a name."""
        return self.nginx.http is not None and has_name(self.nginx.http, request, self.version)

    def accepts(self, request: Request) -> bool:
        """Whether a server listens for a request."""
        http = self.nginx.http
        return http is not None and choose_server(http, request, self.version) is not None

    def explain(self, url: str, request: Request) -> Explanation:
        """Explain a request; `route.server` is None if no server accepts it."""
        with spending(self.budget):
            return self._explain(url, request)

    def _explain(self, url: str, request: Request) -> Explanation:
        found = route_request(self.root, request, self.version, self._files)
        level = found.location
        if level is None or found.server is None:
            return Explanation(url, request, found, {}, None, [])
        settings, written = self._in_force(level, found)
        explanation = Explanation(url, request, found, settings, None, [], written=written)
        if found.handler is not None:
            explanation = self._with_tiers(self._delivered(explanation))
        for explainer, assumed in self._assumed_streams(explanation):
            if assumed not in explainer._proxied:
                explainer._requested[assumed] = None
        return explanation

    def _tier_of(self, nginx: Deployed) -> TierConfiguration | None:
        """Another nginx of the deployment; None if its configuration cannot be read."""
        if nginx not in self._others:
            known = (one for one in self._by_tier.values() if one.deployed is nginx)
            made = next(known, None)
            configuration = None
            if made is None and self._read_other is not None:
                configuration = self._read_other(nginx)
            if configuration is not None:
                made = Explainer(
                    configuration, self._given, self._files, self._streams, self.budget
                )
                self._by_tier[made.nginx] = made
            self._others[nginx] = None if made is None else made.nginx
        return self._others[nginx]

    def _with_tiers(self, explanation: Explanation) -> Explanation:
        """Complete the explanation of a request that other servers here may pass on again."""
        here = Hop(self.nginx, explanation.route)
        ways, notes = self._ways.of(here)
        explanation.route.unknown.extend(notes)
        products = [*self.products, *self._in_front(explanation.route)]
        if ways == [[here]] and not products:
            return replace(explanation, tiers=[passed_place(here, explanation.deliveries)])
        scenarios = [each.scenario for each in explanation.deliveries]
        deliveries, tiers = self._ways.delivered(ways, scenarios, products)
        timeouts = (*(each.read_timeout_s for each in tiers), explanation.read_timeout_s)
        timeout = min((limit for limit in timeouts if limit is not None), default=None)
        return replace(explanation, deliveries=deliveries, tiers=tiers, read_timeout_s=timeout)

    def _in_front(self, route: Route) -> list[ProductPosition]:
        """Products in front of this nginx that the repository shows but the user did not name."""
        if route.location is None:
            return []
        named = {one.tier.kind for one in self.products}
        found = map(tier_in_front, proxies_in_front(self._configuration, route.location))
        tiers = [one for one in found if one is not None and one.kind not in named]
        return [ProductPosition(one, self.nginx) for one in tiers]

    def behind(self, hop: Hop) -> list[Hop]:
        """Where a request goes next: in the same nginx, or otherwise in others."""
        with spending(self.budget):
            return self._ways.behind(hop)

    @property
    def deployed(self) -> Deployed | None:
        """The nginx of the deployment that reads this configuration."""
        return self._configuration.deployed

    @property
    def running(self) -> Sequence[Deployed]:
        """The nginx of the deployment, if it determines the version."""
        deployed = self.deployed
        return [] if deployed is None or self._is_version_given else [deployed]

    def _app_behind(self, explanation: Explanation) -> str | None:
        """The name of the app that the deployment runs behind a URL; None if unknown."""
        if not explanation.places:
            return None
        last = explanation.places[0]
        return deployed_app(last.level, last.handler, self._by_tier[last.nginx].deployed)

    @property
    def notes(self) -> list[Note]:
        """Notes about assumptions made while reading."""
        return [note for one in self._chain for note in one._configuration.notes]

    @property
    def problems(self) -> list[Problem]:
        """Problems: unreadable files, and errors that nginx would report."""
        found = [problem for one in self._chain for problem in one._problems]
        return list(dict.fromkeys([*found, *self.budget.problems]))

    @cached_property
    def _problems(self) -> list[Problem]:
        with spending(self.budget):
            if self._configuration.guessed:  # not known to be nginx configuration
                return self._declared_wrong()
            wrong = refusals(self.root, self._known_version)
            return [*self._configuration.problems, *wrong, *self._declared_wrong()]

    def _detect(self, requested: Requested) -> list[ProxiedLocation]:
        found, self._mistakes = detect_streams(
            self._configuration, self.root, self._options, requested=requested
        )
        return found

    def _declared_wrong(self) -> list[Problem]:
        if self._mistakes is None:
            self._detect({})
        return self._mistakes or []

    def explain_all(self, requests: Iterable[tuple[str, Request]]) -> list[Explanation]:
        """Explain several URLs, in their order.

        If the client keeps sending, the longest silence is also that of its body. A WebSocket has
        the deliveries of its handshake.
        """
        found = [self.explain(url, request) for url, request in requests]
        with spending(self.budget):
            found = [self._with_stream(one) for one in found]
        if self.deployed is None:
            return found
        return [replace(one, nginx=self.deployed, app=self._app_behind(one)) for one in found]

    def _with_stream(self, explanation: Explanation) -> Explanation:
        """Add the likely stream, and what depends on it: the read timeout and the deliveries."""
        level = explanation.route.location
        if level is None or explanation.route.handler is None:
            return explanation
        streams = next((place.streams for _, place in self._at(explanation)), ())
        stream = stream_of_url(streams, explanation.request.target, level)
        timeout = explanation.read_timeout_s
        if timeout is not None and streams and streams[0].client_streams:
            client = client_silence_s(lambda name: level.effective(name, self.version))
            timeout = timeout if client is None else min(timeout, client)
        is_websocket = stream is not None and stream.kind == "websocket"
        explanation = replace(
            explanation,
            read_timeout_s=timeout,
            stream=streams[0] if streams else None,
            is_websocket=is_websocket,
        )
        return self._of_handshake(explanation) if is_websocket else explanation

    def _of_handshake(self, explanation: Explanation) -> Explanation:
        """The explanation of a WebSocket, with the deliveries of its handshake."""
        if not explanation.deliveries:
            return explanation
        deliveries = deliveries_of_websocket(
            explanation.deliveries,
            self.root,
            explanation.request,
            self.nginx,
            self._files,
            self._ways,
        )
        tiers = [replace(tier, deliveries=deliveries) for tier in explanation.tiers]
        return replace(explanation, deliveries=deliveries, tiers=tiers)

    def findings(self, explanation: Explanation) -> list[Finding]:
        """The findings about the locations that a URL's request passes."""
        with spending(self.budget):
            found: list[Finding] = []
            by_explainer = _by_explainer(self._at(explanation))
            tiers = [TierLocations(one.nginx, at) for one, at in by_explainer]
            if len(tiers) > 1:
                link_streams(tiers, self._finder.find, spread=False)
            for explainer, places in by_explainer:
                found += explainer._findings_at(places)
            return found

    def _findings_at(self, places: Sequence[ProxiedLocation]) -> list[Finding]:
        """The findings about places of this nginx."""
        judged = judge_places(places, self._options, self._caches)
        if self.running:
            judged = [
                FindingWithContext(
                    replace(one.finding, message=message(one.verdict, one.proxied, self.running)),
                    one.verdict,
                    one.proxied,
                    tuple(self.running),
                )
                for one in judged
            ]
        found = self._options.policy.applied(each.finding for each in judged)
        return with_fixes(found, judged, self._configuration.files)[0]

    def _at(self, explanation: Explanation) -> list[tuple[Explainer, ProxiedLocation]]:
        """The places that a URL passes, nearest to the client first, each with its explainer."""
        found = [
            (one, one._streams_at(assumed)) for one, assumed in self._assumed_streams(explanation)
        ]
        return [(one, place) for one, place in found if place is not None]

    def _assumed_streams(self, explanation: Explanation) -> list[tuple[Explainer, _AssumedStream]]:
        """The locations that a URL passes, nearest to the client first, with the assumed stream."""
        found = explanation.route
        if found.server is None or found.location is None or found.handler is None:
            return []
        passed = [(self, found.server, found.location, explanation.request.target)]
        passed += [
            (self._by_tier[tier.nginx], tier.server, tier.level, tier.uri)
            for tier in explanation.places[-2::-1]
        ]
        return [
            (explainer, _AssumedStream(server, level, target if self._streams else None))
            for explainer, server, level, target in passed
        ]

    def _streams_at(self, assumed: _AssumedStream) -> ProxiedLocation | None:
        """The streams of a location; all places requested so far are handled in one batch."""
        if assumed not in self._proxied:
            places: dict[Level, dict[Level, list[Declaration]]] = {}
            for each in self._requested:
                places.setdefault(each.server, {}).setdefault(each.level, []).extend(each.declared)
            self._proxied |= dict.fromkeys(self._requested)
            self._requested = {}
            for found in self._detect(places):
                target = None if found.requested is None else found.requested.text
                self._proxied[_AssumedStream(found.server, found.level, target)] = found
        return self._proxied[assumed]

    def _in_force(self, level: Level, route: Route) -> _Settings:
        """The effective settings where a request ends, and the names of those that are written."""
        key = (level, route.handler)
        if key not in self._settings:
            family = route.handler.family if route.handler is not None else None
            # Directives that are set nowhere have the same default everywhere.
            settings = dict(_defaults(family, self.version))
            somewhere = {name for outer in level.outward() for name in outer.rows}
            names = settings.keys() if level.uncertain else settings.keys() & somewhere
            settings |= {name: level.effective(name, self.version) for name in names}
            written = frozenset(name for name in names if settings[name].origin != "default")
            self._settings[key] = settings, written
        return self._settings[key]

    def _delivered(self, explanation: Explanation) -> Explanation:
        """Add the read timeout and the delivery in each scenario to an explanation."""
        here, server = Hop(self.nginx, explanation.route), explanation.route.server
        assert server is not None

        def in_force(name: str) -> Effective:
            return explanation.settings.get(name) or here.effective(name)

        way = delivery_path(here, in_force)
        reach = self._clients.get(server, ())
        if (way, reach) not in self._deliveries:
            self._deliveries[way, reach] = [
                way.deliver(Scenario(client, framing, accel, encoding))
                for client in reach
                for framing in FRAMINGS
                for accel in ACCEL_BUFFERINGS
                for encoding in ACCEPT_ENCODINGS
            ]
        limits = (
            parse_time(in_force(f"{here.handler.family}_read_timeout").text),
            idle_timeout_s(server, self.version),
        )
        timeout = min((limit for limit in limits if limit is not None), default=None)
        return replace(explanation, read_timeout_s=timeout, deliveries=self._deliveries[way, reach])


def _by_explainer(
    places: Sequence[tuple[Explainer, ProxiedLocation]],
) -> Iterable[tuple[Explainer, list[ProxiedLocation]]]:
    found: dict[Explainer, list[ProxiedLocation]] = {}
    for explainer, place in places:
        found.setdefault(explainer, []).append(place)
    return found.items()


@remembered
def _defaults(family: str | None, version: Version) -> dict[str, Effective]:
    """The default settings."""
    found: dict[str, Effective] = {}
    for name in _names(family):
        default = table()[name].default(version, in_stream=False)
        found[name] = Effective(name, () if default is None else (default,), "default")
    return found


@cache
def _names(family: str | None) -> list[str]:
    """The directives of the table that apply to a location with this handler."""
    others = tuple(f"{one}_" for one in FAMILIES if one != family)
    return [
        name
        for name, entry in table().items()
        if entry.contexts & {"http", "server", "location"}
        and entry.merge in ("nearest", "rows")
        and not name.startswith(others)
    ]
