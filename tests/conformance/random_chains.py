"""Random chains of two or three tiers of servers, compared with real nginx.

In two thirds of the chains, each tier is an nginx with its own configuration, of any installed
version, in any order. In the others, all tiers are servers of one nginx, which passes requests to
itself. A case is a location in each tier, a client and a response of the app. The verdict of
`explain` for the URL, through all configurations, must be what the client gets. test_chains.py runs
some cases. As a program, this measures any number of cases, prints each difference, and counts how
often each class occurred:

    python -m tests.conformance.random_chains --cases 5000
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from nginx_stream_lint import Explanation, Options, Workspace, explain
from nginx_stream_lint.nginx.delivery import TOKEN_BYTES, Scenario
from nginx_stream_lint.nginx.filters import USER_AGENTS
from nginx_stream_lint.probe import (
    Drip,
    DrippingUpstream,
    Job,
    Measurement,
    Nginx,
    NginxBinary,
    free_ports,
    measure_many,
    write_certificate,
)
from nginx_stream_lint.rules.policy import Override, Policy
from tests.conformance.choosing import add_nginx_option, chosen

CASES = 60  # of a chain
AT_ONCE = 24
CLIENTS = ("h1", "h1", "h1-tls", "h1-tls", "h2")
FRAMINGS = ("chunked", "chunked", "chunked", "close", "length")
ACCELS = ("absent", "absent", "no", "no", "yes")
NAMES = ("one.example", "two.example", "localhost")
_STREAM = "text/event-stream"

# What an `if` in a location may set.
_IN_IF = ("gzip", "add_header", "sendfile", "expires", "ssi", "charset")
# Settings that affect delivery: (how often, directive, values). `{family}` is that of the handler.
PASSING: tuple[tuple[float, str, tuple[str, ...]], ...] = (
    (0.4, "{family}_buffering", ("on", "off", "off")),
    (0.2, "{family}_ignore_headers", ("X-Accel-Buffering", "Expires", "X-Accel-Buffering Expires")),
    (0.25, "{family}_pass_header", ("X-Accel-Buffering", "x-accel-buffering", "Date")),
    (0.1, "{family}_hide_header", ("X-Accel-Buffering", "X-Foo")),
    (0.1, "{family}_max_temp_file_size", ("0", "1m")),
    (0.1, "{family}_buffers", ("16 4k", "8 16k")),
    (0.1, "{family}_buffer_size", ("4k", "8k")),
    (0.1, "{family}_read_timeout", ("10s", "75s", "1h")),
    (0.05, "{family}_request_buffering", ("off", "on")),
    (0.05, "{family}_next_upstream", ("off", "error timeout")),
    (0.05, "{family}_ignore_client_abort", ("on",)),
    (0.05, "{family}_limit_rate", ("0",)),
    (0.05, "{family}_intercept_errors", ("on",)),
    (0.05, "{family}_force_ranges", ("on",)),
)
OF_PROXY: tuple[tuple[float, str, tuple[str, ...]], ...] = (
    (
        0.25,
        "proxy_set_header Accept-Encoding",
        (
            '""',
            "gzip",
            '"gzip, deflate"',
            '"gzip, br"',
            "br",
            "identity",
            "deflate",
            "$http_accept_encoding",
            '"gzip;q=0"',
            '"gzip;q=1.0, identity"',
            "*",
        ),
    ),
    (0.2, "proxy_set_header Connection", ('""', "close", "keep-alive")),
    (0.1, "proxy_set_header Via", ('"1.1 edge"', '""')),
    (0.1, "proxy_set_header X-Accel-Buffering", ("no",)),
    (0.05, "proxy_set_header TE", ('""',)),
    (0.1, "proxy_socket_keepalive", ("on",)),
    (0.1, "proxy_connect_timeout", ("5s",)),
    (0.1, "proxy_send_timeout", ("2s",)),
    (0.1, "proxy_redirect", ("off",)),
)
COMMON: tuple[tuple[float, str, tuple[str, ...]], ...] = (
    (0.2, "add_header X-Accel-Buffering", ("no", "no", "yes", "off", "NO", '"no" always', "Yes")),
    (0.15, "add_header X-Foo", ("bar", "bar always")),
    (0.15, "chunked_transfer_encoding", ("off", "off", "on")),
    (0.35, "gzip", ("on", "on", "off")),
    (0.4, "gzip_types", (_STREAM, f"text/plain {_STREAM}", "*", "application/json")),
    (0.2, "gzip_http_version", ("1.0", "1.1")),
    (0.2, "gzip_proxied", ("off", "any", "expired no-cache", "no_etag auth", "no_last_modified")),
    (0.1, "gzip_min_length", ("10k", "0", "1k")),
    (0.05, "gzip_comp_level", ("1", "9")),
    (0.05, "gzip_vary", ("on",)),
    (0.05, "gzip_disable", ("msie6", '"Mozilla/4"')),
    (0.1, "postpone_output", ("0", "1460")),
    (0.2, "sendfile", ("on", "off")),
    (0.1, "tcp_nopush", ("on",)),
    (0.05, "tcp_nodelay", ("on",)),
    (0.05, "ssi", ("on",)),
    (0.05, "ssi_types", (_STREAM, "*")),
    (0.05, "expires", ("-1", "off", "epoch")),
    (0.05, "etag", ("off",)),
    (0.05, "output_buffers", ("2 16k",)),
    (0.05, "send_timeout", ("5s",)),
    (0.05, "keepalive_timeout", ("15s",)),
    (0.05, "server_tokens", ("off",)),
    (0.05, "charset", ("utf-8", "off")),
    (0.05, "proxy_http_version", ("1.1",)),
)
CACHES: tuple[tuple[float, str, tuple[str, ...]], ...] = (
    (0.9, "{family}_cache_valid", ("1m", "200 302 10m", "any 1m", "404 1m", "200 0")),
    (0.2, "{family}_cache_lock", ("on",)),
    (0.2, "{family}_no_cache", ("1", "0", "$arg_nothing")),
    (0.2, "{family}_cache_bypass", ("1", "0", "$arg_nothing")),
    (0.2, "{family}_cache_min_uses", ("1", "2")),
    (0.1, "{family}_cache_use_stale", ("error timeout",)),
    (0.1, "{family}_cache_background_update", ("on",)),
    (0.1, "{family}_cache_revalidate", ("on",)),
)


@dataclass
class Case:
    """A URL, a scenario, and the labels of the locations, nearest the client first."""

    uri: str
    host: str
    scenario: Scenario
    labels: list[str] = field(default_factory=list)
    classes: set[str] = field(default_factory=set)
    is_cached: bool = False  # perhaps


@dataclass
class Tier:
    """The servers of one tier, by name: their nginx, and their sockets."""

    binary: NginxBinary
    ports: Sequence[int]  # in clear text, with TLS, for HTTP/2 in clear text
    socket: Path
    cases: list[list[str]] = field(default_factory=list)  # the blocks of each server
    upstreams: list[str] = field(default_factory=list)

    @property
    def plain(self) -> int:
        return self.ports[0]

    @property
    def tls(self) -> int:
        return self.ports[1]

    @property
    def http2(self) -> int:
        return self.ports[2]

    @property
    def is_new(self) -> bool:
        """Whether it has `http2 on`, and HTTP/2 to the app."""
        return self.binary.version >= (1, 29, 4)


class Generator:
    """Generates the configurations of a chain; equal seed, ports and folder give equal ones."""

    def __init__(
        self,
        tiers: Sequence[Tier],
        seed: int,
        upstream: dict[str, int],
        folder: Path,
        together: bool = False,
    ) -> None:
        self.random = random.Random(seed)
        self.tiers = tiers  # nearest the client first
        self.together = together  # in one configuration
        self.upstream = upstream
        self.folder = folder
        self.number = 0
        self.written: list[str] = []  # rows of the locations of one case
        self.small = self.random.random() < 0.6
        for tier in tiers:
            tier.cases = [[] for _ in NAMES]
            tier.upstreams = []

    def chance(self, probability: float) -> bool:
        """Return true with a probability."""
        return self.random.random() < probability

    def drawn(
        self, table: Sequence[tuple[float, str, tuple[str, ...]]], factor: float, family: str
    ) -> list[str]:
        """Some random rows of a table."""
        rows: list[str] = []
        for weight, name, values in table:
            if self.chance(weight * factor):
                written = name.format(family=family)
                rows.append(f"{written} {self.random.choice(values)};")
        return rows

    def settings(self, tier: Tier, factor: float, family: str = "proxy") -> list[str]:
        """Random settings of one level; some of them affect delivery."""
        rows = self.drawn((*PASSING, *COMMON), factor, family)
        if family == "proxy":
            rows += self.drawn(OF_PROXY, factor, family)
        else:
            rows = [row for row in rows if not row.startswith(f"{family}_force_ranges")]
        has_sub = tier.binary.has("http_sub")
        if has_sub and self.chance(0.08 * factor):
            # With a small TLS buffer as well, a client cannot tell which buffer holds the end of an
            # event.
            patterns = ('never "x"', '"dat" "dat"', *(() if self.small else ('"\\n\\nevent" "y"',)))
            pattern = self.random.choice(patterns)
            rows.append(f"sub_filter {pattern};")
        if has_sub and self.chance(0.1 * factor):
            rows.append(f"sub_filter_types {self.random.choice((_STREAM, '*'))};")
        if tier.binary.has("http_gunzip") and self.chance(0.05 * factor):
            rows.append("gunzip on;")
        if tier.binary.has("brotli") and self.chance(0.1 * factor):
            rows.append(f"brotli on; brotli_types {_STREAM};")
        if self.chance(0.12 * factor):
            rows += self.caching(family, factor == 1)
        # With both, the kernel delays recorded responses by 0.2 s, which is half of the duration
        # here.
        doubtful = "tcp_nopush on;" if self.small else "postpone_output 0;"
        rows = [row for row in rows if row != doubtful]
        # `on` may override `off` of an outer level, but no level sets a directive twice.
        rows = list({_name(row): row for row in rows}.values())
        self.random.shuffle(rows)
        return rows

    def caching(self, family: str, here: bool) -> list[str]:
        """A cache or a store. Only `here`, in a location, may requests have the same key."""
        if self.chance(0.3):
            return [f"{family}_store {self.folder}/store/$request_id;"]
        keys = ["$request_uri$request_id"]
        if here:
            keys += ["$request_uri", "$scheme$host$uri$is_args$args"]
        rows = [
            f"{family}_cache {self.random.choice((family, family, 'off'))};",
            f'{family}_cache_key "{self.random.choice(keys)}";',
        ]
        return [*rows, *self.drawn(CACHES, 1, family)]

    def case(self) -> Case:
        """A case, with a location in each tier."""
        self.number += 1
        depth = len(self.tiers)
        scenario = Scenario(
            client=self.random.choice(CLIENTS),  # type: ignore[arg-type]
            framing=self.random.choice(FRAMINGS),  # type: ignore[arg-type]
            x_accel_buffering=self.random.choice(ACCELS),  # type: ignore[arg-type]
            accept_encoding=self.random.choice(("identity", "gzip")),
        )
        path = f"/{self.number}/"
        case = Case(path, self.random.choice((*NAMES, "other.example")), scenario)
        host: str | None = case.host
        self.written = []
        at = 0
        while at < depth:
            server = NAMES.index(host) if host in NAMES else 0
            following = at + 1
            if at + 2 < depth and self.chance(0.1):
                case.classes.add("skips a tier")
                following = at + 2
            path, host = self.location(case, at, following, server, path)
            at = following
        case.is_cached = any("_cache" in row for row in self.written)
        case.classes.add(f"{depth} tiers")
        case.classes.add("one configuration" if self.together else "several configurations")
        case.classes |= {f"client {scenario.client}", f"framing {scenario.framing}"}
        case.classes |= {f"accel {scenario.x_accel_buffering}", scenario.accept_encoding}
        return case

    def location(
        self, case: Case, at: int, following: int, server: int, path: str
    ) -> tuple[str, str | None]:
        """Add a location to an nginx. Returns the path and the host that the next nginx gets."""
        tier = self.tiers[at]
        last = following == len(self.tiers)
        family = "proxy"
        if last and self.chance(0.2):
            family = self.random.choice(("fastcgi", "uwsgi", "scgi"))
        rows = self.settings(tier, 1.0, family)
        host: str | None = None
        inner = path
        if last:
            port = self.upstream["http" if family == "proxy" else family]
            scheme = "http://" if family == "proxy" else ""
            target = f"127.0.0.1:{port}"
            if self.chance(0.2):
                target = self.named(tier, target)
            rows.append(f"{family}_pass {scheme}{target};")
            if family == "fastcgi" and self.chance(0.5):
                rows.append("fastcgi_keep_conn on;")
            if family == "proxy":
                rows = self.with_version(rows, ("1.0", "1.1", "1.1"), 0.6)
        else:
            inner, host, passed = self.onward(case, tier, self.tiers[following], path)
            rows = [row for row in rows if not row.startswith("proxy_http_version")] + passed
        rows = list({_name(row): row for row in rows}.values())
        self.random.shuffle(rows)
        self.written += rows
        self.block(case, tier, server, path, rows)
        return inner, host

    def with_version(self, rows: list[str], versions: Sequence[str], weight: float) -> list[str]:
        """The rows; some of them get another HTTP version."""
        if not self.chance(weight):
            return rows
        kept = [row for row in rows if not row.startswith("proxy_http_version")]
        return [*kept, f"proxy_http_version {self.random.choice(versions)};"]

    def named(self, tier: Tier, address: str) -> str:
        """The name of an upstream block with this server."""
        name = f"up{sum(len(each.upstreams) for each in self.tiers)}"
        more = self.random.choice(("", "keepalive 4;", "server 127.0.0.1:1 down;"))
        backup = " server 127.0.0.1:2 backup;" if self.chance(0.2) else ""
        weight = self.random.choice(("", " weight=3", " max_fails=0"))
        tier.upstreams.append(f"upstream {name} {{ server {address}{weight}; {more}{backup} }}")
        return name

    def onward(
        self, case: Case, tier: Tier, following: Tier, path: str
    ) -> tuple[str, str | None, list[str]]:
        """The path and host that the next nginx gets, and the rows that proxy to it."""
        pick = self.random.choice
        version = pick(("1.0", "1.1", "1.1", "1.1", "", "", *(("2",) if tier.is_new else ())))
        tls = self.chance(0.4)
        port = following.tls if tls else following.http2 if version == "2" else following.plain
        case.classes.add(f"{tier.binary.version[1]} to {following.binary.version[1]}")
        case.classes.add(f"between: {'TLS' if tls else 'plain'}, HTTP {version or 'default'}")
        rows = [] if not version else [f"proxy_http_version {version};"]
        address, host = f"{pick(('127.0.0.1', '127.0.0.1', 'localhost'))}:{port}", None
        if address.startswith("localhost"):
            host = "localhost"
        if not tls and version != "2" and self.chance(0.15):
            address, host = f"unix:{following.socket}", "localhost"
            case.classes.add("by a UNIX socket")
        target = address
        if self.chance(0.3):
            target, host = self.named(tier, address), None
            case.classes.add("by an upstream block")
        uri, inner = "", path
        if self.chance(0.2):
            inner = f"/in{path}"
            uri = f":{inner}" if target.startswith("unix:") else inner
        elif "unix:" not in target and self.chance(0.1) and target == address:
            variable = f"$up{self.number}"
            host = host if address.startswith("localhost") else None
            if not address.startswith("localhost"):
                rows.append(f"set {variable} {address};")
                target = variable
                case.classes.add("by a variable")
        rows.append(f"proxy_pass {'https' if tls else 'http'}://{target}{uri};")
        row, host = self.host_header(case, tier, host)
        rows += row
        if tls and self.chance(0.3):
            rows.append("proxy_ssl_server_name on;")
            rows.append(f"proxy_ssl_name {pick(NAMES)};")
            case.classes.add("with SNI")
        return inner, host, rows

    def host_header(self, case: Case, tier: Tier, host: str | None) -> tuple[list[str], str | None]:
        """A row that sets Host, or none, and the host; `host` is the one without a row."""
        pick = self.random.choice
        form = self.random.random()
        if form < 0.3:
            return [], host
        if form < 0.7 or tier is not self.tiers[0]:
            value = pick(NAMES)
            return [
                f"proxy_set_header Host {pick((value, value.upper(), f'{value}:8080'))};"
            ], value
        value = pick(("$host", "$http_host", "${host}", "$host:$server_port"))
        return [f"proxy_set_header Host {value};"], case.host

    def block(self, case: Case, tier: Tier, server: int, path: str, rows: list[str]) -> None:
        """Write a location in one of several forms."""
        form = self.random.random()
        body = " ".join(rows)
        has_uri = any(row.startswith("proxy_pass") and "/in" in row for row in rows)
        if form < 0.08 and not has_uri:
            label = f"location ~ ^{path}"
        elif form < 0.14 and not has_uri:
            label = f"location = {path}"
        elif form < 0.2:
            label = f"location ^~ {path}"
        elif form < 0.32:
            # Nested: the inner location inherits the settings of the outer one.
            outer = " ".join(self.settings(tier, 0.3))
            label = f"location {path}"
            case.labels.append(label)
            case.classes.add("nested")
            text = f"location {path[:-1]} {{ {outer} {label} {{ {body} }} }}"
            tier.cases[server].append(text)
            return
        elif form < 0.36 and not has_uri and "proxy_pass" in body:
            condition = self.random.choice(("$request_method = GET", "$arg_never", "$uri ~ ^/"))
            inside = " ".join(
                row for row in self.drawn(COMMON, 0.4, "proxy") if row.split()[0] in _IN_IF
            )
            is_true = condition != "$arg_never"
            label = f"if ({condition})" if is_true else f"location {path}"
            case.labels.append(label)
            case.classes.add("if")
            block = f"location {path} {{ {body} if ({condition}) {{ {inside} }} }}"
            tier.cases[server].append(block)
            return
        elif form < 0.41 and not has_uri:
            label = f"location @case{path.strip('/').replace('/', '_')}"
            tier.cases[server].append(
                f"location {path} {{ error_page 418 = {label.split()[1]}; return 418; }}"
            )
        else:
            label = f"location {path}"
        case.labels.append(label)
        tier.cases[server].append(f"{label} {{ {body} }}")

    def configurations(self, count: int) -> tuple[list[Case], list[str]]:
        """Generate cases. Returns them and each nginx's main file, nearest the client first."""
        cases = [self.case() for _ in range(count)]
        if self.together:
            return cases, [self.text(self.tiers)]
        return cases, [self.text([tier]) for tier in self.tiers]

    def text(self, tiers: Sequence[Tier]) -> str:
        """The main file of an nginx with the servers of some tiers."""
        first = tiers[0]
        lines = ["events { worker_connections 4096; }", "http {"]
        for family in ("proxy", "fastcgi", "uwsgi", "scgi"):
            lines.append(f"{family}_cache_path {self.folder}/cache/{family} keys_zone={family}:1m;")
        lines.append("ssl_certificate certificate.pem; ssl_certificate_key key.pem;")
        # A resumed TLS 1.2 session keeps the server's name, and locations share sessions.
        lines.append("proxy_ssl_session_reuse off;")
        lines += self.outer(first, 0.25)
        if self.chance(0.4):
            lines.append(f"ssl_buffer_size {self.buffer_size()};")
        if first.is_new:
            lines.append("http2 on;")
        for tier in tiers:
            lines += [*tier.upstreams, *self.servers(tier)]
        return "\n".join([*lines, "}"]) + "\n"

    def servers(self, tier: Tier) -> list[str]:
        """The lines of the servers of a tier."""
        lines: list[str] = []
        http2 = "" if tier.is_new else " http2"
        # Each address has the same parameters in all servers.
        hosts = [self.random.choice(("127.0.0.1:", "127.0.0.1:", "", "*:")) for _ in range(3)]
        for name, blocks in zip(NAMES, tier.cases, strict=True):
            lines.append("server {")
            lines.append(
                f"    listen 127.0.0.1:{tier.plain}; listen {hosts[1]}{tier.tls} ssl{http2};"
            )
            lines.append(f"    listen {hosts[2]}{tier.http2}{http2}; listen unix:{tier.socket};")
            more = self.random.choice(
                (name, f"{name} *.{name}", f"~^{name.replace('.', '[.]')}$ {name}", f".{name}")
            )
            lines.append(f"    server_name {name if name == 'localhost' else more};")
            lines += [f"    {row}" for row in self.outer(tier, 0.25)]
            if self.chance(0.4):
                lines.append(f"    ssl_buffer_size {self.buffer_size()};")
            lines += [f"    {block}" for block in blocks]
            lines.append("}")
        return lines

    def outer(self, tier: Tier, factor: float) -> list[str]:
        """The settings of the http level, or of a server, for all families."""
        family = self.random.choice(("proxy", "proxy", "proxy", "fastcgi", "scgi"))
        rows = self.settings(tier, factor, family)
        return [row for row in rows if not row.startswith("proxy_set_header Host")]

    def buffer_size(self) -> str:
        """A size that holds the whole response, or less than one token."""
        return self.random.choice(("16k", "4k", "4k", "64") if self.small else ("16k", "4k"))


def _name(row: str) -> str:
    """The identity of a row: a level may have one row of a directive, or of a header."""
    words = row.split()
    lists = ("add_header", "proxy_set_header", "sub_filter")
    return " ".join(words[:2]) if words[0] in lists else words[0]


def explained(
    cases: Sequence[Case], tiers: Sequence[Tier], texts: Sequence[str], folder: Path
) -> list[Explanation]:
    """The explanations of all cases by the public interface."""
    paths = [str(folder / f"tier{at}.conf") for at in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        Path(path).write_text(text, encoding="utf-8")
    overrides = tuple(
        Override(lambda name, path=path: name == path, nginx_version=tier.binary.version)  # type: ignore[misc]
        for path, tier in zip(paths, tiers, strict=False)
    )
    workspace = Workspace.on_disk(*paths)
    urls = [_url(case, tiers[0]) for case in cases]
    # The first one is nearest to the client.
    *front, last = paths
    options = Options(rules=(), policy=Policy(overrides=overrides))
    return explain(workspace, last, urls, options, through=front[::-1])


def _url(case: Case, tier: Tier) -> str:
    plain = case.scenario.client == "h1"
    port = tier.plain if plain else tier.tls
    return f"{'http' if plain else 'https'}://{case.host}:{port}{case.uri}"


def job(case: Case, tier: Tier, upstream: DrippingUpstream, expected: str) -> Job:
    """The request of a case."""
    scenario = case.scenario
    accel = scenario.x_accel_buffering
    drip = Drip(
        framing=scenario.framing,
        x_accel_buffering="" if accel == "absent" else accel,
        type=_STREAM,
        # A token fills the smaller TLS buffers; no buffer of another kind is as small.
        tokens=8,
        bytes=TOKEN_BYTES,
    )
    plain = scenario.client == "h1"
    encoding = "gzip, br" if scenario.accept_encoding == "gzip" else "identity"
    return Job(
        upstream,
        tier.plain if plain else tier.tls,
        case.uri,
        scenario.client,
        drip,
        encoding,
        host=case.host,
        headers=(("User-Agent", USER_AGENTS[0]),),
        expected=expected,
    )


@dataclass
class Outcome:
    """The results of several chains."""

    cases: int = 0
    repeats: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def compared(case: Case, one: Explanation, result: Measurement) -> str | None:
    """How real nginx differ from the linter's explanation; None if they do not."""
    labels = [tier.level.label for tier in reversed(one.places)]
    delivery = next((each for each in one.deliveries if each.scenario == case.scenario), None)
    verdict = None if delivery is None else delivery.verdict
    if (labels, verdict) == (case.labels, result.verdict):
        return None
    found = [(tier.level.label, _at(one, tier.deliveries, case)) for tier in reversed(one.places)]
    said = f"explain {verdict} {found} {one.route.unknown}"
    return f"{case}:\n    {said}\n    nginx {result.verdict} {result.status} {result.bursts}"


def _at(one: Explanation, deliveries: Sequence[object], case: Case) -> object:
    at = next((n for n, each in enumerate(one.deliveries) if each.scenario == case.scenario), None)
    return None if at is None else deliveries[at]


async def compare(
    binaries: Sequence[NginxBinary],
    together: bool,
    folder: Path,
    seed: int,
    cases: int,
    outcome: Outcome,
) -> None:
    """Measure one chain, and compare."""
    ports = free_ports(3 * len(binaries))
    write_certificate(folder)
    (folder / "store").mkdir()
    tiers = [
        Tier(binary, ports[3 * at : 3 * at + 3], folder / f"tier{at}.sock")
        for at, binary in enumerate(binaries)
    ]
    async with contextlib.AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(DrippingUpstream())
        generator = Generator(tiers, seed, upstream.ports, folder, together)
        made, texts = generator.configurations(cases)
        found = explained(made, tiers, texts, folder)
        for at, (binary, text) in enumerate(zip(binaries, texts, strict=False)):
            home = folder / str(at)
            (home / "cache").mkdir(parents=True)
            write_certificate(home)
            own = text.replace(f"{folder}/cache", f"{home}/cache")
            await stack.enter_async_context(Nginx(binary, own, home))
        pairs = list(zip(made, found, strict=True))
        jobs = [job(case, tiers[0], upstream, _verdict(case, one)) for case, one in pairs]
        cached = [at for at, tier_case in enumerate(made) if tier_case.is_cached]
        once = [one for at, one in enumerate(jobs) if at not in cached]
        others = iter(await measure_many(once, AT_ONCE))
        twice = await _all_twice({at: (jobs[at], _repeat(*pairs[at])) for at in cached})
        results = [twice[at][0] if at in twice else next(others) for at in range(len(jobs))]
    for at, (case, one) in enumerate(pairs):
        outcome.cases += 1
        outcome.classes.update({*case.classes, f"verdict {_verdict(case, one)}"})
        different = compared(case, one, results[at])
        repeat = _repeat(case, one)
        if at in twice and repeat != "unknown":
            outcome.repeats += 1
            outcome.classes.update([f"second request {repeat}"])
            if different is None and repeat != twice[at][1].verdict:
                second = twice[at][1].verdict
                different = f"{case}: second request: explain {repeat}, nginx {second}"
        if different is not None:
            outcome.wrong.append(f"seed {seed}: {different}")


async def _all_twice(
    jobs: Mapping[int, tuple[Job, str]],
) -> dict[int, tuple[Measurement, Measurement]]:
    """Measure two requests of each job, one after the other.

    `jobs` have the verdict that the second request should get. An unexpected result is measured
    again alone, with another query.
    """
    gate = asyncio.Semaphore(AT_ONCE)

    async def measured(job: Job, attempt: int) -> tuple[Measurement, Measurement]:
        async with gate:
            asked = replace(job, path=f"{job.path}?attempt={attempt}")
            return await asked.run(), await asked.run()

    results = await asyncio.gather(*(measured(job, 0) for job, _ in jobs.values()))
    found = dict(zip(jobs, results, strict=True))
    for at, (job, repeat) in jobs.items():
        for attempt in (1, 2):
            first, second = (one.verdict for one in found[at])
            if first != job.expected or repeat not in (second, "unknown"):
                found[at] = await measured(job, attempt)
    return found


def _repeat(case: Case, one: Explanation) -> str:
    return next((each.repeat for each in one.deliveries if each.scenario == case.scenario), "")


def _verdict(case: Case, one: Explanation) -> str:
    return next((each.verdict for each in one.deliveries if each.scenario == case.scenario), "")


def binaries_of(seed: int, together: bool, known: Sequence[NginxBinary]) -> list[NginxBinary]:
    """The nginx of each tier, nearest the client first; the same one if they are `together`."""
    chooser = random.Random(f"binaries {seed}")
    found = [chooser.choice(known) for _ in range(chooser.choice((2, 2, 3)))]
    return found[:1] * len(found) if together else found


async def run(known: Sequence[NginxBinary], cases: int, seed: int) -> Outcome:
    """Measure at least this number of cases with these nginx."""
    outcome = Outcome()
    while outcome.cases < cases:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder).chmod(0o755)
            left = min(CASES, cases - outcome.cases)
            together = seed % 3 == 0
            binaries = binaries_of(seed, together, known)
            await compare(binaries, together, Path(folder), seed, left, outcome)
        seed += 1
    return outcome


def main() -> None:
    """Measure the requested number of cases; print the counts and the differences."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    add_nginx_option(parser)
    options = parser.parse_args()
    outcome = asyncio.run(run(chosen(options.nginx), options.cases, options.seed))
    for text in outcome.wrong:
        print(text)
    for name, count in sorted(outcome.classes.items()):
        print(f"    {count:6} {name}")
    disagreements = f"{len(outcome.wrong)} disagreements"
    print(f"{outcome.cases} cases, {outcome.repeats} of them twice, {disagreements}")
    sys.exit(1 if outcome.wrong else 0)


if __name__ == "__main__":
    main()
