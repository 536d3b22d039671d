"""The shape of the code as docs/architecture.md states it, read from the sources."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hatch_build import write_tables

from nginx_stream_lint.cli import COMMANDS
from nginx_stream_lint.config.templates import dialects

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "nginx_stream_lint"
FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))

# As data flows: a part may import what stands before it, and itself.
ORDER = (
    "util",
    "files",
    "config",
    "kubernetes",
    "nginx",
    "deployment",
    "tiers",
    "streams",
    "rules",
    "fixes",
    "suppress",
    "analysis",
    "report",
    "settings",
    "cli",
    "__main__",
)
# Parts that may see less than their place in the order allows.
ONLY = {
    "kubernetes": {"util", "files", "config"},
    "deployment": {"util", "files", "config", "kubernetes", "nginx"},
    "settings": {"util", "files", "nginx", "tiers", "streams", "rules", "analysis", "report"},
    "suppress": {"util", "files", "config", "rules"},
    "probe": {"util", "files", "config", "nginx"},
    "trace": {"util", "probe", "tiers"},
    "__main__": {"cli"},
}

# Parts that may ask a real nginx, and a live system.
MEASURE = {"analysis", "report", "cli"}
TRACE = {"report", "cli"}


def _tree(name: str) -> ast.Module:
    return ast.parse((PACKAGE / name).read_text(encoding="utf-8"), name)


def _part(name: str) -> str:
    """The package or module at the top that a file belongs to; the root's `__init__` is ``."""
    first = name.partition("/")[0].removesuffix(".py")
    return "" if first == "__init__" else first


def _imported(name: str) -> Iterator[tuple[str, int]]:
    """The full names of the modules that a file imports, wherever in it, with the lines."""
    folder = ["nginx_stream_lint", *name.split("/")[:-1]]
    for node in ast.walk(_tree(name)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = folder[: len(folder) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module, node.lineno
            for alias in node.names:
                yield f"{module}.{alias.name}", node.lineno


def _own_parts(name: str) -> Iterator[tuple[str, int]]:
    """The parts of this project that a file imports."""
    for module, line in _imported(name):
        head, _, rest = module.partition(".")
        part = rest.partition(".")[0]
        is_module = (PACKAGE / part).is_dir() or (PACKAGE / f"{part}.py").is_file()
        if head == "nginx_stream_lint" and part and is_module:
            yield part, line


def _calls(name: str) -> Iterator[tuple[str, int]]:
    """What a file calls or raises, as written."""
    for node in ast.walk(_tree(name)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node.lineno
        elif isinstance(node, ast.Raise) and node.exc is not None:
            yield ast.unparse(node.exc).partition("(")[0], node.lineno


def test_every_part_has_its_place() -> None:
    assert {_part(name) for name in FILES} - {""} == {*ORDER, "probe", "trace"}


@pytest.mark.parametrize("name", FILES)
def test_imports_point_one_way(name: str) -> None:
    part = _part(name)
    if not part:
        return  # the front door, of which test_the_front_door_loads_nothing_ahead says more
    before = set(ORDER[: ORDER.index(part)]) if part in ORDER else set()
    before |= {"probe"} if part in MEASURE else set()
    before |= {"trace"} if part in TRACE else set()
    allowed = {part} | ONLY.get(part, before)
    wrong = [f"{name}:{line} imports {other}" for other, line in _own_parts(name)]
    assert [text for text in wrong if text.rsplit(" ", 1)[1] not in allowed] == []


# The supervisor is a program of its own.
@pytest.mark.parametrize(
    "name", [name for name in FILES if _part(name) != "cli" and name != "probe/supervisor.py"]
)
def test_only_the_command_line_prints_or_exits(name: str) -> None:
    forbidden = {
        "print", "input", "exit", "quit", "sys.exit", "os._exit", "os.abort", "SystemExit",
        "click.echo", "click.secho", "click.UsageError", "click.BadParameter",
        "sys.stdout.write", "sys.stderr.write", "sys.stdout.buffer.write", "warnings.warn",
    }  # fmt: skip
    wrong = [f"{name}:{line}: {call}" for call, line in _calls(name) if call in forbidden]
    assert wrong == []


def _reached(*starts: str) -> list[str]:
    """The files that some files import, and what those import, wherever in them."""
    reached: set[str] = set()
    work = list(starts)
    while work:
        name = work.pop()
        if name in reached:
            continue
        reached.add(name)
        for module, _ in _imported(name):
            parts = module.split(".")[1:]
            if not module.startswith("nginx_stream_lint.") or not parts:
                continue
            path = "/".join(parts)
            # To import a module is to run its packages' `__init__` first.
            inits = [
                "/".join([*parts[:count], "__init__.py"]) for count in range(1, len(parts) + 1)
            ]
            work += [one for one in (f"{path}.py", *inits) if one in FILES]
    return sorted(reached)


# What `lint` and `explain` read by, and all that the command reads before them.
READERS = _reached(
    "analysis/lint.py", "analysis/explain.py", "settings/load.py", "suppress/baseline.py",
    "rules/rule_file.py", "kubernetes/__init__.py",
)  # fmt: skip
# The workspace's way to the disk, and the one to our own tables. In `util/git.py` two functions are
# for what writes files, which no workspace does.
DOORS = {"files/disk_storage.py", "util/data.py"}
FOR_WRITING = {"util/git.py": {"os.path.lexists", "os.path.realpath"}}
# What asks the system for files: functions, and methods of `pathlib`.
FILE_CALLS = {
    "open", "io.open", "codecs.open", "__import__",
    *(f"os.{name}" for name in (
        "open", "stat", "lstat", "access", "listdir", "scandir", "walk", "fwalk", "readlink",
        "chdir", "statvfs", "getxattr", "listxattr", "remove", "unlink", "rename", "replace",
        "mkdir", "symlink", "link", "chmod", "chown", "truncate", "system", "popen", "fork",
    )),
    *(f"os.path.{name}" for name in (
        "exists", "lexists", "isfile", "isdir", "islink", "ismount", "realpath", "getsize",
        "getmtime", "getctime", "getatime", "samefile", "expanduser", "sameopenfile",
    )),
    "glob.glob", "glob.iglob", "fileinput.input", "linecache.getline",
}  # fmt: skip
PATH_METHODS = {
    "read_text", "read_bytes", "write_text", "write_bytes", "iterdir", "rglob", "glob", "is_dir",
    "is_symlink", "is_mount", "lstat", "samefile", "expanduser", "touch", "unlink", "rmdir",
    "hardlink_to", "symlink_to", "readlink", "is_fifo", "is_socket",
}  # fmt: skip
# Methods that a workspace and its storage have as well, or a text that opens a block.
SHARED = {"is_file", "exists", "open", "stat"}
HOLDERS = ("text", "workspace", "storage", "files", "provider", "self", "cls")


def _asks_the_system(call: str) -> bool:
    holder, _, method = call.rpartition(".")
    last = holder.rpartition(".")[2].lstrip("_")
    return (
        call in FILE_CALLS
        or call.partition(".")[0] in ("shutil", "tempfile", "pathlib")
        or (bool(holder) and method in PATH_METHODS)
        or (bool(holder) and method in SHARED and last not in HOLDERS)
    )


@pytest.mark.parametrize("name", [name for name in READERS if name not in DOORS])
def test_only_the_workspace_asks_for_files(name: str) -> None:
    allowed = FOR_WRITING.get(name, set())
    wrong = [
        f"{name}:{line}: {call}"
        for call, line in _calls(name)
        if _asks_the_system(call) and call not in allowed
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "call",
    [
        "open", "os.open", "os.path.exists", "os.path.realpath", "glob.glob", "path.read_text",
        "Path(name).read_bytes", "path.is_file", "folder.iterdir", "path.open", "shutil.copy",
        "tempfile.mkstemp", "path.exists", "pathlib.Path.cwd",
    ],
)  # fmt: skip
def test_the_test_knows_other_ways(call: str) -> None:
    assert _asks_the_system(call)


def test_what_reads_is_all_that_reads() -> None:
    """The test above is about what it should be: every part that a run goes through."""
    parts = {_part(name) for name in READERS}
    assert parts >= {
        "util", "files", "config", "kubernetes", "nginx", "streams", "rules", "fixes", "suppress",
        "analysis", "settings",
    }  # fmt: skip
    assert not parts & {"cli", "probe", "trace", "__main__"}


@pytest.mark.parametrize("name", READERS)
def test_what_lint_reaches_starts_nothing(name: str) -> None:
    modules = {module.partition(".")[0] for module, _ in _imported(name)}
    assert not modules & {
        "click", "subprocess", "asyncio", "socket", "multiprocessing", "threading", "shutil",
        "tempfile", "ctypes", "webbrowser", "http", "glob", "signal", "niquests", "concurrent",
    }  # fmt: skip


@pytest.mark.parametrize("name", [name for name in FILES if name != "config/tree.py"])
def test_only_the_tree_touches_crossplane(name: str) -> None:
    modules = [(module, line) for module, line in _imported(name)]
    # `importlib` takes names as text.
    modules += [
        (argument.value, argument.lineno)
        for node in ast.walk(_tree(name))
        if isinstance(node, ast.Call)
        for argument in node.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    ]
    wrong = [line for module, line in modules if module.split(".")[0] == "crossplane"]
    assert wrong == []


@pytest.mark.parametrize("name", [name for name in FILES if _part(name) == "nginx"])
def test_what_nginx_does_is_told_without_opinions(name: str) -> None:
    words = {"error", "warning", "note", "severity"}
    texts = {
        node.value
        for node in ast.walk(_tree(name))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert not words & texts


# What only some runs need: of others, and of ours.
HEAVY = {
    "asyncio", "brotli", "difflib", "h2", "hashlib", "html", "importlib.metadata",
    "importlib.resources", "ipaddress", "jinja2", "niquests", "pathlib", "pickle", "rich",
    "subprocess", "tempfile", "tomli", "tomllib", "trustme", "unicodedata",
    "urllib.parse", "yaml", "click.shell_completion",
}  # fmt: skip
UNUSED = {
    "analysis.complete", "analysis.explain", "analysis.explainer", "analysis.rule_examples",
    "config.embedded", "config.templates.masking", "deployment.relevant", "deployment.read",
    "fixes.apply", "fixes.placement", "fixes.show", "kubernetes", "probe",
    "rules.measured", "rules.rule_file", "settings.keys", "settings.node",
    "analysis.tiers", "analysis.twins", "streams.passed_on", "tiers",
    "settings.show", "settings.toml", "settings.types", "suppress.baseline", "trace",
    "util.json_text", "util.yamlfile",
    *(f"cli.{name}" for name in COMMANDS if name != "lint"),
}  # fmt: skip
# What a run that needs them compiles of all expressions; to compile all took a tenth of its time.
MOST_EXPRESSIONS = 80

PLAIN_RUN = """\
import re, sys, click
before = set(sys.modules)
compiled, compile = [], re.compile
def counted(*args):
    if "nginx_stream_lint" in sys._getframe(1).f_code.co_filename:
        compiled.append(args[0])
    return compile(*args)
re.compile = counted
from nginx_stream_lint.cli import cli
from nginx_stream_lint.util import data
data._TABLES = sys.argv[1]
try:
    cli([sys.argv[2]])
except SystemExit as end:
    assert not end.code
print(len(compiled))
print(*set(sys.modules) - before)
"""


def test_a_plain_run_loads_nothing_that_only_others_need(tmp_path: Path) -> None:
    """With the tables as a wheel has them: a checkout reads YAML."""
    tables, path = tmp_path / "tables", tmp_path / "nginx.conf"
    write_tables(tables)
    path.write_text(
        "events {}\nhttp {\n    server {\n        location /v1/chat/completions {\n"
        "            proxy_pass http://127.0.0.1:8000;\n"
        '            proxy_http_version 1.1;\n            proxy_set_header Connection "";\n'
        "            proxy_buffering off;\n            proxy_read_timeout 600s;\n"
        "        }\n    }\n}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", PLAIN_RUN, tables, path],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    said, compiled, modules = done.stdout.rstrip("\n").rsplit("\n", 2)
    loaded = set(modules.split())
    assert said.startswith("no findings in 1 proxied location"), said
    assert "nginx_stream_lint.cli.lint" in loaded
    needless = loaded & {*HEAVY, *(f"nginx_stream_lint.{name}" for name in UNUSED)}
    assert sorted(needless) == []
    assert 20 < int(compiled) < MOST_EXPRESSIONS


@pytest.mark.parametrize("name", FILES)
def test_records_are_structs(name: str) -> None:
    """The standard library's dataclass costs thirty times as much per class."""
    assert "dataclasses.dataclass" not in {module for module, _ in _imported(name)}


def test_no_two_classes_have_one_name() -> None:
    places: dict[str, list[str]] = {}
    for name in FILES:
        for node in ast.walk(_tree(name)):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(name)
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


DIALECTS = "config/templates/dialects.py"
# Where the same characters mean something else.
NO_DIALECT = {
    "deployment/instance.py": "the suffix that nginx's image expects",
    "deployment/proxies.py": "variables of other proxies",
    "nginx/caching.py": "a type",
    "rules/jinja.py": "the templates of our own messages",
    "rules/rule_form.py": "the templates of our own messages",
    "rules/template_check.py": "the templates of our own messages",
    "rules/template_names.py": "the templates of our own messages",
    "settings/toml.py": "TOML",
}


def _signs() -> re.Pattern[str]:
    """What tags and suffixes look like in a text, or in an expression."""
    openings = {tag.opening for dialect in dialects.DIALECTS for tag in dialect.tags}
    spellings = [
        spelling
        for opening in openings
        for escaped in (re.escape(opening), re.escape(opening).replace(r"\#", "#"))
        for spelling in (
            rf"(?<!\\){re.escape(opening)}",  # `\[[` begins a class of an expression
            re.escape(escaped),
        )
    ]
    suffixes = {suffix for dialect in dialects.DIALECTS for suffix in dialect.suffixes}
    words = "|".join(suffixes - {"in$"})  # "in" is a word
    generic = "|".join(dialects.GENERIC_SUFFIXES)
    return re.compile("|".join([*spellings, rf"\b(?:{words})\b", rf"\.(?:{generic})\b"]))


SIGNS = _signs()


def _texts(name: str) -> Iterator[str]:
    """The strings of a module, without docstrings."""
    tree = _tree(name)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in docstrings:
            if isinstance(node.value, bytes):
                yield node.value.decode("latin-1")
            elif isinstance(node.value, str):
                yield node.value


@pytest.mark.parametrize("name", [name for name in FILES if name != DIALECTS])
def test_only_one_module_knows_how_a_template_dialect_is_written(name: str) -> None:
    wrong = [text for text in _texts(name) if SIGNS.search(text)]
    assert bool(wrong) == (name in NO_DIALECT), wrong


@pytest.mark.parametrize(
    "text", ["{{", r"\{\{-?", "{#-?", r"\{#-?", r"\{\#", "<%.*%>", r"\[\[", ".tmpl", "a|j2|b"]
)
def test_it_finds_how_a_dialect_is_written(text: str) -> None:
    assert SIGNS.search(text)
    assert not SIGNS.search(r"\[[^a] a.b template {1,2}")
