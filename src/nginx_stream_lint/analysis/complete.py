"""`lint` for other programs: with fixes as `--fix` would write them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache

from nginx_stream_lint.analysis import lint as one_round
from nginx_stream_lint.analysis.lint import Options, Result
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.fixes.apply import applicable, new_problems, with_complete_fixes
from nginx_stream_lint.fixes.sample import sample


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
    """Replace the fixes of a result's findings by those that `--fix` would write.

    That takes another check of the files, with their fixes applied. If many locations have equal
    findings and fixes, a check of some of them is enough, unless it finds more to fix.
    """

    def lint_again(texts: Mapping[str, str], without: Collection[str] = ()) -> Result:
        changed = workspace.overlaid(texts, without)
        after = one_round.lint(changed, result.inputs, options)
        after.release()
        return after

    @cache
    def is_done() -> bool:
        """Whether a sample of the fixed files has nothing more to fix."""
        if applicable(result.findings) != {"safe"}:
            return False  # unsafe fixes follow when no safe ones are left
        texts, without = sample(
            result.findings, result.rule_groups, set(map(workspace.key, result.inputs))
        )
        if not texts:
            return False
        after = lint_again(texts, without)
        return not (applicable(after.findings) or new_problems(result.problems, after.problems))

    def checked(changed: Mapping[str, str]) -> Result:
        if not changed:
            return result
        return Result(problems=result.problems) if is_done() else lint_again(changed)

    result.findings = with_complete_fixes(result.findings, checked)
