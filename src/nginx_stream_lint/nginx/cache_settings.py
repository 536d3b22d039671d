"""Evaluate the settings of a cache for one request; see `caching.py`."""

from __future__ import annotations

from nginx_stream_lint.config import has_placeholder
from nginx_stream_lint.nginx.caching import NOTHING, RequestOf, ResponseCaching, Settings, Truth
from nginx_stream_lint.nginx.missing_includes import has_missing_includes
from nginx_stream_lint.nginx.undefined_names import zones
from nginx_stream_lint.nginx.values import parse_time
from nginx_stream_lint.nginx.variable_syntax import variables_in, without_variables
from nginx_stream_lint.util.numbers import whole_number

# Variables that are never empty after the app's response has begun, and empty before.
_IN_RESPONSES = frozenset(
    {
        "sent_http_content_type",
        "status",
        "upstream_addr",
        "upstream_cache_status",
        "upstream_http_content_type",
        "upstream_status",
    }
)
_OF_RESPONSES = ("sent_http_", "upstream_")
# Response headers with which an app may permit caching.
_ALLOWING = frozenset(("cache-control", "expires", "x-accel-expires"))
# The statuses of a `*_cache_valid` row that lists none.
_USUAL = ("200", "301", "302")


class CacheSettings:
    """A cache's settings, evaluated for one request."""

    def __init__(
        self, settings: Settings, family: str, request_of: RequestOf, permitted: bool
    ) -> None:
        self._permitted = permitted
        self._settings = settings
        self._family = family
        self._request_of = request_of

    def recording(self, zone: str, method: str) -> ResponseCaching:
        """What this cache stores, and which requests get the stored response."""
        if not self._is_for(method):
            return NOTHING
        allows = _all(self._exists(zone), self._is_valid(), _not(self._any("no_cache")))
        if allows == "no":
            return NOTHING
        bypassed = self._any("cache_bypass")
        uses = whole_number(self._settings(f"{self._family}_cache_min_uses").text)
        varies = self._key_varies()
        found = _all(allows, _not(bypassed), _not(varies))
        first = _all(allows, _is_counted(1, uses, bypassed))
        second = _all(allows, _is_counted(2, uses, bypassed))
        if varies != "no" and first != second:
            # If each request has its own key, each is the first with its key.
            second = first if varies == "yes" else "unknown"
        return ResponseCaching(
            first=first,
            second=second,
            repeat=_all(found, _is_counted(1, uses, "no")),
            later=found,
        )

    def missing_zone(self, zone: str, method: str) -> str | None:
        """The zone that variables name for this request, if it does not exist.

        nginx then responds with 500. It refuses to start if the name has no variables.
        """
        if not self._is_for(method) or not variables_in(zone):
            return None
        name = self._value(zone)
        return None if name in (None, "", "off") or self._is_defined(name) else name

    def _is_for(self, method: str) -> bool:
        """Whether nginx looks for responses to this method in the cache."""
        methods = (arg.upper() for row in self._rows("cache_methods") for arg in row)
        return method in {"GET", "HEAD", *methods}

    def _is_defined(self, name: str) -> bool:
        """Whether a zone of this name may exist."""
        http = self._request_of().server.nearest("http")
        if http is None or has_missing_includes(http):
            return True
        return name in zones(http, f"{self._family}_cache")

    def _rows(self, name: str) -> tuple[tuple[str, ...], ...]:
        return self._settings(f"{self._family}_{name}").rows

    def _exists(self, zone: str) -> Truth:
        """Whether `*_cache` names a zone for this request."""
        value = self._value(zone)
        if value is None:
            return "unknown"
        is_named = value not in ("", "off")
        return _truth(is_named and (not variables_in(zone) or self._is_defined(value)))

    def _value(self, text: str) -> str | None:
        """A text with its variables filled in; None if it is unknown."""
        if has_placeholder(text):
            return None
        return self._request_of().expand(text) if variables_in(text) else text

    def _is_valid(self) -> Truth:
        """Whether a response may be recorded: the first row for its status decides.

        Without such a row, the app's headers decide; those that permit it precede the rows.
        """
        if self._permitted:
            return "yes"
        for *codes, time in self._rows("cache_valid"):
            if "200" in (codes or _USUAL) or "any" in codes:
                return "unknown" if has_placeholder(time) else _truth(bool(parse_time(time)))
        ignored = {arg.lower() for row in self._rows("ignore_headers") for arg in row}
        return "no" if ignored >= _ALLOWING else "unknown"

    def _any(self, name: str) -> Truth:
        """Whether one of the conditions of `*_no_cache` or `*_cache_bypass` holds."""
        has_response = name == "no_cache"  # a bypass is decided before the request goes to the app
        found = {self._holds(arg, has_response) for row in self._rows(name) for arg in row}
        return "yes" if "yes" in found else "unknown" if "unknown" in found else "no"

    def _holds(self, text: str, has_response: bool) -> Truth:
        """Whether a condition is neither empty nor `0`."""
        names = variables_in(text)
        if has_placeholder(text):
            return "unknown"
        if has_response and not _IN_RESPONSES.isdisjoint(names):
            return "yes"
        if not has_response and all(name.startswith(_OF_RESPONSES) for name in names):
            return _truth(without_variables(text) not in ("", "0"))
        holds = self._request_of().is_set(text) if names else text not in ("", "0")
        return "unknown" if holds is None else _truth(holds)

    def _key_varies(self) -> Truth:
        """Whether equal requests have different keys; nginx's default key is equal for them."""
        key = self._settings(f"{self._family}_cache_key")
        if key.is_default or not variables_in(key.text):
            return "no"
        varies = self._request_of().varies(key.text)
        return "unknown" if varies is None else _truth(varies)


def _is_counted(number: int, uses: int | None, bypassed: Truth) -> Truth:
    """Whether request `number` reaches `uses` (`*_cache_min_uses`) or bypasses the cache."""
    if uses is None or (uses > number and bypassed == "unknown"):
        return "unknown"
    return _truth(uses <= number or bypassed == "yes")


def _all(*truths: Truth) -> Truth:
    return "no" if "no" in truths else "unknown" if "unknown" in truths else "yes"


def _not(truth: Truth) -> Truth:
    return {"no": "yes", "yes": "no"}.get(truth, "unknown")  # type: ignore[return-value]


def _truth(value: bool) -> Truth:
    return "yes" if value else "no"
