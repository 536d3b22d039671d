"""The effects of shell commands on nginx's files, without running them.

For `RUN` of a Dockerfile, the commands of containers, and their start scripts.
"""

from __future__ import annotations

import itertools
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from msgspec import Struct
from msgspec.structs import replace

from nginx_stream_lint.config.mapped_text import PLACEHOLDER
from nginx_stream_lint.deployment.interpolation import MAX_VALUE, interpolated
from nginx_stream_lint.deployment.model import CommandLine, DeployedAt, PlacedFile, file_at
from nginx_stream_lint.files.globbing import is_pattern
from nginx_stream_lint.files.workspace import Workspace

_MAX_TEXT = 200_000  # characters of one command that are parsed
_WORD = r"""(?:'[^']*'|"(?:\\.|[^"\\])*"|\\[^\n]|[^\s'";&|<>()\\])+"""
_COMMENT = r"(?<![^\s;&|()])\#[^\n]*"
_TOKEN = rf"{_COMMENT}|{_WORD}|&&|\|\||>>|<<<|<<-?|\d?>&\d|[;&|<>()\n]"
_MAX_VARIABLES = 100  # of one word that are expanded
_ENDS = frozenset(("&&", "||", ";", "&", "|", "\n", "(", ")"))
# Words that begin and end a block of commands that may not run, or not exactly once.
_KEYWORDS = {
    **dict.fromkeys(("if", "for", "while", "until", "case", "select", "{"), 1),
    **dict.fromkeys(("fi", "done", "esac", "}"), -1),
    **dict.fromkeys(("then", "do", "else", "elif", "!"), 0),
}
_VARIABLE = r"\$(?:\{(\w+)\}|(\w+))"
_ASSIGNMENT = r"[A-Za-z_]\w*="
_HEREDOC = r"<<-?[ \t]*(['\"]?)([A-Za-z_]\w*)\1"
# Programs that start the program in their arguments.
_STARTERS = frozenset(
    ("exec", "command", "env", "sudo", "tini", "dumb-init", "su-exec", "gosu", "nohup", "time")
)
SHELLS = frozenset(("sh", "bash", "ash", "dash", "zsh"))
_INTERPRETERS = frozenset(
    ("python", "python3", "perl", "ruby", "node", "php", "supervisord", "s6-svscan")
)
_HARMLESS = frozenset(
    (
        *("nginx", "nginx-debug", "openresty", "angie", "cp", "mv", "ln", "rm", "sed", "echo"),
        *("printf", "cat", "chmod", "chown", "mkdir", "touch", "test", "[", "true", "sleep"),
        *("envsubst", "tee", "curl", "wget", "nc", "kill", "wait", "date", "hostname", "env"),
        *("update-ca-certificates", "crond", "cron", "awk", "grep", "find", "tail"),
        *("apk", "apt-get", "apt", "yum", "dnf"),
    )
)
NGINX = frozenset(("nginx", "nginx-debug", "openresty", "angie"))
_PACKAGE = r"(nginx|nginx-(?:full|light|extras|core|mainline))(?:[=~@-]+v?(\d+\.\d+(?:\.\d+)?)\S*)?"
_INSTALLERS = {
    "apt-get": "install",
    "apt": "install",
    "aptitude": "install",
    "apk": "add",
    "yum": "install",
    "dnf": "install",
    "microdnf": "install",
    "tdnf": "install",
    "zypper": "install",
}
_DOWNLOAD = (
    r"nginx\.org/(?:\S*/)?download/nginx-(\d+\.\d+\.\d+)\.tar|/nginx-(\d+\.\d+\.\d+)\.tar\.gz"
)
_OTHER_PACKAGES = r"nginx\.org/(?:packages|keys)|ppa:|add-apt-repository|openresty\.org/package"
# Folders that images of Linux systems have: `COPY start.sh /usr/local/bin` copies into one.
_SYSTEM_FOLDERS = frozenset(
    (
        *("/", "/bin", "/etc", "/home", "/lib", "/media", "/mnt", "/opt", "/root", "/run", "/sbin"),
        *("/srv", "/tmp", "/usr", "/usr/bin", "/usr/lib", "/usr/sbin", "/usr/share", "/usr/src"),
        *("/usr/local", "/usr/local/bin", "/usr/local/etc", "/usr/local/lib", "/usr/local/sbin"),
        *("/usr/local/share", "/var", "/var/cache", "/var/lib", "/var/log", "/var/run", "/var/tmp"),
        *("/etc/init.d", "/etc/cron.d", "/etc/logrotate.d", "/etc/ssl", "/etc/ssl/certs"),
    )
)
# A file below one of these may belong to nginx's configuration.
_FOLDERS = (
    "/etc/nginx",
    "/usr/local/openresty/nginx/conf",
    "/usr/local/nginx/conf",
    "/usr/local/etc/nginx",
    "/etc/angie",
    "/opt/bitnami/nginx/conf",
)
# Folders that every image has, and those of nginx's entrypoint and pages.
_ALWAYS_FOLDERS = frozenset(
    (
        *("/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/media", "/mnt", "/opt", "/root"),
        *("/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/usr/bin", "/usr/lib", "/usr/local"),
        *("/usr/local/bin", "/usr/local/etc", "/usr/local/lib", "/usr/local/sbin", "/usr/sbin"),
        *("/usr/share", "/var", "/var/cache", "/var/lib", "/var/log", "/var/run", "/var/tmp"),
        *("/docker-entrypoint.d", "/usr/share/nginx/html", "/var/www/html"),
    )
)


class Installed(Struct, frozen=True):
    """A command that installs nginx; `version` is None if the package manager chooses it.

    `is_own`: the package comes from the distribution, not from another package source.
    """

    version: str | None
    is_own: bool


def is_configuration_path(path: str) -> bool:
    """Whether a path in a container is a usual place for nginx's configuration."""
    return any(path == one or path.startswith(f"{one}/") for one in _FOLDERS)


def commands(text: str) -> Iterator[list[str]]:
    """The simple commands of a shell text: words without quotes, redirections as words.

    >>> list(commands("cd /x && exec nginx -g 'daemon off;' > /dev/null"))
    [['cd', '/x'], ['exec', 'nginx', '-g', 'daemon off;', '>', '/dev/null']]
    """
    return (words for words, _ in _steps(text))


def _steps(text: str) -> Iterator[tuple[list[str], bool]]:
    """The simple commands, and whether each certainly runs (depends on no condition)."""
    words: list[str] = []
    depth, otherwise = 0, False
    text = text[:_MAX_TEXT].replace("\\\n", " ")
    for token in [*re.findall(_TOKEN, text), "\n"]:
        if token.startswith("#"):
            continue
        if token not in _ENDS:
            words.append(_unquoted(token))
            continue
        if words:
            while words and words[0] in _KEYWORDS:
                depth = max(0, depth + _KEYWORDS[words[0]])
                words = words[1:]
            if words:
                yield words, depth == 0 and not otherwise
        otherwise = token == "||" or (otherwise and token in ("&&", "|"))
        words = []


def _unquoted(token: str) -> str:
    parts = re.findall(r"""'([^']*)'|"((?:\\.|[^"\\])*)"|\\(.)|([^'"\\]+)""", token)
    return "".join(
        single or re.sub(r"\\([$`\"\\])", r"\1", double) or escaped or plain
        for single, double, escaped, plain in parts
    )


def command_line(words: Sequence[str]) -> CommandLine:
    """A container's command, with the options of nginx."""
    arguments = _of_nginx(list(words))
    if arguments is None:
        return CommandLine(tuple(words))
    config = prefix = None
    directives: list[str] = []
    for flag, value in _options(arguments):
        # The value of a variable is unknown.
        path = PLACEHOLDER if re.search(r"[$`]", value) else value
        if flag == "c":
            config = path
        elif flag == "g":
            directives.append(value)
        elif flag == "p":
            prefix = path
    return CommandLine(tuple(words), config, tuple(directives), prefix)


def _options(arguments: list[str]) -> Iterator[tuple[str, str]]:
    rest = iter(arguments)
    for word in rest:
        if re.match(r"-[cgpe]", word):
            yield word[1], word[2:] or next(rest, "")


def runs_nginx(words: Sequence[str]) -> bool:
    """Whether a command starts nginx, directly or through a shell."""
    return _of_nginx(list(words)) is not None


def _of_nginx(words: list[str], depth: int = 0) -> list[str] | None:
    """The arguments of nginx in a command."""
    words = _started(words)
    if not words or depth > 4:
        return None
    program = posixpath.basename(words[0])
    if program in NGINX:
        return words[1:]
    text = shell_text(words)
    if text is not None:
        for command in commands(text):
            found = _of_nginx(command, depth + 1)
            if found is not None and "-t" not in found and "-s" not in found:
                return found
    return None


def _started(words: list[str]) -> list[str]:
    """Strip the programs that only start another one."""
    while words:
        name = posixpath.basename(words[0])
        if re.match(_ASSIGNMENT, words[0]) or words[0] in ("--", "!", "then", "do", "else", "{"):
            words = words[1:]
        elif name in _STARTERS:
            words = words[2:] if name in ("su-exec", "gosu") else words[1:]
            while words and words[0].startswith("-"):
                words = words[1:]
        elif name == "docker-entrypoint.sh" and len(words) > 1:
            words = words[1:]
        else:
            return words
    return words


def shell_text(words: Sequence[str]) -> str | None:
    """The script text of `sh -c TEXT`; None for other commands."""
    words = _started(list(words))
    if not words or posixpath.basename(words[0]) not in SHELLS:
        return None
    for at, word in enumerate(words[1:], 1):
        if re.fullmatch(r"-[a-z]*c", word):
            return words[at + 1] if at + 1 < len(words) else None
        if not word.startswith("-"):
            return None
    return None


def script_of(words: Sequence[str]) -> str | None:
    """The path of the script that a command runs; None for other commands."""
    words = _started(list(words))
    if shell_text(words) is not None:
        return None
    if words and posixpath.basename(words[0]) in (*SHELLS, ".", "source"):
        words = [one for one in words[1:] if not one.startswith("-")]
    if words and (words[0].endswith((".sh", ".bash")) or words[0].startswith(("/", "./"))):
        return words[0]
    return None


def installed(text: str) -> Installed | None:
    """The nginx that a shell text installs."""
    is_other = re.search(_OTHER_PACKAGES, text) is not None
    found: Installed | None = None
    lists: dict[str, str] = {}  # `packages="nginx=1.27.4 gettext"; apt-get install $packages`
    for written in commands(text):
        words = _started(written)
        if not words:
            lists.update(
                {name: value for name, _, value in (one.partition("=") for one in written)}
            )
            continue
        verb = _INSTALLERS.get(posixpath.basename(words[0]))
        if verb is None or verb not in words:
            continue
        for word in _listed(words[words.index(verb) + 1 :], lists):
            match = re.fullmatch(_PACKAGE, word)
            if match is not None:
                found = Installed(match[2], not is_other)
    if found is None:
        match = re.search(_DOWNLOAD, text)
        if match is not None and re.search(r"\bmake\b|\bconfigure\b|tar\b", text):
            return Installed(match[1] or match[2], False)
    return found


def _listed(words: Iterable[str], lists: Mapping[str, str]) -> Iterator[str]:
    """The words of a command; a variable yields those of its value."""
    for word in words:
        variable = re.fullmatch(_VARIABLE, word)
        value = None if variable is None else lists.get(variable[1] or variable[2])
        yield from (word,) if value is None else value.split()


class Layers:
    """The files of a container while commands change them."""

    def __init__(self, workspace: Workspace, files: Sequence[PlacedFile]) -> None:
        self.files = list(files)
        self._workspace = workspace
        self.programs: list[list[str]] = []  # started programs with unknown effects
        self.nginx: list[str] | None = None  # nginx's command, once it was started
        self.folders: set[str] = set()  # that a command makes
        self.arguments: list[str] = []  # of the script
        self.variables: dict[str, str] = {}  # of the shell
        self.exported: dict[str, str | None] = {}

    def at(self, inside: str) -> PlacedFile | None:
        """The file at a path, if it is known."""
        one = file_at(self.files, inside, self._workspace.exists)
        if one is None or one.inside == inside:
            return one
        if not one.is_folder:
            return None
        if one.path is None or one.key is not None:
            return replace(one, inside=inside, is_folder=False)
        rest = inside[len(one.inside.rstrip("/")) + 1 :]
        path = posixpath.normpath(posixpath.join(one.path, rest))
        return replace(one, inside=inside, path=path, is_folder=self._workspace.is_folder(path))

    def add(self, one: PlacedFile) -> None:
        """Add a file, which hides an earlier one at its path."""
        self.files.append(one)

    def is_folder(self, path: str) -> bool:
        """Whether a path is a folder at this point."""
        if path in self.folders:
            return True
        for one in reversed(self.files):
            if one.inside == path:
                return one.is_folder and one.how != "removed"
            if one.inside.startswith(f"{path}/"):
                return True
            if one.how == "removed" and path.startswith(f"{one.inside}/"):
                return False
        return path in _SYSTEM_FOLDERS or is_folder_of_nginx(path)

    def run(self, text: str, folder: str, origin: DeployedAt) -> None:
        """Apply those effects of a shell text that are certain."""
        heredocs = re.search(_HEREDOC, text) is not None
        for step, is_certain in _steps(_without_heredocs(text) if heredocs else text):
            expanded: list[str] = []
            for word in step:
                if word in ("$@", "${@}", "$*"):
                    expanded += self.arguments
                else:
                    expanded.append(self._expanded(word))
            if not expanded:
                continue
            self._assign(expanded, is_certain)
            words = _started(expanded)
            if words and posixpath.basename(words[0]) == "cd" and len(words) > 1:
                folder = posixpath.normpath(posixpath.join(folder, words[1]))
            elif words:
                self._run(words, folder, origin, is_certain)

    def _assign(self, words: list[str], is_certain: bool) -> None:
        """Record the variables that a command sets."""
        rest = words[1:] if words[0] in ("export", "local", "readonly", "declare") else words
        if not all(re.match(_ASSIGNMENT, word) for word in rest):
            return
        for name, _, value in (one.partition("=") for one in rest):
            known = (
                interpolated(value, self.variables)
                if is_certain and "`" not in value
                else PLACEHOLDER
            )
            self.variables.pop(name, None)
            if PLACEHOLDER not in known and "$(" not in value and len(known) <= MAX_VALUE:
                self.variables[name] = known
            if words[0] == "export" or name in self.exported:
                self.exported[name] = self.variables.get(name)

    def _expanded(self, word: str) -> str:
        if "$" not in word or not self.variables or word.count("$") > _MAX_VARIABLES:
            return word
        return re.sub(_VARIABLE, lambda one: self.variables.get(one[1] or one[2], one[0]), word)

    def _run(self, words: list[str], folder: str, origin: DeployedAt, is_certain: bool) -> None:
        program = posixpath.basename(words[0])
        plain, inputs, outputs = _redirected(words)
        if program in NGINX and not {"-t", "-T", "-s", "-v", "-V"} & set(words):
            self.nginx = words
            return
        script = script_of(words)
        if program in _INTERPRETERS or (script is not None and program not in _HARMLESS):
            at = plain.index(script) if script in plain else 0
            self.programs.append(plain[at:] or words)
        is_edited = program in ("sed", "perl") and any(
            re.match(r"-[A-Za-z]{0,3}i|--in-place", one) for one in words
        )
        targets = [
            *outputs,
            *(plain[-1:] if is_edited or program in ("cp", "mv", "ln", "tee") else ()),
        ]
        for path in targets:
            if "$" in path and re.search(r"(?i)nginx|\.conf", path):
                self.programs.append([program, path])

        def inside(path: str) -> str:
            return posixpath.normpath(posixpath.join(folder, path))

        arguments = [one for one in plain[1:] if not one.startswith("-")]
        if program == "envsubst" and outputs and inputs:
            self._envsubst(inside(inputs[-1]), inside(outputs[-1]), origin, is_certain)
            return
        for path in outputs if program not in ("sed", "cat") else ():
            self._written(inside(path), origin)
        if program == "shift" and is_certain:
            self.arguments = self.arguments[1:]
        elif words[:2] == ["set", "--"] and is_certain:
            self.arguments = words[2:]
        elif program == "rm" and is_certain:
            for path in arguments:
                self._removed(inside(path), origin)
        elif program == "mkdir":
            self.folders.update(map(inside, arguments))
        elif program in ("cp", "mv", "ln") and len(arguments) >= 2:
            target = inside(arguments[-1])
            for path in arguments[:-1]:
                where = inside(path) + ("/." if path.endswith("/.") else "")
                self._copied(where, target, origin, is_certain, arguments[-1].endswith("/"))
                if program == "mv" and is_certain:
                    self._removed(inside(path), origin)
        elif program in ("sed", "cat") and outputs and "-i" not in words:
            self._filtered(program, arguments, [*map(inside, outputs)], folder, origin)
        elif program == "tee":
            for path in arguments:
                self._written(inside(path), origin)
        elif is_edited:
            for path in _edited(plain):
                self._changed(inside(path), origin)
        elif program in ("curl", "wget"):
            for flag, value in itertools.pairwise(words):
                if flag in ("-o", "-O", "--output"):
                    self._written(inside(value), origin)

    def _envsubst(self, source: str, target: str, origin: DeployedAt, is_certain: bool) -> None:
        known = self.at(source)
        is_known = known is not None and known.path is not None and is_certain
        if known is None or not is_known or PLACEHOLDER in target or "$" in target:
            self._written(target, origin)
        else:
            self.add(replace(known, inside=target, origin=origin))

    def _filtered(
        self,
        program: str,
        arguments: list[str],
        outputs: list[str],
        folder: str,
        origin: DeployedAt,
    ) -> None:
        """Apply `cat FILE > OUTPUT` or `sed COMMAND FILE > OUTPUT`."""
        names = arguments if program == "cat" else arguments[1:]
        known = (
            self.at(posixpath.normpath(posixpath.join(folder, names[0])))
            if len(names) == 1
            else None
        )
        for path in outputs:
            if known is not None and known.path is not None:
                changed = origin if program == "sed" else known.changed
                self.add(replace(known, inside=path, origin=origin, changed=changed))
            else:
                self._written(path, origin)

    def _written(self, path: str, origin: DeployedAt) -> None:
        if is_configuration_path(path):
            self.add(PlacedFile(path, None, "generated", origin))

    def _changed(self, path: str, origin: DeployedAt) -> None:
        known = self.at(path)
        if known is not None and known.path is not None:
            self.add(replace(known, changed=origin))
        else:
            self._written(path, origin)

    def _removed(self, path: str, origin: DeployedAt) -> None:
        self.folders = {
            one for one in self.folders if one != path and not one.startswith(f"{path}/")
        }
        if is_pattern(path):
            # Copy only the present files; later ones do not change the copy.
            known = [one.inside for one in self.files if fnmatchcase(one.inside, path)]
            for one in dict.fromkeys(known):
                self.add(PlacedFile(one, None, "removed", origin))
        elif is_configuration_path(path) or any(one.inside == path for one in self.files):
            self.add(PlacedFile(path, None, "removed", origin, is_folder=True))

    def _copied(
        self, path: str, target: str, origin: DeployedAt, is_certain: bool, slash: bool
    ) -> None:
        contents = path.endswith("/.")
        path = posixpath.normpath(path)
        known = self.at(path)
        if not contents and (slash or self.is_folder(target)):
            target = posixpath.join(target, posixpath.basename(path))
        is_file = is_configuration_path(target) or "." in posixpath.basename(target)
        if known is not None and known.path is not None and is_certain and is_file:
            self.add(replace(known, inside=target, origin=origin))
        else:
            self._written(target, origin)


def _edited(words: list[str]) -> list[str]:
    """The files that `sed -i` or `perl -i` edits: all arguments but the commands."""
    files: list[str] = []
    has_commands = False
    rest = iter(words[1:])
    for word in rest:
        if re.fullmatch(r"-[A-Za-z]*[ef]|--expression|--file", word):
            has_commands = True
            next(rest, None)
        elif word.startswith(("-e", "--expression=", "-f", "--file=")):
            has_commands = True
        elif not word.startswith("-"):
            files.append(word)
    return files if has_commands else files[1:]


def is_folder_of_nginx(path: str) -> bool:
    """Whether a path is a folder in all images of nginx, or in most, judging by its name."""
    return (
        path in _ALWAYS_FOLDERS
        or path in _FOLDERS
        or (
            is_configuration_path(path)
            and posixpath.basename(path)
            in (
                "conf.d",
                "http.d",
                "sites-enabled",
                "sites-available",
                "snippets",
                "templates",
                "stream-conf.d",
            )
        )
    )


def _redirected(words: list[str]) -> tuple[list[str], list[str], list[str]]:
    """A command without redirections, the files that it reads, and those that it writes."""
    plain: list[str] = []
    inputs: list[str] = []
    outputs: list[str] = []
    at = 0
    while at < len(words):
        word = words[at]
        following = words[at + 1] if at + 1 < len(words) else None
        if word in (">", ">>") and following is not None:
            outputs.append(following)
            at += 1
        elif word == "<" and following is not None:
            inputs.append(following)
            at += 1
        elif word not in (">", ">>", "<", "<<", "<<-", "<<<"):
            plain.append(word)
        at += 1
    return plain, inputs, outputs


def _without_heredocs(text: str) -> str:
    """A shell text without the lines of its heredocs."""
    lines = text.split("\n")
    kept: list[str] = []
    end: str | None = None
    for line in lines:
        if end is not None:
            end = None if line.strip() == end else end
            continue
        kept.append(line)
        match = re.search(_HEREDOC, line)
        end = match[2] if match else None
    return "\n".join(kept)
