"""Resources of ingress controllers are checked as `kubectl kustomize` renders them."""

from __future__ import annotations

from pathlib import Path

import pytest

from nginx_stream_lint.analysis.lint import Options, Result, lint
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.kubernetes import kustomized
from nginx_stream_lint.util.budget import Limits
from tests.command import run
from tests.kubernetes.gateways import RULES, checked, fixed, write

NGINX = "nginx.ingress.kubernetes.io"
ON, OFF = (f'{NGINX}/proxy-buffering: "{value}"' for value in ("on", "off"))
LONG, SHORT = (f'{NGINX}/proxy-read-timeout: "{value}"' for value in ("3600", "30"))
ESCAPED = f"{NGINX}~1proxy-read-timeout"
HEAD = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: {}\n"
SPEC = """\
spec:
  ingressClassName: nginx
  rules:
    - host: llm.example.com
      http:
        paths:
          - path: /v1/chat/completions
            pathType: Exact
            backend: {service: {name: llm, port: {number: 80}}}
"""
PATHS = """\
          - path: /sse
            pathType: Prefix
            backend: {service: {name: sse, port: {number: 80}}}
"""
CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: ingress-nginx-controller
data:
  proxy-read-timeout: "30"
---
"""
VIRTUAL_SERVER = """\
apiVersion: k8s.nginx.org/v1
kind: VirtualServer
metadata:
  name: llm
spec:
  host: llm.example.com
  upstreams:
    - name: llm
      service: llm
      port: 80
      buffering: false
  routes:
    - path: /v1/chat/completions
      action:
        pass: llm
"""
OVERLAY = "resources: [../base]\n"
PATCHED = f"{OVERLAY}patches:\n  - path: patch.yaml\n"
PATH = "base/app.yaml:13"  # of an Ingress with one annotation
STALLS = ("error", "response-buffering")
CUT = ("error", "short-read-timeout")


def annotated(*lines: str, name: str = "llm") -> str:
    """The start of an Ingress, which alone is a patch, with annotations."""
    more = "".join(f"    {line}\n" for line in lines)
    return HEAD.format(name) + (f"  annotations:\n{more}" if lines else "")


def ingress(*lines: str, name: str = "llm") -> str:
    return annotated(*lines, name=name) + SPEC


def patch_of(kind: str, name: str, body: str) -> str:
    """A strategic merge patch of another object."""
    version = "v1" if kind == "ConfigMap" else "k8s.nginx.org/v1"
    return f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: {name}}}\n{body}"


def operations(*texts: str, target: str = "{kind: Ingress, name: llm}") -> str:
    """An overlay with a JSON patch, in its kustomization."""
    lines = "".join(f"      - {text}\n" for text in texts)
    return f"{OVERLAY}patches:\n  - target: {target}\n    patch: |-\n{lines}"


def inline(section: str, text: str) -> str:
    """An overlay with a strategic merge patch in its kustomization."""
    lines = "".join(f"      {line}\n" for line in text.splitlines())
    if section == "patches":
        return f"{OVERLAY}patches:\n  - patch: |\n{lines}"
    return f"{OVERLAY}{section}:\n  - |-\n{lines}"


def overlaid(base: str, patch: str, kustomization: str = PATCHED) -> dict[str, str]:
    """A base with one file, and an overlay of it."""
    files = {
        "base/app.yaml": base,
        "base/kustomization.yaml": "resources: [app.yaml]\n",
        "prod/kustomization.yaml": kustomization,
    }
    return files | ({"prod/patch.yaml": patch} if patch else {})


def inlined(base: str, kustomization: str) -> dict[str, str]:
    """A base, and an overlay that needs no other file."""
    return overlaid(base, "", kustomization)


def target(text: str) -> str:
    return f"{PATCHED}    target: {text}\n"


def found(report: Result, folder: Path) -> dict[tuple[str, str], str]:
    """The findings by severity and rule, each with its file and line."""
    return {
        (one.severity, one.rule): f"{Path(one.place.source.name).relative_to(folder).as_posix()}"
        f":{one.place.line}"
        for one in report.findings
    }


MERGES = [
    pytest.param(overlaid(ingress(OFF), annotated(LONG)), {}, id="adds"),
    pytest.param(
        overlaid(ingress(OFF), annotated(SHORT)), {CUT: "prod/patch.yaml:6"}, id="adds wrongly"
    ),
    pytest.param(
        overlaid(ingress(OFF, LONG), annotated(ON)), {STALLS: "prod/patch.yaml:6"}, id="turns on"
    ),
    pytest.param(overlaid(ingress(ON, LONG), annotated(OFF)), {}, id="turns off"),
    pytest.param(overlaid(ingress(), annotated(OFF, LONG)), {}, id="has all annotations"),
    pytest.param(
        overlaid(ingress(OFF, LONG), annotated(LONG.replace('"3600"', "null"))),
        {CUT: "base/app.yaml:14"},
        id="null",
    ),
    pytest.param(
        overlaid(ingress(), annotated(OFF, SHORT.replace('"30"', "null"))),
        {CUT: "base/app.yaml:11"},
        id="null without a value",
    ),
    # Several locations include the same line.
    pytest.param(
        overlaid(ingress(OFF) + PATHS, annotated(SHORT)),
        {CUT: "prod/patch.yaml:6"},
        id="several paths",
    ),
    pytest.param(
        overlaid(
            ingress(OFF, LONG),
            annotated(f"{NGINX}/mirror-target: https://m.example.com$request_uri"),
        ),
        {("note", "repeated-generation"): "prod/patch.yaml:6"},
        id="several directives of one annotation",
    ),
    pytest.param(overlaid(ingress(), f"{annotated()}$patch: delete\n"), {}, id="delete"),
    pytest.param(
        overlaid(ingress(OFF), annotated() + SPEC.replace("chat/completions", "messages")),
        {CUT: "prod/patch.yaml:11"},
        id="rules",
    ),
    pytest.param(
        overlaid(ingress(), f"{annotated()}spec: {{ingressClassName: traefik}}\n"),
        {},
        id="other class",
    ),
    pytest.param(
        overlaid(
            ingress(OFF).replace("nginx\n  rules", "traefik\n  rules"),
            f"{annotated()}spec: {{ingressClassName: nginx}}\n",
        ),
        {CUT: PATH},
        id="class of nginx",
    ),
    pytest.param(
        overlaid(ingress(OFF), annotated(LONG), f"{OVERLAY}patchesStrategicMerge: [patch.yaml]\n"),
        {},
        id="old section",
    ),
    pytest.param(
        inlined(ingress(OFF), inline("patchesStrategicMerge", annotated(SHORT))),
        {CUT: "prod/kustomization.yaml:9"},
        id="inline in the old section",
    ),
    pytest.param(
        inlined(ingress(OFF), inline("patches", annotated(SHORT))),
        {CUT: "prod/kustomization.yaml:9"},
        id="inline",
    ),
    pytest.param(
        overlaid(ingress(OFF), annotated(LONG), f"namePrefix: a-\nnameSuffix: -b\n{PATCHED}"),
        {},
        id="other names",
    ),
    pytest.param(
        {
            **overlaid(ingress(OFF), annotated(LONG, name="a-llm")),
            "base/kustomization.yaml": "namePrefix: a-\nresources: [app.yaml]\n",
        },
        {},
        id="name of the base",
    ),
    pytest.param(
        overlaid(ingress(OFF), annotated(LONG, name="other")), {CUT: PATH}, id="name of another"
    ),
    pytest.param(
        inlined(ingress(OFF), f"{OVERLAY}commonAnnotations:\n  {LONG}\n"), {}, id="common"
    ),
]
OPERATIONS = [
    pytest.param(
        inlined(
            ingress(OFF),
            operations(f'{{op: add, path: /metadata/annotations/{ESCAPED}, value: "3600"}}'),
        ),
        {},
        id="add",
    ),
    # kustomize has annotations of its own, so the object need not have any.
    pytest.param(
        inlined(
            ingress(),
            operations(f'{{op: add, path: /metadata/annotations/{ESCAPED}, value: "3600"}}'),
        ),
        {},
        id="add to no annotations",
    ),
    pytest.param(
        inlined(
            ingress(OFF),
            operations(f'{{op: add, path: /metadata/annotations/{ESCAPED}, value: "30"}}'),
        ),
        {CUT: "prod/kustomization.yaml:5"},
        id="add wrongly",
    ),
    pytest.param(
        inlined(
            ingress(OFF, LONG),
            operations(f'{{op: replace, path: /metadata/annotations/{ESCAPED}, value: "30"}}'),
        ),
        {CUT: "prod/kustomization.yaml:5"},
        id="replace",
    ),
    pytest.param(
        inlined(
            ingress(OFF, LONG),
            operations(f"{{op: remove, path: /metadata/annotations/{ESCAPED}}}"),
        ),
        {CUT: "base/app.yaml:14"},
        id="remove",
    ),
    pytest.param(
        inlined(
            ingress(OFF, LONG),
            operations(f"{{op: add, path: /metadata/annotations, value: {{{SHORT}}}}}"),
        ),
        {CUT: "prod/kustomization.yaml:5"},
        id="all annotations",
    ),
    pytest.param(
        inlined(
            ingress(OFF),
            operations(
                "{op: replace, path: /spec/rules, value: [{host: a.b, http: {paths: [{path:"
                " /v1/messages, pathType: Exact, backend: {service: {name: b, port: {number: 81}}}"
                "}]}}]}"
            ),
        ),
        {CUT: "prod/kustomization.yaml:5"},
        id="rules",
    ),
    # The rules are those of one patch, and another adds a path to them.
    pytest.param(
        overlaid(
            ingress(OFF),
            annotated() + SPEC.replace("chat/completions", "messages"),
            f"{PATCHED}  - target: {{kind: Ingress}}\n    patch: |-\n      - {{op: add, path:"
            " /spec/rules/0/http/paths/-, value: {path: /a, pathType: Exact, backend: {service:"
            " {name: b, port: {number: 81}}}}}\n",
        ),
        {CUT: "prod/patch.yaml:11", ("warning", "short-read-timeout"): "prod/patch.yaml:11"},
        id="path in the rules of a patch",
    ),
    pytest.param(
        overlaid(
            ingress(OFF),
            f'[{{"op": "add", "path": "/metadata/annotations/{ESCAPED}", "value": "30"}}]\n',
            target("{group: networking.k8s.io, version: v1, kind: Ingress, name: llm}"),
        ),
        {CUT: "prod/patch.yaml:1"},
        id="JSON file",
    ),
    pytest.param(
        overlaid(
            ingress(OFF),
            f'- {{op: add, path: /metadata/annotations/{ESCAPED}, value: "30"}}\n',
            f"{OVERLAY}patchesJson6902:\n  - path: patch.yaml\n    target: {{kind: Ingress}}\n",
        ),
        {CUT: "prod/patch.yaml:1"},
        id="old section",
    ),
    # The places of a patch with escapes are unknown, so the finding is at the path.
    pytest.param(
        inlined(
            ingress(OFF),
            f'{OVERLAY}patches:\n  - target: {{kind: Ingress}}\n    patch: "- op: add\\n  path:'
            f" /metadata/annotations/{ESCAPED}\\n  value: '30'\"\n",
        ),
        {CUT: PATH},
        id="escapes",
    ),
]
LABELLED = ingress(OFF).replace("  name: llm\n", "  name: llm\n  labels: {tier: web}\n")
TARGETS = [
    ("{kind: Ingress, name: l.*}", True),
    ("{kind: Ingress, name: a|llm}", True),
    ("{kind: Ingress, name: lm}", False),
    ("{kind: Ingress, name: '(((l+)+)+)+m'}", False),
    ("{kind: ConfigMap}", False),
    ("{group: apps, kind: Ingress}", False),
    ("{version: v1beta1}", False),
    ("{namespace: other}", False),
    ("{labelSelector: tier=web}", True),
    ("{labelSelector: 'tier=web,tier!=db,!other'}", True),
    ("{labelSelector: tier!=web}", False),
    ("{labelSelector: other}", False),
    ("{annotationSelector: nginx.ingress.kubernetes.io/proxy-buffering=off}", True),
]
UPSTREAM = "/spec/upstreams/0/read-timeout"
OTHERS = [
    pytest.param(
        inlined(
            VIRTUAL_SERVER,
            operations(f"{{op: add, path: {UPSTREAM}, value: 1h}}", target="{kind: VirtualServer}"),
        ),
        {},
        id="VirtualServer",
    ),
    pytest.param(
        inlined(
            VIRTUAL_SERVER,
            operations(f"{{op: add, path: {UPSTREAM}, value: 30s}}", target="{name: llm}"),
        ),
        {CUT: "prod/kustomization.yaml:5"},
        id="VirtualServer: wrong",
    ),
    pytest.param(
        overlaid(VIRTUAL_SERVER, patch_of("VirtualServer", "llm", "spec: {host: a.b}\n")),
        {CUT: "base/app.yaml:13"},
        id="VirtualServer: host",
    ),
    pytest.param(
        overlaid(
            CONFIG_MAP + ingress(OFF),
            patch_of(
                "ConfigMap", "ingress-nginx-controller", 'data: {proxy-read-timeout: "3600"}\n'
            ),
        ),
        {},
        id="ConfigMap",
    ),
    pytest.param(
        overlaid(
            CONFIG_MAP + ingress(OFF),
            patch_of("ConfigMap", "ingress-nginx-controller", 'data: {proxy-read-timeout: "20"}\n'),
        ),
        {CUT: "prod/patch.yaml:4"},
        id="ConfigMap: wrong",
    ),
    pytest.param(
        inlined(
            CONFIG_MAP + ingress(OFF),
            f"{OVERLAY}configMapGenerator:\n  - name: ingress-nginx-controller\n"
            "    behavior: merge\n    literals: [proxy-read-timeout=20]\n",
        ),
        {CUT: "prod/kustomization.yaml:5"},
        id="ConfigMap: generator",
    ),
]


@pytest.mark.parametrize(("files", "expected"), [*MERGES, *OPERATIONS, *OTHERS])
def test_patches_are_applied(
    files: dict[str, str], expected: dict[tuple[str, str], str], tmp_path: Path
) -> None:
    """A finding is where the value is that has to change, in the patch or in the base."""
    write(tmp_path, files)
    assert found(checked(tmp_path), tmp_path) == expected


@pytest.mark.parametrize(("selector", "is_selected"), TARGETS)
def test_targets(selector: str, is_selected: bool, tmp_path: Path) -> None:
    """A patch changes what its target selects, not what has its name."""
    write(tmp_path, overlaid(LABELLED, annotated(LONG, name="any"), target(selector)))
    assert (CUT not in found(checked(tmp_path), tmp_path)) is is_selected


def test_each_overlay_counts(tmp_path: Path) -> None:
    """The base alone is no deployment; it is one for an overlay without patches."""
    files = overlaid(ingress(OFF), annotated(LONG))
    write(tmp_path, files)
    assert checked(tmp_path).findings == []
    write(tmp_path, {"dev/kustomization.yaml": PATCHED, "dev/patch.yaml": annotated(SHORT)})
    assert found(checked(tmp_path), tmp_path) == {CUT: "dev/patch.yaml:6"}
    write(tmp_path, {"dev/kustomization.yaml": OVERLAY})
    assert found(checked(tmp_path), tmp_path) == {CUT: PATH}


def test_a_component_and_a_chain_of_overlays(tmp_path: Path) -> None:
    write(tmp_path, overlaid(ingress(), annotated(OFF)))
    write(
        tmp_path,
        {
            "part/kustomization.yaml": "kind: Component\npatches: [{path: patch.yaml}]\n",
            "part/patch.yaml": annotated(SHORT),
            "live/kustomization.yaml": "resources: [../prod]\ncomponents: [../part]\n",
        },
    )
    assert found(checked(tmp_path), tmp_path) == {CUT: "part/patch.yaml:6"}


def test_ingresses_of_a_host_are_merged_within_an_overlay(tmp_path: Path) -> None:
    """The one without a patch stays in the same server."""
    other = ingress(OFF, LONG, name="b").replace("chat/completions", "messages")
    files = overlaid(ingress(OFF), annotated(SHORT)) | {
        "base/b.yaml": other,
        "base/kustomization.yaml": "resources: [app.yaml, b.yaml]\n",
    }
    write(tmp_path, files)
    report = checked(tmp_path)
    assert found(report, tmp_path) == {CUT: "prod/patch.yaml:6"}
    assert len({id(one.server) for one in report.proxied if one.streams}) == 1


@pytest.mark.parametrize("name", ["prod", "prod/patch.yaml", "base", "base/app.yaml"])
def test_a_part_of_the_files_may_be_named(name: str, tmp_path: Path) -> None:
    """The others are found in the repository."""
    write(tmp_path, overlaid(ingress(OFF), annotated(SHORT)))
    assert found(checked(tmp_path / name), tmp_path) == {CUT: "prod/patch.yaml:6"}


def test_findings_are_about_named_files(tmp_path: Path) -> None:
    """The base stalls, but the user asked about the patch."""
    write(tmp_path, overlaid(ingress(ON), annotated(SHORT)))
    assert found(checked(tmp_path / "prod"), tmp_path) == {CUT: "prod/patch.yaml:6"}
    assert set(found(checked(tmp_path), tmp_path)) == {CUT, STALLS}


def test_a_snippet_of_a_patch_is_read_there(tmp_path: Path) -> None:
    snippet = f"{NGINX}/configuration-snippet: |\n      proxy_buffering;\n"
    write(tmp_path, overlaid(ingress(OFF, LONG), annotated(snippet)))
    report = lint(Workspace.on_disk(str(tmp_path)), options=Options(rules=RULES))
    (problem,) = report.problems
    assert problem.file == str(tmp_path / "prod/patch.yaml")
    assert problem.line == 7


FIXES = [
    pytest.param(
        overlaid(ingress(OFF), annotated(SHORT)),
        {"patch.yaml": annotated(SHORT.replace("30", "300"))},
        id="patch",
    ),
    pytest.param(
        inlined(ingress(OFF), inline("patches", annotated(SHORT))),
        {"kustomization.yaml": inline("patches", annotated(SHORT.replace("30", "300")))},
        id="inline",
    ),
    pytest.param(
        inlined(
            ingress(OFF),
            operations(f"{{op: add, path: /metadata/annotations/{ESCAPED}, value: '30'}}"),
        ),
        {
            "kustomization.yaml": operations(
                f"{{op: add, path: /metadata/annotations/{ESCAPED}, value: '300'}}"
            )
        },
        id="JSON patch",
    ),
    pytest.param(
        overlaid(ingress(OFF), annotated(f'{NGINX}/proxy-body-size: "8m"')),
        {"app.yaml": ingress(OFF, LONG.replace("3600", "300"))},
        id="base",
    ),
    pytest.param(
        overlaid(ingress(), annotated(OFF)),
        {"patch.yaml": annotated(OFF, LONG.replace("3600", "300"))},
        id="all annotations in the patch",
    ),
    pytest.param(
        overlaid(ingress(ON), annotated(SHORT)),
        {
            "app.yaml": ingress(OFF),
            "patch.yaml": annotated(SHORT.replace("30", "300")),
        },
        id="both",
    ),
    pytest.param(
        inlined(
            VIRTUAL_SERVER,
            operations(f"{{op: add, path: {UPSTREAM}, value: 30s}}", target="{name: llm}"),
        ),
        {
            "kustomization.yaml": operations(
                f"{{op: add, path: {UPSTREAM}, value: 300s}}", target="{name: llm}"
            )
        },
        id="VirtualServer",
    ),
]


@pytest.mark.parametrize(("files", "expected"), FIXES)
def test_fixes_are_written_where_they_count(
    files: dict[str, str], expected: dict[str, str], tmp_path: Path
) -> None:
    write(tmp_path, files)
    assert fixed(tmp_path, unsafe=True) == expected
    for path in (tmp_path / "base", tmp_path / "prod"):
        for name in set(expected) & {one.name for one in path.iterdir()} - {"kustomization.yaml"}:
            (path / name).write_text(expected[name])
    if "kustomization.yaml" in expected:
        (tmp_path / "prod/kustomization.yaml").write_text(expected["kustomization.yaml"])
    assert checked(tmp_path).findings == []


@pytest.mark.parametrize(
    "files",
    [
        # The base would set them, and the patch remove them again.
        overlaid(ingress(OFF, LONG), annotated(LONG.replace('"3600"', "null"))),
        overlaid(ingress(OFF), annotated(LONG.replace('"3600"', "null"))),
        overlaid(ingress(OFF, LONG), f"{HEAD.format('llm')}  annotations: null\n"),
        # The patch has an anchor for several objects.
        overlaid(
            ingress(OFF),
            f"x: &x\n  {SHORT}\n{annotated(f'{NGINX}/proxy-body-size: 8m', '<<: *x')}",
        ),
        # In escapes the linter does not write.
        inlined(
            ingress(OFF),
            f'{OVERLAY}patches:\n  - target: {{kind: Ingress}}\n    patch: "- op: add\\n  path:'
            f" /metadata/annotations/{ESCAPED}\\n  value: '30'\"\n",
        ),
    ],
    ids=["null", "null without a value", "all null", "anchor", "escapes"],
)
def test_what_cannot_be_written_is_manual(files: dict[str, str], tmp_path: Path) -> None:
    write(tmp_path, files)
    assert CUT in found(checked(tmp_path), tmp_path)
    assert fixed(tmp_path, unsafe=True) == {}


def test_only_so_many_objects_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than that are checked as they are written."""
    write(tmp_path, overlaid(ingress(OFF), annotated(LONG)))
    monkeypatch.setattr(kustomized, "_MAX_COPIES", 0)
    assert found(checked(tmp_path), tmp_path) == {CUT: PATH}
    monkeypatch.setattr(kustomized, "_MAX_COPIES", 1)
    assert checked(tmp_path).findings == []


def test_many_overlays_of_one_base_do_not_use_up_the_limit(tmp_path: Path) -> None:
    files = overlaid(ingress(ON, LONG), annotated(LONG))
    for number in range(20):
        files[f"o{number}/kustomization.yaml"] = PATCHED
        files[f"o{number}/patch.yaml"] = annotated(LONG)
    write(tmp_path, files)
    # Each takes about 5,000 characters, and each patch as much before it is known to be one.
    workspace = Workspace.on_disk(str(tmp_path), limits=Limits(made=150_000))
    report = lint(workspace, options=Options(rules=RULES))
    assert report.problems == []
    assert found(report, tmp_path) == {STALLS: "base/app.yaml:6"}


def test_explain_names_the_line_of_the_patch(tmp_path: Path) -> None:
    write(tmp_path, overlaid(ingress(OFF), annotated(SHORT)))
    done = run("explain", str(tmp_path), "http://llm.example.com/v1/chat/completions")
    assert "prod/patch.yaml:6" in done.stdout
    assert "base/app.yaml:13" in done.stdout
