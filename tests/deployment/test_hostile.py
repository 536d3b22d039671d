"""Hostile deployment files: the run ends with a status of its own, and one note says why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command import run

SITE = "server { location /v1/chat/completions { proxy_pass http://api:8000; } }\n"
WEB = """\
services:
  web:
    image: nginx:1.27.3
    volumes: ['./site.conf:/etc/nginx/conf.d/default.conf']
"""


def _write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, encoding="utf-8")


def _many(folder: Path) -> None:
    _write(folder, "compose.yaml", WEB + "".join(f"  s{n}: {{image: x}}\n" for n in range(100_000)))


def _instances(folder: Path) -> None:
    _write(folder, "compose.yaml", WEB + "".join(f"  s{n}: {{image: nginx}}\n" for n in range(600)))


def _laughs(folder: Path) -> None:
    lines = ["a0: &a0 {x: 1}"]
    for n in range(1, 30):
        nine = ", ".join([f"*a{n - 1}"] * 9)
        lines.append(f"a{n}: &a{n} {{<<: [{nine}], y{n}: 1}}")
    _write(folder, "compose.yaml", "\n".join(lines) + f"\n{WEB}    environment: *a29\n")


def _merges(folder: Path) -> None:
    keys = ", ".join(f"k{n}: 1" for n in range(1000))
    lines = [f"x0: &x0 {{{keys}}}"]
    lines += [f"x{n}: &x{n} {{<<: *x{n - 1}, m{n}: 1}}" for n in range(1, 1500)]
    text = "\n".join(lines) + f"\n{WEB}    environment: {{<<: *x1499}}\n"
    _write(folder, "compose.yaml", text)


def _deep(folder: Path) -> None:
    _write(folder, "compose.yaml", f"{WEB}    labels: {'[' * 5000}{']' * 5000}\n")


def _huge(folder: Path) -> None:
    _write(folder, "compose.yaml", f"{WEB}# {'x' * 20_000_000}\n")


def _links(folder: Path) -> None:
    outside = folder.parent / "outside"
    outside.mkdir()
    _write(outside, "compose.yaml", WEB)
    (folder / "compose.yaml").symlink_to(outside / "compose.yaml")
    (folder / ".env").symlink_to("/dev/zero")
    (folder / "sub").symlink_to(outside)
    (folder / "loop").symlink_to(".")


def _volumes(folder: Path) -> None:
    lines = (f"  s{n}: {{image: x, volumes_from: [s{n + 1}, s{n + 1}]}}\n" for n in range(1500))
    _write(folder, "compose.yaml", f"{WEB}    volumes_from: [s0]\n{''.join(lines)}")


def _extends(folder: Path) -> None:
    lines = (f"  s{n}: {{image: nginx, extends: s{(n + 1) % 300}}}\n" for n in range(300))
    _write(folder, "compose.yaml", WEB + "".join(lines))


def _images(folder: Path) -> None:
    """Each image is built from the next one, three times, and the last one from the first."""
    build = "  s{n}: {{image: 'i{n}', build: {{context: ., dockerfile: D{n}}}}}\n"
    lines = "".join(build.format(n=n) for n in range(100))
    _write(folder, "compose.yaml", WEB + lines)
    for n in range(100):
        base = f"i{(n + 1) % 100}"
        text = f"FROM {base} AS a\nFROM {base} AS b\nFROM {base}\nCOPY --from=a /x /y\n"
        _write(folder, f"D{n}", text + "COPY --from=b /etc/nginx/a /etc/nginx/b\n")


def _variables(folder: Path) -> None:
    lines = "".join(f"A{n + 1}=${{A{n}}}${{A{n}}}\n" for n in range(60))
    _write(folder, ".env", f"A0=xxxx\n{lines}")
    _write(folder, "compose.yaml", f"{WEB}    environment: {{A: '${{A60}}', B: '${{A8}}'}}\n")


def _variables_of_dockerfile(folder: Path) -> None:
    lines = "".join(f"ENV A{n + 1}=$A{n}$A{n}\n" for n in range(60))
    more = "RUN " + "$A12" * 100_000 + "\nCOPY site.conf /etc/nginx/conf.d/default.conf\n"
    _write(folder, "Dockerfile", f"FROM nginx:1.27.3\nENV A0=xxxx\n{lines}{more}")


def _variables_of_pod(folder: Path) -> None:
    lines = "".join(f"        - {{name: A{n + 1}, value: $(A{n})$(A{n})}}\n" for n in range(60))
    manifest = "kind: Pod\nmetadata: {name: web}\nspec:\n  containers:\n    - image: nginx:1.27.3\n"
    config = "kind: ConfigMap\nmetadata: {name: x}\ndata:\n  a.conf: |\n    server { listen 1; }\n"
    env = f"      env:\n        - {{name: A0, value: xxxx}}\n{lines}"
    _write(folder, "pod.yaml", f"{manifest}{env}---\n{config}")


def _filled(folder: Path) -> None:
    environment = f"    environment: {{A: {'x' * 4_000}}}\n"
    template = "/etc/nginx/templates/default.conf.template"
    _write(
        folder,
        "compose.yaml",
        WEB.replace("/etc/nginx/conf.d/default.conf", template) + environment,
    )
    _write(folder, "site.conf", SITE + "server { add_header X '${A}'; }\n" * 1_200)


@pytest.mark.parametrize(
    ("make", "note"),
    [
        (_many, "the YAML files have more than 400,000 values"),
        (_instances, "this repository runs more than 500 nginx"),
        (_laughs, ""),
        (_merges, "its aliases expand to too many values"),
        (_deep, "it is nested deeper than 100 levels"),
        (_huge, "compose.yaml:1:1: note: "),
        (_links, "compose.yaml:1:1: note: leads out of the repository"),
        (_volumes, ""),
        (_extends, "extends a chain of more than 32 services"),
        (_images, ""),
        (_variables, ""),
        (_variables_of_dockerfile, ""),
        (_variables_of_pod, ""),
        (_filled, ""),
    ],
)
def test_a_hostile_file_is_a_note(tmp_path: Path, make: Callable[[Path], None], note: str) -> None:
    folder = tmp_path / "repository"
    (folder / ".git").mkdir(parents=True)
    _write(folder, "site.conf", SITE)
    make(folder)
    done = run("-v", ".", cwd=folder)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "please report" not in done.stderr
    assert "site.conf:1: location /v1/chat/completions" in done.stdout
    said = [line for line in done.stderr.splitlines() if ": note: " in line]
    assert len(said) <= 10
    assert not note or any(note in line for line in said), said
