"""Recognize nginx files by path and text.

A name is trusted if it contains nginx: `nginx.conf`, `app.nginx`, files with a suitable extension
below a folder called nginx. Program sources, scripts and well-known files of other programs are
never nginx files. Any other file is one if all of it parses as nginx configuration.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from nginx_stream_lint.config.fragments import fragment_level, other_level
from nginx_stream_lint.config.main_files import plain_name
from nginx_stream_lint.config.mapped_text import MappedText, has_placeholder
from nginx_stream_lint.config.templates import readings
from nginx_stream_lint.config.templates.detect import OPENINGS
from nginx_stream_lint.config.templates.dialects import VALUE_IN_BRACES
from nginx_stream_lint.config.tree import (
    Context,
    Directive,
    enter,
    fits,
    has_commands,
    is_known,
    misuse,
    parse,
)
from nginx_stream_lint.files.source import Source
from nginx_stream_lint.util.problems import Unreadable

# `named`: by its name; `guessed`: by its text only; `not`: it is not an nginx file.
Verdict = Literal["named", "guessed", "not"]

_ENOUGH_STATEMENTS = 20
_BEGIN = 64 * 1024  # characters of a text for the first check
MAX_NAMED = 2 * 1024 * 1024  # bytes
_MAX_GUESSED = 256 * 1024  # characters; longer files are never guessed


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Extensions of program sources, data, documents, and files of other programs.
_OTHER_EXTENSIONS = _words(
    """
    1 2 3 4 5 6 7 8 9 backup bkp disabled dpkg-dist dpkg-old rpmnew rpmsave save ada adoc ahk
    asc asm asp aspx astro avi avif awk bak bash bat bats bazel bin bmp bz2 bzl c cc cer cert
    cfg cjs clj cljc cljs cmake cmd coffee containerfile cpp crt cs csh cshtml csproj css csv
    cts cu cue d dart db deb desktop diff dll dockerfile dockerignore dtd ebuild edn el eml
    eot ex exe exs f90 fish fs fsx gemspec gif gitattributes gitignore gn gni go gql gradle
    graphql groovy gyp gz h haml hcl heex hh hpp hrl hs htaccess htm html hujson ico ics iml ini inl
    ino ipynb jar java jl jpeg jpg js json json5 jsonl jsonnet jsp jsx key kt kts ld less lisp
    lock log lua m m4 mak make map md md5 mdx mjs mk ml mli mm mo mod mount mov mp3 mp4 mts
    nim nix nomad npmrc nu o odt ogg old org orig otf out patch path pdf pem php php3 phtml pl
    plist plx pm po pod pot pp prisma proto ps1 psd psm1 pub pug pwn py pyi pyx qml r rake rar
    rb rc rego res resx rkt rpm rs rst ru s sass sbt scala scm scss sed service sh sha256 sld
    slim sln snap so socket sol spec sql sqlite st sty styl sum sv svelte svg swift swp tar
    tcl tex textile tf tfvars thrift tif tiff timer toml ts tsv tsx ttf twig txt v vb vcl vhd
    vim vue war wasm wat wav webm webp woff woff2 xaml xcf xhtml xlsx xml xpm xs xsd xsl xz y
    yaml yml zig zip zsh zst
    """
)
# Source extensions that are also top-level domains, as in `sites-enabled/example.rs`.
_DOMAINS = _words(
    """
    cc cs im ml mk mo nu pl ps py rs sh so st tf
    """
)
# Well-known files of other programs, by their name without template suffixes.
_OTHER_NAMES = (
    r"(?:docker|container|jenkins|make|gnumake|rake|gem|vagrant|proc|brew|pip|just|earth|tilt|caddy|"
    r"guard|cap|pod|fast|app|dev)file(?:[._-].*)?|"
    r"(?:license|licence|copying|notice|readme|changelog|authors|contributors)(?:[._-].*)?|"
    r"codeowners|maintainers|version|todo|configure|gradlew|mvnw|crontab|build|workspace|"
    r"run|finish|type|up|down"
)
# Folder names that identify their files: the innermost counts. Below the folder of another program,
# only the text decides.
_NGINX_FOLDER = r"(?:[\w.-]*[._-])?(?:nginx|openresty|tengine)(?:[._-][\w.-]*)?"
_SITES_FOLDER = r"sites[-_](?:available|enabled)"
_OTHER_FOLDER = (
    r"(?:apache2?|httpd|php|supervisor|fail2ban|logrotate|haproxy|dovecot|postfix|redis|mysql|mariadb|"
    r"postgres|varnish|caddy|traefik|lighttpd|squid|fontconfig|fonts|systemd|tmpfiles|sysctl|cron|"
    r"services\.d|cont-(?:init|finish)\.d|s6-rc\.d|init\.d|bind|dnsmasq|rsyslog|filebeat|fluent|"
    r"logstash|collectd|telegraf|monit|munin|zabbix|prosody)(?:d|[._\d-][\w.-]*)?"
)
# Files that come with nginx, which others include.
_STANDARD_NAMES = _words(
    """
    mime.types fastcgi_params uwsgi_params scgi_params proxy_params koi-utf koi-win win-utf
    """
)
_EXTENSIONS = _words(
    """
    conf nginx nginxconf vhost vhosts inc include snippet location types
    """
)

# The first non-blank line in files of other programs: a section in brackets, markup.
_OTHER_LINE = r"\[[^\[\]{}%\n]+\]\s*(?:[#;].*)?|<[A-Za-z!?/].*|---\s*"
# Lines of shell scripts: the start of a function, and the end of a condition.
_SHELL_LINE = r"(?m)^[ \t]*(?:(?:function[ \t]+)?[A-Za-z_]\w*[ \t]*\(\)\s*\{?|fi)[ \t]*$"
_FIRST_LINE = r"(?m)^[ \t]*([^\s#;][^\n]*)"
_ASSIGNMENT = r"(?m)^[ \t]*[\w.-]+[ \t]*="
# A placeholder in braces opens no block.
_STATEMENT = (
    rf"(?m)^[ \t]*([a-z][a-z0-9_]*)(?:[ \t](?:[^\n#;{{]|{VALUE_IN_BRACES})*)?(?:;|\{{(?!\{{))"
)
# The first words of rows in `map`, `geo` and `types`.
_ROWS = frozenset({"default", "hostnames", "volatile", "ranges", "proxy"})
# Directives of third-party modules: no evidence for or against nginx.
_MODULES = (
    r"(?:more_(?:set|clear)|srcache|redis2?|memc|echo|set_(?:un)?escape|set_misc|push_stream|upload|"
    r"subs_filter|headers_more|pagespeed|passenger|modsecurity|vhost_traffic_status|vod|rtmp)"
    r"(?:_\w+)?"
)
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
# Names of directives that have no meaning in other languages.
_UNAMBIGUOUS = _words(
    """
    location upstream map listen http gzip expires resolver alias rewrite
    """
)


def looks_like_nginx(text: str) -> bool:
    """Whether most of the first statements of a text are nginx directives."""
    known, others = _known_statements(text)
    return known > others


def is_called_configuration(path: str) -> bool:
    """Whether a file has the name of a configuration, of nginx or of another program."""
    return ".conf" in path or plain_name(path).rpartition(".")[2] in _EXTENSIONS


def may_be_nginx(path: str) -> bool:
    """Whether a file may be an nginx file by its path, so that its text is worth reading."""
    return _by_path(path) is not False


def is_called_nginx(path: str) -> bool:
    """Whether a path alone shows that a file is nginx configuration."""
    return _by_path(path) is True


def longest(path: str) -> int:
    """Maximum size of an nginx file with this path, in bytes."""
    return MAX_NAMED if _by_path(path) else _MAX_GUESSED


def recognise(path: str, text: str) -> Verdict:
    """Classify a file by path and text.

    `path` starts at the repository's root: the names of folders above are no evidence.
    """
    by_path = _by_path(path)
    if by_path is False or text.startswith("#!") or _is_other(text):
        return "not"
    if by_path and _is_plausible(path, text):
        return "named"
    return "guessed" if _reads_as_nginx(path, text) else "not"


def names_nginx(key: str) -> bool:
    """Whether the name of an embedded text, such as a ConfigMap's key, is that of an nginx file."""
    plain = plain_name(key).casefold()
    return "nginx" in plain or ".conf" in plain


def plausible(path: str, text: str) -> bool:
    """Whether a file may be the target of an include with its name."""
    return (
        may_be_nginx(path)
        and not text.startswith("#!")
        and not _is_other(text)
        and _is_plausible(path, text)
    )


def _by_path(path: str) -> bool | None:
    """Whether a path is that of an nginx file (True) or another file (False); None: unknown."""
    *folders, name = re.split(r"[/\\]", path.casefold())
    plain = plain_name(name)
    parts = plain.split(".")
    extension = parts[-1] if len(parts) > 1 else ""
    refers_to_fabric = "nginx" in plain
    is_conf = "conf" in parts[1:]
    is_site = any(re.fullmatch(_SITES_FOLDER, folder) for folder in folders)
    is_domain = is_site and extension in _DOMAINS
    if (extension in _OTHER_EXTENSIONS and not is_domain) or name.endswith(("~", ".orig")):
        return False
    if re.fullmatch(_OTHER_NAMES, plain) or (name.startswith(".") and not refers_to_fabric):
        return False
    # Template suffixes are neutral: `nginx.tmpl` is as good as `nginx.conf.tmpl`.
    is_suitable = is_conf or extension in _EXTENSIONS or (plain != name and not extension)
    is_named = (
        is_site or plain in _STANDARD_NAMES or (refers_to_fabric and (is_suitable or plain != name))
    )
    for folder in reversed(folders):
        if re.fullmatch(_OTHER_FOLDER, folder):
            return None
        if re.fullmatch(_NGINX_FOLDER, folder):
            is_named = is_named or is_suitable
            break
    return True if is_named else None


def _is_other(text: str) -> bool:
    """Whether a text contains constructs that nginx configuration never has."""
    begin = text[:_BEGIN]
    if ";" not in begin and re.search(_ASSIGNMENT, begin):
        return True
    if re.search(_SHELL_LINE, begin):
        return True
    first = re.search(_FIRST_LINE, begin)
    if first is None or first[1].startswith(OPENINGS):
        return False
    return re.fullmatch(_OTHER_LINE, first[1].rstrip()) is not None


def _is_plausible(path: str, text: str) -> bool:
    """Whether a file's text fits its name: the text of `logrotate-nginx.conf` does not."""
    if plain_name(path).casefold() == "nginx.conf":
        return True
    return re.search(_FIRST_LINE, text) is None or _known_statements(text)[0] > 0


def _known_statements(text: str) -> tuple[int, int]:
    """Among the first statements, each on a line, count nginx directives and others."""
    known = others = 0
    for match in re.finditer(_STATEMENT, text[:_BEGIN]):
        if is_known(match[1]):
            known += 1
        elif match[1] not in _ROWS and re.fullmatch(_MODULES, match[1]) is None:
            others += 1
        if known + others >= _ENOUGH_STATEMENTS:
            break
    return known, others


def _reads_as_nginx(path: str, text: str) -> bool:
    """Whether a whole text parses as nginx configuration with mostly known directives."""
    if len(text) > _MAX_GUESSED or not looks_like_nginx(text):
        return False
    try:
        return all_nginx(readings(Source(path, text)))
    except Unreadable:
        return False


def all_nginx(readings: Iterable[MappedText]) -> bool:
    """Whether all texts parse as nginx configuration, with mostly known directives."""
    try:
        files = [parse(one) for one in readings]
    except Unreadable:
        return False
    if any(file.problems for file in files):
        return False
    known = others = 0
    is_nginx = False
    for file in files:
        context = fragment_level(file.directives)
        work: list[tuple[list[Directive], Context]] = []
        for directive in file.directives:
            work.append(([directive], other_level(directive, context) or context))
        while work:
            block, context = work.pop()
            if not has_commands(context):
                continue
            for directive in block:
                if has_placeholder(directive.name):
                    pass  # an unknown placeholder
                elif not is_known(directive.name):
                    others += re.fullmatch(_MODULES, directive.name) is None
                    if not re.fullmatch(_NAME, directive.name):
                        return False
                elif not fits(directive.name, context) or misuse(directive, context) is not None:
                    return False
                else:
                    known += 1
                    is_nginx = is_nginx or "_" in directive.name or directive.name in _UNAMBIGUOUS
                if directive.block is not None:
                    work.append((directive.block, enter(directive, context)))
    return is_nginx and known > others
