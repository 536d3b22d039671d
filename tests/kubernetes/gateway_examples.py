"""Read the examples of NGINX Gateway Fabric: `python -m tests.kubernetes.gateway_examples FOLDER`.

FOLDER is the folder `examples` of its repository. This prints each Gateway, and whether every
installed nginx accepts its configuration. Then it prints each object that belongs to no Gateway,
with the reason. The exit status is 1 if an nginx refuses a configuration.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from nginx_stream_lint.config import Source
from nginx_stream_lint.config.mapped_text import MappedText
from nginx_stream_lint.config.templates import yaml_reading
from nginx_stream_lint.kubernetes.gateway_api import ApiObject
from nginx_stream_lint.kubernetes.gateway_reading import plans, read_objects
from nginx_stream_lint.kubernetes.gateway_routes import listeners_of
from nginx_stream_lint.probe import check, find_nginx, write_certificate
from tests.kubernetes.on_nginx import runnable_gateway


def main(folder: Path) -> int:
    readings: list[MappedText] = []
    for path in sorted(folder.rglob("*.yaml")):
        readings.append(yaml_reading(Source(str(path), path.read_text(encoding="utf-8"))))
    every = [one for reading in readings for one in read_objects(reading)]
    refused = 0
    found = plans(every)
    with tempfile.TemporaryDirectory() as place:
        certificate = write_certificate(Path(place))
        for number, plan in enumerate(found):
            text = runnable_gateway(plan, certificate)
            for binary in find_nginx():
                here = Path(place, f"{number}-{'.'.join(map(str, binary.version))}")
                here.mkdir()
                accepted, why = check(binary, text, here)
                refused += not accepted
                version = here.name.partition("-")[2]
                said = "accepted" if accepted else f"refused: {why.strip()}"
                name = Path(plan.first.document.source.name).relative_to(folder)
                print(f"{name}: Gateway {plan.first.name}, nginx {version}: {said}")
    for one in every:
        if one.kind == "Gateway" and all(plan.gateway is not one for plan in found):
            print(f"{Path(one.document.source.name).relative_to(folder)}: {_why_not(one)}")
    print(f"{len(readings)} files, {len(every)} objects, {len(found)} Gateways with routes")
    return 1 if refused else 0


def _why_not(gateway: ApiObject) -> str:
    if not listeners_of(gateway):
        return f"Gateway {gateway.name}: no listener accepts HTTP, so it has no http block"
    return f"Gateway {gateway.name}: no HTTPRoute or GRPCRoute refers to it"


if __name__ == "__main__":
    chosen = Path(sys.argv[1])
    raise SystemExit(main(chosen) if chosen.is_dir() else f"{chosen}: there is no such folder")
