"""Random configurations that only route, and requests that take long routes through them.

Every block sends its number in a header, so nginx itself shows which block responds. As a program,
this sends a number of requests and prints each difference with the smallest configuration that has
it:

    python -m tests.conformance.random_routes --cases 100000 --seed 1 --nginx new
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nginx_stream_lint.probe import NginxBinary, free_ports
from tests.conformance.choosing import add_nginx_option, chosen
from tests.conformance.route_words import (
    ARGUMENTS,
    CODES,
    DECIDED,
    MAPS,
    METHODS,
    NAMED_CAPTURES,
    ODD_SEGMENTS,
    RARE_REGEXES,
    REGEXES,
    SEGMENTS,
    SELDOM_DECIDED,
    SET_VARIABLES,
    VALUES,
)
from tests.conformance.routes_on_nginx import ROOT, Ask, Case, Node, minimized, outcomes

SERVERS, URLS = 40, 60
PORTS = SERVERS + 2
SHOWN = 20  # differences that are reduced to a small configuration
# A line feed in a proxied request turns it into HTTP/0.9, whose response is only a body.
BODY = r'"HTTP/0.9 200\r\n\r\n"'


@dataclass(frozen=True)
class Place:
    """The place of rows: the kind of block, its prefix, and its depth."""

    kind: str
    prefix: str = "/"
    depth: int = 0


def quoted(text: str) -> str:
    """An argument in double quotes, with as few escapes as possible."""
    return '"' + text.replace('"', '\\"') + '"'


@dataclass
class Server:
    """The parts of a server so far: paths to request, and its named locations."""

    port: int
    named: tuple[str, ...]
    words: tuple[str, ...]
    paths: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)


class Generator:
    """Generates configurations and requests; equal seed and ports give equal ones."""

    def __init__(self, seed: int, ports: Sequence[int]) -> None:
        self.random = random.Random(seed)
        self.backends, self.ports = ports[:2], ports[2:]
        self.marks = 0
        self.server = Server(0, (), ())

    def chance(self, probability: float) -> bool:
        """Return true with a probability."""
        return self.random.random() < probability

    def argument(self, text: str) -> str:
        """An argument in one of the forms that nginx accepts in a file."""
        special = not text or any(character in text for character in " \t;{}\"'#\\")
        return quoted(text) if special or self.chance(0.1) else text

    # Paths and texts

    def path(self, slash: float = 0.3) -> str:
        """A path of up to four segments."""
        pick = self.random.choice
        count = pick((0, 1, 1, 2, 2, 2, 3, 4))
        parts = [
            pick(ODD_SEGMENTS) if self.chance(0.12) else pick(self.server.words)
            for _ in range(count)
        ]
        return "/" + "/".join(parts) + ("/" if parts and self.chance(slash) else "")

    def target(self) -> str:
        """A path that some location of this server may match."""
        if self.server.paths and self.chance(0.7):
            return self.random.choice(self.server.paths)
        return self.path()

    def pattern(self) -> str:
        """A regular expression; texts that it may match are added to the paths to request."""
        if self.chance(0.3):
            end = self.random.choice(("", "", "$", "(.*)", "/(.*)$", "/?$", "(?<n2>.*)$"))
            path = self.target().replace(".", r"\.").replace("+", ".")
            return f"^{path}{end}"
        if self.chance(0.35):
            words = self.server.words
            pieces = [
                self.random.choice(
                    (
                        self.random.choice(words),
                        f"({'|'.join(self.random.sample(words, 2))})",
                        f"(?:{'|'.join(self.random.sample(words, 2))})",
                        "([^/]+)",
                        "(.*)",
                        r"(\w+)",
                        r"\d+",
                        "[a-z]+",
                        "(?<n1>[^/]*)",
                    )
                )
                for _ in range(self.random.randint(1, 3))
            ]
            if sum("<n1>" in piece for piece in pieces) > 1:
                pieces = [piece.replace("?<n1>", "") for piece in pieces]
            start = self.random.choice(("^/", "^/", "^/", "/", ""))
            return start + "/".join(pieces) + self.random.choice(("$", "$", "/", "", "/?$", ".*"))
        pattern, texts = self.random.choice(RARE_REGEXES if self.chance(0.01) else REGEXES)
        self.server.paths += texts
        return pattern

    def variable(self) -> str:
        """A variable for a condition or a value."""
        return self.random.choice(SELDOM_DECIDED if self.chance(0.01) else DECIDED)

    def value(self) -> str:
        """A value that may contain variables."""
        pick = self.random.choice
        form = pick((pick(VALUES), pick(VALUES), self.variable(), "{}{}", "/{}", "{}/a", "p{}s"))
        while "{}" in form:
            form = form.replace("{}", self.braced(), 1)
        return form

    def braced(self) -> str:
        """A variable in braces, which letters may follow."""
        name = self.variable()
        return name if name[1:].isdigit() else f"${{{name[1:]}}}"

    # Directives of the rewrite module

    def condition(self) -> str:
        """The content of the parentheses of an `if`."""
        pick = self.random.choice
        name = self.variable()
        while name[1:].isdigit():  # nginx accepts no numbered capture as a subject
            name = self.variable()
        form = pick(("bare", "=", "=", "!=", "~", "~*", "!~", "!~*"))
        if self.chance(0.01):
            return f"({pick(('-f', '!-f', '-d', '-e', '!-e'))} $request_filename)"
        if form == "bare":
            return f"({name})"
        if form in ("=", "!="):
            if name == "$request_method":
                return f"({name} {form} {pick(('GET', 'POST', 'HEAD'))})"
            wanted = self.target() if name.endswith("uri") else pick(VALUES)
            if self.chance(0.15):
                wanted = self.variable()
            return f"({name} {form} {self.argument(wanted)})"
        if name.endswith("uri"):
            pattern = self.pattern()
        else:
            pattern = pick(
                ("^a", "1", "^(.)(.*)$", "b$", "^$", "^(GET|POST)$", "x=(.)", "a|b", ".")
            )
        return f"({name} {form} {quoted(pattern)})"

    def replacement(self) -> str:
        """The second argument of `rewrite`."""
        pick = self.random.choice
        target = self.target()
        forms = (
            target, target, target, f"{target}?", f"{target}?y=1", f"{target}?x=$1", f"{target}?$args",
            f"{target}?x=$arg_x&y=$uri?", "/$1", "/v2/$1", "$1", "/$2/$1", f"{target}$1", "/n/$n1",
            "/v1$uri", "/x$request_uri", f"{self.braced()}", f"{target}{self.braced()}", "/a//b/../c",
            "http://other.example/$1", "https://$host$request_uri", "$scheme://$host/x$uri",
            f"http://other.example{target}?y=1", "/p?", "/p%20q", "/a%b", "?x=2", "x", "/$1?$2",
        )  # fmt: skip
        return pick(forms)

    def rewrite(self) -> Node:
        """A `rewrite` with or without a flag."""
        flag = self.random.choice(
            ("", "", " last", " last", " break", " break", " redirect", " permanent")
        )
        pattern, to = self.argument(self.pattern()), self.argument(self.replacement())
        return Node(f"rewrite {pattern} {to}{flag}")

    def returned(self) -> Node:
        """A `return` in one of its forms."""
        pick = self.random.choice
        code = pick(CODES)
        forms = (
            f"return {code}", f"return {code}", f"return {code}", "return 200 text", "return 204",
            f"return {code} text", f"return {pick((301, 302, 303, 307, 308))} {self.argument(self.target())}",
            "return 302 https://$host$request_uri", f"return 301 {self.argument(self.value())}",
            "return http://other.example/", "return $scheme://$host$uri", "return 200", "return 444",
            "return 302 /x/$1?$args", "return 200 $arg_x",
        )  # fmt: skip
        return Node(pick(forms))

    def setting(self) -> Node:
        """A `set`."""
        if self.chance(0.1):
            return Node(f"set $args {self.argument(self.random.choice(('', 'y=1', '$args&x=1')))}")
        return Node(f"set {self.random.choice(SET_VARIABLES)} {self.argument(self.value())}")

    def conditional(self, place: Place) -> Node:
        """An `if` with typical contents."""
        body: list[Node] = []
        in_location = place.kind == "location"
        if in_location:
            body += self.marked()
        for _ in range(self.random.choice((1, 1, 1, 2))):
            kind = self.random.choice(("rewrite", "rewrite", "set", "return", "break", "nothing"))
            if kind == "rewrite":
                body.append(self.rewrite())
            elif kind == "set":
                body.append(self.setting())
            elif kind == "return":
                body.append(self.returned())
            elif kind == "break":
                body.append(Node("break"))
        if in_location and self.chance(0.4):
            body += self.handler(Place("if", place.prefix))
        if in_location and self.chance(0.1):
            body.append(self.error_page())
        return Node(f"if {self.condition()}", body)

    def rewriting(self, place: Place, often: float) -> list[Node]:
        """Rows of the rewrite module."""
        rows: list[Node] = []
        while self.chance(often) and len(rows) < 4:
            kind = self.random.choice(
                ("if", "if", "if", "rewrite", "rewrite", "set", "set", "break")
            )
            if kind == "if":
                rows.append(self.conditional(place))
            elif kind == "rewrite":
                rows.append(self.rewrite())
            elif kind == "set":
                rows.append(self.setting())
            elif self.chance(0.4):
                rows.append(Node("break"))
        return rows

    # Other directives

    def marked(self) -> list[Node]:
        """The headers that identify the block that responds."""
        self.marks += 1
        return [
            Node(f'add_header At "{self.marks} $args" always', kept=True),
            Node("add_header Uri $uri always", kept=True),
        ]

    def error_page(self) -> Node:
        """An `error_page` in one of its forms."""
        pick = self.random.choice
        codes = pick(
            ((404,), (404,), (403,), (418,), (404, 403), (500, 503), CODES[:5], (301, 302))
        )
        override = pick(("", "", "", " =", " =200", " =404", " =301"))
        named = [f"@{name}" for name in self.server.named]
        target = self.target()
        where = pick(
            [
                target,
                target,
                *(named * 3 or [target]),
                f"{target}?y=1",
                f"{target}$uri",
                "http://other.example/",
                "$arg_x",
                "/$v1",
            ]
        )
        if where.startswith("http") and override in (" =200", " =404"):
            override = ""
        return Node(f"error_page {' '.join(map(str, codes))}{override} {self.argument(where)}")

    def sent_as(self, weight: float) -> list[Node]:
        """The directives that decide how nginx sends a Location."""
        names = ("absolute_redirect", "server_name_in_redirect", "port_in_redirect")
        return [
            Node(f"{name} {self.random.choice(('on', 'off'))}")
            for name in names
            if self.chance(weight)
        ]

    def try_files(self) -> Node:
        """A `try_files` of missing files."""
        pick = self.random.choice
        tried = pick(("$uri", "$uri $uri/", "$uri.html", "/nothing", "$uri/index.html $uri"))
        named = [f"@{name}" for name in self.server.named]
        target = self.target()
        last = pick(
            [
                *(named * 4 or ["=404"]),
                "=404",
                "=403",
                "=418",
                target,
                target,
                f"{target}?x=2",
                f"{target}?$args",
                f"{target}?y=$uri",
                "/index.html",
                "/$arg_x",
                f"{target}{self.braced()}",
            ]
        )
        return Node(f"try_files {tried} {self.argument(last)}")

    def proxied(self, place: Place) -> Node:
        """A `proxy_pass` to one of the two servers that always respond."""
        number = self.random.randrange(2)
        to = self.random.choice((f"http://127.0.0.1:{self.backends[number]}", f"http://up{number}"))
        if place.kind == "location" and self.chance(0.25):
            to += self.random.choice(("/", "/x/", "/x"))
        elif place.kind != "limit" and self.chance(0.1):
            to += "$request_uri"
        return Node(f"proxy_pass {to}")

    def handler(self, place: Place) -> list[Node]:
        """A handler for a block: a proxied server, a text, or a missing file."""
        kind = self.random.choice(("proxy",) * 6 + ("return",) * 3 + ("try",) * 2 + ("static",))
        if kind == "proxy":
            return [self.proxied(place)]
        if kind == "return":
            return [self.returned()]
        if kind == "try" and place.kind != "if":
            return [self.try_files(), *([self.proxied(place)] if self.chance(0.3) else [])]
        return []

    def limit(self) -> Node:
        """A `limit_except` that rejects or proxies."""
        methods = self.random.choice(("GET", "POST", "GET POST", "PUT DELETE"))
        body = [Node("deny all")]
        if self.chance(0.3):
            body = [self.proxied(Place("limit"))]
        return Node(f"limit_except {methods}", body)

    # Blocks

    def inside(self, place: Place, nested: bool) -> list[Node]:
        """The content of a location."""
        rows = self.rewriting(place, 0.4)
        rows += self.handler(place)
        if self.chance(0.15):
            rows.append(self.error_page())
        if self.chance(0.06):
            rows.append(Node(f"recursive_error_pages {self.random.choice(('on', 'off'))}"))
        rows += self.sent_as(0.05)
        if self.chance(0.05):
            rows.append(Node("internal"))
        if self.chance(0.04):
            rows.append(self.limit())
        if self.chance(0.03):
            rows.append(Node(f"index nothing.html{self.random.choice(('', ' /a', ' $uri.x'))}"))
        if self.chance(0.02):
            rows.append(Node("deny all"))
        self.random.shuffle(rows)
        return self.marked() + rows + (self.locations(place) if nested else [])

    def locations(self, around: Place) -> list[Node]:
        """Random locations inside a server (depth 0) or a location with a prefix."""
        if around.depth > 2 or (around.depth and self.chance(0.7)):
            return []
        rows: list[Node] = []
        seen: set[str] = set()
        only_regex = around.kind == "regex"
        for _ in range(self.random.randint(2, 7) if not around.depth else 2):
            modifier = self.random.choice(("", "", "", "", "=", "^~", "~", "~", "~", "~*"))
            if only_regex and modifier not in ("~", "~*"):
                continue
            if modifier in ("~", "~*"):
                place = Place("regex", around.prefix, around.depth + 1)
                head = f"location {modifier} {self.argument(self.pattern())}"
                if self.chance(0.05) and '"' not in head:
                    head = head.replace(f"{modifier} ", modifier, 1)
                rows.append(Node(head, self.inside(place, True)))
                continue
            prefix = around.prefix + self.path(0.6)[1:]
            if self.chance(0.25 if around.kind == "server" else 0.05):
                prefix = around.prefix
            key = f"={prefix}" if modifier == "=" else prefix
            if key in seen:
                continue
            seen.add(key)
            self.server.paths.append(prefix)
            place = Place("location", prefix, around.depth + 1)
            written = f"{modifier} {self.argument(prefix)}".strip()
            if self.chance(0.05) and '"' not in written:
                written = written.replace(" ", "")
            rows.append(Node(f"location {written}", self.inside(place, modifier != "=")))
        return rows

    def names(self) -> list[str]:
        """The arguments of a server's `server_name`."""
        pick = self.random.choice
        word, tld = pick(("a", "b", "api", "www", "x-y")), pick(("com", "org", "net"))
        forms: tuple[tuple[str, str], ...] = (
            (f"{word}.example.{tld}", f"{word}.example.{tld}"),
            (f"{word}.example.{tld}", f"{word}.example.{tld}"),
            (f"{word.upper()}.Example.{tld}", f"{word}.example.{tld}"),
            (f"*.example.{tld}", f"b.{word}.example.{tld}"),
            (f"*.{word}.example.{tld}", f"b.{word}.example.{tld}"),
            (f".example.{tld}", f"example.{tld}"),
            (f".{word}.example.{tld}", f"{word}.example.{tld}"),
            (f"{word}.example.*", f"{word}.example.{tld}"),
            (f"{word}.*", f"{word}.example.{tld}"),
            (rf"~^(?<n1>.+)\.example\.{tld}$", f"b.{word}.example.{tld}"),
            (r"~^(www|api)\d*\.", "www12.example.org"),
            (r"~^(?P<n2>\w+)\.Example\.", f"{word}.example.{tld}"),
            (rf"~\.{tld}$", f"{word}.example.{tld}"),
            ("localhost", "localhost"),
            ("127.0.0.1", "127.0.0.1"),
            ("_", "_"),
            ("", "nobody.example"),
            ("~^$", "nobody.example"),
        )
        chosen = [pick(forms) for _ in range(pick((1, 1, 1, 2, 3)))]
        self.server.hosts += [host for _, host in chosen]
        return [self.argument(name) if name else '""' for name, _ in chosen]

    def block(self, port: int, default: bool, alone: bool) -> tuple[Node, Server]:
        """A server, and targets for requests to it."""
        named = tuple(self.random.sample("pqr", self.random.choice((0, 1, 1, 2))))
        words = tuple(self.random.sample(SEGMENTS, 5))
        self.server = Server(port, named, words)
        rows = [Node(f"listen 127.0.0.1:{port}{' default_server' if default else ''}", kept=True)]
        if self.chance(0.1) and port != self.ports[0]:
            rows.append(Node(f"listen 127.0.0.1:{self.ports[0]}"))
        if not alone or self.chance(0.2):
            rows.append(Node(f"server_name {' '.join(self.names())}"))
        rows += self.marked()
        if self.chance(0.1):
            rows.append(Node("merge_slashes off"))
        locations = self.locations(Place("server"))
        for name in named:
            body = self.inside(Place("named"), False)
            locations.append(Node(f"location @{name}", body))
        self.random.shuffle(locations)
        if self.chance(0.5):
            rows += self.rewriting(Place("server"), 0.5)
        while self.chance(0.35):
            rows.append(self.error_page())
        if self.chance(0.1):
            rows.append(Node("recursive_error_pages on"))
        if self.chance(0.02):
            rows.append(self.returned())
        if self.chance(0.03):
            rows.append(self.try_files())
        return Node("server", rows + locations), self.server

    def map(self, name: str) -> Node:
        """A `map` of a variable that the request determines."""
        pick = self.random.choice
        sources = ("$arg_x", "$arg_x", "$args", "$uri", "$host", "$request_method", "$arg_x$arg_y")
        source = pick((*sources, *MAPS[: MAPS.index(name)]))
        rows: dict[str, str] = {}
        hostnames = source == "$host" or self.chance(0.03)
        for _ in range(self.random.randint(1, 5)):
            keys = [*VALUES, "x=1", "POST", "A", "\\a", "\\default"]
            keys += ["~^a", "~*^A", "~^/(.*)$", "~(?<n1>[a-z]+)", "~1", "~*post", "~^$", "~^/v\\d"]
            if hostnames:
                keys += ["*.example.com", ".example.org", "www.example.*", "a.example.com"]
            key = pick(keys)
            value = pick(("1", "0", "", "a", "/a", "/v1/chat", "$1", "$uri", "x$n1", "$arg_y"))
            rows.setdefault(key.lower().removeprefix("\\"), f"{quoted(key)} {quoted(value)}")
        body = [Node(row) for row in rows.values()]
        if self.chance(0.7):
            body.append(Node(f"default {quoted(pick(('', '0', '1', 'd', '$arg_y', '/b')))}"))
        if hostnames:
            body.append(Node("hostnames"))
        if self.chance(0.2):
            body.append(Node("volatile"))
        self.random.shuffle(body)
        return Node(f"map {quoted(source)} {name}", body)

    # Requests

    def url_path(self, server: Server) -> str:
        """A path to request, mostly similar to one in the configuration."""
        self.server = server
        path = (
            self.random.choice(server.paths) if server.paths and self.chance(0.75) else self.path()
        )
        path = self.written(path)
        for _ in range(self.random.choice((0, 0, 0, 0, 1, 1, 2))):
            changed = self.changed(path)
            path = changed if changed.startswith("/") else path
        return path

    @staticmethod
    def written(path: str) -> str:
        """A path as a client would send it."""
        return path.replace("%b", "%25b").replace(" ", "%20").replace("?", "%3F")

    def changed(self, path: str) -> str:
        """A path with one change."""
        pick = self.random.choice
        at = self.random.randrange(len(path))
        before, after = path[: at + 1], path[at + 1 :]
        slash = pick([n for n, character in enumerate(path) if character == "/"] or [0])
        head, tail = path[: slash + 1], path[slash + 1 :]
        word = pick(self.server.words)
        escape = f"%{ord(path[at]):{pick(('02x', '02X'))}}" if path[at] < "\x7f" else path[at]
        return pick(
            (
                path.rstrip("/") or "/",
                path[:-1] or "/",
                f"{path}/",
                f"{path}/{word}",
                f"{path}{word}",
                f"{head}/{tail}",
                f"{head}./{tail}",
                f"{head}{word}/../{tail}",
                f"{head}../{tail}",
                f"{path}{pick(('/.', '/..', '/../', '/./', '.', '..', '//', '/%2e%2e', '%2F'))}",
                f"{head}{pick(('%2e%2e/', f'{word}/%2E%2e%2f'))}{tail}",
                path[:at] + escape + after,
                path[:at] + escape + after,
                path.swapcase(),
                before
                + pick(("%2F", "%3F", "%23", "%25", "%20", "+", "%2B", "%C3%A9", "é"))
                + after,
                before + pick(("%0A", "%09", "%FF", "\\", ";", ":", "=", "&", '"', "<")) + after,
                before + pick(("%zz", "%", "%4", "%00", "%u00e9")) + after,
                path + "/" + word * pick((50, 300, 900)),
            )
        )

    def host(self, servers: Sequence[Server]) -> str:
        """A Host that one of these servers may accept."""
        known = [host for server in servers for host in server.hosts] or ["localhost"]
        host = self.random.choice(known)
        if self.chance(0.15):
            host = self.random.choice(("other.example", "localhost", "127.0.0.1", "example.com"))
        if self.chance(0.1):
            host = self.random.choice(
                (f"b.{host}", host.upper(), f"{host}.", f"x{host}", f"{host}m", f"{host}..")
            )
        return host

    def asks(self, servers: Sequence[Server], count: int) -> list[Ask]:
        """Requests to the socket that these servers share."""
        found: list[Ask] = []
        for _ in range(count):
            target = self.url_path(self.random.choice(servers))
            if self.chance(0.6):
                target += "?" + self.random.choice(ARGUMENTS)
            # Whatever follows a line feed in a proxied HEAD request looks like a response.
            method = "GET" if "%0A" in target else self.random.choice(METHODS)
            host = self.host(servers)
            found.append(Ask(servers[0].port, host, target, method))
        return found

    def configuration(self, servers: int, urls: int) -> Case:
        """A complete configuration, and its requests."""
        http = [
            Node("keepalive_requests 1000000", kept=True),
            Node(f"root {ROOT}", kept=True),
        ]
        http += self.sent_as(0.5)
        http += [self.map(name) for name in MAPS]
        if self.chance(0.2):
            self.server = Server(0, ("p",), SEGMENTS)
            http.append(self.error_page())
        asks: list[Ask] = []
        files: list[str] = []
        ports = iter(self.ports)
        left = servers
        while left:
            port = next(ports)
            together = min(left, self.random.choice((1, 1, 2, 4)))
            left -= together
            default = self.random.randrange(together) if self.chance(0.5) else -1
            made = [self.block(port, n == default, together == 1) for n in range(together)]
            http += [block for block, _ in made]
            asks += self.asks([server for _, server in made], urls * together)
            for _, server in made:
                files += self.random.sample(server.paths, min(len(server.paths), 3))
        http += self.behind()
        root = Node("", [Node("events", []), Node("http", http, kept=True)])
        # Mostly no file exists, and sometimes that is unknown.
        there = tuple(files) if self.chance(0.3) else ()
        return Case(root, asks, there, files_known=bool(there) or self.chance(0.7))

    def behind(self) -> list[Node]:
        """The proxied servers, which always respond, and a place that declares all variables."""
        rows: list[Node] = []
        for number, port in enumerate(self.backends):
            body = [
                Node(f"listen 127.0.0.1:{port}"),
                Node("error_page 400 =200 /"),
                Node(
                    "location /",
                    [Node(f"add_header Back {port} always"), Node(f"return 200 {BODY}")],
                ),
            ]
            rows.append(Node(f"upstream up{number}", [Node(f"server 127.0.0.1:{port}")], kept=True))
            rows.append(Node("server", body, kept=True))
        declared = [f"set {name} {quoted('')}" for name in SET_VARIABLES]
        declared += [f"set ${name} {quoted('')}" for name in NAMED_CAPTURES]
        body = [Node(f"listen 127.0.0.1:{self.backends[0]}"), Node("server_name declares.invalid")]
        rows.append(Node("server", body + [Node(row) for row in declared], kept=True))
        return rows


async def run(binary: NginxBinary, cases: int, seed: int, folder: Path) -> int:
    """Send this number of requests, and print the differences. Returns their number."""
    started = time.monotonic()
    asked = wrong = shown = 0
    unknown: Counter[str] = Counter()
    while asked < cases:
        generator = Generator(seed, free_ports(PORTS))
        case = generator.configuration(SERVERS, URLS)
        outcome = await outcomes(binary, case, folder)
        asked += outcome.asked
        wrong += len(outcome.wrong)
        unknown.update(reason for _, reason in outcome.unknown)
        if outcome.wrong:
            print(f"seed {seed}: {len(outcome.wrong)} differ, the first: {outcome.wrong[0]}")
        for one, difference in outcome.wrong[:40:4] if shown < SHOWN else []:
            shown += 1
            smallest = await minimized(binary, case, one, folder)
            if smallest is None:
                print(f"{one}: does not repeat alone\n    {difference}")
            else:
                print(f"{smallest[0].text()}{one}\n    {smallest[1]}\n", flush=True)
        seed += 1
    seconds = time.monotonic() - started
    said = sum(unknown.values())
    print(f"{binary}: {asked} requests in {seconds:.0f} s, {wrong} disagreements,")
    print(f"    unknown: {said} ({100 * said / asked:.2f} %)")
    for reason, count in unknown.most_common(15):
        print(f"    {count:6} {reason}")
    return wrong


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    add_nginx_option(parser)
    options = parser.parse_args()
    wrong = 0
    for binary in chosen(options.nginx):
        with tempfile.TemporaryDirectory() as folder:
            wrong += asyncio.run(run(binary, options.cases, options.seed, Path(folder)))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
