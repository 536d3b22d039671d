"""The catalogue of apps and their known streaming endpoints.

An index tells quickly that a text names none of them, and then the catalogue is not loaded.
"""

import re
from collections.abc import Sequence
from functools import cache

from msgspec import Struct

from nginx_stream_lint.streams.evidence_words import RegexFinder
from nginx_stream_lint.streams.stream import Stream
from nginx_stream_lint.util.data import table
from nginx_stream_lint.util.remembering import latest_remembered

_WORD = re.compile(r"[a-z0-9]+")


class Endpoint(Struct, frozen=True):
    """A path on which an app is known to stream.

    `distinctive` is the shortest leading part of `path` that no other app has. In both, `*` is one
    segment and `**` any rest.
    """

    app: str
    path: str
    distinctive: str
    stream: Stream


class App(Struct, frozen=True):
    """An app, with the usual names of its upstreams.

    `shared`: many apps serve its endpoints, so one endpoint is no evidence of the others.
    """

    name: str
    names: frozenset[str]
    endpoints: tuple[Endpoint, ...]
    shared: bool


class CatalogueIndex(Struct, frozen=True):
    """Where to find apps and endpoints in the catalogue: their positions, in its order.

    `names` has the first app with each name. `segments` has the endpoints by all segments of their
    distinctive parts before the first `*`, `words` by the last word of these parts.
    """

    names: dict[str, int]
    segments: dict[str, tuple[int, ...]]
    words: dict[str, tuple[int, ...]]


@cache
def apps() -> tuple[App, ...]:
    """All known apps."""
    return table("catalogue", tuple[App, ...], read)


def read() -> tuple[App, ...]:
    """Read all apps from YAML."""
    from nginx_stream_lint.streams.catalogue_rows import read_apps

    return read_apps()


@cache
def index() -> CatalogueIndex:
    """The index of the catalogue."""
    return table("catalogue_index", CatalogueIndex, read_index)


def read_index() -> CatalogueIndex:
    """Make the index of the catalogue."""
    names: dict[str, int] = {}
    for rank, app in enumerate(apps()):
        for name in sorted(app.names):
            names.setdefault(name, rank)
    segments: dict[str, tuple[int, ...]] = {}
    last_words: dict[str, tuple[int, ...]] = {}
    for rank, endpoint in enumerate(every_endpoint()):
        plain, star, _ = endpoint.distinctive.partition("*")
        leading = plain.rpartition("/")[0] if star else plain
        segments[leading] = (*segments.get(leading, ()), rank)
        words = _WORD.findall(endpoint.distinctive.lower())
        if words and endpoint.distinctive.startswith("/"):
            last_words[words[-1]] = (*last_words.get(words[-1], ()), rank)
    return CatalogueIndex(names, segments, last_words)


@cache
def every_endpoint() -> tuple[Endpoint, ...]:
    """The endpoints of all apps."""
    return tuple(endpoint for app in apps() for endpoint in app.endpoints)


@cache
def app_by_name(name: str) -> App:
    """The app that messages call by this name."""
    return next(app for app in apps() if app.name == name)


@latest_remembered(4096)
def app_named_in(text: str) -> App | None:
    """The first app of the catalogue with one of its names in a host, a path or a file name."""
    found = index().names
    words = "-".join(_WORD.findall(text.lower()))
    rank = min((found[match[0]] for match in _any_name().finditer(words)), default=None)
    return None if rank is None else apps()[rank]


def app_by_word(word: str) -> App | None:
    """The first app of the catalogue with this upstream name."""
    rank = index().names.get(word.replace("_", "-"))
    return None if rank is None else apps()[rank]


@cache
def _any_name() -> RegexFinder:
    """The expression for all names of apps."""
    names = index().names
    longest_first = sorted(names, key=len, reverse=True)
    return RegexFinder(rf"(?<![a-z0-9])(?:{'|'.join(longest_first)})(?![a-z])", names.keys())


def endpoints_by_leading_segments(path: str) -> Sequence[Endpoint]:
    """The endpoints whose distinctive part may be at the start of a path."""
    segments = index().segments
    firsts, longest = _shape_of_segments()
    if _first_segment(path) not in firsts:
        return ()
    ranks: list[int] = []
    at = path.find("/", 1)
    while 0 < at <= longest:
        ranks += segments.get(path[:at], ())
        at = path.find("/", at + 1)
    ranks += segments.get(path, ())
    return [every_endpoint()[rank] for rank in sorted(ranks)] if ranks else ()


@cache
def _shape_of_segments() -> tuple[set[str], int]:
    """The first segments of the index, and the largest number of characters in a row of it."""
    segments = index().segments
    return set(map(_first_segment, segments)), max(map(len, segments))


def _first_segment(path: str) -> str:
    at = path.find("/", 1)
    return path if at < 0 else path[:at]


@latest_remembered(4096)
def websockets_below(path: str) -> Sequence[Endpoint]:
    """Return one app's WebSocket endpoints below a path, by their distinctive part."""
    below = f"{path.rstrip('/')}/"
    found = [
        one
        for one in every_endpoint()
        if one.stream.kind == "websocket"
        and one.path.startswith(below)
        and one.distinctive.startswith(below)
    ]
    return found if len({one.app for one in found}) == 1 else ()


def endpoints_by_words(pattern: str) -> Sequence[Endpoint]:
    """The endpoints whose distinctive part ends with a word of a regular expression."""
    ranks = index().words
    known = ranks.keys() & _WORD.findall(pattern.lower())
    if not known:
        return ()
    in_order = sorted(known, key=list(ranks).index)
    return [every_endpoint()[rank] for word in in_order for rank in ranks[word]]


@cache
def example_path(pattern: str) -> str:
    """Return a path that a catalogue pattern matches, to test locations with."""
    return pattern.replace("**", "x/y").replace("*", "x")


@cache
def pattern_regex(pattern: str) -> re.Pattern[str]:
    """Return a regular expression for paths that begin with a catalogue pattern."""
    parts = re.split(r"(\*\*|\*)", pattern)
    text = "".join({"**": ".*", "*": "[^/]+"}.get(part, re.escape(part)) for part in parts)
    return re.compile(text)
