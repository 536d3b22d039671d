"""Measure on a real nginx whether a stream arrives piece by piece.

The parts can be used separately: `Nginx` runs a configuration in one folder; `DrippingUpstream`
sends tokens at regular times in every protocol that nginx passes requests to; `fetch` records when
they arrive; `measure` compares both. Every server listens on loopback only.

    async with DrippingUpstream() as upstream, Nginx(binary, text, folder):
        result = await measure(upstream, port, "/v1/chat", "h1")
        print(result.verdict)
"""

from nginx_stream_lint.probe.arrivals import Arrivals
from nginx_stream_lint.probe.certificate import write_certificate
from nginx_stream_lint.probe.client import CLIENTS, fetch
from nginx_stream_lint.probe.drip import Drip
from nginx_stream_lint.probe.emission import ReceivedRequest
from nginx_stream_lint.probe.free_ports import free_ports
from nginx_stream_lint.probe.launch import NginxError
from nginx_stream_lint.probe.measure import Job, Measurement, measure, measure_many
from nginx_stream_lint.probe.nginx import Nginx, check, check_file
from nginx_stream_lint.probe.nginx_binary import (
    NginxBinary,
    default_nginx,
    find_nginx,
    inspect,
)
from nginx_stream_lint.probe.upstream import DrippingUpstream

__all__ = [
    "CLIENTS",
    "Arrivals",
    "Drip",
    "DrippingUpstream",
    "Job",
    "Measurement",
    "Nginx",
    "NginxBinary",
    "NginxError",
    "ReceivedRequest",
    "check",
    "check_file",
    "default_nginx",
    "fetch",
    "find_nginx",
    "free_ports",
    "inspect",
    "measure",
    "measure_many",
    "write_certificate",
]
