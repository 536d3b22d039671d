"""The catalogue of known streaming endpoints (`catalogue.yaml`) and words (`evidence.yaml`)."""

import os
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cache

from msgspec import Struct
from msgspec.structs import replace

from nginx_stream_lint.nginx.delivery import AccelBuffering, Framing
from nginx_stream_lint.nginx.values import parse_time
from nginx_stream_lint.streams.stream import Kind, Stream
from nginx_stream_lint.util.data import table
from nginx_stream_lint.util.remembering import latest_remembered

_FOLDER = os.path.dirname(__file__)
FILES = (os.path.join(_FOLDER, "catalogue.yaml"), os.path.join(_FOLDER, "evidence.yaml"))

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


class RegexFinder:
    """A regular expression for text in any case; each match contains one of `parts`.

    `parts` and the expression are in lower case. It is compiled when a text first contains one of
    the parts, because compiling takes longer than all searches in a small configuration. The text
    is converted to lower case, because compiling for any case takes four times as long.
    """

    def __init__(self, expression: str, parts: Collection[str]) -> None:
        self._expression = expression
        self._parts = parts
        self._pattern: re.Pattern[str] | None = None

    def search(self, text: str) -> re.Match[str] | None:
        """The first match, perhaps in the lower-case text."""
        pattern, text = self._for(text)
        return pattern and pattern.search(text)

    def fullmatch(self, text: str) -> re.Match[str] | None:
        """The match that is the whole text."""
        pattern, text = self._for(text)
        return pattern and pattern.fullmatch(text)

    def finditer(self, text: str) -> Iterator[re.Match[str]]:
        """All matches that do not overlap."""
        pattern, text = self._for(text)
        return iter(()) if pattern is None else pattern.finditer(text)

    def _for(self, text: str) -> tuple[re.Pattern[str] | None, str]:
        """The expression, None if it cannot match the text; and the text in suitable case."""
        if not text.isascii():
            # Case-insensitive matching maps a few other letters to ASCII.
            return re.compile(self._expression, re.IGNORECASE), text
        text = text.lower()
        if self._pattern is None:
            if not any(part in text for part in self._parts):
                return None, text
            self._pattern = re.compile(self._expression)
        return self._pattern, text


class EvidenceWord(Struct, frozen=True, omit_defaults=True):
    """A word that is evidence for a stream, worth `points` for one of `kinds`.

    `words` are regular expressions for whole words, separated by `|`; for `parts` see
    `RegexFinder`. The other fields are properties of such a stream, as in `Stream`.
    """

    words: str
    kind: Kind | None
    points: int
    parts: tuple[str, ...] = ("",)
    heartbeat_s: float | None = None
    is_endless: bool = False

    @property
    def pattern(self) -> RegexFinder:
        """The compiled expression."""
        return _in_any_case(self.words, self.parts)


class Vocabulary(Struct, frozen=True):
    """The runs of letters in evidence words, apps' names and their own paths, in lower case.

    Words in `numbered` are followed by a number. `parts` are evidence inside any other letters;
    matches of `numbered_parts` extend past a number.
    """

    runs: frozenset[str]
    numbered: frozenset[str]
    parts: frozenset[str]
    numbered_parts: frozenset[str]


class Catalogue(Struct, frozen=True):
    """The apps, the evidence words by place of search, and the vocabulary of both."""

    apps: tuple[App, ...]
    words: dict[str, tuple[EvidenceWord, ...]]
    vocabulary: Vocabulary


@cache
def apps() -> tuple[App, ...]:
    """All known apps."""
    return catalogue().apps


@cache
def catalogue() -> Catalogue:
    """Load the catalogue."""
    return table("catalogue", Catalogue, read)


def read() -> Catalogue:
    """Read the catalogue from YAML."""
    from nginx_stream_lint.streams.word_lists import parts, vocabulary
    from nginx_stream_lint.util.yamlfile import load_records

    known = load_records(FILES[0], tuple[_AppRow, ...])
    lists = load_records(FILES[1], dict[str, tuple[_WordRow, ...]])
    apps = tuple(_with_shared(list(map(_app, known))))
    words = {where: tuple(_word(row, parts) for row in rows) for where, rows in lists.items()}
    return Catalogue(apps, words, vocabulary(apps, words))


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
    pattern, found = _names()
    words = "-".join(_WORD.findall(text.lower()))
    rank = min((found[match[0]] for match in pattern.finditer(words)), default=None)
    return None if rank is None else apps()[rank]


def app_by_word(word: str) -> App | None:
    """The first app of the catalogue with this upstream name."""
    rank = _names()[1].get(word.replace("_", "-"))
    return None if rank is None else apps()[rank]


@cache
def _names() -> tuple[RegexFinder, dict[str, int]]:
    """The expression for names of apps, and the index of each name's first app."""
    found: dict[str, int] = {}
    for rank, app in enumerate(apps()):
        for name in app.names:
            found.setdefault(name, rank)
    longest_first = sorted(found, key=len, reverse=True)
    expression = rf"(?<![a-z0-9])(?:{'|'.join(longest_first)})(?![a-z])"
    return RegexFinder(expression, found.keys()), found


def endpoints_by_leading_segments(path: str) -> Sequence[Endpoint]:
    """The endpoints whose distinctive part may be at the start of a path."""
    firsts, table, longest = _by_leading_segments()
    at = path.find("/", 1)
    if (path if at < 0 else path[:at]) not in firsts:
        return ()
    ranks: list[int] = []
    while 0 < at <= longest:
        ranks += table.get(path[:at], ())
        at = path.find("/", at + 1)
    ranks += table.get(path, ())
    return [every_endpoint()[rank] for rank in sorted(ranks)] if ranks else ()


@cache
def _by_leading_segments() -> tuple[set[str], dict[str, list[int]], int]:
    """An index of the endpoints by the first segments of their distinctive parts.

    Returns the first segments, the endpoints' positions in the catalogue by all segments before the
    first `*`, and the largest number of such segments.
    """
    firsts: set[str] = set()
    found: dict[str, list[int]] = {}
    for rank, endpoint in enumerate(every_endpoint()):
        plain, star, _ = endpoint.distinctive.partition("*")
        leading = plain.rpartition("/")[0] if star else plain
        at = leading.find("/", 1)
        firsts.add(leading if at < 0 else leading[:at])
        found.setdefault(leading, []).append(rank)
    return firsts, found, max(map(len, found))


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
    table = _by_last_word()
    known = table.keys() & _WORD.findall(pattern.lower())
    if not known:
        return ()
    return [one for word in sorted(known, key=list(table).index) for one in table[word]]


@cache
def _by_last_word() -> dict[str, list[Endpoint]]:
    found: dict[str, list[Endpoint]] = {}
    for endpoint in every_endpoint():
        words = _WORD.findall(endpoint.distinctive.lower())
        if words and endpoint.distinctive.startswith("/"):
            found.setdefault(words[-1], []).append(endpoint)
    return found


class _EndpointRow(Struct, forbid_unknown_fields=True):
    """An endpoint as it is written; `because` is the source of a heartbeat or a silence."""

    path: str
    distinctive: str
    kind: Kind
    because: str = ""
    method: str | None = None
    framing: Framing | None = None
    x_accel_buffering: AccelBuffering | None = None
    heartbeat: str | None = None
    silence: str | None = None


class _AppRow(Struct, forbid_unknown_fields=True):
    """An app as it is written."""

    app: str
    source: str
    endpoints: tuple[_EndpointRow, ...]
    names: tuple[str, ...] = ()
    shared: bool = False


class _WordRow(Struct, forbid_unknown_fields=True):
    """A word of evidence as it is written."""

    words: str
    kind: Kind | None = None
    points: int = 0
    heartbeat: str | None = None
    endless: bool = False


def _app(row: _AppRow) -> App:
    return App(
        row.app,
        frozenset(re.sub(r"[^a-z0-9]+", "-", word.lower()) for word in row.names),
        tuple(_endpoint(row.app, endpoint) for endpoint in row.endpoints),
        row.shared,
    )


def _with_shared(found: Sequence[App]) -> Iterator[App]:
    """The apps, with the silences of shared endpoints added to apps with the same paths."""
    shared: dict[tuple[str, Kind], Stream] = {}
    for app in found:
        for one in app.endpoints if app.shared else ():
            shared.setdefault((one.path, one.stream.kind), one.stream)
    for app in found:
        endpoints = [
            replace(one, stream=_quiet_as(one.stream, shared.get((one.path, one.stream.kind))))
            for one in app.endpoints
        ]
        yield replace(app, endpoints=tuple(endpoints))


def _quiet_as(stream: Stream, shared: Stream | None) -> Stream:
    if shared is None or stream.heartbeat_s is not None or stream.silence_s is not None:
        return stream
    return replace(stream, heartbeat_s=shared.heartbeat_s, silence_s=shared.silence_s)


def _word(row: _WordRow, parts: Callable[[str], tuple[str, ...]]) -> EvidenceWord:
    return EvidenceWord(
        row.words,
        row.kind,
        row.points,
        parts(row.words),
        heartbeat_s=_seconds(row.heartbeat),
        is_endless=row.endless,
    )


def _seconds(text: str | None) -> float | None:
    return None if text is None else parse_time(text)


def _endpoint(app: str, row: _EndpointRow) -> Endpoint:
    stream = Stream(
        kind=row.kind,
        confidence="likely",
        because=f"{row.path} is a streaming endpoint ({app})",
        framing=row.framing,
        x_accel_buffering=row.x_accel_buffering,
        heartbeat_s=_seconds(row.heartbeat),
        silence_s=_seconds(row.silence),
        method=row.method,
    )
    return Endpoint(app, row.path, row.distinctive, stream)


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


@cache
def _in_any_case(words: str, parts: tuple[str, ...]) -> RegexFinder:
    return RegexFinder(rf"(?<![a-z])(?:{words})(?![a-z])", parts)


def evidence_words() -> dict[str, tuple[EvidenceWord, ...]]:
    """The evidence words by the place where they are searched, as in `evidence.yaml`."""
    return catalogue().words


def vocabulary() -> Vocabulary:
    """All words and parts that texts are searched for."""
    return catalogue().vocabulary
