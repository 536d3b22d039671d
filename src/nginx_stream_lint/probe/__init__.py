"""Measure on a real nginx whether a stream comes out piece by piece.

The parts, each usable alone: `Nginx` runs a configuration in one folder; `Upstream` drips tokens
on a clock in every protocol nginx passes requests to; `fetch` notes when they arrive; `measure`
joins the two and says what nginx did. Every server listens on loopback only.

    async with Upstream() as upstream, Nginx(binary, text, folder):
        result = await measure(upstream, port, "/v1/chat", "h1")
        print(result.verdict)
"""

from .arrivals import Arrivals
from .certificate import write_certificate
from .client import CLIENTS, fetch
from .drip import Drip
from .dripping import Seen
from .launch import NginxError
from .measure import Job, Measurement, measure, measure_many
from .nginx import (
    Nginx,
    NginxBinary,
    check,
    check_file,
    default_nginx,
    find_nginx,
    free_ports,
    inspect,
)
from .upstream import Upstream

__all__ = [
    "CLIENTS",
    "Arrivals",
    "Drip",
    "Job",
    "Measurement",
    "Nginx",
    "NginxBinary",
    "NginxError",
    "Seen",
    "Upstream",
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
