"""Merge resources that form one server: Ingresses of a host, masters and minions, policies.

ingress-nginx merges all Ingresses of a host. The NGINX Ingress Controller merges only those with
`mergeable-ingress-type`. Files of one folder are applied together; Ingresses that have the same
path are variants, and stay alone. A VirtualServer gets the policies that it names.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from nginx_stream_lint.config.configuration import Configuration
from nginx_stream_lint.config.includes import IncludeResolver
from nginx_stream_lint.config.mapped_text import MappedText, has_placeholder
from nginx_stream_lint.kubernetes.author import ControllerAuthor
from nginx_stream_lint.kubernetes.controllers import ingress_nginx
from nginx_stream_lint.kubernetes.conversion import (
    Converter,
    PatchedPart,
    Writer,
)
from nginx_stream_lint.kubernetes.gateway_api import OF_INGRESS_CONTROLLER, ApiObject, Objects
from nginx_stream_lint.kubernetes.gateway_reading import limit, read_objects
from nginx_stream_lint.kubernetes.ingress_nginx import IngressNginxConverter
from nginx_stream_lint.kubernetes.nginx_org_ingress import NginxOrgIngressConverter
from nginx_stream_lint.kubernetes.nginx_org_policies import policies_for, policy_names
from nginx_stream_lint.kubernetes.nginx_org_virtual_server import VirtualServerConverter
from nginx_stream_lint.kubernetes.nginx_text import NginxText
from nginx_stream_lint.kubernetes.resources import Ingress, VirtualServer
from nginx_stream_lint.kubernetes.translate import converter, read_written, reading_of, written

# Ingresses of one host that are compared with one another.
_MOST = 200
# A controller, the class that it serves, and a folder or a kustomization.
_Scope = tuple[str, str, str]


def merged(
    made: Sequence[Configuration], files: IncludeResolver, yaml: Sequence[MappedText] = ()
) -> list[Configuration]:
    """The configurations of single resources, those of one server merged.

    `yaml` are the named texts, which may have policies.
    """
    made = _with_policies(made, files, yaml)
    groups = groups_of(made)
    replaced = {id(one): group for group in groups for one in group}
    found: list[Configuration] = []
    for one in made:
        group = replaced.get(id(one))
        if group is None:
            found.append(one)
        elif group[0] is one:
            found.append(_merged(group, files))
    keys = frozenset(one.source.key for one in yaml)
    for one in found:
        author = _author(one)
        if author is not None and author.resource.project is not None:
            limit(one, keys, files)
    return found


def _with_policies(
    made: Sequence[Configuration], files: IncludeResolver, yaml: Sequence[MappedText]
) -> list[Configuration]:
    """The configurations of VirtualServers with the policies that these name."""
    if not any(_names_policies(one) for one in made):
        return list(made)
    known = [read_objects(one) for one in yaml if OF_INGRESS_CONTROLLER in one.text]
    objects = Objects(each for own in known for each in own if each.kind == "Policy")
    found: list[Configuration] = []
    for one in made:
        author = _author(one)
        policies = {}
        if author is not None and isinstance(author.resource, VirtualServer):
            policies = policies_for(author.resource, objects)
        found.append(_with(one, policies, files) if policies else one)
    return found


def _names_policies(one: Configuration) -> bool:
    author = _author(one)
    return (
        author is not None
        and isinstance(author.resource, VirtualServer)
        and bool(policy_names(author.resource.spec))
    )


def _with(
    one: Configuration, policies: dict[str, ApiObject], files: IncludeResolver
) -> Configuration:
    author = _author(one)
    assert author is not None
    maker = virtual_server(author, policies)
    assert one.root is not None
    alone = one.root.reading

    def reading(part: Writer, text: NginxText) -> MappedText:
        return reading_of(author, part, text, alone.conditional)

    return read_written(maker, [maker], reading, files)


def virtual_server(author: ControllerAuthor, policies: dict[str, ApiObject]) -> Converter:
    """Write the configuration of a VirtualServer with policies."""
    maker = VirtualServerConverter(author.controller, author.resource, author.settings)
    maker.policies = policies
    return written(maker)


def groups_of(made: Sequence[Configuration]) -> list[list[Configuration]]:
    """Groups of Ingresses that form one server; the server is written from the first of each."""
    by_host: dict[tuple[_Scope, str], list[Configuration]] = {}
    for one in made:
        author = _author(one)
        if author is None or not isinstance(author.resource, Ingress):
            continue
        for name in dict.fromkeys(_hosts(author.resource)):
            if not has_placeholder(name):
                by_host.setdefault((_scope(author, author.resource), name), []).append(one)
    groups: list[list[Configuration]] = []
    taken: set[int] = set()
    for (scope, _), several in by_host.items():
        some = [one for one in several[:_MOST] if id(one) not in taken]
        is_first = scope[0] == ingress_nginx().name
        group = _of_one_host(some) if is_first else _with_minions(some)
        if len(group) > 1:
            taken.update(map(id, group))
            groups.append(group)
    return groups


def _author(one: Configuration) -> ControllerAuthor | None:
    author = None if one.root is None else one.root.reading.author
    return author if isinstance(author, ControllerAuthor) else None


def _resource(one: Configuration) -> Ingress:
    author = _author(one)
    assert author is not None
    assert isinstance(author.resource, Ingress)
    return author.resource


def _scope(author: ControllerAuthor, ingress: Ingress) -> _Scope:
    name = ingress.class_name.text if ingress.class_name is not None else ""
    where = ingress.project or os.path.dirname(ingress.document.source.name)
    return author.controller.name, name, where


def _hosts(ingress: Ingress) -> list[str]:
    return ["" if host.name is None else host.name.text for host in ingress.hosts]


def _paths(ingress: Ingress) -> set[tuple[str, str, str]]:
    return {
        (
            "" if host.name is None else host.name.text,
            path.type,
            "" if not path.path else path.path.text,
        )
        for host in ingress.hosts
        for path in host.paths
    }


def _of_one_host(several: Sequence[Configuration]) -> list[Configuration]:
    """Ingresses of one host without a path in common; none if any has regular expressions.

    One with regular expressions would turn the paths of all others into expressions, too.
    """
    group: list[Configuration] = []
    paths: set[tuple[str, str, str]] = set()
    for one in several:
        own = _paths(_resource(one))
        if _is_manifest(one) and own and paths.isdisjoint(own):
            paths |= own
            group.append(one)
    makers = map(_converter, group)
    has_regex = any(isinstance(one, IngressNginxConverter) and one.has_regex for one in makers)
    return [] if has_regex else group


def _with_minions(several: Sequence[Configuration]) -> list[Configuration]:
    """A master and its minions."""
    kinds = {id(one): _converter(one).value("mergeable-ingress-type") for one in several}
    masters = [one for one in several if kinds[id(one)] == "master"]
    minions = [one for one in several if kinds[id(one)] == "minion"]
    return [masters[0], *minions] if len(masters) == 1 else []


def _is_manifest(one: Configuration) -> bool:
    return _resource(one).is_manifest


def _converter(one: Configuration) -> Converter:
    author = _author(one)
    assert author is not None
    return converter(author.controller, _resource(one), author.settings)


def converted(group: Sequence[Configuration]) -> Converter:
    """Write the configuration of several Ingresses that form one server."""
    first, *others = (_converter(one) for one in group)
    for number, one in enumerate(others, start=2):
        one.zone_suffix = f"_{number}"
        one.parts = first.parts
        if isinstance(one, NginxOrgIngressConverter):
            one.inherit(first)
    first.followers = others
    return written(first)


def _merged(group: Sequence[Configuration], files: IncludeResolver) -> Configuration:
    maker = converted(group)
    resources = {id(_resource(one)): one for one in group}

    def reading(part: Writer, text: NginxText) -> MappedText:
        of = part.maker if isinstance(part, PatchedPart) else part
        assert isinstance(of, Converter)
        one = resources[id(of.resource)]
        author = _author(one)
        assert author is not None
        assert one.root is not None
        return reading_of(author, part, text, one.root.reading.conditional)

    return read_written(maker, [maker, *maker.followers], reading, files)
