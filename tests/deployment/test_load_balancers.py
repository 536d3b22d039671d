"""Load balancers in front of a pod, by annotations, classes and BackendConfigs."""

from __future__ import annotations

import pytest

from nginx_stream_lint.config.deployed import ProxyInFront
from nginx_stream_lint.deployment.load_balancers import load_balancers
from nginx_stream_lint.tiers.products import product_named
from tests.deployment.reading import deployment, instance

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec: {containers: [{name: nginx, image: 'nginx:1.27.0'}]}
"""
ALB = "alb.ingress.kubernetes.io/"
AWS = "service.beta.kubernetes.io/aws-load-balancer-"
AZURE = "service.beta.kubernetes.io/azure-load-balancer-"
APPGW = "appgw.ingress.kubernetes.io/"
GKE = "cloud.google.com/backend-config"


def service(annotations: str = "", kind: str = "LoadBalancer", app: str = "web") -> str:
    return f"""\
---
apiVersion: v1
kind: Service
metadata: {{name: web, annotations: {{{annotations}}}}}
spec: {{type: {kind}, selector: {{app: {app}}}, ports: [{{port: 80}}]}}
"""


def ingress(annotations: str = "", name: str = "", backend: str = "web") -> str:
    named = f"ingressClassName: {name}, " if name else ""
    return f"""\
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: out, annotations: {{{annotations}}}}}
spec: {{{named}rules: [{{http: {{paths: [{{path: /, pathType: Prefix, backend: {{
    service: {{name: {backend}, port: {{number: 80}}}}}}}}]}}}}]}}
"""


def config(spec: str) -> str:
    return f"""\
---
apiVersion: cloud.google.com/v1
kind: BackendConfig
metadata: {{name: long}}
spec: {{{spec}}}
"""


def in_front(*objects: str) -> tuple[ProxyInFront, ...]:
    return instance(deployment({"web.yaml": POD + "".join(objects)})).in_front


def limits(*objects: str) -> list[tuple[str, float | None, bool]]:
    """Product, seconds and whether they are a default; None where they are unknown."""
    return [
        (one.product, limit.seconds if limit else None, bool(limit and limit.is_default))
        for one in in_front(*objects)
        for limit in one.timeouts or (None,)
    ]


@pytest.mark.parametrize(
    ("objects", "wanted"),
    [
        ([service(f"{AWS}type: nlb")], ("nlb", 350.0, True)),
        ([service(f"{AWS}type: external")], ("nlb", 350.0, True)),
        (
            [
                service(
                    f"{AWS}type: external, {AWS}listener-attributes.TCP-80:"
                    " tcp.idle_timeout.seconds=90"
                )
            ],
            ("nlb", 90.0, False),
        ),
        ([service(f"{AWS}connection-draining-enabled: 'true'")], ("elb", 60.0, True)),
        (
            [service().replace("LoadBalancer", "LoadBalancer, loadBalancerClass: service.k8s.aws/nlb")],
            ("nlb", 350.0, True),
        ),
        ([service(f"{AWS}connection-idle-timeout: '400'")], ("elb", 400.0, False)),
        ([service(f"{AZURE}internal: 'true'")], ("azure-load-balancer", 240.0, True)),
        ([service(f"{AZURE}tcp-idle-timeout: '30'")], ("azure-load-balancer", 1800.0, False)),
        ([service(kind="ClusterIP"), ingress(name="alb")], ("alb", 60.0, True)),
        ([service(kind="NodePort"), ingress(f"{ALB}scheme: internal")], ("alb", 60.0, True)),
        (
            [
                service(),
                ingress(
                    f"{ALB}load-balancer-attributes:"
                    " 'deletion_protection.enabled=true, idle_timeout.timeout_seconds=120'"
                ),
            ],
            ("alb", 120.0, False),
        ),
        (
            [service(), ingress("kubernetes.io/ingress.class: azure/application-gateway")],
            ("azure-application-gateway", 30.0, True),
        ),
        (
            [service(), ingress(f"{APPGW}request-timeout: '600'")],
            ("azure-application-gateway", 600.0, False),
        ),
        ([service(), ingress(name="gce")], ("google-cloud-lb", 30.0, True)),
        (
            [service(f"{GKE}: '{{\"default\": \"long\"}}'"), config("timeoutSec: 3600")],
            ("google-cloud-lb", 3600.0, False),
        ),
        (
            [service(f"{GKE}: '{{\"ports\": {{\"80\": \"long\"}}}}'"), config("")],
            ("google-cloud-lb", 30.0, True),
        ),
        # Its settings are elsewhere.
        ([service(f"{GKE}: '{{\"default\": \"absent\"}}'")], ("google-cloud-lb", None, False)),
        ([service(f"{APPGW}x: y"), ingress(f"{APPGW}request-timeout: '{{{{ .t }}}}'")], None),
    ],
)  # fmt: skip
def test_a_load_balancer(objects: list[str], wanted: tuple[str, float | None, bool] | None) -> None:
    found = limits(*objects)
    if wanted is None:
        assert found == [("azure-application-gateway", None, False)]
    else:
        assert found == [wanted]


@pytest.mark.parametrize(
    "objects",
    [
        [service()],
        [service(f"{AWS}internal: 'true'")],  # Classic or Network Load Balancer, by the controller
        [service().replace("LoadBalancer", "LoadBalancer, loadBalancerClass: tailscale")],
        [service(f"{AWS}type: nlb", kind="ClusterIP")],
        [service(f"{AWS}type: nlb", app="other")],
        [service(), ingress(name="nginx")],
        [service(), ingress(f"{ALB}scheme: internal", name="nginx")],  # another controller's
        [service(), ingress(name="alb", backend="other")],
        [ingress(name="alb")],
        [service(), ingress()],  # the default class of the cluster
        [service("cloud.google.com/neg: '{\"ingress\": true}'")],
        [service(f"{GKE}x: y")],
    ],
)
def test_everything_else_is_unknown(objects: list[str]) -> None:
    assert in_front(*objects) == ()


def test_the_place_is_the_most_specific_line() -> None:
    def shown(*objects: str) -> list[str]:
        return [one.source.text[one.start : one.end] for one in in_front(*objects)]

    attributes = f"{ALB}load-balancer-attributes"
    assert shown(
        service(), ingress(f"{ALB}scheme: x, {attributes}: idle_timeout.timeout_seconds=9")
    ) == [attributes]
    assert shown(service(), ingress(name="alb")) == ["alb"]
    named = service(f'{GKE}: \'{{"default": "long"}}\'')
    assert shown(named, config("timeoutSec: 77")) == ["77"]


def test_several_load_balancers_in_front() -> None:
    assert [one.product for one in in_front(service(f"{AWS}type: nlb"), ingress(name="alb"))] == [
        "nlb",
        "alb",
    ]


def test_the_table_names_products() -> None:
    for row in load_balancers():
        assert product_named(row.product) is not None
        assert row.source.startswith("https://")
