"""Evidence for a stream in a location: its path, comments, upstream, and directives."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache

from msgspec import Struct
from msgspec.structs import replace

from nginx_stream_lint.nginx.directives import BUFFERING_FAMILIES
from nginx_stream_lint.nginx.levels import Handler, Level
from nginx_stream_lint.nginx.location_match import LocationPattern, match_of
from nginx_stream_lint.nginx.values import parse_time
from nginx_stream_lint.streams.catalogue import (
    App,
    Endpoint,
    app_by_word,
    websockets_below,
)
from nginx_stream_lint.streams.comments import is_of_others
from nginx_stream_lint.streams.endpoint_names import (
    EVERYTHING,
    candidates,
    endpoints_named_by,
    is_general,
)
from nginx_stream_lint.streams.evidence_words import evidence_words
from nginx_stream_lint.streams.stream import Kind, Stream
from nginx_stream_lint.streams.upstreams import Upstream, Upstreams
from nginx_stream_lint.streams.word_classes import normalized, normalized_pattern
from nginx_stream_lint.util.remembering import latest_remembered

_ENOUGH = 2
_LONG_S = 300.0
# A timeout below nginx's default means that no long response is expected.
_BRIEF_S = 60.0
_CHOICE = re.compile(r"\(([^()]*\|[^()]*)\)")
# The kinds by which an app's name is described; the first that it has is used.
_STRONGEST: tuple[Kind, ...] = ("sse", "chunked", "grpc", "long-poll", "websocket")
_SWITCHES = tuple(f"{family}_buffering" for family in BUFFERING_FAMILIES)
_HEADERS = ("add_header", "proxy_set_header", "proxy_pass_header")
_OFF = ("chunked_transfer_encoding", "gzip", "proxy_cache")
_TIMEOUTS = tuple(f"{family}_read_timeout" for family in (*BUFFERING_FAMILIES, "grpc"))
# The directives that are evidence at their level, and those that also are for inner levels.
_FOR_ALL = frozenset((*_TIMEOUTS, *_HEADERS))
_LARGE = tuple(f"{family}_request_buffering" for family in BUFFERING_FAMILIES)
_RELEVANT_NAMES = frozenset(("upgrade", "connection", "cache-control", "last-event-id"))
_RELEVANT_WORDS = frozenset(("x-accel-buffering", "text/event-stream"))
_RELEVANT = _FOR_ALL.union(_SWITCHES, _OFF, _LARGE, ("limit_req",))

# If this many places include a file, it is a habit: not all of them need its directives.
_HABIT = 5
_DEEP = 3  # segments; no folder of the catalogue's endpoints has more

# Names of directives with their arguments, whether they are written (no default), and whether they
# are in a file that is included out of habit.
_Rows = tuple[tuple[str, tuple[str, ...], bool, bool], ...]


class Clue(Struct, frozen=True, eq=False):
    """One piece of evidence for a stream: `points`, the `kind` of stream, and why.

    `word` is the matched word, if any: the same word in two places is one clue. `heartbeat_s` and
    `is_endless` are known properties of the streams of the named app, or of all streams with this
    word. `is_certain`: the app with these streams certainly gets the requests. Equal clues are
    usually one object, so results based on them are computed once.
    """

    points: int
    kind: Kind | None
    because: str
    word: str = ""
    heartbeat_s: float | None = None
    is_endless: bool = False
    is_certain: bool = False


_clue = latest_remembered(4096)(Clue)

# The app sends files as fast as the player reads them: only the player pauses.
_OF_MEDIA = Clue(0, "chunked", "", heartbeat_s=10.0)


class PathEvidence(Struct, frozen=True, eq=False):
    """Evidence in a location's pattern alone.

    `at_once`: it is a short request with an immediate response; `is_file`: it is the path of a
    file; `is_general`: it is a whole API. `called` are the word lists with a match, `talk` the
    clues of words for conversations (they do not count if the upstream serves pages), `app` is the
    app whose name it contains, and `endpoints` are those that it may name.
    """

    at_once: bool
    is_file: bool
    is_general: bool
    called: frozenset[str]
    clues: tuple[Clue, ...]
    talk: tuple[Clue, ...]
    app: App | None
    endpoints: Sequence[Endpoint]

    @property
    def says_site(self) -> bool:
        """Whether the path is that of a site's administration, or of a page about its API."""
        return "site" in self.called

    @property
    def says_websocket(self) -> bool:
        """Whether the path names WebSockets."""
        return any(one.kind == "websocket" and one.points >= _ENOUGH for one in self.clues)


@latest_remembered(4096)
def _path(modifier: str, pattern: str) -> PathEvidence:
    saying = 'its path says "{word}"'
    segments = re.findall(r"[a-z0-9_-]+", pattern.lower())
    return PathEvidence(
        responds_at_once(pattern),
        _has_word("files", pattern),
        is_general(pattern),
        frozenset(where for where in ("no_sockets", "media", "site") if _has_word(where, pattern)),
        tuple(match_words("path", [(pattern, saying)])),
        tuple(match_words("talk", [(pattern, saying)])),
        next((app for app in map(app_by_word, segments) if app is not None), None),
        candidates(LocationPattern(modifier, pattern)),
    )


class StreamCandidate(Struct, eq=False):
    """A proxied level with its pattern, the evidence in that, its upstream, and its comments.

    `off_is_usual`: most places of its server turn buffering off individually. `sockets_elsewhere`:
    a narrower place is for WebSockets, so a catch-all passes Upgrade out of habit. `is_of_site`:
    other places pass the pages of a site to the same upstream.
    """

    level: Level
    match: LocationPattern
    path: PathEvidence
    behind: Upstream
    comments: Sequence[str]
    off_is_usual: bool = False
    sockets_elsewhere: bool = False
    is_of_site: bool = False

    @property
    def is_catch_all(self) -> bool:
        """Whether it is a catch-all, for requests that no other location handles."""
        return self.match.pattern in EVERYTHING

    @property
    def is_catch_all_or_fallback(self) -> bool:
        """Whether it is a catch-all location, itself or as a fallback."""
        return self.is_catch_all or self.match.modifier == "@"

    @property
    def is_general(self) -> bool:
        """Whether its path covers a whole API."""
        if not self.path.is_general:
            return False
        return self.level.kind == "location" and self.match.modifier != "@"


def candidate_of(level: Level, handler: Handler, upstreams: Upstreams) -> StreamCandidate:
    """Return the candidate for a level with a handler, before its neighbours are considered."""
    match = match_of(level)
    path = _path(match.modifier, normalized_pattern(match.pattern))
    behind = upstreams.behind(level, handler)
    return StreamCandidate(level, match, path, behind, upstreams.comments.of(level))


def switches_off(place: StreamCandidate) -> bool:
    """Whether a place itself turns the buffering of its handler off."""
    handler = place.level.own_handler
    rows = place.level.rows.get(f"{handler.family}_buffering") if handler is not None else None
    return rows is not None and any(row.args[:1] == ("off",) for row in rows)


def streams_of_candidate(
    place: StreamCandidate,
    endpoints: Sequence[Endpoint] = (),
    at_home: bool = False,
    around: Iterable[Clue] = (),
) -> tuple[Stream, ...]:
    """Return the streams of a candidate, strongest first; empty without evidence.

    `endpoints` are the catalogued ones that end here: those are known. Other evidence makes a
    stream likely, together with the evidence in its surroundings (`around`). `at_home`: this
    upstream has catalogued endpoints in other locations, at their usual paths.
    """
    clues = _clues(place, tuple(endpoints), at_home)
    if around:
        told = {clue.word for clue in clues}
        clues = (*clues, *(clue for clue in around if clue.word not in told))
    if not endpoints and not clues:
        return ()
    return _streams(tuple(endpoints), clues)


def streams_at(path: str) -> tuple[Stream, ...]:
    """The streams that a path alone suggests: catalogued endpoints, otherwise by its words."""
    return _streams_at(normalized(path))


@latest_remembered(256)
def _streams_at(path: str) -> tuple[Stream, ...]:
    """The streams that a normalized path suggests."""
    said = _path("=", path)
    endpoints = endpoints_named_by(LocationPattern("=", path), said.endpoints)
    if endpoints:
        return tuple(map(_known, endpoints))
    clues = [clue for clue in (*said.clues, *said.talk) if clue.kind is not None]
    if said.at_once or not clues:
        return ()
    # A path with "ws" is for WebSockets, whatever else it contains.
    best = max(clues, key=lambda clue: (clue.points, clue.kind == "websocket"))
    return (Stream(best.kind or "sse", "likely", best.because),)


def streams_of_path(
    path: str, location: Level, find: Callable[[], Sequence[Stream]]
) -> Sequence[Stream]:
    """The streams that a path in a location suggests; without evidence, those of the location.

    `find` returns the latter. A word that is also in the location's own path was evidence for them
    already. If other evidence outweighed it there, as in a location made for WebSockets, it does so
    here.
    """
    said = streams_at(path)
    if not said or said[0].because not in _reasons_in_pattern(location):
        return said or find()
    streams = find()
    kinds = {one.kind for one in streams if one.confidence != "possible"}
    return streams if kinds and said[0].kind not in kinds else said


def _reasons_in_pattern(location: Level) -> frozenset[str]:
    """The evidence in a location's own path, in words."""
    match = match_of(location.nearest("location") or location)
    return _reasons(match.modifier, normalized_pattern(match.pattern))


@latest_remembered(256)
def _reasons(modifier: str, pattern: str) -> frozenset[str]:
    """The evidence in a normalized pattern, in words."""
    own = _path(modifier, pattern)
    return frozenset(clue.because for clue in (*own.clues, *own.talk))


def stream_of_url(streams: Sequence[Stream], target: str, location: Level) -> Stream | None:
    """The stream of a URL among those of its location: of the kind that its path suggests."""
    suggested = streams_of_path(target.partition("?")[0], location, lambda: streams)
    if not suggested:
        return None
    kind = suggested[0].kind
    return next((one for one in streams if one.kind == kind), suggested[0])


@cache
def _known(endpoint: Endpoint) -> Stream:
    return replace(endpoint.stream, confidence="known", path=endpoint.path)


@latest_remembered(4096)
def _streams(endpoints: tuple[Endpoint, ...], clues: tuple[Clue, ...]) -> tuple[Stream, ...]:
    """Combine endpoints and clues into streams."""
    found = list(map(_known, endpoints))
    websocket = [clue for clue in clues if clue.kind == "websocket"]
    others = [clue for clue in clues if clue.kind != "websocket"]
    if websocket:
        # Long timeouts and the like beside Upgrade are for the WebSockets.
        others = [clue for clue in others if clue.kind is not None or clue.points >= _ENOUGH]
    for group, is_websocket in ((others, False), (websocket, True)):
        known = [stream for stream in found if (stream.kind == "websocket") == is_websocket]
        if known or _points(group) < _ENOUGH:
            continue
        group.sort(key=lambda clue: -clue.points)
        kind = next((clue.kind for clue in group if clue.kind is not None), None)
        reasons = list(dict.fromkeys(clue.because for clue in group if clue.because))
        because = _joined(reasons[:2])
        heartbeats = [clue.heartbeat_s for clue in group if clue.heartbeat_s and clue.kind == kind]
        found.append(
            Stream(
                kind or "chunked",
                "known" if any(clue.is_certain for clue in group) else "likely",
                because,
                heartbeat_s=max(heartbeats, default=None),
                is_endless=any(clue.is_endless and clue.kind == kind for clue in group),
                kind_is_open=kind is None,
            )
        )
    return tuple(found)


def _joined(reasons: Sequence[str]) -> str:
    """One or two reasons as one clause: `its path says "a" and "b"`."""
    if len(reasons) == 2:
        head, says, word = reasons[1].partition(" says ")
        if says and reasons[0].startswith(head + says):
            return f"{reasons[0]} and {word}"
    return " and ".join(reasons)


def _points(clues: Sequence[Clue]) -> int:
    """The sum of the points of clues.

    Weak clues that suggest no kind (a long timeout, kept connections) lose a point together: two of
    them are often set for other reasons.
    """
    small = [clue for clue in clues if clue.kind is None and clue.points == 1]
    return sum(clue.points for clue in clues) - (1 if len(small) > 1 else 0)


def match_words(where: str, texts: Iterable[tuple[str, str]]) -> Iterator[Clue]:
    """A clue for each evidence word in texts, at its first occurrence.

    `where` is the list of `evidence.yaml`. Each text comes with a phrase to describe it, with
    {text} and {word} as placeholders.
    """
    seen: set[str] = set()
    for text, saying in texts:
        for clue in _matches(where, normalized(text)):
            if clue.word not in seen:
                seen.add(clue.word)
                because = saying.replace("{text}", text).replace("{word}", clue.because)
                yield _clue(
                    clue.points, clue.kind, because, clue.word, clue.heartbeat_s, clue.is_endless
                )


@latest_remembered(4096)
def _matches(where: str, text: str) -> tuple[Clue, ...]:
    found = ((word, word.pattern.search(text)) for word in evidence_words()[where])
    return tuple(
        Clue(
            word.points,
            word.kind,
            text[match.start() : match.end()],
            match[0].lower(),
            word.heartbeat_s,
            word.is_endless,
        )
        for word, match in found
        if match
    )


def responds_at_once(pattern: str) -> bool:
    """Whether a path has short responses for any app, such as a health check.

    The last word decides: true for `/sse/health`, false for `/health/sse`. All alternatives must
    have short responses: false for `^/(api|openapi.json)`.
    """
    pattern = _CHOICE.sub(lambda choice: f"({_if_all_at_once(choice[1])})", pattern)
    return _last("never", pattern) > _last("path", pattern)


@latest_remembered(4096)
def _if_all_at_once(choice: str) -> str:
    """A choice if each of its alternatives has an immediate response; otherwise nothing."""
    return "" if any(_last("never", one) < 0 for one in choice.split("|")) else choice


def _last(where: str, pattern: str) -> int:
    """The offset of the last sufficient evidence word in a path; or -1."""
    return max(
        (
            found.start()
            for word in evidence_words()[where]
            if word.points != 1
            for found in word.pattern.finditer(pattern)
        ),
        default=-1,
    )


def _clues(
    place: StreamCandidate, endpoints: tuple[Endpoint, ...], at_home: bool
) -> tuple[Clue, ...]:
    path, behind = place.path, place.behind
    if path.at_once:
        return ()
    directives = _directive_clues(place)
    if _is_called("storage", place):
        # The recipes of object stores turn chunked encoding off, too.
        directives = tuple(clue for clue in directives if clue.kind != "sse")
    if path.is_file:
        return directives
    names = path.clues
    if place.is_of_site:
        names = tuple(clue for clue in names if clue.word.strip("^/") != "v1")
    if path.talk and not serves_pages(behind):
        names += path.talk
    if _is_made_for_sockets(place) and not any(_is_for_responses(clue) for clue in directives):
        names = tuple(clue for clue in names if not _has_word("either", clue.word))
    comments: tuple[Clue, ...] = ()
    if place.comments:
        saying = 'a comment says "{word}"'
        own = [(one, saying) for one in place.comments if not is_of_others(one)]
        comments = tuple(match_words("comment", own))
    upstream = _upstream_clues(place, endpoints, at_home)
    if _is_for_sockets(place, endpoints):
        # Buffering is also turned off for WebSockets, and other names have a purpose of their own.
        directives = tuple(clue for clue in directives if clue.kind is not None)
        names = tuple(clue for clue in names if clue.kind == "websocket")
        upstream = tuple(clue for clue in upstream if clue.kind == "websocket")
    found = directives + names + comments + upstream + _below(place, directives)
    return found + _longest_silences(place) if found else ()


def _longest_silences(place: StreamCandidate) -> tuple[Clue, ...]:
    """Clues about the longest silence of the apps behind a location, beside other evidence."""
    app = place.behind.app
    heartbeat = None if app is None else _heartbeat(app, "websocket")
    found = (_clue(0, "websocket", "", "", heartbeat),) if heartbeat is not None else ()
    return (*found, _OF_MEDIA) if _serves_media(place) else found


def _below(place: StreamCandidate, directives: Iterable[Clue]) -> tuple[Clue, ...]:
    """A clue if one app's WebSockets are below a location that passes Upgrade on."""
    if place.is_general or place.match.is_regex or place.match.pattern.count("/") > _DEEP:
        return ()
    if all(clue.kind != "websocket" for clue in directives) or place.is_catch_all_or_fallback:
        return ()
    found = websockets_below(place.match.pattern)
    times = [one.stream.heartbeat_s for one in found]
    if not found or None in times:
        return ()
    heartbeat = max(time for time in times if time is not None)
    return (
        _clue(1, "websocket", f"{found[0].app} has a WebSocket at {found[0].path}", "", heartbeat),
    )


def _is_for_sockets(place: StreamCandidate, endpoints: tuple[Endpoint, ...]) -> bool:
    """Whether a location is for WebSockets: by its path, or by an app that has only WebSockets.

    An app that only the upstream's name identifies may have other endpoints than the catalogue.
    """
    names = {clue.kind for clue in place.path.clues if clue.points >= _ENOUGH}
    if names:
        return names == {"websocket"}
    app = place.path.app
    named = endpoints or (() if app is None else app.endpoints)
    return bool(named) and all(one.stream.kind == "websocket" for one in named)


def _is_made_for_sockets(place: StreamCandidate) -> bool:
    """Whether a location itself tells the app that each request upgrades, not only some.

    Recipes for whole sites do that, too, out of habit.
    """
    if place.is_general or place.is_catch_all_or_fallback:
        return False
    headers = {
        tuple(map(str.lower, row.args))
        for row in place.level.rows.get("proxy_set_header", ())
        if row.file.uses < _HABIT
    }
    return headers.issuperset((("upgrade", "$http_upgrade"), ("connection", "upgrade")))


def _is_for_responses(clue: Clue) -> bool:
    """Whether a directive is evidence for a response that streams."""
    return clue.kind != "websocket" and clue.points >= _ENOUGH


def _has_no_sockets(place: StreamCandidate) -> bool:
    """Whether a location's upstream is named after an app without WebSockets."""
    return _is_called("no_sockets", place)


def _serves_media(place: StreamCandidate) -> bool:
    """Whether a location's upstream is named after an app that serves music or films."""
    return _is_called("media", place)


def _is_called(where: str, place: StreamCandidate) -> bool:
    handler = place.level.own_handler
    written = () if handler is None else (handler.target,)
    names = (*place.behind.names, *written, place.behind.path)
    return where in place.path.called or _is_any_called(where, names)


@latest_remembered(4096)
def _is_any_called(where: str, names: tuple[str, ...]) -> bool:
    return any(_has_word(where, normalized(name)) for name in names)


@latest_remembered(4096)
def _has_word(where: str, text: str) -> bool:
    return any(word.pattern.search(text) for word in evidence_words()[where])


@latest_remembered(4096)
def serves_pages(behind: Upstream) -> bool:
    """Whether a host is named after pages."""
    return any(
        word.pattern.search(host) for word in evidence_words()["pages"] for host in behind.names
    )


def _upstream_clues(
    place: StreamCandidate, endpoints: tuple[Endpoint, ...], at_home: bool
) -> tuple[Clue, ...]:
    """Evidence in the names of a location's upstream."""
    behind = place.behind
    app, because = behind.app, "its upstream looks like {}"
    if behind.is_deployed:
        because = "its upstream runs the image of {}"
    if app is None:
        app, because = place.path.app, "its path is named after {}"
    found: tuple[Clue, ...] = ()
    if at_home or app is not None:
        moved = "rewrite" in place.level.rows or behind.path not in ("", place.match.pattern)
        # If other locations handle an app's own paths and it gets this path unchanged, it has no
        # stream here.
        elsewhere = at_home and not moved and not endpoints
        kinds: set[Kind] = set()
        if app is not None:
            onto = "" if "rewrite" in place.level.rows or "$" in behind.path else behind.path
            kinds = _kinds_here(place.match, app, endpoints, elsewhere, moved, onto)
            if kinds:
                kind = next(kind for kind in _STRONGEST if kind in kinds)
                # WebSockets somewhere in an app are weak evidence for this place.
                points = 1 if kind == "websocket" else 2
                said = because.format(app.name)
                is_certain = kind != "websocket" and _is_whole_app(place)
                found = (
                    _clue(points, kind, said, "", _heartbeat(app, kind), is_certain=is_certain),
                )
        if elsewhere or (behind.app is not None and not kinds):
            return found
    return found + _behind_clues(behind) if behind.names or behind.comments else found


def _is_whole_app(place: StreamCandidate) -> bool:
    """Whether a location passes the paths below it to an app that the deployment identifies.

    It replaces its own path by `/`, so that all paths of the app are below it.
    """
    match, behind = place.match, place.behind
    is_prefix = match.modifier in ("", "^~") and match.pattern.endswith("/")
    return (
        behind.is_deployed
        and is_prefix
        and behind.path == "/"
        and "rewrite" not in place.level.rows
    )


@latest_remembered(4096)
def _behind_clues(behind: Upstream) -> tuple[Clue, ...]:
    """Evidence in the upstream's host names and in the comments about them."""
    called = 'its upstream "{text}" says "{word}"'
    saying = 'a comment about its upstream says "{word}"'
    return (
        *match_words("upstream", [(host, called) for host in behind.names]),
        *match_words("comment", [(one, saying) for one in behind.comments]),
    )


def _heartbeat(app: App, kind: Kind) -> float | None:
    """The longest silence in seconds of an app's streams of a kind; None if one is unlimited."""
    times = [one.stream.heartbeat_s for one in app.endpoints if one.stream.kind == kind]
    known = [time for time in times if time is not None]
    return max(known) if known and len(known) == len(times) else None


def _kinds_here(
    match: LocationPattern,
    app: App,
    endpoints: Sequence[Endpoint],
    elsewhere: bool,
    moved: bool,
    onto: str,
) -> set[Kind]:
    """The kinds of streams of an app that can end in a location.

    A catch-all only gets the `endpoints` that no other location of the server handles, and so do an
    exact path, an expression, and one of the app's own paths. An app below another path may have
    any of them there, because it is unknown how the path is rewritten; or those that begin with
    `onto`, by which nginx replaces the location's path.
    """
    first = match.pattern.lstrip("/").partition("/")[0]
    own = any(endpoint.path.startswith(f"/{first}/") for endpoint in app.endpoints)
    as_it_is = match.modifier == "=" or (match.is_regex and not moved)
    here = elsewhere or match.pattern in EVERYTHING or as_it_is or own
    return {
        endpoint.stream.kind
        for endpoint in (endpoints if here else app.endpoints)
        if here or endpoint.path.startswith((onto.rstrip("/"), "/**"))
    }


def _directive_clues(place: StreamCandidate) -> tuple[Clue, ...]:
    """Evidence in the directives of the location.

    Directives of the whole server only count for locations without a specific purpose.
    """
    location = place.level
    outer: _Rows = ()
    if place.is_general or place.is_catch_all:
        server = location.nearest("server")
        if server is not None:
            outer = _rows(server, _FOR_ALL)
    included = [one.args[0] for one in location.block if one.name == "include" and one.args]
    own = _rows(location, _RELEVANT)
    is_usual = place.sockets_elsewhere or (_passes_upgrade(own, outer) and _has_no_sockets(place))
    return _said_by_directives(
        own,
        outer,
        _held_around(location),
        tuple(included),
        place.behind.keepalive,
        place.off_is_usual,
        is_usual,
    )


def _passes_upgrade(*rows: _Rows) -> bool:
    """Whether rows pass on the client's Upgrade."""
    return any(
        name == "proxy_set_header" and [arg.lower() for arg in args[:1]] == ["upgrade"]
        for some in rows
        for name, args, *_ in some
    )


def _rows(level: Level, names: frozenset[str]) -> _Rows:
    """The rows of some directives at a level. Of headers without evidence, only one is left."""
    if names.isdisjoint(level.rows):
        return ()
    found: dict[tuple[object, ...], tuple[str, tuple[str, ...], bool, bool]] = {}
    for name, rows in level.rows.items():
        if name not in names:
            continue
        for at, row in enumerate(rows):
            tells = name not in _HEADERS or _is_read(row.args)
            is_written = row.file.reading.author is None or row.is_written
            is_habit = row.file.uses >= _HABIT
            # It is left because it keeps the headers of outer levels from being inherited.
            key = (name, at) if tells else (name, is_written, is_habit, "")
            found[key] = name, row.args if tells else (), is_written, is_habit
    return tuple(found.values())


def _is_read(header: tuple[str, ...]) -> bool:
    """Whether `_header_clues` reads a header. Most are others, with many different values."""
    lower = [arg.lower() for arg in header]
    return lower[:1] != [] and (
        lower[0] in _RELEVANT_NAMES or not _RELEVANT_WORDS.isdisjoint(lower)
    )


def _held_around(location: Level) -> str:
    """Describe that the outer location turns the buffering of this location's handler off.

    Empty if a whole server or more turns it off, because that often has other reasons.
    """
    handler = location.own_handler or location.handler
    if handler is None:
        return ""
    name = f"{handler.family}_buffering"
    level: Level | None = location
    while level is not None and name not in level.rows:
        level = level.parent
    if level is None or level is location or level.kind != "location":
        return ""
    is_off = level.rows[name][0].args[:1] == ("off",)
    return f"{name} off is set in the enclosing location" if is_off else ""


@latest_remembered(4096)
def _said_by_directives(
    own: _Rows,
    outer: _Rows,
    held_around: str,
    included: tuple[str, ...],
    keepalive: bool,
    off_is_usual: bool,
    upgrade_is_usual: bool,
) -> tuple[Clue, ...]:
    """Evidence in directives of a location, and of its server if they apply to it.

    `upgrade_is_usual`: Upgrade is passed on out of habit. The other arguments are as in
    `StreamCandidate`, and in `_directive_clues`.
    """

    def rows(name: str) -> list[tuple[str, ...]]:
        found = [args for one, args, written, _ in own if one == name and written]
        return found or [args for one, args, *_ in outer if one == name]

    habits = {(name, args) for name, args, _, is_habit in (*own, *outer) if is_habit}

    found: list[Clue] = []
    # Request and response buffering are turned off together for large files, too, as in a registry
    # or an object store.
    is_both = any(name in _LARGE and args[:1] == ("off",) for name, args, *_ in own)
    for name in () if off_is_usual else _SWITCHES:
        for one, args, written, _ in own:
            if one == name and written and args[:1] == ("off",):
                found.append(_clue(1 if is_both else 2, None, f"it sets {name} off", ""))
    if held_around:
        found.append(_clue(2, None, held_around, ""))
    is_habit = upgrade_is_usual
    for name in _TIMEOUTS:
        for args in rows(name):
            time = parse_time(args[0]) if args else None
            if time is None:
                continue
            is_habit = is_habit or time < _BRIEF_S
            if time >= _LONG_S:
                # An ordinary call ends at a deadline that the client sets.
                points = 2 if name.startswith("grpc") else 1
                found.append(_clue(points, None, f"it has {name} {args[0]}", ""))
    for name in _HEADERS:
        set_here = rows(name)
        habitual = [is_habit or (name, args) in habits for args in set_here]
        found += _header_clues(name, set_here, habitual, keepalive)
    for name in _OFF:
        # Recipes for server-sent events turn chunked encoding off, and few others do.
        kind: Kind | None = "sse" if name == "chunked_transfer_encoding" else None
        if off_is_usual and kind is None:
            continue
        for one, args, *_ in own:
            if one == name and args[:1] == ("off",):
                found.append(_clue(1, kind, f"it sets {name} off", ""))
    limits = [arg for name, args, *_ in own if name == "limit_req" for arg in args]
    zones = [arg for arg in limits if arg.startswith("zone=") and not responds_at_once(arg)]
    found += match_words(
        "upstream",
        [
            *((name, 'it includes "{text}"') for name in included),
            *((zone, 'it has the limit "{text}"') for zone in zones),
        ],
    )
    return tuple(found)


def _header_clues(
    name: str, rows: Sequence[tuple[str, ...]], habitual: Sequence[bool], keepalive: bool
) -> Iterator[Clue]:
    """Evidence in `add_header`, `proxy_set_header` and `proxy_pass_header`.

    `habitual`: for each row, whether it is a habit, such as from a file that many places include.
    """
    lower = [[arg.lower() for arg in row] for row in rows]
    connects = any(args[0] == "connection" and args[1:] != [""] for args in lower if args)
    for args, row, is_habit in zip(lower, rows, habitual, strict=True):
        if "x-accel-buffering" in args:
            yield _clue(2, None, "it sets X-Accel-Buffering", "")
        if args[:1] == ["upgrade"] and name == "proxy_set_header":
            # Without Connection beside it, it is as often a leftover as a mistake.
            points = 2 if connects and not is_habit else 1
            yield _clue(points, "websocket", "it forwards Upgrade", "")
        # An empty Connection is for the upstream's kept connections, if there are any.
        if args[:2] == ["connection", ""] and not keepalive:
            yield _clue(1, None, f"it sets {row[0]}", "")
        if args[:2] == ["cache-control", "no-cache"]:
            yield _clue(1, None, f"it sets {row[0]}", "")
        if "text/event-stream" in args:
            yield _clue(2, "sse", "it mentions text/event-stream", "")
        if args[:1] == ["last-event-id"]:
            yield _clue(2, "sse", f"it forwards {row[0]}", "")
