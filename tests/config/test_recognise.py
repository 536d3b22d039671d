"""Which files are nginx's, by path and text. The samples are ours, each for a kind of file."""

from __future__ import annotations

import pytest

from nginx_stream_lint.config.recognise import recognise

SITE = "server {\n    listen 80;\n    location / { proxy_pass http://app:8000; }\n}\n"
SNIPPET = "proxy_set_header Host $host;\nproxy_buffering off;\n"
MAIN = f"events {{}}\nhttp {{\n{SITE}}}\n"
MISTAKE = "server {\n    listen 80\n    location / { proxy_pass http://app:8000; }\n}\n"
EMPTY = "# nothing here yet\n"

NAMED = {
    "nginx.conf": MAIN,
    "deploy/nginx.conf": MISTAKE,  # a mistake does not make it another program's
    "nginx-prod.conf": SITE,
    "app.nginx.conf": SITE,
    "app-nginx.conf": SITE,
    "NginxConfig.hbs": SITE,
    "app.nginx": SITE,
    "site.nginxconf": SITE,
    "nginx.conf.template": MAIN,
    "nginx.conf.j2": MAIN.replace("80", "{{ port }}"),
    "nginx.conf.gtpl": MAIN.replace("80", "{{ .port }}"),
    "nginx.gtpl": MAIN.replace("80", "{{ .port }}"),
    "nginx.tmpl": MAIN,
    "nginx-plus.tmpl": MAIN,
    "nginx.ingress.tmpl": SITE,
    "nginx.conf.golang": MAIN,
    "nginx.conf.erb": MAIN.replace("80", "<%= port %>"),
    "nginx_port.mustache": "listen {{port}} {{more}};\n",
    "nginx.conf.sample": MAIN,
    "docker/nginx-mime.types": "types { text/html html; }\n",
    "nginx/default.conf": SITE,
    "nginx/conf.d/default.conf.template": SITE.replace("80", "${PORT}"),
    "nginx/app.conf.golang": SITE,
    "nginx/app.conf.template.prod": SITE,
    "nginx/api.conf.inc": SNIPPET,
    "nginx/site.vhost": SITE,
    "nginx/site.j2": SITE,
    "nginx/mime.types": "types { text/html html; }\n",
    "nginx/fastcgi_params": "fastcgi_param A b;\n",
    "nginx/empty.conf": "",
    "nginx/comment.conf": EMPTY,
    "nginx_conf/rewrite/wordpress.conf": "rewrite ^/x$ /y last;\n",
    "mainsail-nginx/upstreams.conf": "upstream app { server app:80; }\n",
    "roles/nginx/templates/site.conf.j2": SITE,
    "openresty/app.conf": SITE,
    "sites-available/example.com": SITE,
    "sites-enabled/example.rs": SITE,
    "sites-enabled/default": SITE,
    "sites-enabled/app.conf": MISTAKE,
}

GUESSED = {
    "app.conf": SITE,
    "conf.d/app.conf": SITE,
    "web/default.conf.template": SITE.replace("80", "${PORT}"),
    "app.vhost": SITE,
    "sites/default": SITE,
    "files/mainsail-nginx/mainsail": SITE,
    "nginx_addition": SITE,
    "proxy.conf": SNIPPET,
    "upstreams": "upstream app { server app:80; }\n",
    "maps.conf": "map $http_upgrade $upgrade {\n    default upgrade;\n    '' close;\n}\n",
    "acme.conf": "location /.well-known { root /var/www; }\n",
    "main.conf": MAIN,
    # A directive of a module that nobody here knows is no mistake.
    "more.conf": SITE.replace("listen 80;", "listen 80; my_module on;"),
}

NOT = {
    # sources of programs
    "src/App.tsx": "export function App() {\n  return <p>{x}</p>;\n}\n",
    "nginx/App.vue": "<template>\n</template>\n<script>\nif (a) { return; }\n</script>\n",
    "lib.inc": "check () {\n  if [ -z $a ]; then\n    return 1\n  fi\n}\n",
    "check.inc": "if [ -z $a ]; then\n  break\nfi\n",
    "nginx.php": "<?php\nif ($a) { return; }\nserver();\n",
    "nginx.rs": "use nginx;\nfn main() { return; }\n",
    "Page.svelte": "<script>\nif (a) { break; }\n</script>\n",
    "nginx.config.mjs": "export default { server: 1 };\n",
    "nginx/start.ps1": "if ($a) { return; }\n",
    "nginx.clj": "(defn server [])\n",
    "nginx.cc": "if (a) { return; }\n",
    "nginx/recipe.rb": "if a { return }\n",
    "nginx/njs/route.js.j2": "function location(r) { return; }\n",
    "nginx.lua": "return;\n",
    "perl/nginx.pm": "package nginx;\n",
    "nginx.snap": SITE,
    "nginx.css": "location { color: red; }\n",
    "nginx.md": SITE,
    "nginx.log": "x",
    "nginx.conf.bak": SITE,
    "nginx.conf.py": SITE,
    # scripts
    "nginx/entrypoint.sh": "if true; then exit; fi\n",
    "nginx/start": f"#!/bin/sh\ncat <<EOF\n{SITE}EOF\n",
    "nginx.conf": f"#!/usr/bin/env python3\n{SITE}",
    "services.d/nginx/run": "exec nginx;\n",
    "services.d/nginx/finish": "exit;\n",
    "Dockerfile": "RUN if x; then\n",
    "Dockerfile.nginx": f"FROM nginx\nRUN <<EOF\n{SITE}EOF\n",
    "nginx/Dockerfile": "FROM nginx\n",
    "Jenkinsfile": "server { location { return; } }\n",
    "Makefile": "nginx:\n\tnginx;\n",
    "helpers/nginx": "ynh() {\n    local x;\n    if true; then\n        return;\n    fi\n}\n",
    "checks.inc": "check () {\n    if true; then\n    return 0\n    fi\n    set -f; y=1;\n}\n",
    # other programs
    "jibri.conf": 'jibri {\n    id = ""\n    http {\n        external-api-port = 2222\n    }\n}\n',
    "tmux.conf": "set -g prefix C-a\nbind r source-file ~/.tmux.conf \\; display x\n",
    ".tmux.conf": "set -g mouse on\n",
    "dnsmasq.conf": "server=1.1.1.1\nlisten-address=127.0.0.1\n",
    "redis.conf": "bind 127.0.0.1\nport 6379\n",
    "supervisord.conf": "[supervisord]\nnodaemon=true\n",
    "supervisor/conf.d/nginx.conf": "[program:nginx]\ncommand=nginx -g 'daemon off;'\n",
    "named.conf": 'options { directory "/var"; };\nzone "." { type hint; file "x"; };\n',
    "dhcpd.conf": "subnet 10.0.0.0 netmask 255.0.0.0 {\n    range 10.0.0.1 10.0.0.9;\n}\n",
    "php-fpm.conf": "[www]\nlisten = 9000\nuser = nobody\n",
    "application.conf": "http {\n  port = 80\n}\nserver { location = x }\n",
    "apache2/sites-available/site.conf": "<VirtualHost *:80>\nServerName a\n</VirtualHost>\n",
    "sites-enabled/000-default.conf": "# Apache\n<VirtualHost *:80>\n</VirtualHost>\n",
    "haproxy.cfg": "frontend a\n    bind *:80\n",
    "haproxy.conf": "frontend a\n    bind *:80\n",
    "rsyslog.conf": '$ModLoad imuxsock\nif $msg contains "x" then {\n stop\n}\n',
    "sysctl.conf": "net.core.somaxconn = 1024\n",
    "dovecot.conf": "service imap {\n  inet_listener {\n    port = 0\n  }\n}\n",
    "nftables.conf": "table inet filter {\n    chain input { type filter hook input; }\n}\n",
    "logrotate.d/nginx": "/var/log/nginx/*.log {\n    daily\n}\n",
    "logrotate-nginx.conf": "/var/log/nginx/*.log {\n    daily\n}\n",
    "fail2ban/filter.d/nginx-deny.conf": "[Definition]\nfailregex = x\n",
    "nginx/openssl.conf": "[req]\nprompt = no\n",
    "nginx/telegraf.conf": "# nginx\n[[inputs.nginx]]\nurls = []\n",
    "env.nginx.template": "NGINX_PORT=80\n",
    "info_nginx.mustache": "user      {{user}}\nkeepalive_timeout   {{timeout}}\n",
    "nginx.service": "[Unit]\nDescription=nginx\n",
    "vcl.conf": 'vcl 4.0;\nbackend default { .host = "x"; }\n',
    "syslog-ng.conf": "source s { system(); };\nlog { source(s); };\n",
    "prosody.conf": 'VirtualHost "x"\nmodules = { "a"; }\n',
    "radvd.conf": "interface eth0 { AdvSendAdvert on; };\n",
    # what may be nginx's, with a mistake or too little to tell
    "broken.conf": MISTAKE,
    "allow.conf": "allow 10.0.0.0/8;\ndeny all;\n",
    "misplaced.conf": "server {\n    listen 80;\n    events {}\n}\n",
    "empty.conf": "",
    "comment": EMPTY,
    "prose": "One server; two locations; and a proxy_pass.\n",
}


def test_directives_of_other_modules_do_not_count_against_it() -> None:
    block = "location ~ [.]php$ {{\n    fastcgi_pass php;\n{}}}\n"
    theirs = (
        "    srcache_fetch GET /fetch $key;\n    more_set_headers a;\n    set_escape_uri $a $b;\n"
    )
    assert recognise("redis.mustache", block.format(theirs)) == "guessed"
    unknown = "    fetch GET /fetch $key;\n    headers a;\n    escape $a $b;\n"
    assert recognise("redis.mustache", block.format(unknown)) == "not"


@pytest.mark.parametrize("path", NAMED)
def test_named(path: str) -> None:
    assert recognise(path, NAMED[path]) == "named"


@pytest.mark.parametrize("path", GUESSED)
def test_guessed(path: str) -> None:
    assert recognise(path, GUESSED[path]) == "guessed"


@pytest.mark.parametrize("path", NOT)
def test_not(path: str) -> None:
    assert recognise(path, NOT[path]) == "not"


SEVERAL = ("allow.conf", "misplaced.conf", "named.conf", "syslog-ng.conf", "rsyslog.conf")


@pytest.mark.parametrize("path", [path for path in NOT if path not in SEVERAL])
def test_a_folder_called_nginx_says_nothing_of_another_program_s_text(path: str) -> None:
    if NOT[path] not in (MISTAKE, "", EMPTY):
        assert recognise(f"nginx/{path}", NOT[path]) != "named"


def test_a_folder_below_another_program_s() -> None:
    assert recognise("nginx/php/app.conf", SITE) == "guessed"
    assert recognise("apache2/nginx/app.conf", MISTAKE) == "named"
    assert recognise("nginx/supervisor/app.conf", MISTAKE) == "not"
