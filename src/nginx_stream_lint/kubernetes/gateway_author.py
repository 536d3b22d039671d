"""The author of the nginx text that NGINX Gateway Fabric generates from an object.

`fixes/gateway_placement.py` writes policies for its routes.
"""

from __future__ import annotations

from itertools import islice

from msgspec import Struct, field

from nginx_stream_lint.kubernetes.controllers import gateway_fabric
from nginx_stream_lint.kubernetes.gateway_api import (
    ApiObject,
    Objects,
    Reference,
    reference,
    targets,
)
from nginx_stream_lint.kubernetes.gateway_routes import matches, rules_of
from nginx_stream_lint.kubernetes.manifest import Mapping


class GatewayAuthor(Struct, frozen=True, eq=False):
    """The `Author` of the nginx text of an object: a Gateway, a route, or a policy."""

    subject: ApiObject
    objects: Objects
    by_class: bool
    assumed: bool = False
    _paths: dict[int, str] = field(default_factory=dict)  # of the route, by their offsets

    @property
    def name(self) -> str:
        return gateway_fabric().name

    @property
    def is_route(self) -> bool:
        """Whether its locations belong to one route."""
        return self.subject.kind.endswith("Route")

    @property
    def notes(self) -> tuple[int, int]:
        """The span for comments about all locations of a route: above its rules."""
        if not self.is_route:
            return 0, 0
        rules = self.subject.spec.entries.get("rules")
        start = self.subject.span.start
        return start, start if rules is None else rules.span.start

    @property
    def region(self) -> tuple[int, int]:
        return self.subject.document.span

    @property
    def is_named(self) -> bool:
        """Whether a reference by name finds this object, not another one with the same name."""
        one = self.subject
        return self.objects.find(Reference(one.kind, one.name, one.namespace), one) is one

    def policy_for(self, kind: str) -> ApiObject | None:
        """The policy of a kind that applies to the route; of several, the one with precedence."""
        found = self.objects.policies(self.subject, kind)
        return found[0] if found else None

    def field_for(self, name: str, value: str) -> tuple[str, str, str] | None:
        """Kind, field and value of the policy for a directive; None if there is none."""
        known = gateway_fabric().setting(name)
        if known is None or (self.subject.kind == "GRPCRoute" and name.startswith("proxy_")):
            return None
        said = known[1].annotated(value)
        if said is None or known[1].field is None:
            return None
        return known[0], known[1].field, said

    def line(self, name: str, value: str) -> str:
        """A directive as a field of a policy, otherwise as text of a SnippetsFilter."""
        found = self.field_for(name, value)
        if found is None:
            return f"{name} {value};  # in a SnippetsFilter of the route"
        kind, path, said = found
        return f"{path}: {said}  # in the spec of a {kind} for the route"

    @property
    def apart(self) -> str:
        """Advice: how to separate a path so that its settings affect no other path."""
        return "move it to its own route"

    def service_at(self, offset: int) -> tuple[str, str | None] | None:
        """The Service of the `backendRefs` entry at an offset, and its namespace."""
        for rule in rules_of(self.subject) if self.is_route else ():
            for item in rule.items("backendRefs"):
                if isinstance(item, Mapping) and item.span.start == offset:
                    found = reference(self.subject, item, "Service")
                    return None if found is None else (found.name, found.namespace)
        return None

    def has_setting(self, name: str, value: str) -> bool:
        """Whether a directive's value has a field in a policy; others need a snippet."""
        return self.field_for(name, value) is not None

    def others(self, offset: int, most: int) -> tuple[list[str], int]:
        """The other paths that a policy for the route changes, and routes that share the policy.

        Returns at most `most` of them, and their total number.
        """
        if not self._paths:
            self._paths.update((one.span.start, one.text) for one in matches(self.subject))
        mine = self._paths.get(offset)
        found = dict.fromkeys(path for path in self._paths.values() if path != mine)
        policy = self.policy_for("ProxySettingsPolicy")
        own = self.subject.kind, self.subject.name
        for one in () if policy is None else targets(policy):
            if (one.kind, one.name) != own:
                found[f"{one.kind} {one.name}"] = None
        return list(islice(found, most)), len(found)


def policy_entries(policy: ApiObject) -> Mapping | None:
    """The `spec` of a policy as it is written; None if it is missing or an alias of an anchor."""
    entry = policy.root.entries.get("spec")
    if entry is None or entry.is_alias or not isinstance(entry.value, Mapping):
        return None
    return entry.value
