"""The published schemas of our own JSON: closed, described, and true of what the commands print.

Other tests hold more documents to them: `check_document` in tests/test_explain.py, tests/probe,
tests/trace and tests/test_unexpected.py, and `check_all` in test_schemas.py beside this file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import jsonschema
import msgspec
import pytest
from tests.command import run_here
from tests.report.schemas import EXAMPLES, PUBLISHED, check_document

from nginx_stream_lint import Workspace, explain
from nginx_stream_lint.analysis.explain import NoServer
from nginx_stream_lint.nginx import delivery, levels, listeners
from nginx_stream_lint.probe.measure import CUT, NO_STREAM, REPLAYS, STALLS, STREAMS, UNCLEAR
from nginx_stream_lint.report import explain_json as explain_report
from nginx_stream_lint.report import json as lint_report
from nginx_stream_lint.report import probe as probe_report
from nginx_stream_lint.report import trace as trace_report
from nginx_stream_lint.rules import finding
from nginx_stream_lint.streams import stream
from nginx_stream_lint.suppress import baseline
from nginx_stream_lint.trace.verdict import CAUSES

ROOT = PUBLISHED.parent
OURS = ("lint", "explain", "probe", "trace", "baseline")
SCHEMAS: dict[str, Any] = {
    name: json.loads((PUBLISHED / f"{name}.schema.json").read_text(encoding="utf-8"))
    for name in OURS
}


def parts(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """All schemas within a schema, with where they stand."""
    if isinstance(schema, list):
        for number, one in enumerate(schema):
            yield from parts(one, f"{path}/{number}")
    elif isinstance(schema, dict):
        yield path, schema
        for key in ("items", "additionalProperties", "anyOf", "propertyNames"):
            yield from parts(schema.get(key), f"{path}/{key}")
        for key in ("properties", "definitions"):
            for name, one in schema.get(key, {}).items():
                yield from parts(one, f"{path}/{key}/{name}")


def test_every_schema_has_a_name_here() -> None:
    names = {path.name.removesuffix(".schema.json") for path in PUBLISHED.iterdir()}
    assert names == {*OURS, "rule", "settings"}


@pytest.mark.parametrize("name", OURS)
def test_schemas_are_closed_and_describe_every_key(name: str) -> None:
    """A key that no schema names fails, and so does one that is left out."""
    schema = SCHEMAS[name]
    jsonschema.Draft7Validator.check_schema(schema)
    objects = 0
    for path, part in parts(schema):
        if "properties" in part:
            objects += 1
            assert part["additionalProperties"] is False, path
            assert set(part["required"]) == set(part["properties"]), path
            for key, one in part["properties"].items():
                assert one["description"], f"{path}/{key}"
        elif "object" in part.get("type", ()):
            assert isinstance(part["additionalProperties"], dict), path
    assert objects
    assert schema["title"]
    assert schema["description"]


def _version(name: str) -> int:
    schema = SCHEMAS[name]
    properties = (
        schema["definitions"]["explanation"]["properties"]
        if schema["type"] == "array"
        else schema["properties"]
    )
    version: int = properties["schema_version"]["const"]
    return version


def test_versions_are_those_of_the_code() -> None:
    assert {name: _version(name) for name in OURS} == {
        "lint": lint_report.SCHEMA_VERSION,
        "explain": explain_report.SCHEMA_VERSION,
        "probe": probe_report.SCHEMA_VERSION,
        "trace": trace_report.SCHEMA_VERSION,
        "baseline": baseline.SCHEMA_VERSION,
    }


def _keys(schema: Any, root: Any) -> dict[str, Any]:
    """The keys of an object within the keys of what it is in, whatever their values are."""
    if "$ref" in schema:
        _, group, name = schema["$ref"].split("/")
        return _keys(root[group][name], root)
    found = {name: _keys(one, root) for name, one in schema.get("properties", {}).items()}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            found[key] = _keys(schema[key], root)
    for one in schema.get("anyOf", ()):
        found |= _keys(one, root)
    return found


RECORDS = {
    "lint": lint_report.LintDocument,
    "probe": probe_report.ProbeDocument,
    "trace": trace_report.TraceDocument,
    "baseline": baseline.BaselineDocument,
}


@pytest.mark.parametrize("name", RECORDS)
def test_records_have_the_keys_of_their_schema(name: str) -> None:
    record = msgspec.json.schema(RECORDS[name])
    assert _keys(record, record) == _keys(SCHEMAS[name], SCHEMAS[name])


@pytest.mark.parametrize(
    ("definition", "kind"),
    [
        ("explanation", explain_report.ExplainDocument),
        ("unexplained", explain_report.ExplainError),
    ],
)
def test_explanations_have_the_keys_of_their_schema(definition: str, kind: type) -> None:
    record, schema = msgspec.json.schema(kind), SCHEMAS["explain"]
    assert _keys(record, record) == _keys(schema["definitions"][definition], schema)


VERDICTS = {STREAMS, STALLS, REPLAYS, CUT, NO_STREAM, UNCLEAR}
SCENARIO = {
    "client": listeners.CLIENTS,
    "framing": delivery.FRAMINGS,
    "x_accel_buffering": get_args(delivery.AccelBuffering),
    "accept_encoding": get_args(delivery.AcceptEncoding),
}
WORDS: dict[tuple[str, str], dict[str, Any]] = {
    ("lint", "finding"): {"severity": finding.SEVERITIES},
    ("lint", "stream"): {"kind": stream.KINDS, "confidence": stream.CONFIDENCES},
    ("lint", "fix"): {"applicability": get_args(finding.Applicability)},
    ("lint", "unchecked"): {"verdict": get_args(get_type_hints(finding.Unchecked)["verdict"])},
    ("explain", "delivery"): SCENARIO
    | {
        "verdict": get_args(delivery.Verdict),
        "repeat": get_args(delivery.Repeat),
        "held_by": (*get_args(delivery.Hold), None),
    },
    ("probe", "result"): SCENARIO | {"client": listeners.TCP_CLIENTS, "verdict": VERDICTS},
    ("trace", "client"): {"verdict": VERDICTS, "cause": (*CAUSES, None)},
    ("trace", "finding"): {"severity": finding.SEVERITIES},
}


@pytest.mark.parametrize(("name", "definition"), sorted(WORDS))
def test_words_are_those_of_the_code(name: str, definition: str) -> None:
    """A new word in the code is a new word in the schema."""
    properties = SCHEMAS[name]["definitions"][definition]["properties"]
    for key, words in WORDS[name, definition].items():
        assert set(properties[key]["enum"]) == set(words), key


def test_origins_are_those_of_the_code() -> None:
    origin = SCHEMAS["explain"]["definitions"]["setting"]["properties"]["origin"]
    assert set(origin["properties"]["kind"]["enum"]) == set(get_args(levels.OriginKind))


PATHS = ("/", "/v1/chat/completions", "/events", "/a%2Fb/../c?x=1", "/nothing/there")
ROUTES = """\
events {}
http {
    gzip on; gzip_types text/event-stream;
    server { listen 80; server_name "" *.example.com; return 301 https://$host$request_uri; }
    server {
        listen 443 ssl; server_name api.example.com; ssl_certificate c; ssl_certificate_key k;
        location / { try_files $uri @app; root /srv; }
        location @app { fastcgi_pass 127.0.0.1:9000; fastcgi_read_timeout $arg_t; }
        location /events { if ($http_x) { proxy_pass http://a; } return 204; }
        location /v1/ { grpc_pass grpc://b; error_page 502 = @app; }
        location /nothing { rewrite ^/nothing(/.*)$ $1 last; }
        location /a { proxy_pass http://$arg_up; sub_filter a b; proxy_cache one; }
    }
}
"""


def _explained(workspace: Workspace, name: str, urls: tuple[str, ...]) -> int:
    """How many explanations there are, all of them valid; 0 where no server speaks HTTP."""
    try:
        found = [one for one in explain(workspace, name, urls) if one.route.server is not None]
    except NoServer:
        return 0
    check_document("explain", json.loads(explain_report.explain_json(found)))
    return len(found)


def test_explanations_of_all_examples_are_valid() -> None:
    count = 0
    for name, text, _ in EXAMPLES:
        if "-fixed." not in name:  # much like the bad ones
            count += _explained(Workspace.in_memory({name: text}), name, PATHS)
    assert count > 300


def test_explanations_of_all_kinds_of_routes_are_valid() -> None:
    workspace = Workspace.in_memory({"nginx.conf": ROUTES})
    urls = tuple(f"{start}{path}" for start in ("", "https://api.example.com") for path in PATHS)
    assert _explained(workspace, "nginx.conf", urls) == 10


def test_commands_print_what_the_schemas_say(tmp_path: Path) -> None:
    """Each command once, on the project's own files."""
    known = tmp_path / "known.json"
    fixtures = ROOT / "fixtures"
    assert run_here(fixtures, "--write-baseline", known).returncode == 0
    written = json.loads(known.read_text(encoding="utf-8"))
    assert written["findings"]
    check_document("baseline", written)

    broken, static = tmp_path / "broken.conf", tmp_path / "static.conf"
    broken.write_text("server { location / { proxy_pass }", encoding="utf-8")
    static.write_text("server { location /events { return 404; } }", encoding="utf-8")
    asked = run_here(fixtures, broken, "--all-streams", "--format", "json")
    assert asked.returncode == 2
    report = json.loads(asked.stdout)
    assert report["findings"]
    assert report["errors"]
    check_document("lint", report)

    declared = json.loads(run_here(static, "--stream", "/events", "--format", "json").stdout)
    assert [(one["file"], one["location"]) for one in declared["findings"]] == [(None, None)]
    check_document("lint", declared)

    ingress = fixtures / "kubernetes" / "ingress.yaml"
    told = run_here("explain", ingress, "/", "/v1/chat/completions", "--format", "json")
    assert told.returncode == 0
    check_document("explain", json.loads(told.stdout))


def test_a_baseline_of_an_older_version_is_read(tmp_path: Path) -> None:
    known = tmp_path / "known.json"
    fixtures = ROOT / "fixtures" / "demo"
    run_here(fixtures, "--write-baseline", known)
    document = json.loads(known.read_text(encoding="utf-8"))
    document["version"] = document.pop("schema_version")
    known.write_text(json.dumps(document), encoding="utf-8")
    assert run_here(fixtures, "--baseline", known).returncode == 0


def test_a_key_that_is_not_published_is_refused() -> None:
    document = {"schema_version": 1, "tool": "nginx-stream-lint", "findings": []}
    check_document("baseline", document)
    with pytest.raises(jsonschema.ValidationError, match="more"):
        check_document("baseline", document | {"more": 1})
