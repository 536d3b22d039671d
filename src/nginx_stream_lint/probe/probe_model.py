"""What the probe measures and what it finds, as data."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from nginx_stream_lint.config import Configuration, Directive
from nginx_stream_lint.nginx.delivery import Scenario
from nginx_stream_lint.nginx.pass_target import PassTarget
from nginx_stream_lint.probe.copy_model import CopiedPlace, CopyChange
from nginx_stream_lint.probe.nginx_binary import NginxBinary


class PassedOn(Struct, frozen=True):
    """Requests that one nginx passes on to another: by a `*_pass` directive of `front`.

    `target` is the one of the directive, with its variables filled in. `socket` is the listen
    address of the configuration `behind` that it leads to.
    """

    front: Configuration
    directive: Directive
    target: PassTarget
    behind: Configuration
    socket: str


class ProbeRequest(Struct, frozen=True):
    """A request to measure on the copy.

    `sockets` has the listen address of the configuration for each kind of client (`h1`, `h1-tls`,
    `h2`) that sends it. `stream`: it goes to a `stream {}` server. `content_type` is that of the
    response. `scenarios` replace the scenarios that are given for all requests.
    """

    name: str
    sockets: Mapping[str, str]
    host: str = "localhost"
    path: str = "/"
    method: str = "GET"
    content_type: str = "text/event-stream"
    websocket: bool = False
    stream: bool = False
    scenarios: tuple[Scenario, ...] = ()


class ProbeOutcome(Struct, frozen=True):
    """The measurement of one request in one scenario.

    `verdict` is that of `Measurement`. `place` is the block that handled the request, or None if
    that is unknown (a closed connection, or a `stream {}` server). `first_delay` is the time in
    seconds from the emission of the first token to its arrival. `emissions` and `arrivals` have a
    time for each token, in seconds since the request was sent. `error` describes a failed
    connection or a redirect. `upstream` is the request that the upstream received (method, URI,
    protocol, headers), or None. `tiers` are the blocks of all nginx that the response passed,
    nearest the app first; the last one is `place`.
    """

    request: ProbeRequest
    scenario: Scenario
    verdict: str
    status: int
    place: CopiedPlace | None
    server: CopiedPlace | None
    first_delay: float | None
    bursts: tuple[int, ...]
    emissions: tuple[float, ...]
    arrivals: tuple[float, ...]
    duration: float
    error: str
    upstream: Mapping[str, str] | None
    tiers: tuple[CopiedPlace, ...] = ()


class ProbeResult(Struct):
    """Everything that was measured, and how the copies differ from the configurations."""

    binary: NginxBinary
    outcomes: list[ProbeOutcome] = field(default_factory=list)
    changes: list[CopyChange] = field(default_factory=list)
