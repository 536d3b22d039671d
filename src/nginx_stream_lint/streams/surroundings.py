"""The purpose of a whole server: its name, the names of its file and logs, comments above it."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from itertools import islice

from msgspec import Struct, field

from nginx_stream_lint.config import File
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.streams.catalogue import App, app_named_in
from nginx_stream_lint.streams.comments import comments_above, comments_at_top, opening_comments
from nginx_stream_lint.streams.evidence import Clue, StreamCandidate, match_words
from nginx_stream_lint.streams.evidence_words import evidence_words
from nginx_stream_lint.streams.word_classes import normalized
from nginx_stream_lint.util.remembering import latest_remembered, remembered

# Number of server names that are examined, for each file with its locations.
_MOST_NAMES = 100
_WORD = re.compile(r"[a-z]+")
_LOGS = ("access_log", "error_log")


class _Clues(Struct, frozen=True):
    """Clues from a server's surroundings: for API locations, and for catch-all locations."""

    of_api: tuple[Clue, ...]
    of_all: tuple[Clue, ...]


class Surroundings(Struct):
    """The surroundings of a server's locations.

    They are evidence for locations without a specific purpose: those of a whole API (`/api`, `/v1`)
    or, if there is none, the catch-all and its fallback. `folder` is the folder of the
    configuration: its name and those of the folders above are no evidence. `openings` are the
    comments at the top of files, kept for other servers. `names` are those of the server, `logs`
    those of its logs, each with words for messages.
    """

    server: Level
    general: frozenset[Level]
    folder: str
    openings: dict[File, list[str]]
    names: list[tuple[str, str]]
    logs: list[tuple[str, str]]
    _clues: dict[File | None, _Clues] = field(default_factory=dict)

    def clues(self, place: StreamCandidate) -> tuple[Clue, ...]:
        """Clues for a location without a specific purpose."""
        if place.level not in self.general:
            return ()
        file = _file(place.level)
        found = self._clues.get(file)
        if found is None:
            found = self._clues[file] = self._clues_of(file)
        return found.of_api if place.is_general else found.of_all

    def apps(self, file: File | None) -> dict[App, str]:
        """The apps that the server and the file of some locations are named after, and why."""
        found: dict[App, str] = {}
        # Comments do not count, because they name apps for many reasons.
        for text, saying in self._texts(file):
            app = _app_of(text)
            if app is not None:
                found.setdefault(app, saying)
        return found

    def _clues_of(self, file: File | None) -> _Clues:
        texts = self._texts(file)
        comments = [*comments_above(self.server), *opening_comments(self.server)]
        for one in self._files(file):
            if one not in self.openings:
                self.openings[one] = list(_with_new_words(comments_at_top(one)))
            comments += self.openings[one]
        written = [(comment, 'a comment above says "{word}"') for comment in comments]
        clues = tuple(match_words("around", (*texts, *written)))
        of_api = tuple(match_words("around_api", texts))
        told = {clue.word for clue in of_api}
        return _Clues((*of_api, *(one for one in clues if one.word not in told)), clues)

    def _texts(self, file: File | None) -> list[tuple[str, str]]:
        """The names of the server, its files and logs, each with words for messages."""
        files = (
            text
            for one in self._files(file)
            for text in _names(one.source.key or one.source.name, self.folder)
        )
        return [*self.names, *files, *self.logs]

    def _files(self, file: File | None) -> Iterable[File]:
        """The files of the server and of a location."""
        return dict.fromkeys(one for one in (_file(self.server), file) if one is not None)


def _with_new_words(comments: Iterable[str]) -> Iterator[str]:
    """The comments with a new evidence word; all servers share these comments."""
    seen: set[str] = set()
    for comment in comments:
        found = {clue.word for clue in match_words("around", [(comment, "")])}
        if not found <= seen:
            seen |= found
            yield comment


def _file(level: Level) -> File | None:
    return level.directive.file if level.directive is not None else None


def surroundings_of(
    server: Level, places: Iterable[StreamCandidate], folder: str, openings: dict[File, list[str]]
) -> Surroundings:
    """Collect the surroundings of a server's places; for the other arguments see `Surroundings`."""
    everything: list[Level] = []
    named: list[Level] = []
    general: list[Level] = []
    for place in places:
        if place.is_general:
            general.append(place.level)
        elif place.is_catch_all:
            everything.append(place.level)
        elif place.match.modifier == "@":
            named.append(place.level)
    rows = server.rows
    # Without the top-level domain: .ai is weak evidence.
    every = (arg for row in rows.get("server_name", ()) for arg in row.args)
    names = {arg: arg.rpartition(".")[0] or arg for arg in islice(every, _MOST_NAMES)}
    logs = [one.args[0] for name in _LOGS for one in rows.get(name, ()) if one.args]
    return Surroundings(
        server,
        frozenset(general or everything or named),
        folder,
        openings,
        [(name, f'its server is called "{arg}"') for arg, name in names.items()],
        [(name, f'its log is called "{name}"') for name in map(posixpath.basename, logs)],
    )


@latest_remembered(256)
def _app_of(text: str) -> App | None:
    """The app that something with this name belongs to."""
    app = app_named_in(normalized(text))
    return None if app is None or _is_of_another(text, app) else app


def _is_of_another(text: str, app: App) -> bool:
    """Whether a name belongs to something beside an app, as `gitlab-registry` does."""
    for label in text.lower().split("."):
        words = _WORD.findall(label)
        for name in app.names:
            parts = name.split("-")
            for at in range(len(words) - len(parts) + 1):
                if words[at : at + len(parts)] == parts:
                    rest = words[at + len(parts) :]
                    return any(map(_is_beside, rest))
    return False


@latest_remembered(256)
def _names(file: str, top: str) -> tuple[tuple[str, str], ...]:
    """A file's name, or its folder's if the name is generic (`nginx.conf`), with words for it.

    Generic folders for configuration are no evidence either, nor are `top` and those above it.
    """
    end = max(map(file.rfind, "/\\\0")) + 1
    name = file[end:]
    found = [(name, f'its file is called "{name}"')]
    if all(map(_usual, _WORD.findall(name.lower()))):
        folder = _specific_folder(file[:end], top)
        if folder:
            found.append((folder, f'its file is in "{folder}"'))
    return tuple(found)


@latest_remembered(256)
def _specific_folder(folder: str, top: str) -> str:
    """The innermost name of a folder below `top` that is not generic; empty if there is none."""
    inside = os.path.join(top, "")
    if not folder.startswith(inside):
        return ""
    names = re.split(r"[/\\\0]", folder.removeprefix(inside))[:-1]
    return next((one for one in reversed(names) if not _usual(one.lower())), "")


@remembered
def _is_beside(name: str) -> bool:
    """Whether something belongs to an app beside it and is named after that."""
    return any(word.pattern.fullmatch(name) for word in evidence_words()["beside"])


@remembered
def _usual(name: str) -> bool:
    """Whether a file or folder name is usual for any purpose."""
    return any(word.pattern.fullmatch(name) for word in evidence_words()["usual"])
