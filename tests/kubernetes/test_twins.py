"""One path for two controllers: what one lets through and the other does not is an error."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from nginx_stream_lint.analysis.lint import Options, lint
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.probe import (
    DrippingUpstream,
    Job,
    Nginx,
    NginxBinary,
    free_ports,
    measure_many,
    write_certificate,
)
from nginx_stream_lint.probe.measure import STALLS, STREAMS
from nginx_stream_lint.rules.finding import Finding
from nginx_stream_lint.rules.rule import Rule
from nginx_stream_lint.rules.rule_file import load_rule
from tests.kubernetes.gateways import GATEWAY, ROUTE, RULES, checked, fixed, plans_of, write
from tests.kubernetes.manifests import ingress, translate
from tests.kubernetes.on_nginx import runnable, runnable_gateway

NGINX = "nginx.ingress.kubernetes.io/"
OLD = ingress({NGINX + "proxy-read-timeout": "3600"}, tls=True)
ORG = ingress({"nginx.org/client-max-body-size": "8m"}, tls=True, class_name="nginx-org")
FLIP = ("error", "controller-default")


def differences(folder: Path) -> list[tuple[str, str]]:
    """The file and the message of each finding about twins, all of which are errors."""
    found = [one for one in checked(folder).findings if "lets this stream through" in one.message]
    assert {(one.severity, one.rule) for one in found} <= {FLIP}
    return sorted((Path(one.place.source.name).name, one.message) for one in found)


def test_an_ingress_and_its_route(tmp_path: Path) -> None:
    write(tmp_path, {"ingress.yaml": OLD, "gateway.yaml": GATEWAY, "route.yaml": ROUTE})
    (timeout, buffering) = differences(tmp_path)
    assert timeout[0] == buffering[0] == "route.yaml"
    assert "ingress-nginx lets this stream through" in buffering[1]
    assert "ingress.yaml:16), NGINX Gateway Fabric does not: proxy_buffering is on" in buffering[1]
    assert "60 s of silence (proxy_read_timeout" in timeout[1]
    # One cause, one finding.
    assert {one.rule for one in checked(tmp_path).findings} == {"controller-default"}
    related = checked(tmp_path).findings[0].related[0]
    assert (Path(related.place.source.name).name, related.place.line) == ("ingress.yaml", 16)
    after = fixed(tmp_path)
    assert list(after) == ["route.yaml"]
    assert "  buffering:\n    disable: true\n" in after["route.yaml"]
    write(tmp_path, after)
    assert checked(tmp_path).findings == []


def test_only_the_route_is_named(tmp_path: Path) -> None:
    files = {"old/ingress.yaml": OLD, "new/gateway.yaml": GATEWAY, "new/route.yaml": ROUTE}
    write(tmp_path, files)
    report = checked(tmp_path / "new/route.yaml")
    assert {(one.severity, one.rule) for one in report.findings} == {FLIP}
    assert {Path(one.place.source.name).name for one in report.findings} == {"route.yaml"}
    assert report.locations == 1


@pytest.mark.parametrize(
    ("old", "new", "flipped"),
    [
        ("llm.example.com", "*.example.com", 2),
        ("llm.eu.example.com", "*.example.com", 2),
        ("*.example.com", "llm.example.com", 2),
        ("llm.example.com", None, 2),
        (None, "llm.example.com", 2),
        ("*.example.com", "*.example.com", 2),
        ("example.com", "*.example.com", 0),
        ("llm.example.com", "*.example.org", 0),
    ],
)
def test_hosts_that_cover_each_other(
    old: str | None, new: str | None, flipped: int, tmp_path: Path
) -> None:
    host = "  hostnames:\n    - llm.example.com\n"
    route = ROUTE.replace(host, "" if new is None else f'  hostnames:\n    - "{new}"\n')
    rule = "- host: llm.example.com\n      http:"
    first = OLD.replace(rule, "- http:" if old is None else f'- host: "{old}"\n      http:')
    assert rule in OLD
    write(tmp_path, {"ingress.yaml": first, "gateway.yaml": GATEWAY, "route.yaml": route})
    assert [name for name, _ in differences(tmp_path)] == ["route.yaml"] * flipped
    assert len(differences(tmp_path / "route.yaml")) == flipped
    write(tmp_path, fixed(tmp_path))
    assert checked(tmp_path).findings == []


@pytest.mark.parametrize(("gateway", "flipped"), [("nginx-gateway", 2), ("web", 0)])
def test_the_gateway_is_in_another_repository(gateway: str, flipped: int, tmp_path: Path) -> None:
    """Its name is the only hint; a folder and the file of the route give the same."""
    route = ROUTE.replace("- name: web", f"- name: {gateway}")
    write(tmp_path, {"ingress.yaml": OLD, "route.yaml": route})
    assert [name for name, _ in differences(tmp_path)] == ["route.yaml"] * flipped
    assert len(differences(tmp_path / "route.yaml")) == flipped


# What ingress2gateway makes of OLD: the timeout became one that NGINX Gateway Fabric ignores.
CONVERTED = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  annotations:
    gateway.networking.k8s.io/generator: ingress2gateway-1.1.0
  name: nginx
  namespace: default
spec:
  gatewayClassName: nginx
  listeners:
  - hostname: llm.example.com
    name: llm-example-com-http
    port: 80
    protocol: HTTP
  - hostname: llm.example.com
    name: llm-example-com-https
    port: 443
    protocol: HTTPS
    tls:
      certificateRefs:
      - group: null
        kind: null
        name: llm-tls
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  annotations:
    gateway.networking.k8s.io/generator: ingress2gateway-1.1.0
  name: llm-llm-example-com
  namespace: default
spec:
  hostnames:
  - llm.example.com
  parentRefs:
  - name: nginx
  rules:
  - backendRefs:
    - name: vllm
      port: 8000
    matches:
    - path:
        type: PathPrefix
        value: /v1/chat/completions
    name: rule-0
    timeouts:
      request: 10h0m0s
status:
  parents: []
"""


def test_what_ingress2gateway_writes(tmp_path: Path) -> None:
    write(tmp_path, {"ingress.yaml": OLD, "converted.yaml": CONVERTED})
    assert [name for name, _ in differences(tmp_path)] == [
        "converted.yaml",
        "converted.yaml",
    ]
    write(tmp_path, fixed(tmp_path))
    assert checked(tmp_path).findings == []


@pytest.mark.parametrize(
    ("one", "other", "broken"),
    [
        (OLD, ORG, ["other.yaml", "other.yaml"]),
        (ingress({NGINX + "proxy-buffering": "on", NGINX + "proxy-read-timeout": "3600"}, tls=True),
         ingress({"nginx.org/proxy-buffering": "False", "nginx.org/proxy-read-timeout": "1h"},
                 tls=True), ["one.yaml"]),
        (OLD, ORG.replace("llm.example.com", "other.example.com"), []),
        (OLD, ORG.replace("/v1/chat/completions", "/v1/completions"), []),
        (OLD, ORG.replace("name: vllm", "name: other"), []),
        (OLD, OLD.replace("name: llm\n", "name: again\n"), []),
    ],
    ids=["to nginx.org", "back", "host", "path", "backend", "same controller"],
)  # fmt: skip
def test_two_ingresses(one: str, other: str, broken: list[str], tmp_path: Path) -> None:
    write(tmp_path, {"one.yaml": one, "other.yaml": other})
    assert [name for name, _ in differences(tmp_path)] == broken


def test_evidence_for_one_counts_for_its_twin(tmp_path: Path) -> None:
    paths = [("/shop", "Prefix")]
    old = ingress({NGINX + "proxy-read-timeout": "3600"}, paths, tls=True)
    comment = "            # nginx-stream-lint: stream sse\n"
    old = old.replace("            pathType", f"{comment}            pathType")
    route = ROUTE.replace("/v1/chat/completions", "/shop").replace("vllm", "shop")
    write(tmp_path, {"gateway.yaml": GATEWAY, "route.yaml": route})
    assert checked(tmp_path).findings == []
    write(tmp_path, {"ingress.yaml": old.replace("vllm", "shop")})
    assert [name for name, _ in differences(tmp_path)] == ["route.yaml", "route.yaml"]


def test_without_the_rule_each_is_checked_alone(tmp_path: Path) -> None:
    write(tmp_path, {"ingress.yaml": OLD, "gateway.yaml": GATEWAY, "route.yaml": ROUTE})
    rules = tuple(rule for rule in RULES if rule.name != "controller-default")
    report = lint(Workspace.on_disk(str(tmp_path)), options=Options(rules=rules))
    assert {one.rule for one in report.findings} == {"response-buffering", "short-read-timeout"}


OWN = """\
name: our-move
title: The new controller does less
when: worse_rule == "response-buffering" and worse_severity == "error" or kind == "grpc"
severity:
  - error: better_severity == "error"
  - warning
message: >-
  {{ worse_rule }} at {{ worse_controller }},
  {{ better_severity if better_severity else "nothing" }} at {{ better_controller }}
  ({{ better_place }}): {{ worse_reason }}
fix:
  title: Set {{ value("grpc_read_timeout") }}
  applicability: safe
  steps:
    - set: grpc_read_timeout
      to: 1h
why: We move.
evidence: none
examples: []
"""


def test_an_own_rule_compares_two_controllers(tmp_path: Path) -> None:
    own = tmp_path / "our-move.yaml"
    own.write_text(OWN, encoding="utf-8")
    folder = tmp_path / "manifests"
    write(folder, {"ingress.yaml": OLD, "gateway.yaml": GATEWAY, "route.yaml": ROUTE})

    def said(rules: Iterable[Rule]) -> dict[str, list[Finding]]:
        options = Options(rules=(*rules, load_rule(own)))
        report = lint(Workspace.on_disk(str(folder)), options=options)
        names = {one.rule for one in report.findings}
        return {name: [one for one in report.findings if one.rule == name] for name in names}

    found = said(rule for rule in RULES if rule.name != "controller-default")
    assert set(found) == {"our-move", "short-read-timeout"}
    (ours,) = found["our-move"]
    assert ours.severity == "warning"
    assert ours.message.startswith(
        "response-buffering at NGINX Gateway Fabric, nothing at ingress-nginx"
        f" ({folder / 'ingress.yaml'}:16): proxy_buffering is on"
    )
    # Beside the shipped rule, it has the same place and fix.
    found = said(RULES)
    assert set(found) == {"our-move", "controller-default"}
    (ours,) = found["our-move"]
    (theirs,) = (one for one in found["controller-default"] if "proxy_buffering" in one.message)
    assert ours.place.line == theirs.place.line
    assert ours.fix is not None
    assert ours.fix == theirs.fix
    assert ours.fix.edits


@pytest.mark.parametrize("rule", ["response-buffering", "controller-default"])
def test_a_comment_may_ignore_either_rule(rule: str, tmp_path: Path) -> None:
    comment = f"    # nginx-stream-lint: ignore[{rule}] the clients wait\n"
    route = ROUTE.replace("    - matches", f"{comment}    - matches")
    write(tmp_path, {"ingress.yaml": OLD, "gateway.yaml": GATEWAY, "route.yaml": route})
    found = [one.message for one in checked(tmp_path).findings]
    if rule == "response-buffering":
        assert [one for one in found if "proxy_buffering" in one] == []
        assert any("proxy_read_timeout" in one for one in found)
    else:
        assert found == []


def test_both_configurations_on_a_real_nginx(binary: NginxBinary, tmp_path: Path) -> None:
    """The Ingress streams for HTTP/1.1 over TLS, its route does not, and the fixed one does."""
    write(tmp_path / "repository", {"gateway.yaml": GATEWAY, "route.yaml": ROUTE})
    certificate = write_certificate(tmp_path)
    (old,) = translate(OLD)
    route = fixed(tmp_path / "repository")["route.yaml"]
    texts = {
        "ingress-nginx": runnable(old.text, certificate),
        "NGINX Gateway Fabric": runnable_gateway(plans_of(GATEWAY, ROUTE)[0], certificate),
        "fixed": runnable_gateway(plans_of(GATEWAY, route)[0], certificate),
    }

    expected = {"ingress-nginx": STREAMS, "NGINX Gateway Fabric": STALLS, "fixed": STREAMS}

    async def verdicts() -> list[str]:
        async with DrippingUpstream() as upstream, AsyncExitStack() as running:
            jobs: list[Job] = []
            for name, text in texts.items():
                plain, tls, app = *free_ports(2), upstream.ports["http"]
                moved = text.replace("listen 80", f"listen {plain}").replace(":8000", f":{app}")
                moved = moved.replace("listen 443", f"listen {tls}")
                (tmp_path / name).mkdir()
                await running.enter_async_context(Nginx(binary, moved, tmp_path / name))
                jobs.append(
                    Job(
                        upstream,
                        tls,
                        "/v1/chat/completions",
                        "h1-tls",
                        host="llm.example.com",
                        expected=expected[name],
                    )
                )
            return [one.verdict for one in await measure_many(jobs)]

    assert asyncio.run(verdicts()) == list(expected.values())
