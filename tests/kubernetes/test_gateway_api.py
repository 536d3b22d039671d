"""Routes of the Gateway API: checked and fixed as NGINX Gateway Fabric configures nginx."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from nginx_stream_lint.analysis.lint import Options, lint
from nginx_stream_lint.config.mapped_text import PLACEHOLDER
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.fixes.show import location_with_fixes
from nginx_stream_lint.kubernetes.controllers import Setting, gateway_fabric
from nginx_stream_lint.probe import NginxBinary, check, write_certificate
from tests.command import findings, run
from tests.kubernetes import gateway_examples
from tests.kubernetes.gateways import (
    GATEWAY,
    ROUTE,
    RULES,
    checked,
    fixed,
    plans_of,
    policy,
    said,
    write,
)
from tests.kubernetes.on_nginx import runnable_gateway

LONG = "timeout:\n  read: 1h\n"
OFF = "buffering:\n  disable: true\n"


def test_a_route_that_buffers_gets_a_separate_policy(tmp_path: Path) -> None:
    write(tmp_path, {"gateway.yaml": GATEWAY, "route.yaml": ROUTE})
    report = checked(tmp_path)
    assert said(report) == {("error", "response-buffering"), ("error", "short-read-timeout")}
    error = next(one for one in report.findings if one.rule == "response-buffering")
    assert (Path(error.place.source.name).name, error.place.line) == ("route.yaml", 11)
    assert error.location.servers == ("llm.example.com",)
    assert error.fix is not None
    assert error.fix.applicability == "safe"
    after = fixed(tmp_path)
    assert list(after) == ["route.yaml"]
    assert (
        after["route.yaml"]
        == ROUTE
        + """\
---
apiVersion: gateway.nginx.org/v1alpha1
kind: ProxySettingsPolicy
metadata:
  name: llm-streaming
spec:
  targetRefs:
    - group: gateway.networking.k8s.io
      kind: HTTPRoute
      name: llm
  buffering:
    disable: true
  timeout:
    read: 300s
"""
    )
    write(tmp_path, after)
    assert checked(tmp_path).findings == []


def test_the_lines_of_the_new_policy_are_shown(tmp_path: Path) -> None:
    files = {"route.yaml": ROUTE + "---\n" + policy("ProxySettingsPolicy", "X", "x", LONG)}
    write(tmp_path, {"gateway.yaml": GATEWAY, **files})
    errors = [one for one in checked(tmp_path).findings if one.rule == "response-buffering"]
    shown = location_with_fixes(errors[0].location, errors)
    assert "+ kind: ProxySettingsPolicy" in shown
    assert "+   buffering:\n+     disable: true" in shown
    assert "\n- " not in shown


def test_only_the_route_is_named(tmp_path: Path) -> None:
    """Its Gateway, and the policy for that, are elsewhere in the repository."""
    files = {
        "base/gateway.yaml": GATEWAY,
        "policies/web.yaml": policy("ProxySettingsPolicy", "Gateway", "web", LONG + OFF),
        "apps/llm/route.yaml": ROUTE,
    }
    write(tmp_path, files)
    assert checked(tmp_path / "apps/llm/route.yaml").findings == []
    (tmp_path / "policies/web.yaml").unlink()
    report = checked(tmp_path / "apps/llm/route.yaml")
    assert {Path(one.place.source.name).name for one in report.findings} == {"route.yaml"}
    assert ("error", "response-buffering") in said(report)


def test_a_route_overrides_the_policy_of_its_gateway(tmp_path: Path) -> None:
    files = {
        "gateway.yaml": GATEWAY,
        "route.yaml": ROUTE,
        "all.yaml": policy("ProxySettingsPolicy", "Gateway", "web", LONG + OFF, "all"),
        "own.yaml": policy(
            "ProxySettingsPolicy", "HTTPRoute", "llm", "buffering:\n  disable: false # why\n", "own"
        ),
    }
    write(tmp_path, files)
    (finding,) = checked(tmp_path).findings
    assert (finding.severity, finding.rule) == ("error", "response-buffering")
    places = [finding.place, *(one.place for one in finding.related)]
    assert "own.yaml" in {Path(one.source.name).name for one in places}
    after = fixed(tmp_path)
    assert after == {"own.yaml": files["own.yaml"].replace("false", "true")}
    write(tmp_path, after)
    assert checked(tmp_path).findings == []


def test_missing_fields_are_added_to_the_policy_of_a_route(tmp_path: Path) -> None:
    spec = "buffering:\n  bufferSize: 8k # for the headers\n"
    own = policy("ProxySettingsPolicy", "HTTPRoute", "llm", spec)
    write(tmp_path, {"all.yaml": "---\n".join((GATEWAY, own, ROUTE))})
    after = fixed(tmp_path)["all.yaml"]
    new = own.replace("headers\n", "headers\n    disable: true\n") + "  timeout:\n    read: 300s\n"
    assert after == "---\n".join((GATEWAY, new, ROUTE))
    write(tmp_path, {"all.yaml": after})
    assert checked(tmp_path).findings == []


def test_a_policy_of_two_routes_changes_both(tmp_path: Path) -> None:
    own = policy("ProxySettingsPolicy", "HTTPRoute", "llm", LONG)
    other = "    - group: gateway.networking.k8s.io\n      kind: HTTPRoute\n      name: shop\n"
    shop = ROUTE.replace("name: llm", "name: shop").replace("chat/completions", "shop")
    own = own.replace("      name: llm\n", f"      name: llm\n{other}")
    write(tmp_path, {"all.yaml": "---\n".join((GATEWAY, own, ROUTE, shop.replace("vllm", "s")))})
    (finding,) = checked(tmp_path).findings
    assert finding.fix is not None
    assert finding.fix.applicability == "unsafe"
    assert "also changes HTTPRoute shop" in finding.fix.cautions[0]
    assert fixed(tmp_path) == {}
    assert "disable: true" in fixed(tmp_path, unsafe=True)["all.yaml"]


def test_other_paths_of_the_route_change_too(tmp_path: Path) -> None:
    more = ROUTE[ROUTE.index("    - matches") :].replace("/v1/chat/completions", "/shop")
    write(tmp_path, {"all.yaml": f"{GATEWAY}---\n{ROUTE}{more}"})
    error = next(one for one in checked(tmp_path).findings if one.severity == "error")
    assert error.fix is not None
    assert error.fix.applicability == "unsafe"
    (caution,) = error.fix.cautions
    assert "This also changes /shop" in caution
    assert "move it to its own route" in caution


@pytest.mark.parametrize(
    ("name", "is_same"),
    [
        ('{{ include "chat.name" . }}-api', True),
        ('{{include "chat.name" $}}-api', True),
        ('"{{- include  "chat.name"  $ -}}-api"', True),
        ("{{ include `chat.name` . }}-api", True),
        ('{{ include "chat.other" . }}-api', False),
        ('{{ include "chat.name" . }}', False),
        ('{{ include "chat.name" .Sub }}-api', False),
    ],
)
def test_templates_with_one_meaning_are_one_name(name: str, is_same: bool, tmp_path: Path) -> None:
    route = ROUTE.replace("name: llm\n", 'name: {{ include "chat.name" . }}-api\n')
    shared = policy("ProxySettingsPolicy", "HTTPRoute", name, OFF + LONG)
    chart = "apiVersion: v2\nname: chat\nversion: 1.0.0\n"
    write(tmp_path, {"Chart.yaml": chart, "templates/gateway.yaml": GATEWAY})
    write(tmp_path, {"templates/route.yaml": route, "templates/policy.yaml": shared})
    assert bool(checked(tmp_path).findings) != is_same


@pytest.mark.parametrize(
    ("fields", "is_unknown"),
    [
        ("{{- toYaml .Values.policy | nindent 2 }}", True),
        ("buffering:\n  {{- toYaml .Values.buffering | nindent 4 }}\n" + LONG, True),
        ("buffering: {{ .Values.buffering | toJson }}\n" + LONG, True),
        ("buffering:\n  disable: {{ .Values.streams }}\n" + LONG, True),
        ("buffering:\n  bufferSize: {{ .Values.size }}\n" + LONG, False),
        ("timeout:\n  {{- toYaml .Values.timeout | nindent 4 }}\n", False),
    ],
)
def test_fields_that_a_template_may_set_are_unknown(
    fields: str, is_unknown: bool, tmp_path: Path
) -> None:
    chart = "apiVersion: v2\nname: chat\nversion: 1.0.0\n"
    shared = policy("ProxySettingsPolicy", "HTTPRoute", "llm", fields)
    write(tmp_path, {"Chart.yaml": chart, "templates/gateway.yaml": GATEWAY})
    write(tmp_path, {"templates/route.yaml": ROUTE, "templates/policy.yaml": shared})
    assert said(checked(tmp_path)) == (set() if is_unknown else {("error", "response-buffering")})


def test_the_routes_of_several_environments_share_a_policy(tmp_path: Path) -> None:
    route = ROUTE.replace("llm.example.com", "{name}.example.com")
    files = {f"{name}/route.yaml": route.format(name=name) for name in ("dev", "live", "test")}
    write(tmp_path, {"gateway.yaml": GATEWAY, **files})
    shared = policy("ProxySettingsPolicy", "HTTPRoute", "llm", OFF + LONG)
    assert said(checked(tmp_path))
    write(tmp_path, {"shared/policy.yaml": shared})
    assert checked(tmp_path).findings == []
    # That of one environment applies only there.
    write(tmp_path, {"shared/policy.yaml": "", "dev/policy.yaml": shared})
    found = checked(tmp_path).findings
    assert {Path(one.place.source.name).parent.name for one in found} == {"live", "test"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "buffering:\n  disable: true\ntimeout:\n  read: 300s"),
        ("buffering: {}\ntimeout: {connect: 5s}",
         "buffering: {disable: true}\ntimeout: {connect: 5s, read: 300s}"),
        ("buffering: { }\ntimeout: {\n  connect: 5s\n}",
         "buffering: {disable: true }\ntimeout: {\n  connect: 5s, read: 300s\n}"),
        ("buffering: {disable: false, bufferSize: 4k}\ntimeout: {read: 5s}",
         "buffering: {disable: true, bufferSize: 4k}\ntimeout: {read: 300s}"),
        ("buffering:\ntimeout: ~", "buffering: {disable: true}\ntimeout: {read: 300s}"),
        ("buffering:\n  disable:  # later\ntimeout: {read: null}",
         "buffering:\n  disable: true  # later\ntimeout: {read: 300s}"),
        # These need a person.
        ("buffering: {bufferSize: 4k,}\ntimeout: {connect: 5s # slow\n}", None),
        ("buffering: [4k]\ntimeout: 5s", None),
    ],
)  # fmt: skip
def test_fields_are_added_in_the_style_of_the_policy(
    before: str, after: str | None, tmp_path: Path
) -> None:
    write(tmp_path, {"gateway.yaml": GATEWAY, "route.yaml": ROUTE})
    write(tmp_path, {"policy.yaml": policy("ProxySettingsPolicy", "HTTPRoute", "llm", before)})
    assert said(checked(tmp_path)) == {
        ("error", "response-buffering"),
        ("error", "short-read-timeout"),
    }
    changed = fixed(tmp_path)
    if after is None:
        assert changed == {}
        return
    (name,) = changed
    assert name == "policy.yaml"
    lines = sorted(line.strip() for line in changed[name].splitlines()[9:])
    assert lines == sorted(line.strip() for line in after.splitlines())
    write(tmp_path, changed)
    assert checked(tmp_path).findings == []


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("before", "behind"),
    [
        ("", ""),
        ("", "---\nkind: Other\n"),
        ("", "\n\n---\nkind: Other\n"),
        ("%YAML 1.1\n---\n", ""),
    ],
)
def test_where_the_new_document_goes(
    newline: str, before: str, behind: str, tmp_path: Path
) -> None:
    text = f"{before}{ROUTE}{behind}".replace("\n", newline)
    for end in ("", newline):
        write(tmp_path, {"gateway.yaml": GATEWAY, "route.yaml": text.removesuffix(newline) + end})
        after = fixed(tmp_path)["route.yaml"]
        assert "\r" not in after.replace("\r\n", "")
        new = after[after.index("---", len(before)) :]
        assert new.startswith(f"---{newline}apiVersion: gateway.nginx.org/v1alpha1{newline}")
        write(tmp_path, {"route.yaml": after})
        assert checked(tmp_path).findings == []


@pytest.mark.parametrize(
    "text",
    [
        f"apiVersion: v1\nkind: List\nitems:\n  - {ROUTE.replace(chr(10), chr(10) + '    ')}\n",
        "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: llm}, spec:"
        " {parentRefs: [{name: web}], rules: [{matches: [{path: {value: /v1/chat/completions}}],"
        " backendRefs: [{name: vllm, port: 8000}]}]}}\n",
        ROUTE.replace("  name: llm\n", "  generateName: llm\n"),
        ROUTE.replace("name: llm\n", "name: '8'\n"),
        f"{ROUTE.replace('v1/chat/completions', 'shop').replace('vllm', 'shop')}---\n{ROUTE}",
    ],
    ids=["list", "flow", "no name", "a number as name", "a name twice"],
)
def test_manual_fixes(text: str, tmp_path: Path) -> None:
    write(tmp_path, {"gateway.yaml": GATEWAY, "route.yaml": text})
    report = checked(tmp_path)
    assert ("error", "response-buffering") in said(report)
    for one in report.findings:
        assert one.fix is not None
        assert one.fix.applicability == "manual"
        assert one.fix.snippet.endswith("# in the spec of a ProxySettingsPolicy for the route")


def test_grpc_needs_a_snippet(tmp_path: Path) -> None:
    """The fields of a ProxySettingsPolicy set no directive that grpc_pass uses."""
    route = ROUTE.replace("HTTPRoute", "GRPCRoute").replace(
        "path:\n            type: PathPrefix\n            value: /v1/chat/completions",
        "method:\n            service: inference.GRPCInferenceService\n"
        "            method: ModelStreamInfer",
    )
    write(tmp_path, {"gateway.yaml": GATEWAY, "route.yaml": route})
    (finding,) = (one for one in checked(tmp_path).findings if one.rule == "short-read-timeout")
    assert finding.fix is not None
    assert finding.fix.applicability == "manual"
    assert finding.fix.snippet.startswith("grpc_read_timeout 300s;  # in a SnippetsFilter")


@pytest.mark.parametrize("version", [(1, 22, 1), (1, 31, 3)])
def test_the_version_of_another_nginx_refuses_nothing(
    version: tuple[int, int, int], tmp_path: Path
) -> None:
    """The settings may name it for the rest of the repository."""
    write(tmp_path, {"gateway.yaml": GATEWAY, "route.yaml": ROUTE})
    report = lint(
        Workspace.on_disk(str(tmp_path)), options=Options(rules=RULES, nginx_version=version)
    )
    assert report.problems == []
    assert said(report) == {("error", "response-buffering"), ("error", "short-read-timeout")}


def test_gateways_of_others_are_not_checked(tmp_path: Path) -> None:
    other = GATEWAY.replace("gatewayClassName: nginx", "gatewayClassName: envoy")
    write(tmp_path, {"gateway.yaml": other, "route.yaml": ROUTE})
    assert checked(tmp_path).locations == 0
    named = """\
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata:
  name: {name}
spec:
  controllerName: {controller}
"""
    ours = named.format(name="envoy", controller="gateway.nginx.org/nginx-gateway-controller")
    write(tmp_path, {"class.yaml": ours})
    assert checked(tmp_path).locations == 1
    theirs = named.format(name="nginx", controller="example.com/other")
    write(tmp_path, {"class.yaml": theirs, "gateway.yaml": GATEWAY})
    assert checked(tmp_path).locations == 0


def test_a_missing_gateway_is_assumed_if_a_policy_says_so(tmp_path: Path) -> None:
    write(tmp_path, {"route.yaml": ROUTE})
    assert checked(tmp_path).locations == 0
    write(tmp_path, {"policy.yaml": policy("ProxySettingsPolicy", "HTTPRoute", "llm", LONG)})
    assert said(checked(tmp_path)) == {("error", "response-buffering")}


def test_equal_names_mean_the_nearest(tmp_path: Path) -> None:
    files = {f"{folder}/gateway.yaml": GATEWAY for folder in "ab"}
    files |= {f"{folder}/route.yaml": ROUTE for folder in "ab"}
    files["b/policy.yaml"] = policy("ProxySettingsPolicy", "Gateway", "web", OFF + LONG)
    write(tmp_path, files)
    report = checked(tmp_path)
    assert {Path(one.place.source.name).parent.name for one in report.findings} == {"a"}
    assert report.locations == 2


def test_comments_in_a_route_declare_streams(tmp_path: Path) -> None:
    comment = "# nginx-stream-lint: stream sse heartbeat=15s"
    shop = ROUTE.replace("/v1/chat/completions", "/shop").replace("vllm", "shop")
    for place, text in {
        "rule": shop.replace("    - matches:", f"    {comment}\n    - matches:"),
        "path": shop.replace("value: /shop", f"value: /shop {comment}"),
        "all": shop.replace("metadata:", f"{comment}\nmetadata:"),
    }.items():
        write(tmp_path, {"gateway.yaml": GATEWAY, "route.yaml": text})
        assert said(checked(tmp_path)) == {("error", "response-buffering")}, place


def test_a_value_that_the_controller_refuses(tmp_path: Path) -> None:
    own = policy("ProxySettingsPolicy", "HTTPRoute", "llm", "timeout:\n  read: soon\n")
    write(tmp_path, {"all.yaml": "---\n".join((GATEWAY, ROUTE, own))})
    report = lint(Workspace.on_disk(str(tmp_path)), options=Options(rules=RULES))
    (problem,) = report.problems
    assert (
        problem.line == own[: own.index("read")].count("\n") + f"{GATEWAY}{ROUTE}".count("\n") + 3
    )
    assert 'read: "soon" is not a time such as 60s' in problem.message


def test_fixes_in_templates_are_manual(tmp_path: Path) -> None:
    text = ROUTE.replace("name: llm", "name: {{ .Values.name }}").replace(
        "8000", "{{ .Values.port }}"
    )
    write(tmp_path, {"templates/gateway.yaml": GATEWAY, "templates/route.yaml": text})
    report = checked(tmp_path)
    assert ("error", "response-buffering") in said(report)
    assert {one.fix.applicability for one in report.findings if one.fix} == {"manual"}


def test_the_command(tmp_path: Path) -> None:
    write(tmp_path, {"gateway.yaml": GATEWAY, "route.yaml": ROUTE})
    found = findings(tmp_path, status=1)
    error = next(one for one in found if one["rule"] == "response-buffering")
    assert error["line"] == 11
    done = run(tmp_path, "--fix", "--ignore", "reload-cut,browser-connection-limit")
    assert done.returncode == 0, done.stdout
    explained = run("explain", tmp_path, "https://llm.example.com/v1/chat/completions")
    assert explained.returncode == 0, explained.stdout
    assert "proxy_read_timeout" in explained.stdout


EVERYTHING = """\
apiVersion: gateway.nginx.org/v1alpha2
kind: NginxProxy
metadata: {name: tuned}
spec:
  workerConnections: 2048
  rewriteClientIP: {mode: XForwardedFor, trustedAddresses: [{type: CIDR, value: 10.0.0.0/8}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web}
spec:
  gatewayClassName: nginx
  infrastructure:
    parametersRef: {group: gateway.nginx.org, kind: NginxProxy, name: tuned}
  listeners:
    - {name: http, port: 80, protocol: HTTP, hostname: "*.example.com"}
    - {name: https, port: 443, protocol: HTTPS, hostname: "*.example.com"}
    - {name: any, port: 8080, protocol: HTTP}
    - {name: through, port: 8443, protocol: TLS, tls: {mode: Passthrough}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec:
  parentRefs: [{name: web}]
  hostnames: [shop.example.com, "*.shop.example.com", other.test]
  rules:
    - matches:
        - {path: {type: Exact, value: /cart}}
        - {path: {type: PathPrefix, value: /cart}, method: POST}
        - path: {type: PathPrefix, value: /cart}
          headers:
            - {name: X-Version, value: "2"}
            - {name: X-Kind, type: RegularExpression, value: "a|b"}
      filters:
        - type: RequestHeaderModifier
          requestHeaderModifier:
            set: [{name: X-One, value: 'say "hi"'}]
            add: [{name: X-Two, value: "2"}]
            remove: [X-Three]
        - type: ResponseHeaderModifier
          responseHeaderModifier: {set: [{name: X-Accel-Buffering, value: "no"}]}
        - type: CORS
          cors: {allowOrigins: ["https://example.com"]}
        - type: ExtensionRef
          extensionRef: {group: gateway.nginx.org, kind: SnippetsFilter, name: snippets}
      backendRefs:
        - {name: old, port: 80, weight: 0}
        - {name: cart, port: 80, weight: 9}
    - matches: [{path: {type: PathPrefix, value: /files/}}]
      filters:
        - type: URLRewrite
          urlRewrite:
            hostname: files.internal
            path: {type: ReplacePrefixMatch, replacePrefixMatch: /f}
      backendRefs: [{name: files, port: 9000}]
    - matches: [{path: {type: PathPrefix, value: /a.b}}]
      filters:
        - type: URLRewrite
          urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}
      backendRefs: [{name: files, port: 9001}]
    - matches: [{path: {type: RegularExpression, value: "/img/[0-9]{2,3}[.]png"}}]
      filters:
        - type: URLRewrite
          urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /i}}
      backendRefs: [{name: files, namespace: media, port: 9000}]
    - matches: [{path: {type: PathPrefix, value: /old}}]
      filters:
        - type: RequestRedirect
          requestRedirect: {scheme: https, hostname: example.org, statusCode: 301}
    - matches: [{path: {type: Exact, value: /nothing}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: rest, namespace: default}
spec:
  parentRefs: [{name: web, sectionName: https}, {name: web, port: 8080}]
  hostnames: [shop.example.com]
  rules:
    - backendRefs: [{name: cart, port: 81}]
    - matches: [{path: {value: /cart}}]
      backendRefs: [{name: cart, port: 81}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: grpc}
spec:
  parentRefs: [{name: web, sectionName: https}]
  hostnames: [grpc.example.com]
  rules:
    - matches:
        - {method: {service: a.B, method: C}}
        - {method: {service: a.B}}
        - {headers: [{name: v, value: "1"}]}
      backendRefs: [{name: triton, port: 8001}]
---
apiVersion: gateway.nginx.org/v1alpha1
kind: SnippetsFilter
metadata: {name: snippets}
spec:
  snippets:
    - {context: main, value: "worker_shutdown_timeout 1h;"}
    - {context: http, value: "map $host $one { default 1; }"}
    - {context: http.server, value: "location = /extra { return 204; }"}
    - {context: http.server.location, value: "expires 1h;"}
---
apiVersion: gateway.nginx.org/v1alpha1
kind: SnippetsPolicy
metadata: {name: everywhere}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: web}]
  snippets:
    - {context: http.server, value: "keepalive_requests 7;"}
    - {context: http.server.location, value: "proxy_set_header X-From snippets;"}
---
apiVersion: gateway.nginx.org/v1alpha1
kind: ProxySettingsPolicy
metadata: {name: a}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: web}]
  buffering: {bufferSize: 4k, buffers: {number: 8, size: 4k}, busyBuffersSize: 16k}
  timeout: {connect: 5s, send: 1m}
---
apiVersion: gateway.nginx.org/v1alpha1
kind: ProxySettingsPolicy
metadata: {name: b}
spec:
  targetRefs:
    - {group: gateway.networking.k8s.io, kind: HTTPRoute, name: shop}
    - {group: gateway.networking.k8s.io, kind: GRPCRoute, name: grpc}
  buffering: {disable: true}
---
apiVersion: gateway.nginx.org/v1alpha1
kind: ProxySettingsPolicy
metadata: {name: c}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: shop}]
  buffering: {disable: false}
  timeout: {read: 500ms}
---
apiVersion: gateway.nginx.org/v1alpha1
kind: ClientSettingsPolicy
metadata: {name: web}
spec:
  targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: web}
  body: {maxSize: "0", timeout: 30s}
  keepAlive: {time: 1h, minTimeout: 5s, timeout: {server: 15s, header: 10s}}
---
apiVersion: gateway.nginx.org/v1alpha1
kind: ClientSettingsPolicy
metadata: {name: shop}
spec:
  targetRef: {group: gateway.networking.k8s.io, kind: HTTPRoute, name: shop}
  body: {maxSize: 9m}
  keepAlive: {requests: 500}
---
apiVersion: gateway.nginx.org/v1alpha1
kind: UpstreamSettingsPolicy
metadata: {name: cart}
spec:
  targetRefs: [{group: core, kind: Service, name: cart}]
  keepAlive: {connections: 0}
---
apiVersion: gateway.nginx.org/v1alpha1
kind: UpstreamSettingsPolicy
metadata: {name: files}
spec:
  targetRefs: [{group: core, kind: Service, name: files}]
  keepAlive: {connections: 64, requests: 10, time: 5m, timeout: 20s}
---
apiVersion: gateway.nginx.org/v1alpha1
kind: RateLimitPolicy
metadata: {name: web}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: web}]
  rateLimit:
    local:
      rules: [{key: "$binary_remote_addr", rate: 10r/s, zoneSize: 5m, burst: 3, noDelay: true}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: triton}
spec:
  targetRefs: [{group: "", kind: Service, name: triton}]
  validation: {hostname: triton.example.com, wellKnownCACertificates: System}
"""


def made(text: str, folder: Path) -> str:
    (plan,) = plans_of(text)
    return runnable_gateway(plan, write_certificate(folder))


def test_everything_together_on_a_real_nginx(age: str, binary: NginxBinary, tmp_path: Path) -> None:
    # keepalive_min_timeout is newer than Debian's nginx; the controller brings its own.
    text = made(
        EVERYTHING.replace("minTimeout: 5s, ", "" if age == "old" else "minTimeout: 5s, "), tmp_path
    )
    assert PLACEHOLDER not in text
    ok, why = check(binary, text, tmp_path)
    assert ok, f"{why}\n{text}"


@pytest.mark.parametrize(
    "written",
    [
        "worker_shutdown_timeout 1h;",
        "worker_connections 2048;",
        "map $host $one {",
        "limit_req_zone $binary_remote_addr zone=rl1_web_rule0:5m rate=10r/s;",
        "limit_req zone=rl1_web_rule0 burst=3 nodelay;",
        "proxy_buffers 8 4k;",
        "client_max_body_size 9m;",
        "client_body_timeout 30s;",
        "keepalive_timeout 15s;",
        "keepalive 64;",
        "proxy_read_timeout 500ms;",
        "proxy_pass http://cart;",
        "proxy_pass http://cart-81;",
        "grpc_pass grpcs://triton;",
        'location = "/cart"',
        'location ~ "^/img/[0-9]{2,3}[.]png"',
        "server_name *.shop.example.com;",
        "return 301 https://example.org$request_uri;",
        "return 500;",
        'if ($request_method = "POST")',
        'rewrite "^/files/([^?]*)?" /f/$1?$args? break;',
        'add_header X-Accel-Buffering "no" always;',
        'proxy_set_header X-One "say \\"hi\\"";',
        'proxy_set_header X-Three "";',
        "proxy_set_header X-From snippets;",
        "expires 1h;",
    ],
)
def test_each_part_is_written(written: str, tmp_path: Path) -> None:
    lines = " ".join(made(EVERYTHING, tmp_path).split())
    assert written.replace('location = "/cart"', "location = /cart") in lines


@pytest.mark.parametrize(
    ("kind", "row"),
    [(kind, row) for kind, rows in gateway_fabric().policies.items() for row in rows],
    ids=lambda value: getattr(value, "field", value),
)
def test_each_field_of_a_policy_is_written(kind: str, row: Setting, tmp_path: Path) -> None:
    assert row.field is not None
    specs = [one["spec"] for one in yaml.safe_load_all(EVERYTHING) if one["kind"] == kind]
    assert any(_has(spec, row.field.split(".")) for spec in specs), (
        f"no {kind} of EVERYTHING has {row.field}; give one a value"
    )
    words = [line.split(maxsplit=1)[0] for line in made(EVERYTHING, tmp_path).splitlines() if line]
    assert row.directive in words


def _has(spec: Any, path: Sequence[str]) -> bool:
    for name in path:
        if not isinstance(spec, dict) or name not in spec:
            return False
        spec = spec[name]
    return True


def test_the_first_of_two_policies_that_set_a_field_applies(tmp_path: Path) -> None:
    text = made(EVERYTHING, tmp_path)
    assert "proxy_buffering off;" in text
    assert "proxy_buffering on;" not in text


def test_a_service_without_keepalive(tmp_path: Path) -> None:
    text = made(EVERYTHING, tmp_path)
    cart = text[text.index("upstream cart {") :].partition("}")[0]
    assert "keepalive" not in cart
    location = text[text.index("location = /cart {") :]
    assert (
        "proxy_set_header Connection $connection_upgrade;"
        in location.partition("proxy_pass")[0] + (location[: location.index("add_header")])
    )


def test_examples_of_the_controller_are_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tcp = GATEWAY.replace("protocol: HTTPS", "protocol: TLS").replace("HTTP\n", "TCP\n")
    write(tmp_path, {"a/gateway.yaml": GATEWAY, "a/route.yaml": ROUTE, "b/gateway.yaml": tcp})
    assert gateway_examples.main(tmp_path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "a/gateway.yaml: Gateway web, nginx " in lines[0]
    assert lines[0].endswith(": accepted")
    assert (
        lines[-2]
        == "b/gateway.yaml: Gateway web: no listener accepts HTTP, so it has no http block"
    )
    assert lines[-1] == "3 files, 3 objects, 1 Gateways with routes"
    broken = policy(
        "SnippetsPolicy", "Gateway", "web", "snippets:\n  - context: http\n    value: x y;"
    )
    write(tmp_path, {"a/policy.yaml": broken})
    assert gateway_examples.main(tmp_path) == 1
    assert "refused: " in capsys.readouterr().out
