"""The template dialects, one record each: to add a dialect, add a record to `DIALECTS`.

A record says how a template of the dialect is recognized (file names, signs), what its tags do,
which of them are comments, and how its placeholders look. No other module knows how a dialect is
written. Expressions are text here, because most runs need only the signs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Set
from typing import Literal

from msgspec import Struct

# The effect of a tag. `value` prints something; `control` and `comment` print nothing. `if` opens a
# part that is optional or repeated, `define` one that is used elsewhere, `group` one that is used
# in place. `else` and `end` belong to the last opened part.
Kind = Literal["value", "control", "comment", "if", "define", "group", "else", "end"]

# An expression that matches nothing.
_NEVER = r"(?!)"


class TagSyntax(Struct, frozen=True):
    """The syntax of one kind of tag.

    `start` is an expression that matches the beginning of a tag, and nothing in plain nginx text.
    If several syntaxes share an opening, the first whose `start` matches is used. `kind` returns
    the kind of a tag from its content and the names in `end_names`, an expression for tags that end
    a construct by its name. `evidence` replaces `start` for recognizing the dialect.

    A syntax whose kind is `comment` gives the comments in which users write to the linter: their
    text is between `start` and `closing`, without `before_closing` and the characters of `trims`,
    which remove white space around a tag.

    `before_closing` must come before `closing`. `has_strings`: a closing in a string does not
    count. `must_close`: a tag without a closing is a mistake. The text between matches of
    `verbatim` has no tags. `statements` splits a tag of several lines: it returns the end offset
    and the kind of each statement.
    """

    opening: str
    closing: str
    start: str
    kind: Kind | Callable[[str, Set[str]], Kind]
    end_names: str = ""
    evidence: str = ""
    before_closing: str = ""
    trims: str = "-+~_="
    has_strings: bool = False
    must_close: bool = True
    verbatim: tuple[str, str] | None = None
    statements: Callable[[str], list[tuple[int, Kind]]] | None = None


class Dialect(Struct, frozen=True):
    """A template language, or another convention for text that is replaced later.

    `suffixes` are expressions for endings of file names. `signs` are expressions, at least one of
    which every template matches; `signs_outside_comments` are signs that are common in comments.
    Each starts with a literal character, so that searching for all of them is quick.

    `placeholder` matches a placeholder. It counts everywhere if the dialect has neither tags nor
    `recognised_by`; otherwise only where the dialect is recognized, by its tags or, in a text
    without any tags, by that expression. The groups `braced` and `bare` name a variable that the
    configuration may define itself; the group `escape` is removed before nginx reads the text.
    """

    name: str
    suffixes: tuple[str, ...] = ()
    signs: tuple[str, ...] = ()
    signs_outside_comments: tuple[str, ...] = ()
    tags: tuple[TagSyntax, ...] = ()
    placeholder: str = ""
    recognised_by: str = ""


# Tags that print nothing although they have the form of a value: comments and failures.
_PRINTS_NOTHING = r"\bansible_managed\b|\|\s*comment\b|^(?:fail|assert\w*)\s"
_LONGEST_START = 500  # only this much of a tag is searched for these words

# `{{` of a template: not of JSON, not of a Lua table.
_BRACES = (
    r"\{\{[-~+]?\s*"
    r"""(?!["'][^"'\n]*["']\s*:|\w+\s*=[^=])"""
    r"""(?:[\w.$"'`(!>&*@|]|/[*\w]|\#[*>\w(]|\^[}\w]|\{(?=[^{}]+\}\}\}))"""
)


# --- Jinja, Django, Twig, Nunjucks, Liquid

_JINJA_IF = {"if", "for", "unless", "case", "ifchanged"}
_JINJA_ELSE = {"else", "elif", "elsif", "elseif", "when", "empty"}


def _jinja_kind(content: str, end_names: Set[str]) -> Kind:
    match = re.match(r"[-+~]?\s*([a-z_]+)", content)
    name = match[1] if match else ""
    if name in _JINJA_IF:
        return "if"
    if name in _JINJA_ELSE:
        return "else"
    if name == "macro":
        return "define"
    if name.startswith("end"):
        return "control" if name == "endraw" else "end"
    if name in end_names and name != "raw" and (name != "set" or "=" not in content):
        return "group"
    return "value" if name == "include" else "control"


def _jinja_value_kind(content: str, _: Set[str] = frozenset()) -> Kind:
    start = content[:_LONGEST_START].lstrip("-~+ \t\r\n")
    return "control" if re.search(_PRINTS_NOTHING, start) else "value"


JINJA = Dialect(
    name="Jinja, Django, Twig, Nunjucks, Liquid",
    suffixes=("j2", "jinja2?", "liquid"),
    signs=(r"\{\{", r"\{%", r"\{\#"),
    tags=(
        TagSyntax(
            opening="{%",
            closing="%}",
            start=r"\{%[-+]?\s*[a-z]+\b",
            kind=_jinja_kind,
            end_names=r"\{%[-+~]?\s*end([a-z_]+)",
            has_strings=True,
            verbatim=(r"\{%[-+]?\s*raw\b", r"\{%[-+]?\s*endraw\b"),
        ),
        TagSyntax(
            opening="{#",
            closing="#}",
            start=r"\{\#[-+]?",
            kind="comment",
            evidence=r"\{\#(?=[- ])(?:(?!\{\#[- ])[^\n])*?\#\}",  # linear: to the next opening
            must_close=False,
        ),
        TagSyntax(
            opening="{{",
            closing="}}",
            start=_BRACES,
            kind=_jinja_value_kind,
            evidence=_NEVER,  # Go and Handlebars have the same braces
            has_strings=True,
        ),
    ),
)


# --- Go, Handlebars, Mustache: one record, since their braces alone do not tell which it is

_GO = r"(if|range|with|define|block|else|end|break|continue)\b|\$\w+(?:\s*,\s*\$\w+)?\s*:?="


def _go_kind(content: str, _: Set[str]) -> Kind:
    content = content.strip("-~+ \t\r\n")
    match = re.match(_GO, content)
    if not match:
        return _jinja_value_kind(content)
    name = match[1]
    if name in ("if", "range", "with"):
        return "if" if len(content) > len(name) else "value"
    if name == "define":
        return "define"
    if name == "block":
        return "group"
    if name in ("else", "end"):
        return "else" if name == "else" else "end"
    return "control"


def _handlebars_kind(content: str, _: Set[str]) -> Kind:
    content = content.lstrip("-~+ \t\r\n")
    first = content[0]
    if first == "#":
        return "group" if content[1:2] in ("*", ">") else "if"
    if first == "^":
        return "if" if content.strip("^~ \t\r\n") else "else"
    if first == "/":
        return "end"
    return "value"


GO_AND_HANDLEBARS = Dialect(
    name="Go, Handlebars, Mustache",
    suffixes=("gtpl", "gotmpl", "ctmpl", "hbs", "handlebars", "mustache"),
    signs=(r"\{\{",),
    tags=(
        TagSyntax("{{{", "}}}", r"\{\{\{(?=[^{}]+\}\}\})", "value", has_strings=True),
        TagSyntax("{{", "}}", r"\{\{[-~+]?\s*/\*", "comment", before_closing="*/"),
        TagSyntax("{{", "}}", r"\{\{[-~+]?\s*!--", "comment", before_closing="--"),
        TagSyntax("{{", "}}", r"\{\{[-~+]?\s*!", "comment"),
        TagSyntax(
            opening="{{",
            closing="}}",
            start=r"\{\{[-~+]?\s*(?:[>&]|/\w|\#[*>\w(]|\^[}\w])",
            kind=_handlebars_kind,
            has_strings=True,
        ),
        TagSyntax("{{", "}}", _BRACES, _go_kind, has_strings=True),
    ),
)

# A value in one line, in this dialect or in Jinja.
VALUE_IN_BRACES = r"\{\{[^\n{}]*\}\}"
# Helm states the indentation of a value's lines in the tag.
INDENTATION = r"\bn?indent\s+(\d{1,2})\b"
_IN_BRACES = r"(?s)\{\{-?(.{0,500}?)-?\}\}"
_ROOT = r"(?<![\w.$)])\$(?![\w$])\.?"


def template_key(text: str) -> str:
    """A text with Go templates in a form that is equal for templates with one meaning.

    Spaces and the kind of quotes do not matter, nor `$` for the context.
    """

    def in_short(found: re.Match[str]) -> str:
        inner = " ".join(found[1].replace("`", '"').split())
        return f"{{{{ {re.sub(_ROOT, '.', inner)} }}}}"

    return re.sub(_IN_BRACES, in_short, text.strip())


# --- ERB, EPP, EJS

_RUBY_OPEN = r"(?:if|unless|case|while|until|for|begin|def|class|module)\b"
_RUBY_BLOCK = r"(?:\bdo|\{)(?:\s*\|[^|]*\|)?$"
_RUBY_VALUE = r"=\s*(?:if|unless|case|begin)\b"  # `x = if y`, on a line of its own
_RUBY_ELSE = r"(?:\}\s*)?(?:else|elsif|when|in|rescue|ensure)\b"
_RUBY_END = r"(?:end\b|\})"


def _ruby_kind(content: str, _: Set[str] = frozenset()) -> Kind:
    if content[:1] == "=":
        return "value"
    if re.match(r"[-_]?\s*#", content):
        return "comment"
    code = content.strip("- \t\r\n")
    opens_block = re.search(_RUBY_BLOCK, code[-200:])
    if re.match(_RUBY_ELSE, code):
        return "else"
    if re.match(_RUBY_END, code):  # in JavaScript one tag often ends a block and opens the next
        return "else" if opens_block else "end"
    if opens_block or (re.match(_RUBY_OPEN, code) and not re.search(r"\bend$", code[-10:])):
        return "if"
    return "control"


def _ruby_statements(tag: str) -> list[tuple[int, Kind]]:
    """The statements of a tag, one a line; lines without effect join the next one."""
    statements: list[tuple[int, Kind]] = []
    offset = 0
    is_comment = False
    for line in tag.splitlines(keepends=True):
        offset += len(line)
        if is_comment or line.startswith("=begin"):
            is_comment = not line.startswith("=end")
            continue
        code = line.strip().removeprefix("<%").removesuffix("%>").strip("- \t")
        code = re.sub(r"\s#\s.*", "", code)
        kind: Kind = "if" if re.search(_RUBY_VALUE, code) else _ruby_kind(code)
        if kind not in ("control", "comment"):
            statements.append((offset, kind))
    return statements


ERB = Dialect(
    name="ERB, EPP, EJS",
    suffixes=("erb", "epp", "ejs"),
    signs=(r"<%",),
    tags=(
        TagSyntax("<%", "%>", r"<%[-_]?\s*\#", "comment"),
        TagSyntax("<%", "%>", r"<%(?!%)", _ruby_kind, statements=_ruby_statements),
    ),
)


# --- Go with square brackets (Levant, Nomad)

LEVANT = Dialect(
    name="Levant",
    signs=(r"\[\[[ ./-]",),
    tags=(
        TagSyntax("[[", "]]", r"\[\[-?\s*/\*", "comment", before_closing="*/"),
        TagSyntax(
            opening="[[",
            closing="]]",
            start=r"\[\[-?\s[^\[\]\n]*\s-?\]\]|\[\[\.[A-Za-z][\w.]*\]\]",
            kind=_go_kind,
            evidence=(  # not the conditions of bash: `[[ -n "$a" ]]`
                r"\[\[-?\s+(?:[.(a-z]|\$\w*(?:\.[\w.]*)?\s*(?::=|\||-?\]))[^\[\]\n]*\]"
                r"|\[\[\.[A-Za-z]"
            ),
        ),
    ),
)


# --- Terraform

TERRAFORM = Dialect(
    name="Terraform",
    suffixes=("tftpl",),
    signs=(r"%\{",),
    tags=(
        TagSyntax(
            opening="%{",
            closing="}",
            start=r"%\{~?\s*(?:if|for|else|endif|endfor)\b",
            kind=_jinja_kind,
            must_close=False,
        ),
    ),
    placeholder=r"\$\{[^}\n]{1,200}\}",
)


# --- Conventions without tags

SHELL = Dialect(
    name="heredocs of shells",  # every unescaped variable is the shell's
    signs=(r"\\\$[a-z{]",),
    # In nginx a backslash does not make a variable plain text, so only shells have one before it.
    recognised_by=r"""(?:^|[\s"'(:/=~,@])\\\$\{?[a-z]\w+""",
    placeholder=(
        r"(?P<escape>\\(?=[$`\\\n]))"
        r"|\$(?:\{[^}\n]{1,200}\}|[A-Za-z_]\w*|[0-9@*](?![\w)])"
        r"|\([^()\n]*(?:\([^()\n]*\)[^()\n]*)*\))"
        r"|`[^`\n]*`"
    ),
)

ENVSUBST = Dialect(
    name="envsubst and Compose: variables in capitals",
    signs=(r"\$\{?_*[A-Z]",),
    placeholder=(
        r"\$\$?(?:\{(?P<braced>_*[A-Z][A-Z0-9_]*)(?:[:?+=-][^}\n]{0,200})?\}"
        r"|(?P<bare>_*[A-Z][A-Z0-9_]*)(?![A-Za-z0-9_]))"
    ),
)
# What envsubst replaces if values are given, in any case.
ENVSUBST_VARIABLE = r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))"

# Each alternative starts with its own character, which makes the search several times faster.
MARKERS = Dialect(
    name="markers: %%x%%, @X@ (autoconf), __X__, %{x}, #{x}",
    suffixes=("in$",),  # of autoconf; `example.in.conf` is the name of a site
    signs=(r"%%", r"@[A-Z]", r"__[a-z0-9]*[A-Z]", r"%\{"),
    signs_outside_comments=(r"\#\{[A-Za-z]",),
    placeholder=(
        r"%%[A-Za-z][\w.-]*%%"
        r"|@[A-Z][A-Z0-9_]*@"
        r"|__(?=[a-z0-9]*[A-Z])[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)*__"
        r"|%\{[A-Za-z_][\w.:]*\}"
        r"|\#(?<=[^\s;{}]\#)\{[A-Za-z_][\w.]*\}"
    ),
)

DOCUMENTATION = Dialect(
    name="documentation: ..., <value>, [VALUE]",  # see the expressions below
    signs_outside_comments=(
        r"\.\.\.",
        "…",
        r"<(?<![?kP]<)[A-Za-z]",  # no named group of a regular expression
        r"\[(?<=\s\[)[A-Za-z]",
    ),
)
# Whether these are placeholders depends on the statement around them: see `statements.py`.
LONGEST_MARKER = 80
ELISION = r"(?:\.\.\.+|…|\[(?:\.\.\.|…)\]|<(?:\.\.\.|…)>|\((?:\.\.\.|…)\))(?![^\s;{}])"
IN_BRACKETS = rf"""\[([A-Za-z][^\[\]{{}};"'$\n\\^|*+?()]{{1,{LONGEST_MARKER}}})\]"""
IN_ANGLES = rf"""(?<![?k])(?<!\?P)<[A-Za-z][^<>;{{}}"'$\n\\^|*+?()]{{0,{LONGEST_MARKER}}}>"""
IN_CAPITALS = r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+"  # only in files that are named like a template

# If dialects share an opening, the first one that is recognized in a text is used.
DIALECTS = (
    JINJA,
    GO_AND_HANDLEBARS,
    ERB,
    LEVANT,
    TERRAFORM,
    SHELL,
    ENVSUBST,
    MARKERS,
    DOCUMENTATION,
)

# File name suffixes of templates of any dialect.
GENERIC_SUFFIXES = ("template", "tmpl", "tpl")
