"""The author of generated nginx text: a controller and the resource that it reads.

`fixes/ingress_placement.py` writes into the resource.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import islice
from operator import itemgetter

from msgspec import Struct, field

from nginx_stream_lint.kubernetes.controllers import Controller
from nginx_stream_lint.kubernetes.gateway_api import written
from nginx_stream_lint.kubernetes.manifest import Document, Mapping, Scalar
from nginx_stream_lint.kubernetes.resources import (
    ControllerSettings,
    Ingress,
    VirtualServer,
)
from nginx_stream_lint.kubernetes.virtual_server_routes import (
    paths_by_route,
    paths_by_upstream,
    upstreams_by_route,
)


class ControllerAuthor(Struct, frozen=True, eq=False):
    """The `Author` of the nginx text that an ingress controller generates from a resource.

    `settings` are those of the controller's ConfigMap. `by_class`: only the name of its class
    assigns the resource to the controller; `assumed`: nothing does. `patch` is the document that
    the text comes from, if that is not the resource's own.
    """

    controller: Controller
    resource: Ingress | VirtualServer | ControllerSettings
    by_class: bool
    assumed: bool
    settings: ControllerSettings | None = None
    patch: Document | None = None
    _upstreams: dict[int, Mapping] = field(default_factory=dict)  # see `upstreams_by_route`
    _sharing: dict[int, dict[str, None]] = field(default_factory=dict)  # see `paths_by_upstream`
    _routes: dict[int, str] = field(default_factory=dict)  # see `paths_by_route`
    # The paths of an Ingress, each once; and the place of each: start, end, path.
    _paths: dict[str, None] = field(default_factory=dict)
    _spans: list[tuple[int, int, str]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.controller.name

    @property
    def notes(self) -> tuple[int, int]:
        """The span for comments about all of the resource's locations: among the annotations."""
        resource = self.resource
        home = resource.home if isinstance(resource, Ingress) and self.patch is None else None
        if home is not None and id(home) not in resource.origins:
            text = resource.document.text
            start = text.rfind("\n", 0, home.span.start)
            # Comments may be above the first annotation.
            while start > 0:
                before = text.rfind("\n", 0, start)
                if not text[before + 1 : start].strip().startswith("#"):
                    break
                start = before
            return start, home.span.end
        return 0, 0

    @property
    def region(self) -> tuple[int, int]:
        """The document that contains the resource, or the patch."""
        return (self.patch or self.resource.document).span

    def line(self, name: str, value: str) -> str:
        """A directive as written for this controller."""
        if isinstance(self.resource, VirtualServer):
            field = self.field_for(name, value)
            return f"{field[0]}: {field[1]}" if field else f"{name} {value};"
        found = self.annotation_for(name, value)
        if found is not None:
            return f'{found[0]}: "{found[1]}"'
        key = self.config_map_key_for(name, value)
        if key is not None:
            return f'{key[0]}: "{key[1]}"  # in the ConfigMap of {self.name}'
        snippet = self.controller.prefixes[0] + self.controller.snippets["location"]
        return f"{snippet}: |\n  {name} {value};"

    @property
    def apart(self) -> str:
        """Advice: how to separate a path so that its settings affect no other path."""
        if isinstance(self.resource, VirtualServer):
            return "give it its own upstream"
        return "move it to its own resource"

    def others(self, offset: int, most: int) -> tuple[list[str], int]:
        """The paths that share annotations or an upstream with the one at an offset.

        Returns at most `most` of them, and their total number.
        """
        resource = self.resource
        if isinstance(resource, VirtualServer):
            return self._sharing_upstream(resource, offset, most)
        if not isinstance(resource, Ingress):
            return [], 0
        if not self._paths:
            entries = [path for host in resource.hosts for path in host.paths]
            self._paths.update(dict.fromkeys(one.text for one in entries))
            if resource.default is not None:
                self._paths["the default backend"] = None
            self._spans.extend(sorted((*one.span, one.text) for one in entries))
        at = bisect_right(self._spans, offset, key=itemgetter(0)) - 1
        own = self._spans[at] if at >= 0 else (0, 0, "")
        mine = own[2] if offset < own[1] else None
        named = islice((path for path in self._paths if path != mine), most)
        return list(named), len(self._paths) - (mine in self._paths)

    def _sharing_upstream(
        self, resource: VirtualServer, offset: int, most: int
    ) -> tuple[list[str], int]:
        upstream = self.upstream_at(resource, offset)
        if not self._routes:
            self._routes.update(paths_by_route(resource.spec))
            self._sharing.update(paths_by_upstream(resource.spec))
        paths = {} if upstream is None else self._sharing.get(upstream.span.start, {})
        mine = self._routes.get(offset)
        named = islice((path for path in paths if path != mine), most)
        return list(named), len(paths) - (mine in paths)

    def upstream_at(self, resource: VirtualServer, offset: int) -> Mapping | None:
        """The upstream of the route that begins at an offset."""
        if not self._upstreams:
            self._upstreams.update(upstreams_by_route(resource.spec))
        return self._upstreams.get(offset)

    def service_at(self, offset: int) -> tuple[str, str | None] | None:
        """The Service of the path or of the upstream at an offset, and its namespace."""
        resource = self.resource
        if isinstance(resource, ControllerSettings):
            return None
        for start, service in _services(resource):
            if start == offset and service is not None:
                return written(resource.document, service), resource.namespace
        return None

    def has_setting(self, name: str, value: str) -> bool:
        """Whether a directive's value has an annotation or a field; others need a snippet."""
        if isinstance(self.resource, VirtualServer):
            return self.field_for(name, value) is not None
        return self.annotation_for(name, value) is not None

    def annotation_for(self, name: str, value: str) -> tuple[str, str] | None:
        """Name and value of the annotation for a directive; None if there is none."""
        row = self.controller.setting(name)
        if row is None or row.annotation is None:
            return None
        said = row.annotated(value)
        return None if said is None else (self.controller.prefixes[0] + row.annotation, said)

    def config_map_key_for(self, name: str, value: str) -> tuple[str, str] | None:
        """Key and value in the controller's ConfigMap for a directive without annotation."""
        if name in ("http2", "listen"):
            return (self.controller.http2, "true") if "http2" in f"{name} {value}" else None
        for level in ("main", "events", "http", "upstream"):
            for row in self.controller.settings[level]:
                if row.directive == name and row.key is not None:
                    said = row.annotated(value)
                    return None if said is None else (row.key, said)
        return None

    def field_for(self, name: str, value: str) -> tuple[str, str] | None:
        """Name and value of the upstream's field for a directive; None if there is none."""
        row = self.controller.setting(name)
        if row is None or row.field is None:
            return None
        said = row.annotated(value)
        if said is None:
            return None
        return row.field, said.lower() if row.value == "boolean" else said


def _services(resource: Ingress | VirtualServer) -> Iterator[tuple[int, Scalar | None]]:
    """The Services of a resource, each with the offset at which its upstream begins."""
    if isinstance(resource, VirtualServer):
        for one in resource.spec.mappings("upstreams"):
            yield one.span.start, one.word("service")
        return
    paths = [path for host in resource.hosts for path in host.paths]
    for path in paths if resource.default is None else [*paths, resource.default]:
        if path.service is not None:
            yield path.service.start, path.service
