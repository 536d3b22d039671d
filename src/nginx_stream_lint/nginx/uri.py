"""The target of a request and the escapes in it, as nginx reads and writes them.

Source: `ngx_http_parse_complex_uri` in nginx's src/http/ngx_http_parse.c, `ngx_escape_uri` and
`ngx_unescape_uri` in src/core/ngx_string.c. Texts are as in `config.mapped_text`: bytes that are
not UTF-8 are surrogates.
"""

from __future__ import annotations

import re

# Characters that are written as %XX: in paths, and in text that becomes part of the arguments.
_IN_PATH = rb'[\x00-\x20"#%<>?\\^`{|}\x7f-\xff]'
_IN_ARGUMENTS = rb'[\x00-\x20"#%&+;<>?\\^`{|}\x7f-\xff]'

# nginx drops a broken escape: the percent sign, and a digit together with the next character.
_PIECE = rb"(?s)%(?P<hex>[0-9A-Fa-f]{2})|%(?P<broken>[0-9A-Fa-f].|[0-9A-Fa-f]?|.)|[^%?]+|\?"
# Nothing to decode, no dots or slashes to resolve, no arguments.
_PLAIN = r"(?a)(?:/[\w~-][\w.~-]*)+/?"


def normalize(target: str, merge_slashes: bool = True) -> tuple[str, str] | None:
    """The URI that nginx matches locations with, and the arguments; None for a response 400.

    Percent signs are decoded, `.` and `..` resolved and slashes merged; decoded dots and slashes
    count like others.
    """
    if re.fullmatch(_PLAIN, target):
        return target, ""
    path, _, args = _bytes(target).partition(b"#")[0].partition(b"?")
    uri = _decoded(path)
    if uri is None:
        return None
    resolved = _resolved(uri, merge_slashes)
    return None if resolved is None else (_text(resolved), _text(args))


def is_quoted(target: str) -> bool:
    """Whether a path has `%` or `+`, so that nginx escapes its captures in arguments."""
    if "%" not in target and "+" not in target:
        return False
    path = re.split("[?#]", target, maxsplit=1)[0]
    return "%" in path or "+" in path


def escape_path(text: str) -> str:
    """Escape a path as nginx does in a Location header."""
    return _escaped(text, _IN_PATH)


def escape_arguments(text: str) -> str:
    """Escape a text as nginx does in arguments."""
    return _escaped(text, _IN_ARGUMENTS)


def unescape_redirect(text: str) -> str:
    """Unescape a rewritten redirect as nginx does: plain characters before the arguments."""
    data = _bytes(text)
    done = bytearray()
    at = 0
    piece = re.compile(_PIECE)
    while match := piece.match(data, at):
        at = match.end()
        if match["hex"]:
            code = int(match["hex"], 16)
            done += bytes([code]) if 0x25 < code < 0x7F else match[0]
            if code == 0x3F:
                break
        elif match["broken"] is None:
            done += match[0]
            if match[0] == b"?":
                break
        elif len(match["broken"]) == 1 and not match["broken"].isalnum():
            done += match["broken"]
    return _text(bytes(done) + data[at:])


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _escaped(text: str, special: bytes) -> str:
    return _text(re.sub(special, lambda match: b"%%%02X" % match[0][0], _bytes(text)))


def _decoded(path: bytes) -> bytes | None:
    if re.search(rb"[\x00-\x20\x7f]|%(?![0-9A-Fa-f]{2})|%00", path):
        return None
    return re.sub(rb"%(..)", lambda match: bytes([int(match[1], 16)]), path)


def _resolved(uri: bytes, merge_slashes: bool) -> bytes | None:
    """Resolve `.` and `..` and merge slashes; None if `..` leads above the root."""
    done = bytearray()
    at = 0
    while at < len(uri):
        slash = uri.find(b"/", at + 1)
        end = len(uri) if slash < 0 else slash
        segment = uri[at + 1 : end]  # uri[at] is a slash
        last = end == len(uri)
        if segment == b"." or (segment == b"" and not last and merge_slashes):
            if last:
                done += b"/"
        elif segment == b"..":
            if not done:
                return None
            del done[done.rindex(b"/") :]
            if last:
                done += b"/"
        else:
            done += b"/" + segment
        at = end
    return bytes(done) or b"/"
