"""Words and characters that inputs of all kinds are made worse with."""

from __future__ import annotations

from fuzz.dialects import PLACEHOLDERS

CHARACTERS = (
    *"{}[]()<>;:,.#%$@!|&*?~^/\\\"'`-+=_ \t\n\r",
    *("\0", "\x0b", "\x0c", "\x1b", "\x7f", "\x85", "\xa0", "é", "世", "🎉", "\u2028", "\ufeff"),
    *("\udcff", "\udce9", "\ufdd0", "\ufdd1", "\ufdd2", "\u202e", "\r\n", "\n\n", "\t\t"),
)
# Few seeds have them, many faults need them.
WORDS = (
    *("0", "1", "-1", "9" * 30, "9" * 5000, "1e999", "0x1f", "1.5", "100%", "%s", "%(a)s", "%"),
    *("on", "off", "none", "1m", "1k", "1y2d", "65536", "80", "443 ssl", "[::1]:80", "null", "~"),
    *("$host", "$", "${", "$1", "${a}b", "$uri$is_args$args", "$a$b", "a" * 5000, "", "''", '""'),
    *("^/(a+)+$", "~ ^/(a+)+$", "~* \\.(a|b)$", '"^/a{2,3}$"', "(?<a>x)", "(?i)a", "[a", "(", "a|"),
    *("\\", "\\\\", "\\n", "\\x41", "\\u0041", "(?P<a", "\\Q{", "*", "**", "..", "../..", "."),
    *("nginx.conf", "*.conf", "conf.d/*.conf", "nginx.con[f]", "unix:/a", "http://a", "http://$a"),
    *("http://127.0.0.1:1/a?b#c", "grpc://u", "http://[::1]", "http://", "u", "@a", "=", "^~"),
    *("events", "http", "server", "location", "if", "include nginx.conf;", "proxy_pass http://u;"),
    *("location / {", "server {", "}", "};", "{}", "location{location{", "return;", "rewrite x;"),
    *("try_files;", "if ($a) {", "set $a b;", "limit_except GET {", "upstream u {", "map $a $b {"),
    *("error_page 404 =200 /a;", "return 301 https://$host$request_uri;", "rewrite ^ /a last;"),
    *("proxy_buffering on;", "gzip on;", "add_header X-Accel-Buffering no;", "listen 443 ssl;"),
    *("proxy_read_timeout 5s;", "large_client_header_buffers }", "proxy_set_header A B;", "in"),
    *("# nginx-stream-lint: ignore[response-buffering] a", "# nginx-stream-lint: ignore", "# a"),
    *("# nginx-stream-lint: ignore-file[", "# configuration file /a:\n", "# sse"),
    *("---\n", "...", "&a", "*a", "!!binary", "!a", "? a", "- ", "a: ", "{a: b}", "|", ">-"),
    *("\n  - a", "\n\t", "[[a]]", '"""', "'''", "a.b.c = 1\n", "[a]\n", "2020-01-01", "nan", "|2"),
    *("data: a\n\n", "event: b\r\r", "id: 1\r\n\r\n", ": \n", "[DONE]", '{"done": true}\n'),
    *PLACEHOLDERS,
)  # fmt: skip
