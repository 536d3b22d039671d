"""nginx text as people embed it: templates of every language, YAML, shells, Markdown, dumps."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable

from fuzz.seeds import Case, case

# What a placeholder looks like, for any place where a word may stand.
PLACEHOLDERS = (
    *("${PORT}", "$PORT", "${PORT:-80}", "{{ port }}", "{{ .Values.port }}", "{{{env.PORT}}}"),
    *("<%= @port %>", "%%port%%", "@PORT@", "__PORT__", "%{port}", "<your-port>", "[port]", "..."),
    *("{{ include 'a' . | indent 4 }}", "{{- /* a */ -}}", "{# a #}", "<%# a -%>", "{{!-- a --}}"),
    *("{{! a }}", "[[ .a ]]", "[[/* a */]]"),
    *("{% include 'a.conf' %}", "{{> partial }}", "$(hostname)", "`hostname`", "\\$host"),
)
# What people put around stretches of text.
PAIRS = (
    ("{% if a %}", "{% endif %}"),
    ("{% for a in b %}\n", "\n{% else %}\n{% endfor %}"),
    ("{%- raw -%}", "{%- endraw -%}"),
    ("{% macro a(b) %}", "{% endmacro %}"),
    ("{{ if .a }}", "{{ else }}{{ end }}"),
    ('{{- define "a" }}', "{{- end }}"),
    ("{{- range $i, $a := .b }}\n", "\n{{ end -}}"),
    ("{{#if a}}", "{{/if}}"),
    ("{{#each a}}", "{{else}}{{/each}}"),
    ("<% if a %>", "<% else %><% end %>"),
    ("<% a.each do |b| -%>\n", "\n<% end -%>"),
    ("%{ if a }", "%{ endif ~}"),
    ("{#", "#}"),
    ("{{/*", "*/}}"),
    ("{{!", "}}"),
    ("[[/*", "*/]]"),
    ("<<EOF\n", "\nEOF\n"),
    ('"', '"'),
    ("'", "'"),
    ("location /a {", "}"),
    ("if ($a) {", "}"),
    ("map $a $b {", "}"),
    ("content_by_lua_block {", "}"),
    ("# ", "\n"),
    ("```nginx\n", "\n```\n"),
)

_CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  nginx.conf: "


def _indented(text: str) -> str:
    return textwrap.indent(text, "    ", lambda _: True)


def _single_quoted(text: str) -> str:
    return "'" + text.replace("'", "''").replace("\n", "\n\n    ") + "'"


WRAPPERS: tuple[Callable[[str], Case], ...] = (
    lambda text: case("nginx.conf", text),
    lambda text: case("nginx.conf.template", text),
    lambda text: case("nginx.conf.j2", text),
    lambda text: case("_nginx.tpl", '{{- define "nginx" -}}\n' + text + "{{- end -}}\n"),
    lambda text: case("nginx.conf.erb", text),
    lambda text: case("nginx.conf.hbs", text),
    lambda text: case("install", f"cat > /etc/nginx/nginx.conf <<EOF\n{text}\nEOF\n"),
    lambda text: case("map.yaml", f"{_CONFIG_MAP}|\n{_indented(text)}\n"),
    lambda text: case("map.yaml", f"{_CONFIG_MAP}>-\n{_indented(text)}\n"),
    lambda text: case("map.yaml", f"{_CONFIG_MAP}{_single_quoted(text)}\n"),
    lambda text: case("map.yaml", f"{_CONFIG_MAP}{json.dumps(text)}\n"),
    lambda text: case("map.json", json.dumps({"data": {"nginx.conf": text}}, ensure_ascii=False)),
    lambda text: case(
        "compose.yaml",
        f"services:\n  web:\n    image: nginx:1.25\nconfigs:\n  a:\n    content: |\n"
        f"{textwrap.indent(text, '      ')}\n",
    ),
    lambda text: case("README.md", f"# Title\n\n```nginx\n{text}\n```\n\n> ~~~conf\n> {text}\n"),
    lambda text: case("README.rst", f".. code-block:: nginx\n\n{_indented(text)}\n"),
    lambda text: case(
        "dump.conf",
        f"# configuration file /etc/nginx/nginx.conf:\n{text}\n"
        "# configuration file /etc/nginx/conf.d/a.conf:\nserver { }\n\n",
    ),
)
