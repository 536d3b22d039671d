"""Every key of the settings: the one description that reading, schema, page and display share."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from nginx_stream_lint.nginx.delivery import ACCEL_BUFFERINGS, FRAMINGS
from nginx_stream_lint.nginx.listeners import CLIENTS
from nginx_stream_lint.nginx.values import parse_time
from nginx_stream_lint.nginx.versions import parse_version
from nginx_stream_lint.report import FORMATS
from nginx_stream_lint.rules.finding import SEVERITIES
from nginx_stream_lint.rules.policy import WORTHS
from nginx_stream_lint.settings.node import Node
from nginx_stream_lint.settings.types import (
    ByRule,
    Choice,
    Either,
    FilePath,
    Flag,
    Here,
    Key,
    Made,
    Many,
    Mounts,
    Record,
    RuleName,
    Text,
    inside,
    pattern_inside,
    shortened,
)
from nginx_stream_lint.streams.declarations import (
    Declaration,
    SettingsPosition,
    declaration,
    declared_request,
    nearest_words,
)
from nginx_stream_lint.streams.stream import KINDS
from nginx_stream_lint.util.git import Patterns, Steps, as_bytes

# Of matching the files of one override with its patterns: a third of a second.
_MAX_STEPS = 1_000_000


def timeout_s(text: str) -> float:
    """A time such as `300s` or `5m` in seconds.

    Raises ValueError.
    """
    time = parse_time(text)
    if time is None:
        raise ValueError(f'"{text}" is not a time like 300s')
    return time


def _path(text: str) -> str:
    declared_request(text)
    return text


def _format(text: str) -> str:
    name = text.partition("=")[0]
    if name not in FORMATS:
        raise ValueError(f'unknown format "{name}"{nearest_words(name, FORMATS)}')
    return text


def _report(text: str, here: Here) -> str:
    """A target, whose file must be one that settings may write. Raises ValueError."""
    file = text.partition("=")[2]
    if file in ("", "-"):
        return text
    path = inside(file, here)
    key = here.workspace.key
    below = os.path.relpath(key(str(path)), key(str(here.file.parent)))
    if any(part.startswith(".") for part in below.split(os.sep)):
        raise ValueError(f"{shortened(file)} is hidden; name a file that everybody sees")
    if here.workspace.is_link(str(path)):
        raise ValueError(f"{shortened(file)} is a link; name a file")
    return text


def _pattern(text: str) -> str:
    # gitignore's comments and empty lines, which match nothing
    if text.startswith("#") or not text.strip("!/ "):
        raise ValueError(f'"{text}" is no pattern of paths')
    return text


def _globs(patterns: tuple[str, ...], here: Here) -> Callable[[str], bool]:
    """Whether a file, by its name or where links lead to, is among those that patterns name."""
    ignore = Patterns(map(as_bytes, patterns), Steps(_MAX_STEPS))
    folder, key = os.path.abspath(here.file.parent), here.workspace.key
    known: dict[str, bool] = {}

    def inside(path: str, base: str) -> bool:
        name = os.path.relpath(path, base)
        return name.split(os.sep)[0] != os.pardir and ignore.covers(
            as_bytes(name.replace(os.sep, "/"))
        )

    def covers(name: str) -> bool:
        if name not in known:
            known[name] = inside(os.path.abspath(name), folder) or inside(key(name), key(folder))
        return known[name]

    return covers


def _stream(entry: object, here: Here) -> Declaration:
    return declaration(entry, f"{here.file.name} says so")


class _Declared(Made, frozen=True):
    """A declaration that knows where it stands."""

    def read(self, node: Node, here: Here) -> Declaration:
        found: Declaration = super().read(node, here)
        return replace(
            found, place=SettingsPosition(str(here.file), here.text, node.line, node.column)
        )


TIME = Text("a time like `300s`", timeout_s, r"^([0-9]{1,18}(ms|[yMwdhms])? *)+$", number=True)
VERSION = Text(
    "a version like `1.29.7`", parse_version, r"^(nginx/)?[0-9]{1,4}\.[0-9]{1,4}(\.[0-9]{1,4})?$"
)
_PATTERN = Text("a pattern of paths", _pattern)

_STREAM_PATH = Text(
    "a path that starts with `/`, or a URL", _path, "^(/|[hH][tT][tT][pP][sS]?://[^/?])"
)
STREAM_KEYS = (
    Key("path", _STREAM_PATH, "The path or URL.", "/v1/chat"),
    Key(
        "kind",
        Choice(KINDS),
        "The kind of stream.",
        "chunked",
        unset="what the catalogue, the path or the directives say, else `sse`",
    ),
    Key("framing", Choice(FRAMINGS), "How the app ends its answer.", "close", unset="unknown"),
    Key(
        "x_accel_buffering",
        Choice(ACCEL_BUFFERINGS),
        "The `X-Accel-Buffering` header that the app sends.",
        "no",
        unset="unknown",
    ),
    Key("heartbeat", TIME, "The app is never silent for longer.", "15s", unset="unknown"),
    Key("accepts", Many(Choice(CLIENTS)), "The only clients it has.", ["h2"], unset="all"),
    Key("method", Text("a request method"), "The only request method.", "POST", unset="all"),
    Key(
        "client_streams",
        Flag(),
        "The client goes on sending while the stream lasts, as in gRPC client streaming.",
        True,
        default=False,
    ),
)

STREAMS = Many(
    _Declared(
        Either(_STREAM_PATH, Record("a stream", STREAM_KEYS, required=("path",))),
        _stream,
    )
)

SEVERITY = Key(
    "severity",
    ByRule(Choice(WORTHS)),
    "What the findings of a rule are worth. `off` is no finding. Locations that nothing"
    " suggests to stream never give errors, whatever this says.",
    {"browser-connection-limit": "off", "reload-cut": "warning"},
    unset="as the rules say",
)
IGNORE = Key(
    "ignore",
    Many(RuleName()),
    "Rules that are not applied. `--ignore` adds to them, `--select` wins over them.",
    ["nagle-delay"],
    unset="none",
    option="--ignore",
    adds=True,
)
NGINX_VERSION = Key(
    "nginx_version",
    VERSION,
    "The nginx that runs this. 1.29.7 changed defaults that matter.",
    "1.26.2",
    unset="the older, worse defaults are assumed",
    option="--nginx-version",
)
MIN_READ_TIMEOUT = Key(
    "min_read_timeout",
    TIME,
    "The silence that a stream should survive.",
    "120s",
    default="300s",
    option="--min-read-timeout",
    field="min_read_timeout_s",
)
STREAMS_KEY = Key(
    "streams",
    STREAMS,
    "Paths or URLs that stream, alone or with what is known about their app. A path belongs to the"
    " location that nginx chooses for it in each server, a URL to that of its own server. One that"
    " nginx passes to no app is an error. `--stream` adds to them.",
    [
        "/v1/chat/completions",
        "https://api.example.com/v1/chat/completions",
        {"path": "/progress", "framing": "close", "heartbeat": "15s"},
    ],
    unset="none",
    option="--stream",
    adds=True,
)

OVERRIDE_KEYS = (
    Key(
        "paths",
        Many(_PATTERN, at_least=1),
        "The files it is for: patterns as in a `.gitignore`, from the folder of the settings. A"
        " file that is read through a link counts under both names.",
        ["legacy/", "/deploy/**/*.conf"],
    ),
    SEVERITY,
    IGNORE,
    STREAMS_KEY,
    NGINX_VERSION,
    MIN_READ_TIMEOUT,
)
_OVERRIDE = Record("an override", OVERRIDE_KEYS, required=("paths",), more=True)


def _override(values: dict[str, Any], here: Here) -> dict[str, Any]:
    return values | {"paths": _globs(values["paths"], here)}


KEYS = (
    STREAMS_KEY,
    NGINX_VERSION,
    MIN_READ_TIMEOUT,
    Key(
        "roots",
        Many(FilePath("a pattern of paths", pattern_inside)),
        "Main files, if they cannot be told by their `http` block.",
        ["deploy/nginx.conf"],
        unset="the files with an `http` block",
    ),
    Key(
        "servers",
        Many(FilePath("a pattern of paths", pattern_inside)),
        "Files that a main file elsewhere includes in its `http` block, all of them.",
        ["deploy/conf.d/*.conf"],
        unset="none",
    ),
    Key(
        "mounts",
        Mounts(),
        "Where files and folders of this repository lie on the machine that runs nginx: an absolute"
        " path in an `include` is looked for there. `--mount PATH=FOLDER` adds to them.",
        {"/etc/nginx": "deploy/nginx"},
        unset="absolute paths are looked for by the end of their path",
        option="--mount",
        adds=True,
    ),
    Key(
        "absent_includes",
        Many(Text("a pattern of include arguments")),
        "Includes that are not in this repository and set nothing of interest.",
        ["/etc/nginx/ssl/*"],
        unset="none",
    ),
    Key(
        "env_file",
        FilePath("a file"),
        "`NAME=VALUE` lines: what `${NAME}` in templates becomes.",
        "deploy/.env",
        unset="values of placeholders are unknown",
        option="--env-file",
    ),
    Key(
        "markdown",
        Flag(),
        "Whether the nginx blocks of Markdown files are read, too.",
        True,
        default=False,
        option="--markdown",
    ),
    Key(
        "rules",
        Many(FilePath("a folder")),
        "Folders with rules of your own, besides the shipped ones. `--rules` adds one.",
        ["lint/rules"],
        unset="the shipped rules only",
        option="--rules",
        adds=True,
    ),
    Key(
        "select",
        Many(RuleName()),
        "Only these rules are applied.",
        ["response-buffering", "recorded-stream"],
        unset="all rules",
        option="--select",
    ),
    IGNORE,
    SEVERITY,
    Key(
        "fail_on",
        Choice(SEVERITIES),
        "Lowest severity that causes exit status 1.",
        "warning",
        default="error",
        option="--fail-on",
    ),
    Key(
        "fail_on_unchecked",
        Flag(),
        "Whether a location that proxies, and that nothing suggests to stream, causes exit status 1"
        " if it would buffer a stream.",
        True,
        default=False,
    ),
    Key(
        "format",
        Many(
            Made(
                Text(
                    "the name of a format, or `NAME=FILE`",
                    _format,
                    f"^({'|'.join(FORMATS)})(=.*)?$",
                ),
                _report,
            )
        ),
        f"How findings are written, and where: {', '.join(f'`{name}`' for name in FORMATS)}. One"
        " of them may go to standard output. A file is written only where there is none, or an"
        " older report of ours, and never to a hidden file or folder.",
        ["text", "sarif=streams.sarif"],
        default="text",
        option="--format",
        field="formats",
    ),
    Key(
        "baseline",
        FilePath("a file"),
        "Findings that are known and not reported.",
        "streams.baseline.json",
        unset="none",
        option="--baseline",
    ),
    Key(
        "overrides",
        Many(Made(_OVERRIDE, _override)),
        "What is different for some files; the last one that covers a file wins. Severity and"
        " ignored rules hold for the findings that point into these files, version and timeout for"
        " the locations written in them (which clients there are is decided by the version of the"
        " main file), streams for their servers, and for their locations in the servers of others.",
        [
            {"paths": "legacy/", "severity": {"short-read-timeout": "note"}},
            {"paths": ["edge/*.conf"], "nginx_version": "1.29.7", "streams": ["/events"]},
        ],
        unset="none",
    ),
)

SETTINGS = Record("settings", KEYS)
