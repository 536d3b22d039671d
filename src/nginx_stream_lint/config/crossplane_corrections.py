"""Corrections to crossplane's table of directives, which is stricter or older than nginx.

Each row has a directive's masks by nginx's own flag names (without `NGX_` and `_CONF`), as in the
command tables of nginx's source. Directives missing from both tables are accepted: they belong to
third-party modules.
"""

from __future__ import annotations

from functools import cache
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
    "proxy_protocol": (f"{_MAIL} TAKE1", f"{_MAIL} FLAG", f"{_STREAM} FLAG", f"{_STREAM} TAKE1"),
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

# nginx's own directives that crossplane lacks.
_NEWER: dict[str, tuple[str, ...]] = {
    "add_header_inherit": (f"{_HTTP} HTTP_LIF TAKE1",),
    "add_trailer_inherit": (f"{_HTTP} HTTP_LIF TAKE1",),
    "auth_delay": (f"{_HTTP} TAKE1",),
    "client_body_early_read": ("HTTP_MAIN HTTP_SRV 1MORE",),
    "degradation": ("HTTP_MAIN TAKE1",),
    "degrade": (f"{_HTTP} TAKE1",),
    "devpoll_changes": ("EVENT TAKE1",),
    "devpoll_events": ("EVENT TAKE1",),
    "early_hints": (f"{_HTTP} 1MORE",),
    "epoll_events": ("EVENT TAKE1",),
    "eventport_events": ("EVENT TAKE1",),
    "fastcgi_socket_rcvbuf": (f"{_HTTP} TAKE1",),
    "fastcgi_socket_sndbuf": (f"{_HTTP} TAKE1",),
    "grpc_socket_rcvbuf": (f"{_HTTP} TAKE1",),
    "grpc_socket_sndbuf": (f"{_HTTP} TAKE1",),
    "grpc_ssl_certificate_cache": (f"{_HTTP} TAKE1 TAKE2 TAKE3",),
    "grpc_ssl_conf_command": (f"{_HTTP} TAKE2",),
    "gzip_hash": (f"{_HTTP} TAKE1",),
    "gzip_no_buffer": (f"{_HTTP} FLAG",),
    "gzip_window": (f"{_HTTP} TAKE1",),
    "http2": ("HTTP_MAIN HTTP_SRV FLAG",),
    "http2_pool_size": ("HTTP_MAIN HTTP_SRV TAKE1",),
    "http2_streams_index_size": ("HTTP_MAIN HTTP_SRV TAKE1",),
    "http3": ("HTTP_MAIN HTTP_SRV FLAG",),
    "http3_hq": ("HTTP_MAIN HTTP_SRV FLAG",),
    "http3_max_concurrent_streams": ("HTTP_MAIN HTTP_SRV TAKE1",),
    "http3_stream_buffer_size": ("HTTP_MAIN HTTP_SRV TAKE1",),
    "keepalive_min_timeout": (f"{_HTTP} TAKE1",),
    "keepalive_time": (f"{_HTTP} HTTP_UPS TAKE1",),
    "kqueue_changes": ("EVENT TAKE1",),
    "kqueue_events": ("EVENT TAKE1",),
    "max_errors": (f"{_MAIL} TAKE1",),
    "max_headers": ("HTTP_MAIN HTTP_SRV TAKE1",),
    "mp4_start_key_frame": (f"{_HTTP} FLAG",),
    "open_file_cache_events": (f"{_HTTP} FLAG",),
    "pass": ("STREAM_SRV TAKE1",),
    "post_action": (f"{_HTTP} HTTP_LIF TAKE1",),
    "postpone_gzipping": (f"{_HTTP} TAKE1",),
    "proxy": (f"{_MAIL} FLAG",),
    "proxy_cookie_flags": (f"{_HTTP} TAKE1 TAKE2 TAKE3 TAKE4",),
    "proxy_downstream_buffer": (f"{_STREAM} TAKE1",),
    "proxy_half_close": (f"{_STREAM} FLAG",),
    "proxy_pass_trailers": (f"{_HTTP} FLAG",),
    "proxy_smtp_auth": (f"{_MAIL} FLAG",),
    "proxy_socket_rcvbuf": (f"{_HTTP} TAKE1", f"{_STREAM} TAKE1"),
    "proxy_socket_sndbuf": (f"{_HTTP} TAKE1", f"{_STREAM} TAKE1"),
    "proxy_ssl_alpn": (f"{_STREAM} 1MORE",),
    "proxy_ssl_certificate_cache": (f"{_HTTP} TAKE1 TAKE2 TAKE3", f"{_STREAM} TAKE1 TAKE2 TAKE3"),
    "proxy_ssl_conf_command": (f"{_HTTP} TAKE2", f"{_STREAM} TAKE2"),
    "proxy_upstream_buffer": (f"{_STREAM} TAKE1",),
    "quic_active_connection_id_limit": ("HTTP_MAIN HTTP_SRV TAKE1",),
    "quic_bpf": ("MAIN FLAG",),
    "quic_gso": ("HTTP_MAIN HTTP_SRV FLAG",),
    "quic_host_key": ("HTTP_MAIN HTTP_SRV TAKE1",),
    "quic_retry": ("HTTP_MAIN HTTP_SRV FLAG",),
    "scgi_socket_rcvbuf": (f"{_HTTP} TAKE1",),
    "scgi_socket_sndbuf": (f"{_HTTP} TAKE1",),
    "ssi_ignore_recycled_buffers": (f"{_HTTP} FLAG",),
    "ssl_alpn": (f"{_STREAM} 1MORE",),
    "ssl_certificate_cache": (
        "HTTP_MAIN HTTP_SRV TAKE1 TAKE2 TAKE3",
        f"{_STREAM} TAKE1 TAKE2 TAKE3",
    ),
    "ssl_certificate_compression": (f"HTTP_MAIN HTTP_SRV {_STREAM} {_MAIL} FLAG",),
    "ssl_conf_command": (f"HTTP_MAIN HTTP_SRV {_STREAM} {_MAIL} TAKE2",),
    "ssl_ech_file": ("HTTP_MAIN HTTP_SRV TAKE1", f"{_STREAM} TAKE1"),
    "ssl_object_cache_inheritable": ("MAIN FLAG",),
    "ssl_ocsp": ("HTTP_MAIN HTTP_SRV TAKE1", f"{_STREAM} TAKE1"),
    "ssl_ocsp_cache": ("HTTP_MAIN HTTP_SRV TAKE1", f"{_STREAM} TAKE1"),
    "ssl_ocsp_responder": ("HTTP_MAIN HTTP_SRV TAKE1", f"{_STREAM} TAKE1"),
    "ssl_reject_handshake": (f"HTTP_MAIN HTTP_SRV {_STREAM} FLAG",),
    "tunnel_bind": (f"{_HTTP} TAKE12",),
    "tunnel_buffer_size": (f"{_HTTP} TAKE1",),
    "tunnel_connect_timeout": (f"{_HTTP} TAKE1",),
    "tunnel_next_upstream": (f"{_HTTP} 1MORE",),
    "tunnel_next_upstream_timeout": (f"{_HTTP} TAKE1",),
    "tunnel_next_upstream_tries": (f"{_HTTP} TAKE1",),
    "tunnel_pass": ("HTTP_SRV HTTP_LOC HTTP_LIF NOARGS", "HTTP_SRV HTTP_LOC HTTP_LIF TAKE1"),
    "tunnel_read_timeout": (f"{_HTTP} TAKE1",),
    "tunnel_send_lowat": (f"{_HTTP} TAKE1",),
    "tunnel_send_timeout": (f"{_HTTP} TAKE1",),
    "tunnel_socket_keepalive": (f"{_HTTP} FLAG",),
    "tunnel_socket_rcvbuf": (f"{_HTTP} TAKE1",),
    "tunnel_socket_sndbuf": (f"{_HTTP} TAKE1",),
    "userid_flags": (f"{_HTTP} TAKE1 TAKE2 TAKE3",),
    "uwsgi_socket_rcvbuf": (f"{_HTTP} TAKE1",),
    "uwsgi_socket_sndbuf": (f"{_HTTP} TAKE1",),
    "uwsgi_ssl_certificate_cache": (f"{_HTTP} TAKE1 TAKE2 TAKE3",),
    "uwsgi_ssl_conf_command": (f"{_HTTP} TAKE2",),
    "uwsgi_string": (f"{_HTTP} TAKE1",),
    "xml_external_entities": (f"{_HTTP} FLAG",),
}


def with_corrections(analyzer: ModuleType) -> dict[str, list[int]]:
    """crossplane's table (`crossplane.analyzer.DIRECTIVES`) with nginx's rows added."""

    @cache  # many rows are equal
    def mask(row: str) -> int:
        bits = 0
        for flag in row.split():
            is_style = flag.startswith("TAKE") or flag in ("FLAG", "1MORE", "NOARGS")
            bits |= getattr(analyzer, f"NGX_CONF_{flag}" if is_style else f"NGX_{flag}_CONF")
        return bits

    table: dict[str, list[int]] = {
        # njs changes its directives with every release, so crossplane's entries are outdated.
        name: masks
        for name, masks in analyzer.DIRECTIVES.items()
        if not name.startswith("js_")
    }
    for name, rows in (_WIDER | _NEWER).items():
        table[name] = table.get(name, []) + [mask(row) for row in rows]
    return table
