"""Reading a whole configuration: the main file and all that it includes."""

from __future__ import annotations

import os
from dataclasses import field

from nginx_stream_lint.config.absent import standard
from nginx_stream_lint.config.files import Files
from nginx_stream_lint.config.source import Reading, has_hole
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
from nginx_stream_lint.files.globbing import is_pattern
from nginx_stream_lint.files.workspace import Workspace
from nginx_stream_lint.util.lazily import dataclass, regex
from nginx_stream_lint.util.problems import (
    Absent,
    LeadsOut,
    NotAFile,
    Problem,
    Unreadable,
    unexpected,
)
from nginx_stream_lint.util.sinks import printable

# Directives of more words than this count for several.
_USUAL_WORDS = 4
_BLOCK = 10  # rows that cost as much as a block: mostly it is a location that is judged
_PART = 1024 * 1024  # characters whose words are counted at once

# nginx stops at the first mistake. Whoever has more than this many has one that repeats.
_MAX_PROBLEMS = 100

# Every module of nginx, its own or not, names its directives so.
_NAME = regex(r"[A-Za-z_][A-Za-z0-9_]*")

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
# Where statements of a file belong that fit its other ones badly.
_ELSEWHERE: tuple[Context, ...] = (("http",), ("http", "server"), ("http", "location"))


@dataclass(frozen=True, slots=True)
class Note:
    """Something about the reading that people should know; `line` and `column` count from 1."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: note: {self.message}"


@dataclass(eq=False)
class Configuration:
    """A main file and what it includes.

    `context` is the level the main file stands for: `()` is a whole nginx.conf, `("http",)`,
    `("http", "server")` … a fragment that other files include. `elsewhere` are statements of it
    that fit another level, by that level. `files` are the files read, in the order of their first
    use. Whatever could not be read is in `problems`; `notes` are what had to be guessed. `about`
    are the keys of the files that somebody asked for, None if that is all. `top` is the folder that
    it belongs to, as an absolute path: names of folders from there up say nothing about the files.
    """

    path: str
    context: Context = ()
    root: File | None = None
    elsewhere: dict[Context, list[Directive]] = field(default_factory=dict)
    files: list[File] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    about: frozenset[str] | None = None
    top: str = ""


def read(path: str, workspace: Workspace | None = None) -> Configuration:
    """Read the configuration whose main file is `path`; of a template, its first reading.

    See `read_all`. The workspace is that of the file on disk if no other is given.
    """
    return read_all(path, Files(workspace or Workspace.on_disk(path)))[0]


def read_all(path: str, files: Files) -> list[Configuration]:
    """Read the configurations whose main file is `path`: one, or one for each way to read it.

    Includes are resolved as nginx does, relative to the main file's folder. Nothing is raised: what
    stops the reading of a file is a problem of the configuration, and the other files are read.
    """
    try:
        return [read_from(one, path, files) for one in files.readings(path)]
    except Unreadable as stop:
        return [Configuration(path, problems=[stop.problem])]
    except Exception as error:
        return [Configuration(path, problems=[unexpected(path, error)])]


def read_from(reading: Reading, path: str, files: Files) -> Configuration:
    """Read the configuration whose main text is given and stands at `path`."""
    configuration = Configuration(path, top=files.top(path))
    reader = _Reader(configuration, os.path.dirname(path), files)
    try:
        root = reader.parse(reading)
    except Unreadable as stop:
        configuration.problems.append(stop.problem)
        return configuration
    if not reading.source.text.strip():
        configuration.problems.append(
            root.source.problem(0, "the file is empty", "name a configuration to check")
        )
        return configuration
    root.uses = 1
    configuration.root = root
    configuration.problems += root.problems
    configuration.files.append(root)
    configuration.context = _level(root)
    reader.files[files.key(path)] = [root]
    at_home = _sorted_out(configuration, root)
    try:
        reader.follow(root, configuration.context, (root,), at_home)
        for context, directives in configuration.elsewhere.items():
            reader.follow(root, context, (root,), directives)
    except Unreadable as stop:
        return Configuration(path, problems=[*configuration.problems, stop.problem])
    configuration.problems = list(dict.fromkeys(configuration.problems))
    _mark_shared(configuration.files)
    return configuration


def _sorted_out(configuration: Configuration, root: File) -> list[Directive]:
    """Put the statements aside that belong to another level; gives the others.

    nginx refuses a main file that has any. In a fragment of documentation they are usual.
    """
    context = configuration.context
    names = {directive.name for directive in root.directives}
    is_main = not context and bool(names & {"http", "events", "stream"})
    at_home: list[Directive] = []
    for directive in root.directives:
        other = None
        if not _fits(directive, context):
            other = next((one for one in _ELSEWHERE if _fits(directive, one)), None)
        if other is None:
            at_home.append(directive)
            continue
        configuration.elsewhere.setdefault(other, []).append(directive)
        if is_main:
            directive.unknown = "it is a mistake"
            configuration.problems.append(
                directive.source.problem(
                    directive.start,
                    f'"{directive.name}" directive is not allowed here',
                    "nginx refuses this configuration",
                )
            )
    return at_home


class _Reader:
    """Follows includes and asks of every directive whether nginx would take it where it stands."""

    def __init__(self, configuration: Configuration, prefix: str, files: Files) -> None:
        self.configuration = configuration
        self.prefix = prefix
        self.provider = files
        self.files: dict[str, list[File]] = {}
        self._absent: dict[str, Absent] = {}
        self._followed: set[tuple[int, Context]] = set()
        self._budget = files.workspace.budget
        # What a file costs, with what it includes once for each use.
        self._costs: dict[File, int] = {}
        # How directives are used that nginx takes, by context.
        self._accepted = files.accepted

    def parse(self, reading: Reading) -> File:
        """The tree of one file. Raises `Unreadable` where the run has too many directives."""
        size = _size(reading.text, self._budget.limits.directives)
        cost = size + _BLOCK * reading.text.count("{")
        if self.provider.is_new(reading.source):
            self._budget.spend("directives", size, reading.source.name)
        else:
            self._budget.spend("repeats", cost, reading.source.name)
        file = parse(reading)
        self._costs[file] = cost
        return file

    def follow(
        self,
        file: File,
        context: Context,
        trail: tuple[File, ...],
        directives: list[Directive] | None = None,
    ) -> None:
        """Resolve the includes of a file used in a context and check its directives there.

        `directives` are the ones to look at, if that is not all of the file.
        """
        key = (id(file), context)
        if key in self._followed:
            return
        self._followed.add(key)
        work = [(file.directives if directives is None else directives, context)]
        while work:
            block, context = work.pop()
            commands = has_commands(context)
            accepted = self._accepted.setdefault(context, set())
            data = context[-1:] and context[-1] in _DATA_BLOCKS and context[0] in ("http", "stream")
            for directive in block:
                if len(self.configuration.problems) >= _MAX_PROBLEMS:
                    self._give_up(directive)
                    return
                if commands:
                    args = directive.args
                    # Of the arguments, only that of a flag matters.
                    is_flag = len(args) == 1 and args[0].lower() in ("on", "off")
                    use = (directive.name, len(args), is_flag, directive.block is None)
                    if use not in accepted:
                        if not self._accepts(directive, context):
                            continue
                        # What a placeholder becomes fits always.
                        if not directive.file.templated or not any(map(has_hole, args)):
                            accepted.add(use)
                if data and directive.block is not None:
                    self._no_block(directive)
                    continue
                if directive.name == "include" and len(directive.args) == 1:
                    self._include(directive, context, trail)
                elif directive.block is not None:
                    work.append((directive.block, enter(directive, context)))

    def _accepts(self, directive: Directive, context: Context) -> bool:
        if has_hole(directive.name):
            directive.unknown = "it stands for other statements"
            return directive.block is not None
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
        # It may be a neighbour's semicolon that is missing.
        directive.unknown = "it is a mistake"
        directive.may_set = frozenset((directive.name, *directive.args))
        return False

    def _give_up(self, directive: Directive) -> None:
        if len(self.configuration.problems) == _MAX_PROBLEMS:
            self._problem(
                directive,
                f"there are more than {_MAX_PROBLEMS} mistakes",
                "correct those above; what follows was not checked",
            )

    def _no_block(self, directive: Directive) -> None:
        self.configuration.problems.append(
            directive.source.problem(directive.end - 1, 'unexpected "{"', "no block can stand here")
        )

    def _include(self, directive: Directive, context: Context, trail: tuple[File, ...]) -> None:
        first_time = not directive.included
        if first_time:
            directive.included = tuple(self._included(directive))
        for file in directive.included:
            if file in trail:
                names = " -> ".join(step.source.name for step in (*trail, file))
                self._problem(directive, f"include cycle: {names}", "remove one of the includes")
                directive.included = ()
                return
            most = self._budget.limits.include_depth
            if len(trail) >= most:
                self._problem(
                    directive,
                    f"includes nest deeper than {most}",
                    "flatten them; what lies deeper was not checked",
                )
                directive.included = ()
                return
            if first_time:
                file.uses += 1
            self.follow(file, context, (*trail, file))
            if first_time:
                self._use(file, directive)

    def _use(self, file: File, directive: Directive) -> None:
        """Count what an include leads to; a few files that include one another twice are enough for
        more than any machine could read. Raises `Unreadable`.
        """
        cost = self._costs[file]
        self._costs[directive.file] += cost
        if file.uses > 1:
            place = directive.source.name, directive.line, directive.column
            self._budget.spend("repeats", cost, *place)

    def _included(self, directive: Directive) -> list[File]:
        """The files that an include leads to; what is not here is looked for near by."""
        name = directive.args[0]
        if has_hole(name):
            directive.unknown = "its name is a placeholder"
            return []
        path = os.path.join(self.prefix, name)
        wild = is_pattern(path)
        key = self.provider.key(path)
        try:
            paths = self.provider.matching(path) if wild else [path]
        except LeadsOut as stop:
            paths, self._absent[key] = [], stop
        except Unreadable as stop:
            self.configuration.problems.append(stop.problem)
            directive.unknown = "it was not looked for"
            return []
        found = [file for one in paths for file in self._parsed(one, directive)]
        if wild:
            for one in paths:
                absent = self._absent.get(self.provider.key(one))
                if isinstance(absent, LeadsOut):
                    self._refuse_absent(directive, one, absent)
            if paths or self.provider.is_folder(os.path.dirname(path)):
                return found
        elif key not in self._absent:
            return found
        near = self.provider.instead(name, directive.source.name)
        near = [one for one in near if self.provider.key(one) != key]
        found = [file for one in near for file in self._parsed(one, directive)]
        if found:
            names = ", ".join(dict.fromkeys(file.source.name for file in found))
            self._note(directive, f'include "{name}" is not here; {names} is taken for it')
            return found
        directive.unknown = "it is not here"
        directive.may_set = standard(name)
        known = directive.may_set is not None or self.provider.may_be_absent(name)
        known = known or directive.is_conditional  # a template may leave it out
        if key in self._absent and not known and not (wild and os.path.isabs(name)):
            self._refuse_absent(directive, name, self._absent[key])
        return []

    def _parsed(self, path: str, directive: Directive) -> list[File]:
        """The readings of an included file; none where it cannot be read, which is a problem.

        That there is no such file is only noted in `_absent`.
        """
        key = self.provider.key(path)
        if key in self.files:
            return self.files[key]
        parsed: list[File] = []
        try:
            for reading in self.provider.readings(path):
                file = self.parse(reading)
                parsed.append(file)
                self.configuration.files.append(file)
                self.configuration.problems += file.problems
        except Absent as stop:
            self._absent[key] = stop
        except NotAFile as stop:
            self._refuse(directive, stop.problem)
        except Unreadable as stop:
            self.configuration.problems.append(stop.problem)
        self.files[key] = parsed
        return parsed

    def _refuse_absent(self, directive: Directive, name: str, stop: Absent) -> None:
        if not isinstance(stop, LeadsOut):
            self._refuse(directive, stop.problem)
            return
        self._problem(
            directive,
            f'include "{name}" leads out of the repository, and is not read',
            "what it sets is not known: copy it into the repository, list it under absent_includes"
            " in .nginx-stream-lint.yaml, or use --host where nginx runs on this machine",
        )

    def _refuse(self, directive: Directive, problem: Problem) -> None:
        self._problem(
            directive,
            f'included file "{problem.file}": {problem.message}',
            "what it sets is not known: correct the path, or list it under absent_includes in"
            " .nginx-stream-lint.yaml",
        )

    def _note(self, directive: Directive, message: str) -> None:
        self.configuration.notes.append(
            Note(directive.source.name, directive.line, directive.column, printable(message))
        )

    def _problem(self, directive: Directive, message: str, advice: str) -> None:
        problem = directive.source.problem(directive.start, message, advice)
        self.configuration.problems.append(problem)


def _size(text: str, most: int) -> int:
    """About how many directives a text has. Those in comments and quotes count as well."""
    directives = sum(map(text.count, ";{"))
    if directives > most or len(text) < 2 * _USUAL_WORDS * most:
        return directives  # enough, or too short for so many words
    parts = (text[at : at + _PART] for at in range(0, len(text), _PART))
    return max(directives, sum(len(part.split()) for part in parts) // _USUAL_WORDS)


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


def _fits(directive: Directive, context: Context) -> bool:
    """Whether a directive may stand in a context, by its name."""
    if directive.name == "server" and (directive.block is None) != (context[-1:] == ("upstream",)):
        return False  # one with a block is a virtual server, one without an upstream's
    return fits(directive.name, context)


def _misfits(block: list[Directive], context: Context) -> int:
    """How many directives nginx would not have in this context, those in inner blocks included."""
    count = 0
    work = [(block, context)]
    while work:
        block, context = work.pop()
        if not has_commands(context):
            continue
        for directive in block:
            if not _fits(directive, context):
                count += 1
            elif directive.block is not None:
                work.append((directive.block, enter(directive, context)))
    return count
