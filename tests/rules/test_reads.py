"""What facts read is what they declare, recorded while they are worked out.

The verdict cache takes locations for equal that are equal in what is declared. So a declaration
that lacks something gives wrong findings, and one that has too much makes the cache useless.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec import Struct, field
from msgspec.structs import replace
from tests.rules.test_cache import EVERYWHERE, PASSES, SERVER, TARGETS, UPSTREAMS

from nginx_stream_lint.analysis.lint import Options, detect_streams, read
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.nginx.directives import table
from nginx_stream_lint.nginx.levels import Effective, Level, build
from nginx_stream_lint.nginx.versions import OLD
from nginx_stream_lint.rules.facts import FACTS, PLACEHOLDERS, Facts, delivery, other_inputs
from nginx_stream_lint.rules.facts.base import Headers, OtherInput, Read, directives_meant
from nginx_stream_lint.rules.messages import PHRASES
from nginx_stream_lint.rules.reads import PHRASE_READS, Reads, reads_of_declared
from nginx_stream_lint.rules.shipped import shipped_rules
from nginx_stream_lint.streams.detect import ProxiedLocation
from nginx_stream_lint.streams.stream import Stream

ELSEWHERE = {one.name: one for one in vars(other_inputs).values() if isinstance(one, OtherInput)}
FIXTURES = Path(__file__).parents[2] / "fixtures"
# A folder of many configurations, such as a copy of other people's repositories.
CORPUS = os.environ.get("NGINX_STREAM_LINT_CORPUS", "")


class _Read(Struct):
    """What a fact was seen to read."""

    directives: set[str] = field(default_factory=set)
    headers: set[str] = field(default_factory=set)
    elsewhere: set[str] = field(default_factory=set)
    facts: set[str] = field(default_factory=set)


class _Recorder:
    """Notes what is read of a location, at the place where everything is read: the levels."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.read = _Read()
        self.is_inside = False
        patch.setattr(Level, "effective", self._around_effective(Level.effective))
        patch.setattr(Facts, "value", self._around_value(Facts.value))
        patch.setattr(Facts, "elsewhere", self._around_elsewhere(Facts.elsewhere))
        # It has read `request` by then, and whatever else it reads is of a location like no other.
        patch.setattr(delivery, "_request", self._around_request(delivery._request))
        patch.setattr(Facts, "headers", self._around_headers(Facts.headers))
        patch.setattr(Facts, "headers_written", self._around_headers(Facts.headers_written))

    def note(self, name: str) -> None:
        """Note that the rows of a directive are read."""
        if not self.is_inside:
            self.read.directives.add(name)

    def _around_effective(self, effective: Any) -> Any:
        def recorded(level: Level, name: str, version: Any) -> Effective:
            self.note(name)
            found: Effective = effective(level, name, version)
            return found

        return recorded

    def _around_value(self, value: Any) -> Any:
        def recorded(facts: Facts, subject: str) -> Any:
            self.read.facts.add(subject)
            return value(facts, subject)

        return recorded

    def _around_elsewhere(self, read: Any) -> Any:
        def recorded(facts: Facts, what: OtherInput) -> Any:
            self.read.elsewhere.add(what.name)
            return self._inside(lambda: read(facts, what))

        return recorded

    def _around_request(self, make: Any) -> Any:
        def recorded(facts: Facts) -> Any:
            state = self._inside(lambda: make(facts))
            # Variables are worked out when they are looked at.
            return SimpleNamespace(
                **{
                    name: lambda text, name=name: self._inside(lambda: getattr(state, name)(text))
                    for name in ("expand", "is_set", "varies")
                }
            )

        return recorded

    def _around_headers(self, read: Any) -> Any:
        def recorded(facts: Facts, *arguments: Any) -> Any:
            if not self.is_inside:
                self.read.headers.add(facts.resolve(arguments[-1]))
            return self._inside(lambda: read(facts, *arguments))

        return recorded

    def _inside(self, work: Any) -> Any:
        """What is read to work out one value is noted as that value."""
        before, self.is_inside = self.is_inside, True
        try:
            return work()
        finally:
            self.is_inside = before

    def record(self, read: _Read, proxied: ProxiedLocation, stream: Stream, name: str) -> None:
        """Work out a fact or phrase, with nothing known before."""
        for level in _levels(proxied.level):
            level.kept = None
            level._owners.clear()
        self.is_inside = False
        self.read = read
        facts = Facts(proxied, stream, OLD, 300.0)
        if name in FACTS:
            FACTS[name].value(facts)
        else:
            PHRASES[name](facts)


class _Rows(dict[str, Any]):
    """The rows of a level, which note what is looked up in them."""

    def __init__(self, rows: dict[str, Any], recorder: _Recorder) -> None:
        super().__init__(rows)
        self._recorder = recorder

    def get(self, name: str, default: Any = None) -> Any:
        self._recorder.note(name)
        return super().get(name, default)

    def __getitem__(self, name: str) -> Any:
        self._recorder.note(name)
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        self._recorder.note(str(name))
        return super().__contains__(name)


class _Closed:
    """What no fact may look at, but by `Facts.elsewhere`."""

    def __init__(self, inside: Any, recorder: _Recorder, closed: dict[str, str]) -> None:
        self._inside = inside
        self._recorder = recorder
        self._closed = closed

    def __getattr__(self, name: str) -> Any:
        if name in self._closed and not self._recorder.is_inside:
            self._recorder.read.elsewhere.add(f"{self._closed[name]}, which is not declared")
        return getattr(self._inside, name)


def _levels(level: Level) -> Iterator[Level]:
    *_, root = level.outward()
    return root.walk()


@cache
def _texts() -> dict[str, str]:
    """Configurations in which each fact reads all that it can."""
    texts = {
        f"{rule.name}/{number}" + (".yaml" if text.startswith("apiVersion") else ".conf"): text
        for rule in shipped_rules()
        for number, example in enumerate(rule.examples)
        for text in (example.bad, example.good)
        if text is not None
    }
    kinds = ["sse", "chunked", "websocket", "grpc client_streams", "long-poll"]
    number = 30
    for index in range(number):
        inner, outer = EVERYWHERE[index::number], EVERYWHERE[index + 1 :: number]
        texts[f"made/{index}.conf.j2"] = (
            f"events {{}}\nhttp {{ {' '.join(UPSTREAMS)}\n"
            f"server {{ {SERVER[index % len(SERVER)]} {' '.join(outer)} {' '.join(TARGETS)}\n"
            f"location /x {{\n# nginx-stream-lint: stream {kinds[index % len(kinds)]}\n"
            f"{PASSES[index % len(PASSES)]} {' '.join(inner)} }} }} }}\n"
        )
    recorded = (
        "proxy_buffering on; proxy_cache zone; proxy_cache_valid 200 1m; sendfile on; ssi on;"
        " ssi_types *; gzip on; gzip_types *; gzip_disable a; brotli on; brotli_types *;"
        " sub_filter a b; sub_filter_types *; tcp_nopush on;"
        " proxy_no_cache $arg_fresh; proxy_next_upstream non_idempotent;"
    )
    for index, declared in enumerate(("sse", "sse x_accel_buffering=yes", "grpc client_streams")):
        texts[f"made/recorded-{index}.conf"] = (
            f"events {{}}\nhttp {{ {UPSTREAMS[1]} server {{ listen 443 ssl; listen 443 quic;"
            f" http2 on; keepalive_timeout 1s;\n"
            f"location /x {{\n# nginx-stream-lint: stream {declared}\n"
            f"proxy_pass http://two; {recorded} }}\n"
            f"location /y {{\n# nginx-stream-lint: stream {declared}\n"
            f"fastcgi_pass two; {recorded.replace('proxy', 'fastcgi')} }} }} }}\n"
        )
    texts["made/stream.conf"] = (
        "events {}\nstream { server { listen 1; proxy_pass a:1; proxy_download_rate 1k; } }\n"
    )
    return texts


def _places(texts: dict[str, str]) -> list[ProxiedLocation]:
    options = Options(all_streams=True)
    runs = [(Workspace.in_memory({name: text}), name) for name, text in texts.items()]
    runs += [(Workspace.on_disk(name), name) for name in (str(FIXTURES), CORPUS) if name]
    return [
        place
        for workspace, name in runs
        for configuration in read(workspace, [name], options.input_options)
        for place in detect_streams(configuration, build(configuration), options)[0]
    ]


def _record(places: list[ProxiedLocation], names: list[str]) -> dict[str, _Read]:
    """What each fact read at these places."""
    recorded: dict[str, _Read] = defaultdict(_Read)
    with pytest.MonkeyPatch.context() as patch:
        recorder = _Recorder(patch)
        for place in places:
            for level in _levels(place.level):
                if not isinstance(level.rows, _Rows):
                    level.rows = _Rows(level.rows, recorder)
            handler: Any = _Closed(place.handler, recorder, {"target": "the target"})
            proxied: Any = _Closed(place, recorder, {"server": "the server"})
            proxied.__dict__["handler"] = handler
            for stream in place.streams:
                for name in names:
                    recorder.record(recorded[name], proxied, stream, name)
    return recorded


NAMES = [*FACTS, *PHRASES]


def _declared(name: str) -> Reads:
    return reads_of_declared([name] if name in FACTS else PHRASE_READS[name])


@pytest.fixture(scope="module")
def recorded() -> dict[str, _Read]:
    return _record(_places(_texts()), NAMES)


def _lacks(name: str, found: _Read) -> set[str]:
    """What a fact read and does not declare."""
    declared = _declared(name)
    return (
        ((found.directives & table().keys()) - declared.directives)
        | (found.headers - declared.directives - declared.headers)
        | (found.elsewhere - {one.name for one in declared.elsewhere})
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_fact_declares_all_that_it_reads(name: str, recorded: dict[str, _Read]) -> None:
    assert _lacks(name, recorded[name]) == set()


def _is_used(read: Read, found: _Read) -> bool:
    """Whether a declaration was made use of anywhere."""
    if isinstance(read, OtherInput):
        return read.name in found.elsewhere
    if isinstance(read, Headers):
        return not found.headers.isdisjoint(directives_meant(read.directive))
    return read in found.facts or not found.directives.isdisjoint(directives_meant(read))


@pytest.mark.parametrize("name", NAMES)
def test_a_fact_declares_no_more_than_it_reads(name: str, recorded: dict[str, _Read]) -> None:
    reads = FACTS[name].reads if name in FACTS else PHRASE_READS[name]
    assert [read for read in reads if not _is_used(read, recorded[name])] == []


@pytest.mark.parametrize("name", [name for name in FACTS if _declared(name) != Reads()])
def test_a_missing_declaration_is_noticed(
    name: str, recorded: dict[str, _Read], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FACTS, name, replace(FACTS[name], reads=()))
    assert _lacks(name, recorded[name])


def test_a_fact_names_only_the_directives_that_it_declares() -> None:
    seen: dict[str, set[str]] = defaultdict(set)
    for place in _places(_texts()):
        for stream in place.streams:
            facts = Facts(place, stream, OLD, 300.0)
            for name in PLACEHOLDERS - {"family"}:
                seen[name].update(filter(None, [facts.value(name)]))
    for name, found in seen.items():
        assert found <= set(directives_meant(f"<{name}>")), name


@pytest.mark.parametrize("name", [name for name, one in ELSEWHERE.items() if one.only_with])
def test_without_its_directives_there_is_nothing_elsewhere(name: str) -> None:
    """So the cache need not look."""
    what = ELSEWHERE[name]
    conditions = {found for word in what.only_with for found in directives_meant(word)}
    values = {True: set[Any](), False: set[Any]()}
    for place in _places(_texts()):
        is_written = any(not conditions.isdisjoint(one.rows) for one in place.level.outward())
        values[is_written].add(what.value(place, OLD))
    # Without a recording no rule reads which clients connect without TLS.
    assert values[False] == {None} or name == "plain clients"
    assert values[True] - {None}
