"""Random configurations in which the dripping upstream handles every location.

Settings that affect delivery are distributed over http, server, location and nested location, so
inheritance is tested, too.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nginx_stream_lint.nginx.delivery import Scenario
from nginx_stream_lint.probe import NginxBinary

CLIENTS = ("h1", "h1", "h1-tls", "h2")
FRAMINGS = ("chunked", "chunked", "close", "length")
MOSTLY_CHUNKED = ("chunked",) * 5 + FRAMINGS
ACCELS = ("absent", "absent", "absent", "no", "yes")
ENCODINGS = ("identity", "identity", "gzip")


FAMILIES = ("proxy", "fastcgi", "uwsgi", "scgi")
VALIDS: tuple[tuple[str, ...], ...] = (
    ("1h",),
    ("1h",),
    ("any 1h",),
    ("200 302 1h",),
    ("404 1h",),
    ("200 0", "any 1h"),
    ("404 0", "any 1h"),
    ("any 1h", "200 0"),
    ("any 0", "1h"),
    ("404 1m", "200 0", "1h"),
    (),
    (),
    (),
)
CONDITIONS = (
    "$arg_fresh",
    "$arg_fresh $cookie_session",
    "$s{number}",
    "$s{number} 0",
    "$fresh",
    "$fresh",
    '"" $http_pragma',
    "0",
    "1",
    "1",
    "$http_user_agent",
    "$request_id",
    "$arg_nothing$arg_fresh",
    "$upstream_http_content_type",
    "$upstream_http_content_type",
)
# Each contains the number of the URL, so that no two cases share a recording.
KEYS = (
    "$request_uri",
    "$uri$arg_n",
    "$request_uri$request_id",
    "$request_uri$connection",
    "$request_uri$s{number}",
    "$uri$each",
    "$scheme$host$request_uri$remote_addr$http_user_agent",
)


@dataclass(frozen=True)
class Case:
    """A URI of a generated configuration, the ports of its server, and its request.

    `tls` is None if the server has no TLS. With `allows`, the headers of the app allow recording,
    unless other settings decide.
    """

    uri: str
    plain: int
    tls: int | None
    scenario: Scenario
    family: str  # of the location that the case tests; another location may handle the request
    method: str = "GET"
    allows: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether the request comes without TLS."""
        return self.tls is None or self.scenario.client == "h1"

    @property
    def port(self) -> int:
        return self.plain if self.is_plain or self.tls is None else self.tls

    def url(self, number: int) -> str:
        """A URL that is unique for each number, so that no recording of another request exists."""
        scheme = "http" if self.is_plain else "https"
        return f"{scheme}://127.0.0.1:{self.port}{self.path(number)}"

    def path(self, number: int) -> str:
        """The path and query of that URL."""
        return f"{self.uri}{'&' if '?' in self.uri else '?'}n={number}"


@dataclass
class Generated:
    """A configuration, the files that it includes by name, and its cases."""

    text: str = ""
    files: dict[str, str] = field(default_factory=dict)
    cases: list[Case] = field(default_factory=list)
    number: int = 0
    marks: int = 0


class Generator:
    """Generates configurations for one nginx; equal seeds give equal ones."""

    def __init__(self, binary: NginxBinary, seed: int, ports: Mapping[str, int]) -> None:
        self.binary = binary
        self.random = random.Random(seed)
        self.ports = ports
        self.new = binary.version >= (1, 29, 4)
        # Lua removes the marks by which sub_filter finds the ends of pieces, so only one is used.
        self.lua = binary.has("lua") and self.chance(0.5)

    def chance(self, probability: float) -> bool:
        """Return true with a probability."""
        return self.random.random() < probability

    def settings(self, weight: float, in_location: bool = True) -> list[str]:
        """Directives for one level; `weight` is the probability of each."""
        pick = self.random.choice
        rows: list[str] = []
        for family in ("proxy", "fastcgi", "uwsgi", "scgi"):
            if self.chance(weight):
                rows.append(f"{family}_buffering {pick(('on', 'off'))};")
            if self.chance(weight * 0.6):
                ignored = pick(("X-Accel-Buffering", "Expires", "Expires X-Accel-Buffering"))
                rows.append(f"{family}_ignore_headers {ignored};")
        if self.chance(weight):
            rows.append(f"proxy_http_version {pick(('1.0', '1.1', '1.1'))};")
        if self.chance(weight):
            rows.append(f"fastcgi_keep_conn {pick(('on', 'off'))};")
        if self.chance(weight):
            rows.append(f"gzip {pick(('on', 'off'))};")
        if self.chance(weight):
            types = pick(
                ("text/event-stream", "application/json", "text/css text/event-stream", "*")
            )
            rows.append(f"gzip_types {types};")
        rows += self.filters(weight)
        if not in_location and self.chance(weight * 0.7):
            rows.append(f"ssl_buffer_size {pick(('64', '200', '4k', '16k'))};")
        if self.chance(weight * 0.5):
            rows.append(f"postpone_output {pick(('0', '1460', '4000'))};")
        if self.chance(weight * 0.5):
            rows.append(f"sendfile {pick(('on', 'on', 'off'))};")
        if self.chance(weight * 0.3):
            rows.append(f"ssi {pick(('on', 'off'))};")
        if self.chance(weight * 0.3):
            rows.append("ssi_types text/event-stream;")
        if self.chance(weight * 0.5):
            rows += self.recorder(pick(FAMILIES))
        if self.lua and self.chance(weight * 0.4):
            rows.append("body_filter_by_lua_block { ngx.arg[1] = ngx.arg[1] }")
        if self.binary.has("brotli"):
            if self.chance(weight * 0.5):
                rows.append(f"brotli {pick(('on', 'off'))};")
            if self.chance(weight * 0.5):
                rows.append("brotli_types text/event-stream;")
        for harmless in (
            "tcp_nopush on;",
            "tcp_nodelay off;",
            "add_header X-Accel-Buffering no;",
            "proxy_set_header X-Accel-Buffering no;",
            'proxy_set_header Connection "";',
            "proxy_hide_header X-Accel-Buffering;",
            "proxy_pass_header X-Accel-Buffering;",
            "proxy_request_buffering off;",
        ):
            if self.chance(weight * 0.15):
                rows.append(harmless)
        self.random.shuffle(rows)
        return rows

    def filters(self, weight: float) -> list[str]:
        """Settings that decide whether a filter processes a response, in addition to its type."""
        pick = self.random.choice
        everybody = '"^(Mozilla|OpenAI|python|node|Go-http|curl)"'
        rows: list[str] = []
        if self.chance(weight * 0.5):
            rows.append(f"gzip_disable {pick(('.', everybody, 'msie6', 'MSIE'))};")
        if self.chance(weight * 0.5):
            rows.append(f"gzip_min_length {pick(('0', '100', '10k'))};")
        if self.chance(weight * 0.3):
            rows.append(f"gzip_http_version {pick(('1.0', '1.1'))};")
        if self.binary.has("brotli") and self.chance(weight * 0.3):
            rows.append(f"brotli_min_length {pick(('0', '100', '10k'))};")
        if self.binary.has("http_sub") and not self.lua:
            if self.chance(weight * 0.5):
                text = pick(("\\nevent", "\\n\\nevent", "never", "data: x"))
                rows.append(f'sub_filter "{text}" "x";')
            if self.chance(weight * 0.7):
                rows.append(f"sub_filter_types {pick(('text/css', 'text/event-stream'))};")
        return rows

    def recorder(self, family: str) -> list[str]:
        """Settings that make nginx record responses of a family, or not."""
        cache = f"{family}_cache {family};"
        ways: tuple[tuple[str, ...], ...] = (
            *[(cache,)] * 4,
            (cache, f"{family}_store off;"),
            (f"{family}_store on;",),
            (f"{family}_store on;", f"{family}_cache off;"),
            (f"{family}_cache off;",),
            (f"{family}_store off;",),
            (f"{family}_cache $zone_{family};",),
        )
        rows = list(self.random.choice(ways))
        for valid in self.random.choice(VALIDS):
            rows.append(f"{family}_cache_valid {valid};")
        return rows

    def which_are_recorded(self, family: str, number: int) -> list[str]:
        """A cache's conditions, key, minimal number of uses, and methods."""
        pick = self.random.choice
        rows: list[str] = []
        conditions = [one.format(number=number) for one in CONDITIONS]
        for name in ("no_cache", "cache_bypass"):
            if self.chance(0.4):
                rows.append(f"{family}_{name} {pick(conditions)};")
        if self.chance(0.4):
            rows.append(f"{family}_cache_key {pick(KEYS).format(number=number)};")
        if self.chance(0.3):
            rows.append(f"{family}_cache_min_uses {pick('0123')};")
        if self.chance(0.3):
            rows.append(f"{family}_cache_methods {pick(('POST', 'GET', 'GET HEAD POST'))};")
        if self.chance(0.2):
            rows.append(f"{family}_ignore_headers Cache-Control Expires X-Accel-Expires;")
        if any(f"$s{number}" in row for row in rows):
            rows.append(f"set $s{number} {pick(('$arg_fresh', '$request_id', '0', '1'))};")
        return rows

    def handler(self, family: str) -> list[str]:
        """The directive that proxies requests, with the settings that its upstream needs."""
        ports = self.ports
        if family == "http2":
            return ["proxy_http_version 2;", f"proxy_pass http://127.0.0.1:{ports['h2c']};"]
        return {
            "proxy": [f"proxy_pass http://127.0.0.1:{ports['http']};"],
            "grpc": [f"grpc_pass 127.0.0.1:{ports['h2c']};"],
            "fastcgi": [f"fastcgi_pass 127.0.0.1:{ports['fastcgi']};"],
            "uwsgi": [f"uwsgi_pass 127.0.0.1:{ports['uwsgi']};"],
            "scgi": [f"scgi_pass 127.0.0.1:{ports['scgi']};"],
        }[family]

    def family(self) -> str:
        """A family, proxy more often than the others."""
        families = ["proxy"] * 6 + ["fastcgi"] * 2 + ["uwsgi", "scgi", "grpc"]
        return self.random.choice([*families, "http2"] if self.new else families)

    def with_arguments(self, uri: str) -> str:
        """A URI with query arguments that conditions and zones may use."""
        for argument in ("fresh=1", self.random.choice(("fresh=0", "zone=off", "zone=any"))):
            if self.chance(0.4):
                uri += f"{'&' if '?' in uri else '?'}{argument}"
        return uri

    def scenario(
        self, family: str, clients: Sequence[str] = CLIENTS, framings: Sequence[str] = FRAMINGS
    ) -> Scenario:
        """The request to a location, and the response of its upstream."""
        pick = self.random.choice
        framing = "chunked" if family == "grpc" else pick(framings)
        return Scenario(
            client=pick(clients),  # type: ignore[arg-type]
            framing=framing,  # type: ignore[arg-type]
            x_accel_buffering=pick(ACCELS),  # type: ignore[arg-type]
            accept_encoding=pick(ENCODINGS),  # type: ignore[arg-type]
        )

    def configuration(self, servers: list[tuple[int, int]], locations: int) -> Generated:
        """A configuration with a server for each (plain, TLS) pair of ports, and its cases."""
        made = Generated()
        lines = ["events { worker_connections 2048; }", "http {"]
        for name in FAMILIES:
            lines.append(f"{name}_cache_path cache-{name} keys_zone={name}:1m;")
            lines.append(f"{name}_cache_key $request_uri;" if name != "proxy" else "")
            lines.append(f"map $arg_zone $zone_{name} {{ any {name}; off off; }}")
        lines.append("map $arg_way $way { default straight; left round; }")
        lines.append("map $arg_fresh $fresh { default 0; 1 1; }")
        lines.append("map $arg_fresh $each { default $arg_n; 1 $arg_n$request_id; }")
        lines += self.settings(0.12, in_location=False)
        http2_directive = self.binary.version >= (1, 25, 1)
        parameter = "" if http2_directive else " http2"
        for at, (plain, tls) in enumerate(servers):
            # The last server has HTTP/2 without TLS; before nginx 1.25.1, such a server has no
            # HTTP/1.
            is_clear = at == len(servers) - 1
            lines += ["server {", f"listen 127.0.0.1:{plain}{parameter if is_clear else ''};"]
            if not is_clear:
                lines.append(f"listen 127.0.0.1:{tls} ssl{parameter};")
                lines.append("ssl_certificate certificate.pem; ssl_certificate_key key.pem;")
            if http2_directive:
                lines.append("http2 on;")
            lines += self.settings(0.15, in_location=False)
            for _ in range(locations):
                made.number += 1
                family = self.family()
                uri = self.with_arguments(self.location(made, family, lines))
                clients = CLIENTS
                if is_clear:
                    clients = ("h2", "h1", "h2", "h1") if http2_directive else ("h2",) * 4
                scenario = self.scenario(family, clients, MOSTLY_CHUNKED if is_clear else FRAMINGS)
                method = self.random.choice(("GET", "GET", "GET", "POST"))
                allows = self.chance(0.5)
                port = None if is_clear else tls
                made.cases.append(Case(uri, plain, port, scenario, family, method, allows))
            lines.append("}")
        lines.append("}")
        made.text = "\n".join(lines) + "\n"
        return made

    def block(self, made: Generated, family: str, weight: float = 0.3) -> str:
        """The content of a proxied location, with a unique mark."""
        own = self.settings(weight)
        if family == "http2":
            own = [row for row in own if not row.startswith("proxy_http_version")]
        recorded = {"http2": "proxy", "grpc": ""}.get(family, family)
        if recorded and self.chance(0.7):
            more = self.recorder(recorded) if self.chance(0.9) else []
            more += self.which_are_recorded(recorded, made.marks)
            # A stream that is not held unless it is recorded.
            if self.chance(0.8):
                more.append("sendfile on;")
            if self.chance(0.6):
                more.append(f"{recorded}_buffering on;")
            if self.chance(0.8) and family in ("proxy", "fastcgi"):
                pieces = {"proxy": "proxy_http_version 1.1;", "fastcgi": "fastcgi_keep_conn on;"}
                more.append(pieces[family])
            names = {row.split()[0] for row in more}
            own = [row for row in own if row.split()[0] not in names] + more
            if not names.isdisjoint((f"{recorded}_cache", f"{recorded}_store")):
                # If both levels set it, only the setting of this level remains.
                more_rows = set(more)
                own = [row for row in own if row in more_rows or not _records(row, recorded)]
        rows = [*own, *self.handler(family), self.mark(made)]
        self.random.shuffle(rows)
        if self.chance(0.15):
            name = f"own-{len(made.files)}.inc"
            made.files[name] = "\n".join(rows) + "\n"
            return f"include {name};"
        return " ".join(rows)

    def mark(self, made: Generated) -> str:
        """A header that identifies the block that responds."""
        made.marks += 1
        return f"add_header X-Where {made.marks};"

    def location(self, made: Generated, family: str, lines: list[str]) -> str:
        """Add a location for a handler to the lines of a server. Returns a URI that it handles."""
        uri = f"/{made.number}/"
        block = self.block(made, family)
        way = self.random.choice(
            ("plain", "plain", "nested", "if", "named", "error", "regex", "rewrite", "exact", "map")
        )
        if way == "plain":
            lines.append(f"location {uri} {{ {block} }}")
        elif way == "nested":
            outer = " ".join(self.settings(0.2))
            lines.append(f"location {uri} {{ {outer} location {uri}in {{ {block} }} }}")
            uri += "in"
        elif way == "if":
            # An `if` may contain gzip but not buffering; it may also contain a handler.
            inner = [self.mark(made), *(["gzip on;"] if self.chance(0.3) else [])]
            if self.chance(0.4) and family in ("proxy", "http2"):
                inner += self.handler("proxy" if family == "proxy" else family)[-1:]
            lines.append(f"location {uri} {{ {block} if ($arg_alt) {{ {' '.join(inner)} }} }}")
            uri += self.random.choice(("?alt=1", "?alt=0", "?other=1", ""))
        elif way == "named":
            lines.append(f"location {uri} {{ {' '.join(self.settings(0.2))}")
            lines.append(f"try_files /nothing/here @n{made.number}; }}")
            lines.append(f"location @n{made.number} {{ {block} }}")
        elif way == "error":
            lines.append(f"location {uri} {{ error_page 418 = @n{made.number}; return 418; }}")
            lines.append(f"location @n{made.number} {{ {block} }}")
        elif way == "regex":
            decoy = self.block(made, "proxy")
            stop = self.random.choice(("", "^~"))
            lines.append(f"location {stop} {uri}deep/ {{ {decoy} }}")
            lines.append(f"location ~ ^{uri}(deep|flat)/ {{ {block} }}")
            uri += self.random.choice(("deep/x", "flat/x"))
        elif way == "rewrite":
            lines.append(f"rewrite ^/from{uri}(.*)$ {uri}$1 last;")
            lines.append(f"location {uri} {{ {block} }}")
            uri = f"/from{uri}x?a=b"
        elif way == "exact":
            other = self.block(made, "proxy")
            lines.append(f"location = {uri}a {{ {block} }} location {uri} {{ {other} }}")
            uri += self.random.choice(("a", "ab"))
        else:
            lines.append(f"location {uri} {{ if ($way = round) {{ rewrite ^ {uri}in last; }}")
            lines.append(f"{self.block(made, 'proxy')} }}")
            lines.append(f"location {uri}in {{ {block} }}")
            uri += self.random.choice(("?way=left", "?way=right", ""))
        return uri


def _records(row: str, family: str) -> bool:
    return row.startswith((f"{family}_cache ", f"{family}_store "))
