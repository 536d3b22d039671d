"""The catalogue of known streaming endpoints (`catalogue.yaml`) and words (`evidence.yaml`)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from nginx_stream_lint.nginx.values import seconds
from nginx_stream_lint.streams.stream import Stream
from nginx_stream_lint.yamlfile import load_text


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A path that an app is known to stream on.

    `distinctive` is the shortest leading part of `path` that is the app's own and nobody else's.
    In both, `*` stands for one segment and `**` for any rest.
    """

    app: str
    path: str
    distinctive: str
    stream: Stream


@dataclass(frozen=True, slots=True)
class App:
    """An app by the names and ports its upstreams usually have."""

    name: str
    names: frozenset[str]
    ports: frozenset[int]
    endpoints: tuple[Endpoint, ...]


@cache
def apps() -> tuple[App, ...]:
    """All known apps."""
    text = (files(__package__) / "catalogue.yaml").read_text(encoding="utf-8")
    return tuple(_app(raw) for raw in load_text(text))


@cache
def every_endpoint() -> tuple[Endpoint, ...]:
    """The endpoints of all apps."""
    return tuple(endpoint for app in apps() for endpoint in app.endpoints)


@cache
def by_first_segment(segment: str) -> tuple[Endpoint, ...]:
    """The endpoints whose distinctive part may begin with this path segment."""

    def fits(endpoint: Endpoint) -> bool:
        first = endpoint.distinctive.lstrip("/").partition("/")[0]
        return "*" in first or first == segment

    return tuple(endpoint for endpoint in every_endpoint() if fits(endpoint))


def _app(raw: dict[str, Any]) -> App:
    name = raw["app"]
    return App(
        name,
        frozenset(re.sub(r"[^a-z0-9]+", "-", word.lower()) for word in raw.get("names", ())),
        frozenset(raw.get("ports", ())),
        tuple(_endpoint(name, entry) for entry in raw["endpoints"]),
    )


def _endpoint(app: str, raw: dict[str, Any]) -> Endpoint:
    heartbeat = raw.get("heartbeat")
    stream = Stream(
        kind=raw["kind"],
        confidence="likely",
        because=f"{raw['path']} is a streaming endpoint of {app}",
        framing=raw.get("framing"),
        x_accel_buffering=raw.get("x_accel_buffering"),
        heartbeat_s=None if heartbeat is None else seconds(str(heartbeat)),
        method=raw.get("method"),
    )
    return Endpoint(app, raw["path"], raw["distinctive"], stream)


@cache
def example(pattern: str) -> str:
    """A path that a catalogue pattern stands for, to try locations with."""
    return pattern.replace("**", "x/y").replace("*", "x")


@cache
def expression(pattern: str) -> re.Pattern[str]:
    """A regular expression for what begins like a catalogue pattern."""
    parts = re.split(r"(\*\*|\*)", pattern)
    text = "".join({"**": ".*", "*": "[^/]+"}.get(part, re.escape(part)) for part in parts)
    return re.compile(text)


@dataclass(frozen=True, slots=True)
class Word:
    """Something that speaks for a stream: `points` of evidence for one of `kinds` of streams."""

    pattern: re.Pattern[str]
    kind: str | None
    points: int


@cache
def words() -> dict[str, tuple[Word, ...]]:
    """The words by where they are looked for: `path`, `comment`, `upstream`, and `never`."""
    text = (files(__package__) / "evidence.yaml").read_text(encoding="utf-8")
    return {
        where: tuple(
            Word(
                re.compile(rf"(?<![a-z])(?:{row['words']})(?![a-z])", re.IGNORECASE),
                row.get("kind"),
                row.get("points", 0),
            )
            for row in rows
        )
        for where, rows in load_text(text).items()
    }
