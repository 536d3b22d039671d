"""The upstreams behind the targets of proxied locations."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct, field

from nginx_stream_lint.config.deployed import Deployed
from nginx_stream_lint.nginx.levels import Handler, Level, cached_on_level
from nginx_stream_lint.nginx.upstreams import upstream_block
from nginx_stream_lint.streams.catalogue import App, app_by_name, app_named_in
from nginx_stream_lint.streams.comments import Comments
from nginx_stream_lint.streams.word_classes import normalized

_VARIABLE = r"\$\{?(\w+)\}?"
_NAME = r"\$\w+"
# At most this many servers of an upstream, or values of a map, are searched for names.
_MOST = 100


class Upstream(Struct, eq=False):
    """The upstream behind a location's target.

    `hosts` are the target and the servers behind its name, `comments` those about the upstream
    block, and `keepalive` is whether that keeps connections. `app` is the catalogued one that one
    of the hosts is named after; `names` are the hosts that are more than an address. `is_deployed`:
    the deployment runs this app there. `host` and `path` are those of the target, with the port;
    its path replaces the location's, and is empty if there is none.
    """

    hosts: tuple[str, ...]
    comments: tuple[str, ...] = ()
    keepalive: bool = False
    host: str = ""
    path: str = ""
    names: Sequence[str] = ()
    app: App | None = None
    is_deployed: bool = False

    def __post_init__(self) -> None:
        self.host = authority(self.hosts[0])
        _, slash, rest = _without_scheme(self.hosts[0]).partition("/")
        self.path = slash + rest
        self.names = [host for host in self.hosts if not _is_address(host)]
        self.app = next(filter(None, (app_named_in(normalized(host)) for host in self.names)), None)


class Upstreams(Struct):
    """The upstreams of an `http` block, and the values of variables from its maps.

    `comments` are the configuration's. `deployed_app` returns the name of the catalogued app that
    the deployment runs under a host name.
    """

    http: Level
    comments: Comments = field(default_factory=Comments)
    values: dict[str, list[str]] = field(default_factory=dict)
    deployed_app: Callable[[str], str | None] | None = None
    _known: dict[str, Upstream] = field(default_factory=dict)

    def behind(self, location: Level, handler: Handler) -> Upstream:
        """Return the upstream behind a location's handler."""
        target = handler.target if "$" not in handler.target else _filled(location, handler.target)
        found = self._known.get(target)
        if found is None:
            found = self._known[target] = self._look(target)
        return found

    def host(self, location: Level) -> str:
        """The host and port of a location's target, if they are written."""
        handler = location.handler
        return self.behind(location, handler).host if handler is not None else ""

    def _look(self, target: str) -> Upstream:
        hosts: list[str] = []
        comments: list[str] = []
        keepalive = False
        for one in self._targets(target):
            hosts.append(one)
            block = upstream_block(self.http, authority(one))
            if block is None:
                continue
            peers = block.rows.get("server", [])[:_MOST]
            hosts += [row.args[0] for row in peers if row.args]
            comments += self.comments.of(block)
            keepalive = keepalive or "keepalive" in block.rows
        found = Upstream(tuple(hosts), tuple(comments), keepalive)
        if self.deployed_app is not None:
            apps = (self.deployed_app(_name_of(host)) for host in found.names)
            app = next(filter(None, apps), None)
            if app is not None:
                found.app, found.is_deployed = app_by_name(app), True
        return found

    def _targets(self, target: str) -> Iterator[str]:
        """A target, and its variants for each value that a map assigns to a variable in it."""
        yield target
        for variable in re.finditer(_VARIABLE, target) if "$" in target else ():
            for value in self.values.get(variable[1], [])[:_MOST]:
                yield target[: variable.start()] + value + target[variable.end() :]


def upstreams_of(http: Level, deployed_app: Callable[[str], str | None] | None = None) -> Upstreams:
    """The upstreams and maps of an `http` block; see `Upstreams`."""
    found = Upstreams(http, deployed_app=deployed_app)
    for name in ("map", "split_clients"):
        for row in http.rows.get(name, []):
            if len(row.args) == 2 and row.block:
                values = [one.args[0] for one in row.block if one.args and one.args[0]]
                found.values.setdefault(row.args[1].lstrip("$"), []).extend(dict.fromkeys(values))
    return found


def deployed_app(level: Level, handler: Handler, nginx: Deployed | None) -> str | None:
    """The name of the app that the deployment runs behind a location's handler; None if unknown."""
    http = level.nearest("http")
    if http is None or nginx is None:
        return None
    behind = upstreams_of(http, nginx.app_of).behind(level, handler)
    return behind.app.name if behind.is_deployed and behind.app is not None else None


def _is_address(host: str) -> bool:
    """Whether a host is only an address, perhaps with a port."""
    scheme, separator, rest = host.partition("://")
    written = rest if separator and scheme in ("http", "https") else host
    return not written.strip("0123456789.:/")


def _name_of(target: str) -> str:
    """The host of a target, without its port."""
    return authority(target).partition(":")[0]


def authority(target: str) -> str:
    """The host of a target, with its port."""
    return _without_scheme(target).partition("/")[0]


def _without_scheme(target: str) -> str:
    scheme, separator, rest = target.partition("://")
    return rest if separator and scheme.replace("_", "a").isalnum() else target


def _filled(location: Level, target: str) -> str:
    """A target in which variables that `set` assigns a constant are filled in."""
    for level in location.outward():
        if "set" in level.rows:
            constants = _constants(level)
            target = re.sub(_NAME, lambda name: constants.get(name[0], name[0]), target)  # noqa: B023
    return target


@cached_on_level
def _constants(level: Level) -> dict[str, str]:
    """The variables that `set` assigns a constant in a block, with the first value of each."""
    found: dict[str, str] = {}
    for row in level.rows["set"]:
        if len(row.args) == 2 and "$" not in row.args[1]:
            found.setdefault(*row.args)
    return found
