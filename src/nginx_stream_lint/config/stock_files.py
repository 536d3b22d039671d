"""Files that come with nginx or certbot, and are therefore missing in repositories.

They contain only these directives, as seen in nginx's own `conf/` folder, in Debian's nginx-common
1.22 and in certbot 2.
"""

from __future__ import annotations

import re

_STANDARD: dict[str, frozenset[str]] = {
    "mime.types": frozenset({"types"}),
    "fastcgi_params": frozenset({"fastcgi_param"}),
    "fastcgi.conf": frozenset({"fastcgi_param"}),
    "uwsgi_params": frozenset({"uwsgi_param"}),
    "scgi_params": frozenset({"scgi_param"}),
    "proxy_params": frozenset({"proxy_set_header"}),
    "koi-utf": frozenset({"charset_map"}),
    "koi-win": frozenset({"charset_map"}),
    "win-utf": frozenset({"charset_map"}),
    "fastcgi-php.conf": frozenset(
        {"fastcgi_split_path_info", "try_files", "set", "fastcgi_param", "fastcgi_index"}
    ),
    "snakeoil.conf": frozenset({"ssl_certificate", "ssl_certificate_key"}),
    "options-ssl-nginx.conf": frozenset(
        {
            "ssl_session_cache",
            "ssl_session_timeout",
            "ssl_session_tickets",
            "ssl_protocols",
            "ssl_prefer_server_ciphers",
            "ssl_ciphers",
        }
    ),
}


# Folders with module files, which only load the modules.
_OF_MODULES = r"(?:.*[/\\])?(?:modules-enabled|modules(?:\.d)?)[/\\][^/\\]*"


def stock_directives(name: str) -> frozenset[str] | None:
    """The directives that a well-known file may contain; None for any other file."""
    if name == "/dev/null":
        return frozenset()  # equal on every machine
    known = _STANDARD.get(re.split(r"[/\\]", name)[-1])
    if known is None and re.fullmatch(_OF_MODULES, name):
        return frozenset({"load_module"})
    return known
