"""Random requests that no app handles: sockets, redirects, `auth_request`, variable targets.

Real nginx decides: the status, the exact Location, and the server and block that respond. As a
program, this sends a number of requests, prints each difference, and counts how often each class
occurred:

    python -m tests.conformance.random_answers --cases 2000 --seed 1 --nginx new
"""

from __future__ import annotations

import argparse
import asyncio
import random
import socket
import ssl
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nginx_stream_lint.config import read
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.nginx.document_root import DocumentRoot
from nginx_stream_lint.nginx.levels import Level, build
from nginx_stream_lint.nginx.request import parse_url
from nginx_stream_lint.nginx.request_route import Route, route_request
from nginx_stream_lint.probe import Nginx, NginxBinary, free_ports, write_certificate
from tests.conformance.choosing import add_nginx_option, chosen

PORTS = 8  # shared by the sockets, and one for the nginx behind
BLOCKS = 16  # of locations in each server


def _has_ipv6() -> bool:
    """Whether this machine has a loopback address of IPv6; some containers have none."""
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(("::1", 0))
    except OSError:
        return False
    return True


IPV6 = _has_ipv6()
ADDRESSES = ("127.0.0.1", "127.0.0.2", *(["::1"] if IPV6 else []))
NAMES = ("a.example", "b.example", "*.c.example", ".d.example", "~^e\\d+\\.example$")
HOSTS = ("a.example", "b.example", "x.c.example", "d.example", "e7.example", "nobody.example")
SECONDS = 20.0


@dataclass(frozen=True)
class Ask:
    """A request: the address to connect to, the Host header, and the class that it tests."""

    address: str
    port: int
    host: str
    target: str
    tls: bool
    kind: str

    @property
    def url(self) -> str:
        scheme = "https" if self.tls else "http"
        return f"{scheme}://{self.host}:{self.port}{self.target}"


@dataclass
class Generated:
    """A configuration and its requests."""

    text: str
    asks: list[Ask] = field(default_factory=list)


@dataclass(frozen=True)
class Answer:
    """nginx's response; `mark` is the number of its block, `behind` is true if the app responded.

    Other values of `status`: 0 for a closed connection, -1 for a refused handshake, -2 for a
    refused connection.
    """

    status: int
    mark: str = ""
    redirect: str | None = None
    behind: bool = False


class Generator:
    """Configurations for one nginx; the same seed and ports give the same ones."""

    def __init__(self, binary: NginxBinary, seed: int, ports: Sequence[int]) -> None:
        self.binary = binary
        self.random = random.Random(seed)
        self.ports, self.behind = ports[:-1], ports[-1]
        self.marks = 0

    def chance(self, probability: float) -> bool:
        """Return true with a probability."""
        return self.random.random() < probability

    def mark(self) -> str:
        """A header that identifies the block that responds."""
        self.marks += 1
        return f"add_header At {self.marks} always;"

    def redirecting(self, weight: float) -> str:
        """The directives that decide how nginx sends a Location."""
        rows = [
            f"{name} {self.random.choice(('on', 'off'))};"
            for name in ("absolute_redirect", "server_name_in_redirect", "port_in_redirect")
            if self.chance(weight)
        ]
        return " ".join(rows)

    # Locations, each with the targets that lead to it

    def redirect(self, path: str) -> tuple[str, list[str]]:
        """A location that redirects in one of the ways that nginx has."""
        pick = self.random.choice
        mark, rows = self.mark(), self.redirecting(0.3)
        status = pick((301, 302, 303, 307, 308))
        passes = f"proxy_pass http://127.0.0.1:{self.behind};"
        forms = (
            (f"location {path} {{ {mark} {rows} return {status} /to; }}", ("", "/x?a=b")),
            (f"location {path} {{ {mark} {rows} return {status} /to$uri?$args; }}", ("/x?a=b",)),
            (f"location {path} {{ {mark} {rows} return {status} $request_uri; }}", ("//x/../y",)),
            (f"location {path} {{ {mark} {rows} return {status} to; }}", ("",)),
            (f"location {path} {{ {mark} {rows} return {status} //other.example/a; }}", ("",)),
            (f"location {path} {{ {mark} {rows} return https://$host$uri; }}", ("/é",)),
            (f"location {path} {{ {mark} {rows} return {status} $scheme://$http_host/; }}", ("",)),
            (f"location {path}/ {{ {mark} {rows} {passes} }}", ("", "?a=b", "/x")),
            (f'location "{path} b/" {{ {mark} {rows} {passes} }}', ("%20b", "%20b?x=%20")),
            (f"location = {path}/ {{ {mark} {rows} {passes} }}", ("", "?", "/")),
            (f"location {path} {{ {mark} {rows} rewrite ^ /to permanent; }}", ("", "?a=b")),
            (f"location {path} {{ {mark} {rows} rewrite ^(.*)$ /t$1? redirect; }}", ("/%20?a=b",)),
            (f"location {path} {{ {mark} {rows} rewrite ^ http://o.example$uri; }}", ("?a=b",)),
            (f"location {path} {{ {mark} {rows} rewrite ^ $scheme://$host/n last; }}", ("",)),
            (f"location {path} {{ {mark} {rows} error_page 404 /there; return 404; }}", ("",)),
            (
                f"location {path} {{ {mark} {rows} error_page 404 =301 http://o.example/p; "
                "return 404; }",
                ("", "?x"),
            ),
            (f"location {path} {{ {mark} {rows} error_page 404 http://o/; return 404; }}", ("",)),
            (f"location {path} {{ {mark} {rows} error_page 404 =307 /r; return 404; }}", ("",)),
            (f"location {path} {{ {mark} {rows} if ($arg_a) {{ return 302 /if; }} {passes} }}",
             ("?a=1", "?a=")),
            (f"location {path} {{ {mark} {rows} try_files /no {path}-there; }}"
             f" location {path}-there/ {{ {passes} }}", ("",)),
        )  # fmt: skip
        text, endings = pick(forms)
        return text, [path + ending for ending in endings]

    def auth(self, path: str) -> tuple[str, list[str]]:
        """A location behind `auth_request`, whose subrequest another location handles."""
        pick = self.random.choice
        status = pick((200, 200, 204, 201, 301, 400, 401, 401, 403, 403, 404, 418, 444, 500, 503))
        bodies = (
            f"return {status};",
            f"return {status};",
            f"return {pick((200, 401, 403))} text;",
            f"error_page {max(status, 300)} = @ok; return {status};",
            f"error_page {max(status, 300)} /ok; return {status};",
            f"if ($request_uri ~ no$) {{ return {status}; }} return 204;",
            f"if ($request_method = POST) {{ return 204; }} return {status};",
            f"if ($arg_a) {{ return 204; }} return {status};",
            f"limit_except GET {{ deny all; }} return {status};",
            "deny all; return 204;",
            "deny all;",
            "return 302 /login;",
            f"proxy_pass http://127.0.0.1:{self.behind};",
            "proxy_pass http://$arg_none;",
            "proxy_pass $arg_none;",
            "rewrite ^ /ok last;",
            "set $v yes; return 204;",
            "internal; return 401;",
            "try_files /nothing =403;",
        )
        satisfy = pick(
            ("",) * 6
            + ("satisfy any;", "satisfy any; deny all;", "satisfy any; allow all;", "deny all;")
            + ("satisfy any; auth_basic x;", "satisfy any; allow all; deny all;", "allow all;")
        )
        pages = pick(
            ("",) * 4
            + ("error_page 401 = @login;", "error_page 403 /login;", "error_page 500 /there;")
            + ("error_page 401 =302 /login;", "error_page 403 http://o.example/;")
        )
        asked = pick((f"{path}-auth",) * 6 + ("off", "/nowhere", f"{path}-auth?x"))
        handler = pick(
            (f"proxy_pass http://127.0.0.1:{self.behind};",) * 4
            + ("return 200 x;", "try_files /nothing =404;", "proxy_pass http://$v;")
        )
        mark = self.mark()
        text = f"location {path} {{ {mark} auth_request {asked}; {satisfy} {pages} {handler} }}"
        if self.chance(0.2):
            text = (
                f"location {path} {{ auth_request {asked}; {satisfy} location {path} {{ {mark}"
                f" {pages} {handler} }} }}"
            )
        text += f" location {pick(('', '= '))}{path}-auth {{ {self.mark()} {pick(bodies)} }}"
        return text, [path, f"{path}?no", f"{path}/x?a=1", f"{path}-auth"]

    def variable(self, path: str) -> tuple[str, list[str]]:
        """A location whose target has a variable."""
        pick = self.random.choice
        app = f"127.0.0.1:{self.behind}"
        # Valid addresses on which nothing listens.
        dead = ("seen.example", "[::1]:1", "127.0.0.1:1")
        hosts = ("", "nohost", app, "up", "up:8080", "localhost", "seen.example:81", "nohost:81",
                 "[::1", "x:0", "x:99999", ":80", "UP", "a/b", "256.1.1.1:1", "1.2.3:1", "up/",
                 "up?x", *dead)  # fmt: skip
        whole = ("", "http://", f"http://{app}", "http://up", "https://nohost", "ftp://x", "x",
                 f"HTTP://{app}/x", "http://nohost/x", "http://up?x", f"http://{app}?x=1",
                 "http://unix:", "http:///x")  # fmt: skip
        form = pick(("host", "host", "host", "whole", "whole", "family", "resolver", "set", "if"))
        value = pick(whole if form == "whole" else hosts)
        name = f"$t{self.marks}"
        mark, pages = (
            self.mark(),
            pick(("",) * 4 + ("error_page 502 /there;", "error_page 500 /r;")),
        )
        if value in dead:
            pages = pages.replace("502", "500")
        if form == "whole":
            rows = f'set {name} "{value}"; proxy_pass {name};'
        elif form == "family":
            family = pick(("fastcgi", "uwsgi", "scgi", "grpc"))
            value = pick(tuple(one for one in hosts if one not in (app, "up", "UP", "up/", "up?x")))
            pages = pages.replace("502", "500")  # for targets that refuse the connection
            rows = f'set {name} "{value}"; {family}_pass {name};'
        elif form == "resolver":
            pages = pages.replace("502", "500")
            value = pick(("", "x:0", app, "up", "http:"))
            rows = f'resolver 127.0.0.1:1; set {name} "{value}"; proxy_pass http://{name};'
        elif form == "set":
            rows = f"proxy_pass http://$unset{pick(('', '/', '$request_uri', ':80'))};"
        elif form == "if":
            rows = (
                f'set {name} "{value}"; proxy_pass http://{app}; '
                f"if ($arg_a) {{ proxy_pass http://{name}; }}"
            )
        else:
            end = pick(("", "", "/", "$request_uri", ":81"))
            rows = f'set {name} "{value}"; proxy_pass http://{name}{end};'
        text = f"location {path} {{ {mark} {pages} {rows} }}"
        return text, [path, f"{path}?a=1"]

    def module(self, path: str) -> tuple[str, list[str]]:
        """A location that another module handles."""
        passes = f"proxy_pass http://127.0.0.1:{self.behind};"
        forms = [
            "empty_gif;",
            f"{passes} empty_gif;",
            f"empty_gif; {passes}",
            f"{passes} if ($arg_a) {{ empty_gif; }}",
            f"empty_gif; if ($arg_a) {{ {passes} }}",
            "empty_gif; if ($arg_a) { return 402; }",
            f"empty_gif; location {path}/x {{ {passes} }}",
            "auth_request /ok; empty_gif;",
        ]
        if self.binary.has("stub_status"):
            forms += ["stub_status;", f"stub_status; {passes}"]
        if self.binary.has("lua"):
            forms += [
                'content_by_lua_block { ngx.say("x") }',
                f'{passes} content_by_lua_block {{ ngx.say("x") }}',
                f'content_by_lua_block {{ ngx.say("x") }} {passes}',
            ]
        if self.binary.has("echo"):
            forms += ["echo x;", f"{passes} if ($arg_a) {{ echo x; }}"]
        rows = self.random.choice([form for form in forms if "empty_gif; }" not in form])
        text = f"location {path} {{ {self.mark()} {rows} }}"
        return text, [path, f"{path}?a=1", f"{path}/x"]

    # Servers and requests

    def sockets(self, port: int) -> list[str]:
        """A combination of `listen` on one port that nginx accepts."""
        forms = self.random.choice((
            (f"{port}", f"[::]:{port}"),
            (f"{port}", f"[::]:{port}", f"127.0.0.1:{port}"),
            (f"127.0.0.1:{port}", f"127.0.0.2:{port}", f"[::1]:{port}"),
            (f"*:{port}", f"[::1]:{port}", f"127.0.0.2:{port}"),
            (f"[::]:{port} ipv6only=off",),
            (f"[::]:{port}",),
            (f"0.0.0.0:{port}", f"[0:0:0:0:0:0:0:1]:{port}"),
        ))  # fmt: skip
        return [one for one in forms if IPV6 or "[" not in one] or [str(port)]

    def server(self, listens: Sequence[str]) -> tuple[str, list[tuple[str, str]]]:
        """A server, and (target, class) pairs for requests to it."""
        pick = self.random.choice
        rows = [f"listen {one};" for one in listens]
        if any(" ssl" in one for one in listens):
            rows.append("ssl_certificate certificate.pem; ssl_certificate_key key.pem;")
            if self.chance(0.5):
                rows.append(f"ssl_reject_handshake {pick(('on', 'on', 'off'))};")
        names = self.random.sample(NAMES, pick((0, 1, 1, 2)))
        if self.chance(0.2):
            names.append(pick(("127.0.0.1", "[::1]", "localhost")))
        if names:
            rows.append("server_name " + " ".join(f'"{name}"' for name in names) + ";")
        rows += [self.mark(), self.redirecting(0.2)]
        rows.append("location = /ok { return 200; } location @ok { return 204; }")
        rows.append("location @login { return 302 /login-page; } location = /login { return 401; }")
        rows.append(f"location /there/ {{ proxy_pass http://127.0.0.1:{self.behind}; }}")
        targets: list[tuple[str, str]] = []
        if self.chance(0.04):
            rows.append("auth_request /ok-auth; location = /ok-auth { return 403; }")
        for number in range(BLOCKS):
            kind = pick(("redirect", "redirect", "auth", "variable", "module"))
            text, urls = getattr(self, kind)(f"/{kind[0]}{number}")
            rows.append(text)
            targets += [(url, kind) for url in urls]
        return "server { " + "\n".join(rows) + " }", targets

    def configuration(self) -> Generated:
        """A configuration with servers on all ports, and its requests."""
        made = Generated("")
        blocks: list[str] = []
        for port in self.ports:
            tls = self.chance(0.35)
            sockets = [f"{one} ssl" if tls else one for one in self.sockets(port)]
            targets: list[tuple[str, str]] = []
            # Each socket has a server, and perhaps a second one; or all sockets share their
            # servers.
            shared = self.chance(0.5)
            groups = [sockets] if shared else [[one] for one in sockets]
            if self.chance(0.6):
                again = sockets if shared else [self.random.choice(sockets)]
                groups.append([one.replace(" ipv6only=off", "") for one in again])
            for group in groups:
                text, urls = self.server(group)
                blocks.append(text)
                targets += urls
            heard = [one for one in ADDRESSES if _hears(sockets, one)]
            for target, kind in targets:
                made.asks.append(self.ask(port, target, tls, kind, heard if shared else ()))
        made.text = "\n".join(
            [
                "events { worker_connections 4096; }",
                "http { keepalive_timeout 0; root nothing; server_names_hash_bucket_size 128;",
                f"upstream up {{ server 127.0.0.1:{self.behind}; }}",
                "upstream seen.example { server 127.0.0.1:1; }",
                f"server {{ listen 127.0.0.1:{self.behind}; location / {{ add_header Back 1;"
                ' return 200 x; } set $unset ""; set $v ""; }',
                *blocks,
                "}",
            ]
        )
        return made

    def ask(self, port: int, target: str, tls: bool, kind: str, by_name: Sequence[str]) -> Ask:
        """A request for a target, to one of the addresses, with a name or that address as its host.

        A name does not determine the address: `by_name` are the names with the same server on all
        addresses.
        """
        address = self.random.choice(ADDRESSES)
        literal = f"[{address}]" if ":" in address else address
        if address in by_name and self.chance(0.7):
            return Ask(address, port, self.random.choice(HOSTS), target, tls, f"{kind} by name")
        kind = f"{kind} by {'IPv6' if ':' in address else 'IPv4'} address"
        return Ask(address, port, literal, target, tls, kind)


def _hears(sockets: Sequence[str], address: str) -> bool:
    """Whether something listens on an address, with these sockets at one port."""
    hosts = {one.split()[0].rpartition(":")[0] for one in sockets}
    if ":" in address:
        return bool(hosts & {"[::]", "[::1]", "[0:0:0:0:0:0:0:1]"})
    every = bool(hosts & {"", "*", "0.0.0.0"}) or any("ipv6only=off" in one for one in sockets)
    return every or address in hosts


def answer(ask: Ask) -> Answer:
    """nginx's response to a request."""
    try:
        plain = socket.create_connection((ask.address, ask.port), SECONDS)
    except ConnectionError:
        return Answer(-2)
    with plain:
        stream: socket.socket = plain
        if ask.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            name = None if ask.host.startswith("[") or ask.host[0].isdigit() else ask.host
            try:
                stream = context.wrap_socket(plain, server_hostname=name)
            except ssl.SSLError:
                return Answer(-1)
        line = f"GET {ask.target} HTTP/1.1\r\nHost: {ask.host}:{ask.port}\r\n"
        stream.sendall(f"{line}Connection: close\r\n\r\n".encode())
        data = bytearray()
        try:
            while got := stream.recv(65536):
                data += got
        except ConnectionError:
            pass
        if stream is not plain:
            stream.close()
    head = bytes(data).partition(b"\r\n\r\n")[0].decode("utf-8", "surrogateescape")
    first, *lines = head.split("\r\n")
    if not first:
        return Answer(0)
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    status = int(first.split()[1])
    redirect = headers.get("location") if 300 <= status < 400 else None
    return Answer(status, headers.get("at", ""), redirect, "back" in headers)


def ours(found: Route, behind: int) -> Answer:
    """The linter's prediction of the response; without the status of other modules and apps."""
    if found.server is None:
        return Answer(-2)
    if found.rejected_by is not None:
        return Answer(-1)
    status = found.status
    if status in (408, 444, 499):
        return Answer(0)
    mark = next((text for level in _outward(found.location) for text in _marks(level)), "")
    passed = found.target is not None and found.target.port == behind
    return Answer(status or 0, mark, found.redirect, found.handler is not None and passed)


def _outward(level: Level | None) -> list[Level]:
    return [] if level is None else list(level.outward())


def _marks(level: Level) -> list[str]:
    return [row.args[1] for row in level.rows.get("add_header", []) if row.args[0] == "At"]


def difference(ask: Ask, found: Route, real: Answer, behind: int) -> str | None:
    """How nginx's response differs from the prediction; None if it does not."""
    said = ours(found, behind)
    if found.server is not None and found.rejected_by is None and found.status is None:
        # An app, a module or a file: the header shows the block, and whether the app was reached.
        if found.handler is not None and not said.behind:
            # Nothing listens there, or it uses another protocol: only the mark can be compared.
            target = found.target
            is_up = target is not None and target.host.lower() in ("up", "seen.example")
            said = Answer(real.status, said.mark, None, real.behind if is_up else False)
        elif found.other is not None:
            said = Answer(real.status if real.status != 500 else 0, said.mark, None, False)
        elif found.handler is None:
            said = Answer(404, said.mark, None, False)
        else:
            said = Answer(real.status, said.mark, None, True)
    if said == real:
        return None
    steps = "; ".join(step.why for step in found.via)
    return f"{ask}:\n    nginx {real}\n    ours  {said} via {steps}"


@dataclass
class Outcome:
    """The results of several configurations."""

    asked: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    unknown: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


async def compare(binary: NginxBinary, folder: Path, seed: int, outcome: Outcome) -> None:
    """Send the requests of one configuration, and compare the responses."""
    generator = Generator(binary, seed, free_ports(PORTS))
    made = generator.configuration()
    write_certificate(folder)
    main = folder / "as-written.conf"
    main.write_text(made.text)
    written = read(str(main))
    assert written.problems == [], written.problems[:3]
    root = build(written)
    (folder / "nothing").mkdir()
    files = DocumentRoot(Workspace.on_disk(str(folder)), str(folder / "nothing"))
    async with Nginx(binary, made.text, folder):
        for ask in made.asks:
            found = route_request(root, parse_url(ask.url), binary.version, files)
            real = await asyncio.to_thread(answer, ask)
            outcome.asked[ask.kind] += 1
            outcome.answers[_class(found)] += 1
            if found.unknown:
                outcome.unknown.append(f"{ask}: {found.unknown[0]}")
                continue
            different = difference(ask, found, real, generator.behind)
            if different is not None:
                outcome.wrong.append(f"seed {seed}: {different}")


def _class(found: Route) -> str:
    """The class of a prediction, for the counts."""
    if found.server is None:
        return "no server"
    if found.rejected_by is not None:
        return "ssl_reject_handshake"
    if any(step.why.startswith("auth_request") for step in found.via):
        return "auth_request refuses"
    if any("needs a resolver" in step.why for step in found.via):
        return "no resolver"
    if any("is not a valid target" in step.why for step in found.via):
        return "empty or bad target"
    if found.redirect is not None:
        return "redirect, " + ("absolute" if "://" in found.redirect else "relative")
    if found.other is not None:
        return f"module {found.other.directive.name}"
    return "passed on" if found.handler is not None else f"other {found.status}"


async def run(binary: NginxBinary, cases: int, seed: int) -> Outcome:
    """Send at least this number of requests."""
    outcome = Outcome()
    while outcome.asked.total() < cases:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder).chmod(0o755)
            await compare(binary, Path(folder), seed, outcome)
        seed += 1
    return outcome


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    add_nginx_option(parser)
    options = parser.parse_args()
    wrong = 0
    for binary in chosen(options.nginx):
        outcome = asyncio.run(run(binary, options.cases, options.seed))
        wrong += len(outcome.wrong)
        for text in outcome.wrong[:20]:
            print(text)
        for counts in (outcome.asked, outcome.answers):
            for name, count in sorted(counts.items()):
                print(f"    {count:6} {name}")
        asked, unknown = outcome.asked.total(), len(outcome.unknown)
        print(f"{binary}: {asked} requests, {len(outcome.wrong)} disagreements, {unknown} unknown")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
