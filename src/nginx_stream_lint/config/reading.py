"""Reading a whole configuration: the main file and all that it includes."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from nginx_stream_lint.config.problems import NotAFile, Problem, Unreadable, printable
from nginx_stream_lint.config.source import Reading, Source, load
from nginx_stream_lint.config.tree import (
    Context,
    Directive,
    File,
    enter,
    fits,
    has_commands,
    misuse,
    parse,
)

# nginx stops at the limit on open files; long before that an include tree is a mistake.
_MAX_INCLUDE_DEPTH = 64

# nginx stops at the first mistake. Whoever has more than this many has one that repeats.
_MAX_PROBLEMS = 100

# Every module of nginx, its own or not, names its directives so.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# Blocks of rows, where nginx takes any first word but no further block.
_DATA_BLOCKS = frozenset({"charset_map", "geo", "map", "split_clients", "types"})

# A file given by name may be any of these; the first that fits is what it is taken for.
_LEVELS: tuple[Context, ...] = (
    (),
    ("http",),
    ("http", "server"),
    ("http", "location"),
    ("stream",),
    ("stream", "server"),
    ("http", "upstream"),
    ("http", "location", "if"),
)


@dataclass(eq=False)
class Configuration:
    """A main file and what it includes.

    `context` is the level the main file stands for: `()` is a whole nginx.conf, `("http",)`,
    `("http", "server")` … a fragment that other files include. `files` are the files read, in
    the order of their first use. Whatever could not be read is in `problems`.
    """

    path: str
    context: Context = ()
    root: File | None = None
    files: list[File] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def read(path: str, texts: Mapping[str, Source] | None = None) -> Configuration:
    """Read the configuration whose main file is `path`.

    Includes are resolved as nginx does, relative to the main file's folder. `texts` are sources
    that stand in for the files of these paths (as `os.path.realpath` gives them). Nothing is
    raised: what stops the reading of a file is a problem of the configuration, and the other files
    are read.
    """
    try:
        text = (texts or {}).get(os.path.realpath(path)) or load(path)
    except Unreadable as stop:
        return Configuration(path, problems=[stop.problem])
    return read_text(Reading(text, text.text), texts)


def read_text(reading: Reading, texts: Mapping[str, Source] | None = None) -> Configuration:
    """The configuration whose main file is at hand, as `read` gives it."""
    path = reading.source.name
    configuration = Configuration(path)
    reader = _Reader(configuration, os.path.dirname(path), texts or {})
    try:
        root = parse(reading)
    except Unreadable as stop:
        configuration.problems.append(stop.problem)
        return configuration
    if not root.source.text.strip():
        configuration.problems.append(
            root.source.problem(0, "the file is empty", "name a configuration to check")
        )
        return configuration
    root.uses = 1
    configuration.root = root
    configuration.problems += root.problems
    configuration.files.append(root)
    configuration.context = _level(root)
    reader.files[os.path.realpath(path)] = root
    reader.follow(root, configuration.context, (root,))
    configuration.problems = list(dict.fromkeys(configuration.problems))
    _mark_shared(configuration.files)
    return configuration


class _Reader:
    """Follows includes and asks of every directive whether nginx would take it where it stands."""

    def __init__(
        self, configuration: Configuration, prefix: str, texts: Mapping[str, Source]
    ) -> None:
        self.configuration = configuration
        self.prefix = prefix
        self.texts = texts
        self.files: dict[str, File | None] = {}
        self._followed: set[tuple[int, Context]] = set()

    def load(self, path: str) -> Source:
        """The text of a file, or what stands in for it. Raises as `source.load` does."""
        return self.texts.get(os.path.realpath(path)) or load(path)

    def follow(self, file: File, context: Context, trail: tuple[File, ...]) -> None:
        """Resolve the includes of a file used in a context and check its directives there."""
        key = (id(file), context)
        if key in self._followed:
            return
        self._followed.add(key)
        work = [(file.directives, context)]
        while work:
            block, context = work.pop()
            commands = has_commands(context)
            data = context[-1:] and context[-1] in _DATA_BLOCKS and context[0] in ("http", "stream")
            for directive in block:
                if len(self.configuration.problems) >= _MAX_PROBLEMS:
                    self._give_up(directive)
                    return
                if commands and not self._accepts(directive, context):
                    continue
                if data and directive.block is not None:
                    self._no_block(directive)
                    continue
                if directive.name == "include" and len(directive.args) == 1:
                    self._include(directive, context, trail)
                elif directive.block is not None:
                    work.append((directive.block, enter(directive, context)))

    def _accepts(self, directive: Directive, context: Context) -> bool:
        reason = misuse(directive, context)
        advice = "nginx refuses this configuration"
        if reason is None and not _NAME.fullmatch(directive.name):
            reason = f'unknown directive "{printable(directive.name, 60)}"'
            if "}" in directive.name:
                advice = "a regular expression with { or } must be quoted"
            elif not directive.name.isascii():
                advice = "there is a character that only looks like a space or letter"
        if reason is None:
            return True
        self._problem(directive, reason, advice)
        return False

    def _give_up(self, directive: Directive) -> None:
        if len(self.configuration.problems) == _MAX_PROBLEMS:
            self._problem(
                directive,
                f"there are more than {_MAX_PROBLEMS} mistakes",
                "correct those above; what follows was not checked",
            )

    def _no_block(self, directive: Directive) -> None:
        brace = directive.file.tokens.spans[directive.head_end][0]
        self.configuration.problems.append(
            directive.source.problem(brace, 'unexpected "{"', "no block can stand here")
        )

    def _include(self, directive: Directive, context: Context, trail: tuple[File, ...]) -> None:
        first_time = not directive.included
        if first_time:
            files = (self._file(path, directive) for path in self._paths(directive))
            directive.included = tuple(file for file in files if file is not None)
        for file in directive.included:
            if file in trail:
                names = " -> ".join(step.source.name for step in (*trail, file))
                self._problem(directive, f"include cycle: {names}", "remove one of the includes")
                directive.included = ()
                return
            if len(trail) >= _MAX_INCLUDE_DEPTH:
                self._problem(
                    directive,
                    f"includes nest deeper than {_MAX_INCLUDE_DEPTH}",
                    "flatten them; what lies deeper was not checked",
                )
                directive.included = ()
                return
            if first_time:
                file.uses += 1
            self.follow(file, context, (*trail, file))

    def _paths(self, directive: Directive) -> list[str]:
        pattern = os.path.join(self.prefix, directive.args[0])
        if re.search(r"[*?[]", pattern):
            # glob(3) knows two things more than Python's: a backslash, and [^a] for [!a].
            pattern = re.sub(r"\\(.)", lambda escaped: glob.escape(escaped[1]), pattern)
            return sorted(glob.glob(pattern.replace("[^", "[!")))
        return [pattern]

    def _file(self, path: str, directive: Directive) -> File | None:
        key = os.path.realpath(path)
        if key in self.files:
            return self.files[key]
        file = None
        try:
            file = parse(self.load(path))
            self.configuration.files.append(file)
            self.configuration.problems += file.problems
        except NotAFile as stop:
            self._problem(
                directive,
                f'included file "{path}": {stop.problem.message}',
                "make it available, or check where it is; what it sets is not known",
            )
        except Unreadable as stop:
            self.configuration.problems.append(stop.problem)
        self.files[key] = file
        return file

    def _problem(self, directive: Directive, message: str, advice: str) -> None:
        problem = directive.source.problem(directive.start, message, advice)
        self.configuration.problems.append(problem)


def _mark_shared(files: list[File]) -> None:
    work = [file for file in files if file.uses > 1]
    while work:
        file = work.pop()
        if file.shared:
            continue
        file.shared = True
        blocks = [file.directives]
        while blocks:
            for directive in blocks.pop():
                work += directive.included
                if directive.block is not None:
                    blocks.append(directive.block)


def _level(root: File) -> Context:
    """The level that a file stands for: the outermost one at which most of it could stand."""
    names = {directive.name for directive in root.directives}
    if names & {"http", "events", "stream"}:
        return ()
    return min(_LEVELS, key=lambda level: _misfits(root.directives, level))


def _misfits(block: list[Directive], context: Context) -> int:
    """How many directives nginx would not have in this context, those in inner blocks included."""
    count = 0
    work = [(block, context)]
    while work:
        block, context = work.pop()
        if not has_commands(context):
            continue
        for directive in block:
            if not fits(directive.name, context):
                count += 1
            elif directive.block is not None:
                work.append((directive.block, enter(directive, context)))
    return count
