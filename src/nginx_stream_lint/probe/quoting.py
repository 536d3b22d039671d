"""Write words in nginx's syntax: the inverse of its tokenizer, and the only place that quotes.

After reading, nginx does not distinguish quoted words from bare ones. So each word is written in a
safe form, which may differ from that in the configuration.
"""

from __future__ import annotations

import re

# No character of such a word is special to the tokenizer.
_BARE = re.compile(r"[\w:/.?=&%~@+,!*()|^<>\[\]$-]+", re.ASCII)
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
# Characters that our own tokenizer reserves; nginx would read them literally.
MARKS = re.compile("[\ufdd0-\ufdef]")
_ESCAPED = re.compile(r'[\\"\n\r\t]')
# nginx reads a word and its delimiter into a buffer of 4,096 bytes.
_LONGEST = 4000


class UnwritableWord(ValueError):
    """The word cannot be written in nginx's syntax; the message says why."""


def quoted(word: str) -> str:
    """Return the text that nginx reads as exactly this one word, on one line.

    Bytes that are not UTF-8 are surrogates, as in `Source.text`.

    Raises:
        UnwritableWord: it has a placeholder, a NUL byte or an impossible character, or is too long.
    """
    if MARKS.search(word):
        raise UnwritableWord("it contains a placeholder")
    if "\0" in word:
        raise UnwritableWord("it contains a NUL byte")
    try:
        size = len(word.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        raise UnwritableWord("it contains a character that a file cannot contain") from None
    if _BARE.fullmatch(word):
        text = word
    else:
        text = '"' + _ESCAPED.sub(lambda found: _ESCAPES[found[0]], word) + '"'
    if size + len(text) - len(word) > _LONGEST:
        raise UnwritableWord("it is longer than nginx accepts")
    return text
