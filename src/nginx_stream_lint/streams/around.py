"""What a server as a whole is for: its name, its file's name, and what is written above it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePath

from nginx_stream_lint.config import File
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.routing import match_of
from nginx_stream_lint.streams.catalogue import App, named_in, words
from nginx_stream_lint.streams.comments import above, at_the_top
from nginx_stream_lint.streams.evidence import Clue, hear
from nginx_stream_lint.streams.naming import takes_all


@dataclass(frozen=True, slots=True)
class About:
    """The apps that the surroundings of locations name, each with the reason, and further clues."""

    apps: dict[App, str]
    clues: tuple[Clue, ...]


@dataclass(slots=True)
class Around:
    """The surroundings of a server's locations.

    They speak for the locations that have no purpose of their own: those of an API as such (`/api`,
    `/v1`), or where there is none the one that takes everything.
    """

    server: Level
    general: frozenset[Level]
    _about: dict[File | None, About] = field(default_factory=dict)

    def about(self, location: Level) -> About:
        """What the server and the location's file say."""
        file = location.directive.file if location.directive is not None else None
        if file not in self._about:
            self._about[file] = self._look(file)
        return self._about[file]

    def _look(self, file: File | None) -> About:
        own = self.server.directive
        files = dict.fromkeys(one for one in (own and own.file, file) if one is not None)
        names = [arg for row in self.server.rows.get("server_name", []) for arg in row.args]
        texts = [
            *((name, 'its server is called "{text}"') for name in names),
            *((name, 'its file is in "{text}"') for one in files for name in _names(one)),
        ]
        comments = [*above(self.server), *(text for one in files for text in at_the_top(one))]
        written = [(comment, 'a comment above says "{word}"') for comment in comments]
        found: dict[App, str] = {}
        for text, saying in texts:  # and not in comments, which name apps for many reasons
            app = named_in(text)
            if app is not None:
                found.setdefault(app, saying.format(text=text))
        return About(found, tuple(hear("around", (*texts, *written))))


def around(server: Level) -> Around:
    """The surroundings of a server's locations."""
    locations = [level for level in server.walk() if level.own_handler is not None]
    apis = [level for level in locations if is_general(level)]
    return Around(server, frozenset(apis or filter(takes_all, locations)))


def is_general(location: Level) -> bool:
    """Whether a location is for an API as such: its path says `api`, `v1` and no more."""
    return location.kind == "location" and _is_general(match_of(location).pattern)


@lru_cache(maxsize=4096)
def _is_general(pattern: str) -> bool:
    segments = re.findall(r"[A-Za-z][A-Za-z0-9_-]*", pattern)
    general = words()["general"]
    return bool(segments) and all(
        any(word.pattern.fullmatch(segment) for word in general) for segment in segments
    )


def _names(file: File) -> Iterator[str]:
    """A file's name and its folder's; folders where configuration is kept anywhere do not count."""
    path = PurePath(file.source.name.replace("\\", "/"))
    yield path.name
    for folder in path.parts[-2::-1]:
        if not any(word.pattern.search(folder) for word in words()["folders"]):
            yield folder
            return
