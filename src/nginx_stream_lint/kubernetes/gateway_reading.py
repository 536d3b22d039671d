"""Read the nginx configuration of each Gateway of NGINX Gateway Fabric.

The objects of one Gateway usually are in several files: those that the user names, and others of
the same repository.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from nginx_stream_lint.config.configuration import Configuration, read_from
from nginx_stream_lint.config.documents import is_yaml
from nginx_stream_lint.config.includes import IncludeResolver
from nginx_stream_lint.config.mapped_text import MappedText
from nginx_stream_lint.config.templates import yaml_reading
from nginx_stream_lint.files.source import Source
from nginx_stream_lint.kubernetes.controllers import gateway_fabric
from nginx_stream_lint.kubernetes.gateway_api import (
    CONCERNS,
    OF_NGINX,
    ROUTES,
    ApiObject,
    Objects,
    Reference,
    objects,
    written,
)
from nginx_stream_lint.kubernetes.gateway_author import GatewayAuthor
from nginx_stream_lint.kubernetes.gateway_fabric import (
    GatewayConverter,
    GatewayPart,
)
from nginx_stream_lint.kubernetes.gateway_routes import (
    Plan,
    gateways_of,
    refers_to_fabric,
    rules_of,
)
from nginx_stream_lint.kubernetes.kustomized import Kustomize, with_patches
from nginx_stream_lint.kubernetes.manifest import Mapping, Scalar, documents
from nginx_stream_lint.kubernetes.nginx_text import TooLong
from nginx_stream_lint.util.budget import in_force
from nginx_stream_lint.util.problems import Unreadable

_MAX_FILES = 2000
_MAX_NAMES = 200
_REPLACED = re.compile(r"kind[\"']?: *[\"']?(?:Ingress|VirtualServer)\b")


def gateway_configurations(
    named: Sequence[MappedText], files: IncludeResolver, kustomize: Kustomize
) -> list[Configuration]:
    """The configurations of the Gateways that objects in the named YAML texts belong to.

    Other files of their repositories complete them; findings are about the named files.
    """
    own = [one for one in named if CONCERNS.search(one.text)]
    if not own:
        return []
    keys = {one.source.key for one in own}
    others = _around(own, keys, files)
    every = [one for reading in (*own, *others) for one in read_objects(reading)]
    for top in repositories_of(own, files):
        every = with_patches(every, kustomize(files.workspace, files.repository(top).files))
    found: list[Configuration] = []
    checked: list[Plan] = []
    try:
        most = in_force().left("made")
        for plan in plans(every):
            is_copy = plan.first.project is not None
            if is_copy and found and in_force().left("made") < most // 2:
                continue  # many overlays of one base: those before stand for it
            if any(one.document.source.key in keys for one in _members(plan)):
                found.append(_configuration(plan, files, keys, own))
                checked.append(plan)
        found += _replaced_ingresses(checked, named, files)
    except Unreadable as stop:
        # The run may generate no more text.
        found.append(Configuration(own[0].source.name, problems=[stop.problem]))
    return found


def read_objects(reading: MappedText) -> list[ApiObject]:
    """The objects of a YAML text; invalid documents are problems of its other readings."""
    return objects(documents(reading.source, reading.text)[0])


def repositories_of(own: Sequence[MappedText], files: IncludeResolver) -> Iterable[str]:
    """The roots of the repositories of some texts."""
    names = [one.source.name for one in own]
    return dict.fromkeys(files.top(one) for one in names if files.workspace.is_file(one))


def _around(own: Sequence[MappedText], keys: set[str], files: IncludeResolver) -> list[MappedText]:
    """The other YAML texts of the repositories with objects of these APIs."""
    found: list[MappedText] = []
    seen = set(keys)
    for top in repositories_of(own, files):
        repository = files.repository(top)
        for path in [one for one in repository.files if is_yaml(one)][:_MAX_FILES]:
            key = files.key(path)
            if key in seen:
                continue
            seen.add(key)
            if CONCERNS.search(repository.text(path)):
                try:
                    source = files.source(path)
                    source.is_yaml = True
                    found.append(yaml_reading(source))
                except Unreadable:
                    continue
    return found


def _replaced_ingresses(
    checked: Sequence[Plan], named: Sequence[MappedText], files: IncludeResolver
) -> Iterator[Configuration]:
    """The configurations of Ingresses that the routes of some Gateways may replace.

    They have a host or a Service in common with a route. Ingresses that the user named are omitted.
    """
    from nginx_stream_lint.kubernetes.translate import configurations

    routes = [route for plan in checked for route in plan.routes]
    names = {
        host.text: None
        for route in routes
        for host in route.spec.items("hostnames")
        if isinstance(host, Scalar) and host.text
    }
    for route in routes:
        backends = [item for rule in rules_of(route) for item in rule.items("backendRefs")]
        words = [item.word("name") for item in backends if isinstance(item, Mapping)]
        names |= {written(route.document, word): None for word in words if word is not None}
    if not names:
        return
    wanted = re.compile("|".join(map(re.escape, islice(names, _MAX_NAMES))))
    name = checked[0].first.document.source.name
    if not files.workspace.is_file(name):
        return
    keys = {one.source.key for one in named}
    repository = files.repository(files.top(name))
    for path in [one for one in repository.files if is_yaml(one)][:_MAX_FILES]:
        text = repository.text(path)
        if _REPLACED.search(text) is None or not wanted.search(text) or files.key(path) in keys:
            continue
        try:
            reading = yaml_reading(files.source(path))
        except Unreadable:
            continue
        for one in configurations(reading.source, reading.text, reading.conditional, files):
            one.is_for_comparison = True
            yield one


def plans(every: Iterable[ApiObject]) -> list[Plan]:
    """The Gateways of NGINX Gateway Fabric among objects, each with its routes."""
    known = Objects(every)
    routes: dict[int, list[ApiObject]] = {}
    missing: dict[tuple[str, str], list[ApiObject]] = {}
    for one in known.every:
        if one.kind not in ROUTES:
            continue
        for wanted in gateways_of(one):
            gateway = known.find(wanted, one)
            if gateway is None:
                missing.setdefault((wanted.name, wanted.namespace or ""), []).append(one)
            else:
                its_routes = routes.setdefault(id(gateway), [])
                if its_routes[-1:] != [one]:  # it may name several listeners of the Gateway
                    its_routes.append(one)
    found: list[Plan] = []
    for one in known.every:
        if one.kind == "Gateway" and id(one) in routes:
            its = tuple(routes[id(one)])
            gateway_class = _class_of(one, known)
            how = _evidence_of(one, gateway_class, its, known)
            if how is not None:
                found.append(Plan(one, gateway_class, its, known, how == "class"))
    for (name, _), some in missing.items():
        if any(_is_of_nginx(one, known) for one in some):
            found.append(Plan(None, None, tuple(some), known, False))
        elif "nginx" in name:
            found.append(Plan(None, None, tuple(some), known, True))
    return found


def _class_of(gateway: ApiObject, known: Objects) -> ApiObject | None:
    name = gateway.spec.word("gatewayClassName")
    return None if name is None else known.find(Reference("GatewayClass", name.text, None), gateway)


def _evidence_of(
    gateway: ApiObject,
    gateway_class: ApiObject | None,
    routes: Sequence[ApiObject],
    known: Objects,
) -> str | None:
    """The evidence that a Gateway belongs to NGINX Gateway Fabric: `known` or `class`, or None."""
    controller = None if gateway_class is None else gateway_class.spec.word("controllerName")
    if controller is not None:
        return "known" if controller.text.startswith(gateway_fabric().class_controller) else None
    if any(_is_of_nginx(one, known) for one in (gateway, *routes)):
        return "known"
    name = gateway.spec.word("gatewayClassName")
    return "class" if name is not None and "nginx" in name.text else None


def _is_of_nginx(one: ApiObject, known: Objects) -> bool:
    """Whether something of NGINX Gateway Fabric is used with a Gateway or a route."""
    group = one.spec.word("infrastructure", "parametersRef", "group")
    if group is not None and group.text == OF_NGINX:
        return True
    kinds = (*gateway_fabric().policies, "SnippetsPolicy", "RateLimitPolicy")
    return refers_to_fabric(one) or any(known.policies(one, kind) for kind in kinds)


def _members(plan: Plan) -> Iterator[ApiObject]:
    """The objects of a Gateway: itself, its routes, and the policies of these."""
    own = [*plan.routes, *([] if plan.gateway is None else [plan.gateway])]
    yield from own
    for one in own:
        for kind in (*gateway_fabric().policies, "SnippetsPolicy", "RateLimitPolicy"):
            yield from plan.objects.policies(one, kind)


def made(plan: Plan) -> GatewayConverter:
    """Write the files of a Gateway; the run's budget is charged for them."""
    source, span = plan.first.document.source, plan.first.span
    place = source.name, *source.position(span.start)
    budget = in_force()
    converter = GatewayConverter(plan)
    try:
        converter.make()
    except TooLong:
        budget.exceed("made", *place)
    size = sum(len(one.text) for one in (converter.root, *converter.parts.values()))
    budget.spend("made", size, *place)
    return converter


def _configuration(
    plan: Plan, files: IncludeResolver, keys: set[str], own: Sequence[MappedText]
) -> Configuration:
    converter = made(plan)
    conditional = {one.source.key: one.conditional for one in own}

    def reading(part: GatewayPart) -> MappedText:
        source: Source = part.document.source
        return MappedText(
            source,
            part.text.text,
            tuple(part.text.pieces),
            conditional.get(source.key, ()),
            author=GatewayAuthor(part.subject, plan.objects, plan.by_class),
        )

    blocks = {name: reading(part) for name, part in converter.parts.items()}
    root = reading(converter.root)
    found = read_from(root, root.source.name, files.with_blocks(blocks))
    written = (converter.root, *converter.parts.values())
    problems = [*found.problems, *(one for part in written for one in part.problems)]
    found.problems = list(dict.fromkeys(problems))
    limit(found, frozenset(keys), files)
    return found


def limit(found: Configuration, keys: frozenset[str], files: IncludeResolver) -> None:
    """Limit a configuration to findings about the named files, if it has others, too."""
    if any(file.source.key not in keys for file in found.files):
        found.about = keys
        found.problems = [one for one in found.problems if files.key(one.file) in keys]
