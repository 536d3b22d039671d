"""What is in force where, against real nginx: what the app and the client really get."""

from __future__ import annotations

import asyncio
from pathlib import Path

from nginx_stream_lint.config import read
from nginx_stream_lint.nginx.levels import Level, build
from nginx_stream_lint.nginx.versions import OLD
from nginx_stream_lint.probe import Drip, DrippingUpstream, Nginx, NginxBinary, fetch, free_ports

LISTS = """
events {}
http {
    proxy_set_header X-One http;
    proxy_set_header X-Two http;
    add_header X-Up http;
    server {
        listen 127.0.0.1:PLAIN;
        add_header X-Up server;
        location /inherits { proxy_pass http://127.0.0.1:UPSTREAM; }
        location /drops {
            proxy_set_header X-Three location;
            add_header X-Down location;
            proxy_pass http://127.0.0.1:UPSTREAM;
        }
        location /outer/ {
            proxy_set_header X-One outer;
            proxy_pass http://127.0.0.1:UPSTREAM;
            location /outer/inner { proxy_pass http://127.0.0.1:UPSTREAM; }
            location /outer/unhandled { }
        }
        location /if {
            proxy_set_header X-One location;
            proxy_pass http://127.0.0.1:UPSTREAM;
            if ($arg_more) { add_header X-If yes; }
        }
        location /except {
            proxy_set_header X-One location;
            proxy_pass http://127.0.0.1:UPSTREAM;
            limit_except POST { allow all; }
        }
        location /included { include inner.conf; }
        location /named { try_files /nothing @app; }
        location @app { proxy_pass http://127.0.0.1:UPSTREAM; }
    }
}
"""
INNER = "proxy_set_header X-One included;\nproxy_pass http://127.0.0.1:UPSTREAM;\n"

# URI: the level that handles it
HANDLED_BY = {
    "/inherits": "location /inherits",
    "/drops": "location /drops",
    "/outer/inner": "location /outer/inner",
    "/if": "location /if",
    "/if?more=1": "if ($arg_more)",
    "/except": "limit_except POST",
    "/included": "location /included",
    "/named": "location @app",
}


def level_named(root: Level, label: str) -> Level:
    """The level with this label."""
    return next(level for level in root.walk() if level.label == label)


def rows(level: Level, name: str, binary: NginxBinary) -> set[tuple[str, str]]:
    """The `X-` rows in force, as (lower-case name, value)."""
    effective = level.effective(name, binary.version)
    return {(row[0].lower(), row[1]) for row in effective.rows if row[0].startswith("X-")}


def write(folder: Path, text: str, plain: int, upstream: int) -> Path:
    """The configuration on disk, with its ports."""

    def filled(source: str) -> str:
        return source.replace("PLAIN", str(plain)).replace("UPSTREAM", str(upstream))

    (folder / "inner.conf").write_text(filled(INNER))
    main = folder / "as-written.conf"
    main.write_text(filled(text))
    return main


async def compare(binary: NginxBinary, folder: Path, text: str, uris: dict[str, str]) -> None:
    (plain,) = free_ports(1)
    async with DrippingUpstream() as upstream:
        main = write(folder, text, plain, upstream.ports["http"])
        configuration = read(str(main))
        assert configuration.problems == []
        root = build(configuration)
        async with Nginx(binary, main.read_text(), folder):
            for number, (uri, label) in enumerate(uris.items()):
                level = level_named(root, label)
                assert level.handler is not None
                name = f"levels-{number}"
                drip = Drip(tokens=1).named(name)
                headers = [("X-Drip", drip.encode())]
                answer = await fetch(plain, uri, "h1", headers=headers)
                assert answer.status == 200, uri
                (seen,) = upstream.find(name)
                got = {(k, v) for k, v in seen.headers.items() if k.startswith("x-")}
                got.discard(("x-drip", drip.encode()))
                assert got == rows(level, "proxy_set_header", binary), uri
                sent = {(k, v) for k, v in answer.headers.items() if k.startswith("x-")}
                assert sent == rows(level, "add_header", binary), uri


def test_lists_and_handlers(binary: NginxBinary, tmp_path: Path) -> None:
    asyncio.run(asyncio.wait_for(compare(binary, tmp_path, LISTS, HANDLED_BY), 30))


def test_nested_locations_do_not_inherit_the_handler(tmp_path: Path) -> None:
    root = build(read(str(write(tmp_path, LISTS, 80, 8000))))
    assert level_named(root, "location /outer/unhandled").handler is None


INHERIT = """
events {}
http {
    add_header X-Up http;
    server {
        listen 127.0.0.1:PLAIN;
        location /on { add_header X-Down on; proxy_pass http://127.0.0.1:UPSTREAM; }
        location /merge {
            add_header X-Down merge;
            add_header_inherit merge;
            proxy_pass http://127.0.0.1:UPSTREAM;
        }
        location /off { add_header_inherit off; proxy_pass http://127.0.0.1:UPSTREAM; }
    }
}
"""


def test_add_header_inherit(binaries: dict[str, NginxBinary], tmp_path: Path) -> None:
    uris = {f"/{word}": f"location /{word}" for word in ("on", "merge", "off")}
    asyncio.run(asyncio.wait_for(compare(binaries["new"], tmp_path, INHERIT, uris), 30))


def effective_text(text: str, label: str, name: str, folder: Path) -> tuple[str, str, int]:
    """Value, origin and depth of a directive at a level of a configuration."""
    main = folder / "nginx.conf"
    main.write_text(text)
    level = level_named(build(read(str(main))), label)
    effective = level.effective(name, OLD)
    return effective.text, effective.origin, effective.depth


def test_origins(tmp_path: Path) -> None:
    text = """
    events {} http { proxy_buffering off; server {
        location /a { proxy_pass http://x; }
        location /b { proxy_buffering on; proxy_pass http://x; location /b/c { gzip on; } }
    } }"""
    assert effective_text(text, "location /a", "proxy_buffering", tmp_path) == (
        "off",
        "inherited",
        2,
    )
    assert effective_text(text, "location /b", "proxy_buffering", tmp_path) == ("on", "explicit", 0)
    assert effective_text(text, "location /b/c", "proxy_buffering", tmp_path) == (
        "on",
        "inherited",
        1,
    )
    assert effective_text(text, "location /b/c", "proxy_read_timeout", tmp_path) == (
        "60s",
        "default",
        0,
    )


def test_defaults_by_version(tmp_path: Path) -> None:
    main = tmp_path / "nginx.conf"
    main.write_text("events {} http { server { location / { proxy_pass http://x; } } }")
    level = level_named(build(read(str(main))), "location /")
    assert level.effective("proxy_http_version", (1, 29, 6)).text == "1.0"
    assert level.effective("proxy_http_version", (1, 29, 7)).text == "1.1"


def test_repeated_array_directives_add_up(tmp_path: Path) -> None:
    text = """events {} http { server { location / {
        proxy_ignore_headers Expires; proxy_ignore_headers X-Accel-Buffering;
        proxy_pass http://x; } } }"""
    value, _, _ = effective_text(text, "location /", "proxy_ignore_headers", tmp_path)
    assert value == "Expires X-Accel-Buffering"
