"""What a server as a whole is for: its name, its file's and logs' names, what is written above."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import PurePath

from nginx_stream_lint.config import File
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.routing import match_of
from nginx_stream_lint.streams.catalogue import App, named_in, words
from nginx_stream_lint.streams.comments import above, at_the_top, opening
from nginx_stream_lint.streams.evidence import Clue, hear
from nginx_stream_lint.streams.naming import is_general, takes_all

_LOGS = ("access_log", "error_log")


@dataclass(frozen=True, slots=True)
class About:
    """What the surroundings of locations say: apps they name, each with the reason, and clues.

    `of_api` are the clues for an API, `of_all` those for a location that takes everything.
    """

    apps: dict[App, str]
    of_api: tuple[Clue, ...]
    of_all: tuple[Clue, ...]


@dataclass(slots=True)
class Around:
    """The surroundings of a server's locations.

    They speak for the locations that have no purpose of their own: those of an API as such (`/api`,
    `/v1`), or where there is none the one that takes everything, or what that falls back to.
    """

    server: Level
    general: frozenset[Level]
    _about: dict[File | None, About] = field(default_factory=dict)

    def clues(self, location: Level) -> tuple[Clue, ...]:
        """What speaks for streams in a location, if it is one of those without a purpose."""
        if location not in self.general:
            return ()
        about = self.about(location)
        return about.of_api if is_general(location) else about.of_all

    def about(self, location: Level) -> About:
        """What the server and the location's file say."""
        file = location.directive.file if location.directive is not None else None
        if file not in self._about:
            self._about[file] = self._look(file)
        return self._about[file]

    def _look(self, file: File | None) -> About:
        own = self.server.directive
        files = dict.fromkeys(one for one in (own.file if own else None, file) if one is not None)
        rows = self.server.rows.get("server_name", [])
        # Without the top-level domain: .ai says little.
        names = {arg: arg.rpartition(".")[0] or arg for row in rows for arg in row.args}
        logs = [one.args[0] for name in _LOGS for one in self.server.rows.get(name, []) if one.args]
        texts = [
            *((name, f'its server is called "{arg}"') for arg, name in names.items()),
            *(text for one in files for text in _names(one)),
            *((name, f'its log is called "{name}"') for name in map(posixpath.basename, logs)),
        ]
        comments = [*above(self.server), *opening(self.server)]
        comments += [text for one in files for text in at_the_top(one)]
        written = [(comment, 'a comment above says "{word}"') for comment in comments]
        found: dict[App, str] = {}
        for text, saying in texts:  # and not in comments, which name apps for many reasons
            app = named_in(text)
            if app is not None:
                found.setdefault(app, saying)
        clues = tuple(hear("around", (*texts, *written)))
        of_api = tuple(hear("around_api", texts))
        told = {clue.word for clue in of_api}
        return About(found, (*of_api, *(one for one in clues if one.word not in told)), clues)


def around(server: Level) -> Around:
    """The surroundings of a server's locations."""
    locations = [level for level in server.walk() if level.own_handler is not None]
    kinds = (is_general, takes_all, lambda level: match_of(level).modifier == "@")
    choices = ([level for level in locations if fits(level)] for fits in kinds)
    return Around(server, frozenset(next(filter(None, choices), ())))


def _names(file: File) -> Iterator[tuple[str, str]]:
    """A file's name, or its folder's where that says nothing (`nginx.conf`), and how to say it.

    Folders where configuration is kept for anything say nothing either.
    """
    path = PurePath(file.source.name.replace("\\", "/"))
    yield path.name, f'its file is called "{path.name}"'
    if all(map(_usual, re.findall(r"[a-z]+", path.name.lower()))):
        folder = next((one for one in path.parts[-2::-1] if not _usual(one.lower())), None)
        if folder is not None:
            yield folder, f'its file is in "{folder}"'


@cache
def _usual(name: str) -> bool:
    """Whether a file or folder has this name whatever it is for."""
    return any(word.pattern.fullmatch(name) for word in words()["usual"])
