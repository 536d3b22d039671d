"""Names that a configuration uses but does not define: variables, and zones of shared memory.

nginx refuses them after it has read everything. Names that a missing file or an unknown module may
define are accepted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from nginx_stream_lint.config import Directive, has_placeholder, statements
from nginx_stream_lint.config.tree import is_known
from nginx_stream_lint.nginx.directives import FAMILIES
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.missing_includes import is_complete_configuration

Say = Callable[[Directive, str], None]

# Everything that some nginx since 1.18 has, including `http`, `stream` and optional modules.
_NAMES = """
ancient_browser args binary_remote_addr body_bytes_sent bytes_received bytes_sent connection
connection_requests connection_time connections_active connections_reading connections_waiting
connections_writing content_length content_type date_gmt date_local document_root document_uri
fastcgi_path_info fastcgi_script_name grpc_internal_trailers gzip_ratio host hostname http2
http3 https invalid_referer is_args is_request_port limit_conn_status limit_rate
limit_req_status memcached_key modern_browser msec msie nginx_version pid pipe protocol
proxy_add_via proxy_add_x_forwarded_for proxy_host proxy_internal_body_length
proxy_internal_chunked proxy_port query_string rdp_cookie realip_remote_addr realip_remote_port
realpath_root remote_addr remote_port remote_user request request_body request_body_file
request_completion request_filename request_id request_length request_method request_port
request_time request_uri scheme secure_link secure_link_expires server_addr server_name
server_port server_protocol session_time slice_range status tcpinfo_rcv_space tcpinfo_rtt
tcpinfo_rttvar tcpinfo_snd_cwnd time_iso8601 time_local uid_got uid_reset uid_set
upstream_addr upstream_bytes_received upstream_bytes_sent upstream_cache_etag
upstream_cache_last_modified upstream_cache_status upstream_connect_time
upstream_first_byte_time upstream_header_time upstream_response_length upstream_response_time
upstream_session_time upstream_status uri
"""
_BUILT_IN = frozenset(_NAMES.split())
# Prefixes of names: parts of a request or a response, and modules with many variables: nginx's own,
# those of its commercial edition and its forks, and other well-known ones.
_FAMILY_NAMES = """
arg cookie http sent_http sent_trailer upstream_http upstream_trailer upstream_cookie
proxy_protocol geoip geoip2 ssl jwt oidc otel acme session rdp_cookie upstream_queue upstream_last
mqtt_preread f4f api brotli zstd echo srcache vts nchan push_stream upload uploadprogress
opentracing datadog pagespeed modsecurity waf naxsi angie upstream_sticky upstream_probe metric p8s
quic
"""
_FAMILIES = tuple(f"{name}_" for name in _FAMILY_NAMES.split())
_VARIABLE = r"\$(?:[1-9]|\{(\w+)\}|(\w+))"
_WHOLE = r"\$(\w+)"
_GROUP_NAME = r"\(\?(?:P?<|')(\w+)[>']"

# The arguments in which nginx looks for variables: from, and up to (exclusive); None: the last.
_EVALUATED: dict[str, tuple[int, int | None]] = {
    "access_log": (0, None),
    "add_header": (1, 2),
    "add_trailer": (1, 2),
    "alias": (0, 1),
    "auth_basic": (0, 1),
    "auth_basic_user_file": (0, 1),
    "auth_request_set": (1, 2),
    "error_page": (1, None),
    "charset": (0, 1),
    "expires": (0, None),
    "hash": (0, 1),
    "limit_conn_zone": (0, 1),
    "limit_rate": (0, 1),
    "limit_rate_after": (0, 1),
    "limit_req_zone": (0, 1),
    "log_format": (1, None),
    "map": (0, 1),
    "proxy_bind": (0, 1),
    "proxy_method": (0, 1),
    "proxy_set_body": (0, 1),
    "proxy_ssl_name": (0, 1),
    "return": (0, None),
    "rewrite": (1, 2),
    "root": (0, 1),
    "set": (1, 2),
    "split_clients": (0, 1),
    "secure_link": (0, 1),
    "secure_link_md5": (0, 1),
    "sub_filter": (1, 2),
    "try_files": (0, None),
} | {
    f"{family}_{what}": where
    for family in FAMILIES
    for what, where in {
        "cache": (0, 1),
        "cache_bypass": (0, None),
        "cache_key": (0, 1),
        "cookie_domain": (1, 2),
        "cookie_path": (1, 2),
        "limit_rate": (0, 1),
        "no_cache": (0, None),
        "param": (1, 2),
        "pass": (0, 1),
        "redirect": (1, 2),
        "set_header": (1, 2),
        "ssl_certificate": (0, 1),
        "ssl_certificate_key": (0, 1),
        "store": (0, 1),
    }.items()
}
# nginx reads these only if they are in force, and in `http` nothing is.
_MERGED = frozenset(f"{family}_{what}" for family in FAMILIES for what in ("param", "set_header"))
# The index of the argument that is the defined variable. Any other directive is assumed to define
# each variable that is a whole argument of it.
_DEFINES = {"auth_request_set": 0, "geo": -1, "map": 1, "set": 0, "split_clients": 1}
# Directives and modules that are not nginx's and only define variables that they name.
_HARMLESS = r"more_\w+|brotli\w*|zstd\w*|lua_\w+|\w+_by_lua\w*|js_\w+"
_HARMLESS_MODULE = (
    r"(?:.*/)?(?:ndk_http|ngx_mail|ngx_stream|ngx_(?:http|stream)_(?:js|lua|perl|geoip|image_filter"
    r"|xslt_filter|brotli_\w+|zstd_\w+|headers_more_filter))_module\.so"
)

_ZONES = {
    **{f"{family}_cache": (f"{family}_cache_path", "keys_zone=") for family in FAMILIES},
    "limit_conn": ("limit_conn_zone", "zone="),
    "limit_req": ("limit_req_zone", "zone="),
}


def report_undefined(root: Level, say: Say) -> None:
    """Report variables and zones that are not defined anywhere."""
    found: list[tuple[Directive, str]] = []
    for scope in root.children:
        if scope.kind in ("http", "stream"):
            for directive, name in _misnamed(scope):
                say(directive, f'invalid variable name "{name}"')
            found += _unknown_zones(scope)
            found += _unknown_variables(root, scope)
    if found and is_complete_configuration(root):
        for directive, message in found:
            say(directive, message)


def _unknown_zones(scope: Level) -> Iterator[tuple[Directive, str]]:
    for level in scope.walk():
        for name in level.rows.keys() & _ZONES.keys():
            for row in level.rows[name]:
                zone = _zone_used(row)
                if zone and zone not in zones(scope, name):
                    if name.endswith("_cache"):
                        yield row, f'"{name}" zone "{zone}" is unknown'
                    else:
                        yield row, f'zero size shared memory zone "{zone}"'


def _zone_used(row: Directive) -> str | None:
    """The zone that a directive uses; None if it uses none, or if that is not known yet."""
    if row.name == "limit_req":
        zone = next((arg[5:] for arg in row.args if arg.startswith("zone=")), "")
    else:
        zone = row.args[0] if row.args else ""
    return None if zone in ("", "off") or "$" in zone or has_placeholder(zone) else zone


def zones(scope: Level, name: str) -> frozenset[str]:
    """The names of the zones that a directive can use."""
    definer, key = _ZONES[name]
    return frozenset(
        arg.removeprefix(key).partition(":")[0]
        for row in scope.rows.get(definer, ())
        for arg in row.args
        if arg.startswith(key)
    )


def _unknown_variables(root: Level, scope: Level) -> Iterator[tuple[Directive, str]]:
    used = _used(scope)
    # Most are maps. Only if one is not, everything is searched.
    for defined in (_made_by, _defined):
        if used:
            for name in defined(scope):
                used.pop(name, None)
    if used and not _has_unknown_module(root):
        for name, directive in used.items():
            yield directive, f'unknown "{name}" variable'


def _used(scope: Level) -> dict[str, Directive]:
    """Variables that nginx does not define, in lower case, with the first use of each."""
    found: dict[str, Directive] = {}
    seen: set[str] = set()
    rows_seen: dict[str, set[tuple[str, ...]]] = {name: set() for name in _EVALUATED}

    def look(row: Directive, texts: tuple[str, ...]) -> None:
        if row.file.templated:
            return  # it may be the template's
        for text in texts:
            if "$" not in text or text in seen:
                continue
            seen.add(text)
            for match in re.finditer(_VARIABLE, text):
                name = (match[1] or match[2] or "").lower()
                if name and name not in _BUILT_IN and not name.startswith(_FAMILIES):
                    found.setdefault(name, row)

    for level in scope.walk():
        for name in level.rows.keys() & _EVALUATED.keys():
            if level is scope and name in _MERGED and _is_overridden(scope, name):
                continue
            start, stop = _EVALUATED[name]
            for row in level.rows[name]:
                if row.args not in rows_seen[name]:
                    rows_seen[name].add(row.args)
                    look(row, row.args[start:stop])
                if name == "map":
                    for one in statements(row.block or []):
                        look(one, one.args[:1])
        directive = level.directive
        if directive is not None and directive.name == "if":
            args = directive.args
            is_pattern = len(args) == 3 and "~" in args[1]
            look(directive, args[:1] if is_pattern else args)
    return found


def _is_overridden(scope: Level, name: str) -> bool:
    """Whether each server has its own rows, so that those of `http` are never in force."""
    return all(name in child.rows for child in scope.children if child.kind == "server")


def _makers(level: Level) -> Iterator[tuple[Directive, str]]:
    """`map`, `set` and the like at a level, each with the argument that names its variable."""
    for name in level.rows.keys() & _DEFINES.keys():
        for row in level.rows[name]:
            if row.args:
                yield row, row.args[min(_DEFINES[name], len(row.args) - 1)]


def _made_by(level: Level) -> Iterator[str]:
    """The variables, in lower case, that `map`, `set` and the like define at a level."""
    return (word.lstrip("$").lower() for _, word in _makers(level))


def _misnamed(scope: Level) -> Iterator[tuple[Directive, str]]:
    """Directives that define a variable without `$` before its name, with that name."""
    for level in scope.walk():
        for row, word in _makers(level):
            if not word.startswith("$") and not has_placeholder(word):
                yield row, word


def _defined(scope: Level) -> Iterator[str]:
    """All variables, in lower case, that the configuration may define."""
    is_whole = re.compile(_WHOLE).fullmatch
    for level in scope.walk():
        yield from _made_by(level)
        if level.directive is not None:
            yield from _captured(level.directive.args)
        for name, rows in level.rows.items():
            for row in rows:
                if name not in _EVALUATED and name not in _DEFINES:
                    whole = map(is_whole, row.args)
                    yield from (match[1].lower() for match in whole if match is not None)
                yield from _captured(row.args)
                if name == "map":
                    yield from _captured(one.name for one in statements(row.block or []))


def defines(scope: Level, name: str) -> bool:
    """Whether the configuration may define a variable."""
    return name in set(_defined(scope))


def _captured(texts: Iterator[str] | tuple[str, ...]) -> Iterator[str]:
    """The names of captures in regular expressions."""
    for text in texts:
        if "(?" in text:
            yield from (name.lower() for name in re.findall(_GROUP_NAME, text))


def _has_unknown_module(root: Level) -> bool:
    """Whether an unknown module may define variables."""
    for row in root.rows.get("load_module", ()):
        if not row.args or not re.fullmatch(_HARMLESS_MODULE, row.args[0]):
            return True
    return any(
        not is_known(name) and not re.fullmatch(_HARMLESS, name)
        for level in root.walk()
        for name in level.rows
    )
