"""How many streams `limit_conn` and `limit_req` allow one client.

nginx counts each stream of an HTTP/2 connection. Requests with an empty key are not counted.
"""

from __future__ import annotations

import re

from msgspec import Struct

from nginx_stream_lint.nginx.delivery import Settings
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.util.numbers import whole_number

# Variables that are never empty, and variables that differ for each request.
_ALWAYS_THERE = (
    r"\$\{?(?:binary_remote_addr|remote_addr|realip_remote_addr|proxy_add_x_forwarded_for"
    r"|server_name|server_port|server_addr|server_protocol|protocol|scheme|host|http_host"
    r"|request_method|uri|request_uri|request)\b"
)
_ONE_EACH = r"\$\{?(?:request_id|connection_requests|msec|request_time)\b"
_VARIABLE = r"\$(?:\w+|\{\w+\})"
_SERVER_NAME = r"\$(?:server_name\b|\{server_name\})"
_NAMES = ("limit_conn", "limit_req")


class StreamLimit(Struct, frozen=True):
    """The row of a `directive` that allows the fewest streams: `streams` for each value of `key`.

    `limit_conn` counts concurrent streams, `limit_req` those that start at once. `key` is empty if
    it is not visible. `row` are the row's arguments.
    """

    directive: str
    streams: int
    key: str
    row: tuple[str, ...]

    def raised(self, streams: int) -> str:
        """The row's arguments for more streams."""
        if self.directive == "limit_conn":
            return f"{self.row[0]} {streams}"
        others = [arg for arg in self.row if not arg.startswith(("burst=", "zone="))]
        zone = next(arg for arg in self.row if arg.startswith("zone="))
        return " ".join((zone, f"burst={streams}", *others))


def stream_limit(level: Level, settings: Settings) -> StreamLimit | None:
    """The limit in force at a level that allows the fewest streams; None if there is none."""
    found = [
        limit
        for name in _NAMES
        if settings(f"{name}_dry_run").text.lower() != "on"
        for row in settings(name).rows
        if (limit := _limit(level, name, row)) is not None
    ]
    return min(found, key=lambda one: one.streams, default=None)


def _limit(level: Level, name: str, row: tuple[str, ...]) -> StreamLimit | None:
    if name == "limit_conn":
        zone, number = row[0], whole_number(row[-1])
    else:
        words = dict(arg.partition("=")[::2] for arg in row)
        zone = words.get("zone", "")
        burst = whole_number(words.get("burst", "0"))
        number = None if burst is None else burst + 1
    if number is None or not zone:
        return None
    key = _key(level, f"{name}_zone", zone)
    if key is not None and not _counts(key, level):
        return None
    return StreamLimit(name, number, key or "", row)


def _counts(key: str, level: Level) -> bool:
    """Whether the requests of a client, as far as visible, have a single key."""
    server = level.nearest("server")
    if server is not None and not server.rows.get("server_name"):
        key = re.sub(_SERVER_NAME, "", key)  # it is empty there
    if re.search(_ONE_EACH, key):
        return False
    return re.sub(_VARIABLE, "", key) != "" or re.search(_ALWAYS_THERE, key) is not None


def _key(level: Level, definer: str, zone: str) -> str | None:
    """The key of a zone; None if the zone's definition is not visible."""
    around = level.nearest("http", "stream")
    for row in around.rows.get(definer, ()) if around is not None else ():
        if any(arg.partition("=")[2].partition(":")[0] == zone for arg in row.args[1:]):
            return row.args[0]
    return None
