"""Random configurations whose every location is answered by the dripping upstream.

Settings that decide about delivery are strewn over http, server, location and nested location, so
that inheritance is tried along with the delivery itself.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from nginx_stream_lint.nginx.delivery import Scenario
from nginx_stream_lint.probe import NginxBinary

CLIENTS = ("h1", "h1-tls", "h2")
FRAMINGS = ("chunked", "chunked", "close", "length")
ACCELS = ("absent", "absent", "absent", "no", "yes")
ENCODINGS = ("identity", "identity", "gzip")


@dataclass(frozen=True)
class Case:
    """A URI of a generated configuration, the ports of its server, and how it is asked for."""

    uri: str
    plain: int
    tls: int
    scenario: Scenario
    family: str  # of the location that the case is about; another one may get the request

    @property
    def port(self) -> int:
        return self.plain if self.scenario.client == "h1" else self.tls


@dataclass
class Generated:
    """A configuration, the files it includes by name, and what to ask of it."""

    text: str = ""
    files: dict[str, str] = field(default_factory=dict)
    cases: list[Case] = field(default_factory=list)
    number: int = 0
    marks: int = 0


class Generator:
    """Configurations for one nginx; the same seed gives the same ones."""

    def __init__(self, binary: NginxBinary, seed: int, ports: Mapping[str, int]) -> None:
        self.binary = binary
        self.random = random.Random(seed)
        self.ports = ports
        self.new = binary.version >= (1, 29, 4)

    def chance(self, probability: float) -> bool:
        """Throw a weighted coin."""
        return self.random.random() < probability

    def settings(self, weight: float, in_location: bool = True) -> list[str]:
        """Directives for one level; `weight` is how likely each is."""
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
            rows.append(f"proxy_cache {pick(('c', 'off'))};")
        if self.chance(weight * 0.5):
            rows.append(f"proxy_cache_valid {pick(('1h', '200 1h', '404 1h', 'any 1h'))};")
        if self.binary.has("lua") and self.chance(weight * 0.4):
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
        """What decides whether a filter takes an answer, beside its type."""
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
        if self.binary.has("http_sub"):
            if self.chance(weight * 0.5):
                text = pick(("\\nevent", "\\n\\nevent", "never", "data: x"))
                rows.append(f'sub_filter "{text}" "x";')
            if self.chance(weight * 0.7):
                rows.append(f"sub_filter_types {pick(('text/css', 'text/event-stream'))};")
        return rows

    def handler(self, family: str) -> list[str]:
        """The directive that passes requests on, with what its upstream needs."""
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

    def scenario(self, family: str) -> Scenario:
        """How a location is asked for, and how its upstream answers."""
        pick = self.random.choice
        framing = "chunked" if family == "grpc" else pick(FRAMINGS)
        return Scenario(
            client=pick(CLIENTS),  # type: ignore[arg-type]
            framing=framing,  # type: ignore[arg-type]
            x_accel_buffering=pick(ACCELS),  # type: ignore[arg-type]
            accept_encoding=pick(ENCODINGS),  # type: ignore[arg-type]
        )

    def configuration(self, servers: list[tuple[int, int]], locations: int) -> Generated:
        """A configuration with a server for each (plain, TLS) pair of ports, and its cases."""
        made = Generated()
        lines = ["events { worker_connections 2048; }", "http {"]
        lines.append("proxy_cache_path cache keys_zone=c:1m;")
        lines.append("map $arg_way $way { default straight; left round; }")
        lines += self.settings(0.12, in_location=False)
        http2_directive = self.binary.version >= (1, 25, 1)
        for plain, tls in servers:
            lines += ["server {", f"listen 127.0.0.1:{plain};"]
            lines.append(f"listen 127.0.0.1:{tls} ssl{'' if http2_directive else ' http2'};")
            if http2_directive:
                lines.append("http2 on;")
            lines.append("ssl_certificate certificate.pem; ssl_certificate_key key.pem;")
            lines += self.settings(0.15, in_location=False)
            for _ in range(locations):
                made.number += 1
                family = self.family()
                uri = self.location(made, family, lines)
                made.cases.append(Case(uri, plain, tls, self.scenario(family), family))
            lines.append("}")
        lines.append("}")
        made.text = "\n".join(lines) + "\n"
        return made

    def block(self, made: Generated, family: str, weight: float = 0.3) -> str:
        """What stands in a location that passes requests on, with a mark of its own."""
        own = self.settings(weight)
        if family == "http2":
            own = [row for row in own if not row.startswith("proxy_http_version")]
        rows = [*own, *self.handler(family), self.mark(made)]
        self.random.shuffle(rows)
        if self.chance(0.15):
            name = f"own-{len(made.files)}.inc"
            made.files[name] = "\n".join(rows) + "\n"
            return f"include {name};"
        return " ".join(rows)

    def mark(self, made: Generated) -> str:
        """A header that tells which block answered."""
        made.marks += 1
        return f"add_header X-Where {made.marks};"

    def location(self, made: Generated, family: str, lines: list[str]) -> str:
        """Add one way to a handler to a server's lines; gives the URI that takes it."""
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
            # gzip may be set in an if, buffering may not; a handler of its own, too.
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
