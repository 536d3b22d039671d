"""Place fixes for routes of the Gateway API: fields of policies of NGINX Gateway Fabric.

A policy that applies to the route gets the fields; without one, a new policy is written as a
document after the route.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TypeGuard

from nginx_stream_lint.config.mapped_text import SourceEdit
from nginx_stream_lint.files.source import Source
from nginx_stream_lint.kubernetes.gateway_api import GATEWAY_API, OF_NGINX, ApiObject
from nginx_stream_lint.kubernetes.gateway_author import GatewayAuthor, policy_entries
from nginx_stream_lint.kubernetes.manifest import Mapping, Node, Scalar

# A name of Kubernetes that is a string in YAML without quotes.
_NAME = re.compile(r"(?!(?:y|n|yes|no|on|off|true|false|null)\Z)[a-z](?:[a-z0-9.-]*[a-z0-9])?")
# A field of a policy's spec, by its path, and its value as YAML.
_Field = tuple[tuple[str, ...], str]


def policy_edits(
    author: GatewayAuthor, settings: Sequence[tuple[str, str]]
) -> list[SourceEdit] | None:
    """The edits that set directives in all locations of a route.

    None if they must be made manually: placeholders, lists of objects, JSON, anchors, comments and
    last commas in braces.
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
    """Whether an object is a whole YAML document, and not a template."""
    return not one.is_listed and one.document.text == one.document.source.text


def _added(route: ApiObject, text: str) -> SourceEdit | None:
    """Add documents after that of the route; another fix in the same place must wait."""
    names = [route.name, *([] if route.namespace is None else [route.namespace])]
    if route.path != route.document.source.name:
        return None  # a patch takes no other objects
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
    """A field cannot be written without other changes."""


def _set(policy: ApiObject, holder: Mapping, fields: Sequence[_Field]) -> Iterator[SourceEdit]:
    """Set fields of a mapping: in place if they are there, otherwise at its end."""
    if not (holder.own or holder.is_flow):
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
        elif _is_null(node):
            yield _filled(source, node, value)
        elif isinstance(node, Scalar) and node.style not in ("|", ">"):
            yield SourceEdit(node.start, node.end, value, source=source)
        else:
            raise _NoFieldError
    for key, some in inner.items():
        node = holder.entries[key].value
        if isinstance(node, Mapping):
            yield from _set(policy, node, some)
        elif _is_null(node):
            yield _filled(source, node, f"{{{', '.join(_in_braces(some))}}}")
        else:
            raise _NoFieldError
    if new and holder.is_flow:
        yield _inserted_in_flow(source, holder, new)
    elif new:
        yield _inserted(source, holder, _nested(new))


def _is_null(node: Node) -> TypeGuard[Scalar]:
    """Whether a field has no value."""
    return isinstance(node, Scalar) and not node.style and not node.text


def _filled(source: Source, node: Scalar, value: str) -> SourceEdit:
    """Set a field that has no value."""
    start, end = node.start, node.end
    if start == end:
        return SourceEdit(start - 1, start, f"{source.text[start - 1]} {value}", source=source)
    return SourceEdit(start, end, value, source=source)


def _inserted_in_flow(source: Source, holder: Mapping, fields: Sequence[_Field]) -> SourceEdit:
    """Add fields at the end of a mapping in braces; another fix in the same place must wait."""
    text = source.text
    first, end = holder.span.start, holder.span.end
    if text[first : first + 1] != "{" or text[end - 1 : end] != "}":
        raise _NoFieldError
    last = holder.own[-1].span.end if holder.own else first + 1
    if text[last : end - 1].strip():
        raise _NoFieldError  # a comma, or a comment
    more = (", " if holder.own else "") + ", ".join(_in_braces(fields))
    return SourceEdit(last - 1, last, text[last - 1] + more, source=source)


def _in_braces(fields: Sequence[_Field]) -> Iterator[str]:
    """Fields as the entries of a mapping in braces."""
    for head in dict.fromkeys(path[0] for path, _ in fields):
        inside = [(path[1:], value) for path, value in fields if path[0] == head]
        if inside[0][0]:
            yield f"{head}: {{{', '.join(_in_braces(inside))}}}"
        else:
            yield f"{head}: {inside[0][1]}"


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
