"""What the makers of nginx configuration have in common: values read, rows written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from nginx_stream_lint.config.source import HOLE, Reading, has_hole, without_marks
from nginx_stream_lint.config.tree import parse
from nginx_stream_lint.files.source import Source
from nginx_stream_lint.kubernetes.controllers import Controller, Setting, is_true
from nginx_stream_lint.kubernetes.manifest import Entry, Span, Word
from nginx_stream_lint.kubernetes.resources import Host, Ingress, Path, Resource, Settings
from nginx_stream_lint.kubernetes.text import Arg, Text, quoted
from nginx_stream_lint.util.budget import in_force
from nginx_stream_lint.util.problems import Problem, Unreadable

_PLACEHOLDER = "placeholder"
_MAX_PORT = 65535
# Where a real nginx finds a certificate when the text is made to run; see `translate.runnable`.
CERTIFICATE = "/etc/nginx/secrets/tls.pem"
KEY = "/etc/nginx/secrets/tls.key"


class Maker:
    """Writes what a controller makes of a resource; `problems` are values it cannot read.

    With `runs` it writes for a real nginx that is not to know of placeholders.
    """

    def __init__(
        self, controller: Controller, resource: Resource, settings: Settings | None, runs: bool
    ) -> None:
        self.controller = controller
        self.resource = resource
        self.document = resource.document
        self.data = settings.data.entries if settings is not None else {}
        self.runs = runs
        most = in_force().left("made")
        self.text = Text(resource.place, _PLACEHOLDER if runs else None, most)
        self._mistakes: dict[int, tuple[Problem, ...]] = {}  # in snippets, by their places
        self.problems: list[Problem] = []
        self.annotations: dict[str, Entry] = {}
        self.unknown: Span | None = None
        if isinstance(resource, Ingress):
            self.unknown = resource.unknown
            for key, entry in resource.annotations.items():
                short = self.controller.short(key)
                if short is not None and self._is_text(entry, resource.is_manifest):
                    self.annotations[short] = entry

    def make(self) -> None:
        """Write the whole configuration into `text`."""
        raise NotImplementedError

    @property
    def ingress(self) -> Ingress:
        """The resource, where it is an Ingress."""
        assert isinstance(self.resource, Ingress)
        return self.resource

    def _is_text(self, entry: Entry, is_manifest: bool) -> bool:
        value = entry.value
        if isinstance(value, Word) and (value.is_string or has_hole(value.text) or not is_manifest):
            return True
        self.problem(
            entry.span.start,
            f"the annotation {entry.key.text} is not a string, so Kubernetes rejects it",
            "quote its value",
        )
        return isinstance(value, Word) and bool(value.text)

    def problem(self, offset: int, message: str, advice: str) -> None:
        """Note what cannot be read."""
        self.problems.append(self.document.source.problem(offset, message, advice))

    # Values

    def entry(self, name: str) -> Entry | None:
        """An annotation, by the name without prefix, if it says something."""
        entry = self.annotations.get(name)
        return entry if entry is not None and word_of(entry).text.strip() else None

    def value(self, name: str) -> str:
        """An annotation's value; empty without one."""
        entry = self.entry(name)
        return word_of(entry).text.strip() if entry is not None else ""

    def is_on(self, name: str, default: bool = False) -> bool:
        """A boolean of the annotations, or else of the ConfigMap."""
        for entry in (self.entry(name), self.data.get(name)):
            if entry is not None and isinstance(entry.value, Word):
                return is_true(entry.value.text)
        return default

    def listed(self, name: str, separator: str = ",") -> Iterator[Word]:
        """The items of a list in an annotation, each with its place."""
        entry = self.entry(name)
        if entry is not None:
            yield from split(word_of(entry), separator)

    # Rows

    def rows(
        self, level: str, fields: Mapping[str, Entry] | None = None, grpc: bool = False
    ) -> None:
        """The directives of a level that the controller's table has.

        `fields` are those of a VirtualServer's upstream, which has no annotations.
        """
        for row in self.controller.settings[level]:
            name = row.directive if row.grpc is None or not grpc else row.grpc
            if not name:
                continue
            entry = self._given(row, fields)
            if entry is not None:
                self._row(name, row, entry)
            elif self.unknown is not None and row.annotation and fields is None:
                if not self.runs:
                    self.text.line(name, (HOLE, self.unknown), at=self.unknown)
                elif row.default is not None:
                    self._default(name, row, None)
            elif row.default is not None:
                self._default(name, row, None)

    def _given(self, row: Setting, fields: Mapping[str, Entry] | None) -> Entry | None:
        if fields is not None:
            entry = fields.get(row.field or "")
        else:
            entry = self.entry(row.annotation) if row.annotation else None
        if entry is None and row.key and not (self.unknown is not None and row.annotation):
            entry = self.data.get(row.key)
        return entry if entry is not None and isinstance(entry.value, Word) else None

    def _row(self, name: str, row: Setting, entry: Entry) -> None:
        word = word_of(entry)
        text = word.text.strip()
        if has_hole(text) and self.runs:
            if row.default is not None:
                self._default(name, row, None)
            return
        if not row.accepts(text):
            self.problem(
                entry.span.start,
                f'{entry.key.text}: "{without_marks(text)}" is not {row.hint};'
                f" {self.controller.name} does not accept it",
                "write " + row.hint,
            )
            if row.default is not None:
                self._default(name, row, entry.span)
            return
        if row.value == "each":
            for item in split(word, ","):
                self.text.line(name, item, at=entry.span)
            return
        self.text.line(name, self._argument(row, word), at=entry.span)

    def _argument(self, row: Setting, word: Word) -> Arg:
        text = word.text.strip()
        if row.value == "boolean" and not has_hole(text):
            return ("on" if is_true(text) else "off", word.span)
        if row.value == "word":
            return quoted(word)
        part = word if text == word.text else (text, word.span)
        unit = "s" if row.value == "seconds" else row.unit
        if has_hole(text):
            return part  # all of it is unknown
        return [part, (unit, Span(word.end, word.end))] if unit else part

    def _default(self, name: str, row: Setting, at: Span | None) -> None:
        assert row.default is not None
        text = row.default
        if row.value == "boolean":
            text = "on" if is_true(text) else "off"
        elif row.value == "seconds":
            text += "s"
        self.text.line(name, *text.split(), at=at)

    # Snippets

    def snippet(self, entry: Entry | None) -> None:
        """nginx text of an annotation or key, as it is; what would break the rest is left out."""
        if entry is None or not isinstance(entry.value, Word) or not entry.value.text.strip():
            return
        word = entry.value
        lines = word.lines or ((word.text, word.span),)
        if self.runs:
            lines = tuple((re.sub(f"{HOLE}+", "1", text), span) for text, span in lines)
        mistakes = self._mistakes.get(word.start)
        if mistakes is None:  # it is put into every location
            mistakes = self._mistakes[word.start] = self._mistakes_in(lines)
            self.problems += mistakes
        if not mistakes:
            self.text.lines(lines)

    def _mistakes_in(self, lines: Iterable[tuple[str, Span]]) -> tuple[Problem, ...]:
        alone = Text(self.resource.place)
        alone.lines(lines)
        reading = Reading(self.document.source, alone.text, tuple(alone.pieces))
        try:
            return tuple(parse(reading).problems)
        except Unreadable as stop:
            return (stop.problem,)

    # Names

    @property
    def head(self) -> Span:
        """The line that says what the resource is."""
        end = self.document.text.find("\n", self.resource.place)
        end = len(self.document.text) if end < 0 else end
        line = self.document.text[self.resource.place : end]
        return Span(self.resource.place, self.resource.place + len(line.rstrip()))

    def servers(self, hosts: Sequence[Host]) -> list[list[Host]]:
        """Hosts with one name together, as they make one server."""
        found: dict[str, list[Host]] = {}
        for host in hosts:
            name = host.name
            text = self.document.source.text[name.start : name.end] if name is not None else ""
            found.setdefault(text, []).append(host)
        return list(found.values())

    def paths(self, host: Host) -> list[Path]:
        """The paths of a host; without any, all of it goes to the default backend."""
        if host.paths:
            return list(host.paths)
        resource = self.resource
        default = resource.default if isinstance(resource, Ingress) else None
        span = host.name.span if host.name is not None else host.span
        if default is not None:
            return [Path(None, "Prefix", default.service, default.port, default.span)]
        return [Path(None, "Prefix", None, None, span)]

    def upstream_names(self, paths: list[Path]) -> dict[tuple[str, str], str]:
        """A name for every service and port: the service's own, with the port where it has two."""
        ports: dict[str, set[str]] = {}
        for path in paths:
            service, port = backend_key(path)
            ports.setdefault(service, set()).add(port)
        return {
            (service, port): service if len(found) == 1 else f"{service}-{port}"
            for service, found in ports.items()
            for port in found
        }


def backend_key(path: Path) -> tuple[str, str]:
    """Service and port of a path as text."""
    service = path.service.text if path.service is not None else "backend"
    return re.sub(r"[^\w.\-" + HOLE + "]", "-", service), path.port.text if path.port else ""


def word_of(entry: Entry) -> Word:
    """The value of an entry that is known to be a word."""
    assert isinstance(entry.value, Word)
    return entry.value


def split(word: Word, separator: str) -> Iterator[Word]:
    """The items of a list in a word, without white space around them."""
    at = 0
    for item in word.text.split(separator):
        text = item.strip()
        if text:
            start = word.start + at + item.index(text) if word.is_exact else word.start
            end = start + len(text) if word.is_exact else word.end
            yield Word(text, start, end, "", word.is_exact, True)
        at += len(item) + len(separator)


def address(port: Word | None) -> str:
    """An address that stands for a service; its port tells the app."""
    number = port.text if port is not None else ""
    is_number = re.fullmatch(r"[0-9]{1,5}", number) is not None
    return f"127.0.0.1:{number}" if is_number and 0 < int(number) <= _MAX_PORT else "127.0.0.1"


_THIRD_PARTY = re.compile(
    r"more_\w+|\w+_by_lua(?:_\w+)?|lua_\w+|modsecurity\w*|opentelemetry\w*|opentracing\w*|otel_\w+"
    r"|brotli\w*|geoip2?\w*|set_escape_uri|vhost_traffic_\w+|js_\w+|auth_digest\w*|jaeger_\w+"
    r"|zipkin_\w+|datadog_\w+|headers_more\w*|subs_filter\w*|http2_push\w*|auth_jwt\w*|perl\w*"
    r"|load_module|pagespeed|image_filter\w*|xslt_\w+"
)


def without_modules(text: str) -> str:
    """nginx text without the directives of modules that a plain nginx lacks."""
    file = parse(Source("", text))
    edits: list[tuple[int, int]] = []
    work = list(file.directives)
    while work:
        directive = work.pop()
        if _THIRD_PARTY.fullmatch(directive.name) or directive.name == "include":
            end = directive.end if directive.block is None else directive.block_end + 1
            edits.append((directive.start, end))
        else:
            work += directive.block or []
    for start, end in sorted(edits, reverse=True):
        text = text[:start] + text[end:]
    return text
