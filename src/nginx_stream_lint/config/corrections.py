"""Where crossplane's table of directives is stricter or older than nginx.

Each row gives a directive's masks by nginx's own flag names (without `NGX_` and `_CONF`), as the
command tables in nginx's source have them. Directives missing from both tables are let pass: they
belong to modules that only the user's nginx knows.
"""

from __future__ import annotations

from types import ModuleType

_HTTP = "HTTP_MAIN HTTP_SRV HTTP_LOC"
_STREAM = "STREAM_MAIN STREAM_SRV"
_MAIL = "MAIL_MAIN MAIL_SRV"

# Accepted by nginx in more contexts or with other arguments than crossplane allows.
_WIDER: dict[str, tuple[str, ...]] = {
    "include": (
        f"MAIN EVENT {_HTTP} HTTP_UPS HTTP_SIF HTTP_LIF HTTP_LMT TAKE1",
        f"{_STREAM} STREAM_UPS {_MAIL} TAKE1",
    ),
    "keepalive": ("HTTP_UPS TAKE12",),
    "proxy_protocol": (f"{_MAIL} FLAG", f"{_STREAM} FLAG", f"{_STREAM} TAKE1"),
    "resolver": ("HTTP_UPS STREAM_UPS 1MORE",),
    "resolver_timeout": ("HTTP_UPS STREAM_UPS TAKE1",),
    "server_name": ("STREAM_SRV 1MORE",),
    "server_names_hash_bucket_size": ("STREAM_MAIN TAKE1",),
    "server_names_hash_max_size": ("STREAM_MAIN TAKE1",),
    "set": ("STREAM_SRV TAKE2",),
    "set_real_ip_from": (f"{_MAIL} TAKE1",),
    "ssl_stapling": (f"{_STREAM} FLAG",),
    "ssl_stapling_file": (f"{_STREAM} TAKE1",),
    "ssl_stapling_responder": (f"{_STREAM} TAKE1",),
    "ssl_stapling_verify": (f"{_STREAM} FLAG",),
}

# nginx's own, unknown to crossplane.
_NEWER: dict[str, tuple[str, ...]] = {
    "add_header_inherit": (f"{_HTTP} HTTP_LIF TAKE1",),
    "add_trailer_inherit": (f"{_HTTP} HTTP_LIF TAKE1",),
    "auth_delay": (f"{_HTTP} TAKE1",),
    "early_hints": (f"{_HTTP} 1MORE",),
    "http2": ("HTTP_MAIN HTTP_SRV FLAG",),
    "http3": ("HTTP_MAIN HTTP_SRV FLAG",),
    "http3_hq": ("HTTP_MAIN HTTP_SRV FLAG",),
    "keepalive_min_timeout": (f"{_HTTP} TAKE1",),
    "keepalive_time": (f"{_HTTP} HTTP_UPS TAKE1",),
    "max_headers": ("HTTP_MAIN HTTP_SRV TAKE1",),
    "pass": ("STREAM_SRV TAKE1",),
    "proxy_cookie_flags": (f"{_HTTP} TAKE1 TAKE2 TAKE3 TAKE4",),
    "proxy_half_close": (f"{_STREAM} FLAG",),
    "proxy_pass_trailers": (f"{_HTTP} FLAG",),
    "ssl_alpn": (f"{_STREAM} 1MORE",),
    "ssl_conf_command": (f"HTTP_MAIN HTTP_SRV {_STREAM} {_MAIL} TAKE2",),
    "ssl_reject_handshake": (f"HTTP_MAIN HTTP_SRV {_STREAM} FLAG",),
}


def corrected(analyzer: ModuleType) -> dict[str, list[int]]:
    """crossplane's table (`crossplane.analyzer.DIRECTIVES`) with nginx's rows added."""

    def mask(row: str) -> int:
        bits = 0
        for flag in row.split():
            is_style = flag.startswith("TAKE") or flag in ("FLAG", "1MORE")
            bits |= getattr(analyzer, f"NGX_CONF_{flag}" if is_style else f"NGX_{flag}_CONF")
        return bits

    table: dict[str, list[int]] = {
        # njs changes its directives with every release; what crossplane knows of them is stale.
        name: masks
        for name, masks in analyzer.DIRECTIVES.items()
        if not name.startswith("js_")
    }
    for name, rows in (_WIDER | _NEWER).items():
        table[name] = table.get(name, []) + [mask(row) for row in rows]
    return table
