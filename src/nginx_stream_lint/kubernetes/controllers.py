"""The tables of annotations and keys of ingress controllers (`annotations/*.yaml`)."""

import os
import re
from collections.abc import Mapping
from functools import cache
from typing import Literal, get_args

from msgspec import Struct

from nginx_stream_lint.config.mapped_text import has_placeholder
from nginx_stream_lint.util.data import table
from nginx_stream_lint.util.yamlfile import load_records

# The blocks that a controller's template writes directives in.
BlockName = Literal["main", "events", "http", "upstream", "server", "location"]
LEVELS: tuple[BlockName, ...] = get_args(BlockName)

# How a controller reads a value; the comments at the top of the tables explain these words.
ValueForm = Literal[
    "seconds", "number", "size", "time", "on/off", "boolean", "negated", "word", "words", "each",
    "conditions", "buffers",
]  # fmt: skip

# Go's strconv.ParseBool.
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_NUMBER = re.compile(r"[0-9]+")
_CONDITION = (
    r"(?:error|timeout|denied|invalid_header|http_(?:403|404|429|500|502|503|504)"
    r"|non_idempotent|updating|off)"
)
# An unambiguous argument of nginx.
_TOKEN = r"""(?:"[^"\\\r\n]*"|'[^'\\\r\n]*'|[^\s;{}"'#\\][^\s;{}\\]*)"""
_VALUES = {
    "seconds": _NUMBER,
    "number": _NUMBER,
    "size": re.compile(r"[0-9]+[kKmMgG]?"),
    "time": re.compile(
        r"(?=.)(?:[0-9]+y)?(?: *[0-9]+M)?(?: *[0-9]+w)?(?: *[0-9]+d)?(?: *[0-9]+h)?"
        r"(?: *[0-9]+m)?(?: *[0-9]+s?)?(?: *[0-9]+ms)?"
    ),
    "on/off": re.compile(r"on|off"),
    "word": re.compile(r"[^\r\n]+"),
    "words": re.compile(rf"{_TOKEN}(?:[ \t]+{_TOKEN})*"),
    "conditions": re.compile(rf"{_CONDITION}(?:[ \t]+{_CONDITION})*"),
    "each": re.compile(r"[^;{}\"'#\\$]+"),
}
_HINTS = {
    "seconds": "a number of seconds without a unit",
    "number": "a whole number",
    "size": "a size such as 8k",
    "time": "a time such as 60s",
    "on/off": "on or off",
    "boolean": "true or false",
    "negated": "true or false",
    "conditions": "a list of conditions such as error timeout http_502",
}


class Setting(Struct, frozen=True, forbid_unknown_fields=True):
    """A directive with the annotation, key or field that sets it; see annotations/*.yaml.

    `field` is a field of an upstream, or a path of fields in a policy's `spec`.
    """

    directive: str
    value: ValueForm
    grpc: str | None = None
    annotation: str | None = None
    key: str | None = None
    field: str | None = None
    default: str | None = None
    unit: str = ""

    def accepts(self, text: str) -> bool:
        """Whether the controller can read a value; a placeholder may become anything."""
        if has_placeholder(text):
            return True
        if self.value in ("boolean", "negated"):
            return text in _TRUE | _FALSE
        return _VALUES[self.value].fullmatch(text) is not None

    @property
    def hint(self) -> str:
        """The accepted values, in words."""
        return _HINTS.get(self.value, "one line without ; and braces")

    def annotated(self, value: str) -> str | None:
        """A directive's value in the annotation's form; None if it cannot be expressed."""
        if self.value == "seconds":
            found = re.fullmatch(r"([0-9]+)s?", value)
            return found[1] if found else None
        if self.value == "boolean":
            return {"on": "True", "off": "False"}.get(value)
        if self.value == "negated":
            return {"on": "false", "off": "true"}.get(value)
        if self.value == "buffers":
            return value if re.fullmatch(r"[0-9]+ [0-9]+[kKmMgG]?", value) else None
        if self.unit:
            return value.removesuffix(self.unit) if value.endswith(self.unit) else None
        return value if self.accepts(value) else None


def is_true(text: str) -> bool:
    """Return the result of Go's ParseBool; false for any other word."""
    return text in _TRUE


class Controller(Struct, frozen=True, forbid_unknown_fields=True):
    """A controller: its name, its annotation prefixes, and its settings by level.

    `class_controllers` are its names in an IngressClass, `config_maps` matches the usual names of
    its ConfigMap, `snippets` are its annotations for nginx text by level, `http2` is the
    ConfigMap's key for HTTP/2. `code` are annotations that this package converts in code,
    `left_out` those that it ignores.
    """

    name: str
    prefixes: tuple[str, ...]
    class_controllers: tuple[str, ...]
    config_maps: str
    snippets: Mapping[str, str]
    http2: str
    settings: Mapping[BlockName, tuple[Setting, ...]]
    code: frozenset[str]
    left_out: frozenset[str]

    @property
    def keys(self) -> frozenset[str]:
        """All keys of its ConfigMap."""
        rows = (row.key for level in LEVELS for row in self.settings[level] if row.key)
        return frozenset(rows) | {"http-snippet", "http-snippets", "server-snippet", "use-http2"}

    def may_read(self, config_map: str) -> bool:
        """Whether a ConfigMap has one of the usual names of this controller's."""
        return re.fullmatch(self.config_maps, config_map) is not None

    def short(self, annotation: str) -> str | None:
        """An annotation's name without the controller's prefix; None for other annotations."""
        for prefix in self.prefixes:
            if annotation.startswith(prefix):
                return annotation[len(prefix) :]
        return None

    def setting(self, directive: str) -> Setting | None:
        """The setting for a directive of a location."""
        for row in self.settings["location"]:
            if directive in (row.directive, row.grpc):
                return row
        return None


def _file(name: str) -> str:
    return os.path.join(os.path.dirname(__file__), "annotations", f"{name}.yaml")


@cache
def ingress_nginx() -> Controller:
    """ingress-nginx, of the Kubernetes project."""
    return table("ingress-nginx", Controller, lambda: read_controller("ingress-nginx"))


@cache
def nginx_org() -> Controller:
    """The NGINX Ingress Controller, of nginx.org."""
    return table("nginx-org", Controller, lambda: read_controller("nginx-org"))


def read_controller(name: str) -> Controller:
    """Read the table of an ingress controller from YAML."""
    return load_records(_file(name), Controller)


class GatewayFabric(Struct, frozen=True, forbid_unknown_fields=True):
    """NGINX Gateway Fabric: its name, the start of its class's controller, and its policies.

    `policies` are the settings of each kind of policy.
    """

    name: str
    class_controller: str
    policies: Mapping[str, tuple[Setting, ...]]

    def setting(self, directive: str) -> tuple[str, Setting] | None:
        """The kind of policy and the setting for a directive of a location."""
        for kind in ("ProxySettingsPolicy", "ClientSettingsPolicy"):
            for row in self.policies[kind]:
                if row.directive == directive:
                    return kind, row
        return None


@cache
def gateway_fabric() -> GatewayFabric:
    """NGINX Gateway Fabric, of nginx.org."""
    return table("gateway-fabric", GatewayFabric, read_gateway_fabric)


def read_gateway_fabric() -> GatewayFabric:
    """Read the table of NGINX Gateway Fabric from YAML."""
    return load_records(_file("gateway-fabric"), GatewayFabric)
