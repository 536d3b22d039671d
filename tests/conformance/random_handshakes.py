"""Random configurations for WebSocket handshakes: maps, set, inheritance, versions, headers.

Settings that affect the handshake are distributed over http, server, location, nested location and
`if`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from nginx_stream_lint.probe import NginxBinary

CONNECTIONS = ("Upgrade", "keep-alive, Upgrade")
# Only the maps after the first one may use it as their source, because nginx refuses cycles.
_SOURCES = ("$http_upgrade", "$http_upgrade", "$http_connection", "$arg_way", "$uri", "$v0", "$m0")
_KEYS = (
    "default", "''", "websocket", "WebSocket", "Upgrade", "upgrade", "~*upgrade", "~^w", "left",
    "close", '"keep-alive, Upgrade"',
)  # fmt: skip
_VALUES = (
    "upgrade", "upgrade", "Upgrade", "close", "''", "''", "keep-alive", "websocket",
    "$http_upgrade", "$http_connection", '"keep-alive, upgrade"', '"$http_upgrade,upgrade"', "$v0",
)  # fmt: skip
_UPGRADES = ("$http_upgrade",) * 20 + (
    "websocket",
    "$connection_upgrade",
    "$v1",
    "$m1",
    "''",
    "h2c",
)
_OPTIONS = ("$connection_upgrade",) * 5 + (
    "upgrade", "upgrade", "upgrade", "upgrade", "Upgrade", "$http_connection", "$http_upgrade",
    "$m0", "$m1", "$m2", "$v0", "$v1", "''", "close", "keep-alive,upgrade", '"$v0, $m1"',
    "upgradex",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A URI of a generated server, by its number, and the Connection header of the client."""

    server: int
    uri: str
    connection: str


class Generator:
    """Generates configurations for one nginx; equal seeds give equal ones."""

    def __init__(self, binary: NginxBinary, seed: int, app: str) -> None:
        self.binary = binary
        self.random = random.Random(seed)
        self.app = app
        self.marks = 0

    def chance(self, probability: float) -> bool:
        """Return true with a probability."""
        return self.random.random() < probability

    def configuration(self, ports: list[int], locations: int) -> tuple[str, list[Case]]:
        """A configuration with a server for each port, and a case for each of its locations."""
        cases: list[Case] = []
        lines = ["events { worker_connections 2048; }", "http {", *self.maps()]
        lines += self.rows(0.1)
        for server, port in enumerate(ports):
            lines += ["server {", f"listen 127.0.0.1:{port};"]
            lines += [*self.sets(), *self.rows(0.15)]
            for number in range(locations):
                uri = self.location(f"/{number}/", lines)
                cases.append(Case(server, uri, self.random.choice(CONNECTIONS)))
            lines.append("}")
        return "\n".join([*lines, "}"]) + "\n", cases

    def maps(self) -> list[str]:
        """The usual map, correct or not, and other maps."""
        pick = self.random.choice
        usual = pick(
            (
                "default upgrade; '' close;",
                "default upgrade; '' close;",
                "default upgrade; '' '';",
                "default upgrade; '' '';",
                "default close; '' upgrade;",
                "websocket upgrade;",
                "default '';",
            )
        )
        made = [f"map $http_upgrade $connection_upgrade {{ {usual} }}"]
        for number in range(3):
            keys = dict.fromkeys(pick(_KEYS) for _ in range(self.random.randint(1, 4)))
            # nginx refuses two keys that differ only in case.
            seen = {key.lower(): key for key in keys}
            rows = " ".join(f"{key} {pick(_VALUES)};" for key in seen.values())
            volatile = "volatile; " if self.chance(0.2) else ""
            source = pick(_SOURCES if number else _SOURCES[:-1])
            made.append(f"map {source} $m{number} {{ {volatile}{rows} }}")
        return made

    def sets(self) -> list[str]:
        """Assignments of the variables $v0 and $v1 by `set` and `if`."""
        pick = self.random.choice
        rows = [f"set $v{number} {pick(_VALUES[:11])};" for number in range(2)]
        if self.chance(0.4):
            rows.append(f"if ({self.condition()}) {{ set $v{pick('01')} {pick(_VALUES[:11])}; }}")
        return rows

    def condition(self) -> str:
        """A condition whose result depends on the handshake."""
        return self.random.choice(
            (
                "$http_upgrade",
                "$http_upgrade = websocket",
                "$http_upgrade ~* ^web",
                "$http_connection ~* upgrade",
                "$http_upgrade = ''",
                "$http_connection = keep-alive",
                "$arg_way = left",
                "$m1",
            )
        )

    def rows(self, weight: float) -> list[str]:
        """Directives for one level; `weight` is the probability of most of them."""
        pick = self.random.choice
        rows: list[str] = []
        if self.chance(weight * 2):
            rows.append(f"proxy_set_header Upgrade {pick(_UPGRADES)};")
            if self.chance(0.85):
                rows.append(f"proxy_set_header Connection {pick(_OPTIONS)};")
            if self.chance(0.1):
                rows.append(f"proxy_set_header Connection {pick(_OPTIONS)};")
            if self.chance(0.05):
                rows.append(f"proxy_set_header upgrade {pick(_UPGRADES)};")
        elif self.chance(weight * 0.5):
            rows.append("proxy_set_header Host $host;")
        if self.chance(weight * 0.15):
            value = pick(("$http_sec_websocket_key", "$http_sec_websocket_key", "''", "x"))
            rows.append(f"proxy_set_header Sec-WebSocket-Key {value};")
            rows.append(f"proxy_set_header Sec-WebSocket-Version {pick(('13', '13', '7'))};")
        if self.chance(weight):
            versions = ["1.0", "1.1", "1.1", "1.1"]
            if self.binary.version >= (1, 29, 4):
                versions.append("2")
            rows.append(f"proxy_http_version {pick(versions)};")
        if self.chance(weight * 0.2):
            rows.append(f"proxy_pass_request_headers {pick(('on', 'off'))};")
        if self.chance(weight * 0.3):
            name = pick(("Upgrade", "UPGRADE", "Sec-WebSocket-Accept", "X-Other"))
            rows.append(f"proxy_hide_header {name};")
        if self.chance(weight * 0.4):
            rows.append(f"proxy_pass_header {pick(('Upgrade', 'Sec-WebSocket-Accept', 'Server'))};")
        if self.chance(weight * 0.2):
            rows.append(f"proxy_method {pick(('GET', 'POST'))};")
        self.random.shuffle(rows)
        return rows

    def block(self, weight: float = 0.45) -> str:
        """The content of a proxied location."""
        rows = [*self.rows(weight), f"proxy_pass {self.app};"]
        if self.chance(0.25):
            rows.append(self.sets()[self.random.randint(0, 1)])
        return " ".join(rows)

    def location(self, uri: str, lines: list[str]) -> str:
        """Add a location for the app to a server's lines. Returns a URI that it handles."""
        pick = self.random.choice
        block = self.block()
        query = pick(("", "", "?way=left", "?way=right"))
        way = pick(("plain", "plain", "plain", "nested", "if", "if", "named", "regex", "rewrite"))
        if way == "nested":
            inner = f"location {uri}in {{ {block} }}"
            lines.append(f"location {uri} {{ {' '.join(self.rows(0.3))} {inner} }}")
            return f"{uri}in{query}"
        if way == "if":
            inside = pick((f"proxy_pass {self.app};", f"set $v0 {pick(_VALUES[:11])};"))
            lines.append(f"location {uri} {{ {block} if ({self.condition()}) {{ {inside} }} }}")
        elif way == "named":
            lines.append(f"location @ws{uri.strip('/')} {{ {block} }}")
            lines.append(f"location {uri} {{ error_page 418 = @ws{uri.strip('/')};")
            lines.append(f"if ({self.condition()}) {{ return 418; }} {self.block()} }}")
        elif way == "regex":
            lines.append(f"location ~ ^{uri} {{ {block} }}")
        elif way == "rewrite":
            lines.append(f"location {uri} {{ if ({self.condition()}) {{ rewrite ^ {uri}x last; }}")
            lines.append(f"{self.block()} }} location = {uri}x {{ {block} }}")
        else:
            lines.append(f"location {uri} {{ {block} }}")
        return f"{uri}{query}"
