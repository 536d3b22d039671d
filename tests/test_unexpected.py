"""No traceback: attacks on the parser and its users, and what is said of a fault of ours."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nginx_stream_lint.analysis.explainer import Explainer
from nginx_stream_lint.analysis.lint import Options, lint, read
from nginx_stream_lint.config import STDIN, InputOptions
from nginx_stream_lint.config.tree import least_arguments
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.fixes.apply import fix_checked
from nginx_stream_lint.nginx.directives import table
from nginx_stream_lint.nginx.document_root import DocumentRoot
from nginx_stream_lint.nginx.request import parse_url
from nginx_stream_lint.report import FORMATS, render
from nginx_stream_lint.report.explain import explain_text
from nginx_stream_lint.report.explain_json import explain_json
from nginx_stream_lint.report.run import Run
from nginx_stream_lint.rules.shipped import shipped_rules
from nginx_stream_lint.util.numbers import whole_number
from tests.command import run
from tests.report.schemas import check_document

RULES = shipped_rules()
DIGITS = "9" * 5000
URLS = ("/", "/v1/chat/completions?a=1", "http://a.b/x", "https://a/%zz", "/" * 9000)
GOOD = "location /v1/chat/completions { proxy_pass http://127.0.0.1:8000; }\n"
SERVER = "server { %s location /v1/chat/completions { %s proxy_pass http://a; } }"


def use(folder: Path, text: bytes, name: str = "a.conf") -> None:
    """Do with a text all that the commands do; nothing may be raised."""
    path = folder / name
    path.write_bytes(text)
    options = Options(RULES, input_options=InputOptions(markdown=True))
    workspace = Workspace.on_disk(str(path))
    report = lint(workspace, options=options)
    outcome = Run(report, RULES, None, 0.1, str(folder))
    for format_ in FORMATS:
        said = render(format_, outcome)
        if format_ == "json":
            check_document("lint", json.loads(said))
    for configuration in read(workspace, [str(path)], options.input_options):
        if configuration.root is None:
            continue
        explainer = Explainer(configuration, options, DocumentRoot(workspace, str(folder)), True)
        explanations = [explainer.explain(url, parse_url(url)) for url in URLS]
        explanations = [one for one in explanations if one.route.server is not None]
        check_document("explain", json.loads(explain_json(explanations)))
        pairs = [(explainer, one) for one in explanations]
        explain_text(pairs, [explainer.findings(each) for each in explanations])
        assert isinstance(explainer.problems, list)
    fix_checked(lambda texts: lint(workspace.overlaid(texts), options=options), unsafe=True)


TEXTS = [
    "location{location{",
    "large_client_header_buffers }internal",
    "sendfile 100%;",
    "http { sendfile 100%s; gzip %d%; tcp_nopush %(x)s; }",
    "upstream { } upstream {",
    "map { } map $a { } map $a $b { a; b c d; ; }",
    "server { if { } if ( ) { return; } location { } location ~ { } location = { } }",
    f"server {{ listen 8{DIGITS}; listen 80-{DIGITS}; return {DIGITS}; {GOOD} }}",
    f"server {{ location / {{ error_page 500 ={DIGITS} /x; try_files /a ={DIGITS}; }} {GOOD} }}",
    f"server {{ location ~ ^/(a){{{DIGITS}}}(b)\\{DIGITS} {{ proxy_pass http://a:{DIGITS}; }} }}",
    "server { listen ²; return ²; location / { try_files x =²; error_page ² =² /; } }",
    f"{GOOD} server {{ set $² a; rewrite ^(.*)$ $²$1 last; }}",
]


@pytest.mark.parametrize("text", TEXTS)
def test_texts_that_nginx_refuses(text: str, tmp_path: Path) -> None:
    use(tmp_path, text.encode())


@pytest.mark.parametrize("part", range(8))
def test_directives_with_too_few_arguments(part: int, tmp_path: Path) -> None:
    names = sorted({*table(), "rewrite", "return", "set", "try_files", "map", "if", "location"})
    for name in names[part::8]:
        inner = "".join(f"{name}{' x' * number};" for number in range(least_arguments(name)))
        inner += f"{name} {{}}{name} x {{}}"
        use(tmp_path, (SERVER % (inner, inner)).encode())
        use(tmp_path, f"{inner} http {{ {inner} upstream u {{ {inner} }} }}".encode())


@pytest.mark.parametrize(
    "name", ["rewrite", "return", "try_files", "set", "error_page", "proxy_pass", "listen", "if"]
)
@pytest.mark.parametrize("tag", ["{{ x }}", "<%= x % 2 %>", "{% if x %} a {% endif %}", "${X}"])
def test_placeholders_for_all_arguments(name: str, tag: str, tmp_path: Path) -> None:
    use(tmp_path, (SERVER % (f"{name} {tag};", f"{name} {tag};")).encode(), "a.conf.j2")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            (
                *("{", "}", ";", '"', "'", "#", "\\", "%", "%s", "$", "\n", "\r", "\udcff", "\x85"),
                *("location ", "server", "if (", "rewrite ", "return ", "set $a ", "map $a $b"),
                *("{{ x }}", "{% if x %}", "{% endif %}", "<%= x %>", "{# c #}", "${X}", "\ufdd0"),
                *("upstream ", "try_files ", "listen ", "proxy_pass http://", "include ", "="),
                *("# nginx-stream-lint: ignore[nagle-delay] x\n", "content_by_lua_block {", GOOD),
            )
        ),
        max_size=25,
    ).map("".join)
)
def test_no_text_is_too_strange(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    use(tmp_path_factory.mktemp("any"), text.encode("utf-8", "surrogateescape"))


INGRESS = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: chat
  annotations:
    nginx.ingress.kubernetes.io/proxy-read-timeout: VALUE
spec:
  ingressClassName: nginx
  rules:
    - host: a.example.com
      http:
        paths:
          - path: /v1/chat/completions
            pathType: Prefix
            backend: {service: {name: llm, port: {number: 8000}}}
"""


@pytest.mark.parametrize(
    "value", ["{{ .Values.h }}{", "{{ .Values.h }};}", "'a{b'", "'}; x {'", f"'{DIGITS}'"]
)
def test_annotations_stay_in_their_statement(value: str, tmp_path: Path) -> None:
    text = INGRESS.replace("VALUE", value)
    use(tmp_path, text.encode(), "a.yaml")
    workspace = Workspace.on_disk(str(tmp_path / "a.yaml"))
    fixed = fix_checked(lambda texts: lint(workspace.overlaid(texts)), unsafe=True)
    assert fixed.refused == []


def test_bytes_that_are_no_utf_8_in_yaml(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(
        b"# caf\xe9\ndata:\n  k\xe9y: 'v\xe9'\n  a.conf: |\n    # caf\xe9\n    " + GOOD.encode()
    )
    (tmp_path / "b.yaml").write_bytes(b"# caf\xe9\n" + INGRESS.replace("VALUE", "'60'").encode())
    (tmp_path / "c.conf").write_text(GOOD)
    done = run(".", "--format", "json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    files = {one["file"] for one in json.loads(done.stdout)["findings"]}
    assert {Path(file).name for file in files} == {"a.yaml", "b.yaml", "c.conf"}
    run(".", "--fix", cwd=tmp_path)
    assert (tmp_path / "a.yaml").read_bytes().count(b"\xe9") == 4


@given(st.text())
def test_whole_numbers(text: str) -> None:
    number = whole_number(text)
    assert (number is not None) == (text != "" and set(text) <= set("0123456789"))


@given(st.integers(0))
def test_whole_numbers_are_read(number: int) -> None:
    assert whole_number(f"000{number}") == min(number, 10**18)


# Faults of ours


def broken(where: str, *arguments: str, cwd: Path, how: str = "1 / 0") -> tuple[int, str, str]:
    """The command with a function `module:name` that fails where its first argument says "bad"."""
    module, _, name = where.partition(":")
    code = (
        f"import sys, {module} as module\n"
        f"real = module.{name}\n"
        "def fails(first, *rest, **more):\n"
        "    if 'bad' in str(getattr(first, 'path', getattr(first, 'report', first))):\n"
        f"        {how}\n"
        "    return real(first, *rest, **more)\n"
        f"module.{name} = fails\n"
        "from nginx_stream_lint.cli import main\n"
        "sys.argv = ['nginx-stream-lint', *sys.argv[1:]]\n"
        "main()\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "NGINX_STREAM_LINT_DEBUG"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    "where",
    ["nginx_stream_lint.analysis.lint:detect", "nginx_stream_lint.config.inputs:is_markdown"],
)
def test_a_fault_in_one_file_does_not_hide_the_others(where: str, tmp_path: Path) -> None:
    for name in ("a.conf", "bad.conf", "c.conf"):
        (tmp_path / name).write_text(GOOD.replace("v1", f"v1/{name}"))
    status, out, err = broken(
        where, "a.conf", "bad.conf", "c.conf", "--format", "json", cwd=tmp_path
    )
    assert status == 2
    assert {one["file"] for one in json.loads(out)["findings"]} == {"a.conf", "c.conf"}
    assert re.fullmatch(
        r"bad.conf:1:1: nginx-stream-lint failed on this file:"
        r" ZeroDivisionError in \w+/\w+\.py:\d+;"
        r" please report this with the file, if you can share it\n",
        err,
    )


@pytest.mark.parametrize(
    "how",
    [
        "1 / 0",
        "fails(first)",
        "raise MemoryError",
        r"'\ud800'.encode()",
        "raise ValueError('\\n::error::x')",
    ],
)
def test_any_other_fault_is_one_line(how: str, tmp_path: Path) -> None:
    (tmp_path / "bad.conf").write_text(GOOD)
    where = "nginx_stream_lint.cli.lint:workspace_of"
    status, out, err = broken(where, "bad.conf", cwd=tmp_path, how=how)
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert re.match(r"nginx-stream-lint failed: \w+Error in cli/lint\.py:\d+; please report", err)


def test_one_format_that_fails_does_not_hide_the_others(tmp_path: Path) -> None:
    (tmp_path / "bad.conf").write_text(GOOD)
    formats = ["--format", "json=out.json", "--format", "concise", "--format", "sarif=out.sarif"]
    status, out, err = broken(
        "nginx_stream_lint.report.json:json_parts", "bad.conf", *formats, cwd=tmp_path
    )
    assert status == 2
    assert "response-buffering" in out
    assert json.loads((tmp_path / "out.sarif").read_text())
    assert re.match(
        r"--format json:1:1: nginx-stream-lint failed on this file: ZeroDivisionError", err
    )


def test_developers_see_the_traceback(tmp_path: Path) -> None:
    (tmp_path / "bad.conf").write_text(GOOD)
    code = (
        "import sys, nginx_stream_lint.cli.lint as module\n"
        "module.merge_options = None\nfrom nginx_stream_lint.cli import main\n"
        "sys.argv = ['nginx-stream-lint', 'bad.conf']\nmain()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("Traceback")


def test_an_interruption_is_no_finding(tmp_path: Path) -> None:
    """Standard input that does not end, and then a Ctrl-C."""
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import sys; sys.argv = ['nginx-stream-lint', '-']\n"
        "from nginx_stream_lint.cli import main; main()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        # As soon as it reads, what is more than a pipe holds goes through.
        process.stdin.write(b"# a comment\n" * 100_000)
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, b"")
    assert err.strip() == b"interrupted"


TLS = "listen 443 ssl; ssl_certificate a.pem; ssl_certificate_key a.key;"


@pytest.mark.parametrize(
    ("arguments", "package", "extra"),
    [
        (["lint", "--probe", "a.conf"], "trustme", "probe"),
        (["probe", "a.conf"], "trustme", "probe"),
        (["trace", "http://127.0.0.1:9/"], "niquests", "trace"),
    ],
)
def test_a_package_that_is_not_here(
    arguments: list[str], package: str, extra: str, tmp_path: Path
) -> None:
    (tmp_path / "a.conf").write_text(f"events {{}} http {{ server {{ {TLS} {GOOD} }} }}")
    code = (
        "import sys, importlib.util as u\n"
        f"sys.modules[{package!r}] = None\n"
        "real = u.find_spec\n"
        f"u.find_spec = lambda name, *a: None if name == {package!r} else real(name, *a)\n"
        "from nginx_stream_lint.cli import main\n"
        f"sys.argv = ['nginx-stream-lint', *{arguments!r}]; main()"
    )
    environment = {k: v for k, v in os.environ.items() if k != "NGINX_STREAM_LINT_DEBUG"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60, env=environment,
    )  # fmt: skip
    assert done.returncode == 2, done
    assert re.fullmatch(
        rf"the Python package {package}[\w.]* is not installed; run pip"
        rf" install '\.\[{extra}\]' in a checkout of"
        " nginx-stream-lint\n",
        done.stderr,
    ), done.stderr


@pytest.mark.parametrize(
    "text",
    [
        f'{{"tool": "nginx-stream-lint", "version": {DIGITS}, "findings": []}}',
        '{"tool": "nginx-stream-lint", "version": 1, "findings": 7}',
        '{"tool": "nginx-stream-lint", "version": 1e999, "findings": []}',
        '{"tool": "nginx-stream-lint", "version": "\\u001b[31m\\n::error::", "findings": []}',
        "[" * 100_000,
    ],
)
def test_baselines_of_strangers(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text(GOOD)
    (tmp_path / "b.json").write_text(text)
    done = run("a.conf", "--baseline", "b.json", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("b.json:1:1: ")
    assert len(done.stderr.splitlines()) == 1
    assert len(done.stderr) < 300


@pytest.mark.parametrize("value", [DIGITS, f"0x{'f' * 5000}", "inf", "1.5", "2020-99-99"])
@pytest.mark.parametrize("key", ["min_read_timeout", "nginx_version", "streams", "unknown"])
def test_numbers_in_settings_of_strangers(key: str, value: str, tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text(GOOD)
    (tmp_path / "s.toml").write_text(f"[tool.nginx-stream-lint]\n{key} = {value}\n")
    (tmp_path / "s.yaml").write_text(f"{key}: {value}\n")
    for name in ("s.toml", "s.yaml"):
        done = run("a.conf", "--config", name, cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.startswith(f"{name}:")
        assert len(done.stderr.splitlines()) == 1


def test_standard_input_that_is_no_text() -> None:
    data = "\udcff\ufdd0{{\ufdd1".encode("utf-8", "surrogateescape")
    report = lint(Workspace.on_disk(STDIN).with_text(STDIN, data))
    assert report.problems
