"""Merge the options of the command line with the settings of the repository."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct
from msgspec.structs import replace

from nginx_stream_lint.analysis.lint import Options
from nginx_stream_lint.cli.common import known_rules, say, unusable
from nginx_stream_lint.cli.output import Target, targets_of, targets_with
from nginx_stream_lint.config import InputOptions
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.rules.finding import Severity
from nginx_stream_lint.rules.policy import Policy, Worth
from nginx_stream_lint.rules.rule import Rule, RuleMistake
from nginx_stream_lint.settings import Settings, SettingsMistake, find, load
from nginx_stream_lint.streams.declarations import DeclaredProxy, SettingsPosition
from nginx_stream_lint.util.budget import spending
from nginx_stream_lint.util.problems import Unreadable, nearest_words

if TYPE_CHECKING:
    from pathlib import Path


class MergedOptions(Struct, frozen=True):
    """The merged options and settings. `given` are the options' values by settings key."""

    settings: Settings
    options: Options
    given: Mapping[str, Any]
    targets: tuple[Target, ...]
    fail_on: Severity
    baseline: Path | None


def merge_options(workspace: Workspace, first: str, flags: Mapping[str, Any]) -> MergedOptions:
    """Merge settings with the options of a command, by parameter name; None: not given.

    `first` is the path whose settings apply. Exits with status 2 if settings or rules are unusable.
    """
    try:
        with spending(workspace.budget):
            path = flags["config_file"]
            if path is None and not flags.get("isolated"):
                path = find("." if first == "-" else first, workspace)
            settings = Settings() if path is None else load(path, workspace)
            return _chosen(workspace, settings, flags)
    except (SettingsMistake, RuleMistake, Unreadable) as mistake:
        unusable(str(mistake))


def _chosen(workspace: Workspace, settings: Settings, flags: Mapping[str, Any]) -> MergedOptions:
    for _, here in settings.mounts:
        if not workspace.exists(here):
            settings.refuse("mounts", f'there is no file or folder "{here}"; correct the path')
    tiers, proxies = _tiers(workspace, settings)
    rules, policy, names = _rules(workspace, settings, flags)
    version, timeout = flags.get("nginx_version"), flags.get("min_read_timeout")
    overrides = (
        replace(
            one,
            nginx_version=one.nginx_version if version is None else None,
            min_read_timeout_s=one.min_read_timeout_s if timeout is None else None,
        )
        for one in policy.overrides
    )
    policy = Policy(policy.severity, tuple(overrides))
    markdown = flags.get("markdown")
    return MergedOptions(
        settings,
        Options(
            rules=rules,
            nginx_version=version or settings.nginx_version,
            min_read_timeout_s=settings.min_read_timeout_s if timeout is None else timeout,
            streams=(*settings.streams, *flags.get("streams", ())),
            all_streams=flags.get("all_streams", False),
            input_options=InputOptions(
                settings.roots,
                settings.servers,
                settings.absent_includes,
                _values(workspace, settings, flags.get("env_file")),
                settings.markdown if markdown is None else markdown,
                within=None if settings.file is None else str(settings.file.parent),
                mounts=(*flags.get("mounts", ()), *settings.mounts),
            ),
            policy=policy,
            all_rules=names,
            isolated=flags["isolated"],
            tiers=tiers,
            proxies=proxies,
        ),
        _given(flags),
        _targets(settings, flags),
        flags.get("fail_on") or settings.fail_on,
        flags.get("baseline") or settings.baseline,
    )


def _tiers(
    workspace: Workspace, settings: Settings
) -> tuple[tuple[str, ...], tuple[DeclaredProxy, ...]]:
    """The nginx configurations that a request passes, and the other proxies among them."""
    if settings.file is None or not settings.tiers:
        return (), ()
    from nginx_stream_lint.tiers.products import product_named, product_names

    node = settings.written["tiers"]
    nodes = node.list_items() if node.kind == "list" else [node]
    text = workspace.text(str(settings.file))
    tiers: list[str] = []
    proxies: list[DeclaredProxy] = []
    for one, item in zip(settings.tiers, nodes, strict=True):
        if workspace.exists(one):
            tiers.append(one)
            continue
        product = product_named(one)
        if product is None:
            name = os.path.basename(one)
            near = nearest_words(name, product_names())
            settings.refuse("tiers", f'there is no file "{one}", and no product "{name}"{near}')
        place = SettingsPosition(str(settings.file), text, item.line, item.column)
        proxies.append(DeclaredProxy(product.name, place, tiers[-1] if tiers else None))
    return tuple(tiers), tuple(proxies)


def _rules(
    workspace: Workspace, settings: Settings, flags: Mapping[str, Any]
) -> tuple[tuple[Rule, ...], Policy, tuple[str, ...]]:
    """The rules to apply, the policy for their severities, and the names of all rules."""
    for folder in settings.rules:
        if not workspace.is_folder(str(folder)):
            settings.refuse("rules", f"there is no folder {folder}; correct the path")
        for name, _ in workspace.entries(str(folder)):
            if settings.file is None or not workspace.is_below(
                str(folder / name), str(settings.file.parent)
            ):
                settings.refuse(
                    "rules",
                    f"{folder / name} is a link that leads out of the folder of this file",
                )
    own = [*settings.rules, *filter(None, [flags.get("rules_folder")])]
    rules = known_rules(workspace, *own)
    names = [rule.name for rule in rules]
    new = {old: rule.name for rule in rules for old in rule.renamed_from if old not in set(names)}
    settings.check_rules([*names, *new])
    for name, _ in settings.rules_named:
        _note_renamed(name, new)
    selected = _named(flags.get("select"), "--select", names, new)
    ignored = _named(flags.get("ignore"), "--ignore", names, new) or ()
    worth: dict[str, Worth] = {new.get(name, name): one for name, one in settings.severity.items()}
    if selected is None:
        selected = settings.select and tuple(new.get(name, name) for name in settings.select)
        worth |= dict.fromkeys((new.get(name, name) for name in settings.ignore), "off")
    else:
        # A user who names a rule expects its findings.
        worth = {name: one for name, one in worth.items() if one != "off"}
    policy = Policy(worth, settings.overrides)
    chosen = tuple(
        rule
        for rule in rules
        if (selected is None or rule.name in selected)
        and rule.name not in ignored
        and policy.is_enabled(rule.name)
    )
    return chosen, policy, tuple(names)


def _words(text: str | None) -> tuple[str, ...]:
    """Split a comma-separated list."""
    return tuple(word.strip() for word in (text or "").split(",") if word.strip())


def _note_renamed(name: str, new: Mapping[str, str]) -> None:
    """Note that a rule was renamed."""
    if name in new:
        say(
            f"note: rule {name} was renamed to {new[name]};"
            " the next version will not accept the old name"
        )


def _named(
    text: str | None, option: str, names: Sequence[str], new: Mapping[str, str]
) -> tuple[str, ...] | None:
    """The rules that a comma-separated option names; `new` maps old names to new ones."""
    if text is None:
        return None
    wanted = _words(text)
    for name in wanted:
        _note_renamed(name, new)
        if name not in names and name not in new:
            raise click.BadParameter(
                f'unknown rule "{name}"{nearest_words(name, sorted(names))}', param_hint=option
            )
    return tuple(new.get(name, name) for name in wanted)


def _values(workspace: Workspace, settings: Settings, file: Path | None) -> dict[str, str]:
    """The values of template variables."""
    try:
        if file is not None:
            return _env_values(workspace, file)
        return {} if settings.env_file is None else _env_values(workspace, settings.env_file)
    except ValueError as error:
        if file is None:
            settings.refuse("env_file", str(error))
        raise click.BadParameter(str(error), param_hint="--env-file") from None


def _env_values(workspace: Workspace, path: Path) -> dict[str, str]:
    """Read lines of NAME=VALUE as docker and compose do. Raises ValueError."""
    try:
        lines = workspace.text(str(path)).splitlines()
    except Unreadable as stop:
        raise ValueError(f"{path} cannot be read ({stop.problem.message})") from None
    found: dict[str, str] = {}
    for number, written in enumerate(lines, 1):
        line = written.strip().removeprefix("export ")
        if not line or line.startswith("#"):
            continue
        name, equals, text = line.partition("=")
        if not equals or not name.strip().isidentifier():
            raise ValueError(f"{path}:{number}:1: this line is not NAME=VALUE")
        text = text.strip()
        if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
            text = text[1:-1]
        found[name.strip()] = text
    return found


def _targets(settings: Settings, flags: Mapping[str, Any]) -> tuple[Target, ...]:
    """The targets of reports. Paths in settings are relative to the settings' folder."""
    chosen = flags.get("formats", ())
    if not chosen and settings.file is not None:
        folder = settings.file.parent
        words = [word.partition("=") for word in settings.formats]
        values = tuple(
            f"{name}={folder / file}" if file not in ("", "-") else name for name, _, file in words
        )
        try:
            chosen = targets_of(values)
        except ValueError as error:
            settings.refuse("format", str(error))
        chosen = tuple(replace(target, guarded=True) for target in chosen)
        if flags.get("output") is not None and len(chosen) == 1:
            chosen = (Target(chosen[0].format),)
    return targets_with(chosen, flags.get("output"))


def _given(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The options' values, in the form of settings."""
    version, timeout = flags.get("nginx_version"), flags.get("min_read_timeout")
    formats = tuple(
        target.format if target.file is None else f"{target.format}={target.file}"
        for target in flags.get("formats", ())
    )
    values = {
        "streams": tuple(one.path for one in flags.get("streams", ())),
        "nginx_version": version and ".".join(map(str, version)),
        "min_read_timeout": None if timeout is None else f"{timeout:g}s",
        "env_file": flags.get("env_file") and str(flags["env_file"]),
        "markdown": flags.get("markdown"),
        "mounts": tuple(f"{path}={here}" for path, here in flags.get("mounts", ())),
        "tiers": flags.get("through"),
        "rules": flags.get("rules_folder") and (str(flags["rules_folder"]),),
        "select": _words(flags.get("select")),
        "ignore": _words(flags.get("ignore")),
        "fail_on": flags.get("fail_on"),
        "format": formats,
        "baseline": flags.get("baseline") and str(flags["baseline"]),
    }
    return {key: value for key, value in values.items() if value not in (None, ())}
