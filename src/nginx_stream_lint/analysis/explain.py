"""Where a URL lands, what is in force there and from where, and whether a stream gets through."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache, cached_property

from msgspec import Struct
from msgspec.structs import replace

from nginx_stream_lint.analysis.lint import (
    Options,
    VerdictCaches,
    judge_places,
    read,
    survey,
    with_fixes,
)
from nginx_stream_lint.analysis.versions import by_version
from nginx_stream_lint.analysis.ways import Passed, Ways, delivery_path, passed
from nginx_stream_lint.analysis.websockets import deliveries_of_websocket
from nginx_stream_lint.config import Configuration, Note, Problem
from nginx_stream_lint.config.deployed import Deployed
from nginx_stream_lint.files.workspace import Workspace
from nginx_stream_lint.nginx.delivery import (
    ACCEL_BUFFERINGS,
    ACCEPT_ENCODINGS,
    FRAMINGS,
    Delivery,
    Scenario,
)
from nginx_stream_lint.nginx.delivery import Path as Way
from nginx_stream_lint.nginx.directives import FAMILIES, table
from nginx_stream_lint.nginx.documents import Documents
from nginx_stream_lint.nginx.levels import Effective, Handler, Level, build
from nginx_stream_lint.nginx.listeners import Client, clients, idle_timeout_s
from nginx_stream_lint.nginx.request import Request, parse_url
from nginx_stream_lint.nginx.request_body import client_silence_s
from nginx_stream_lint.nginx.route import Route, route
from nginx_stream_lint.nginx.validity import refusals
from nginx_stream_lint.nginx.values import seconds
from nginx_stream_lint.nginx.versions import OLD, Version
from nginx_stream_lint.rules.finding import Finding
from nginx_stream_lint.streams.declarations import Declaration, declaration
from nginx_stream_lint.streams.evidence import stream_of_url
from nginx_stream_lint.streams.find import Asked, Served
from nginx_stream_lint.streams.stream import ASKED, Stream
from nginx_stream_lint.streams.upstreams import upstreams_of
from nginx_stream_lint.util.budget import Budget, Limits, spending
from nginx_stream_lint.util.problems import Unreadable
from nginx_stream_lint.util.remembering import remembered


class Explanation(Struct, frozen=True):
    """What is to say about one URL.

    `settings` are the directives that matter where it lands, `read_timeout_s` the longest silence
    there in seconds (of the app, of a client that still sends, and on HTTP/3 connections), and
    `deliveries` every scenario for the clients that the server lets in: none where nobody passes
    the request on, and only HTTP/1.1 for a WebSocket, which nginx has over nothing else. `tiers`
    are the servers of this configuration that it passes, nearest the app first: the last one is
    where the URL lands.
    """

    url: str
    request: Request
    route: Route
    settings: dict[str, Effective]
    read_timeout_s: float | None
    deliveries: list[Delivery]
    tiers: Sequence[Passed] = ()


class Unexplained(Struct, frozen=True):
    """A URL that no server takes, or that is none, and why."""

    url: str
    why: str


class _Asked(Struct, frozen=True):
    """A question about a place: `target` is a path with its query that is taken to stream there."""

    server: Level
    level: Level
    target: str | None

    @property
    def declared(self) -> list[Declaration]:
        if self.target is None:
            return []
        return [declaration(self.target, ASKED)]


class NoServer(Unreadable):
    """A configuration without a server that could be asked; `problems` are all that say why."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(problems[-1])
        self.problems = tuple(problems)


def explain(
    workspace: Workspace,
    conf: str,
    urls: Sequence[str],
    options: Options | None = None,
    *,
    method: str = "GET",
    documents: str | None = None,
) -> list[Explanation]:
    """Say where URLs land in a configuration, one after the other.

    `conf` is the main file, or whatever `lint` reads; `documents` a folder of the workspace that
    stands for every `root`. Raises `BadUrl`, and `NoServer` where there is no server to ask.

    >>> from nginx_stream_lint import Workspace, explain
    >>> text = "server { location /api/ { proxy_pass http://127.0.0.1:8000; } }"
    >>> [one] = explain(Workspace.in_memory({"nginx.conf": text}), "nginx.conf", ["/api/chat"])
    >>> one.route.location.label
    'location /api/'
    >>> one.read_timeout_s
    60.0
    """
    requests = [(url, parse_url(url, method.upper())) for url in urls]
    explainer = explainer_of(workspace, conf, options or Options(), documents)
    return explainer.explain_all(requests)


def explainer_of(
    workspace: Workspace,
    conf: str,
    options: Options,
    documents: str | None = None,
    streams: bool = False,
) -> Explainer:
    """What answers questions about a configuration; of several the first one that has a server.

    Raises `NoServer`.
    """
    files = None if documents is None else Documents(workspace, documents)
    with spending(workspace.budget):
        found = read(workspace, [conf], options.around)
        for one in found:
            if one.root is not None:
                explainer = Explainer(one, options, files, streams, workspace.budget)
                if explainer.servers:
                    return explainer
    problems = [problem for one in found for problem in one.problems]
    if not problems or any(one.root is not None for one in found):
        advice = "name a file with a server or location"
        problems.append(Problem(conf, 1, 1, "there is no server in it", advice))
    raise NoServer(problems)


class Explainer:
    """A configuration ready to be asked about many URLs.

    `files` are those behind every `root`. With `streams`, what is asked about is taken to stream.
    """

    def __init__(
        self,
        configuration: Configuration,
        options: Options,
        files: Documents | None = None,
        streams: bool = False,
        budget: Budget | None = None,
    ) -> None:
        # Of a tag that may be on either side of a change of defaults, the older one is shown.
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
        self._ways = Ways(http, self.version)
        self._streams = streams
        # The places that were asked about, and what streams there. New ones are looked into when
        # that is wanted, many at once, but none of them changes what is said of another.
        self._asked: dict[_Asked, None] = {}
        self._served: dict[_Asked, Served | None] = {}
        self._deliveries: dict[tuple[Way, tuple[Client, ...]], list[Delivery]] = {}
        self._caches: VerdictCaches = {}
        self._mistakes: list[Problem] | None = None
        self._settings: dict[tuple[Level, Handler | None], dict[str, Effective]] = {}

    @property
    def servers(self) -> Sequence[Level]:
        """The servers that requests may go to."""
        return list(self._clients)

    def explain(self, url: str, request: Request) -> Explanation:
        """What is to say about a request; `route.server` is None where no server takes it."""
        with spending(self.budget):
            return self._explain(url, request)

    def _explain(self, url: str, request: Request) -> Explanation:
        found = route(self.root, request, self.version, self._files)
        level = found.location
        if level is None or found.server is None:
            return Explanation(url, request, found, {}, None, [])
        explanation = Explanation(url, request, found, self._in_force(level, found), None, [])
        if found.handler is not None:
            explanation = self._with_tiers(
                self._delivered(explanation, found, level, found.handler)
            )
        new = (asked for asked in self._questions(explanation) if asked not in self._served)
        self._asked |= dict.fromkeys(new)
        return explanation

    def _with_tiers(self, one: Explanation) -> Explanation:
        """The explanation of a request that other servers here may pass on again."""
        ways, circles = self._ways.of(one.route)
        one.route.unknown.extend(circles)
        if ways == [[one.route]]:
            return replace(one, tiers=[passed(one.route, one.deliveries)])
        scenarios = [each.scenario for each in one.deliveries]
        deliveries, tiers = self._ways.delivered(ways, scenarios)
        timeouts = [
            seconds(each.level.effective(f"{each.handler.family}_read_timeout", self.version).text)
            for each in tiers
        ]
        limits = [limit for limit in (*timeouts, one.read_timeout_s) if limit is not None]
        timeout = min(limits, default=None)
        return replace(one, deliveries=deliveries, tiers=tiers, read_timeout_s=timeout)

    @property
    def deployed(self) -> Deployed | None:
        """The nginx of the deployment that reads this configuration."""
        return self._configuration.deployed

    def app_behind(self, one: Explanation) -> str | None:
        """The name of the app that the deployment runs behind a URL; None where it is not known."""
        level, handler, http = one.route.location, one.route.handler, self.root.first("http")
        if level is None or handler is None or http is None or self.deployed is None:
            return None
        behind = upstreams_of(http, self.deployed.app_of).behind(level, handler)
        return behind.app.name if behind.is_deployed and behind.app is not None else None

    @property
    def notes(self) -> list[Note]:
        """What had to be guessed while reading."""
        return self._configuration.notes

    @property
    def problems(self) -> list[Problem]:
        """What could not be read, and what nginx would refuse."""
        return list(dict.fromkeys([*self._problems, *self.budget.problems]))

    @cached_property
    def _problems(self) -> list[Problem]:
        with spending(self.budget):
            if self._configuration.guessed:  # nobody says that it is nginx's
                return self._declared_wrong()
            wrong = refusals(self.root, self._known_version)
            return [*self._configuration.problems, *wrong, *self._declared_wrong()]

    def _survey(self, asked: Asked) -> list[Served]:
        found, self._mistakes = survey(self._configuration, self.root, self._options, asked=asked)
        return found

    def _declared_wrong(self) -> list[Problem]:
        if self._mistakes is None:
            self._survey({})
        return self._mistakes or []

    def explain_all(self, requests: Iterable[tuple[str, Request]]) -> list[Explanation]:
        """What is to say about several URLs, in their order.

        Where the client goes on sending, the longest silence is also that of its body. A WebSocket
        has the deliveries of its handshake.
        """
        found = [self.explain(url, request) for url, request in requests]
        return [self._as_websocket(self._with_client_silence(one)) for one in found]

    def _as_websocket(self, one: Explanation) -> Explanation:
        if not one.deliveries or not self.is_websocket(one):
            return one
        with spending(self.budget):
            deliveries = deliveries_of_websocket(
                one.deliveries, self.root, one.request, self.version, self._files
            )
        tiers = [replace(tier, deliveries=deliveries) for tier in one.tiers]
        return replace(one, deliveries=deliveries, tiers=tiers)

    def is_websocket(self, one: Explanation) -> bool:
        """Whether a URL is thought to be that of a WebSocket."""
        with spending(self.budget):
            served = [self._answered(asked) for asked in self._questions(one)[:1]]
        streams = next((each.streams for each in served if each is not None), ())
        stream = stream_of_url(streams, one.request.target)
        return stream is not None and stream.kind == "websocket"

    def _with_client_silence(self, one: Explanation) -> Explanation:
        level = one.route.location
        stream = self.stream(one) if level is not None else None
        if level is None or one.read_timeout_s is None or stream is None:
            return one
        if not stream.client_streams:
            return one
        client = client_silence_s(lambda name: level.effective(name, self.version))
        limits = (one.read_timeout_s, client)
        return replace(one, read_timeout_s=min(limit for limit in limits if limit is not None))

    def stream(self, one: Explanation) -> Stream | None:
        """What the place where a URL lands is thought to serve."""
        with spending(self.budget):
            served = [self._answered(asked) for asked in self._questions(one)[:1]]
            return next((each.streams[0] for each in served if each is not None), None)

    def findings(self, one: Explanation) -> list[Finding]:
        """What the rules say of the place where a URL lands, and of those that it passes then."""
        with spending(self.budget):
            served = [self._answered(asked) for asked in self._questions(one)]
            places = [each for each in served if each is not None]
            judged = judge_places(places, self._options, self._caches)
            found = self._options.policy.applied(each.finding for each in judged)
            return with_fixes(found, judged, self._configuration.files)[0]

    def _questions(self, one: Explanation) -> list[_Asked]:
        """The places that a URL passes, the client's first, and what is taken to stream there."""
        found = one.route
        if found.server is None or found.location is None or found.handler is None:
            return []
        passed = [(found.server, found.location, one.request.target)]
        passed += [(tier.server, tier.level, tier.uri) for tier in one.tiers[-2::-1]]
        return [
            _Asked(server, level, target if self._streams else None)
            for server, level, target in passed
        ]

    def _answered(self, asked: _Asked) -> Served | None:
        """What streams in a place; all that was asked about by then is looked into at once."""
        if asked not in self._served:
            places: dict[Level, dict[Level, list[Declaration]]] = {}
            for each in self._asked:
                places.setdefault(each.server, {}).setdefault(each.level, []).extend(each.declared)
            self._served |= dict.fromkeys(self._asked)
            self._asked = {}
            for found in self._survey(places):
                target = None if found.asked is None else found.asked.text
                self._served[_Asked(found.server, found.level, target)] = found
        return self._served[asked]

    def _in_force(self, level: Level, found: Route) -> dict[str, Effective]:
        """What is in force where a request ends."""
        key = (level, found.handler)
        if key not in self._settings:
            family = found.handler.family if found.handler is not None else None
            # What nobody sets is the same default everywhere.
            settings = dict(_defaults(family, self.version))
            somewhere = {name for outer in level.outward() for name in outer.rows}
            for name in settings.keys() if level.uncertain else settings.keys() & somewhere:
                settings[name] = level.effective(name, self.version)
            self._settings[key] = settings
        return self._settings[key]

    def _delivered(
        self, one: Explanation, found: Route, level: Level, handler: Handler
    ) -> Explanation:
        """The explanation with the longest silence, and what happens in every scenario."""
        assert found.server is not None

        def in_force(name: str) -> Effective:
            return one.settings.get(name) or level.effective(name, self.version)

        way = delivery_path(found, in_force, self.version)
        reach = self._clients.get(found.server, ())
        if (way, reach) not in self._deliveries:
            self._deliveries[way, reach] = [
                way.deliver(Scenario(client, framing, accel, encoding))
                for client in reach
                for framing in FRAMINGS
                for accel in ACCEL_BUFFERINGS
                for encoding in ACCEPT_ENCODINGS
            ]
        limits = (
            seconds(in_force(f"{handler.family}_read_timeout").text),
            idle_timeout_s(found.server, self.version),
        )
        timeout = min((limit for limit in limits if limit is not None), default=None)
        return replace(one, read_timeout_s=timeout, deliveries=self._deliveries[way, reach])


@remembered
def _defaults(family: str | None, version: Version) -> dict[str, Effective]:
    """What is in force where nothing is set."""
    found: dict[str, Effective] = {}
    for name in _names(family):
        default = table()[name].default(version, in_stream=False)
        found[name] = Effective(name, () if default is None else (default,), "default")
    return found


@cache
def _names(family: str | None) -> list[str]:
    """The directives of the table that say something about a location with this handler."""
    others = tuple(f"{one}_" for one in FAMILIES if one != family)
    return [
        name
        for name, entry in table().items()
        if entry.contexts & {"http", "server", "location"}
        and entry.merge in ("nearest", "rows")
        and not name.startswith(others)
    ]
