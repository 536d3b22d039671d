"""The types of settings: how each is read, and its JSON schema.

Reading and schema must agree; a test compares them.
"""

from __future__ import annotations

import os
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Protocol

from msgspec import UNSET, Meta, Struct, UnsetType, defstruct, field
from msgspec.json import schema_components

from nginx_stream_lint.files import Workspace
from nginx_stream_lint.files.globbing import is_pattern
from nginx_stream_lint.settings.node import Misplaced, Node
from nginx_stream_lint.util.problems import nearest_words

_YAML_1_1 = {"on": True, "yes": True, "off": False, "no": False}

_SHOWN = 60  # characters of a wrong value that a message quotes


class SettingsFile(Struct):
    """The settings file that is being read, with its text.

    `rules` collects the rule names in it, which are checked later. `listed` counts the values in
    its lists, because each pattern is tried on each file.
    """

    file: Path
    workspace: Workspace
    text: str
    rules: list[tuple[str, Node]] = field(default_factory=list)
    listed: int = 0


def inside(text: str, settings_file: SettingsFile) -> Path:
    """Resolve a path of the settings, which must stay in their folder.

    Settings are part of the checked repository, so they must not reach other files on this machine.
    Links are followed. Raises ValueError.
    """
    path = settings_file.file.parent / text
    if not settings_file.workspace.is_below(str(path), str(settings_file.file.parent)):
        raise ValueError(f"{shortened(text)} leads out of the folder of this file; move it inside")
    return path


def pattern_inside(text: str, settings_file: SettingsFile) -> Path:
    """Resolve a path pattern like `inside`.

    Only the part before its wildcards is followed; the caller must check each match.
    """
    parts = re.split(r"[/\\]" if os.sep == "\\" else "/", text)
    fixed = next((at for at, part in enumerate(parts) if is_pattern(part)), len(parts))
    if os.pardir in parts[fixed:]:
        raise ValueError(f"{shortened(text)} has .. after a wildcard; write the path without ..")
    inside("/".join(parts[:fixed]) or (os.sep if text.startswith("/") else "."), settings_file)
    return settings_file.file.parent / text


# `typing` for types that are built at run time.
_T: Any = typing
_WORD: Any = Annotated[str, Meta(min_length=1)]


def json_schema(hint: Any) -> dict[str, Any]:
    """The JSON schema of a type, without references.

    Draft 7 ignores keys beside a reference, so records are inserted in place.
    """
    (schema,), records = schema_components([hint], ref_template="{name}")
    whole: dict[str, Any] = _in_one_piece(schema, records)
    return whole


def _in_one_piece(value: Any, records: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_in_one_piece(one, records) for one in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        value = records[value["$ref"]] | {key: one for key, one in value.items() if key != "$ref"}
    return {key: _in_one_piece(one, records) for key, one in value.items()}


class AllRules(tuple[str, ...]):
    """The names of all rules, if there are no own rules."""


class Type(Protocol):
    """A kind of value; `words` describes it in a few words."""

    @property
    def words(self) -> str: ...

    def read(self, node: Node, here: SettingsFile) -> Any:
        """Convert a node to its value. Raises Misplaced."""

    def hint(self, rules: Sequence[str]) -> Any:
        """A type from which msgspec generates the schema, with the names of known rules."""


def _wrong(node: Node, wanted: str, instead: str = "") -> Misplaced:
    """The mistake for a value of another kind."""
    said = (
        instead
        or {
            "nothing": "nothing",
            "list": "a list",
            "mapping": "a mapping",
            "other": "something else",
        }.get(node.kind)
        or shortened(node.text)
    )
    advice = "; remove the key, or set a value" if node.kind == "nothing" else ""
    wanted = wanted.replace("`", "")
    return Misplaced(f"expected {wanted}, not {said}{advice}", node.line, node.column)


def _word(node: Node, wanted: str) -> str:
    """The text of a node, which must be a printable word."""
    if node.kind != "text" or not node.text:
        raise _wrong(node, wanted)
    if not node.text.isprintable():
        node.fail(f"{shortened(node.text)} has an invisible character; remove it")
    return node.text


def shortened(text: str) -> str:
    """Quote a text, shortened if it is long."""
    return f'"{text}"' if len(text) <= _SHOWN else f'"{text[:_SHOWN]}…"'


class Text(Struct, frozen=True):
    """A word that `parse` accepts; it raises ValueError for others.

    `pattern` is a regular expression for all accepted words (and perhaps more). With `number` the
    word may be a bare number.
    """

    words: str
    parse: Callable[[str], Any] = str
    pattern: str | None = None
    number: bool = False

    def read(self, node: Node, _: SettingsFile) -> Any:
        if node.kind == "number" and not self.number:
            node.fail(f'quote this value: "{node.text}"')
        text = node.text if node.kind == "number" else _word(node, self.words)
        try:
            return self.parse(text)
        except ValueError as error:
            node.fail(str(error))

    def hint(self, _: Sequence[str]) -> Any:
        text = _WORD if self.pattern is None else _T.Annotated[str, Meta(pattern=self.pattern)]
        return _T.Union[text, Annotated[int, Meta(ge=0)]] if self.number else text


class FilePath(Struct, frozen=True):
    """A path in the folder of the settings file; `follow` resolves it and raises ValueError."""

    words: str
    follow: Callable[[str, SettingsFile], Path] = inside

    def read(self, node: Node, settings_file: SettingsFile) -> Path:
        text = _word(node, self.words)
        try:
            return self.follow(text, settings_file)
        except ValueError as error:
            node.fail(str(error))

    def hint(self, _: Sequence[str]) -> Any:
        return _WORD


class Choice(Struct, frozen=True):
    """One of a few words."""

    choices: tuple[str, ...]

    @property
    def words(self) -> str:
        return ", ".join(f"`{word}`" for word in self.choices)

    def read(self, node: Node, _: SettingsFile) -> str:
        if node.kind != "text":
            raise _wrong(node, f"one of {', '.join(self.choices)}")
        if node.text not in self.choices:
            node.fail(f"{shortened(node.text)} is unknown{nearest_words(node.text, self.choices)}")
        return node.text

    def hint(self, _: Sequence[str]) -> Any:
        # Many editors read YAML 1.1, in which these words are booleans unless they are quoted.
        flags = sorted({_YAML_1_1[word] for word in self.choices if word in _YAML_1_1})
        words = _T.Literal[self.choices]
        flag = Annotated[bool, Meta(extra_json_schema={"enum": flags})]
        return _T.Union[words, flag] if flags else words


class Flag(Struct, frozen=True):
    """`true` or `false`."""

    words: str = "`true` or `false`"

    def read(self, node: Node, _: SettingsFile) -> bool:
        if node.kind != "flag":
            raise _wrong(node, "true or false")
        return node.text == "true"

    def hint(self, _: Sequence[str]) -> Any:
        return bool


class RuleName(Struct, frozen=True):
    """The name of a rule. The existing names are known only after the rules are read."""

    words: str = "the name of a rule"

    def read(self, node: Node, settings_file: SettingsFile) -> str:
        name = _word(node, self.words)
        settings_file.rules.append((name, node))
        return name

    def hint(self, rules: Sequence[str]) -> Any:
        if isinstance(rules, AllRules):
            return _T.Literal[tuple(rules)]
        # Editors complete the known names.
        known = Meta(extra_json_schema={"anyOf": [{"enum": list(rules)}, {"minLength": 1}]})
        return _T.Annotated[str, known]


class ListOf(Struct, frozen=True):
    """A list of values, or a single one."""

    item: Type
    at_least: int = 0

    @property
    def words(self) -> str:
        return f"one or a list: {self.item.words}"

    def read(self, node: Node, settings_file: SettingsFile) -> tuple[Any, ...]:
        nodes = node.list_items() if node.kind == "list" else [node]
        if len(nodes) < self.at_least:
            raise _wrong(node, self.item.words, "an empty list")
        settings_file.listed += len(nodes)
        most = settings_file.workspace.budget.limits.settings_values
        if settings_file.listed > most:
            node.fail(f"with this list there are more than {most:,} values; name folders instead")
        return tuple(self.item.read(one, settings_file) for one in nodes)

    def hint(self, rules: Sequence[str]) -> Any:
        one = self.item.hint(rules)
        return _T.Union[one, _T.Annotated[_T.Sequence[one], Meta(min_length=self.at_least or None)]]


class ByRule(Struct, frozen=True):
    """A mapping from names of rules."""

    value: Type

    @property
    def words(self) -> str:
        return f"a mapping of rules to {self.value.words}"

    def read(self, node: Node, settings_file: SettingsFile) -> dict[str, Any]:
        if node.kind != "mapping":
            raise _wrong(node, "a mapping of rules")
        name = RuleName()
        return {
            name.read(key, settings_file): self.value.read(value, settings_file)
            for key, value in node.pairs()
        }

    def hint(self, rules: Sequence[str]) -> Any:
        value = json_schema(self.value.hint(rules))
        # Editors complete the known names.
        known = dict.fromkeys(rules, value)
        others = False if isinstance(rules, AllRules) else value
        more = Meta(extra_json_schema={"properties": known, "additionalProperties": others})
        return _T.Annotated[dict, more]


class Mounts(Struct, frozen=True):
    """Paths in production of parts of the repository: a mapping, or a list of `PATH=FOLDER`."""

    words: str = "a mapping of absolute paths to files or folders here"

    def read(self, node: Node, settings_file: SettingsFile) -> tuple[tuple[str, str], ...]:
        found: list[tuple[str, str]] = []
        for one in node.list_items() if node.kind == "list" else [node]:
            if one.kind == "mapping":
                pairs = [(key, key.text, _word(value, "a folder")) for key, value in one.pairs()]
            else:
                path, equals, folder = _word(one, self.words).partition("=")
                pairs = [(one, path, folder if equals else "")]
            for place, path, folder in pairs:
                try:
                    found.append(mount(path, str(inside(folder, settings_file)) if folder else ""))
                except ValueError as error:
                    place.fail(str(error))
        return tuple(found)

    def hint(self, _: Sequence[str]) -> Any:
        mapping = dict[Annotated[str, Meta(pattern="^/")], _WORD]
        one = mapping | Annotated[str, Meta(pattern="^/[^=]*=.")]
        return one | list[one]


def mount(path: str, here: str) -> tuple[str, str]:
    """Check a path in production, and its file or folder here. Raises ValueError."""
    if not path.startswith("/") or not here:
        raise ValueError(f"{shortened(path)} must have the form PATH=FOLDER, with an absolute PATH")
    return path, here


class Key(Struct, frozen=True):
    """A key of a mapping, with everything that reading and documentation need.

    `default` is the default value as a user would write it, or None; then `unset` describes the
    default in words. `option` is the command-line option that overrides it, or that `adds` to it.
    `field` is its name in `Settings`, if that differs.
    """

    name: str
    type: Type
    doc: str
    example: Any
    default: Any = None
    unset: str = ""
    option: str = ""
    adds: bool = False
    field: str = ""

    def hint(self, rules: Sequence[str]) -> Any:
        """The type of its value, with its documentation."""
        # Editors show the documentation as plain text, so remove links and markup.
        said = Meta(description=self.doc.replace("`", ""), examples=[self.example])
        return _T.Annotated[_T.Union[self.type.hint(rules), UnsetType], said]


class Record(Struct, frozen=True):
    """A mapping with known keys. `what` names it in messages.

    The `required` keys must be set, and with `more` at least one other key.
    """

    what: str
    keys: tuple[Key, ...]
    required: tuple[str, ...] = ()
    more: bool = False

    @property
    def words(self) -> str:
        return f"a mapping with {', '.join(f'`{key.name}`' for key in self.keys)}"

    def read(self, node: Node, settings_file: SettingsFile) -> dict[str, Any]:
        """The values by field."""
        names = [key.name for key in self.keys]
        if node.kind != "mapping":
            node.fail(f"{self.what} must be a mapping; keys: {', '.join(names)}")
        found: dict[str, Any] = {}
        for written, value in node.pairs():
            key = next((key for key in self.keys if key.name == written.text), None)
            if key is None:
                of = "" if self.what == "settings" else f" of {self.what}"
                known = nearest_words(written.text, names)
                written.fail(f"unknown key {shortened(written.text)}{of}{known}")
            found[key.field or key.name] = key.type.read(value, settings_file)
        for name in self.required:
            if name not in found:
                node.fail(f'{self.what} needs the key "{name}"')
        if self.more and len(found) == len(self.required):
            others = ", ".join(name for name in names if name not in self.required)
            node.fail(f"{self.what} changes nothing; add one of the keys {others}")
        return found

    def hint(self, rules: Sequence[str]) -> Any:
        fields: list[Any] = []
        for key in self.keys:
            default = UNSET if key.default is None else key.default
            optional = () if key.name in self.required else (default,)
            fields.append((key.name, key.hint(rules), *optional))
        record = defstruct(self.what, fields, forbid_unknown_fields=True, kw_only=True)
        least = {"minProperties": len(self.required) + 1} if self.more else None
        return _T.Annotated[record, Meta(extra_json_schema=least)]


class Either(Struct, frozen=True):
    """A word, or a mapping with more keys."""

    text: Text
    record: Record

    @property
    def words(self) -> str:
        return f"{self.text.words}, or {self.record.words}"

    def read(self, node: Node, settings_file: SettingsFile) -> Any:
        if node.kind == "mapping":
            self.record.read(node, settings_file)
        else:
            self.text.read(node, settings_file)
        return node.plain()

    def hint(self, rules: Sequence[str]) -> Any:
        return _T.Union[self.text.hint(rules), self.record.hint(rules)]


class Converted(Struct, frozen=True):
    """A value of another kind, converted by `make`, which may raise ValueError."""

    type: Type
    make: Callable[[Any, SettingsFile], Any]

    @property
    def words(self) -> str:
        return self.type.words

    def read(self, node: Node, settings_file: SettingsFile) -> Any:
        value = self.type.read(node, settings_file)
        try:
            return self.make(value, settings_file)
        except ValueError as error:
            node.fail(str(error))

    def hint(self, rules: Sequence[str]) -> Any:
        return self.type.hint(rules)
