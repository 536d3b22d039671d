"""Forms in which a server may repeat a secret, and how to recognize them."""

from __future__ import annotations

import base64
import html
import json
import quopri
import re
import unicodedata
from collections.abc import Callable
from urllib.parse import quote, unquote


def _each(form: str) -> Callable[[str], str]:
    return lambda text: "".join(form.format(ord(one)) for one in text)


def _between(mark: str) -> Callable[[str], str]:
    return mark.join


DISGUISES: dict[str, Callable[[str], str]] = {
    "plain": str,
    "upper": str.upper,
    "swapped": str.swapcase,
    "reversed": lambda text: text[::-1],
    "escaped": html.escape,
    "decimal": _each("&#{};"),
    "hex": _each("&#x{:X};"),
    "padded": _each("&#{:09d};"),
    "unicode": _each("\\u{:04x}"),
    "bytes": _each("\\x{:02x}"),
    "digits": _each("{:02x}"),
    "json": lambda text: json.dumps(text, ensure_ascii=True),
    "percent": _each("%{:02X}"),
    "twice": lambda text: quote(quote(text, safe=""), safe=""),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "basic": lambda text: base64.b64encode(f"user:{text}".encode()).decode(),
    "url64": lambda text: base64.urlsafe_b64encode(f"x{text}".encode()).decode(),
    "quoted": lambda text: quopri.encodestring(text.encode(), quotetabs=True).decode(),
    "tags": _between("<b></b>"),
    "comments": _between("<!---->"),
    "slashes": _between("\\/"),
    "lines": _between("\n"),
    "blanks": _between(" "),
    "dots": _between("."),
    "commas": _between(","),
    "zerowidth": _between("\u200b"),
    "hyphens": _between("\N{SOFT HYPHEN}"),
    "wide": lambda text: "".join(
        chr(ord(one) + 0xFEE0) if "!" <= one <= "~" else one for one in text
    ),
    "late": lambda text: "x" * 156 + text,
    "titled": lambda text: f"<html><title>{text}</title>{text}</html>",
    "code": lambda text: json.dumps({"error": {"type": text, "code": text, "message": text}}),
    "key": lambda text: json.dumps({"error": {text: text}}),
    "path": lambda text: f"/{quote(text, safe='')}/login?{quote(text)}#{quote(text)}",
    "host": lambda text: f"https://{quote(text, safe='')}.example/",
    "media": lambda text: f"text/event-stream; charset={text}",
    "version": lambda text: f"nginx/{text}",
    "directive": lambda text: f"no-store, max-age={text}, {text}=1",
    "service": lambda text: f'h3=":{text}", h2="{text}:443"',
}


def canonical(text: str) -> str:
    """The letters and digits that a reader would recognize, whatever their encoding."""
    for _ in range(3):
        text = unquote(html.unescape(text))
        text = re.sub(
            r"\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})",
            lambda found: chr(int(found[1] or found[2], 16)),
            text,
        )
    text = unicodedata.normalize("NFKC", re.sub(r"<!--.*?-->|</?b>", "", text)).casefold()
    return "".join(one for one in text if one.isalnum())


def shown_parts(secret: str, text: str, without: str = "") -> set[str]:
    """Parts of a secret, six characters or more, that a text shows in any form.

    Args:
        secret: as it was sent.
        text: that may show it.
        without: a text that cannot show it; parts that are also in this text do not count.
    """
    forms = {canonical(secret), canonical(secret)[::-1]}
    forms |= {canonical(DISGUISES[name](secret)) for name in ("digits", "base64", "basic", "url64")}
    windows = {form[at : at + 6] for form in forms for at in range(len(form) - 5)}
    shown, known = canonical(text), canonical(without)
    return {window for window in windows if window in shown and window not in known}
