"""Place fixes: turn the steps of a rule's fix into edits of nginx files.

`ingress_placement.py` does it for annotations and fields in Kubernetes' YAML.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from operator import attrgetter

from msgspec import Struct
from msgspec.structs import replace

from nginx_stream_lint.config import Directive, Source
from nginx_stream_lint.config.mapped_text import Author
from nginx_stream_lint.fixes.order import LAST, group, rank
from nginx_stream_lint.nginx.directives import FAMILIES, table
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.location_match import match_of
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.rules.facts.base import holder
from nginx_stream_lint.rules.facts.other_inputs import auth_target
from nginx_stream_lint.rules.filters import listed
from nginx_stream_lint.rules.finding import Applicability, Edit, Fix
from nginx_stream_lint.rules.judge import FindingWithContext
from nginx_stream_lint.rules.verdict import RenderedFix, RenderedStep
from nginx_stream_lint.streams.detect import ProxiedLocation
from nginx_stream_lint.streams.endpoint_names import EVERYTHING

_STATEMENT = r"(\w+) (.*);"
_SAFETY: tuple[Applicability, ...] = ("safe", "unsafe", "manual")


class _ManualOnlyError(Exception):
    """The step must be done manually, because it would change other locations.

    `advice` says what to change instead, if that is known.
    """

    def __init__(self, advice: str = "") -> None:
        super().__init__(advice)
        self.advice = advice


def place_fix(judged: FindingWithContext) -> Fix | None:
    """The fix of a finding; None if its rule has none.

    A fix in a file that several places include becomes `manual`: it says what to change there. A
    fix that changes how other paths behave is `unsafe`; its cautions say what else it changes,
    and how to avoid that.
    """
    verdict, proxied = judged.verdict, judged.proxied
    rule, rendered = verdict.rule, verdict.fix
    if rule.fix is None or rendered is None or not (rendered.steps or rendered.snippet):
        return None
    at = _FixSite(proxied, verdict.version, rendered)
    author = proxied.handler.directive.file.reading.author
    if author is not None and not _is_in_snippet(proxied.level):
        fix = _by_author(author, rule.fix.applicability, at)
        manual = [_manual_lines(author, line) for line in rendered.snippet.splitlines()]
        return replace(fix, snippet="\n".join(manual) or fix.snippet)
    edits: dict[Edit, None] = {}
    lines: list[str] = []
    safe: list[str] = []
    cautions: dict[str, None] = {}
    applicabilities = [rule.fix.applicability]
    for step in rendered.steps:
        try:
            edits |= dict.fromkeys(at.edits(step))
        except _ManualOnlyError as manual:
            if step.plan.action != "remove_row" and not step.plan.optional:
                applicabilities.append("manual")
                lines += [manual.advice] if manual.advice else at.lines(step)
                cautions |= dict.fromkeys(_own_caution(step))
            continue
        lines += at.lines(step)
        applicabilities.append(step.plan.applicability)
        effects = at.cautions(step)
        if effects:
            cautions |= dict.fromkeys(effects)
            applicabilities.append("unsafe")
        elif max(rule.fix.applicability, step.plan.applicability, key=_SAFETY.index) == "safe":
            safe += at.lines(step)
    snippet = rendered.snippet or "\n".join(dict.fromkeys(line for line in lines if line))
    applicability = max(applicabilities, key=_SAFETY.index)
    said = tuple(cautions)
    if applicability == "manual" or not edits:
        return Fix(rendered.title, "manual", snippet or _lines_of_all(at), cautions=said)
    parts = tuple(line.rstrip(";") for line in safe) if applicability == "unsafe" else ()
    return Fix(rendered.title, applicability, snippet, tuple(edits), said, parts)


def _own_caution(step: RenderedStep) -> list[str]:
    """The caution that the rule has for a step."""
    return [step.caution] if step.caution else []


def _lines_of_all(site: _FixSite) -> str:
    """The lines that all steps would write, for a manual fix."""
    return "\n".join(dict.fromkeys(line for step in site.fix.steps for line in site.lines(step)))


def _by_author(author: Author, applicability: Applicability, site: _FixSite) -> Fix:
    """The fix for generated configuration: settings for the controller.

    nginx text in a snippet is fixed there.
    """
    cautions = dict.fromkeys(said for step in site.fix.steps for said in _own_caution(step))
    lines: list[str] = []
    edits: list[Edit] = []
    settings: dict[str, str] = {}
    level = site.proxied.level.nearest("location")
    applicabilities = [applicability, *(step.plan.applicability for step in site.fix.steps)]
    for step in site.fix.steps:
        action, name, value = step.plan.action, step.name, step.value
        if action in ("set", "reset", "set_row"):
            lines.append(author.line(name, value))
        else:
            lines += site.lines(step)
        try:
            target = site.target(step)
            rows = target.rows.get(name, [])
            if action not in ("set", "reset"):
                rows = _rows_named(target, name, step.key)
            if len(rows) == 1 and _is_text(rows[0]):
                remove = action == "remove_row"
                row = rows[0]
                edits.append(_remove_row(row, target) if remove else _replace_args(row, value))
                continue
        except _ManualOnlyError:
            applicabilities.append("manual")
            continue
        if (
            target is level
            and action in ("set", "reset", "set_row")
            # Directives that the controller writes itself would be duplicates.
            and (not rows or (action != "set_row" and author.has_setting(name, value)))
        ):
            settings[name] = value
        elif action != "remove_row" and not step.plan.optional:
            applicabilities.append("manual")
    if settings and level is not None and level.directive is not None:
        source = level.directive.source
        from nginx_stream_lint.fixes.ingress_placement import setting_edits

        changes = setting_edits(author, list(settings.items()), level.directive.start)
        others, number = author.others(level.directive.start, _MOST_PATHS)
        if others:
            applicabilities.append("unsafe")
            cautions[_also_changes(others, number, author.apart)] = None
        if changes is None:
            applicabilities.append("manual")
        for change in changes or ():
            if not change.is_safe:
                applicabilities.append("unsafe")
                cautions["This adds a snippet, and controllers forbid snippets by default"] = None
            edits.append(Edit(change.source or source, change.start, change.end, change.text))
    worst = max(applicabilities, key=_SAFETY.index)
    snippet = "\n".join(dict.fromkeys(lines))
    fix = Fix(site.fix.title, worst, snippet, tuple(dict.fromkeys(edits)), tuple(cautions))
    return fix.as_manual() if worst == "manual" or not edits else fix


# Name at most this many paths, and count the others.
_MOST_PATHS = 4


def _also_changes(paths: Sequence[str], number: int, apart: str) -> str:
    """A caution that a setting affects several paths, and how to avoid that."""
    more = number - len(paths)
    named = ", ".join(paths) + (f" and {more} more" if more > 0 else "")
    return (
        f"This also changes {named}, which the same resource configures."
        f" To change only this path, {apart}"
    )


def _manual_lines(author: Author, line: str) -> str:
    """A line of a manual fix in the form of the ingress controller's settings."""
    directive = re.fullmatch(_STATEMENT, line)
    return author.line(directive[1], directive[2]) if directive else line


def _is_text(row: Directive) -> bool:
    """Whether a directive is nginx text in the source, not a controller's setting."""
    if row.file.reading.author is None:
        return True
    return row.is_written and row.source.text.startswith(row.name, row.start)


def _is_in_snippet(level: Level) -> bool:
    """Whether a location is nginx text that a user gave to a controller."""
    location = level.nearest("location")
    return location is not None and location.directive is not None and _is_text(location.directive)


class _FixSite(Struct, frozen=True):
    """A place where a fix is to be applied."""

    proxied: ProxiedLocation
    version: Version
    fix: RenderedFix

    def lines(self, step: RenderedStep) -> list[str]:
        """The nginx text that a step writes."""
        if step.plan.action == "restore_rows":
            return [_written(row) for row in self._outer_rows(step.name)]
        if step.plan.action == "remove_row":
            return [f"# remove: {step.name} {step.value}"]
        if step.plan.action == "add_map":
            return _map_lines(step.value, "    ")
        if step.plan.action == "reset" and self._inherits(step, self.target(step)):
            return [f"# remove: {step.name}"]
        return [f"{step.name} {step.value};"]

    def edits(self, step: RenderedStep) -> list[Edit]:
        """The edits of a step."""
        action, name, value = step.plan.action, step.name, step.value
        if action == "add_map":
            return [_insert_map(value, self.proxied.server)]
        level = self.target(step)
        if not value and action != "restore_rows":
            raise _ManualOnlyError  # the template renders nothing here
        if action == "reset" and self._inherits(step, level):
            return [_remove_row(row, level, anyway=True) for row in level.rows[name]]
        if action in ("set", "reset"):
            return [_set(name, value, level)]
        if action == "set_row":
            return _set_row(name, value, level, self.fix.replaced)
        if action == "remove_row":
            return [_remove_row(row, level) for row in _rows_named(level, name, step.key)]
        own = level.rows.get(name, [])
        return [
            _insert(_written(row), level, own[-1] if own else None)
            for row in self._outer_rows(name)
            if (name, row.args[0].lower()) not in self.fix.replaced
        ]

    def _inherits(self, step: RenderedStep, level: Level) -> bool:
        """Whether a directive that is set at a level would inherit the wanted value without it."""
        outer = level.parent
        if not level.rows.get(step.name) or outer is None:
            return False
        return outer.effective(step.name, self.version).text == step.value

    def cautions(self, step: RenderedStep) -> list[str]:
        """Other effects of a step, which make it unsafe."""
        own = _own_caution(step)
        if step.plan.action == "remove_row":
            return own
        if step.plan.action == "add_map":
            return own or ["This adds a map to the http block"]
        target = self.target(step)
        other = self._may_be_there(step, target)
        if other is not None:
            own.append(
                f"{_unseen(other)} may set the same directives, and nginx rejects a block that"
                " sets one twice. Check it first"
            )
        # What the rule says about its step is more exact than its place.
        return own or [said for said in [self._reach(step, target)] if said]

    def _reach(self, step: RenderedStep, target: Level) -> str:
        """A caution that a step changes more than the stream; empty if it does not."""
        if target.kind in ("server", "http") and step.plan.scope in ("server", "origin"):
            caution = f"This changes the whole {target.kind} block"
            if "location" not in table()[step.name].contexts:
                return caution
            return f"{caution}. To change only this stream, set the directive in its location"
        if not step.name.endswith("_buffering") or target.kind != "location":
            return ""
        location = match_of(target)
        paths = [one.path for one in self.proxied.streams if one.confidence != "possible"]
        if location.pattern not in EVERYTHING or not all(paths) or location.pattern in paths:
            return ""
        named = list(dict.fromkeys(path for path in paths if path))
        label = target.label
        return (
            f"This changes every path of {label}."
            f" To change only the stream, add a location for {listed(named)}"
        )

    def _may_be_there(self, step: RenderedStep, target: Level) -> Directive | None:
        """The include or template that may already set the value in the block itself."""
        if step.plan.action not in ("set", "reset") or target.rows.get(step.name):
            return None
        doubt = target.effective(step.name, self.version).unknown_by
        return doubt if doubt is not None and doubt in target.unknowns else None

    def target(self, step: RenderedStep) -> Level:
        """The level to change: the nearest one of the step's scope that allows the directive."""
        proxied, scope = self.proxied, step.plan.scope
        if step.plan.action == "add_map":
            raise _ManualOnlyError
        if scope == "origin":
            level = holder(proxied.level, step.name)
            effective = level.effective(step.name, self.version)
            if not effective.directives:
                raise _ManualOnlyError
            return list(level.outward())[effective.depth]
        if scope == "auth_request":
            asked = auth_target(proxied, self.version)
            if asked is None:
                raise _ManualOnlyError
            return asked
        start = proxied.server if scope == "server" else proxied.level
        contexts = table()[step.name].contexts
        for level in start.outward():
            if level.kind in contexts:
                return level
            if level.rows.get(step.name):
                raise _ManualOnlyError  # nginx refuses it at this level
        raise _ManualOnlyError

    def _outer_rows(self, name: str) -> list[Directive]:
        """Inherited rows that this level would lose."""
        levels = [level for level in self.proxied.level.outward() if level.rows.get(name)]
        return [
            row
            for level in levels[1:2]
            for row in level.rows[name]
            if row.args and row.args[0] in self.fix.dropped
        ]


def _unseen(directive: Directive) -> str:
    """A missing include or template at this level, whose directives are unknown."""
    place = f"{directive.source.name}:{directive.line}"
    if directive.name == "include" and directive.args:
        return f"{directive.args[0]} ({place})"
    return f"The template ({place})"


def _set(name: str, value: str, level: Level) -> Edit:
    """Set a directive with one value: in place if it is set at this level, otherwise new."""
    rows = level.rows.get(name)
    if not rows:
        return _insert(f"{name} {value};", level, None)
    if len(rows) > 1:
        raise _ManualOnlyError
    return _replace_args(rows[0], value, level)


def _set_row(
    name: str, value: str, level: Level, replaced: frozenset[tuple[str, str]]
) -> list[Edit]:
    """Add a row to a list directive at a level without losing the rows it has or inherits."""
    line = f"{name} {value};"
    same = _rows_named(level, name, value.split(maxsplit=1)[0])
    if len(same) > 1:
        raise _ManualOnlyError
    if same:
        return [_replace_args(same[0], value, level)]
    own = level.rows.get(name, [])
    if own:
        return [_insert(line, level, own[-1])]
    # The first row of a level drops all outer ones: copy those that remain valid.
    outer: list[Directive] = []
    for other in level.outward():
        if other.rows.get(name):
            outer = other.rows[name]
            break
    kept = [row for row in outer if (name, row.args[0].lower()) not in replaced]
    texts = [_written(row) for row in kept] + [line]
    return [_insert(text, level, None) for text in texts]


def _remove_row(row: Directive, level: Level, anyway: bool = False) -> Edit:
    """Remove a row; with `anyway` also if inner blocks inherit it."""
    _check_own(row)
    outer = [other for other in level.outward() if other is not level and other.rows.get(row.name)]
    if len(level.rows[row.name]) == 1 and outer and table()[row.name].merge == "rows":
        raise _ManualOnlyError  # without the last row of a level, the outer rows apply again
    if level.children and table()[row.name].merge == "nearest" and not anyway:
        raise _ManualOnlyError  # an inner block may inherit it
    return Edit(row.source, *row.source.removal(row.start, row.end), "")


def _rows_named(level: Level, name: str, key: str) -> list[Directive]:
    """The rows of a list directive at a level that begin with the given argument."""
    wanted = key.strip('"').lower()
    return [row for row in level.rows.get(name, []) if row.args and row.args[0].lower() == wanted]


def _written(row: Directive) -> str:
    """A directive exactly as it is written, with its quotes."""
    return row.source.text[row.start : row.end]


def _replace_args(row: Directive, value: str, level: Level | None = None) -> Edit:
    try:
        _check_own(row)
    except _ManualOnlyError:
        raise _ManualOnlyError(_elsewhere(row, value, level)) from None
    spans = row.arg_spans
    if not spans:
        return Edit(row.source, row.end - 1, row.end - 1, f" {value}")
    return Edit(row.source, spans[0][0], spans[-1][1], value)


def _elsewhere(row: Directive, value: str, level: Level | None) -> str:
    """Advice about a file that several places include; empty for other reasons.

    nginx would refuse a second line of the same directive, so none is shown.
    """
    file = row.file
    if not file.shared or not _is_text(row):
        return ""
    kind = "location" if level is not None and level.kind == "location" else "place"
    users = (
        f"{file.uses} {kind}s include this file"
        if file.uses > 1
        else f"several {kind}s include this file"
    )
    place = f"{row.source.name}:{row.line}"
    return f"# set {row.name} {value} in {place} ({users})"


def _check_own(directive: Directive) -> None:
    """Refuse to edit shared text, text that needs escapes, and text that nginx does not read."""
    file = directive.file
    broken = file.reading.read_only or file.mistakes
    if file.shared or broken or not _is_text(directive):
        raise _ManualOnlyError


def _map_lines(value: str, indent: str) -> list[str]:
    """A `map` with this source, variable, and pairs of key and value."""
    source, variable, *words = value.split()
    pairs = list(zip(words[::2], words[1::2], strict=True))
    width = max(len(key) for key, _ in pairs)
    rows = [f"{indent}{key:{width}} {made};" for key, made in pairs]
    return [f"map {source} {variable} {{", *rows, "}"]


def _insert_map(value: str, server: Level) -> Edit:
    """Insert a `map` before the first server of a server's file, and before its comments."""
    http = server.parent
    opening = server.directive
    if http is None or opening is None:
        raise _ManualOnlyError
    servers = [one.directive for one in http.children if one.kind == "server"]
    first = min(
        (one for one in servers if one is not None and one.file is opening.file),
        key=lambda one: one.start,
    )
    _check_own(first)
    source = first.source
    start, is_first = source.blanks_before(first.start)
    lines = _map_lines(value, source.indentation)
    if not is_first:
        return Edit(source, first.start, first.start, f"{' '.join(map(str.strip, lines))} ")
    indent = source.text[start : first.start]
    while start:
        above = source.line_start(start - 1)
        if not source.text[above:start].lstrip().startswith("#"):
            break
        start = above
    newline = "\r\n" if "\r\n" in source.text[: first.end + 2] else "\n"
    text = newline.join([*(f"{indent}{line}" for line in lines), "", ""])
    return Edit(source, start, start, text)


def _insert(line: str, level: Level, after: Directive | None) -> Edit:
    """Insert a directive in a level's block: after `after`, or in the usual order."""
    if after is not None and _is_inside(after, level) and _stays(after, level):
        anchor: Directive | None = after
    else:
        anchor = _anchor(level, line.split(maxsplit=1)[0])
    if anchor is None:
        opening = level.directive
        if opening is None or opening.block is None:
            raise _ManualOnlyError
        _check_own(opening)
        return _insert_behind(opening.source, opening.start, opening.end, line, True)
    _check_own(anchor)
    return _insert_behind(anchor.source, anchor.start, anchor.end, line, False)


def _is_inside(directive: Directive, level: Level) -> bool:
    """Whether a directive is in the level's own block and file."""
    opening = level.directive
    if opening is None:
        return True  # a fragment: the file is the block
    return (
        directive.file is opening.file
        and directive.block is None
        and opening.end <= directive.start < opening.block_end
    )


def _anchor(level: Level, name: str) -> Directive | None:
    """The directive after which one with this name is inserted.

    One without a place in the usual order belongs behind others of its group.
    """
    place = rank(name)
    if place == LAST:
        related = [
            row
            for other, rows in level.rows.items()
            if rank(other) == LAST and group(other) == group(name)
            for row in rows
        ]
        beside = _last_that_stays(related, level)
        if beside is not None:
            return beside
    handler = level.own_handler
    if handler is not None and _is_inside(handler.directive, level):
        behind = handler.directive
        before = min(place, LAST - 1)
        ordered = [
            row
            for name, rows in level.rows.items()
            if rank(name) <= before
            for row in rows
            if row.start > behind.start
        ]
        return _last_that_stays(ordered, level) or behind
    return _last_that_stays([row for rows in level.rows.values() for row in rows], level)


def _last_that_stays(rows: list[Directive], level: Level) -> Directive | None:
    """The last of some rows in a level's own block and file that no rule removes."""
    rows.sort(key=attrgetter("start"), reverse=True)
    return next((row for row in rows if _is_inside(row, level) and _stays(row, level)), None)


def _stays(row: Directive, level: Level) -> bool:
    """Whether no rule removes a row, so that lines inserted after it stay.

    Rules remove directives without effect: those of another family, X-Accel-Buffering to the app.
    """
    handler = level.handler
    family = row.name.partition("_")[0]
    if handler is not None and family in FAMILIES and family != handler.family:
        return False
    is_header = row.name.endswith("_set_header") and bool(row.args)
    return not (is_header and row.args[0].lower() == "x-accel-buffering")


def _insert_behind(source: Source, start: int, end: int, line: str, opening: bool) -> Edit:
    """Insert a line after a directive (`opening`: the `{` of a block), in the surrounding style."""
    text = source.text
    line_start, is_first = source.blanks_before(start)
    rest, is_last = source.blanks_behind(end)
    if not is_first or not (is_last or text[rest] == "#"):
        # Something else is on the line, so stay on it.
        return Edit(source, end, end, f" {line}")
    indent = text[line_start:start]
    stop = source.line_end(end)
    newline = "\n"
    if stop < len(text) and text[stop - 1] == "\r":
        stop -= 1
        newline = "\r\n"
    if opening:
        indent += source.indentation
    return Edit(source, stop, stop, f"{newline}{indent}{line}")
