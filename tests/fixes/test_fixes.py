"""Fixes on text: whole or not at all, every other byte kept, in rounds until nothing is left."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nginx_stream_lint.analysis.lint import Options, Result, lint
from nginx_stream_lint.config import InputOptions, Problem, Source
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.fixes.apply import (
    NotConverging,
    apply_edits,
    compatible,
    confine,
    fix_all,
    fix_checked,
    visible_regions,
)
from nginx_stream_lint.fixes.diff import _ChangedLines, _unified
from nginx_stream_lint.fixes.show import _changes, _dedented
from nginx_stream_lint.nginx.versions import NEW
from nginx_stream_lint.probe import NginxBinary, check_file
from nginx_stream_lint.rules.finding import Edit, Finding, Fix
from nginx_stream_lint.rules.rule_file import load_folder
from nginx_stream_lint.rules.shipped import builtin_folder

RULES = load_folder(builtin_folder())
ONLY_BUFFERING = tuple(rule for rule in RULES if rule.name == "response-buffering")
LOCATION = "location /v1/chat/completions {\n    proxy_pass http://127.0.0.1:8000;\n}\n"


def report(path: Path, options: Options, texts: Mapping[str, str] | None = None) -> Result:
    """What is found in a file, which must be readable."""
    found = lint(Workspace.on_disk(str(path)).overlaid(texts or {}), options=options)
    assert found.problems == []
    return found


def fixed(path: Path, options: Options | None = None, unsafe: bool = False) -> dict[str, str]:
    """The texts that fixing gives, by file name."""
    chosen = options or Options(RULES)

    def findings(texts: Mapping[str, str]) -> list[Finding]:
        return report(path, chosen, texts).findings

    changed = fix_all(findings, unsafe)
    return {Path(name).name: after.text for name, (_, after) in changed.items()}


def whole(inner: str) -> str:
    """A whole configuration around server-level text."""
    return f"events {{}}\nhttp {{\nserver {{\nlisten 80;\n{inner}}}\n}}\n"


def put(folder: Path, text: str, name: str = "nginx.conf") -> Path:
    path = folder / name
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return path


def test_one_line_and_nothing_else(tmp_path: Path) -> None:
    path = put(tmp_path, whole(LOCATION))
    after = fixed(path, Options(ONLY_BUFFERING, NEW))["nginx.conf"]
    assert after == whole(LOCATION.replace("8000;\n", "8000;\n    proxy_buffering off;\n"))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # One line stays one line.
        (
            "location /sse { proxy_pass http://127.0.0.1:8000; }\n",
            "location /sse { proxy_pass http://127.0.0.1:8000; proxy_buffering off; }\n",
        ),
        # What is set here is replaced where it stands; comments and alignment stay.
        (
            "location /sse {\n\tproxy_pass      http://127.0.0.1:8000; # app\n"
            "\tproxy_buffering on;  # why?\n}\n",
            "location /sse {\n\tproxy_pass      http://127.0.0.1:8000; # app\n"
            "\tproxy_buffering off;  # why?\n}\n",
        ),
        # Behind a comment at the end of the line, in the line's own indentation.
        (
            "location /sse {\n\tproxy_pass http://127.0.0.1:8000; # app\n}\n",
            "location /sse {\n\tproxy_pass http://127.0.0.1:8000; # app\n"
            "\tproxy_buffering off;\n}\n",
        ),
        # CRLF.
        (
            "location /sse {\r\n  proxy_pass http://127.0.0.1:8000;\r\n}\r\n",
            "location /sse {\r\n  proxy_pass http://127.0.0.1:8000;\r\n"
            "  proxy_buffering off;\r\n}\r\n",
        ),
        # Bytes that are no UTF-8, and no newline at the end.
        (
            "# caf\udce9\nlocation /sse { # \udcff\n proxy_pass http://127.0.0.1:8000;\n}#\udce9\n",
            "# caf\udce9\nlocation /sse { # \udcff\n proxy_pass http://127.0.0.1:8000;\n"
            " proxy_buffering off;\n}#\udce9\n",
        ),
        # An `if` may not hold the directive: its location does.
        (
            "location /sse {\n    if ($arg_a) {\n        proxy_pass http://127.0.0.1:8000;\n    }\n"
            "    root /srv;\n}\n",
            "location /sse {\n    if ($arg_a) {\n        proxy_pass http://127.0.0.1:8000;\n    }\n"
            "    root /srv;\n    proxy_buffering off;\n}\n",
        ),
    ],
    ids=["one-line", "in-place", "comment", "crlf", "bytes", "if"],
)
def test_style_is_kept(
    before: str, after: str, tmp_path: Path, binaries: dict[str, NginxBinary]
) -> None:
    path = put(tmp_path, whole(before))
    options = Options(ONLY_BUFFERING, NEW)
    text = fixed(path, options)["nginx.conf"]
    assert text == whole(after)
    put(tmp_path, text)
    assert fixed(path, options) == {}
    for binary in binaries.values():
        head = f"error_log stderr; pid {tmp_path}/pid;\n"
        ok, said = check_file(
            binary, put(tmp_path, head + text.replace("listen 80;", ""), "t.conf")
        )
        assert ok, said


OWN_RULE = """\
name: own-setting
title: A setting of ours
when: value("{name}") != "{value}"
severity: [error]
message: Set {name}
fix:
  title: Set it
  applicability: safe
  steps:
    - set: {name}
      to: "{value}"
why: We say so.
evidence: ours
references: [https://wiki.example.com/streams]
examples: []
"""


@pytest.mark.parametrize(
    ("line", "before", "after"),
    [
        # Behind the last one of its group, wherever that is.
        (
            "gzip_vary on",
            "gzip on; gzip_types text/css; proxy_pass http://a; root /srv;",
            "gzip on; gzip_types text/css; gzip_vary on; proxy_pass http://a; root /srv;",
        ),
        (
            "gzip_vary on",
            "proxy_pass http://a; proxy_read_timeout 1h; gzip on; root /srv;",
            "proxy_pass http://a; proxy_read_timeout 1h; gzip on; gzip_vary on; root /srv;",
        ),
        # A group of the handler's has two words: all begin with "proxy".
        (
            "proxy_cache_lock on",
            "proxy_pass http://a; proxy_read_timeout 1h; root /srv; proxy_cache off;"
            " proxy_next_upstream off;",
            "proxy_pass http://a; proxy_read_timeout 1h; root /srv; proxy_cache off;"
            " proxy_cache_lock on; proxy_next_upstream off;",
        ),
        # Without its group, behind those that have a place.
        (
            "gzip_vary on",
            "proxy_pass http://a; proxy_read_timeout 1h; root /srv;",
            "proxy_pass http://a; proxy_read_timeout 1h; gzip_vary on; root /srv;",
        ),
        # One with a place of its own goes there.
        (
            "proxy_buffering off",
            "proxy_pass http://a; root /srv; proxy_cache off;",
            "proxy_pass http://a; proxy_buffering off; root /srv; proxy_cache off;",
        ),
    ],
)
def test_a_new_line_goes_behind_its_group(
    line: str, before: str, after: str, tmp_path: Path
) -> None:
    name, value = line.split()
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "own-setting.yaml").write_text(OWN_RULE.format(name=name, value=value))
    path = put(tmp_path, whole(f"location /sse {{ {before} }}"))
    options = Options(load_folder(tmp_path / "rules"))
    assert fixed(path, options) == {"nginx.conf": whole(f"location /sse {{ {after} }}")}


def test_a_file_that_several_blocks_include_is_left_alone(tmp_path: Path) -> None:
    put(tmp_path, "proxy_buffering on;\nproxy_pass http://127.0.0.1:8000;\n", "shared.inc")
    path = put(
        tmp_path,
        whole("location /sse { include shared.inc; }\nlocation /stream { include shared.inc; }\n"),
    )
    findings = report(path, Options(ONLY_BUFFERING, NEW)).findings
    fixes = [finding.fix for finding in findings]
    assert fixes
    assert all(fix is not None and fix.applicability == "manual" for fix in fixes)
    place = f"{tmp_path}/shared.inc:1"
    advice = f"# set proxy_buffering off in {place} (2 locations include this file)"
    assert all(fix is not None and fix.snippet == advice for fix in fixes)
    assert fixed(path) == {} or "shared.inc" not in fixed(path)


def test_a_file_that_one_block_includes_is_mended(tmp_path: Path) -> None:
    put(tmp_path, "proxy_buffering on;\nproxy_pass http://127.0.0.1:8000;\n", "own.inc")
    path = put(tmp_path, whole("location /sse { include own.inc; }\n"))
    changed = fixed(path, Options(ONLY_BUFFERING, NEW))
    assert changed == {"own.inc": "proxy_buffering off;\nproxy_pass http://127.0.0.1:8000;\n"}


def test_shared_handler_but_own_location(tmp_path: Path) -> None:
    """What is inserted goes into the location, even where its handler is shared."""
    put(tmp_path, "proxy_pass http://127.0.0.1:8000;\n", "shared.inc")
    path = put(
        tmp_path,
        whole(
            "location /sse {\n    include shared.inc;\n}\n"
            "location /stream {\n    include shared.inc;\n}\n"
        ),
    )
    text = fixed(path, Options(ONLY_BUFFERING, NEW))["nginx.conf"]
    assert text.count("    proxy_buffering off;\n") == 2
    put(tmp_path, text)
    assert report(path, Options(ONLY_BUFFERING, NEW)).findings == []


def test_inherited_headers_come_along(tmp_path: Path) -> None:
    path = put(
        tmp_path,
        whole(
            'proxy_set_header Host "$host";\n'
            "location /ws {\n    # nginx-stream-lint: stream websocket\n"
            "    proxy_pass http://127.0.0.1:8000;\n    proxy_read_timeout 1h;\n}\n"
        ),
    )
    text = fixed(path)["nginx.conf"]
    inside = text[text.index("location") :]
    assert inside.count('proxy_set_header Host "$host";') == 1
    assert inside.count("proxy_set_header Upgrade $http_upgrade;") == 1
    put(tmp_path, text)
    assert report(path, Options(RULES)).findings == []


def test_nothing_is_left_and_nothing_is_lost(tmp_path: Path) -> None:
    text = whole(
        LOCATION
        + "location /stream { fastcgi_pass 127.0.0.1:9000; proxy_buffering off; }\n"
        + "location /events {\n    proxy_pass http://127.0.0.1:8000;\n    gzip on;\n"
        + "    proxy_ignore_client_abort on;\n    chunked_transfer_encoding off;\n}\n"
    )
    path = put(tmp_path, text)
    after = fixed(path, unsafe=True)["nginx.conf"]
    put(tmp_path, after)
    assert report(path, Options(RULES)).findings == []
    assert fixed(path, unsafe=True) == {}


SOURCE = Source("x.conf", "0123456789")
EDITS = st.builds(
    lambda a, b, text: Edit(SOURCE, min(a, b), max(a, b), text),
    st.integers(0, 10),
    st.integers(0, 10),
    st.text("ab", max_size=2),
)
OTHER = Source("other.conf", SOURCE.text)
FAR_EDITS = st.builds(
    lambda source, start, length, text: Edit(source, start, start + length, text),
    st.sampled_from([SOURCE, OTHER]),
    st.sampled_from([0, 1, 2, 254, 255, 256, 257, 511, 512, 513]),
    st.sampled_from([0, 0, 1, 2, 255, 600]),
    st.text("ab", max_size=1),
)
FIXES = st.lists(
    st.builds(
        lambda edits: Fix("t", "safe", "", tuple(edits)), st.lists(EDITS, min_size=1, max_size=1)
    ),
    max_size=6,
)


@given(FIXES)
@settings(max_examples=300, deadline=None)
def test_chosen_edits_never_overlap(fixes: list[Fix]) -> None:
    chosen = compatible(fixes)
    covered: set[int] = set()
    for edit in chosen:
        span = set(range(edit.start, edit.end))
        assert not span & covered
        covered |= span
    after = apply_edits(SOURCE.text, chosen)
    kept = "".join(char for at, char in enumerate(SOURCE.text) if at not in covered)
    assert "".join(char for char in after if char.isdigit()) == kept
    # Each fix is in whole or out whole.
    for fix in fixes:
        inside = [edit in chosen for edit in fix.edits]
        assert all(inside) or not any(inside)


@given(st.lists(st.lists(FAR_EDITS, max_size=3), max_size=8))
@settings(max_examples=300, deadline=None)
def test_neighbours_are_all_that_an_edit_can_overlap(groups: list[list[Edit]]) -> None:
    """Each edit is compared with those near it only: it comes to the same as with all."""

    def overlap(edit: Edit, other: Edit) -> bool:
        return (
            edit.source is other.source
            and edit != other
            and edit.start < other.end
            and other.start < edit.end
        )

    chosen: dict[Edit, None] = {}
    for group in groups:
        if not any(overlap(edit, other) for edit in group for other in chosen):
            chosen |= dict.fromkeys(group)
    fixes = [Fix("t", "safe", "", tuple(group)) for group in groups]
    assert compatible(fixes) == list(chosen)


BLOCKS = st.lists(st.sampled_from(["a", " ", "\t", "    ", "b {", "\n", "\n", "\r\n", "\x0b", "é"]))


@given(BLOCKS, BLOCKS)
@settings(max_examples=500)
def test_two_blocks_lose_the_indentation_that_their_lines_share(
    one: list[str], two: list[str]
) -> None:
    before, after = ("".join(parts).replace("\r\n", "\n") for parts in (one, two))
    lines, behind = _dedented(before, after)
    old, new = before.splitlines(), after.splitlines()
    assert behind == len(old)
    assert lines == ([] if not old + new else textwrap.dedent("\n".join(old + new)).split("\n"))


LETTERS = st.lists(st.sampled_from([f"{letter}\n" for letter in "abcdefgh"]))


@given(LETTERS, LETTERS)
@settings(max_examples=500)
def test_what_is_alike_is_found_in_any_lines(old: list[str], new: list[str]) -> None:
    opcodes = _ChangedLines(old, new).get_opcodes()
    assert [line for _, i, j, _, _ in opcodes for line in old[i:j]] == old
    assert [line for _, _, _, k, m in opcodes for line in new[k:m]] == new
    assert all(old[i:j] == new[k:m] for tag, i, j, k, m in opcodes if tag == "equal")


NUMBERS = st.lists(st.integers(0, 4), max_size=12).map(tuple)


@given(NUMBERS, NUMBERS, st.integers(0, 12))
@settings(max_examples=500)
def test_what_a_fix_changes_is_found_in_any_lines(
    old: tuple[int, ...], more: tuple[int, ...], at: int
) -> None:
    for new in (more, (*old[:at], *more, *old[at:]), (*old[:at], *old[at + len(more) :])):
        opcodes = _changes(old, new)
        assert [line for _, i, j, _, _ in opcodes for line in old[i:j]] == [*old]
        assert [line for _, _, _, k, m in opcodes for line in new[k:m]] == [*new]
        assert all(old[i:j] == new[k:m] for tag, i, j, k, m in opcodes if tag == "equal")
        # No more lines are marked than difflib marks.
        matcher = difflib.SequenceMatcher(None, old, new, False)
        kept = sum(size for _, _, size in matcher.get_matching_blocks())
        assert sum(j - i for tag, i, j, _, _ in opcodes if tag == "equal") >= kept


INNER = ("proxy_http_version 1.1;", "", "client_max_body_size 10m;", "access_log off;")


LOCATION_LINES = st.tuples(st.sets(st.sampled_from(INNER)), st.booleans(), st.booleans())


# Of 200 lines and more, difflib itself leaves out those that are there often.
@given(st.lists(LOCATION_LINES, max_size=199 // (len(INNER) + 4)))
def test_a_diff_of_many_lines_is_that_of_difflib(
    locations: list[tuple[set[str], bool, bool]],
) -> None:
    old: list[str] = []
    new: list[str] = []
    for number, (inner, is_mended, is_replaced) in enumerate(locations):
        rest = [line for line in INNER if line in inner]
        head = [f"location /{number} {{", "proxy_pass http://app;"]
        old += [*head, *rest, *(["proxy_read_timeout 60s;"] if is_replaced else []), "}"]
        new += [*head, *(["proxy_buffering off;"] if is_mended else []), *rest]
        new += [*(["proxy_read_timeout 1h;"] if is_replaced else []), "}"]
    expected = list(difflib.unified_diff(old, new, "a", "b", lineterm="\n"))
    assert list(_unified(old, new, "a", "b")) == expected


def test_an_overlapping_fix_is_left_out_whole() -> None:
    first = Fix("a", "safe", "", (Edit(SOURCE, 2, 5, "x"),))
    second = Fix("b", "safe", "", (Edit(SOURCE, 0, 1, "y"), Edit(SOURCE, 4, 6, "z")))
    assert compatible([first, second]) == list(first.edits)


def test_what_stands_in_a_wrong_place_is_not_fixed_from_outside() -> None:
    """nginx refuses it there, and it hides what would be set around it."""
    text = (
        "events {}\nhttp { server { location /events { proxy_pass http://app;"
        " proxy_read_timeout 1h; proxy_http_version 1.1; proxy_buffering off;"
        " if ($a = b) { set $c d; proxy_buffering on; } } } }\n"
    )
    report = lint(Workspace.in_memory({"nginx.conf": text}), options=Options(RULES))
    [finding] = [one for one in report.findings if one.rule == "response-buffering"]
    assert finding.fix is not None
    assert (finding.fix.applicability, finding.fix.edits) == ("manual", ())


def test_fixes_that_undo_one_another_are_a_bug(tmp_path: Path) -> None:
    path = put(tmp_path, whole(LOCATION))
    finding = report(path, Options(ONLY_BUFFERING, NEW)).findings[0]
    assert finding.fix is not None

    def never_content(texts: Mapping[str, str]) -> list[Finding]:
        return report(path, Options(ONLY_BUFFERING, NEW), texts).findings or [finding]

    with pytest.raises(NotConverging) as raised:
        fix_all(never_content, unsafe=False)
    assert set(raised.value.files) == {str(path)}


def test_a_file_whose_fixes_do_not_end_does_not_hide_the_others(tmp_path: Path) -> None:
    good, bad = put(tmp_path, LOCATION, "good.conf"), put(tmp_path, LOCATION, "bad.conf")
    options = Options(ONLY_BUFFERING, NEW)
    again = [one for one in report(bad, options).findings if one.fix is not None]

    workspace = Workspace.on_disk(str(good), str(bad))

    def never_content(texts: Mapping[str, str]) -> Result:
        found = lint(workspace.overlaid(texts), options=options)
        found.findings += again
        return found

    fixed = fix_checked(never_content, unsafe=False)
    changed, refused = fixed.changed, fixed.refused
    assert set(changed) == {str(good)}
    assert len(refused) == 1
    assert refused[0].startswith(f"{bad}:1:1: was not fixed: the fixes undo one another;")


@pytest.mark.parametrize("is_in_the_same", [True, False])
def test_what_a_fix_breaks_is_not_written(is_in_the_same: bool, tmp_path: Path) -> None:
    good, bad = put(tmp_path, LOCATION, "good.conf"), put(tmp_path, LOCATION, "bad.conf")
    other = put(tmp_path, "}\n# 7\n", "other.conf")
    options = Options(ONLY_BUFFERING, NEW)

    workspace = Workspace.on_disk(str(good), str(bad), str(other))

    def breaking(texts: Mapping[str, str]) -> Result:
        found = lint(workspace.overlaid(texts), options=options)
        found.problems = [one for one in found.problems if one.file == str(other)]
        if str(bad) in texts:
            file = str(bad if is_in_the_same else other)
            found.problems.append(Problem(file, 3, 1, 'unexpected "}"', "advice"))
        else:
            found.problems += [Problem(str(bad), 1, 1, "was there before", "advice")]
        return found

    fixed = fix_checked(breaking, unsafe=False)
    changed, refused = fixed.changed, fixed.refused
    assert set(changed) == ({str(good)} if is_in_the_same else set())
    assert f"{bad}:1:1: was not fixed: with the fix, " in "\n".join(refused)
    assert 'unexpected "}"' in refused[0]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", f"data:\n  a.conf: |\n    {LOCATION.replace(chr(10), chr(10) + '    ')}\n"),
        ("a.md", f"```nginx\n{LOCATION}```\n"),
    ],
)
def test_edits_outside_of_the_text_of_nginx_are_refused(
    name: str, text: str, tmp_path: Path
) -> None:
    path = put(tmp_path, text, name)
    options = Options(ONLY_BUFFERING, NEW, input_options=InputOptions(markdown=True))
    found = lint(Workspace.on_disk(str(path)), options=options)
    source = found.findings[0].place.source
    first, last = text.index("location"), text.rindex("}")
    for start, end, is_kept in (
        (first, first, True),
        (last, last + 1, True),
        (0, 0, False),
        (first - 6, first, False),
        (last, len(text), name == "a.yaml"),
    ):
        fix = Fix("a", "safe", "", (Edit(source, start, end, "x"), Edit(source, first, first, "")))
        kept = confine(fix, visible_regions(found.files))
        assert (kept == fix) is is_kept
        assert is_kept or (kept.applicability, kept.edits) == ("manual", ())
