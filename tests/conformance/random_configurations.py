"""Random configurations whose every location is answered by the dripping upstream.

Settings that decide about delivery are strewn over http, server, location and nested location, so
that inheritance is tried along with the delivery itself.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

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
    family: str

    @property
    def port(self) -> int:
        return self.plain if self.scenario.client == "h1" else self.tls


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
        if not in_location and self.chance(weight * 0.7):
            rows.append(f"ssl_buffer_size {pick(('4k', '16k'))};")
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

    def configuration(
        self, servers: list[tuple[int, int]], locations: int
    ) -> tuple[str, list[Case]]:
        """A configuration with a server for each (plain, TLS) pair of ports, and its cases."""
        cases: list[Case] = []
        lines = ["events { worker_connections 2048; }", "http {"]
        lines.append("proxy_cache_path cache keys_zone=c:1m;")
        lines += self.settings(0.12, in_location=False)
        number = 0
        http2_directive = self.binary.version >= (1, 25, 1)
        for plain, tls in servers:
            lines += ["server {", f"listen 127.0.0.1:{plain};"]
            lines.append(f"listen 127.0.0.1:{tls} ssl{'' if http2_directive else ' http2'};")
            if http2_directive:
                lines.append("http2 on;")
            lines.append("ssl_certificate certificate.pem; ssl_certificate_key key.pem;")
            lines += self.settings(0.15, in_location=False)
            for _ in range(locations):
                number += 1
                family = self.family()
                own = self.settings(0.3)
                handler = self.handler(family)
                if family == "http2":
                    own = [row for row in own if not row.startswith("proxy_http_version")]
                rows = [*own, *handler]
                self.random.shuffle(rows)
                uri = f"/{number}/"
                if self.chance(0.3):
                    outer = self.settings(0.2)
                    inner = f"location {uri}in {{ {' '.join(rows)} }}"
                    lines.append(f"location {uri} {{ {' '.join(outer)} {inner} }}")
                    uri += "in"
                else:
                    lines.append(f"location {uri} {{ {' '.join(rows)} }}")
                scenario = self.scenario(family)
                cases.append(Case(uri, plain, tls, scenario, family))
            lines.append("}")
        lines.append("}")
        return "\n".join(lines) + "\n", cases
