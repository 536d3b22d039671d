"""`lint` for other programs: with fixes as `--fix` would write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nginx_stream_lint.analysis import lint as one_round
from nginx_stream_lint.analysis.lint import Options, Result
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.fixes.apply import with_complete_fixes


def lint(
    workspace: Workspace, paths: Sequence[str] | None = None, options: Options | None = None
) -> Result:
    """Check all configurations that paths (files and folders) lead to.

    `paths` defaults to those of the workspace, `options` to the shipped rules without settings:
    only the command reads a settings file. The edits of all safe fixes, each applied once, give the
    files that `--fix` writes.

    >>> from nginx_stream_lint import Workspace, lint
    >>> text = "location /v1/chat/completions { proxy_pass http://127.0.0.1:8000; }"
    >>> result = lint(Workspace.in_memory({"nginx.conf": text}), ["nginx.conf"])
    >>> [finding.rule for finding in result.findings if finding.severity == "error"]
    ['response-buffering', 'short-read-timeout']
    """
    options = options or Options()
    result = one_round.lint(workspace, paths, options)
    complete_fixes(result, workspace, options)
    return result


def complete_fixes(result: Result, workspace: Workspace, options: Options) -> None:
    """Give the findings of a result the fixes that `--fix` would write.

    That takes another check of the files, with their fixes applied.
    """

    def checked(changed: Mapping[str, str]) -> Result:
        if not changed:
            return result
        after = one_round.lint(workspace.overlaid(changed), result.inputs, options)
        after.release()
        return after

    result.findings = with_complete_fixes(result.findings, checked)
