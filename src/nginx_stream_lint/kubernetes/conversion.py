"""Shared parts of the converters: reading values, writing rows of the tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Mapping as MappingOf
from functools import cached_property

from nginx_stream_lint.config.mapped_text import (
    PLACEHOLDER,
    MappedText,
    has_placeholder,
    without_marks,
)
from nginx_stream_lint.config.tree import parse
from nginx_stream_lint.kubernetes.controllers import BlockName, Controller, Setting, is_true
from nginx_stream_lint.kubernetes.gateway_api import written
from nginx_stream_lint.kubernetes.manifest import (
    Document,
    Mapping,
    MappingEntry,
    NodeOrigin,
    Scalar,
    Span,
)
from nginx_stream_lint.kubernetes.nginx_text import Arg, NginxText, quoted
from nginx_stream_lint.kubernetes.resources import (
    ControllerSettings,
    Host,
    Ingress,
    IngressPath,
    Resource,
    host_name,
)
from nginx_stream_lint.util.budget import in_force
from nginx_stream_lint.util.problems import Problem, Unreadable

_MAX_PORT = 65535
# Generated configurations have a certificate in these files.
CERTIFICATE = "/etc/nginx/secrets/tls.pem"
KEY = "/etc/nginx/secrets/tls.key"


class Writer:
    """Writes nginx text from a document's values; `problems` are values that it cannot read.

    `place` is the offset in the document that stands for what no value says.
    """

    def __init__(self, controller_name: str, document: Document, place: int) -> None:
        self.controller_name = controller_name
        self.document = document
        self.place = place
        self.text = NginxText(place, in_force().left("made"))
        self._mistakes: dict[int, tuple[Problem, ...]] = {}  # in snippets, by their places
        self.problems: list[Problem] = []

    def problem(self, offset: int, message: str, advice: str) -> None:
        """Add a problem about a value that cannot be read."""
        self.problems.append(self.document.source.problem(offset, message, advice))

    def comments(self, span: Span) -> None:
        """Write the document's comments in a span."""
        self.text.lines(
            (self.document.text[one.start : one.end], one)
            for one in self.document.comments
            if span.start <= one.start < span.end
        )

    def row(self, name: str, row: Setting, entry: MappingEntry) -> None:
        """Write a directive with the value that a setting has in an entry."""
        word = word_of(entry)
        text = word.text.strip()
        if not row.accepts(text):
            self.problem(
                entry.span.start,
                f'{entry.key.text}: "{without_marks(text)}" is not {row.hint};'
                f" {self.controller_name} does not accept it",
                "write " + row.hint,
            )
            if row.default is not None:
                self.default(name, row, entry.span)
            return
        if row.value == "each":
            for item in split_list(word, ","):
                self.text.line(name, item, at=entry.span)
            return
        self.text.line(name, self._argument(row, word), at=entry.span)

    def _argument(self, row: Setting, word: Scalar) -> Arg:
        text = word.text.strip()
        if row.value in ("boolean", "negated") and not has_placeholder(text):
            is_on = is_true(text) is (row.value == "boolean")
            return ("on" if is_on else "off", word.span)
        if row.value == "word":
            return quoted(word)
        part = word if text == word.text else (text, word.span)
        unit = "s" if row.value == "seconds" else row.unit
        if has_placeholder(text):
            return part  # all of it is unknown
        return [part, (unit, Span(word.end, word.end))] if unit else part

    def default(self, name: str, row: Setting, span: Span | None) -> None:
        """Write a directive with a setting's default."""
        assert row.default is not None
        text = row.default
        if row.value == "boolean":
            text = "on" if is_true(text) else "off"
        elif row.value == "seconds":
            text += "s"
        self.text.line(name, *text.split(), at=span)

    def certificate(self) -> None:
        """Write a server's certificate and key."""
        self.text.line("ssl_certificate", CERTIFICATE)
        self.text.line("ssl_certificate_key", KEY)

    # Snippets

    def snippet(self, entry: MappingEntry | None) -> None:
        """Write the nginx text of a snippet; omit it if it would break the rest."""
        if entry is None or not isinstance(entry.value, Scalar) or not entry.value.text.strip():
            return
        word = entry.value
        lines = word.lines or ((word.text, word.span),)
        mistakes = self._mistakes.get(word.start)
        if mistakes is None:  # first use: a snippet is inserted into every location
            mistakes = self._mistakes[word.start] = self._mistakes_in(lines)
            self.problems += mistakes
        if not mistakes:
            self.text.lines(lines)

    def _mistakes_in(self, lines: Iterable[tuple[str, Span]]) -> tuple[Problem, ...]:
        alone = NginxText(self.place)
        alone.lines(lines)
        reading = MappedText(self.document.source, alone.text, tuple(alone.pieces))
        try:
            return tuple(parse(reading).problems)
        except Unreadable as stop:
            return (stop.problem,)


class PatchedPart(Writer):
    """Writes what another document says for the resource of `maker`, which includes it."""

    def __init__(self, maker: Converter, origin: NodeOrigin) -> None:
        super().__init__(maker.controller_name, origin.document, origin.node.span.start)
        self.maker = maker


class Converter(Writer):
    """Converts a resource to nginx configuration.

    `followers` convert other resources, whose locations are in the same servers.
    """

    followers: Sequence[Converter] = ()

    def __init__(
        self,
        controller: Controller,
        resource: Resource,
        settings: ControllerSettings | None,
    ) -> None:
        super().__init__(controller.name, resource.document, resource.place)
        self.controller = controller
        self.resource = resource
        self.data = settings.data.entries if settings is not None else {}
        self.origins = resource.origins
        if settings is not None and settings is not resource:
            self.origins = {**resource.origins, **settings.origins}
        self.annotations: dict[str, MappingEntry] = {}
        self.unknown: Span | None = None
        # What others wrote, by the names of the includes.
        self.parts: dict[str, tuple[Writer, NginxText]] = {}
        self.zone_suffix = ""  # of names that must differ from those of other resources
        if isinstance(resource, Ingress):
            self.unknown = resource.unknown
            for key, entry in resource.annotations.items():
                short = self.controller.short(key)
                if short is not None and self._is_text(entry, resource.is_manifest):
                    self.annotations[short] = entry

    def make(self) -> None:
        """Write the whole configuration into `text`."""
        raise NotImplementedError

    def include(self, part: Writer) -> None:
        """Include what another writer has written, which then begins a new text."""
        if part.text.text.strip():
            name = f"ingress-part-{len(self.parts)}"
            self.parts[name] = part, part.text
            self.text.line("include", name)
        part.text = NginxText(part.place)

    def row(self, name: str, row: Setting, entry: MappingEntry) -> None:
        """Write a directive with the value that a setting has in an entry, where that is."""
        elsewhere = self._elsewhere(entry)
        if elsewhere is None:
            super().row(name, row, entry)
            return
        part, own = elsewhere
        part.row(name, row, own)
        self._include_part(part)

    def snippet(self, entry: MappingEntry | None) -> None:
        """Write the nginx text of a snippet where that is; omit it if it would break the rest."""
        elsewhere = None if entry is None else self._elsewhere(entry)
        if elsewhere is None:
            super().snippet(entry)
            return
        part, own = elsewhere
        part.snippet(own)
        self._include_part(part)

    def plain_line(self, entry: MappingEntry | None, name: str, *words: str) -> None:
        """Write a directive that an entry causes, where that is; without one, a default."""
        elsewhere = None if entry is None else self._elsewhere(entry)
        if elsewhere is None:
            self.text.line(name, *words, at=None if entry is None else entry.span)
            return
        part, own = elsewhere
        part.text.line(name, *words, at=own.span)
        self._include_part(part)

    def _elsewhere(self, entry: MappingEntry) -> tuple[PatchedPart, MappingEntry] | None:
        """A new part for an entry that another document has, and the entry there."""
        origin = self.origins.get(id(entry))
        if origin is None or not isinstance(origin.node, MappingEntry):
            return None
        return PatchedPart(self, origin), origin.node

    def _include_part(self, part: PatchedPart) -> None:
        self.problems += part.problems
        self.include(part)

    @property
    def ingress(self) -> Ingress:
        """The resource, which must be an Ingress."""
        assert isinstance(self.resource, Ingress)
        return self.resource

    def _is_text(self, entry: MappingEntry, is_manifest: bool) -> bool:
        value = entry.value
        if isinstance(value, Scalar) and (
            value.is_string or has_placeholder(value.text) or not is_manifest
        ):
            return True
        place: Writer = self
        elsewhere = self._elsewhere(entry)
        if elsewhere is not None:
            place, entry = elsewhere
        place.problem(
            entry.span.start,
            f"the annotation {entry.key.text} is not a string, so Kubernetes rejects it",
            "quote its value",
        )
        if place is not self:
            self.problems += place.problems
        return isinstance(value, Scalar) and bool(value.text)

    # Values

    def entry(self, name: str) -> MappingEntry | None:
        """An annotation, by its name without prefix, if it is not empty."""
        entry = self.annotations.get(name)
        return entry if entry is not None and word_of(entry).text.strip() else None

    def value(self, name: str) -> str:
        """An annotation's value; empty without one."""
        entry = self.entry(name)
        return word_of(entry).text.strip() if entry is not None else ""

    def matching(self, name: str, pattern: str, default: str = "") -> str:
        """An annotation's value if all of it matches a pattern, otherwise a default."""
        value = self.value(name)
        return value if re.fullmatch(pattern, value) else default

    def is_on(self, name: str, default: bool = False) -> bool:
        """A boolean from the annotations, otherwise from the ConfigMap."""
        for entry in (self.entry(name), self.data.get(name)):
            if entry is not None and isinstance(entry.value, Scalar):
                return is_true(entry.value.text)
        return default

    def listed(self, name: str, separator: str = ",") -> Iterator[Scalar]:
        """The items of a list in an annotation, each with its place."""
        entry = self.entry(name)
        if entry is not None:
            yield from split_list(word_of(entry), separator)

    # Rows

    def rows(
        self,
        level: BlockName,
        fields: MappingOf[str, MappingEntry] | None = None,
        grpc: bool = False,
    ) -> None:
        """Write the directives of a level that have a setting in the controller's table.

        `fields` are those of a VirtualServer's upstream, which has no annotations.
        """
        for row in self.controller.settings[level]:
            name = row.directive if row.grpc is None or not grpc else row.grpc
            if not name:
                continue
            entry = self._given(row, fields)
            if entry is not None:
                self.row(name, row, entry)
            elif self.unknown is not None and row.annotation and fields is None:
                self.text.line(name, (PLACEHOLDER, self.unknown), at=self.unknown)
            elif row.default is not None:
                self.default(name, row, None)

    def _given(
        self, row: Setting, fields: MappingOf[str, MappingEntry] | None
    ) -> MappingEntry | None:
        if fields is not None:
            entry = fields.get(row.field or "")
        else:
            entry = self.entry(row.annotation) if row.annotation else None
        if entry is None and row.key and not (self.unknown is not None and row.annotation):
            entry = self.data.get(row.key)
        return entry if entry is not None and isinstance(entry.value, Scalar) else None

    def app_root(self) -> None:
        """Write the redirect from / to the path in the annotation `app-root`."""
        root = self.entry("app-root")
        if root is not None:
            word = word_of(root)
            self.text.open("if", "($uri", "=", "/)", at=root.span)
            before = ("$scheme://$http_host", Span(word.start, word.start))
            self.text.line("return", "302", [before, word], at=root.span)
            self.text.close(root.span)

    # Names

    @property
    def head(self) -> Span:
        """The first line of the resource."""
        end = self.document.text.find("\n", self.resource.place)
        end = len(self.document.text) if end < 0 else end
        line = self.document.text[self.resource.place : end]
        return Span(self.resource.place, self.resource.place + len(line.rstrip()))

    @property
    def hosts(self) -> Sequence[Host]:
        """The hosts of the Ingress; if it has none, one that stands for all."""
        return self.ingress.hosts or (Host(None, (), self.head),)

    def servers(self) -> list[list[Host]]:
        """The hosts, grouped by their names as written: equal ones form one server."""
        found: dict[str, list[Host]] = {}
        for host in self.hosts:
            name = host.name
            text = "" if name is None else written(self.document, name)
            found.setdefault(text, []).append(host)
        return list(found.values())

    @cached_property
    def by_host(self) -> dict[str, list[Host]]:
        """The hosts that form one server, by their name."""
        return {host_name(same): same for same in self.servers()}

    def paths(self, hosts: Iterable[Host]) -> list[IngressPath]:
        """The paths of hosts; without any, all of a host goes to the default backend."""
        return [path for host in hosts for path in self._paths(host)]

    def _paths(self, host: Host) -> Sequence[IngressPath]:
        if host.paths:
            return host.paths
        resource = self.resource
        default = resource.default if isinstance(resource, Ingress) else None
        span = host.name.span if host.name is not None else host.span
        if default is not None:
            return [IngressPath(None, "Prefix", default.service, default.port, default.span)]
        return [IngressPath(None, "Prefix", None, None, span)]

    def upstream_names(self, paths: list[IngressPath]) -> dict[tuple[str, str], str]:
        """A name for every service and port: the service's own, with the port if it has several."""
        ports: dict[str, set[str]] = {}
        for path in paths:
            service, port = backend_key(path)
            ports.setdefault(service, set()).add(port)
        return {
            (service, port): service if len(found) == 1 else f"{service}-{port}"
            for service, found in ports.items()
            for port in found
        }


def backend_key(path: IngressPath) -> tuple[str, str]:
    """Service and port of a path as text."""
    service = path.service.text if path.service is not None else "backend"
    return re.sub(r"[^\w.\-" + PLACEHOLDER + "]", "-", service), path.port.text if path.port else ""


def word_of(entry: MappingEntry) -> Scalar:
    """The value of an entry, which must be a word."""
    assert isinstance(entry.value, Scalar)
    return entry.value


def is_true_at(node: Mapping, *path: str) -> bool:
    """Whether the word at a path of keys is true."""
    word = node.word(*path)
    return word is not None and is_true(word.text)


def split_list(word: Scalar, separator: str) -> Iterator[Scalar]:
    """The items of a list in a word, without white space around them."""
    at = 0
    for item in word.text.split(separator):
        text = item.strip()
        if text:
            start = word.start + at + item.index(text) if word.is_exact else word.start
            end = start + len(text) if word.is_exact else word.end
            yield Scalar(text, start, end, "", word.is_exact, True)
        at += len(item) + len(separator)


def service_address(port: Scalar | None) -> str:
    """Return a placeholder address for a service, with the service's port."""
    number = port.text if port is not None else ""
    is_number = re.fullmatch(r"[0-9]{1,5}", number) is not None
    return f"127.0.0.1:{number}" if is_number and 0 < int(number) <= _MAX_PORT else "127.0.0.1"
