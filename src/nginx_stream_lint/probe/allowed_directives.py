"""The directives that a sandboxed copy may have, as an allow list, and reasons for all others.

An allowed directive affects the route of a request or the delivery of its response, and can neither
run code nor reach a file, a host or a process outside the sandbox. The copy omits all other
directives; the table of reasons is only for the report.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from nginx_stream_lint.nginx.directives import BUFFERING_FAMILIES

# Suffixes of the directives of every family that buffers.
_BUFFERING = """
    buffer_size buffering buffers busy_buffers_size cache cache_background_update cache_bypass
    cache_key cache_lock cache_lock_age cache_lock_timeout cache_max_range_offset cache_methods
    cache_revalidate cache_use_stale cache_valid connect_timeout force_ranges hide_header
    ignore_client_abort ignore_headers intercept_errors limit_rate max_temp_file_size next_upstream
    next_upstream_timeout next_upstream_tries no_cache pass_header pass_request_body read_timeout
    request_buffering send_timeout temp_file_write_size
"""
_OTHERS = """
    absolute_redirect add_after_body add_before_body add_header add_header_inherit add_trailer
    add_trailer_inherit addition_types ancient_browser ancient_browser_value auth_request_set
    brotli brotli_buffers brotli_comp_level brotli_min_length brotli_static brotli_types
    brotli_window break charset charset_types chunked_transfer_encoding client_body_buffer_size
    client_body_in_single_buffer client_body_timeout client_header_buffer_size
    client_header_timeout client_max_body_size default_type early_hints empty_gif etag expires
    fastcgi_catch_stderr fastcgi_index fastcgi_keep_conn fastcgi_param fastcgi_split_path_info
    grpc_buffer_size grpc_connect_timeout grpc_hide_header grpc_ignore_headers
    grpc_intercept_errors grpc_next_upstream grpc_next_upstream_timeout grpc_next_upstream_tries
    grpc_pass_header grpc_read_timeout grpc_send_timeout grpc_set_header gunzip gunzip_buffers
    gzip gzip_buffers gzip_comp_level gzip_disable gzip_http_version gzip_min_length gzip_proxied
    gzip_static gzip_types gzip_vary gzip_window http2_chunk_size if_modified_since
    ignore_invalid_headers internal keepalive_disable keepalive_min_timeout keepalive_requests
    keepalive_time keepalive_timeout large_client_header_buffers limit_rate limit_rate_after
    lingering_close lingering_time lingering_timeout map_hash_bucket_size map_hash_max_size
    max_headers max_ranges merge_slashes mirror_request_body modern_browser modern_browser_value
    msie_padding msie_refresh output_buffers override_charset port_in_redirect postpone_output
    proxy_cache_convert_head proxy_cookie_domain proxy_cookie_flags proxy_cookie_path
    proxy_headers_hash_bucket_size proxy_headers_hash_max_size proxy_http_version proxy_method
    proxy_pass_trailers proxy_redirect proxy_set_body proxy_set_header recursive_error_pages
    referer_hash_bucket_size referer_hash_max_size reset_timedout_connection return scgi_param
    secure_link secure_link_md5 secure_link_secret send_lowat send_timeout sendfile
    sendfile_max_chunk server_name server_name_in_redirect server_names_hash_bucket_size
    server_names_hash_max_size server_tokens set slice source_charset ssl_buffer_size
    ssl_reject_handshake stub_status sub_filter sub_filter_last_modified sub_filter_once
    sub_filter_types subrequest_output_buffer_size tcp_nodelay tcp_nopush types_hash_bucket_size
    types_hash_max_size underscores_in_headers uninitialized_variable_warn uwsgi_modifier1
    uwsgi_modifier2 uwsgi_param valid_referers variables_hash_bucket_size variables_hash_max_size
"""

# Allowed in http, server, location and blocks inside them, as written.
HTTP = frozenset(_OTHERS.split()) | {
    f"{family}_{name}" for family in BUFFERING_FAMILIES for name in _BUFFERING.split()
}
_UPSTREAM = """
    hash ip_hash keepalive keepalive_requests keepalive_time keepalive_timeout least_conn random
    sticky zone
"""
_STREAM = """
    map_hash_bucket_size map_hash_max_size preread_buffer_size preread_timeout proxy_buffer_size
    proxy_connect_timeout proxy_download_rate proxy_half_close proxy_next_upstream
    proxy_next_upstream_timeout proxy_next_upstream_tries proxy_requests proxy_responses
    proxy_timeout proxy_upload_rate return server_name server_names_hash_bucket_size
    server_names_hash_max_size set ssl_handshake_timeout ssl_preread ssl_reject_handshake
    tcp_nodelay variables_hash_bucket_size variables_hash_max_size
"""
UPSTREAM = frozenset(_UPSTREAM.split())
STREAM = frozenset(_STREAM.split())
STREAM_UPSTREAM = frozenset({"hash", "least_conn", "random", "zone"})

# Directives that name a URI, or a file below the root, which is empty. An argument with two dots is
# removed.
LEADS_TO_FILES = frozenset(
    {
        "add_after_body",
        "add_before_body",
        "auth_request",
        "error_page",
        "index",
        "mirror",
        "rewrite",
        "try_files",
    }
)
# Allowed directly in each kind of level (see `nginx.levels`), as written.
KEPT: dict[str, frozenset[str]] = {
    "main": frozenset(),
    "http": HTTP | LEADS_TO_FILES,
    "server": HTTP | LEADS_TO_FILES,
    "location": HTTP | LEADS_TO_FILES,
    "if-in-server": HTTP | LEADS_TO_FILES,
    "if-in-location": HTTP | LEADS_TO_FILES,
    "limit_except": HTTP | LEADS_TO_FILES,
    "upstream": UPSTREAM,
    "stream": STREAM,
    "stream-server": STREAM,
    "stream-upstream": STREAM_UPSTREAM,
}
# Blocks of rows, which nginx always reads as data.
DATA_BLOCKS = {
    "http": frozenset({"charset_map", "geo", "map", "split_clients", "types"}),
    "server": frozenset({"types"}),
    "location": frozenset({"types"}),
    "stream": frozenset({"geo", "map", "split_clients"}),
}


# No file can be below a device: if a URI, a variable or two dots are appended to this root, the
# kernel finds nothing there. The copy uses it for every `root`, `alias` and test for files.
NOWHERE = "/dev/null/nowhere"
# nginx's own test for files below such a root.
BELOW_ROOT = re.compile(
    r"\$(?:request_filename|document_root)(?!\w)|\$\{(?:request_filename|document_root)\}",
    re.IGNORECASE | re.ASCII,
)
# Variables that would reveal something about this machine, and their values in the copy.
MACHINE = re.compile(r"(\$\{?)(?=(?:hostname|pid|realpath_root)(?!\w))", re.IGNORECASE | re.ASCII)
MACHINE_RENAMED = "nsl_"
# Names of upstream groups and zones: nothing that is an address, a port or a path.
NAME = re.compile(r"[\w.-]{1,200}", re.ASCII)

_SIZE = re.compile(r"(\d{1,12})([kmg]?)", re.IGNORECASE)
_NUMBER = re.compile(r"\d+[kmg]?", re.IGNORECASE)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
# The most memory (bytes, or entries) that a directive may use: the product of its numbers.
_LARGEST = (
    (re.compile(r".*hash_bucket_size"), 1 << 16),
    (re.compile(r".*hash_max_size"), 1 << 20),
    (re.compile(r"keepalive"), 1 << 14),
    (re.compile(r".*(?:buffers?|buffers?_size|window|write_size)"), 1 << 26),
    (re.compile(r"http2_chunk_size|postpone_output|max_headers|max_ranges|slice"), 1 << 26),
)
LARGEST_WEIGHT = 1000


def too_large(name: str, args: Sequence[str]) -> bool:
    """Return whether a directive needs more memory than the probe allows."""
    limit = next((limit for names, limit in _LARGEST if names.fullmatch(name)), None)
    if limit is None:
        return False
    total = 1
    for arg in args:
        size = _SIZE.fullmatch(arg.rpartition("=")[2])
        if size is not None:
            total *= max(int(size[1]), 1) * _UNITS[size[2].lower()]
        elif _NUMBER.fullmatch(arg):
            return True
    return total > limit


class Reason(NamedTuple):
    """Why a directive is removed; `matters`: the measurement may differ because of it."""

    why: str
    matters: bool


_CODE = Reason("it runs code", True)
_ACCESS = Reason("it could reject the probe's requests", True)
_ITS_OWN_WAY = Reason("the probe sets this itself", False)
_LOGS = Reason("the probe writes no logs", False)
_TLS = Reason("the probe uses a temporary certificate and accepts any client", False)
_PLAIN_UPSTREAM = Reason("the probe does not check the certificates of upstreams", False)
_FILES = Reason("it reads or writes files", True)
_NAMES = Reason("names are not resolved; every target is the probe's own upstream", False)
_NOTHING = Reason("it does not affect routing or delivery", False)
_SSI = Reason("it could read data of this machine; it does not affect timing", False)
_UNKNOWN = Reason("the probe does not allow this directive", True)
_NO_HTTP3 = Reason("HTTP/3 is not measured", True)

_REASONS: tuple[tuple[str, Reason], ...] = (
    (r"lua_.*", _NOTHING),
    (r"ssi(_.*)?", _SSI),
    (r".*_by_lua.*|js_.*|perl.*|.*_by_(njs|wasm)", _CODE),
    (r"load_module", Reason("the probe loads only the modules installed for its nginx", False)),
    (r"ssl_verify_client", _ACCESS),
    (r"allow|deny|satisfy|auth_.*|limit_(req|conn|zone).*|secure_link.*|modsecurity.*", _ACCESS),
    (r"(access|error)_log|log_.*|open_log_file_cache|rewrite_log|status_zone|session_log.*", _LOGS),
    (
        r"user|pid|daemon|master_process|env|worker_.*|events|lock_file|timer_resolution|pcre_jit"
        r"|thread_pool|working_directory|debug_.*|quic_.*|ssl_engine|accept_mutex.*|multi_accept"
        r"|use|google_perftools_profiles|ssl_object_cache_inheritable",
        _ITS_OWN_WAY,
    ),
    (r"(proxy|grpc|uwsgi)_ssl(_.*)?", _PLAIN_UPSTREAM),
    (r"ssl_.*", _TLS),
    (r"resolver.*", _NAMES),
    (r"http3.*|quic", _NO_HTTP3),
    (r".*_store(_access)?|dav_.*|create_full_put_path|client_body_in_file_only", _FILES),
    (
        r"set_real_ip_from|real_ip_.*",
        Reason("the probe's requests name no other client address", False),
    ),
    (r"proxy_protocol.*", Reason("the probe does not use the PROXY protocol", False)),
    (r".*_pass_request_headers", Reason("the probe's upstream needs these headers", False)),
    (r".*_cache_min_uses", Reason("the probe checks the second response", False)),
    (r".*_temp_path|.*_bind|.*_socket_keepalive|.*_send_lowat|.*_socket_rcvbuf", _ITS_OWN_WAY),
    (
        r"aio.*|directio.*|open_file_cache.*|connection_pool_size|request_pool_size|etag|read_ahead"
        r"|userid.*|http2_.*|spdy_.*|types|min_delete_depth|disable_symlinks|autoindex.*"
        r"|random_index|xml_entities|post_action|http_.*_hash_.*|status_.*|vhost_traffic_.*|geoip.*"
        r"|health_check.*|match|acme_.*|output_encoding",
        _NOTHING,
    ),
    (r"mail", Reason("only HTTP and TCP are measured", False)),
)
_REASON_OF = tuple((re.compile(pattern), reason) for pattern, reason in _REASONS)


def reason_for_omission(name: str) -> Reason:
    """The reason why a directive that is not on the list is removed."""
    return next((why for pattern, why in _REASON_OF if pattern.fullmatch(name)), _UNKNOWN)
