"""Parse shell commands: `RUN` of a Dockerfile, the commands of containers, start scripts."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence

from nginx_stream_lint.config.mapped_text import PLACEHOLDER
from nginx_stream_lint.deployment.model import CommandLine

_MAX_TEXT = 200_000  # characters of one command that are parsed
_WORD = r"""(?:'[^']*'|"(?:\\.|[^"\\])*"|\\[^\n]|[^\s'";&|<>()\\])+"""
_COMMENT = r"(?<![^\s;&|()])\#[^\n]*"
_TOKEN = rf"{_COMMENT}|{_WORD}|&&|\|\||>>|<<<|<<-?|\d?>&\d|[;&|<>()\n]"
_ENDS = frozenset(("&&", "||", ";", "&", "|", "\n", "(", ")"))
# Words that begin and end a block of commands that may not run, or not exactly once.
_KEYWORDS = {
    **dict.fromkeys(("if", "for", "while", "until", "case", "select", "{"), 1),
    **dict.fromkeys(("fi", "done", "esac", "}"), -1),
    **dict.fromkeys(("then", "do", "else", "elif", "!"), 0),
}
VARIABLE = r"\$(?:\{(\w+)\}|(\w+))"
ASSIGNMENT = r"[A-Za-z_]\w*="
_HEREDOC = r"<<-?[ \t]*(['\"]?)([A-Za-z_]\w*)\1"
# Programs that start the program in their arguments.
_STARTERS = frozenset(
    ("exec", "command", "env", "sudo", "tini", "dumb-init", "su-exec", "gosu", "nohup", "time")
)
SHELLS = frozenset(("sh", "bash", "ash", "dash", "zsh"))
NGINX = frozenset(("nginx", "nginx-debug", "openresty", "angie"))


def commands(text: str) -> Iterator[list[str]]:
    """The simple commands of a shell text: words without quotes, redirections as words.

    >>> list(commands("cd /x && exec nginx -g 'daemon off;' > /dev/null"))
    [['cd', '/x'], ['exec', 'nginx', '-g', 'daemon off;', '>', '/dev/null']]
    """
    return (words for words, _ in steps(text))


def steps(text: str) -> Iterator[tuple[list[str], bool]]:
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
    words = started(words)
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


def started(words: list[str]) -> list[str]:
    """Strip the programs that only start another one."""
    while words:
        name = posixpath.basename(words[0])
        if re.match(ASSIGNMENT, words[0]) or words[0] in ("--", "!", "then", "do", "else", "{"):
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
    words = started(list(words))
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
    words = started(list(words))
    if shell_text(words) is not None:
        return None
    if words and posixpath.basename(words[0]) in (*SHELLS, ".", "source"):
        words = [one for one in words[1:] if not one.startswith("-")]
    if words and (words[0].endswith((".sh", ".bash")) or words[0].startswith(("/", "./"))):
        return words[0]
    return None


def redirected(words: list[str]) -> tuple[list[str], list[str], list[str]]:
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


def without_heredocs(text: str) -> str:
    """A shell text without the lines of its heredocs."""
    if "<<" not in text:
        return text
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
