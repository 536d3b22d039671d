"""Find, read and check the settings file of a repository.

Most runs find none, so the modules that read one are imported only if there is one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from msgspec import Struct, field
from msgspec.structs import replace

from nginx_stream_lint.analysis.lint import MIN_READ_TIMEOUT_S
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.rules.finding import Severity
from nginx_stream_lint.rules.policy import Override, Worth
from nginx_stream_lint.streams.declarations import Declaration
from nginx_stream_lint.util.problems import Unreadable, nearest_words

if TYPE_CHECKING:
    from pathlib import Path

    from nginx_stream_lint.settings.node import Node

FILE_NAME = ".nginx-stream-lint.yaml"
_MISNAMED = ".nginx-stream-lint.yml"
PYPROJECT = "pyproject.toml"
TABLE = "nginx-stream-lint"
_SAID = 400  # characters of a message


class SettingsMistake(Exception):
    """Unusable settings; the message starts with `file:line:column`."""


class Settings(Struct, frozen=True):
    """The settings of a repository; `keys.KEYS` describes each key.

    `roots` and `servers` are path patterns; all paths are absolute or relative to the working
    folder. None means that the file does not set the key. `written` are the keys that it sets, as
    written, and `rules_named` the rule names in it.
    """

    file: Path | None = None
    streams: tuple[Declaration, ...] = ()
    nginx_version: Version | None = None
    min_read_timeout_s: float = MIN_READ_TIMEOUT_S
    roots: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()
    mounts: tuple[tuple[str, str], ...] = ()
    tiers: tuple[str, ...] = ()
    absent_includes: tuple[str, ...] = ()
    env_file: Path | None = None
    markdown: bool = False
    rules: tuple[Path, ...] = ()
    select: tuple[str, ...] | None = None
    ignore: tuple[str, ...] = ()
    severity: Mapping[str, Worth] = field(default_factory=dict)
    overrides: tuple[Override, ...] = ()
    fail_on: Severity = "error"
    fail_on_unchecked: bool = False
    formats: tuple[str, ...] = ()
    baseline: Path | None = None
    written: Mapping[str, Node] = field(default_factory=dict)
    rules_named: tuple[tuple[str, Node], ...] = ()

    def check_rules(self, names: Iterable[str]) -> None:
        """Check that all named rules exist. Raises SettingsMistake for the first unknown one."""
        known = sorted(names)
        for name, node in self.rules_named:
            if name not in known:
                from nginx_stream_lint.settings.types import shortened

                self._refuse(node, f"unknown rule {shortened(name)}{nearest_words(name, known)}")

    def refuse(self, key: str, message: str) -> NoReturn:
        """Refuse the value of a key. Raises SettingsMistake."""
        self._refuse(self.written[key], message)

    def _refuse(self, node: Node, message: str) -> NoReturn:
        raise _mistake(self.file, node.line, node.column, message)


def _mistake(path: Path | None, line: int, column: int, message: str) -> SettingsMistake:
    """Create a mistake whose text is safe for a terminal, whatever the file contains."""
    seen = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in message[:_SAID])
    return SettingsMistake(f"{path}:{line}:{column}: {seen}")


def find(start: str | os.PathLike[str], workspace: Workspace | None = None) -> Path | None:
    """Find the settings file in the folder of `start`, or in the nearest folder above.

    The search ends at the root of the repository; without one, only the folder of `start` is
    searched. Raises SettingsMistake for a candidate that is not a usable file.
    """
    workspace = workspace or Workspace.on_disk(os.fspath(start))
    folder = workspace.key(os.fspath(start))
    if not workspace.is_folder(folder):
        folder = os.path.dirname(folder)
    top = workspace.git_root(folder) or folder
    while True:
        shown = workspace.shown(os.path.join(folder, ""))
        if _is_there(workspace, shown + FILE_NAME):
            return _found(workspace, shown + FILE_NAME, top)
        if _is_there(workspace, shown + _MISNAMED):
            raise SettingsMistake(f"{shown}{_MISNAMED}:1:1: is not used; rename it to {FILE_NAME}")
        # Ignore a pyproject.toml that links to another place.
        if workspace.is_file(shown + PYPROJECT) and workspace.is_below(shown + PYPROJECT, top):
            path = _found(workspace, shown + PYPROJECT, top)
            if _table(workspace, path) is not None:
                return path
        if folder == top:
            return None
        folder = os.path.dirname(folder)


def _is_there(workspace: Workspace, name: str) -> bool:
    """Whether there is a file, or a broken or forbidden link."""
    return workspace.exists(name) or workspace.is_link(name)


def _found(workspace: Workspace, name: str, top: str) -> Path:
    """Check that a found file is below `top`. Raises SettingsMistake."""
    if not workspace.is_below(name, top):
        raise SettingsMistake(
            f"{name}:1:1: is a link that leads out of {top}; move the file into that folder"
        )
    from pathlib import Path

    return Path(name)


def _table(workspace: Workspace, path: Path) -> Node | None:
    """Our table in a TOML file; None if there is none."""
    text = _text(workspace, path)
    if TABLE not in text:
        return None
    from nginx_stream_lint.settings.toml import toml_node

    node: Node | None = _placed(path, toml_node, text)
    for name in ("tool", TABLE):
        pairs = [] if node is None or node.kind != "mapping" else node.pairs()
        node = next((value for key, value in pairs if key.text == name), None)
    return node


def _text(workspace: Workspace, path: Path) -> str:
    """Read a settings file. Raises SettingsMistake."""
    try:
        return workspace.text(str(path), workspace.budget.limits.settings_bytes)
    except Unreadable as stop:
        problem = stop.problem
        said = f"cannot be read ({problem.message})"
        raise SettingsMistake(f"{path}:{problem.line}:{problem.column}: {said}") from None


def _placed(path: Path, read: Any, *arguments: Any) -> Any:
    """Call `read` and add the file's name to its mistakes. Raises SettingsMistake."""
    from nginx_stream_lint.settings.node import Misplaced

    try:
        return read(*arguments)
    except Misplaced as mistake:
        raise _mistake(path, mistake.line, mistake.column, mistake.message) from None


def load(path: Path, workspace: Workspace | None = None) -> Settings:
    """Load the settings from a YAML file, or the table `tool.nginx-stream-lint` of a TOML file.

    Raises SettingsMistake with the place of the mistake.
    """
    from nginx_stream_lint.settings.keys import SETTINGS
    from nginx_stream_lint.settings.node import yaml_node
    from nginx_stream_lint.settings.types import SettingsFile

    workspace = workspace or Workspace.on_disk(str(path))
    if path.suffix == ".toml":
        node = _table(workspace, path)
        if node is None:
            raise SettingsMistake(f"{path}:1:1: it has no table [tool.{TABLE}]")
    else:
        node = _placed(path, yaml_node, _text(workspace, path))
    if node is None:
        return Settings(file=path)
    here = SettingsFile(path, workspace, _text(workspace, path))
    values = _placed(path, SETTINGS.read, node, here)
    for key in ("roots", "servers"):
        values[key] = tuple(map(str, values.get(key, ())))
    streams = list(values.get("streams", ()))
    overrides: list[Override] = []
    for one in values.get("overrides", ()):
        overrides.append(_override(one))
        streams += _streams(one)
    values["streams"], values["overrides"] = tuple(streams), tuple(overrides)
    written = {key.text: value for key, value in node.pairs()}
    return Settings(file=path, written=written, rules_named=tuple(here.rules), **values)


def _override(values: dict[str, Any]) -> Override:
    ignored: dict[str, Worth] = dict.fromkeys(values.get("ignore", ()), "off")
    return Override(
        values["paths"],
        values.get("severity", {}) | ignored,
        values.get("nginx_version"),
        values.get("min_read_timeout_s"),
    )


def _streams(values: dict[str, Any]) -> Iterable[Declaration]:
    """The streams of an override, limited to its files."""
    return (replace(one, where=values["paths"]) for one in values.get("streams", ()))
