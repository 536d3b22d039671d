"""The effects of shell commands on the files of a container, without running them."""

from __future__ import annotations

import itertools
import posixpath
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from msgspec.structs import replace

from nginx_stream_lint.config.mapped_text import PLACEHOLDER
from nginx_stream_lint.deployment.image_folders import is_configuration_path, is_folder_of_system
from nginx_stream_lint.deployment.interpolation import MAX_VALUE, interpolated
from nginx_stream_lint.deployment.model import DeployedAt, PlacedFile, file_at
from nginx_stream_lint.deployment.shell import (
    ASSIGNMENT,
    NGINX,
    VARIABLE,
    redirected,
    script_of,
    started,
    steps,
    without_heredocs,
)
from nginx_stream_lint.files.globbing import is_pattern
from nginx_stream_lint.files.workspace import Workspace

_MAX_VARIABLES = 100  # of one word that are expanded
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
        return is_folder_of_system(path)

    def run(self, text: str, folder: str, origin: DeployedAt) -> None:
        """Apply those effects of a shell text that are certain."""
        for step, is_certain in steps(without_heredocs(text)):
            expanded: list[str] = []
            for word in step:
                if word in ("$@", "${@}", "$*"):
                    expanded += self.arguments
                else:
                    expanded.append(self._expanded(word))
            if not expanded:
                continue
            self._assign(expanded, is_certain)
            words = started(expanded)
            if words and posixpath.basename(words[0]) == "cd" and len(words) > 1:
                folder = posixpath.normpath(posixpath.join(folder, words[1]))
            elif words:
                self._run(words, folder, origin, is_certain)

    def _assign(self, words: list[str], is_certain: bool) -> None:
        """Record the variables that a command sets."""
        rest = words[1:] if words[0] in ("export", "local", "readonly", "declare") else words
        if not all(re.match(ASSIGNMENT, word) for word in rest):
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
        return re.sub(VARIABLE, lambda one: self.variables.get(one[1] or one[2], one[0]), word)

    def _run(self, words: list[str], folder: str, origin: DeployedAt, is_certain: bool) -> None:
        program = posixpath.basename(words[0])
        plain, inputs, outputs = redirected(words)
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
