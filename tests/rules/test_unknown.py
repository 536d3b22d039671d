"""What nobody can see is unknown: no error rests on it, and the warning says what it hangs on."""

from __future__ import annotations

from pathlib import Path

import pytest

from nginx_stream_lint.analysis.lint import Options, lint
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.rules.finding import Finding
from nginx_stream_lint.rules.shipped import builtin_folder, load_rules

RULES = load_rules(builtin_folder())
PASS = "proxy_pass http://app:8000;"


def findings(tmp_path: Path, text: str, name: str, *rules: str) -> list[Finding]:
    path = tmp_path / name
    path.write_text(text)
    chosen = tuple(rule for rule in RULES if rule.name in rules)
    return lint(Workspace.on_disk(str(path)), options=Options(rules=chosen)).findings


def buffering(tmp_path: Path, text: str, name: str = "nginx.conf") -> list[Finding]:
    return findings(tmp_path, text, name, "response-buffering")


def site(inside: str, server: str = "", http: str = "") -> str:
    return (
        f"events {{}}\nhttp {{\n{http}\nserver {{\n{server}\n"
        f"location /v1/chat/completions {{\n{inside}\n}}\n}}\n}}\n"
    )


MINE = "include /etc/nginx/mine.conf;"


@pytest.mark.parametrize(
    "text", [site(PASS + MINE), site(PASS, MINE), site(PASS, "", MINE), site(MINE + PASS)]
)
def test_an_absent_include_may_set_it(text: str, tmp_path: Path) -> None:
    [finding] = buffering(tmp_path, text)
    assert finding.severity == "warning"
    assert "because the contents of /etc/nginx/mine.conf" in finding.message


@pytest.mark.parametrize(
    "text",
    [
        site(PASS + "include mime.types;"),
        site(PASS + "include fastcgi_params;", http="include mime.types;"),
        # nginx refuses to have it set twice in one place.
        site(PASS + "proxy_buffering on;" + MINE),
        site(PASS + "proxy_buffering on;", MINE),
    ],
)
def test_an_absent_include_cannot_set_it(text: str, tmp_path: Path) -> None:
    [finding] = buffering(tmp_path, text)
    assert finding.severity == "error"


def test_what_is_set_stays_set_whatever_is_absent(tmp_path: Path) -> None:
    assert buffering(tmp_path, site(PASS + "proxy_buffering off;", MINE, MINE)) == []


def test_rows_may_come_beside_others(tmp_path: Path) -> None:
    rows = 'proxy_set_header Upgrade $http_upgrade; proxy_http_version 1.1; proxy_set_header A "b";'
    text = site(PASS + rows + "include proxy_params;").replace("/v1/chat/completions", "/ws")
    [finding] = findings(tmp_path, text, "nginx.conf", "websocket-upgrade")
    assert finding.severity == "warning"
    text = text.replace("include proxy_params;", "include mime.types;")
    [finding] = findings(tmp_path, text, "nginx.conf", "websocket-upgrade")
    assert finding.severity == "error"


@pytest.mark.parametrize(
    "inside",
    [
        "proxy_buffering ${BUFFERING};",
        "proxy_http_version ${HTTP};",
        "proxy_buffering {{ buffering }};",
        "{% if stream %}proxy_buffering off;{% endif %}",
        "{% if stream %}\nproxy_buffering off;\n{% else %}\nproxy_http_version 1.1;\n{% endif %}",
    ],
)
def test_a_placeholder_is_taken_for_right(inside: str, tmp_path: Path) -> None:
    text = site(PASS + inside)
    assert [one for one in buffering(tmp_path, text, "a.template") if one.severity == "error"] == []


def test_a_whole_statement_may_be_anything(tmp_path: Path) -> None:
    text = site(PASS + "\n${EXTRA}\n")
    [finding] = buffering(tmp_path, text, "nginx.conf.template")
    assert finding.severity == "warning"
    assert "because the template may change the settings at" in finding.message


def test_a_condition_says_so(tmp_path: Path) -> None:
    text = site(PASS + "\n{% if slow %}\nproxy_buffering on;\n{% endif %}\n")
    [finding] = buffering(tmp_path, text, "nginx.conf.j2")
    assert finding.severity == "warning"
    assert "because the template decides the value of proxy_buffering" in finding.message


def test_in_a_condition_of_its_own_a_location_is_certain(tmp_path: Path) -> None:
    text = "{% if a %}\nlocation /v1/chat/completions { " + PASS + " }\n{% endif %}\n"
    [finding] = buffering(tmp_path, text, "a.conf.j2")
    assert finding.severity == "error"


def test_a_time_that_is_a_placeholder(tmp_path: Path) -> None:
    text = site(PASS + "proxy_read_timeout {{ timeout }}s;")
    assert findings(tmp_path, text, "a.j2", "short-read-timeout") == []


def test_a_fragment_says_what_it_assumes(tmp_path: Path) -> None:
    [finding] = buffering(tmp_path, "location /v1/chat/completions {" + PASS + "}", "a.conf")
    assert finding.severity == "error"
    assert finding.assumes_defaults
    [finding] = buffering(
        tmp_path, "location /v1/chat/completions { proxy_buffering on;" + PASS + "}", "a.conf"
    )
    assert not finding.assumes_defaults
    [finding] = buffering(tmp_path, site(PASS))
    assert not finding.assumes_defaults


def test_a_handler_that_is_left_out(tmp_path: Path) -> None:
    text = "location /sse {\n    proxy_read_timeout 300s;\n    # other settings\n}\n"
    [finding] = buffering(tmp_path, text, "doc.conf")
    assert finding.severity == "warning"
    assert "because the upstream is unknown" in finding.message
    whole = site("").replace("/v1/chat/completions {", "/sse {\nproxy_read_timeout 300s;")
    assert buffering(tmp_path, whole) == []


def test_after_a_mistake_the_rest_is_judged(tmp_path: Path) -> None:
    text = site(PASS).replace("server {\n", "server {\nlisten 80\n}\nserver {\n")
    [finding] = buffering(tmp_path, text)
    assert finding.severity == "error"


def test_a_mistake_may_have_swallowed_it(tmp_path: Path) -> None:
    text = site("proxy_http_version 1.1\nproxy_buffering off;" + PASS)
    assert [one.severity for one in buffering(tmp_path, text)] in ([], ["warning"])
