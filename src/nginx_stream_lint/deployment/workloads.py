"""Kubernetes workloads as containers, with their files from ConfigMaps and their Services."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence

from nginx_stream_lint.config.deployed import ProxyInFront
from nginx_stream_lint.config.mapped_text import PLACEHOLDER
from nginx_stream_lint.deployment.instance import Container
from nginx_stream_lint.deployment.interpolation import MAX_VALUE
from nginx_stream_lint.deployment.load_balancers import balancers
from nginx_stream_lint.deployment.manifests import (
    ConfigEntry,
    ManifestObject,
    ObjectSet,
    entries_of,
    name_in,
)
from nginx_stream_lint.deployment.model import (
    DeployedAt,
    How,
    PlacedFile,
    ServiceObject,
    is_known,
)
from nginx_stream_lint.files.source import Source
from nginx_stream_lint.kubernetes.manifest import Mapping, Node, Scalar
from nginx_stream_lint.kubernetes.manifest import Sequence as Items
from nginx_stream_lint.util.numbers import whole_number

_WORKLOADS = {
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "ReplicationController": ("spec", "template"),
    "DeploymentConfig": ("spec", "template"),  # OpenShift
    "Rollout": ("spec", "template"),  # Argo
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "Pod": (),
}
_MAX_REFERENCES = 1000  # in one value
_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][\w.-]*)\)")


def containers(group: ObjectSet, every: Sequence[ManifestObject]) -> Iterator[Container]:
    """The containers of the workloads of a set; `every` are all objects of the repository."""
    for one in group.objects:
        path = _WORKLOADS.get(one.kind)
        if path is None:
            continue
        template = one.root.mapping(*path) if path else one.root
        spec = template.mapping("spec") if template is not None else None
        if template is None or spec is None:
            continue
        reader = _PodReader(group, one, template, spec, every)
        for item in spec.items("containers"):
            if isinstance(item, Mapping):
                found = reader.container(item)
                if found is not None:
                    yield found
        for item in spec.items("initContainers"):
            restart = item.word("restartPolicy") if isinstance(item, Mapping) else None
            # All other init containers have ended before the containers start.
            if isinstance(item, Mapping) and restart is not None and restart.text == "Always":
                found = reader.container(item)
                if found is not None:
                    yield found


class _PodReader:
    """Reads the pod of a workload."""

    def __init__(
        self,
        group: ObjectSet,
        one: ManifestObject,
        template: Mapping,
        spec: Mapping,
        every: Sequence[ManifestObject],
    ) -> None:
        self.group = group
        self.object = one
        self.spec = spec
        self.every = every
        labels = template.mapping("metadata", "labels")
        self.labels = _texts(labels, one.source)
        self.services = [one for one in group.objects if self._is_selected_by(one)]
        self.addresses: dict[str, int | None] = {}
        self.names, self.published = self._reached_by()
        self.in_front = tuple(self._in_front())

    def container(self, node: Mapping) -> Container | None:
        """Read a container of the pod."""
        name = node.word("name")
        one = self.object
        shown = name_in(name, one.source) if name is not None else one.name
        image = node.word("image")
        if image is None:
            return None  # such as the container of a patch
        origin = one.origin(name or node)
        image_text, image_origin = image.text, one.origin(image)
        for change in one.images:
            if change.is_for(image_text):
                image_text, image_origin = change.changed(image_text), change.origin
        environment, set_at = self._environment(node)
        is_alone = len(self.spec.items("containers")) == 1
        inside = {
            word.text
            for item in node.items("ports")
            if isinstance(item, Mapping)
            for key in ("containerPort", "name")
            if (word := item.word(key)) is not None
        }
        is_reached = is_alone or not inside or bool(inside & self.published)
        return Container(
            shown if not is_alone else one.prefix + one.name + one.suffix,
            self.group.project,
            origin,
            image_text,
            image_origin,
            mounts=tuple(self._mounts(node, environment)),
            environment=environment,
            entrypoint=self._words(node.at("command"), environment),
            command=self._words(node.at("args"), environment),
            names=self.names if is_reached else (),
            replicas=self._replicas(),
            service_ports=tuple(self._service_ports(node)),
            in_front=self.in_front,
            addresses=self.addresses,
            environment_at=set_at,
            selected_by=tuple(self._selected_by(is_alone or not inside, inside)),
        )

    def _replicas(self) -> int | None:
        if self.object.replicas is not None:
            return self.object.replicas
        if self.object.kind == "DaemonSet":
            return None
        word = self.object.root.word("spec", "replicas")
        if word is None:
            return 1
        return int(word.text) if word.text.isdecimal() and len(word.text) < 6 else None

    def _words(
        self, node: Node | None, environment: dict[str, str | None]
    ) -> tuple[str, ...] | None:
        if not isinstance(node, Items):
            return None
        return tuple(
            _expanded(one.text, environment) for one in node.items if isinstance(one, Scalar)
        )

    def _environment(self, node: Mapping) -> tuple[dict[str, str | None], dict[str, DeployedAt]]:
        """The environment, as far as it is known, and the places that set it."""
        found: dict[str, str | None] = {}
        places: dict[str, DeployedAt] = {}
        for item in node.items("envFrom"):
            if not isinstance(item, Mapping):
                continue
            name = item.word("configMapRef", "name")
            prefix = item.word("prefix")
            entries = self._config_map(name)
            for key, entry in (entries or {}).items():
                named = (prefix.text if prefix is not None else "") + key
                found[named], places[named] = self._value(entry), entry.origin
        for item in node.items("env"):
            name = item.word("name") if isinstance(item, Mapping) else None
            if name is None or not isinstance(item, Mapping):
                continue
            value = item.at("value")
            if isinstance(value, Scalar):
                text = _expanded(value.text, found)
                found[name.text] = text if is_known(text) else None
                places[name.text] = self.object.origin(value)
                continue
            if "valueFrom" not in item.entries:
                found[name.text] = ""
                continue
            reference = item.mapping("valueFrom", "configMapKeyRef")
            config = None if reference is None else self._config_map(reference.word("name"))
            wanted = None if reference is None else reference.word("key")
            known = config.get(wanted.text) if config is not None and wanted is not None else None
            found[name.text] = None if known is None else self._value(known)
            if known is not None:
                places[name.text] = known.origin
        return found, places

    def _value(self, entry: ConfigEntry) -> str | None:
        return entry.value if is_known(entry.value) else None

    def _mounts(self, node: Mapping, environment: dict[str, str | None]) -> Iterator[PlacedFile]:
        volumes = {
            word.text: item
            for item in self.spec.items("volumes")
            if isinstance(item, Mapping) and (word := item.word("name")) is not None
        }
        for item in node.items("volumeMounts"):
            name = item.word("name") if isinstance(item, Mapping) else None
            path = item.word("mountPath") if isinstance(item, Mapping) else None
            if name is None or path is None or not isinstance(item, Mapping):
                continue
            if not is_known(path.text):
                continue
            origin = self.object.origin(path)
            inside = posixpath.normpath(path.text)
            sub, expression = item.word("subPath"), item.word("subPathExpr")
            name_there = None if sub is None else sub.text
            if expression is not None:
                name_there = _expanded(expression.text, environment)
            volume = volumes.get(name.text)
            files, is_complete = (None, False) if volume is None else self._volume_files(volume)
            if files is None:
                is_config = volume is not None and "configMap" in volume.entries
                how: How = "config" if is_config else "volume"
                yield PlacedFile(inside, None, how, origin, is_folder=name_there is None)
            elif name_there is not None:
                entry = files.get(posixpath.normpath(name_there))
                yield self._placed(inside, entry, origin)
            else:
                # The mount hides the image's files there.
                hides: How = "removed" if is_complete else "volume"
                yield PlacedFile(inside, None, hides, origin, is_folder=True)
                for file, entry in files.items():
                    yield self._placed(posixpath.join(inside, file), entry, origin)

    def _placed(self, inside: str, entry: ConfigEntry | None, origin: DeployedAt) -> PlacedFile:
        if entry is None:
            return PlacedFile(inside, None, "config", origin)
        # The content is known, as of a generator's literal, or no configuration.
        how: How = "generated" if entry.path is None and entry.value is not None else "config"
        return PlacedFile(inside, entry.path, how, entry.origin, key=entry.key)

    def _volume_files(self, volume: Mapping) -> tuple[dict[str, ConfigEntry] | None, bool]:
        """The files of a volume of ConfigMaps and Secrets, and whether these are all.

        None for other volumes, or if none of these objects is known.
        """
        projected = volume.items("projected", "sources")
        found: dict[str, ConfigEntry] = {}
        known = 0
        for source in projected or (volume,):
            config = source.mapping("configMap") if isinstance(source, Mapping) else None
            secret = source.mapping("secret") if isinstance(source, Mapping) else None
            entries: dict[str, ConfigEntry] | None = None
            if config is not None:
                entries = self._config_map(config.word("name"))
            elif secret is not None:
                config = secret
                name = secret.word("secretName") or secret.word("name")
                entries = self._config_map(name, "Secret")
            if config is None or entries is None:
                continue
            known += 1
            items = config.items("items")
            if not items:
                found.update(entries)
            for item in items:
                key = item.word("key") if isinstance(item, Mapping) else None
                path = item.word("path") if isinstance(item, Mapping) else None
                if key is not None and path is not None and key.text in entries:
                    found[posixpath.normpath(path.text)] = entries[key.text]
        return (found, known == len(projected or (volume,))) if known else (None, False)

    def _config_map(
        self, name: Scalar | None, kind: str = "ConfigMap"
    ) -> dict[str, ConfigEntry] | None:
        """The entries of a ConfigMap: of the same file or set, otherwise the only one so named."""
        if name is None:
            return None
        text = name_in(name, self.object.source_of(name))
        if text in self.group.made and kind == "ConfigMap":
            return self.group.made[text]
        beside = [one for one in self.group.objects if one.source is self.object.source]
        for scope in (beside, self.group.objects, self.every):
            found = [
                one
                for one in scope
                if one.kind == kind
                and one.name == text
                and len({one.namespace, self.object.namespace} - {None}) < 2
            ]
            if len(found) == 1:
                return entries_of(found[0])
            if found:
                return None
        return None

    def _reached_by(self) -> tuple[tuple[str, ...], set[str]]:
        """The names of the Services for the pod, and its ports that they publish, as written."""
        names: list[str] = []
        published: set[str] = set()
        for one in self.services:
            name = one.prefix + one.name + one.suffix
            own = [name]
            if one.namespace is not None:
                ends = ("", ".svc", ".svc.cluster.local")
                own += [f"{name}.{one.namespace}{end}" for end in ends]
            address = one.root.word("spec", "clusterIP")
            # A Service has one address, unless it is headless: then it has those of its pods.
            is_headless = address is not None and address.text == "None"
            if not is_headless:
                is_one = address is None or is_known(address.text)
                self.addresses |= dict.fromkeys(own, 1 if is_one else None)
            hosts = list(self._hosts(one.name))
            self.addresses |= dict.fromkeys(hosts)
            names += [*own, *hosts]
            kind = one.root.word("spec", "type")
            if kind is None or kind.text not in ("LoadBalancer", "NodePort"):
                continue
            for item in one.root.items("spec", "ports"):
                if isinstance(item, Mapping):
                    target = item.word("targetPort") or item.word("port")
                    published |= set() if target is None else {target.text}
        return tuple(dict.fromkeys(names)), published

    def _selected_by(self, every: bool, inside: set[str]) -> Iterator[ServiceObject]:
        """The Services for the pod: all, or only those with a port of a container."""
        for one in self.services:
            ports = [item for item in one.root.items("spec", "ports") if isinstance(item, Mapping)]
            targets = [item.word("targetPort") or item.word("port") for item in ports]
            if every or any(word is not None and word.text in inside for word in targets):
                written = one.root.word("metadata", "namespace")
                namespace = None if written is None else name_in(written, one.source)
                yield ServiceObject(one.name, namespace, one.source.name)

    def _service_ports(self, node: Mapping) -> Iterator[tuple[int, int]]:
        """The ports of the Services for the pod, each with the port of this container."""
        by_name = _ports_by_name(node)
        for one in self.services:
            for item in one.root.items("spec", "ports"):
                outer = item.word("port") if isinstance(item, Mapping) else None
                if outer is None or not isinstance(item, Mapping):
                    continue
                inner = item.word("targetPort") or outer
                public = whole_number(outer.text)
                target = whole_number(by_name.get(inner.text, inner.text))
                if public is not None and target is not None:
                    yield public, target

    def _is_selected_by(self, one: ManifestObject) -> bool:
        """Whether an object is a Service that selects the pod."""
        if one.kind != "Service" or len({one.namespace, self.object.namespace} - {None}) > 1:
            return False
        selector = _texts(one.root.mapping("spec", "selector"), one.source)
        return bool(selector) and selector.items() <= self.labels.items()

    def _hosts(self, service: str) -> Iterator[str]:
        """The hosts of Ingresses, and of routes of the Gateway API, that lead to a Service."""
        for one in self.group.objects:
            if one.kind in ("HTTPRoute", "GRPCRoute"):
                yield from _route_hosts(one, service)
            if one.kind != "Ingress":
                continue
            for rule in one.root.items("spec", "rules"):
                host = rule.word("host") if isinstance(rule, Mapping) else None
                if host is None or not isinstance(rule, Mapping) or not is_known(host.text):
                    continue
                if service in _backends(rule, one.source):
                    yield host.text

    def _in_front(self) -> Iterator[ProxyInFront]:
        """The load balancers of the Services, and of the Ingresses that lead to them."""
        names = {one.name for one in self.services}
        ingresses = [
            one
            for one in self.group.objects
            if one.kind == "Ingress"
            and any(names.intersection(_backends(rule, one.source)) for rule in _rules(one))
        ]
        return balancers(self.services, ingresses, self.group.objects)


def _ports_by_name(container: Mapping) -> dict[str, str]:
    """The named ports of a container."""
    return {
        name.text: port.text
        for item in container.items("ports")
        if isinstance(item, Mapping)
        and (name := item.word("name")) is not None
        and (port := item.word("containerPort")) is not None
    }


def _rules(ingress: ManifestObject) -> Iterator[Mapping]:
    """The rules of an Ingress, and its default backend as one."""
    for one in ingress.root.items("spec", "rules"):
        if isinstance(one, Mapping):
            yield one
    spec = ingress.root.mapping("spec")
    if spec is not None:
        yield spec


def _backends(rule: Mapping, source: Source) -> Iterator[str]:
    """The Services that a rule of an Ingress leads to."""
    words = [
        path.word("backend", "service", "name") or path.word("backend", "serviceName")
        for path in rule.items("http", "paths")
        if isinstance(path, Mapping)
    ]
    words += [rule.word("defaultBackend", "service", "name"), rule.word("backend", "serviceName")]
    for word in words:
        if word is not None:
            yield name_in(word, source)


def _route_hosts(route: ManifestObject, service: str) -> Iterator[str]:
    """The hosts of a route if one of its rules passes to a Service."""
    rules = [one for one in route.root.items("spec", "rules") if isinstance(one, Mapping)]
    backends = [item for rule in rules for item in rule.items("backendRefs")]
    names = [one.word("name") for one in backends if isinstance(one, Mapping)]
    if any(word is not None and name_in(word, route.source) == service for word in names):
        for host in route.root.items("spec", "hostnames"):
            if isinstance(host, Scalar) and is_known(host.text):
                yield host.text


def _texts(node: Mapping | None, source: Source) -> dict[str, str]:
    if node is None:
        return {}
    return {
        key: name_in(one.value, source)
        for key, one in node.entries.items()
        if isinstance(one.value, Scalar)
    }


def _expanded(text: str, environment: dict[str, str | None]) -> str:
    """Insert `$(NAME)` as Kubernetes does; unknown names stay as written."""

    def value(match: re.Match[str]) -> str:
        if match[1] is None:
            return "$"
        if match[1] not in environment:
            return match[0]
        known = environment[match[1]]
        return PLACEHOLDER if known is None else known

    if "$" not in text:
        return text
    if text.count("$(") > _MAX_REFERENCES:
        return PLACEHOLDER
    found = _REFERENCE.sub(value, text)
    return found if len(found) <= len(text) + MAX_VALUE else PLACEHOLDER
