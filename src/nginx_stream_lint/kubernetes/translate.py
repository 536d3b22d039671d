"""Translate a YAML source to the nginx configurations that controllers would generate."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Mapping as MappingOf

from msgspec.structs import replace

from nginx_stream_lint.config.configuration import Configuration, read_from
from nginx_stream_lint.config.includes import IncludeResolver
from nginx_stream_lint.config.mapped_text import MappedText, Regions
from nginx_stream_lint.files import Source, Workspace
from nginx_stream_lint.kubernetes.author import ControllerAuthor
from nginx_stream_lint.kubernetes.controllers import (
    Controller,
    ingress_nginx,
    is_true,
    nginx_org,
)
from nginx_stream_lint.kubernetes.conversion import Converter, PatchedPart, Writer
from nginx_stream_lint.kubernetes.ingress_nginx import IngressNginxConverter
from nginx_stream_lint.kubernetes.manifest import Scalar, documents
from nginx_stream_lint.kubernetes.nginx_org import NginxOrgConverter
from nginx_stream_lint.kubernetes.nginx_org_ingress import NginxOrgIngressConverter
from nginx_stream_lint.kubernetes.nginx_org_virtual_server import VirtualServerConverter
from nginx_stream_lint.kubernetes.nginx_text import NginxText, TooLong
from nginx_stream_lint.kubernetes.resources import (
    ControllerSettings,
    Ingress,
    Resource,
    VirtualServer,
    classes,
    resources,
)
from nginx_stream_lint.util.budget import in_force
from nginx_stream_lint.util.problems import Problem, Unreadable

# A YAML text that matches concerns one of the controllers.
_CONCERNS = re.compile(
    r"kind[\"']?\s*:\s*[\"']?(?:Ingress|IngressList|VirtualServer|VirtualServerRoute)\b"
    r"|name[\"']?\s*:\s*[\"']?[\w.-]*nginx[\w.-]*(?=[\s\"',}]|\Z)"
    r"|nginx\.ingress\.kubernetes\.io(?:/|~1)|(?<!gateway\.)nginx\.(?:org|com)(?:/|~1)"
    r"|[iI]ngress\w*[\"']?:"
)
# Classes and annotations of controllers that are not based on nginx.
_OTHERS = re.compile(
    r"(?i)traefik|\balb\b|haproxy|kong|\bgce\b|gce-|istio|contour|cilium|apisix|ambassador|emissary"
    r"|application-gateway|tailscale|cloudflare|caddy|higress|voyager|skipper|openshift|envoy|gloo"
)
_OF_NGINX_ORG = re.compile(r"(?i)nginx-?(?:org|plus|inc)|\bnic\b|f5")


def translate_resources(
    source: Source, text: str, conditional: tuple[tuple[int, int], ...] = ()
) -> tuple[list[MappedText], list[Problem]]:
    """Translate the resources in a YAML source: a text of nginx for each controller of each.

    The author of a text is a `ControllerAuthor`. The second list has the invalid documents.
    `text` is the source's with placeholders masked, of the same length; `conditional` is as in
    `MappedText`. Problems of a resource are those of its reading. Resources for other controllers
    are skipped.
    """
    if not concerns(text):
        return [], []
    found, problems = documents(source, text)
    class_controllers = dict(pair for document in found for pair in classes(document))
    every = [one for document in found for one in resources(document)]
    made: list[MappedText] = []
    try:
        for author in authors(every, class_controllers):
            maker = written(converter(author.controller, author.resource, author.settings))
            made.append(reading_of(author, maker, maker.text, conditional))
    except Unreadable as stop:
        problems.append(stop.problem)  # the run may generate no more text
    return made, problems


def concerns(text: str) -> bool:
    """Whether a YAML text may have resources of a controller."""
    return _CONCERNS.search(text) is not None


def authors(
    every: Sequence[Resource], class_controllers: MappingOf[str, str]
) -> Iterator[ControllerAuthor]:
    """The possible controllers of the resources of one file.

    `class_controllers` are the controllers of IngressClasses.
    """
    settings = {
        controller.name: one
        for one in every
        for controller in (ingress_nginx(), nginx_org())
        if isinstance(one, ControllerSettings) and _is_for(one, controller)
    }
    for one in every:
        for controller, how in _controllers(one, class_controllers):
            own = one if isinstance(one, ControllerSettings) else settings.get(controller.name)
            yield ControllerAuthor(controller, one, how == "class", how == "", own)


def configurations(
    source: Source, text: str, conditional: Regions = (), files: IncludeResolver | None = None
) -> list[Configuration]:
    """The configurations of a YAML source, for `nginx.levels.build`; see `translate_resources`.

    `files` finds included files; without it, includes find nothing.
    """
    readings, problems = translate_resources(source, text, conditional)
    files = files or IncludeResolver(Workspace.in_memory({}))
    found = [read_from(one, source.name, files) for one in readings]
    if problems:
        found.append(Configuration(source.name, problems=problems))
    return found


def converter(
    controller: Controller, resource: Resource, settings: ControllerSettings | None
) -> Converter:
    """The converter of a controller for a resource."""
    kind: type[Converter] = NginxOrgConverter
    if controller is ingress_nginx():
        kind = IngressNginxConverter
    elif isinstance(resource, Ingress):
        kind = NginxOrgIngressConverter
    elif isinstance(resource, VirtualServer):
        kind = VirtualServerConverter
    return kind(controller, resource, settings)


def written(maker: Converter) -> Converter:
    """Write the text of a converter, and charge the run's budget for it."""
    source = maker.document.source
    place = source.name, *source.position(maker.resource.span.start)
    budget = in_force()
    try:
        maker.make()
    except TooLong:
        budget.exceed("made", *place)
    parts = sum(len(text) for _, text in maker.parts.values())
    budget.spend("made", len(maker.text) + parts, *place)
    return maker


def _is_for(resource: ControllerSettings, controller: Controller) -> bool:
    """Whether settings belong to a controller."""
    own, other = ingress_nginx(), nginx_org()
    if controller is other:
        own, other = other, own
    keys = set(resource.data.entries)
    if own.may_read(resource.name) and not other.may_read(resource.name):
        return True
    if other.may_read(resource.name) and not own.may_read(resource.name):
        return False
    if resource.name == "controller.config":
        return controller is ingress_nginx()
    mine, theirs = len(own.keys & keys), len(other.keys & keys)
    return mine > theirs or (mine == theirs and controller is ingress_nginx())


def _controllers(
    resource: Resource, classes_: MappingOf[str, str]
) -> Iterator[tuple[Controller, str]]:
    """The possible controllers of a resource, and the evidence: annotations, class, or none."""
    both = (ingress_nginx(), nginx_org())
    if isinstance(resource, VirtualServer):
        yield nginx_org(), "kind"
        return
    if isinstance(resource, ControllerSettings):
        yield from ((one, "name") for one in both if _is_for(resource, one))
        return
    keys = resource.annotations
    canary = keys.get(f"{both[0].prefixes[0]}canary")
    if canary is not None and isinstance(canary.value, Scalar) and is_true(canary.value.text):
        return  # ingress-nginx gives the paths of another Ingress one more backend
    annotated = [one for one in both if any(one.short(key) is not None for key in keys)]
    if annotated:
        yield from ((one, "annotations") for one in annotated)
        return
    given = keys.get("kubernetes.io/ingress.class")
    name = resource.class_name or (given.value if given is not None else None)
    class_name = name.text if isinstance(name, Scalar) else ""
    known = classes_.get(class_name)
    if known is not None:
        yield from ((one, "class") for one in both if known in one.class_controllers)
        return
    others = " ".join(key for key in keys if "/" in key)
    if _OTHERS.search(class_name) or (_OTHERS.search(others) and "nginx" not in class_name):
        return
    if _OF_NGINX_ORG.search(class_name):
        yield nginx_org(), "class"
    else:
        yield ingress_nginx(), "class" if "nginx" in class_name else ""


def reading_of(
    author: ControllerAuthor, part: Writer, text: NginxText, conditional: Regions
) -> MappedText:
    """A written text; `conditional` are spans of the resource's own source."""
    document, own = part.document, author.resource.document
    return MappedText(
        document.source,
        text.text,
        tuple(text.pieces),
        conditional if document.source is own.source else (),
        problems=tuple(dict.fromkeys(part.problems)),
        author=author if document is own else replace(author, patch=document),
        is_inlined=isinstance(part, PatchedPart),
    )


def read_written(
    maker: Converter,
    makers: Sequence[Converter],
    reading: Callable[[Writer, NginxText], MappedText],
    files: IncludeResolver,
) -> Configuration:
    """Read the configuration that a converter wrote, with its parts and the problems of all."""
    blocks = {name: reading(*part) for name, part in maker.parts.items()}
    root = reading(maker, maker.text)
    found = read_from(root, root.source.name, files.with_blocks(blocks))
    parts = [part for part, _ in maker.parts.values()]
    problems = [one for each in (*makers, *parts) for one in each.problems]
    found.problems = list(dict.fromkeys([*found.problems, *problems]))
    return found
