"""Make the examples of the rules runnable: real ports, the dripping upstream, a certificate."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from nginx_stream_lint.config import Configuration, Directive, Source, read
from nginx_stream_lint.fixes.apply import apply_edits
from nginx_stream_lint.kubernetes.translate import translate_resources
from nginx_stream_lint.nginx.levels import Level, build
from nginx_stream_lint.nginx.listeners import Client, address
from nginx_stream_lint.nginx.location_match import match_of
from nginx_stream_lint.nginx.values import parse_time
from nginx_stream_lint.probe import free_ports
from nginx_stream_lint.rules.finding import Edit
from nginx_stream_lint.rules.rule import Example, Rule
from nginx_stream_lint.rules.rule_file import load_folder
from nginx_stream_lint.rules.shipped import builtin_folder
from tests.kubernetes import on_nginx

# The scale of times: 60 s in an example take 3 s in the test.
SCALE = 1 / 20
_TIMES = re.compile(r"\w+_read_timeout|client_body_timeout|proxy_timeout|worker_shutdown_timeout")
# Examples with this directive, or with the defaults of 1.29.7, need a new nginx.
_HTTP2_DIRECTIVE = (1, 25, 1)
_SPEAKS = {"proxy": "http", "grpc": "h2c", "fastcgi": "fastcgi", "uwsgi": "uwsgi", "scgi": "scgi"}


@dataclass(frozen=True)
class Named:
    """An example with the rule it belongs to."""

    rule: Rule
    number: int
    example: Example

    @property
    def name(self) -> str:
        return f"{self.rule.name}-{self.number}"

    @property
    def evidence(self) -> str:
        return self.example.evidence or self.rule.evidence

    @property
    def ages(self) -> tuple[str, ...]:
        """The nginx that the example needs: `old`, `new`, or both."""
        version = self.example.nginx_version
        if version is None:
            return ("old", "new")
        return ("new",) if version >= _HTTP2_DIRECTIVE else ("old",)


def all_examples() -> list[Named]:
    """Every example of every shipped rule."""
    return [
        Named(rule, number, example)
        for rule in load_folder(builtin_folder())
        for number, example in enumerate(rule.examples)
    ]


@dataclass(frozen=True)
class Runnable:
    """An example's configuration that a real nginx accepts, and the ports of its servers."""

    configuration: Configuration
    root: Level
    text: str
    ports: Mapping[str, int]

    def port(self, server: Level, client: Client) -> int:
        """The port of a server that a kind of client can use."""
        listens = [row.args for row in server.rows.get("listen", [])] or [("80",)]
        for args in listens:
            if ("ssl" in args[1:]) == (client != "h1"):
                return self.ports[address(args[0])]
        raise AssertionError(f"{server} has no port for {client}")


def uri(location: Level) -> str:
    """A path that a location without a regular expression matches."""
    match = match_of(location)
    assert not match.is_regex
    return match.pattern


def _config_map(manifest: str) -> str:
    """The nginx text in a manifest's ConfigMap."""
    documents = yaml.safe_load_all(manifest)
    [data] = [one["data"] for one in documents if one["kind"] == "ConfigMap"]
    [text] = data.values()
    return str(text)


def runnable(text: str, folder: Path, upstream: Mapping[str, int]) -> Runnable:
    """Make a text of an example runnable below `folder`; SCALE shortens its times."""
    path = folder / "example.conf"
    if text.startswith("apiVersion:"):
        # A manifest: the configuration of its first controller, or the text of its ConfigMap.
        made = translate_resources(Source("ingress.yaml", text), text)[0]
        one = next((one for one in made if "proxy_pass" in one.text), None)
        text = (
            _config_map(text)
            if one is None
            else on_nginx.runnable(one.text, ("certificate.pem", "key.pem"))
        )
    path.write_text(text)
    configuration = read(str(path))
    assert configuration.problems == [], configuration.problems
    root = build(configuration)
    ports: dict[str, int] = {}
    edits: list[Edit] = []
    for level in root.walk():
        if level.kind in ("server", "stream-server"):
            edits += _listens(level, ports)
    for level in root.walk():
        for rows in level.rows.values():
            for row in rows:
                edits += _row(row, level, upstream, ports)
    source = configuration.files[0].source
    changed = apply_edits(source.text, edits)
    if configuration.context:
        changed = f"events {{}}\nhttp {{\n{changed}\n}}\n"
    return Runnable(configuration, root, changed, ports)


def _listens(server: Level, ports: dict[str, int]) -> Iterator[Edit]:
    assert server.directive is not None
    rows = server.rows.get("listen", [])
    for row in rows:
        port = ports.setdefault(address(row.args[0]), 0) or free_ports(1)[0]
        ports[address(row.args[0])] = port
        start, end = row.arg_spans[0]
        yield Edit(row.source, start, end, f"127.0.0.1:{port}")
    if not rows:
        port = ports.setdefault("*:80", 0) or free_ports(1)[0]
        ports["*:80"] = port
        at = server.directive.end
        yield Edit(server.directive.source, at, at, f" listen 127.0.0.1:{port};")


def _row(
    row: Directive, level: Level, upstream: Mapping[str, int], ports: Mapping[str, int]
) -> Iterator[Edit]:
    """Replace the target of a row (the app, or another server of the example), or a long time."""
    family = row.name.removesuffix("_pass")
    if row.name.endswith("_pass") and family in _SPEAKS:
        start, end = row.arg_spans[0]
        app = f"127.0.0.1:{upstream[_SPEAKS[family]]}"
        target = re.sub(
            r"127\.0\.0\.1:\d+",
            lambda found: f"127.0.0.1:{ports[found[0]]}" if found[0] in ports else app,
            row.args[0],
        )
        yield Edit(row.source, start, end, target)
    elif row.name == "server" and level.kind == "upstream":
        start, end = row.arg_spans[0]
        yield Edit(row.source, start, end, f"127.0.0.1:{upstream[_group_speaks(level)]}")
    elif row.name in ("ssl_certificate", "ssl_certificate_key"):
        start, end = row.arg_spans[0]
        yield Edit(row.source, start, end, _certificate(row.name))
    elif _TIMES.fullmatch(row.name):
        time = parse_time(row.args[0])
        assert time is not None
        start, end = row.arg_spans[0]
        yield Edit(row.source, start, end, f"{int(time * SCALE * 1000)}ms")


def _certificate(name: str) -> str:
    return "certificate.pem" if name == "ssl_certificate" else "key.pem"


def _group_speaks(group: Level) -> str:
    """The protocol of the handlers that name an upstream block."""
    assert group.parent is not None
    assert group.directive is not None
    name = group.directive.args[0]
    for level in group.parent.walk():
        handler = level.own_handler
        if handler is not None and re.sub(r"^\w+://", "", handler.target).split("/")[0] == name:
            return _SPEAKS[handler.family]
    return "http"
