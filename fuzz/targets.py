"""What must hold for every input: each target is named by its invariant and raises where it fails.

A check gets a case and an empty folder to put it into. Whatever it raises is a failure, except for
what the code under test documents.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import click
from hypothesis import strategies as st
from tests.report.schemas import check_all, check_document

from fuzz import sandbox
from fuzz.mutations import configurations, grown, mutated, nginx, statement_spans
from fuzz.seeds import Case, case, seeds
from nginx_stream_lint.analysis.explainer import Explainer
from nginx_stream_lint.analysis.lint import Options, Result, lint, read
from nginx_stream_lint.cli import cli
from nginx_stream_lint.config import (
    Configuration,
    Directive,
    File,
    InputOptions,
    Source,
    has_placeholder,
)
from nginx_stream_lint.config.mapped_text import without_marks
from nginx_stream_lint.config.templates import readings
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.files.source import FILLER
from nginx_stream_lint.fixes.apply import fix_all
from nginx_stream_lint.nginx.request import BadUrl, parse_url
from nginx_stream_lint.nginx.versions import NEW, OLD
from nginx_stream_lint.report import render
from nginx_stream_lint.report.explain import explain_text
from nginx_stream_lint.report.explain_json import explain_json
from nginx_stream_lint.report.rule import rule_markdown, rule_text
from nginx_stream_lint.report.run import Run
from nginx_stream_lint.rules.finding import Finding
from nginx_stream_lint.rules.rule import RuleMistake
from nginx_stream_lint.rules.rule_file import load_rule
from nginx_stream_lint.rules.shipped import shipped_rules
from nginx_stream_lint.suppress import baseline
from nginx_stream_lint.trace.events import events_for
from nginx_stream_lint.trace.headers import header_notes
from nginx_stream_lint.trace.recording import Recording
from nginx_stream_lint.trace.secrets import shown_url

OPTIONS = Options(
    rules=shipped_rules(), all_streams=True, input_options=InputOptions(markdown=True)
)
_NEW_OPTIONS = Options(rules=shipped_rules(), all_streams=True, nginx_version=NEW)

Strategy = Callable[[bool], st.SearchStrategy[Case]]
"""Gives the cases; the argument tells whether real configurations are among the seeds."""


@dataclass(frozen=True, slots=True)
class Target:
    """An invariant, what it holds for, and the check.

    Attributes:
        cases: what it holds for.
        needs: says why it cannot be checked here, or nothing.
        cost: how much longer a check takes than that of most others.
    """

    check: Callable[[Case, Path], None]
    cases: Strategy
    needs: Callable[[], str] = str
    cost: int = 1

    @property
    def name(self) -> str:
        """The invariant in words."""
        return self.check.__name__


def _of(kind: str) -> Strategy:
    return lambda with_corpus: mutated(kind, with_corpus)


def put(one: Case, folder: Path) -> str:
    """Write a case into a folder that has nothing else; the path of its file."""
    path = folder / one.name
    path.write_bytes(one.data)
    return str(path)


def _lint(path: str, options: Options = OPTIONS, texts: Mapping[str, str] | None = None) -> Result:
    return lint(Workspace.on_disk(path).overlaid(texts or {}), options=options)


def _read(path: str) -> list[Configuration]:
    return read(Workspace.on_disk(path), [path], OPTIONS.input_options)


# --- lint, reports, explain ----------------------------------------------------------------------


def lint_never_raises(one: Case, folder: Path) -> None:
    """Whatever is in a file, lint ends with findings and problems that have a place."""
    report = _lint(put(one, folder))
    for problem in report.problems:
        assert problem.message
        assert problem.line >= 1
        assert problem.column >= 1
    for finding in report.findings:
        for place in (finding.place, finding.location.place, *(r.place for r in finding.related)):
            assert 0 <= place.start <= place.end <= len(place.source.text), finding
            assert place.source.offset(place.line, place.column) == place.start


def large_inputs_stay_in_budget(one: Case, folder: Path) -> None:
    """What lint takes grows with the length only: 1 MB of anything fits the budget of one case."""
    _lint(put(one, folder))


def reports_are_valid(one: Case, folder: Path) -> None:
    """Every format can be rendered, and is what its schema says; text has no terminal commands."""
    report = _lint(put(one, folder))
    run = Run(report, OPTIONS.rules, None, 0.5, str(folder))
    check_all(run)
    for name in ("text", "concise", "github"):
        text = click.unstyle(render(name, run))
        found = _TERMINAL.search(text)
        assert found is None, f"{name} has {found[0]!r} in it"


_TERMINAL = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def explain_never_raises(one: Case, folder: Path) -> None:
    """Each URL can be explained, in both formats, with what the rules say of its location."""
    for configuration in _read(put(one, folder)):
        if configuration.root is None:
            continue
        explainer = Explainer(configuration, OPTIONS, streams=True)
        found = [explainer.explain(url, parse_url(url)) for url in _urls(one.text)]
        landed = [each for each in found if each.route.server is not None]
        check_document("explain", json.loads(explain_json(landed)))
        findings = [explainer.findings(each) for each in landed]
        explain_text([(explainer, each) for each in landed], findings).encode("utf-8")
        assert all(finding.message for each in landed for finding in explainer.findings(each))
        assert all(problem.message for problem in explainer.problems)


_LOCATION = re.compile(r"location\s+(?:=|\^~|~\*?)?\s*[\"']?(/[^\s;{\"']*)")
_USUAL = ("/", "/v1/chat/completions?a=b", "https://a.example.com/events", "http://[::1]:81//a/../")
_FEW = 4


def _urls(text: str) -> Iterator[str]:
    written = itertools.islice((match[1] for match in _LOCATION.finditer(text)), _FEW)
    for url in dict.fromkeys((*_USUAL, *written)):
        with contextlib.suppress(BadUrl):
            parse_url(url)
            yield url


def command_ends_well(one: Case, folder: Path) -> None:
    """The command ends with a documented status, and says on stderr what a terminal can show."""
    path = put(one, folder)
    for arguments in (
        ["lint", "--format", "concise", str(folder)],
        ["lint", "--all-streams", "-"],
        ["lint", "--all-streams", "--unsafe-fixes", "--diff", path],
        ["explain", path, "/v1/chat/completions"],
        ["lint", "--all-streams", "--fix", path],
    ):
        status, said = _run(arguments, one.data)
        assert status in (0, 1, 2), (arguments, status)
        assert not _TERMINAL.search(said), (arguments, said)


def _run(arguments: list[str], stdin: bytes = b"") -> tuple[int | str | None, str]:
    """The command in this process: its exit status, and what it says on stderr."""
    out, said = _stream(), _stream()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(said),
        patch("sys.stdin", _stream(stdin)),
    ):
        status = _status(arguments)
    said.seek(0)
    return status, said.read()


def _stream(data: bytes = b"") -> io.TextIOWrapper:
    """A standard stream in memory."""
    return io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", errors="backslashreplace")


def _status(arguments: list[str]) -> int | str | None:
    """The exit status of the command; what it does not expect is raised."""
    try:
        cli.main(arguments, standalone_mode=False)
    except SystemExit as stop:
        return stop.code
    except click.ClickException as mistake:
        return mistake.exit_code
    return 0


# --- places --------------------------------------------------------------------------------------


def positions_are_true(one: Case, folder: Path) -> None:
    """Where a word of the tree is said to stand, that word is written."""
    for configuration in _read(put(one, folder)):
        for file in configuration.files:
            text = file.reading.source.text
            for offset in (0, len(text) // 2, len(text)):
                assert file.reading.source.offset(*file.reading.source.position(offset)) == offset
            for directive in _directives(file):
                _check_words(directive, file)


def _directives(file: File) -> Iterator[Directive]:
    blocks = [file.directives]
    while blocks:
        for directive in blocks.pop():
            yield directive
            if directive.block is not None:
                blocks.append(directive.block)


def _check_words(directive: Directive, file: File) -> None:
    reading = file.reading
    text = reading.source.text
    spans, words = directive.arg_spans, directive.words
    assert len(spans) == len(words), directive
    assert all(0 <= offset <= len(text) for span in spans for offset in span), directive
    assert 0 <= directive.start <= len(text), directive
    # What a controller makes comes from several places; what another language escapes, folds or
    # indents is not written as nginx sees it.
    if reading.author is not None:
        return
    assert directive.start <= directive.end <= len(text), directive
    if reading.read_only or directive.name.endswith("_by_lua_block"):
        return
    for (start, end), word in zip(spans, words, strict=True):
        written = text[start:end]
        if reading.pieces and (re.search("[\n\r\x85]", written) or _unseen(written)):
            continue
        if not reading.pieces:  # what a shell escapes: the backslash is not nginx's
            pairs = zip(written, reading.text[start:end], strict=True)
            written = "".join(one for one, seen in pairs if seen != FILLER)
        if has_placeholder(word):
            assert without_marks(word) in written, (written, word)
        else:
            assert _decoded(written) == word, (written, word)


def _unseen(written: str) -> bool:
    """Whether what is written may have something in it that nginx does not see."""
    return re.search(r"''|\\|[{<%]|\$\$", written) is not None


def _decoded(written: str) -> str:
    if len(written) > 1 and written[0] == written[-1] and written[0] in "\"'":
        written = written[1:-1]
    codes = {"t": "\t", "r": "\r", "n": "\n"}
    return re.sub(r"\\([\"'\\trn])", lambda escape: codes.get(escape[1], escape[1]), written)


# --- fixes ---------------------------------------------------------------------------------------


def fixes_converge(one: Case, folder: Path) -> None:
    """Fixes come to an end, keep every character outside of their edits, and break nothing."""
    _fixed(put(one, folder), OPTIONS)


def _fixed(path: str, options: Options) -> str | None:
    """The text of a file with all its fixes, checked; None where nothing changes."""
    texts: list[Mapping[str, str]] = []
    reports: list[Result] = []

    def findings(changed: Mapping[str, str]) -> Sequence[Finding]:
        if reports:
            _check_round(path, texts[-1], changed, reports[-1])
        texts.append(changed)
        reports.append(_lint(path, options, changed))
        return reports[-1].findings

    changed = fix_all(findings, unsafe=True)
    first, last = reports[0], reports[-1]
    before = {problem.message for problem in first.problems}
    after = {problem.message for problem in last.problems}
    assert after <= before, f"fixes make new problems: {after - before}"
    mended = changed.get(os.path.realpath(path))
    return None if mended is None else mended[1].text


def _check_round(
    path: str, before: Mapping[str, str], after: Mapping[str, str], report: Result
) -> None:
    """What lies outside of all edits that were offered is there again, in order."""
    key = os.path.realpath(path)
    if key not in after:
        return
    sources = [f.reading.source for f in report.files if os.path.realpath(f.source.name) == key]
    old = before[key] if key in before else sources[0].text
    new = after[key]
    edits = [
        edit
        for finding in report.findings
        if finding.fix is not None
        for edit in finding.fix.edits
        if os.path.realpath(edit.source.name) == key
    ]
    at = kept = 0
    for edit in [*sorted(edits, key=lambda each: (each.start, each.end)), None]:
        stretch = old[kept : len(old) if edit is None else edit.start]
        found = new.find(stretch, at)
        assert found >= 0, f"{stretch!r} was changed outside of an edit"
        at = found + len(stretch)
        kept = max(kept, 0 if edit is None else edit.end)


def nginx_accepts_fixes(one: Case, folder: Path) -> None:
    """What `nginx -t` takes, it takes with the fixes, too."""
    if not sandbox.is_harmless(one.text):
        return
    path = put(one, folder)
    for binary in sandbox.binaries():
        options = _NEW_OPTIONS if binary.version >= NEW else OPTIONS
        text = _fixed(path, options)
        if text is None or not sandbox.accepts(binary, one.data, folder):
            continue
        mended = case(one.name, text)
        assert sandbox.is_harmless(text), "a fix writes a directive that the sandbox does not take"
        assert sandbox.accepts(binary, mended.data, folder), text


# --- suppressing ---------------------------------------------------------------------------------


def ignoring_works(one: Case, folder: Path) -> None:
    """A comment above a statement takes its finding away, and breaks nothing."""
    path = put(one, folder)
    report = _lint(path)
    starts = {start for start, _ in statement_spans(one.text)}
    mistakes = [problem.message for problem in report.problems]
    findings = [
        each
        for each in report.findings
        if each.stream is not None and each.place.source.name == path and each.place.start in starts
    ]
    for finding in findings[:_FEW]:
        at = finding.place.start
        comment = f"\n# nginx-stream-lint: ignore[{finding.rule}] fuzzed\n"
        source = Source(path, one.text[:at] + comment + one.text[at:])
        if mistakes or [reading.text for reading in readings(source)] != [source.text]:
            continue  # in a template, or behind a mistake, it may be no comment
        again = _lint(path, texts={path: source.text})
        assert [problem.message for problem in again.problems] == mistakes
        left = [
            each
            for each in again.findings
            if each.rule == finding.rule and each.place.start == at + len(comment)
        ]
        assert not left, left
        assert any(each.finding.rule == finding.rule for each in again.suppressed)


def baselines_know_their_findings(one: Case, folder: Path) -> None:
    """A baseline that was just written leaves no finding."""
    report = _lint(put(one, folder))
    path = str(folder / "known.json")
    rules = [rule.name for rule in OPTIONS.rules]
    files = Workspace.on_disk(str(folder))
    text = baseline.written(
        report.findings, report.suppressed, report.files, rules, path, None, files.is_gone
    )
    Path(path).write_text(text, encoding="utf-8")
    new, _, stale = baseline.without_known(
        report.findings,
        report.suppressed,
        report.files,
        rules,
        baseline.load(files, path),
        files.is_gone,
    )
    assert not new
    assert not stale


# --- files beside the configuration --------------------------------------------------------------


def settings_never_raise(one: Case, folder: Path) -> None:
    """Settings are used, or refused with a place."""
    path = put(one, folder)
    main = put(seeds("nginx")[0], folder)
    for more in ((), ("--show-settings",)):
        status, said = _run(["lint", "--config", path, *more, main])
        assert status in (0, 1, 2), status
        if status == 2:
            assert re.search(r":[1-9]\d*:[1-9]\d*: .|^$", said), said


def _check_refusal(path: str, message: str) -> None:
    """A refusal has a place."""
    assert re.match(rf"{re.escape(path)}:[1-9]\d*:[1-9]\d*: .", message), message


def rules_never_raise(one: Case, folder: Path) -> None:
    """A rule file is used, or refused with a place."""
    path = put(one, folder)
    try:
        rule = load_rule(Path(path))
    except RuleMistake as mistake:
        _check_refusal(path, str(mistake))
        return
    rule_text(rule)
    rule_markdown(rule)
    options = Options(rules=(rule,), all_streams=True)
    for seed in seeds("nginx")[::40]:
        name = put(seed, folder)
        render("text", Run(_lint(name, options), options.rules, OLD, 0.5, str(folder)))


def baselines_never_raise(one: Case, folder: Path) -> None:
    """A baseline is used, or refused with a place."""
    path = put(one, folder)
    report = _lint(put(seeds("nginx")[0], folder))
    rules = [rule.name for rule in OPTIONS.rules]
    files = Workspace.on_disk(str(folder))
    try:
        known = baseline.load(files, path)
    except baseline.BaselineMistake as mistake:
        _check_refusal(path, str(mistake))
        return
    baseline.without_known(
        report.findings, report.suppressed, report.files, rules, known, files.is_gone
    )
    baseline.written(
        report.findings, report.suppressed, report.files, rules, path, known, files.is_gone
    )


# --- trace ---------------------------------------------------------------------------------------


def events_do_not_depend_on_pieces(one: Case, folder: Path) -> None:  # noqa: ARG001
    """However a response is cut, it has the same events."""
    for content_type in ("text/event-stream", "application/x-ndjson; charset=a", "text/plain"):
        counted = set()
        for size in (1, 2, 7, len(one.data) or 1):
            events = events_for(content_type, one.data)
            if events.kind == "chunks":
                continue  # each piece counts as an event there
            number = sum(
                events.feed(one.data[at : at + size]) for at in range(0, len(one.data), size)
            )
            counted.add((number, events.comments, events.said_last, events.text_is_utf8))
        assert len(counted) <= 1, (content_type, counted)


def headers_never_raise(one: Case, folder: Path) -> None:  # noqa: ARG001
    """Whatever headers a server sends, something can be said of them."""
    head, _, body = one.text.partition("\r\n\r\n")
    pairs = (line.partition(":")[::2] for line in head.split("\r\n")[1:])
    headers = {name.strip().lower(): value.strip() for name, value in pairs}
    recordings = [
        Recording("h1", status=200, protocol=protocol, headers=headers, kind=kind)
        for protocol, kind in (("1.1", "sse"), ("1.0", "chunks"), ("2", "ndjson"))
    ]
    header_notes(list(enumerate(recordings, 1)))
    shown_url(f"https://a:b@example.com/{body}")


TARGETS = {
    target.name: target
    for target in (
        Target(lint_never_raises, configurations),
        Target(large_inputs_stay_in_budget, grown, cost=30),
        Target(reports_are_valid, configurations, cost=5),
        Target(explain_never_raises, configurations),
        Target(command_ends_well, configurations, cost=3),
        Target(positions_are_true, configurations),
        Target(fixes_converge, configurations),
        Target(nginx_accepts_fixes, nginx, sandbox.missing),
        Target(ignoring_works, nginx),
        Target(baselines_know_their_findings, configurations),
        Target(settings_never_raise, _of("settings")),
        Target(rules_never_raise, _of("rule")),
        Target(baselines_never_raise, _of("baseline")),
        Target(events_do_not_depend_on_pieces, _of("events")),
        Target(headers_never_raise, _of("events")),
    )
}
