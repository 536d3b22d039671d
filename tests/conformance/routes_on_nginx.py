"""Send requests to a running nginx, and compare its routing with that of the linter."""

from __future__ import annotations

import contextlib
import shutil
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from nginx_stream_lint.config import read
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.nginx.document_root import DocumentRoot
from nginx_stream_lint.nginx.levels import Level, build
from nginx_stream_lint.nginx.request import Request
from nginx_stream_lint.nginx.request_route import Route, route_request
from nginx_stream_lint.probe import Nginx, NginxBinary, NginxError

ROOT = "files"  # the folder of every `root` of a case
_AT_ONCE = 25  # requests that are sent before their responses are read
_SECONDS = 60.0


@dataclass
class Node:
    """A directive: its words, and its block if it has one. Requests need those that are `kept`."""

    head: str
    body: list[Node] | None = None
    kept: bool = False

    def text(self, indent: str = "") -> str:
        """Its text in a file; a node without words is the file itself."""
        if not self.head:
            return "".join(node.text() for node in self.body or [])
        if self.body is None:
            return f"{indent}{self.head};\n"
        inner = "".join(node.text(f"{indent}    ") for node in self.body)
        return f"{indent}{self.head} {{\n{inner}{indent}}}\n"

    def walk(self) -> Iterator[Node]:
        """This node and all inside it."""
        yield self
        for node in self.body or []:
            yield from node.walk()


@dataclass(frozen=True)
class Ask:
    """A request, without body, to a loopback port."""

    port: int
    host: str
    target: str
    method: str = "GET"

    def __str__(self) -> str:
        shown = self.target if len(self.target) < 200 else f"{self.target[:200]}…"
        return f"{self.method} http://{self.host}:{self.port}{shown}"

    @property
    def raw(self) -> bytes:
        """The bytes of the request."""
        text = (
            f"{self.method} {self.target} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n"
            "Content-Length: 0\r\n\r\n"
        )
        return text.encode("utf-8", "surrogateescape")


@dataclass(frozen=True)
class Answer:
    """nginx's response; status 0: nginx closed the connection.

    `mark` is the number of the block that responded, `args` and `uri` the final values of these
    variables, and `behind` the port of the proxied server, if there is one.
    """

    status: int
    mark: str | None = None
    args: str = ""
    uri: str = ""
    behind: str | None = None
    redirect: str | None = None


@dataclass(frozen=True)
class Case:
    """A configuration, its requests, and the existing files."""

    configuration: Node
    asks: Sequence[Ask]
    files: tuple[str, ...] = ()
    files_known: bool = True


@dataclass
class Outcome:
    """The results of a configuration: the differences, and counts of the other predictions."""

    asked: int = 0
    unknown: list[tuple[Ask, str]] = field(default_factory=list)
    wrong: list[tuple[Ask, str]] = field(default_factory=list)


def _answer(head: bytes) -> tuple[Answer, int | None]:
    """Parse a response head. Returns it with the length of its body; None if it states none."""
    first, *lines = head.decode("utf-8", "surrogateescape").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    mark, _, args = headers.get("at", "").partition(" ")
    answer = Answer(
        int(first.split()[1]),
        mark or None,
        args,
        headers.get("uri", ""),
        headers.get("back"),
        headers.get("location") if first.split()[1].startswith("3") else None,
    )
    bodiless = answer.status in (204, 304)
    length = headers.get("content-length", "0" if bodiless else None)
    return answer, None if length is None else int(length)


def ask(asks: Sequence[Ask]) -> list[Answer]:
    """Send requests to one port. Returns the responses in the same order."""
    answers: list[Answer] = []
    while len(answers) < len(asks):
        answered = len(answers)
        with (
            contextlib.suppress(ConnectionError, TimeoutError),
            socket.create_connection(("127.0.0.1", asks[0].port), _SECONDS) as connection,
        ):
            _converse(connection, asks, answers)
        if len(answers) == answered:
            answers.append(Answer(0))
    return answers


def _converse(connection: socket.socket, asks: Sequence[Ask], answers: list[Answer]) -> None:
    """Send requests on one connection until all have responses or nginx closes it."""
    stream = connection.makefile("rb")
    while len(answers) < len(asks):
        batch = asks[len(answers) : len(answers) + _AT_ONCE]
        connection.sendall(b"".join(one.raw for one in batch))
        for one in batch:
            head = bytearray()
            while not head.endswith(b"\r\n\r\n"):
                line = stream.readline()
                if not line:
                    return
                head += line
            answer, length = _answer(bytes(head))
            answers.append(answer)
            if one.method != "HEAD":
                if length is None:
                    return
                stream.read(length)


def difference(root: Level, answer: Answer, found: Route, files_known: bool) -> str | None:
    """How nginx's response differs from a route; None if it does not."""
    level = found.location or found.server
    marks = [
        row.args[1].split()[0]
        for one in (level.outward() if level is not None else ())
        for row in one.rows.get("add_header", [])
        if row.args[0] == "At"
    ]
    status = found.status
    if found.server is None:
        status = 0
    elif status is None:
        # A proxied request or a file; if files are unknown, it may also be missing.
        missing = found.handler is None and not files_known and answer.status == 404
        status = answer.status if found.handler is not None or missing else 200
    behind = None if found.handler is None else _port(root, found.handler.target)
    if behind is not None and "\n" in found.args and answer.mark is None:
        return None  # proxied as HTTP/0.9, whose responses have no headers
    ours = Answer(
        status,
        marks[0] if marks else None,
        found.args,
        found.uri,
        behind,
        # A Location may remain from an earlier step; a proxied server sends its own.
        answer.redirect if found.handler is not None else found.redirect,
    )
    if ours.status in (408, 444, 499) and answer.status == 0:
        ours = Answer(0)
    if answer.status == ours.status == 0 or (
        answer.status == ours.status == 400 and not answer.mark
    ):
        return None
    return None if ours == answer else f"nginx {answer}"[:500] + f"\n    ours  {ours}"[:500]


def _port(root: Level, target: str) -> str:
    """The port of a `proxy_pass`, which may name an upstream."""
    host = target.removeprefix("http://").partition("/")[0].partition("$")[0]
    http = root.first("http")
    assert http is not None
    for level in http.children:
        if level.kind == "upstream" and level.directive and level.directive.args[0] == host:
            host = level.rows["server"][0].args[0]
    return host.rpartition(":")[2]


async def outcomes(binary: NginxBinary, case: Case, folder: Path) -> Outcome:
    """Send the requests of a case to nginx, and compare the responses with the routes."""
    text = case.configuration.text()
    _lay_out(folder, case.files)
    main = folder / "as-written.conf"
    main.write_text(text, encoding="utf-8", errors="surrogateescape")
    written = read(str(main))
    assert written.problems == [], written.problems[:3]
    root = build(written)
    root_folder = str(folder.resolve() / ROOT)
    files = DocumentRoot(Workspace.on_disk(root_folder), root_folder) if case.files_known else None
    by_port: dict[int, list[Ask]] = {}
    for one in case.asks:
        by_port.setdefault(one.port, []).append(one)
    outcome = Outcome()
    async with Nginx(binary, text, folder):
        for group in by_port.values():
            for one, answer in zip(group, ask(group), strict=True):
                outcome.asked += 1
                request = Request("http", one.host, one.port, one.target, one.method)
                found = route_request(root, request, binary.version, files)
                if found.unknown:
                    outcome.unknown.append((one, found.unknown[0]))
                    continue
                different = difference(root, answer, found, case.files_known)
                if different is not None:
                    outcome.wrong.append((one, different))
    return outcome


def _lay_out(folder: Path, files: Sequence[str]) -> None:
    """Make a folder with these files; a folder gets an `index.html`."""
    shutil.rmtree(folder / ROOT, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    for name in files:
        path = (
            folder / ROOT / f".{name}index.html"
            if name.endswith("/")
            else folder / ROOT / f".{name}"
        )
        # A name may be too long, or a file may have the name of a required folder.
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


async def minimized(
    binary: NginxBinary, case: Case, one: Ask, folder: Path
) -> tuple[Node, str] | None:
    """The smallest part of a configuration that still has a difference.

    None if the difference does not occur again.
    """

    async def still() -> str | None:
        try:
            outcome = await outcomes(binary, case, folder)
        except (NginxError, AssertionError):
            return None  # the omitted part was necessary
        return outcome.wrong[0][1] if outcome.wrong else None

    configuration = _copy(case.configuration)
    case = replace(case, configuration=configuration, asks=[one])
    _keep_port(configuration, one.port)
    last = await still()
    if last is None:
        return None
    smaller = True
    while smaller:
        smaller = False
        for parent in [node for node in configuration.walk() if node.body]:
            for child in list(parent.body or []):
                body = parent.body
                if child.kept or body is None or child not in body:
                    continue
                at = next(n for n, node in enumerate(body) if node is child)
                del body[at]
                now = await still()
                if now is None:
                    body.insert(at, child)
                else:
                    last, smaller = now, True
    return configuration, last


def _copy(node: Node) -> Node:
    body = None if node.body is None else [_copy(child) for child in node.body]
    return Node(node.head, body, node.kept)


def _keep_port(configuration: Node, port: int) -> None:
    """Remove the servers on other ports, but not the proxied ones."""

    def needed(node: Node) -> bool:
        listens = [row.head for row in node.body or [] if row.head.startswith("listen ")]
        return node.kept or not listens or any(f":{port}" in row for row in listens)

    http = next(node for node in configuration.walk() if node.head == "http")
    assert http.body is not None
    http.body[:] = [node for node in http.body if node.head != "server" or needed(node)]
