"""Inputs of any size that have very much in one line, one file or one folder.

Time and memory of a run over each of them must grow in proportion to its size. tests/test_linear.py
counts calls; this measures time and memory:

    python -m tests.hostile_shapes [--bytes 1000000] [--times 1] [NAME...]
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from nginx_stream_lint.report import FORMATS

# Texts by name; the first one is linted.
Files = dict[str, str]

_STREAM = "proxy_pass http://app:8000;"
_INGRESS = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: app{0}
  annotations:
    nginx.ingress.kubernetes.io/proxy-buffer-size: 8k
spec:
  ingressClassName: nginx
  rules:
    - host: app{0}.example.com
      http:
        paths:
          - path: /events
            pathType: Prefix
            backend: {{service: {{name: app{0}, port: {{number: 80}}}}}}
"""


@dataclass(frozen=True, slots=True)
class Shape:
    """`files` makes the texts for a number of bytes, `arguments` is the command line."""

    files: Callable[[int], Files]
    arguments: tuple[str, ...]


SHAPES: dict[str, Shape] = {}


def _shape(
    *arguments: str, name: str | None = None
) -> Callable[[Callable[[int], Files]], Callable[[int], Files]]:
    def decorated(function: Callable[[int], Files]) -> Callable[[int], Files]:
        SHAPES[name or function.__name__.lstrip("_")] = Shape(function, arguments)
        return function

    return decorated


def _filled(size: int, piece: Callable[[int], str]) -> str:
    """A piece, repeated until it has this number of bytes."""
    pieces: list[str] = []
    length = 0
    for number in count():
        text = piece(number)
        length += len(text)
        if length > size and pieces:
            break
        pieces.append(text)
    return "".join(pieces)


def _in_server(text: str) -> str:
    return f"events {{}}\nhttp {{\nserver {{ listen 80; {text} }}\n}}\n"


def _in_http(text: str) -> str:
    return f"events {{}}\nhttp {{\n{text}\n}}\n"


def _main(size: int, piece: str, around: Callable[[str], str] = _in_server) -> Files:
    """A main file with a piece repeated; `{0}` in it is the number of the piece."""
    text = around(_filled(size, lambda number: piece.replace("{0}", str(number))))
    return {"nginx.conf": text.replace("{0}", "0")}


def _repeated(name: str, piece: str, around: Callable[[str], str] = _in_server) -> None:
    SHAPES[name] = Shape(lambda size: _main(size, piece, around), ("nginx.conf",))


_LOCATION = "location /a{0}/events { " + _STREAM + " } "
for _format in FORMATS:
    SHAPES[f"line-{_format}"] = Shape(
        lambda size: _main(size, _LOCATION), ("nginx.conf", "--format", _format)
    )
    SHAPES[f"rows-{_format}"] = Shape(
        lambda size: _main(size, _LOCATION + "\n"), ("nginx.conf", "--format", _format)
    )
for _how in ("--fix", "--diff"):
    for _unsafe in ((), ("--unsafe-fixes",)):
        for _end, _where in (("", "line"), ("\n", "rows")):
            SHAPES[f"{_where}{_how}{'-unsafe' if _unsafe else ''}"] = Shape(
                lambda size, end=_end: _main(size, _LOCATION + end),  # type: ignore[misc]
                ("nginx.conf", _how, *_unsafe),
            )
_repeated("directives-line", "add_header X-A{0} b{0}; ")
_repeated(
    "headers-location",
    "proxy_set_header X-A{0} b{0};\n",
    lambda text: _in_server(f"location /events {{ {text} {_STREAM} }}"),
)
_repeated(
    "headers-above",
    "add_header X-A{0} b{0};\n",
    lambda text: _in_server(
        f"{text} {'location /events/{0} { add_header X-B b; proxy_pass http://a; } '}"
    ),
)
_repeated("headers-hidden", "proxy_hide_header X-A{0};\nproxy_pass_header X-B{0};\n")
_repeated("same-directive", "gzip_types text/x{0};\n")
_repeated(
    "one-directive-args",
    "text/x{0} ",
    lambda text: _in_server(f"gzip on; gzip_types {text}; location /events {{ {_STREAM} }}"),
)
_repeated(
    "servers-line", "server { listen 80; server_name s{0}.example; " + _LOCATION + "} ", _in_http
)
_repeated("servers-shared", "server { server_name s{0}.example; " + _LOCATION + "}\n", _in_http)
_repeated("listens", "listen 127.0.0.1:{0};\n", lambda text: _in_server(text + _LOCATION))
_repeated("sockets", "server { listen 10.0.0.1:{0}; " + _LOCATION + "}\n", _in_http)
_repeated(
    "server-names", "s{0}.example ", lambda text: _in_server(f"server_name {text}; {_LOCATION}")
)
_repeated("server-names-many-findings", "server_name s{0}.example; " + _LOCATION)
_repeated("regex-names", "server { server_name ~^s{0}\\.example$; " + _LOCATION + "}\n", _in_http)
_repeated(
    "map-values",
    "b{0} c{0}; ",
    lambda text: _in_http(
        f"map $a $b {{ {text} }} server {{ location /events {{ proxy_pass http://$b; }} }}"
    ),
)
_repeated(
    "map-patterns",
    "~^b{0}[a-z]+x c{0};\n",
    lambda text: _in_http(
        f"map $uri $b {{ {text} }} server {{ location /events {{ proxy_pass http://$b; }} }}"
    ),
)
_repeated(
    "maps",
    "map $a{0} $b{0} { default c{0}; }\n",
    lambda text: _in_http(f"{text} server {{ location /events {{ proxy_pass http://$b0; }} }}"),
)
_repeated(
    "map-chain",
    "map $b{0} $b{0}x { default $b{0}; }\n",
    lambda text: _in_http(f"{text} server {{ location /events {{ proxy_pass http://$b0x; }} }}"),
)
_repeated(
    "upstreams",
    "upstream u{0} { server a{0}:80; } ",
    lambda text: _in_http(f"{text} server {{ location /events {{ proxy_pass http://u0; }} }}"),
)
_repeated(
    "upstreams-used",
    "upstream u{0} { server a{0}:80; }\nserver { server_name s{0};"
    " location /events { proxy_pass http://u{0}; } }\n",
    _in_http,
)
_repeated(
    "peers",
    "server a{0}:80; ",
    lambda text: _in_http(
        f"upstream u {{ {text} }} server {{ location /events {{ proxy_pass http://u; }} }}"
    ),
)
_repeated(
    "peers-shared",
    "server a{0}:80;\n",
    lambda text: _in_http(
        f"upstream u {{ {text} }} server {{ "
        + "".join(f"location /e{at}/events {{ proxy_pass http://u/{at}; }}" for at in range(300))
        + "}"
    ),
)
_repeated(
    "rewrites",
    "rewrite ^/a{0}/(.*)$ /b{0}/$1;\n",
    lambda text: _in_server(f"{text} location /events {{ {_STREAM} }}"),
)
_repeated(
    "rewrites-location",
    "rewrite ^/a{0}/(.*)$ /b{0}/$1;\n",
    lambda text: _in_server(f"location /events {{ {text} {_STREAM} }}"),
)
_repeated(
    "rewrites-loose",
    "rewrite a{0}.*x /b{0};\n",
    lambda text: _in_server(f"{text} location /events {{ {_STREAM} }}"),
)
_repeated("ifs-server", "if ($a{0} = b) { set $c{0} d; } ")
_repeated(
    "ifs-location",
    "if ($a{0} = b) { set $c{0} d; proxy_buffering on; } ",
    lambda text: _in_server(f"location /events {{ {_STREAM} {text} }}"),
)
_repeated(
    "ifs-handlers",
    "if ($a{0} = b) { proxy_pass http://b{0}; }\n",
    lambda text: _in_server(f"location /events {{ {_STREAM} {text} }}"),
)
_repeated(
    "sets",
    "set $a{0} b{0};\n",
    lambda text: _in_server(f"{text} location /events {{ proxy_pass http://$a0; }} "),
)
_repeated("sets-used", "location /e{0}/events { set $a{0} b{0}; proxy_pass http://$a{0}; }\n")
_repeated("sets-above-used", "set $a{0} b{0}; location /e{0}/events { proxy_pass http://$a{0}; }\n")
_repeated(
    "variables-one-target",
    "$a{0}",
    lambda text: _in_server(
        f"location /events {{ proxy_pass http://{text[:3500]}; }} "
        + "".join(f"set $a{at} b;" for at in range(len(text) // 14))
    ),
)
_repeated("comments-line", "location /a{0}/events { # sse\n" + _STREAM + " }\n")
_repeated(
    "comments-above",
    "# a comment {0} about nothing\n",
    lambda text: _in_server(f"{text} {_LOCATION}"),
)
_repeated(
    "comments-in-location",
    "# events {0}\n",
    lambda text: _in_server(f"location /a {{ {text} {_STREAM} }}"),
)
_repeated(
    "comments-declare", "location /a{0} { # nginx-stream-lint: stream sse\n" + _STREAM + " }\n"
)
_repeated(
    "comments-declare-flat",
    "# nginx-stream-lint: stream sse\n",
    lambda text: _in_server(f"{text} {_LOCATION * 20}"),
)
_repeated("comments-one-long", "words {0} ", lambda text: _in_server(f"# {text}\n {_LOCATION}"))
_repeated(
    "ignores",
    "location /a{0}/events { # nginx-stream-lint: ignore[response-buffering]"
    " because\n" + _STREAM + " }\n",
)
_repeated(
    "ignores-flat",
    "# nginx-stream-lint: ignore[response-buffering] because\n",
    lambda text: _in_server(f"{text} {_LOCATION}"),
)
_repeated("ignores-unknown", "# nginx-stream-lint: ignore[nothing{0}] because\n")
_repeated(
    "ignores-one-long",
    "nothing{0},",
    lambda text: _in_server(f"# nginx-stream-lint: ignore[{text}] because\n {_LOCATION}"),
)
_repeated("prefixes", "location /a{0} { " + _STREAM + " }\n")
_repeated("regex-locations", "location ~ ^/a{0}/.*/events$ { " + _STREAM + " }\n")
_repeated("regex-loose", "location ~ a{0}.*events$ { " + _STREAM + " }\n")
_repeated("regex-named", "location ~ /v1/chat/completions{0}?$ { " + _STREAM + " }\n")
_repeated("regex-catalogue", "location ~ (.*)/api/generate{0}|/api/chat { " + _STREAM + " }\n")
_repeated("regex-costly", "location ~ ^/(a+)+b{0} { " + _STREAM + " }\n")
_repeated("regex-words", "location ~ ^/[^/]+/[^/]+/[^/]+/x{0}events { " + _STREAM + " }\n")
_repeated("exact", "location = /a{0}/events { " + _STREAM + " }\n")
_repeated(
    "named", "location @a{0} { " + _STREAM + " } location /a{0}/events { try_files $uri @a{0}; }\n"
)
_repeated("apps", "location /ollama{0}/ { proxy_pass http://ollama{0}:11434/; }\n")
_repeated("apps-known", "location /api/generate{0} { proxy_pass http://ollama:11434; }\n")
_repeated(
    "auth",
    "location /a{0}/events { auth_request /auth{0}; " + _STREAM + " } location ="
    " /auth{0} { internal; proxy_pass http://auth; }\n",
)
_repeated("auth-missing", "location /a{0}/events { auth_request /auth{0}; " + _STREAM + " }\n")
_repeated(
    "mirrors",
    "location /a{0}/events { mirror /m{0}; " + _STREAM + " } location /m{0} {"
    " internal; proxy_pass http://auth; }\n",
)
_repeated("error-pages", "error_page 50{0} /e{0};\n")
_repeated(
    "limit-except", "location /a{0}/events { " + _STREAM + " limit_except GET { deny all; } }\n"
)
_repeated(
    "websockets",
    "location /ws{0} { " + _STREAM + " proxy_set_header Upgrade $http_upgrade;"
    ' proxy_set_header Connection "upgrade"; }\n',
)
_repeated(
    "gzip-each",
    "location /a{0}/events { gzip on; gzip_types *; proxy_buffering off;"
    " proxy_read_timeout {0}s; " + _STREAM + " }\n",
)
_repeated(
    "handlers-twice", _STREAM + " ", lambda text: _in_server(f"location /events {{ {text} }}")
)
_repeated("lua", "content_by_lua_block { local a = {{ {0} }} }\n")
_repeated("lua-open", "[[", lambda text: _in_server(f"content_by_lua_block {{ {text} }}"))
_repeated(
    "lua-brackets", "[==[ ]=] ", lambda text: _in_server(f"content_by_lua_block {{ {text} }}")
)
_repeated("lua-quotes", '"a\\" ', lambda text: _in_server(f"content_by_lua_block {{ {text} }}"))
_repeated("quotes-open", "add_header a \"b{0} ';\n")
_repeated("quotes", "add_header a '\"{0}' \"'{0}\";\n")
_repeated("backslashes", "\\\\", lambda text: _in_server(f"set $a {text};"))
_repeated("blanks", " ", lambda text: _in_server(f"{text} {_LOCATION}"))
_repeated("carriage-returns", "\r", lambda text: _in_server(f"{text} {_LOCATION}"))
_repeated("semicolons", ";")
_repeated("closing", "}")
_repeated("opening", "a{")
_repeated("words", "a{0} ", lambda text: text)
_repeated("one-word", "a", lambda text: _in_server(f"set $a {text};"))
_repeated("unicode-line", "location /ä{0}/events { " + _STREAM + " } ")
_repeated("tabs-line", "location\t/a{0}/events\t{\t" + _STREAM + "\t}\t")
_repeated("mistakes", "nothing{0} x;\n")
_repeated("mistakes-line", "proxy_buffering maybe{0}; ")
_repeated("mistakes-args", "proxy_buffering; ")
_repeated("duplicates", "proxy_buffering off; ")
_repeated("duplicate-locations", "location /events { " + _STREAM + " }\n")
_repeated(
    "stream-servers",
    "server { listen {0}; proxy_pass a:80; }\n",
    lambda text: f"events {{}} stream {{ {text} }}",
)
_repeated("main-rows", "env A{0};\n", lambda text: f"{text} {_in_server(_LOCATION)}")
_repeated(
    "types",
    "text/a{0} b{0};\n",
    lambda text: _in_http(f"types {{ {text} }} server {{ {_LOCATION} }}"),
)
_repeated(
    "geo",
    "10.0.{0}.0/24 a;\n",
    lambda text: _in_http(f"geo $a {{ {text} }} server {{ {_LOCATION} }}"),
)
_repeated(
    "cache-zones",
    "proxy_cache_path /c{0} keys_zone=z{0}:1m; ",
    lambda text: _in_http(f"{text} server {{ proxy_cache z0; {_LOCATION} }}"),
)
_repeated("log-formats", "log_format l{0} '$a{0}';\n", _in_http)

_repeated(
    "map-values-shared",
    "b{0} c{0}; ",
    lambda text: _in_http(
        f"map $a $b {{ {text} }} server {{ "
        + "".join(
            f"location /e{at}/events {{ proxy_pass http://$b/{at}; }}"
            for at in range(len(text) // 60)
        )
        + "}"
    ),
)
_repeated(
    "peers-and-targets",
    "server a{0}:80;\n",
    lambda text: _in_http(
        f"upstream u {{ {text} }} server {{ "
        + "".join(
            f"location /e{at}/events {{ proxy_pass http://u/{at}; }}"
            for at in range(len(text) // 60)
        )
        + "}"
    ),
)
_repeated(
    "comments-at-top",
    "# an events stream {0}\n",
    lambda text: (
        text
        + _in_http(
            "".join(
                f"server {{ server_name s{at}; location / {{ {_STREAM} }} }}\n"
                for at in range(len(text) // 60)
            )
        )
    ),
)
_repeated(
    "headers-and-locations",
    "proxy_set_header X-A{0} b{0};\n",
    lambda text: _in_server(
        text + "".join(f"location /e{at}/events {{ {_STREAM} }}\n" for at in range(len(text) // 60))
    ),
)
_repeated(
    "added-headers-and-locations",
    "add_header X-A{0} b{0};\n",
    lambda text: _in_server(
        text
        + "".join(
            f"location /e{at}/events {{ add_header X-B b; {_STREAM} }}\n"
            for at in range(len(text) // 60)
        )
    ),
)
_repeated(
    "rewrites-and-locations",
    "rewrite ^/a{0}/(.*)$ /b{0}/$1;\n",
    lambda text: _in_server(
        text
        + "".join(
            f"location /v{at}/chat/completions {{ {_STREAM} }}\n" for at in range(len(text) // 60)
        )
    ),
)
_repeated(
    "regexes-and-apps",
    "location ~ x{0}.*y$ { return 404; }\n",
    lambda text: _in_server(
        text
        + "".join(
            f"location /a{at} {{ proxy_pass http://ollama{at}:11434; }}\n"
            for at in range(len(text) // 60)
        )
    ),
)
_repeated(
    "ifs-and-apps",
    'if ($uri ~ "x{0}.*y") { return 404; }\n',
    lambda text: _in_server(
        text
        + "".join(
            f"location /a{at} {{ proxy_pass http://ollama{at}:11434; }}\n"
            for at in range(len(text) // 60)
        )
    ),
)


@_shape("nginx.conf", name="nested")
def _nested(size: int) -> Files:
    deep = 200
    one = "".join(f"location /{'a/' * at} {{ " for at in range(deep))
    one += "location /events { proxy_pass http://a; }" + "}" * deep
    servers = max(1, size // len(one))
    return {
        "nginx.conf": _in_http(
            "".join(f"server {{ server_name s{at}; {one} }}\n" for at in range(servers))
        )
    }


@_shape("nginx.conf", name="nested-findings")
def _nested_findings(size: int) -> Files:
    """Nested locations, each with a finding."""
    deep = 20
    one = "".join(f"location /{'a/' * at}events {{ {_STREAM}\n" for at in range(deep)) + "}" * deep
    servers = max(1, size // len(one))
    return {
        "nginx.conf": _in_http(
            "".join(f"server {{ server_name s{at}; {one} }}\n" for at in range(servers))
        )
    }


@_shape("nginx.conf", name="prefixes-growing")
def _prefixes_growing(size: int) -> Files:
    """Each prefix is one character longer than the one before."""
    number = max(2, int((2 * size) ** 0.5) - 40)
    return {
        "nginx.conf": _in_server(
            "".join(f"location /{'a' * at} {{ {_STREAM} }}\n" for at in range(number))
        )
    }


@_shape("nginx.conf", name="regex-growing")
def _regex_growing(size: int) -> Files:
    number = max(2, int((2 * size) ** 0.5) - 40)
    return {
        "nginx.conf": _in_server(
            "".join(f"location ~ ^/{'a' * at} {{ {_STREAM} }}\n" for at in range(number))
        )
    }


@_shape("nginx.conf", name="includes")
def _includes(size: int) -> Files:
    """One small file, included in many places."""
    files = _main(size, "location /a{0}/events { include p.conf; } ")
    return {**files, "p.conf": _STREAM}


@_shape("nginx.conf", name="includes-findings")
def _includes_findings(size: int) -> Files:
    """A file with findings that many servers include."""
    piece = "server { listen 80; server_name s{0}.example; include p.conf; } "
    return {**_main(size, piece, _in_http), "p.conf": _LOCATION + "location /x { proxy_pass a; }"}


@_shape("nginx.conf", name="includes-absent")
def _includes_absent(size: int) -> Files:
    return _main(size, "location /a{0}/events { include /nowhere/p{0}.conf; " + _STREAM + " }\n")


@_shape("nginx.conf", name="includes-absent-one")
def _includes_absent_one(size: int) -> Files:
    return _main(size, "include /nowhere/p.conf;\n")


@_shape("nginx.conf", name="included-files")
def _included_files(size: int) -> Files:
    """Many files in a folder that one pattern includes."""
    one = "location /a{0}/events { " + _STREAM + " }\n"
    number = max(1, size // 400)
    parts = {f"conf.d/{at}.conf": one.replace("{0}", str(at)) for at in range(number)}
    return {"nginx.conf": _in_server("include conf.d/*.conf;"), **parts}


@_shape(".", name="folder")
def _folder(size: int) -> Files:
    """Many main files in one folder."""
    number = max(1, size // 2000)
    return {
        f"d{at}/nginx.conf": _in_server(_LOCATION.replace("{0}", str(at))) for at in range(number)
    }


@_shape(".", name="folder-flat")
def _folder_flat(size: int) -> Files:
    number = max(1, size // 2000)
    return {
        f"s{at}.conf": f"server {{ listen 80; {_LOCATION.replace('{0}', str(at))} }}"
        for at in range(number)
    }


@_shape(".", name="folder-others")
def _folder_others(size: int) -> Files:
    number = max(1, size // 1000)
    return {
        "nginx.conf": _in_server("include /etc/nginx/x/*.conf; include /etc/y.conf;" + _LOCATION),
        **{f"x{at}/y{at}.conf": "a" for at in range(number)},
    }


@_shape(".", name="folder-overrides")
def _folder_overrides(size: int) -> Files:
    """A hundred overrides in the settings, and a growing number of files."""
    number = max(1, size // 400)
    rows = "".join(
        f"  - paths: ['d{at}/**']\n    min_read_timeout: {at + 60}s\n" for at in range(100)
    )
    return {
        ".nginx-stream-lint.yaml": f"overrides:\n{rows}",
        **{
            f"d{at}/nginx.conf": _in_server(_LOCATION.replace("{0}", str(at)))
            for at in range(number)
        },
    }


@_shape("nginx.conf", name="overrides-and-locations")
def _overrides_and_locations(size: int) -> Files:
    rows = _filled(size // 2, lambda at: f"  - paths: ['d{at}/**']\n    min_read_timeout: 60s\n")
    return {
        **_main(size // 2, _LOCATION + "\n"),
        ".nginx-stream-lint.yaml": f"overrides:\n{rows}",
    }


@_shape("nginx.conf", name="settings-streams")
def _settings_streams(size: int) -> Files:
    rows = _filled(size, lambda at: f"  - path: /a{at}/events\n    kind: sse\n")
    return {
        "nginx.conf": _in_server(f"location / {{ {_STREAM} }}"),
        ".nginx-stream-lint.yaml": f"streams:\n{rows}",
    }


@_shape("nginx.conf", name="settings-keys")
def _settings_keys(size: int) -> Files:
    rows = _filled(size, lambda at: f"key{at}: 1\n")
    return {"nginx.conf": _in_server(_LOCATION), ".nginx-stream-lint.yaml": rows}


@_shape("nginx.conf", name="settings-toml")
def _settings_toml(size: int) -> Files:
    rows = _filled(size, lambda at: f"[tool.other.t{at}]\nkey{at} = [1, 2, 3]\n")
    return {
        "nginx.conf": _in_server(_LOCATION),
        "pyproject.toml": f"{rows}\n[tool.nginx-stream-lint]\nfail_on = 'error'\n",
    }


@_shape("nginx.conf", name="settings-toml-arrays")
def _settings_toml_arrays(size: int) -> Files:
    rows = _filled(size, lambda at: f"[[tool.nginx-stream-lint.streams]]\npath = '/a{at}'\n")
    return {"nginx.conf": _in_server(f"location / {{ {_STREAM} }}"), "pyproject.toml": rows}


@_shape("dump.txt", name="dump-files")
def _dump_files(size: int) -> Files:
    parts = _filled(
        size,
        lambda at: (
            f"# configuration file /etc/nginx/conf.d/{at}.conf:\n"
            f"server {{ server_name s{at}; {_LOCATION} }}\n\n"
        ),
    )
    main = _in_http("include /etc/nginx/conf.d/*.conf;")
    return {"dump.txt": f"# configuration file /etc/nginx/nginx.conf:\n{main}\n{parts}"}


def _yaml(name: str, piece: str, head: str = "", *arguments: str) -> None:
    SHAPES[name] = Shape(
        lambda size: {"a.yaml": head + _filled(size, lambda at: piece.replace("{0}", str(at)))},
        ("a.yaml", *arguments),
    )


_ONE = _INGRESS.replace("{{", "{").replace("}}", "}")
_BACKEND = "{service: {name: app{0}, port: {number: 80}}}"
_HEAD, _, _ = _ONE.replace("{0}", "").partition("  rules:\n")
_RULE = f"""\
    - host: app{{0}}.example.com
      http:
        paths:
          - {{path: /events, pathType: Prefix, backend: {_BACKEND}}}
"""
_yaml("ingresses", f"---\n{_ONE}")
_yaml("ingresses-json", f"---\n{_ONE}", "", "--format", "json")
_yaml("ingresses-fix", f"---\n{_ONE}", "", "--fix", "--unsafe-fixes")
_yaml(
    "ingresses-one-host",
    "---\n"
    + _ONE.replace("app{0}.example.com", "one.example.com").replace("/events", "/{0}/events"),
)
_yaml("ingresses-one-path", "---\n" + _ONE.replace("app{0}.example.com", "one.example.com"))
_yaml("ingresses-one-service", "---\n" + _ONE.replace("name: app{0}, port", "name: app, port"))
_yaml("ingress-rules", _RULE, _HEAD + "  rules:\n")
_yaml(
    "ingress-paths",
    f"          - {{path: /a{{0}}/events, pathType: Prefix, backend: {_BACKEND}}}\n",
    _HEAD + "  rules:\n    - host: a.example\n      http:\n        paths:\n",
)
_yaml(
    "ingress-paths-regex",
    f"          - {{path: /a{{0}}/(events|x), pathType:"
    f" ImplementationSpecific, backend: {_BACKEND}}}\n",
    _HEAD.replace("proxy-buffer-size: 8k", "use-regex: 'true'")
    + "  rules:\n    - host: a.example\n      http:\n        paths:\n",
)
_GATEWAY = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web}
spec:
  gatewayClassName: nginx
  listeners:
    - {name: http, port: 80, protocol: HTTP}
    - {name: https, port: 443, protocol: HTTPS}
"""
_ROUTE = """\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: app{0}}
spec:
  parentRefs: [{name: web}]
  hostnames: [app{0}.example.com]
  rules:
    - matches: [{path: {type: PathPrefix, value: /events}}]
      backendRefs: [{name: app{0}, port: 80}]
"""
_POLICY = """\
---
apiVersion: gateway.nginx.org/v1alpha1
kind: ProxySettingsPolicy
metadata: {name: policy{0}}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: app{0}}]
  timeout: {read: 1h}
"""
_SAME = _ROUTE.replace("app{0}.example", "one.example")
_RULES, _, _ = _ROUTE.replace("{0}", "").partition("    - matches")
_yaml("routes", _ROUTE, _GATEWAY)
_yaml("routes-fix", _ROUTE, _GATEWAY, "--fix", "--unsafe-fixes")
_yaml("routes-policies", _ROUTE + _POLICY, _GATEWAY)
_yaml("routes-one-policy", _ROUTE + _POLICY.replace("name: app{0}", "name: app"), _GATEWAY)
_yaml("routes-one-host", _SAME.replace("/events", "/{0}/events"), _GATEWAY)
_yaml("routes-one-path", _SAME, _GATEWAY)
_yaml("routes-one-name", _ROUTE.replace("app{0}}", "app}"), _GATEWAY)
_yaml("routes-and-ingresses", f"{_ROUTE}---\n{_ONE}", _GATEWAY)
_yaml("gateways", f"---\n{_GATEWAY.replace('web', 'web{0}')}{_ROUTE.replace('web', 'web{0}')}")
_yaml("gateways-one-name", f"---\n{_GATEWAY}{_ROUTE}")
_yaml(
    "route-rules",
    "    - matches: [{path: {value: /a{0}/events}}]\n"
    "      backendRefs: [{name: app{0}, port: 80}]\n",
    f"{_GATEWAY}{_RULES}",
)
_yaml(
    "route-matches",
    "        - {path: {value: /a/events}, headers: [{name: v, value: v{0}}]}\n",
    f"{_GATEWAY}{_RULES}    - backendRefs: [{{name: app, port: 80}}]\n      matches:\n",
)
_yaml(
    "route-hosts",
    "    - app{0}.example.com\n",
    _GATEWAY
    + _ROUTE.replace("  hostnames: [app{0}.example.com]\n", "").replace("{0}", "")
    + "  hostnames:\n",
)
_yaml(
    "ingress-annotations",
    "    nginx.ingress.kubernetes.io/a{0}: b\n",
    """\
apiVersion: networking.k8s.io/v1
kind: Ingress
spec:
  ingressClassName: nginx
  rules:
    - host: a.example
      http:
        paths:
          - path: /events
            pathType: Prefix
            backend: {service: {name: a, port: {number: 80}}}
metadata:
  name: a
  annotations:
    nginx.ingress.kubernetes.io/proxy-buffer-size: 8k
""",
)
_yaml(
    "ingress-snippet",
    "      add_header X-A{0} b;\n",
    """\
apiVersion: networking.k8s.io/v1
kind: Ingress
spec:
  ingressClassName: nginx
  rules:
    - host: a.example
      http:
        paths:
          - path: /events
            pathType: Prefix
            backend: {service: {name: a, port: {number: 80}}}
metadata:
  name: a
  annotations:
    nginx.ingress.kubernetes.io/configuration-snippet: |
""",
)
_yaml(
    "ingress-comments-paths",
    "    # an events stream {0}\n",
    _HEAD
    + "  rules:\n    - host: a.example\n      http:\n        paths:\n"
    + "".join(
        f"          - {{path: /a{at}, pathType: Prefix, backend: {_BACKEND}}}\n"
        for at in range(300)
    )
    + "---\nmetadata:\n  annotations:\n    a: b\n",
)
_yaml(
    "ingress-tls",
    "    - hosts: [a{0}.example]\n",
    _HEAD
    + """\
  rules:
    - host: a0.example
      http:
        paths:
          - path: /events
            pathType: Prefix
            backend: {service: {name: a, port: {number: 80}}}
  tls:
""",
)
_yaml(
    "config-map-keys",
    '  key{0}: "8k"\n',
    f"{_ONE.replace('{0}', '')}---\napiVersion: v1\nkind: ConfigMap\n"
    "metadata: {name: ingress-nginx-controller}\ndata:\n",
)
_yaml(
    "config-map-files",
    "  a{0}.conf: |\n    server { " + _LOCATION + " }\n",
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n",
)
_yaml(
    "config-map-one-file",
    "      " + _LOCATION + "\n",
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  nginx.conf: |\n"
    "    events {}\n    http { server {\n",
)
_yaml(
    "config-maps",
    "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a{0}}\ndata:\n"
    "  a.conf: |\n    server { " + _LOCATION + " }\n",
)
_yaml(
    "config-maps-quoted",
    "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a{0}}\ndata:\n"
    '  a.conf: "server { location /a{0}/events {\\n proxy_pass http://a; }}"\n',
)
_yaml(
    "config-map-quoted-long",
    "location /a{0}/events {\\n proxy_pass http://a; } ",
    'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  nginx.conf: "events {}'
    " http { server { ",
)
_yaml("documents", "---\na: {0}\n", _ONE.replace("{0}", ""))
_yaml(
    "services",
    "---\napiVersion: v1\nkind: Service\nmetadata: {name: s{0}}\nspec: {ports: [{port: 80}]}\n",
    _ONE.replace("{0}", ""),
)
_yaml(
    "virtual-servers",
    """\
---
apiVersion: k8s.nginx.org/v1
kind: VirtualServer
metadata: {name: v{0}}
spec:
  host: v{0}.example
  upstreams: [{name: a, service: a, port: 80}]
  routes: [{path: /events, action: {pass: a}}]
""",
)
_yaml(
    "virtual-server-routes",
    "    - {path: /a{0}/events, action: {pass: a}}\n",
    """\
apiVersion: k8s.nginx.org/v1
kind: VirtualServer
metadata: {name: v}
spec:
  host: v.example
  upstreams: [{name: a, service: a, port: 80}]
  routes:
""",
)
_yaml("yaml-anchors", "a{0}: &a{0} [b]\nc{0}: *a{0}\n", _ONE.replace("{0}", "") + "---\n")
_yaml("yaml-flow", "{a: {0}}, ", _ONE.replace("{0}", "") + "---\nx: [")
_yaml("yaml-helm", "{{- if .Values.a{0} }}\n# {0}\n{{- end }}\n", _ONE.replace("{0}", ""))
_yaml("yaml-helm-ingresses", "---\n" + _ONE.replace("{0}", "-{{ .Values.a{0} }}"))
_yaml(
    "ingress-list",
    "  - " + _ONE.replace("\n", "\n    ").rstrip() + "\n",
    "apiVersion: v1\nkind: List\nitems:\n",
)


def _template(name: str, piece: str, file: str = "nginx.conf.j2") -> None:
    SHAPES[name] = Shape(
        lambda size: {file: _in_server(_filled(size, lambda at: piece.replace("{0}", str(at))))},
        (file,),
    )


_template("jinja-ifs", "{% if a{0} %}\n" + _LOCATION + "\n{% endif %}\n")
_template("jinja-ifs-line", "{% if a{0} %} " + _LOCATION + " {% endif %} ")
_template(
    "jinja-else", "{% if a{0} %}\n" + _LOCATION + "\n{% else %}\n" + _LOCATION + "\n{% endif %}\n"
)
_template("jinja-loops", "{% for a in b{0} %}\n" + _LOCATION + "\n{% endfor %}\n")
_template("jinja-values", "location /{{ a{0} }}/events { proxy_pass http://{{ b{0} }}; } ")
_template("jinja-values-rows", "location /{{ a{0} }}/events { proxy_pass http://{{ b{0} }}; }\n")
_template("jinja-comments", "{# a{0} #}\n")
_template("jinja-open", "{% if a{0} %}\n")
_template("jinja-statements", "{{ a{0} }}\n")
_template("jinja-unclosed", "{{ a{0} ")
_template("go", "{{ if .a{0} }}\n" + _LOCATION + "\n{{ end }}\n", "nginx.conf.tmpl")
_template("erb", "<% if @a{0} %>\n" + _LOCATION + "\n<% end %>\n", "nginx.conf.erb")
_template("terraform", "%{ if a{0} }\n" + _LOCATION + "\n%{ endif }\n", "nginx.conf.tftpl")
_template(
    "envsubst", "location /${A{0}}/events { proxy_pass http://${B{0}}; } ", "nginx.conf.template"
)
_template("markers", "location /@A{0}@/events { proxy_pass http://__B{0}__; } ", "nginx.conf.in")


@_shape("a.md", "--markdown", name="markdown")
def _markdown(size: int) -> Files:
    block = "Text.\n\n```nginx\nserver { " + _LOCATION + "}\n```\n\n"
    return {"a.md": _filled(size, lambda at: block.replace("{0}", str(at)))}


@_shape("a.md", "--markdown", name="markdown-fences")
def _markdown_fences(size: int) -> Files:
    return {"a.md": _filled(size, lambda at: f"{'`' * (3 + at % 40)}nginx\n")}


@_shape("explain", "nginx.conf", "/a1/events", name="explain")
def _explain(size: int) -> Files:
    return _main(size, _LOCATION)


@_shape("explain", "nginx.conf", "/a1/events", name="explain-loose")
def _explain_loose(size: int) -> Files:
    return _main(size, "location ~ a{0}.*events$ { " + _STREAM + " }\n")


@_shape("explain", "nginx.conf", "/a1/events", name="explain-rewrites")
def _explain_rewrites(size: int) -> Files:
    return _main(
        size,
        "rewrite ^/a1(.*)$ /a1$1;\n",
        lambda text: _in_server(f"{text} location /a1 {{ {_STREAM} }}"),
    )


def write(files: Files, folder: Path) -> None:
    """Write the texts of a shape."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")


def _measured(arguments: Sequence[str], folder: Path, seconds: int) -> tuple[int, float, float]:
    """The exit status, the processor time in seconds and the peak memory in MB of one run."""
    child = os.fork()
    if not child:
        os.chdir(folder)
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        os.execv(sys.executable, [sys.executable, "-m", "nginx_stream_lint", *arguments])
    _, status, used = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def _rows(names: Sequence[str], size: int, times: int, seconds: int) -> Iterator[str]:
    for name, shape in SHAPES.items():
        if names and name not in names:
            continue
        cells: list[str] = []
        status = 0
        for doubled in range(times):
            with tempfile.TemporaryDirectory() as folder:
                files = shape.files(size << doubled)
                write(files, Path(folder))
                status, used, peak = _measured(shape.arguments, Path(folder), seconds)
            cells.append(f"{used:6.2f} s {peak:5.0f} MB")
        yield f"{name:28} {'  '.join(cells)}  status {status}"


def main() -> None:
    """Measure each shape, or the named ones, at a size and at its doubles."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--bytes", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=60)
    given = parser.parse_args()
    for row in _rows(given.names, given.bytes, given.times, given.seconds):
        print(row, flush=True)


if __name__ == "__main__":
    main()
