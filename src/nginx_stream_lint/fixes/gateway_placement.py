"""Place fixes for routes of the Gateway API: fields of policies of NGINX Gateway Fabric.

A policy that applies to the route gets the fields; without one, a new policy is written as a
document after the route.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from nginx_stream_lint.config.mapped_text import SourceEdit
from nginx_stream_lint.files.source import Source
from nginx_stream_lint.kubernetes.gateway_api import GATEWAY_API, OF_NGINX, ApiObject
from nginx_stream_lint.kubernetes.gateway_author import GatewayAuthor, policy_entries
from nginx_stream_lint.kubernetes.manifest import Mapping, Scalar

# A name of Kubernetes that is a string in YAML without quotes.
_NAME = re.compile(r"(?!(?:y|n|yes|no|on|off|true|false|null)\Z)[a-z](?:[a-z0-9.-]*[a-z0-9])?")
# A field of a policy's spec, by its path, and its value as YAML.
_Field = tuple[tuple[str, ...], str]


def policy_edits(
    author: GatewayAuthor, settings: Sequence[tuple[str, str]]
) -> list[SourceEdit] | None:
    """The edits that give directives their values in all locations of a route.

    None if they must be made manually: placeholders, lists of objects, JSON, anchors.
    """
    by_kind: dict[str, list[_Field]] = {}
    for name, value in settings:
        found = author.field_for(name, value)
        if found is None:
            return None
        kind, path, said = found
        by_kind.setdefault(kind, []).append((tuple(path.split(".")), said))
    edits: list[SourceEdit] = []
    new: list[str] = []
    for kind, fields in by_kind.items():
        policy = author.policy_for(kind)
        if policy is None and not author.is_named:
            return None
        if policy is None:
            new.append(_document(author, kind, fields))
            continue
        changes = _changed(policy, fields)
        if changes is None:
            return None
        edits += changes
    if new:
        added = _added(author.subject, "".join(new))
        if added is None:
            return None
        edits.append(added)
    return edits


def _is_plain(one: ApiObject) -> bool:
    """Whether an object is a YAML document of its own, and no template."""
    return not one.is_listed and one.document.text == one.document.source.text


def _added(route: ApiObject, text: str) -> SourceEdit | None:
    """Add documents after that of the route; another fix in the same place must wait."""
    names = [route.name, *([] if route.namespace is None else [route.namespace])]
    if not _is_plain(route) or not all(map(_NAME.fullmatch, names)):
        return None
    text_before, end = route.document.source.text, route.document.span.end
    stop = len(text_before[:end].rstrip())
    behind = text_before[stop:end]
    if not stop or text_before.startswith("...", end):
        return None
    newline = "\r\n" if "\r\n" in text_before else "\n"
    line_end = behind[: behind.find("\n") + 1] or newline
    more = text_before[stop - 1] + line_end + text.replace("\n", newline)
    # Blank lines before the next document stay behind the new one.
    return SourceEdit(stop - 1, stop + min(len(line_end), len(behind)), more)


def _document(author: GatewayAuthor, kind: str, fields: Sequence[_Field]) -> str:
    """A new policy for a route, as a YAML document."""
    route = author.subject
    ending = "streaming" if kind == "ProxySettingsPolicy" else "client-settings"
    name = base = f"{route.name}-{ending}"
    number = 1
    while (kind, name) in author.objects.names:
        number += 1
        name = f"{base}-{number}"
    lines = [
        "---",
        f"apiVersion: {OF_NGINX}/v1alpha1",
        f"kind: {kind}",
        "metadata:",
        f"  name: {name}",
    ]
    if route.namespace is not None:
        lines.append(f"  namespace: {route.namespace}")
    target = [f"group: {GATEWAY_API}", f"kind: {route.kind}", f"name: {route.name}"]
    if kind == "ClientSettingsPolicy":
        lines += ["spec:", "  targetRef:", *(f"    {one}" for one in target)]
    else:
        lines += ["spec:", "  targetRefs:", f"    - {target[0]}"]
        lines += [f"      {one}" for one in target[1:]]
    lines += [f"  {line}" for line in _nested(fields)]
    return "".join(f"{line}\n" for line in lines)


def _nested(fields: Sequence[_Field]) -> list[str]:
    """Fields as the lines of a block mapping."""
    found: list[str] = []
    for head in dict.fromkeys(path[0] for path, _ in fields):
        inside = [(path[1:], value) for path, value in fields if path[0] == head]
        if inside[0][0]:
            found += [f"{head}:", *(f"  {line}" for line in _nested(inside))]
        else:
            found.append(f"{head}: {inside[0][1]}")
    return found


def _changed(policy: ApiObject, fields: Sequence[_Field]) -> list[SourceEdit] | None:
    """Set fields of a policy; None if one cannot be written there."""
    spec = policy_entries(policy)
    if not _is_plain(policy) or spec is None:
        return None
    try:
        return list(_set(policy, spec, fields))
    except _NoFieldError:
        return None


class _NoFieldError(Exception):
    """A field cannot be written without changing what else is there."""


def _set(policy: ApiObject, holder: Mapping, fields: Sequence[_Field]) -> Iterator[SourceEdit]:
    """Set fields of a mapping: in place if they are there, otherwise at its end."""
    if holder.is_flow or not holder.own:
        raise _NoFieldError
    source = policy.document.source
    new: list[_Field] = []
    inner: dict[str, list[_Field]] = {}
    for path, value in fields:
        entry = holder.entries.get(path[0])
        if entry is None:
            new.append((path, value))
            continue
        node = entry.value
        if entry.is_alias or all(entry is not one for one in holder.own):
            raise _NoFieldError
        if len(path) > 1:
            inner.setdefault(path[0], []).append((path[1:], value))
        elif isinstance(node, Scalar) and node.text and node.style not in ("|", ">"):
            yield SourceEdit(node.start, node.end, value, source=source)
        else:
            raise _NoFieldError
    for key, some in inner.items():
        node = holder.entries[key].value
        if not isinstance(node, Mapping):
            raise _NoFieldError
        yield from _set(policy, node, some)
    if new:
        yield _inserted(source, holder, _nested(new))


def _inserted(source: Source, holder: Mapping, lines: Sequence[str]) -> SourceEdit:
    """Add lines at the end of a mapping; another fix in the same place must wait."""
    text = source.text
    first, last = holder.own[0].span.start, holder.own[-1].span.end
    indent = text[text.rfind("\n", 0, first) + 1 : first]
    if indent.strip():
        raise _NoFieldError
    end = text.find("\n", last)
    end = len(text) if end < 0 else end - (text[end - 1] == "\r")
    newline = "\r\n" if "\r\n" in text else "\n"
    more = "".join(f"{newline}{indent}{line}" for line in lines)
    return SourceEdit(end - 1, end, text[end - 1] + more, source=source)
