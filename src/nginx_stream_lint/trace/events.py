"""Find the boundaries of events in a streamed response while it arrives.

Everything works on bytes: a piece may be cut inside a character, a line end or an event.
"""

from __future__ import annotations

from typing import Protocol

# The last event of some apps, which shows that a response is complete.
# Sources: the streaming references of the OpenAI and Anthropic APIs and of Ollama.
_LAST_DATA = (b"[DONE]",)
_LAST_TYPES = (b"message_stop", b"response.completed", b"response.failed", b"response.incomplete")
_LAST_OBJECTS = (b'"done":true', b'"done": true')

_FIRST_WORDS = (b"data:", b"event:", b"id:", b"retry:", b": ")
_JSON_LINES = (
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonlines",
)
_BOM = b"\xef\xbb\xbf"


class Events(Protocol):
    """Counts the events of one response.

    `kind` is `sse`, `ndjson` or `chunks`. `comments` counts lines that only keep the connection
    alive. `said_last`: the latest event is one that apps send as the last one.
    `text_is_utf8` is False after a line that is not UTF-8.
    """

    kind: str
    comments: int
    said_last: bool
    text_is_utf8: bool

    def feed(self, data: bytes) -> int:
        """Process a piece; return how many events it completes."""

    @property
    def inside(self) -> bool:
        """Whether the latest piece ended in the middle of an event."""


def events_for(content_type: str, beginning: bytes) -> Events:
    """Return the event counter for a response with this Content-Type and beginning.

    Event streams are also recognized by their beginning: many have another Content-Type.
    """
    kind = content_type.partition(";")[0].strip().lower()
    looks_like_one = beginning.removeprefix(_BOM).startswith(_FIRST_WORDS)
    if kind == "text/event-stream" or (looks_like_one and kind != "text/html"):
        return EventStream()
    if kind in _JSON_LINES:
        return JsonLines()
    return PlainPieces()


class _Lines:
    """Splits bytes at CR, LF and CRLF."""

    def __init__(self) -> None:
        self.held = bytearray()  # the beginning of a line whose end has not come
        self._after_cr = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that a piece completes, without their ends."""
        if not data:
            return []
        # The LF of a CRLF may come in the next piece; waiting for it would hold an event back.
        rest = data[1:] if self._after_cr and data[:1] == b"\n" else data
        self._after_cr = data.endswith(b"\r")
        lines = []
        # Only what is new is searched: a long line may come byte by byte.
        for part in rest.splitlines(keepends=True):
            self.held += part
            if part.endswith((b"\r", b"\n")):
                lines.append(bytes(self.held).rstrip(b"\r\n"))
                self.held.clear()
        return lines


class EventStream:
    """Server-sent events, by the rules of the HTML standard, section 9.2.6.

    An event ends with an empty line and is counted if it has data. An incomplete event at the end
    of the response is not counted.
    """

    kind = "sse"

    def __init__(self) -> None:
        self.comments = 0
        self.said_last = False
        self.text_is_utf8 = True
        self._lines = _Lines()
        self._start = b""
        self._started = False
        self._is_open = False
        self._data: list[bytes] = []
        self._type = b""

    @property
    def inside(self) -> bool:
        """Whether the latest piece ended in the middle of an event."""
        return self._is_open or bool(self._lines.held)

    def feed(self, data: bytes) -> int:
        """Process a piece; return how many events it completes."""
        if not self._started:
            self._start += data
            if len(self._start) < len(_BOM) and _BOM.startswith(self._start):
                return 0
            data = self._start.removeprefix(_BOM)
            self._started = True
        done = 0
        for line in self._lines.feed(data):
            if line.startswith(b":"):
                self.comments += 1
            elif line:
                self._is_open = True
                self._field(line)
            else:
                done += self._end_event()
        return done

    def _end_event(self) -> bool:
        """Forget the event that an empty line ends; return whether it was one."""
        counts = bool(self._data)
        if counts:
            text = b"\n".join(self._data)
            self.said_last = text.strip() in _LAST_DATA or self._type in _LAST_TYPES
        self._is_open, self._data, self._type = False, [], b""
        return counts

    def _field(self, line: bytes) -> None:
        if not line.isascii() and self.text_is_utf8:
            self.text_is_utf8 = _is_utf8(line)
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._type = value


class JsonLines:
    """One JSON text a line; empty lines keep the connection alive."""

    kind = "ndjson"

    def __init__(self) -> None:
        self.comments = 0
        self.said_last = False
        self.text_is_utf8 = True
        self._lines = _Lines()

    @property
    def inside(self) -> bool:
        """Whether the latest piece ended in the middle of an event."""
        return bool(self._lines.held)

    def feed(self, data: bytes) -> int:
        """Process a piece; return how many events it completes."""
        done = 0
        for line in self._lines.feed(data):
            if not line.strip():
                self.comments += 1
                continue
            if not line.isascii() and self.text_is_utf8:
                self.text_is_utf8 = _is_utf8(line)
            done += 1
            self.said_last = any(word in line for word in _LAST_OBJECTS)
        return done


class PlainPieces:
    """Anything else: each piece that arrives is treated as an event."""

    kind = "chunks"
    comments = 0
    said_last = False
    text_is_utf8 = True
    inside = False

    def feed(self, data: bytes) -> int:
        """Process a piece; return how many events it completes."""
        return 1 if data else 0


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
