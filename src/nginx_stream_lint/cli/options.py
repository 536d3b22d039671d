"""Options that several commands have, alone and in groups."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from nginx_stream_lint.cli.common import known_rules
from nginx_stream_lint.nginx.versions import Version, parse_version

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from nginx_stream_lint.streams.declarations import Declaration

_F = TypeVar("_F", bound=Callable[..., Any])


class PathOption(click.Path):
    """A path as `pathlib.Path`; the module is imported only if a path is given."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from pathlib import Path

        return Path(os.fsdecode(super().convert(value, param, ctx)))


def version_option(_: click.Context, __: click.Parameter, value: str | None) -> Version | None:
    """Callback of `--nginx-version`."""
    try:
        return None if value is None else parse_version(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def timeout_option(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    """Callback of an option that takes a time."""
    if value is None:
        return None
    from nginx_stream_lint.settings.keys import timeout_s

    try:
        return timeout_s(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def streams_option(
    _: click.Context, __: click.Parameter, values: tuple[str, ...]
) -> tuple[Declaration, ...]:
    """Callback of `--stream`."""
    if not values:
        return ()
    from nginx_stream_lint.streams.declaration_syntax import DeclarationMistake, declaration

    try:
        return tuple(declaration(value, "--stream declares it") for value in values)
    except DeclarationMistake as mistake:
        raise click.BadParameter(str(mistake)) from None


def mounts_option(
    _: click.Context, __: click.Parameter, values: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    """Callback of `--mount`."""
    if not values:
        return ()
    from nginx_stream_lint.settings.types import mount

    found: list[tuple[str, str]] = []
    for value in values:
        path, _equals, here = value.partition("=")
        try:
            found.append(mount(path, here))
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
        if not os.path.exists(here):
            raise click.BadParameter(f'there is no file or folder "{here}"')
    return tuple(found)


def complete_rule(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Shell completions for one rule."""
    from click.shell_completion import CompletionItem

    return [
        CompletionItem(rule.name, help=rule.title)
        for rule in known_rules()
        if rule.name.startswith(incomplete)
    ]


def complete_rules(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Shell completions for the last of several comma-separated rules."""
    before, comma, last = incomplete.rpartition(",")
    named = before.split(",")
    items = [one for one in complete_rule(ctx, param, last) if one.value not in named]
    for item in items:
        item.value = f"{before}{comma}{item.value}"
    return items


def format_option(*formats: str) -> Callable[[_F], _F]:
    """`--format` with these formats, the default first."""
    return click.option(
        "--format",
        "format_",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help="Output format.",
    )


output_option = click.option(
    "--output",
    type=click.Path(dir_okay=False),
    help="Write the report to this file.  [default: standard output]",
)
config_option = click.option(
    "--config",
    "config_file",
    type=PathOption(exists=True, dir_okay=False),
    help="Settings file.  [default: the nearest one in the folder of CONF or above]",
)
isolated_option = click.option(
    "--isolated",
    is_flag=True,
    help="Ignore the repository's settings, baselines and ignore comments; use only the files that"
    " the command line names.",
)
env_file_option = click.option(
    "--env-file",
    type=PathOption(exists=True, dir_okay=False),
    help="File with NAME=VALUE lines: values of ${NAME} in templates.  [default: all unknown]",
)
document_option = click.option(
    "--markdown/--no-markdown",
    default=None,
    help="Check the nginx blocks of CONF if it is a Markdown file.  [default: no]",
)
color_option = click.option(
    "--color/--no-color",
    default=None,
    help="Use colours.  [default: on a terminal; NO_COLOR and FORCE_COLOR override this]",
)
nginx_version_option = click.option(
    "--nginx-version",
    metavar="X.Y.Z",
    callback=version_option,
    help="nginx version in production.  [default: assume older than 1.29.7]",
)
host_option = click.option(
    "--host",
    is_flag=True,
    help="Also read included files outside the repository, as nginx does on this machine."
    "  [default: only if the main file is in /etc/nginx or another standard folder]",
)
mount_option = click.option(
    "--mount",
    "mounts",
    multiple=True,
    metavar="PATH=FOLDER",
    callback=mounts_option,
    help="Read includes of the absolute path PATH from FOLDER (a folder or file); repeatable.",
)
through_option = click.option(
    "--through",
    metavar="PROXY",
    multiple=True,
    help="A proxy in front of CONF: the configuration of another nginx, or the name of a product"
    " such as cloudflare. Repeatable, the proxy nearest to CONF first.  [default: `tiers` in the"
    " settings]",
)
min_read_timeout_option = click.option(
    "--min-read-timeout",
    metavar="TIME",
    callback=timeout_option,
    help="Silence that a stream must survive, such as 90s or 5m.  [default: 300s]",
)
rules_folder_option = click.option(
    "--rules",
    "rules_folder",
    metavar="FOLDER",
    type=PathOption(exists=True, file_okay=False),
    help="Folder with your own rules, in addition to the built-in ones.",
)


def _group(*options: Callable[[_F], _F]) -> Callable[[_F], _F]:
    def decorate(command: _F) -> _F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


# Options that locate included files.
include_options = _group(host_option, mount_option)
# Options for commands whose only other format is JSON.
report_options = _group(format_option("text", "json"), output_option, color_option)


def configuration_options(*formats: str) -> Callable[[_F], _F]:
    """Options for commands that read one configuration, with these report formats."""
    return _group(
        click.argument("conf", type=click.Path(readable=False)),
        config_option,
        isolated_option,
        env_file_option,
        document_option,
        include_options,
        format_option(*formats),
        output_option,
        color_option,
    )
