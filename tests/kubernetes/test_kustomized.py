"""Kustomizations of the Gateway API: objects are checked as `kubectl kustomize` renders them."""

from __future__ import annotations

from pathlib import Path

import pytest

from nginx_stream_lint.analysis.lint import Options, lint
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.kubernetes import kustomized
from nginx_stream_lint.util.budget import Limits
from tests.command import run
from tests.kubernetes.gateways import GATEWAY, ROUTE, RULES, checked, fixed, policy, said, write

LONG = "timeout:\n  read: 1h\n"
OFF = f"buffering:\n  disable: true\n{LONG}"
ON = f"buffering:\n  disable: false\n{LONG}"
RULE = "{matches: [{path: {value: /sse}}], backendRefs: [{name: sse, port: 80}]}"
ALL = "resources: [gateway.yaml, route.yaml, policy.yaml]\n"
PATCHED = "resources: [../base]\npatches:\n  - path: patch.yaml\n"
STALLS = ("error", "response-buffering")
SHORT = ("error", "short-read-timeout")


def base(spec: str, target: str = "HTTPRoute", name: str = "llm") -> dict[str, str]:
    """A Gateway, a route and a policy, all in one kustomization."""
    return {
        "base/gateway.yaml": GATEWAY,
        "base/route.yaml": ROUTE,
        "base/policy.yaml": policy("ProxySettingsPolicy", target, name, spec),
        "base/kustomization.yaml": ALL,
    }


def patch(spec: str, kind: str = "ProxySettingsPolicy", name: str = "policy") -> str:
    """A strategic merge patch of an object."""
    group = "gateway.nginx.org/v1alpha1" if "Policy" in kind else "gateway.networking.k8s.io/v1"
    return f"apiVersion: {group}\nkind: {kind}\nmetadata: {{name: {name}}}\n{spec}\n"


def operation(text: str, target: str = "{kind: ProxySettingsPolicy, name: policy}") -> str:
    """A kustomization with a JSON patch of one operation."""
    return f"resources: [../base]\npatches:\n  - target: {target}\n    patch: |-\n      - {text}\n"


REPLACE = "{op: replace, path: /spec/buffering/disable, value: %s}"
TURNS_OFF = patch("spec: {buffering: {disable: true}}")
TURNS_ON = patch("spec: {buffering: {disable: false}}")
ROUTES = "{kind: HTTPRoute, name: llm}"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        # A patch of the route is no route of its own.
        (
            {
                **base(OFF),
                "prod/kustomization.yaml": PATCHED,
                "prod/patch.yaml": ROUTE.replace("llm.example.com", "prod.example.com"),
            },
            set(),
        ),
        ({**base(ON), "prod/kustomization.yaml": operation(REPLACE % "true")}, set()),
        ({**base(OFF), "prod/kustomization.yaml": operation(REPLACE % "false")}, {STALLS}),
        (
            {
                **base(LONG),
                "prod/kustomization.yaml": operation(
                    "{op: add, path: /spec/buffering, value: {disable: true}}"
                ),
            },
            set(),
        ),
        (
            {
                **base(OFF),
                "prod/kustomization.yaml": operation("{op: remove, path: /spec/buffering}"),
            },
            {STALLS},
        ),
        (
            {**base(ON), "prod/kustomization.yaml": PATCHED, "prod/patch.yaml": TURNS_OFF},
            set(),
        ),
        (
            {**base(OFF), "prod/kustomization.yaml": PATCHED, "prod/patch.yaml": TURNS_ON},
            {STALLS},
        ),
        (
            {
                **base(OFF),
                "prod/kustomization.yaml": PATCHED,
                "prod/patch.yaml": patch("spec: {timeout: null}"),
            },
            {SHORT},
        ),
        (
            {
                **base(OFF),
                "prod/kustomization.yaml": PATCHED,
                "prod/patch.yaml": patch("$patch: delete"),
            },
            {STALLS, SHORT},
        ),
        # The base is applied as it is, too.
        (
            {
                **base(ON),
                "prod/kustomization.yaml": PATCHED,
                "prod/patch.yaml": TURNS_OFF,
                "staging/kustomization.yaml": "resources: [../base]\n",
            },
            {STALLS},
        ),
        # A list of the patch replaces that of the object.
        (
            {
                **base(OFF),
                "prod/kustomization.yaml": PATCHED,
                "prod/patch.yaml": patch(f"spec: {{rules: [{RULE}]}}", "HTTPRoute", "llm"),
            },
            set(),
        ),
        (
            {
                **base(OFF),
                "prod/kustomization.yaml": PATCHED,
                "prod/patch.yaml": policy("ProxySettingsPolicy", "HTTPRoute", "other", LONG),
            },
            {STALLS, SHORT},
        ),
        (
            {
                **base(OFF, "HTTPRoute", "other"),
                "prod/kustomization.yaml": operation(
                    "{op: replace, path: /metadata/name, value: other}", ROUTES
                ),
            },
            {STALLS, SHORT},
        ),
        # A component changes what is beside it.
        (
            {
                **base(ON),
                "part/kustomization.yaml": "kind: Component\npatches: [{path: patch.yaml}]\n",
                "part/patch.yaml": TURNS_OFF,
                "prod/kustomization.yaml": "resources: [../base]\ncomponents: [../part]\n",
            },
            set(),
        ),
        # Two kustomizations change one object after the other.
        (
            {
                **base(ON),
                "middle/kustomization.yaml": PATCHED,
                "middle/patch.yaml": TURNS_OFF,
                "prod/kustomization.yaml": PATCHED.replace("base", "middle"),
                "prod/patch.yaml": patch("spec: {hostnames: [a.b]}", "HTTPRoute", "llm"),
            },
            set(),
        ),
        # The Gateway and its policy are applied apart from the routes.
        (
            {
                "platform/base/gateway.yaml": GATEWAY,
                "platform/base/policy.yaml": policy("ProxySettingsPolicy", "Gateway", "web", ON),
                "platform/base/kustomization.yaml": "resources: [gateway.yaml, policy.yaml]\n",
                "platform/prod/kustomization.yaml": PATCHED,
                "platform/prod/patch.yaml": TURNS_OFF,
                "apps/route.yaml": ROUTE,
            },
            set(),
        ),
    ],
    ids=[
        "route",
        "JSON: off",
        "JSON: on",
        "JSON: add",
        "JSON: remove",
        "merge: off",
        "merge: on",
        "merge: null",
        "delete",
        "base, too",
        "rules",
        "other target",
        "a name is no reference",
        "component",
        "twice",
        "apart",
    ],
)
def test_patches_are_applied(
    files: dict[str, str], expected: set[tuple[str, str]], tmp_path: Path
) -> None:
    write(tmp_path, files)
    assert said(checked(tmp_path)) == expected


def test_places_are_those_of_what_counts(tmp_path: Path) -> None:
    """Rules of a patch are found there; the policy for the route is written beside the base."""
    rules = ROUTE[ROUTE.index("  rules:") :].replace("chat/completions", "messages")
    files = base(OFF, "HTTPRoute", "other") | {
        "prod/kustomization.yaml": PATCHED,
        "prod/patch.yaml": patch(f"spec:\n{rules}", "HTTPRoute", "llm"),
    }
    write(tmp_path, files)
    (one,) = [one for one in checked(tmp_path).findings if one.rule == "response-buffering"]
    assert (one.place.source.name, one.place.line) == (str(tmp_path / "prod/patch.yaml"), 6)
    assert one.location.servers == ("llm.example.com",)
    # A document in the file of a patch would be one more patch.
    assert fixed(tmp_path) == {}


def test_a_patch_is_fixed_where_it_is_wrong(tmp_path: Path) -> None:
    files = base(OFF) | {"prod/kustomization.yaml": PATCHED, "prod/patch.yaml": TURNS_ON}
    write(tmp_path, files)
    assert fixed(tmp_path) == {"patch.yaml": TURNS_ON.replace("false", "true")}


def test_a_json_patch_is_not_fixed_in_the_base(tmp_path: Path) -> None:
    """The base is right; writing there what it says already would change nothing."""
    write(tmp_path, {**base(OFF), "prod/kustomization.yaml": operation(REPLACE % "false")})
    assert fixed(tmp_path) == {}
    (one,) = checked(tmp_path).findings
    assert one.fix is not None
    assert one.fix.applicability == "manual"


def test_what_is_patched_keeps_the_fixes_of_its_other_fields(tmp_path: Path) -> None:
    files = base(LONG) | {
        "prod/kustomization.yaml": PATCHED,
        "prod/patch.yaml": patch("spec: {hostnames: [a.b]}", "HTTPRoute", "llm"),
    }
    write(tmp_path, files)
    after = fixed(tmp_path)
    assert list(after) == ["policy.yaml"]
    assert "disable: true" in after["policy.yaml"]
    write(tmp_path / "base", after)
    assert checked(tmp_path).findings == []


def test_only_so_many_objects_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than that are checked as they are written."""
    files = base(OFF) | {"prod/kustomization.yaml": PATCHED, "prod/patch.yaml": TURNS_ON}
    write(tmp_path, files)
    monkeypatch.setattr(kustomized, "_MAX_COPIES", 2)
    assert checked(tmp_path).findings == []
    monkeypatch.setattr(kustomized, "_MAX_COPIES", 3)
    assert said(checked(tmp_path)) == {STALLS}


def test_explain_names_the_rule_of_the_overlay(tmp_path: Path) -> None:
    files = base(OFF) | {
        "prod/kustomization.yaml": PATCHED,
        "prod/patch.yaml": ROUTE.replace("llm.example.com", "prod.example.com"),
    }
    write(tmp_path, files)
    done = run("explain", str(tmp_path), "http://prod.example.com/v1/chat/completions")
    assert "prod/patch.yaml:11" in done.stdout
    assert "proxy_buffering       off" in done.stdout


def test_many_overlays_of_one_base_do_not_use_up_the_limit(tmp_path: Path) -> None:
    files = base(ON)
    for number in range(20):
        files[f"o{number}/kustomization.yaml"] = PATCHED
        files[f"o{number}/patch.yaml"] = patch(
            f"spec: {{hostnames: [o{number}.example.com]}}", "HTTPRoute", "llm"
        )
    write(tmp_path, files)
    # One alone takes about 4,000 characters.
    workspace = Workspace.on_disk(str(tmp_path), limits=Limits(made=20_000))
    report = lint(workspace, options=Options(rules=RULES))
    assert report.problems == []
    assert STALLS in said(report)
