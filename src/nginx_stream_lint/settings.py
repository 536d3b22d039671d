"""Settings of a repository: `.nginx-stream-lint.yaml`, found upwards from what is checked."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import yaml

from nginx_stream_lint.nginx.values import seconds
from nginx_stream_lint.nginx.versions import Version, parse_version
from nginx_stream_lint.streams.declarations import Declaration, Misdeclared, declaration, nearest
from nginx_stream_lint.yamlfile import YamlMistake, compose, construct, place

FILE_NAME = ".nginx-stream-lint.yaml"
MIN_READ_TIMEOUT_S = 300.0

_KEYS = (
    "streams",
    "nginx_version",
    "min_read_timeout",
    "roots",
    "servers",
    "absent_includes",
)


class SettingsMistake(Exception):
    """Settings that cannot be used; the message starts with `file:line:column`."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a repository says about itself. `nginx_version` is None where it does not say.

    `roots` and `servers` are patterns of paths: main files, and files that a main file elsewhere
    includes in its http block. `absent_includes` are patterns of include arguments that are meant
    to be missing here.
    """

    streams: tuple[Declaration, ...] = ()
    nginx_version: Version | None = None
    min_read_timeout_s: float = MIN_READ_TIMEOUT_S
    roots: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()
    absent_includes: tuple[str, ...] = ()


def find_file(start: Path) -> Path | None:
    """The settings file in the folder of `start` or the nearest one above it."""
    folder = start.resolve()
    with suppress(OSError):  # a name too long to exist; reading it will say so
        if not folder.is_dir():
            folder = folder.parent
        for candidate in (folder, *folder.parents):
            path = candidate / FILE_NAME
            if path.is_file():
                return path
    return None


def load(path: Path) -> Settings:
    """The settings of a file.

    Raises SettingsMistake with the place of what is wrong.
    """
    try:
        node = compose(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsMistake(f"{path}:1:1: cannot be read ({error})") from None
    except YamlMistake as mistake:
        raise SettingsMistake(
            f"{path}:{mistake.line}:{mistake.column}: {mistake.message}"
        ) from None
    if node is None:
        return Settings()
    if not isinstance(node, yaml.MappingNode):
        raise SettingsMistake(f"{path}:1:1: settings are a mapping; keys: {', '.join(_KEYS)}")
    streams: list[Declaration] = []
    version: Version | None = None
    timeout = MIN_READ_TIMEOUT_S
    lists: dict[str, tuple[str, ...]] = {}
    for key, value in node.value:
        line, column = place(value)
        try:
            if key.value == "streams":
                items = value.value if isinstance(value, yaml.SequenceNode) else [value]
                for item in items:
                    line, column = place(item)
                    because = f"{path.name} says so"
                    streams.append(declaration(construct(item), because))
            elif key.value == "nginx_version":
                version = parse_version(str(value.value))
            elif key.value == "min_read_timeout":
                timeout = timeout_s(str(value.value))
            elif key.value in ("roots", "servers"):
                words = _words(value)
                lists[key.value] = tuple(str(path.parent / word) for word in words)
            elif key.value == "absent_includes":
                lists[key.value] = _words(value)
            else:
                line, column = place(key)
                raise Misdeclared(f'unknown key "{key.value}"{nearest(str(key.value), _KEYS)}')
        except (Misdeclared, ValueError, YamlMistake) as mistake:
            raise SettingsMistake(f"{path}:{line}:{column}: {mistake}") from None
    return Settings(tuple(streams), version, timeout, **lists)


def _words(node: yaml.Node) -> tuple[str, ...]:
    """A list of strings, or a single one. Raises Misdeclared."""
    words = construct(node)
    words = words if isinstance(words, list) else [words]
    if not all(isinstance(word, str) and word for word in words):
        raise Misdeclared("a list of paths is wanted")
    return tuple(words)


def timeout_s(text: str) -> float:
    """A time such as `300s` or `5m` in seconds.

    Raises ValueError.
    """
    time = seconds(text)
    if time is None:
        raise ValueError(f'"{text}" is not a time like 300s')
    return time
