"""The pre-commit hooks, with the real pre-commit on real git repositories."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from nginx_stream_lint.config.templates.dialects import DIALECTS, GENERIC_SUFFIXES
from tests.checkout import ROOT, project_files
from tests.command import run

HOOKS = {
    hook["id"]: hook
    for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
}
TAG = "v0.0.0"

STREAMS = """\
server {
    listen 80;

    location /v1/chat/completions {
        proxy_pass http://127.0.0.1:8000;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_read_timeout 600s;
        proxy_buffering off;
    }
}
"""
FIXABLE = STREAMS.replace("        proxy_buffering off;\n", "").replace(
    "        proxy_http_version 1.1;\n", ""
)


@dataclass(frozen=True)
class Workshop:
    """A folder with the hook repository, and the environment for git and pre-commit."""

    folder: Path
    environment: dict[str, str]

    def run(self, *command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, whatever its exit status."""
        return subprocess.run(
            command,
            cwd=cwd,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )

    def done(self, *command: str, cwd: Path) -> str:
        """Run a command that must succeed; gives what it said."""
        result = self.run(*command, cwd=cwd)
        assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout}"
        return result.stdout

    def repository(self, name: str, hook: str, **settings: object) -> Path:
        """A user's repository with one of our hooks installed; `settings` are the hook's own."""
        folder = self.folder / name
        folder.mkdir()
        self.done("git", "init", "--quiet", cwd=folder)
        hooks = [{"id": hook} | settings]
        config = {"repos": [{"repo": str(self.folder / "hooks"), "rev": TAG, "hooks": hooks}]}
        (folder / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        self.done(sys.executable, "-m", "pre_commit", "install", cwd=folder)
        return folder

    def commit(self, folder: Path) -> subprocess.CompletedProcess[str]:
        """Commit all there is, through the hook."""
        self.done("git", "add", "--all", cwd=folder)
        return self.run("git", "commit", "--message", "change", cwd=folder)


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """This project as it is now, committed and tagged, for pre-commit to install once."""
    folder = tmp_path_factory.mktemp("pre-commit")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    # pre-commit installs the newest versions; here they are those of the locks.
    locks = [(ROOT / "requirements" / name).read_text("utf-8") for name in ("run.txt", "build.txt")]
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(re.findall(r"^\w.*(?= \\$)", "".join(locks), re.MULTILINE)))
    environment |= {
        "PIP_CONSTRAINT": str(constraints),
        "PIP_BUILD_CONSTRAINT": str(constraints),
        "PRE_COMMIT_HOME": str(folder / "home"),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@example.com",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@example.com",
    }
    shop = Workshop(folder, environment)
    hooks = folder / "hooks"
    for name in project_files():
        (hooks / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, hooks / name)
    shop.done("git", "init", "--quiet", cwd=hooks)
    shop.done("git", "add", "--all", cwd=hooks)
    shop.done("git", "commit", "--quiet", "--message", "all", cwd=hooks)
    shop.done("git", "tag", TAG, cwd=hooks)
    return shop


def test_a_commit_that_breaks_a_stream_is_blocked(workshop: Workshop) -> None:
    folder = workshop.repository("checked", "nginx-stream-lint")
    config = folder / "nginx" / "app.conf"
    config.parent.mkdir()

    config.write_text(FIXABLE, encoding="utf-8")
    blocked = workshop.commit(folder)
    assert blocked.returncode == 1, blocked.stdout
    assert "nginx/app.conf:4: location /v1/chat/completions" in blocked.stdout
    assert "error response-buffering" in blocked.stdout
    assert config.read_text(encoding="utf-8") == FIXABLE
    assert workshop.run("git", "rev-parse", "--verify", "HEAD", cwd=folder).returncode != 0

    config.write_text(STREAMS, encoding="utf-8")
    passed = workshop.commit(folder)
    assert passed.returncode == 0, passed.stdout
    assert "Passed" in passed.stdout
    assert "nginx/app.conf" in workshop.done("git", "ls-files", cwd=folder)


def test_one_changed_file_is_checked_where_it_is_included(workshop: Workshop) -> None:
    """A snippet means little alone: the rest of the repository is read with it."""
    folder = workshop.repository("tree", "nginx-stream-lint")
    (folder / "conf.d").mkdir()
    (folder / "nginx.conf").write_text(
        "events {}\nhttp {\n    proxy_buffering off; proxy_http_version 1.1;\n"
        "    include conf.d/*.conf;\n}\n",
        encoding="utf-8",
    )
    for number in range(20):
        name = f"old{number}.conf"
        (folder / "conf.d" / name).write_text(STREAMS, encoding="utf-8")
    assert workshop.commit(folder).returncode == 0
    (folder / "conf.d" / "new.conf").write_text(FIXABLE, encoding="utf-8")
    passed = workshop.commit(folder)
    assert passed.returncode == 0, passed.stdout


def test_other_files_are_not_looked_at(workshop: Workshop) -> None:
    folder = workshop.repository("others", "nginx-stream-lint")
    (folder / "supervisord.conf").write_text("[program:app]\ncommand=app\n", encoding="utf-8")
    passed = workshop.commit(folder)
    assert passed.returncode == 0, passed.stdout
    assert "no files to check" in passed.stdout


def test_a_chart_is_checked_where_it_holds_nginx_text(tmp_path: Path) -> None:
    """The hook gives all of a chart to the command, which leaves alone what is no nginx."""
    chart = {
        "helm/values.yaml": "image:\n  tag: 1\n",
        "helm/templates/service.yaml": "{{- if .Values.x }}\nname: x\n{{- end }}\n",
        # Only with its values is this YAML.
        "helm/templates/web-env.yaml": "env:\n{{- with .Values.env }}\n  a: b\n{{- end }}\n  - c\n",
        "helm/templates/web.yaml": f"data:\n  a.conf: |\n{textwrap.indent(FIXABLE, '    ')}",
    }
    for name, text in chart.items():
        assert _is_taken("nginx-stream-lint", name)
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    done = run(*chart, "--format", "concise", cwd=tmp_path)
    assert done.stderr == ""
    assert done.returncode == 1
    assert {line.partition(":")[0] for line in done.stdout.splitlines()} == {
        "helm/templates/web.yaml"
    }
    # What may be nginx's and cannot be read is still a problem.
    broken = chart["helm/templates/web.yaml"] + "{{- if .Values.x }}\n- d\n{{- end }}\n"
    (tmp_path / "broken.yaml").write_text(broken, encoding="utf-8")
    assert run("broken.yaml", cwd=tmp_path).returncode == 2


def test_the_fixing_hook_rewrites_the_file(workshop: Workshop) -> None:
    folder = workshop.repository("fixed", "nginx-stream-lint-fix")
    config = folder / "nginx.conf"
    config.write_text(f"events {{}}\nhttp {{\n{FIXABLE}}}\n", encoding="utf-8")
    blocked = workshop.commit(folder)
    assert blocked.returncode == 1, blocked.stdout
    assert "files were modified by this hook" in blocked.stdout
    assert "proxy_buffering off;" in config.read_text(encoding="utf-8")

    passed = workshop.commit(folder)
    assert passed.returncode == 0, passed.stdout


def test_a_whole_configuration_is_checked_where_the_user_asks_for_it(workshop: Workshop) -> None:
    folder = workshop.repository(
        "whole", "nginx-stream-lint", args=["nginx/nginx.conf"], pass_filenames=False
    )
    (folder / "nginx" / "conf.d").mkdir(parents=True)
    (folder / "nginx" / "conf.d" / "app.conf").write_text(FIXABLE, encoding="utf-8")
    main = "events {}\nhttp {\n    %sinclude conf.d/*.conf;\n}\n"

    (folder / "nginx" / "nginx.conf").write_text(main % "", encoding="utf-8")
    blocked = workshop.commit(folder)
    assert blocked.returncode == 1, blocked.stdout
    assert "conf.d/app.conf:4: location /v1/chat/completions" in blocked.stdout

    # The cure is in another file than the location: only the whole shows it.
    cured = main % "proxy_buffering off; proxy_http_version 1.1;\n    "
    (folder / "nginx" / "nginx.conf").write_text(cured, encoding="utf-8")
    passed = workshop.commit(folder)
    assert passed.returncode == 0, passed.stdout


@pytest.mark.parametrize("hook", sorted(HOOKS))
@pytest.mark.parametrize(
    "path",
    [
        "nginx.conf",
        "docker/nginx-prod.conf",
        "nginx.dev.conf",
        "app.nginx",
        "deploy/app-nginx.conf",
        "deploy/nginx/app.conf",
        "nginx/locations/api/chat.conf",
        "docker.nginx/app.conf",
        "nginx-proxy/vhost.conf",
        "conf.d/default.conf",
        "etc/nginx/sites-available/chat.example.com",
        "sites-enabled/default",
        "snippets/proxy.conf",
        "nginx/default.conf.template",
        "nginx/app.conf.j2",
        "nginx/sites-enabled/app.j2",
        "k8s/ingress.yaml",
        "k8s/gateway.yaml",
        "k8s/llm-httproute.yml",
        "charts/app/templates/nginx-configmap.yml",
        "helm/app/values.yaml",
        "values-production.yml",
        "helm/app/templates/proxy/configmap.yaml",
    ],
)
def test_names_that_are_nginx(path: str, hook: str) -> None:
    assert _is_taken(hook, path)


@pytest.mark.parametrize("hook", sorted(HOOKS))
@pytest.mark.parametrize(
    "path",
    [
        "redis.conf",
        "etc/sysctl.conf",
        "logging.conf",
        "supervisor/conf.d/app.conf",
        "apache2/sites-available/000-default.conf",
        "conf.d/README.md",
        "sites-available/README.md",
        "templates/mail.html.j2",
        "k8s/deployment.yaml",
        "src/templates/page.html",
        "helm/app/Chart.yaml",
        "sites-available/notes.txt",
        "nginx/Dockerfile",
        "src/nginx.py",
        "snippets/python.json",
    ],
)
def test_names_that_are_not_nginx(path: str, hook: str) -> None:
    assert not _is_taken(hook, path)


@pytest.mark.parametrize("hook", HOOKS)
def test_every_suffix_of_a_template_is_taken(hook: str) -> None:
    suffixes = {suffix for dialect in DIALECTS for suffix in dialect.suffixes}
    for suffix in {*suffixes, *GENERIC_SUFFIXES}:
        assert _is_taken(hook, f"nginx.conf.{suffix.replace('?', '').rstrip('$')}"), suffix


def _is_taken(hook: str, path: str) -> bool:
    """Whether pre-commit would give the file to the hook, by its name."""
    entry = HOOKS[hook]
    return bool(re.search(entry["files"], path)) and not re.search(entry["exclude"], path)
