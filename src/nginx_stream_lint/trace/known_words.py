"""The parts of a server's text that may be shown: only words in these lists. Pure.

A server may send the secrets of a request back, anywhere and in any encoding. No search finds all
encodings of a secret, so none of a server's text is shown. A report describes it with words from
these lists, and with numbers that are too short to be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import SplitResult, urljoin, urlsplit

NOT_SHOWN = "(not shown)"
_LONGEST_NUMBER = 5  # digits, those of one value together
_MOST_WORDS = 8  # of one value
_LONGEST_VALUE = 2000  # characters of a value that are looked at


def _titles(*words: str) -> dict[str, str]:
    """Words by their search key."""
    return {word.lower(): word for word in words}


_MEDIA_TYPES = _titles(
    "text/event-stream", "text/html", "text/plain", "text/xml", "text/css", "text/csv",
    "text/javascript", "text/markdown", "application/json", "application/x-ndjson",
    "application/ndjson", "application/jsonl", "application/x-jsonlines", "application/json-seq",
    "application/stream+json", "application/problem+json", "application/xml",
    "application/xhtml+xml", "application/octet-stream", "application/javascript",
    "application/grpc", "application/grpc-web", "application/grpc-web+proto",
    "application/connect+json", "application/vnd.amazon.eventstream", "application/pdf",
    "application/x-www-form-urlencoded", "multipart/mixed", "multipart/x-mixed-replace",
    "multipart/form-data", "image/png", "image/jpeg", "image/gif", "image/svg+xml", "audio/mpeg",
    "audio/wav", "audio/ogg", "audio/opus", "video/mp4", "video/webm",
)  # fmt: skip
_CHARSETS = _titles("utf-8", "utf8", "us-ascii", "iso-8859-1", "latin-1", "windows-1252")
_ENCODINGS = _titles(
    "gzip", "x-gzip", "deflate", "br", "zstd", "compress", "identity", "chunked", "aws-chunked",
    "trailers",
)  # fmt: skip
_CACHE_CONTROL = _titles(
    "no-store", "no-cache", "no-transform", "private", "public", "max-age", "s-maxage",
    "must-revalidate", "proxy-revalidate", "immutable", "must-understand",
    "stale-while-revalidate", "stale-if-error",
)  # fmt: skip
_SOME_LONGER_TIMES = frozenset({"604800", "2592000", "31536000"})  # a week, a month, a year
_CACHE_WORDS = _titles(
    "hit", "miss", "dynamic", "bypass", "expired", "stale", "updating", "revalidated", "none",
    "unknown", "from", "cloudfront", "error", "refreshhit", "lambdagenerated", "functiongenerated",
    "tcp_hit", "tcp_miss", "tcp_mem_hit", "tcp_refresh_hit", "tcp_refresh_miss", "pass", "cached",
    "config_nocache",
)  # fmt: skip
_SERVERS = _titles(
    "nginx", "openresty", "freenginx", "tengine", "angie", "Apache", "Apache-Coyote", "Caddy",
    "haproxy", "envoy", "istio-envoy", "traefik", "cloudflare", "CloudFront", "awselb",
    "AmazonS3", "AkamaiGHost", "BunnyCDN", "Varnish", "LiteSpeed", "lighttpd",
    "Microsoft-IIS", "Microsoft-HTTPAPI", "Kestrel", "gws",
    "gunicorn", "uvicorn", "hypercorn", "daphne", "granian", "waitress", "Werkzeug",
    "TornadoServer", "WSGIServer", "SimpleHTTP", "BaseHTTP", "Python", "Jetty", "Cowboy", "Vercel",
    "Netlify", "Kong", "squid", "APISIX", "Pingora", "Fastly", "Express", "Deno", "bun", "Puma",
    "h2o", "railway-edge", "Heroku", "vllm", "ollama", "Fly",
    "Microsoft-Azure-Application-Gateway",
)  # fmt: skip
_VIA = _titles(
    "nginx", "Apache", "Caddy", "haproxy", "envoy", "traefik", "CloudFront", "varnish", "squid",
    "kong", "google", "vegur", "fastly", "akamai", "heroku", "heroku-router",
)  # fmt: skip

# Types and codes of errors: those of LLM APIs and of OAuth.
_ERROR_CODES = frozenset(
    (
        "access_denied", "api_error", "authentication_error", "bad_request", "billing_error",
        "billing_hard_limit_reached", "content_filter", "content_policy_violation",
        "context_length_exceeded", "deployment_not_found", "engine_not_found", "expired_token",
        "forbidden", "gateway_timeout", "insufficient_quota", "internal_error",
        "internal_server_error", "invalid_api_key", "invalid_argument", "invalid_grant",
        "invalid_request", "invalid_request_error", "invalid_token", "login_required",
        "method_not_allowed", "missing_api_key", "model_not_available", "model_not_found",
        "not_found", "not_found_error", "overloaded", "overloaded_error", "permission_denied",
        "permission_error", "quota_exceeded", "rate_limit_error", "rate_limit_exceeded",
        "rate_limit_reached", "request_too_large", "requests", "resource_exhausted",
        "resource_not_found", "server_error", "service_unavailable", "timeout", "timeout_error",
        "token_expired", "tokens", "too_many_requests", "unauthenticated", "unauthorized",
        "unavailable", "unsupported_country_region_territory", "unsupported_media_type",
        "unsupported_parameter", "unsupported_value", "validation_error",
    )
)  # fmt: skip
_ERROR_CODE = re.compile(
    r'"(?:type|code|status|error|reason)"\s{0,9}:\s{0,9}"([A-Za-z_]{1,50})"', re.ASCII
)
# Texts of error pages and plain errors; a longer one before its own beginning.
_PHRASES = (
    "Please log in", "Please sign in", "Log in to", "Sign in to", "Sign in", "Log in", "Login",
    "Just a moment...", "Attention Required!", "Checking your browser", "Access denied",
    "400 Bad Request", "401 Authorization Required", "403 Forbidden", "404 Not Found",
    "405 Not Allowed", "413 Request Entity Too Large", "429 Too Many Requests",
    "500 Internal Server Error", "502 Bad Gateway", "503 Service Temporarily Unavailable",
    "503 Service Unavailable", "504 Gateway Time-out", "504 Gateway Timeout", "Bad Gateway",
    "The plain HTTP request was sent to HTTPS port", "No required SSL certificate was sent",
    "Client sent an HTTP request to an HTTPS server", "default backend - 404",
    "upstream connect error", "no healthy upstream", "upstream request timeout",
    "RBAC: access denied", "Jwt is missing", "Jwt is expired", "Jwt verification fails",
    "Invalid Host header", "Invalid API key", "Incorrect API key provided",
    "You didn't provide an API key", "No API key found in request", "Missing Authentication Token",
    "Invalid token", "Token expired", "Not authenticated", "Unauthorized", "Method Not Allowed",
    "Field required", "Service Unavailable", "Internal Server Error", "Not Found",
    "Too Many Requests", "Welcome to nginx!", "It works!", "Index of /",
)  # fmt: skip
_MOST_SAID = 2
_SIGN_IN = re.compile(r"log-?in|sign-?in|/s?auth|oauth|sso|saml", re.IGNORECASE)


def known_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the known headers of a response, with known words as values.

    Args:
        headers: names in lower case.
    """
    found = {name: headers[name][:_LONGEST_VALUE] for name in _VALUES if headers.get(name)}
    shown = {name: _VALUES[name](value.strip()) for name, value in found.items()}
    return {name: value for name, value in shown.items() if value}


def known_response(beginning: bytes) -> str:
    """Return the known words of a response that is not a stream; empty without any.

    Args:
        beginning: of its text, decoded. A page counts by its title, if it has one.
    """
    text = beginning.decode("utf-8", "replace")
    title = re.search(r"<title[^>]{0,200}>(.{0,500}?)</title>", text, re.IGNORECASE | re.DOTALL)
    words = " ".join(re.sub(r"<[^>]{0,500}>", " ", title[1] if title else text).split()).lower()
    codes = (code.lower() for code in _ERROR_CODE.findall(text))
    said = list(dict.fromkeys(code for code in codes if code in _ERROR_CODES))
    for phrase in _PHRASES:
        if phrase.lower() in words and not any(phrase.lower() in one.lower() for one in said):
            said.append(phrase)
    return ", ".join(said[:_MOST_SAID])


def known_redirect(location: str, url: str, path: str) -> str:
    """Return the target of a redirect, compared with the requested URL.

    Args:
        location: the header.
        url: the requested URL.
        path: of the URL, as it is shown.
    """
    asked = urlsplit(url)
    try:
        to = urlsplit(urljoin(url, location))
        same_host = to.hostname == asked.hostname
        same_port = _port(to) == _port(asked)
    except ValueError:
        return "to an invalid URL"
    there, here = to.path or "/", asked.path or "/"
    if not same_host:
        where = "to another host"
    elif there == here:
        if to.scheme != asked.scheme:
            return f"to {path} over {'https' if to.scheme == 'https' else 'another scheme'}"
        where = f"to {path}" if same_port else f"to {path} at another port"
    elif there.rstrip("/") == here.rstrip("/"):
        where = (
            f"to the same path {'with' if there.endswith('/') else 'without'} a slash at its end"
        )
    else:
        where = "to another path of this host"
    return f"{where}, to sign in" if _SIGN_IN.search(to.path) else where


def _port(parts: SplitResult) -> int | None:
    return parts.port or {"http": 80, "https": 443}.get(parts.scheme)


# Values, each taken from a header and given back in known words


def _media_type(value: str) -> str:
    kind, *parameters = value.split(";")
    shown = _MEDIA_TYPES.get(kind.strip().lower(), NOT_SHOWN)
    for parameter in parameters[:_MOST_WORDS]:
        name, _, charset = parameter.strip().lower().partition("=")
        if name == "charset" and (known := _CHARSETS.get(charset.strip('"'))):
            return f"{shown}; charset={known}"
    return shown


def _listed(shown: Callable[[str], str]) -> Callable[[str], str]:
    """What accepts a value with commas; equal ones once, all that are unknown as one."""

    def values(value: str) -> str:
        found = dict.fromkeys(shown(one.strip()) for one in value.split(",") if one.strip())
        return ", ".join(list(found)[:_MOST_WORDS])

    return values


def _word(known: Mapping[str, str]) -> Callable[[str], str]:
    return lambda value: known.get(value.lower(), NOT_SHOWN)


def _number(value: str) -> str:
    return value if re.fullmatch(rf"[0-9]{{1,{_LONGEST_NUMBER}}}", value) else NOT_SHOWN


def _cache_control(value: str) -> str:
    name, equals, time = value.partition("=")
    known = _CACHE_CONTROL.get(name.strip().lower())
    if known is None:
        return NOT_SHOWN
    time = time.strip().strip('"')
    return f"{known}={time if time in _SOME_LONGER_TIMES else _number(time)}" if equals else known


def _server(value: str) -> str:
    """A server's name, and its version where that is short: `nginx/1.22.1`.

    What follows the name behind a hyphen is left out: a place or a build, as in `BunnyCDN-DE1-1090`
    and `nginx-rc`.
    """
    found = re.match(r"([^\s/(]+)(?:/([0-9]{1,2}(?:\.[0-9]{1,2}){0,3})(?![^\s(]))?", value)
    word = found[1].lower() if found else ""
    known = [one for one in _SERVERS if f"{word}-".startswith(f"{one}-")]
    if found is None or not known:
        return NOT_SHOWN
    name = _SERVERS[max(known, key=len)]
    version = found[2] or ""
    short = 0 < sum(map(str.isdigit, version)) <= _LONGEST_NUMBER
    return f"{name}/{version}" if short and name.lower() == word else name


def _via(value: str) -> str:
    words = re.split(r"[^-\w]+", value)
    return next((_VIA[word.lower()] for word in words if word.lower() in _VIA), NOT_SHOWN)


def _cache(value: str) -> str:
    words = [_CACHE_WORDS.get(word.lower(), NOT_SHOWN) for word in re.split(r"[\s,;]+", value)]
    return " ".join(list(dict.fromkeys(word for word in words if word))[:_MOST_WORDS])


def _alt_svc(value: str) -> str:
    found = re.findall(r'(?<![^\s,])(h2|h3)=":([0-9]{1,5})"', value)
    return ", ".join(dict.fromkeys(f'{name}=":{port}"' for name, port in found[:2])) or NOT_SHOWN


def _cookies(value: str) -> str:
    """The cookies whose names show the product that set them."""
    return "AWSALB" if re.search(r"(^|,\s*)AWSALB(CORS)?=", value) else ""


def _present(_: str) -> str:
    return NOT_SHOWN


_VALUES: dict[str, Callable[[str], str]] = {
    "content-type": _media_type,
    "content-encoding": _listed(_word(_ENCODINGS)),
    "transfer-encoding": _listed(_word(_ENCODINGS)),
    "content-length": _number,
    "x-accel-buffering": _word(_titles("yes", "no")),
    "cache-control": _listed(_cache_control),
    "age": _number,
    "via": _listed(_via),
    "server": _server,
    "alt-svc": _alt_svc,
    "set-cookie": _cookies,
    **dict.fromkeys(("cf-cache-status", "x-cache", "x-cache-status", "x-proxy-cache"), _cache),
    **dict.fromkeys(
        (
            "cf-ray",
            "fly-request-id",
            "x-amz-apigw-id",
            "x-amz-cf-id",
            "x-amz-cf-pop",
            "x-azure-ref",
            "x-envoy-upstream-service-time",
            "x-nginx-cache",
            "x-render-origin-server",
            "x-varnish",
            "x-vercel-id",
        ),
        _present,
    ),
}
