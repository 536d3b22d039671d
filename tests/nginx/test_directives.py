"""nginx/directives.yaml against two real nginx, an old and a new one.

Nothing here exempts a directive. An entry that a binary does not know must say why (`since`,
`until`, `module`), and a context that only newer versions allow must say so (`context_since`).
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml

import nginx_stream_lint
from nginx_stream_lint.probe import NginxBinary

Version = tuple[int, ...]
Entry = Mapping[str, Any]

TEXT = (Path(nginx_stream_lint.__file__).parent / "nginx" / "directives.yaml").read_text("utf-8")
TABLE: dict[str, Entry] = yaml.load(TEXT, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))

MERGES = {"nearest", "rows", "handler", "own"}
VALUES = {"flag", "time", "size", "number", "offset", "string", "strings", "row"}
DEFAULTS = ("default", "stream_default", "upstream_default")
KEYS = {"contexts", "merge", "value", "repeat", "module", "since", "until", "context_since"}

# Where a statement goes, per context. {socket} becomes another path each time: `nginx -t` binds.
CONTEXTS = {
    "main": "%s events {}",
    "events": "events { %s }",
    "http": "events {} http { {http} %s }",
    "server": "events {} http { {http} server { listen unix:{socket}; %s } }",
    "location": "events {} http { {http} server { listen unix:{socket}; location /x { %s } } }",
    "if-in-server": (
        "events {} http { {http} server { listen unix:{socket}; if ($http_x) { %s } } }"
    ),
    "if-in-location": (
        "events {} http { {http} server { listen unix:{socket};"
        " location /x { if ($http_x) { %s } } } }"
    ),
    "limit_except": (
        "events {} http { {http} server { listen unix:{socket};"
        " location /x { limit_except GET { %s } } } }"
    ),
    "upstream": "events {} http { {http} upstream u { server 127.0.0.1:1; %s } }",
    "stream": "events {} stream { {stream} %s }",
    "stream-server": "events {} stream { {stream} server { listen unix:{socket}; {handler} %s } }",
    "stream-upstream": "events {} stream { {stream} upstream u { server 127.0.0.1:1; %s } }",
}

# Files and zones that the statements below need; every path is under nginx's prefix (-p).
HTTP = (
    "access_log off; client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f;"
    " uwsgi_temp_path u; scgi_temp_path s; limit_conn_zone $remote_addr zone=conn:64k;"
    " limit_req_zone $remote_addr zone=req:64k rate=1r/s;"
)
STREAM = "limit_conn_zone $remote_addr zone=conn:64k;"

# Arguments for directives whose default is null or does not stand alone everywhere. A suffix of
# the name does for all families; `name@context` beats `name`.
SAMPLES = {
    "add_after_body": "/after",
    "add_before_body": "/before",
    "add_header": "X-A b",
    "add_trailer": "X-A b",
    "alias": "x",
    "auth_request_set": "$v $upstream_status",
    "body_filter_by_lua": "'local x = 1'",
    "body_filter_by_lua_block": "{ local x = 1 }",
    "body_filter_by_lua_file": "x.lua",
    "client_body_early_read": "1",
    "early_hints": "1",
    "error_page": "502 /error",
    "gzip_disable": "msie6",
    "internal": "",
    "js_body_filter": "main.filter",
    "keepalive": "8",
    "limit_conn": "conn 1",
    "limit_req": "zone=req",
    "listen": "unix:{socket}",
    "more_clear_headers": "X-A",
    "more_set_headers": "'X-A: b'",
    "pass": "127.0.0.1:1",
    "proxy_next_upstream@stream": "on",
    "proxy_next_upstream@stream-server": "on",
    "proxy_pass": "http://127.0.0.1:1",
    "proxy_pass@stream-server": "127.0.0.1:1",
    "proxy_redirect": "off",
    "resolver": "127.0.0.1",
    "return": "204",
    "rewrite": "^ /x",
    "server": "127.0.0.1:1",
    "server@http": "{ listen unix:{socket}; }",
    "server@stream": "{ listen unix:{socket}; return x; }",
    "set": "$v 1",
    "ssl_certificate": "$ssl_server_name.crt; ssl_certificate_key $ssl_server_name.key",
    "ssl_certificate_key": "$ssl_server_name.key",
    "sub_filter": "a b",
    "try_files": "$uri =404",
    "types": "{ text/html html; }",
    "zone": "z 64k",
    "_cache_bypass": "$http_x",
    "_cache_key": "$request_uri",
    "_cache_valid": "200 1m",
    "_hide_header": "X-A",
    "_ignore_headers": "X-Accel-Buffering",
    "_method": "GET",
    "_no_cache": "$http_x",
    "_param": "A b",
    "_pass": "127.0.0.1:1",
    "_pass_header": "X-A",
    "_set_body": "x",
    "_set_header": "X-A b",
}


def version_of(text: str) -> Version:
    return tuple(int(part) for part in text.split("."))


def default_of(entry: Entry, version: Version) -> str | None:
    default = entry["default"]
    if isinstance(default, list):
        held = [row for row in default if version_of(row.get("since", "0")) <= version]
        default = held[-1]["args"]
    assert default is None or isinstance(default, str)
    return default


class Nginx:
    """One real nginx: which modules it has and what it says about a configuration."""

    def __init__(self, binary: Path, prefix: Path) -> None:
        self.binary = binary
        self.prefix = prefix
        said = subprocess.run([binary, "-V"], capture_output=True, text=True, check=True).stderr
        found = re.search(r"nginx/([\d.]+)", said)
        assert found, said
        self.version = version_of(found[1])
        arguments = shlex.split(said.partition("configure arguments:")[2])
        self.modules = {
            found[1]
            for argument in arguments
            if (found := re.fullmatch(r"--with-(\w+)_module", argument))
        }
        added = " ".join(argument for argument in arguments if "--add-module=" in argument)
        own = ("njs", "lua", "brotli", "headers-more")
        self.modules |= {name for name in own if re.search(rf"\b{name}\b", added)}
        paths = [a.partition("=")[2] for a in arguments if a.startswith("--modules-path=")]
        self.libraries: dict[str, list[Path]] = {}
        for name, libraries in (
            ("stream", ["ngx_stream_module.so"]),
            ("brotli", ["ngx_http_brotli_filter_module.so"]),
            ("brotli-static", ["ngx_http_brotli_static_module.so"]),
            ("lua", ["ndk_http_module.so", "ngx_http_lua_module.so"]),
            ("headers-more", ["ngx_http_headers_more_filter_module.so"]),
            ("njs", ["ngx_http_js_module.so"]),
        ):
            files = [Path(folder) / library for folder in paths for library in libraries]
            if files and all(file.exists() for file in files):
                self.modules.add(name)
                self.libraries[name] = files
        self.numbers: Iterator[int] = count()
        (prefix / "main.js").write_text("export default {filter(r, d, f) {r.sendBuffer(d, f)}}\n")

    def has(self, entry: Entry) -> bool:
        return (
            version_of(entry.get("since", "0")) <= self.version
            and ("until" not in entry or self.version < version_of(entry["until"]))
            and ("module" not in entry or entry["module"] in self.modules)
        )

    def statement(self, name: str, context: str) -> str:
        args = default_of(TABLE[name], self.version)
        suffixes = [name[i:] for i, char in enumerate(name) if char == "_"]
        for key in (f"{name}@{context}", name, *suffixes):
            if key in SAMPLES:
                args = SAMPLES[key]
                break
        assert args is not None, f"{name} has no default: give it a row in SAMPLES"
        return f"{name} {args}" + ("" if args.startswith("{") else ";")

    def check(self, name: str, context: str, statement: str) -> str:
        """What `nginx -t` complains about: the first error, or nothing."""
        njs = " js_import main.js;" if "njs" in self.modules else ""
        text = (
            CONTEXTS[context]
            .replace("%s", statement)
            .replace("{http}", HTTP + njs)
            .replace("{stream}", STREAM)
            .replace("{handler}", "" if name == "return" else "return x;")
        )
        number = next(self.numbers)
        while "{socket}" in text:
            text = text.replace("{socket}", f"{self.prefix}/{next(self.numbers)}", 1)
        load = "".join(
            f"load_module {library};\n"
            for module in ("stream", TABLE[name].get("module", ""))
            for library in self.libraries.get(module, [])
        )
        file = self.prefix / f"{number}.conf"
        file.write_text(f"{load}pid pid;\n{text}\n")
        run = subprocess.run(
            [self.binary, "-t", "-q", "-p", self.prefix, "-e", "stderr", "-c", file],
            capture_output=True,
            text=True,
            check=False,
        )
        errors = re.findall(r"\[emerg\] (?:\d+#\d+: )?(.*)", run.stderr)
        assert bool(errors) == bool(run.returncode), run.stderr
        return errors[0] if errors else ""


@pytest.fixture(scope="module")
def nginx(binary: NginxBinary, tmp_path_factory: pytest.TempPathFactory) -> Nginx:
    return Nginx(binary.path, tmp_path_factory.mktemp("n"))


def test_the_table_is_well_formed() -> None:
    assert re.findall(r"^(\w+):", TEXT, re.MULTILINE) == list(TABLE), "a name twice"
    for name, entry in TABLE.items():
        assert set(entry) <= KEYS | set(DEFAULTS), name
        assert {"contexts", "merge", "value", "default"} <= set(entry), name
        assert entry["merge"] in MERGES, name
        assert entry["value"] in VALUES, name
        assert entry.get("repeat", "joins") == "joins", name
        assert "repeat" not in entry or entry["merge"] == "nearest", name
        assert len(entry["contexts"]) == len(set(entry["contexts"])), name
        assert set(entry["contexts"]) <= set(CONTEXTS), name
        assert set(entry.get("context_since", ())) <= set(entry["contexts"]), name
        versions = [
            entry.get("since"),
            entry.get("until"),
            *entry.get("context_since", {}).values(),
        ]
        for version in filter(None, versions):
            assert re.fullmatch(r"1\.\d+\.\d+", version), name


def test_no_default_is_a_yaml_boolean_or_number() -> None:
    for name, entry in TABLE.items():
        for key in DEFAULTS:
            rows = entry.get(key)
            for row in rows if isinstance(rows, list) else [{"args": rows}]:
                assert isinstance(row["args"], str | None), name
            if isinstance(rows, list):
                since = [version_of(row.get("since", "0")) for row in rows]
                assert since == sorted(set(since)), f"{name}: oldest first"


@pytest.mark.parametrize("name", TABLE)
def test_a_directive_stands_where_the_table_says_and_nowhere_else(nginx: Nginx, name: str) -> None:
    entry = TABLE[name]

    def check(context: str) -> str:
        return nginx.check(name, context, nginx.statement(name, context))

    if not nginx.has(entry):
        assert check(entry["contexts"][0]).startswith(f'unknown directive "{name}"')
        return
    since = entry.get("context_since", {})
    with ThreadPoolExecutor(2) as pool:
        answers = dict(zip(CONTEXTS, pool.map(check, CONTEXTS), strict=True))
    for context, answer in answers.items():
        if context in entry["contexts"] and version_of(since.get(context, "0")) <= nginx.version:
            assert answer == "", context
        else:
            assert answer.startswith(f'"{name}" directive is not allowed here'), context


@pytest.mark.parametrize("name", [n for n, e in TABLE.items() if e["merge"] == "nearest"])
def test_a_second_one_at_the_same_level_is_refused_or_joins(nginx: Nginx, name: str) -> None:
    entry = TABLE[name]
    if not nginx.has(entry):
        return  # the test above asks for the reason
    context = entry["contexts"][0]
    statement = nginx.statement(name, context)
    answer = nginx.check(name, context, f"{statement} {statement}")
    if entry.get("repeat") == "joins":
        assert answer == ""
    else:
        assert "duplicate" in answer


@pytest.mark.parametrize("name", TABLE)
def test_defaults_are_what_one_could_write(nginx: Nginx, name: str) -> None:
    entry = TABLE[name]
    if not nginx.has(entry):
        return
    for key, contexts in (
        ("default", ("location", "server", "main", "events", "upstream", "stream-server")),
        ("stream_default", ("stream-server",)),
        ("upstream_default", ("upstream",)),
    ):
        args = default_of(entry, nginx.version) if key == "default" else entry.get(key)
        if args is None or entry["value"] == "row":
            continue  # the default of a list says what is in force, not always in a row's words
        context = next(c for c in contexts if c in entry["contexts"])
        assert nginx.check(name, context, f"{name} {args};") == "", key
