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
from nginx_stream_lint.report import FORMATS, format_of
from nginx_stream_lint.rules.finding import SEVERITIES
from nginx_stream_lint.rules.policy import WORTHS
from nginx_stream_lint.settings.node import Node
from nginx_stream_lint.settings.types import (
    ByRule,
    Choice,
    Converted,
    Either,
    FilePath,
    Flag,
    Key,
    ListOf,
    Mounts,
    Record,
    RuleName,
    SettingsFile,
    Text,
    inside,
    pattern_inside,
    shortened,
)
from nginx_stream_lint.streams.declaration_syntax import declaration, declared_request
from nginx_stream_lint.streams.declarations import Declaration, SettingsPosition
from nginx_stream_lint.streams.stream import KINDS
from nginx_stream_lint.util.git import Patterns, Steps, as_bytes

# Steps to match the files of one override with its patterns: a third of a second.
_MAX_STEPS = 1_000_000


def timeout_s(text: str) -> float:
    """Parse a time such as `300s` or `5m` to seconds. Raises ValueError."""
    time = parse_time(text)
    if time is None:
        raise ValueError(f'"{text}" is not a time such as 300s')
    return time


def _path(text: str) -> str:
    declared_request(text)
    return text


def _format(text: str) -> str:
    format_of(text)
    return text


def _report(text: str, settings_file: SettingsFile) -> str:
    """Check a report target, whose file settings must be allowed to write. Raises ValueError."""
    file = text.partition("=")[2]
    if file in ("", "-"):
        return text
    path = inside(file, settings_file)
    key = settings_file.workspace.key
    below = os.path.relpath(key(str(path)), key(str(settings_file.file.parent)))
    if any(part.startswith(".") for part in below.split(os.sep)):
        raise ValueError(f"{shortened(file)} is hidden; choose a file that is not")
    if settings_file.workspace.is_link(str(path)):
        raise ValueError(f"{shortened(file)} is a link; choose a regular file")
    return text


def _tier(text: str, settings_file: SettingsFile) -> str:
    """The path of a configuration, or the name of a product. Raises ValueError."""
    from nginx_stream_lint.tiers.products import product_named

    path = str(inside(text, settings_file))
    product = None if settings_file.workspace.exists(path) else product_named(text)
    return path if product is None else product.name


def _pattern(text: str) -> str:
    # comments and empty lines of gitignore match nothing
    if text.startswith("#") or not text.strip("!/ "):
        raise ValueError(f'"{text}" is not a path pattern')
    return text


def _globs(patterns: tuple[str, ...], settings_file: SettingsFile) -> Callable[[str], bool]:
    """A function that matches a file against patterns, by its own name and its link target."""
    ignore = Patterns(map(as_bytes, patterns), Steps(_MAX_STEPS))
    folder, key = os.path.abspath(settings_file.file.parent), settings_file.workspace.key
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


def _stream(entry: object, settings_file: SettingsFile) -> Declaration:
    return declaration(entry, f"{settings_file.file.name} declares it")


class _Declared(Converted, frozen=True):
    """A declaration with its position in the settings."""

    def read(self, node: Node, settings_file: SettingsFile) -> Declaration:
        found: Declaration = super().read(node, settings_file)
        return replace(
            found,
            place=SettingsPosition(
                str(settings_file.file), settings_file.text, node.line, node.column
            ),
        )


TIME = Text("a time such as `300s`", timeout_s, r"^(?=.*[0-9])[0-9yMwdhms ]+$", number=True)
VERSION = Text(
    "a version such as `1.29.7`", parse_version, r"^(nginx/)?[0-9]{1,4}\.[0-9]{1,4}(\.[0-9]{1,4})?$"
)
_PATTERN = Text("a path pattern", _pattern)

_STREAM_PATH = Text(
    "a path that starts with `/`, or a URL", _path, "^(/|[hH][tT][tT][pP][sS]?://[^/?])"
)
STREAM_KEYS = (
    Key("path", _STREAM_PATH, "Path or URL.", "/v1/chat"),
    Key(
        "kind",
        Choice(KINDS),
        "Kind of stream.",
        "chunked",
        unset="from the catalogue, the path or the directives; otherwise `sse`",
    ),
    Key(
        "framing",
        Choice(FRAMINGS),
        "How the app marks the end of its response.",
        "close",
        unset="unknown",
    ),
    Key(
        "x_accel_buffering",
        Choice(ACCEL_BUFFERINGS),
        "`X-Accel-Buffering` header that the app sends.",
        "no",
        unset="unknown",
    ),
    Key("heartbeat", TIME, "Longest silence of the app.", "15s", unset="unknown"),
    Key(
        "accepts",
        ListOf(Choice(CLIENTS)),
        "The only kinds of clients that use it.",
        ["h2"],
        unset="all",
    ),
    Key(
        "method",
        Text("a request method"),
        "The only HTTP method that it supports.",
        "POST",
        unset="all",
    ),
    Key(
        "client_streams",
        Flag(),
        "Whether the client keeps sending during the stream, as in gRPC client streaming.",
        True,
        default=False,
    ),
)

STREAMS = ListOf(
    _Declared(
        Either(_STREAM_PATH, Record("a stream", STREAM_KEYS, required=("path",))),
        _stream,
    )
)

SEVERITY = Key(
    "severity",
    ByRule(Choice(WORTHS)),
    "Severity of a rule's findings; `off` disables the rule. A location that is checked although"
    " nothing suggests that it streams never gets an error, even if this setting is `error`.",
    {"browser-connection-limit": "off", "reload-cut": "warning"},
    unset="as in the rules",
)
IGNORE = Key(
    "ignore",
    ListOf(RuleName()),
    "Rules to skip. `--ignore` adds to this list, `--select` overrides it.",
    ["nagle-delay"],
    unset="none",
    option="--ignore",
    adds=True,
)
NGINX_VERSION = Key(
    "nginx_version",
    VERSION,
    "nginx version in production. nginx 1.29.7 changed defaults that matter for streams.",
    "1.26.2",
    unset="nginx older than 1.29.7 is assumed",
    option="--nginx-version",
)
MIN_READ_TIMEOUT = Key(
    "min_read_timeout",
    TIME,
    "Silence that a stream must survive.",
    "120s",
    default="300s",
    option="--min-read-timeout",
    field="min_read_timeout_s",
)
STREAMS_KEY = Key(
    "streams",
    STREAMS,
    "Paths or URLs that stream, optionally with properties of their app. A path applies to all"
    " servers, a URL to its own server. In each server, the settings apply to the location that"
    " nginx chooses for the path. It is an error if nginx does not pass the path to an app."
    " `--stream` adds to this list.",
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
        ListOf(_PATTERN, at_least=1),
        "Files that the override applies to: patterns as in a `.gitignore`, relative to the folder"
        " of the settings file. A link matches by its own name and by the name of its target.",
        ["legacy/", "/deploy/**/*.conf"],
    ),
    SEVERITY,
    IGNORE,
    STREAMS_KEY,
    NGINX_VERSION,
    MIN_READ_TIMEOUT,
)
_OVERRIDE = Record("an override", OVERRIDE_KEYS, required=("paths",), more=True)


def _override(values: dict[str, Any], settings_file: SettingsFile) -> dict[str, Any]:
    return values | {"paths": _globs(values["paths"], settings_file)}


KEYS = (
    STREAMS_KEY,
    NGINX_VERSION,
    MIN_READ_TIMEOUT,
    Key(
        "roots",
        ListOf(FilePath("a path pattern", pattern_inside)),
        "Main files, if they have no `http` block to recognize them by.",
        ["deploy/nginx.conf"],
        unset="files with an `http` block",
    ),
    Key(
        "servers",
        ListOf(FilePath("a path pattern", pattern_inside)),
        "Files that a main file outside this repository includes in its `http` block.",
        ["deploy/conf.d/*.conf"],
        unset="none",
    ),
    Key(
        "mounts",
        Mounts(),
        "Absolute paths on the machine that runs nginx, and the files or folders here that contain"
        " the same files. They are used for absolute paths in `include`. `--mount PATH=FOLDER`"
        " adds to them.",
        {"/etc/nginx": "deploy/nginx"},
        unset="files are found by the last parts of the absolute path",
        option="--mount",
        adds=True,
    ),
    Key(
        "tiers",
        ListOf(Converted(Text("the path of a configuration, or a product"), _tier)),
        "The chain of proxies that a request passes, the one next to the app first. An nginx is"
        " named by its configuration, any other proxy by its product, such as `cloudflare` or"
        " `alb`. Each nginx passes its requests to the one before it in the list. If a target's"
        " port belongs to another nginx nearer to the app, the request goes to that one.",
        ["app/nginx.conf", "edge/nginx.conf", "cloudflare"],
        unset="only servers of the same configuration",
        option="--through",
    ),
    Key(
        "absent_includes",
        ListOf(Text("a pattern of include arguments")),
        "Includes that are not in this repository and do not affect streams.",
        ["/etc/nginx/ssl/*"],
        unset="none",
    ),
    Key(
        "env_file",
        FilePath("a file"),
        "File with `NAME=VALUE` lines: the values of `${NAME}` in templates.",
        "deploy/.env",
        unset="all values are unknown",
        option="--env-file",
    ),
    Key(
        "markdown",
        Flag(),
        "Whether to check the nginx blocks of Markdown files, too.",
        True,
        default=False,
        option="--markdown",
    ),
    Key(
        "rules",
        ListOf(FilePath("a folder")),
        "Folders with your own rules, in addition to the built-in ones. `--rules` adds one.",
        ["lint/rules"],
        unset="only the built-in rules",
        option="--rules",
        adds=True,
    ),
    Key(
        "select",
        ListOf(RuleName()),
        "The only rules to run.",
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
        "Whether a proxied location that would buffer a stream causes exit status 1 even if"
        " nothing suggests that it streams.",
        True,
        default=False,
    ),
    Key(
        "format",
        ListOf(
            Converted(
                Text(
                    "the name of a format, or `NAME=FILE`",
                    _format,
                    f"^({'|'.join(FORMATS)})(=.*)?$",
                ),
                _report,
            )
        ),
        "Report formats, and optionally the file for each:"
        f" {', '.join(f'`{name}`' for name in FORMATS)}. Only one of them can go to standard"
        " output. Only an earlier report is overwritten, no other file, and nothing is written to"
        " hidden files or folders.",
        ["text", "sarif=streams.sarif"],
        default="text",
        option="--format",
        field="formats",
    ),
    Key(
        "baseline",
        FilePath("a file"),
        "File with known findings, which are not reported.",
        "streams.baseline.json",
        unset="none",
        option="--baseline",
    ),
    Key(
        "overrides",
        ListOf(Converted(_OVERRIDE, _override)),
        "Different settings for some files; the last override that matches a file wins. `severity`"
        " and `ignore` apply to findings in these files, `nginx_version` and `min_read_timeout` to"
        " locations in them. (Which clients a server supports depends on the version for the main"
        " file.) `streams` applies to servers in these files, and to their locations even if the"
        " server is in another file.",
        [
            {"paths": "legacy/", "severity": {"short-read-timeout": "note"}},
            {"paths": ["edge/*.conf"], "nginx_version": "1.29.7", "streams": ["/events"]},
        ],
        unset="none",
    ),
)

SETTINGS = Record("settings", KEYS)
