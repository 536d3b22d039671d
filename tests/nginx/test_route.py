"""The way of a request, quirk by quirk; what nginx does was found by tests/conformance."""

from __future__ import annotations

from pathlib import Path

import pytest

from nginx_stream_lint.config import read
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.nginx.document_root import DocumentRoot
from nginx_stream_lint.nginx.levels import Level, build
from nginx_stream_lint.nginx.request import parse_url
from nginx_stream_lint.nginx.request_route import Route, route_request
from nginx_stream_lint.nginx.versions import Version

BEFORE: Version = (1, 22, 1)
NOW: Version = (1, 31, 3)
NO_FILES = Path("/nothing-is-here")


def levels(text: str) -> Level:
    """The levels of what is written in http{}; a port is there if no server is.

    Redirects are paths where they are written so, except where the text says `absolute_redirect`.
    """
    if "server {" not in text:
        text = f"server {{ listen 80; {text} }}"
    if "absolute_redirect" not in text:
        text = f"absolute_redirect off; {text}"
    text = f"events {{}} http {{ {text} }}"
    configuration = read("nginx.conf", Workspace.in_memory({"nginx.conf": text}))
    assert configuration.problems == []
    return build(configuration)


def way(
    text: str, url: str, method: str = "GET", version: Version = NOW, files: Path | None = NO_FILES
) -> Route:
    """The way of a URL on port 80, or of a path on host `h`."""
    documents = None if files is None else DocumentRoot(Workspace.on_disk(str(files)), str(files))
    full = f"http://h{url}" if url.startswith("/") else url
    return route_request(levels(text), parse_url(full, method), version, documents)


def ends(text: str, url: str, method: str = "GET", version: Version = NOW) -> str:
    """Where a request ends: the label, and what nginx answers or else who does."""
    found = way(text, url, method, version)
    assert found.unknown == []
    assert found.location is not None
    if found.handler is not None:
        return f"{found.location.label}: {found.handler.target}"
    answer = "" if found.redirect is None else f" {found.redirect}"
    return f"{found.location.label}: {found.status}{answer}"


# Names and sockets


@pytest.mark.parametrize(
    ("host", "server"),
    [
        ("a.com", "exact"),
        ("A.COM", "exact"),
        ("a.com.", "exact"),
        ("x.b.com", "longest"),
        ("x.y.com", "leading"),
        ("b.com", "longest"),
        ("a.net", "trailing"),
        ("n7.net", "regex"),
        ("N7.net", "regex"),
        ("other.net", "default"),
    ],
)
def test_names_by_form_before_order(host: str, server: str) -> None:
    text = """
        server { listen 80; server_name "~^[nN]\\d"; set $name regex; }
        server { listen 80; server_name *.com; set $name leading; }
        server { listen 80; server_name a.*; set $name trailing; }
        server { listen 80; server_name .b.com; set $name longest; }
        server { listen 80 default_server; server_name _; set $name default; }
        server { listen 80; server_name A.com; set $name exact; }
    """
    found = way(text, f"http://{host}/").server
    assert found is not None
    assert found.rows["set"][0].args[1] == server


def test_a_name_that_comes_too_late_still_keeps_others_from_it() -> None:
    text = """
        server { listen 80; server_name x.com *.a.com .a.com "~^a"; return 201 x; }
        server { listen 80; server_name a.com; return 202 x; }
    """
    assert way(text, "http://a.com/").status == 201


def test_captures_of_a_name() -> None:
    names = 'server_name "~^(?<user>.+)\\.h$"'
    assert way(f"server {{ listen 80; {names}; rewrite ^ /$user; }}", "http://joe.h/").uri == "/joe"


def test_a_lone_server_without_captures_looks_at_no_name() -> None:
    names = 'server_name "~^(?<user>.+)\\.h$" "~\\.h$"'
    text = f"server {{ listen 80; {names}; return 302 /-$user; }}"
    assert way(text, "http://joe.h/").redirect == "/-"


@pytest.mark.parametrize("name", ["b", "*.b", '"~^(www.)?b$"'])
def test_a_name_tells_the_address_of_a_lone_server(name: str) -> None:
    """nginx looks at no name there, but who connects has resolved it to this address."""
    text = f"""
        server {{ listen 10.0.0.1:80; server_name a; return 201 x; }}
        server {{ listen 10.0.0.2:80; server_name {name}; return 202 x; }}
    """
    host = "www.b" if name == "*.b" else "b"
    assert way(text, f"http://{host}/").status == 202
    assert way(text, "http://a/").status == 201
    assert way(text, "http://c/").status == 201
    assert way(text, f"http://{host}:81/").server is None


def test_specific_address_before_wildcard() -> None:
    text = """
        server { listen 80; server_name localhost; return 201 x; }
        server { listen 127.0.0.1:80; return 202 x; }
        server { listen 0.0.0.0:80 default_server; return 203 x; }
    """
    assert way(text, "http://localhost/").status == 202
    assert way(text, "http://127.0.0.1/").status == 202
    assert way(text, "http://10.1.1.1/").status == 203


@pytest.mark.parametrize("host", ["a..b", "127.0.0.1.."])
def test_a_bad_host_is_refused_by_the_default_server(host: str) -> None:
    text = "server { listen 80; error_page 400 /page; location /page { return 204; } }"
    assert ends(text, f"http://{host}/") == "location /page: 400"


def test_a_bad_host_is_no_host() -> None:
    text = """server { listen 80; server_name one;
        error_page 400 /page; location /page { return 302 $host/$http_host; } }"""
    assert way(text, "http://a../").redirect == "one/a.."


# Targets


@pytest.mark.parametrize(
    ("target", "uri"),
    [
        ("/a%2Fb", "/a/b"),
        ("/a//b", "/a/b"),
        ("/a/./b/.", "/a/b/"),
        ("/a/b/..", "/a/"),
        ("/a/%2e%2E/b", "/b"),
        ("/a%3Fb%23c%25d", "/a?b#c%d"),
        ("/a...", "/a..."),
        ("/%C3%A9", "/é"),
        ("/%FF", "/\udcff"),
        ("/+%2B", "/++"),
    ],
)
def test_target_becomes_uri(target: str, uri: str) -> None:
    assert way("location / { return 200; }", f"{target}?x#y").uri == uri


def test_slashes_are_left_where_the_default_server_says_so() -> None:
    text = """
        server { listen 80; merge_slashes off; }
        server { listen 80; server_name h; }
    """
    assert way(text, "/a//b").uri == "/a//b"


@pytest.mark.parametrize("target", ["/..", "/a/../../b", "/%zz", "/%", "/%4", "/%00"])
def test_unreadable_targets_never_get_to_their_server(target: str) -> None:
    text = """
        server { listen 80; server_name one; error_page 400 =200 /page; }
        server { listen 80; server_name h; return 204; }
    """
    found = way(text, target)
    assert found.server is not None
    assert found.server.rows["server_name"][0].args == ("one",)
    assert found.uri == "/page"


def test_a_request_line_too_long() -> None:
    text = "location / { return 204; }"
    longest = 8192 - len("GET  HTTP/1.1\r\n")
    assert way(text, "/" * longest).status == 204
    assert way(text, "/" * (longest + 1)).status == 414
    assert way(f"large_client_header_buffers 4 16k; {text}", "/" * (longest + 1)).status == 204


# Locations


def test_redirect_to_the_slash_of_a_proxied_prefix() -> None:
    text = "location ^~ /a/ { proxy_pass http://b; } location ~ . { return 204; }"
    assert ends(text, "/a?x=1") == "location ^~ /a/: 301 /a/?x=1"


def test_redirect_to_the_slash_stays_with_the_exact_location() -> None:
    text = "location /a/ { proxy_pass http://b; } location = /a/ { }"
    assert ends(text, "/a") == "location = /a/: 301 /a/"


def test_redirect_to_the_slash_escapes_the_name() -> None:
    assert ends('location "/a b/" { proxy_pass http://b; }', "/a%20b").endswith("301 /a%20b/")


def test_captures_of_a_location() -> None:
    text = "location ~ ^/(?<n>\\w+)/(\\d+)$ { return 302 /$n/$2/$1; }"
    assert way(text, "/a/7").redirect == "/a/7/a"


def test_internal_locations_only_from_inside() -> None:
    text = """
        location /in/ { internal; proxy_pass http://b; location /in/deep { return 204; } }
        location /to { rewrite ^/to(.*) /in/$1 last; }
    """
    assert ends(text, "/in/x") == "location /in/: 404"
    assert ends(text, "/in/deep") == "location /in/deep: 404"
    assert ends(text, "/tox") == "location /in/: http://b"


def test_limit_except_has_no_rewriting_of_its_own() -> None:
    text = """location / {
        limit_except GET { proxy_pass http://other; }
        return 204;
    }"""
    assert ends(text, "/", "HEAD") == "location /: 204"
    assert ends(text, "/", "POST") == "limit_except GET: http://other"


@pytest.mark.parametrize(
    ("rules", "status"),
    [
        ("deny all;", 403),
        ("deny 10.0.0.1; deny all;", 403),
        ("allow 10.0.0.1; deny all;", None),
        ("deny 10.0.0.1; allow all;", None),
        ("satisfy any; deny all;", 403),
        ("satisfy any; deny all; auth_basic x; auth_basic_user_file f;", None),
    ],
)
def test_denied_to_all(rules: str, status: int | None) -> None:
    assert way(f"{rules} location / {{ proxy_pass http://b; }}", "/").status == status


# Rewriting


@pytest.mark.parametrize(
    ("rewrite", "url", "uri", "args"),
    [
        ("^ /b", "/a?x=1", "/b", "x=1"),
        ("^ /b?", "/a?x=1", "/b", ""),
        ("^ /b?y=2", "/a?x=1", "/b", "y=2&x=1"),
        ("^ /b?y=2?", "/a?x=1", "/b", "y=2"),
        ("^/(.*) /b?q=$1?", "/a%20b%26", "/b", "q=a%20b%26"),
        ("^/(.*) /b?q=$1?", "/a&b", "/b", "q=a&b"),
        ("^/(.*) /b/$1", "/a%20b%3F", "/b/a b?", ""),
        ("^ $arg_x", "/?x=/y?z", "/y?z", "x=/y?z"),
        ("^ $ARG_x", "/?X=/y", "/y", "X=/y"),
    ],
)
def test_rewrite(rewrite: str, url: str, uri: str, args: str) -> None:
    found = way(f"rewrite {rewrite}; location / {{ return 204; }}", url)
    assert (found.uri, found.args) == (uri, args)


@pytest.mark.parametrize(
    ("rewrite", "url", "redirect"),
    [
        ("^/a(.*) /b$1 redirect", "/a/c?x=1", "/b/c?x=1"),
        ("^/(.*) http://o/$1", "/a%20b+c", "http://o/a%20b+c"),
        ("^/(.*) http://o/?q=$1", "/a%20b+c", "http://o/?q=a%20b%2Bc"),
        ("^ /%7Ea%20 permanent", "/", "/~a%20"),
        ("^ /b?$arg_x? redirect", "/?x=%41", "/b?%41"),
    ],
)
def test_rewrite_to_elsewhere(rewrite: str, url: str, redirect: str) -> None:
    assert way(f"rewrite {rewrite};", url).redirect == redirect


def test_captures_get_escapes_until_a_rewrite_has_matched() -> None:
    text = """if ($uri ~ "/(.*)") { set $before $1; }
        rewrite ^/(.*) /x/$1;
        set $after $1;
        return 302 /$before/$after;
    """
    assert way(text, "/a%26b").redirect == "/a%26b/a&b"
    assert way(text, "/a&b").redirect == "/a&b/a&b"


def test_escapes_spread_in_old_versions() -> None:
    text = "rewrite ^/(.*) /x?y=1; rewrite ^(.*)$ /b$1 last;"
    again = "rewrite ^/(.*) /x?y=1; rewrite ^/x(.*) /$arg_y/$1;"
    assert way(text, "/%41", version=NOW).unknown == []
    assert way(again, "/a%20b", version=BEFORE).unknown == []
    spread = "rewrite ^ /a+b?y=1; rewrite ^/(.*) /x/$1;"
    assert way(spread, "/%41", version=NOW).uri == "/x/a+b"
    assert way(spread, "/%41", version=BEFORE).unknown != []


def test_break_keeps_the_location() -> None:
    text = """
        location /a { rewrite ^ /b; break; proxy_pass http://a; }
        location /b { proxy_pass http://b; }
    """
    assert ends(text, "/a") == "location /a: http://a"


def test_rewriting_in_circles_ends() -> None:
    text = "error_page 500 /page; location / { rewrite ^ /b last; } location /page { return 204; }"
    assert ends(text, "/") == "location /: 500"


def test_an_empty_uri_ends() -> None:
    assert ends("location / { rewrite ^ $arg_x; }", "/a") == "location /: 500"


def test_a_uri_without_a_slash_fits_no_prefix() -> None:
    assert ends("location / { rewrite ^ x last; }", "/a") == "server: 404"


def test_set_args() -> None:
    found = way("set $args y=$arg_x; if ($arg_y = 1) { rewrite ^ /b; }", "/a?x=1")
    assert (found.uri, found.args) == ("/b", "y=1")


def test_variables_without_a_value() -> None:
    text = """
        if ($arg_x) { set $v a; set $arg_y set; }
        if ($uri ~ "^/(?<n>x)") { }
        return 302 "/$v-$n-$arg_y";
    """
    assert way(text, "/?y=1").redirect == "/--1"


@pytest.mark.parametrize(
    ("condition", "held"),
    [
        ("$arg_x", False),
        ("$arg_y", True),
        ("$arg_zero", False),
        ('$arg_x = ""', True),
        ("$arg_y = 1", True),
        ("$arg_y != $arg_zero", True),
        ("$request_method = GET", True),
        ('$uri ~ "^/A"', False),
        ('$uri ~* "^/A"', True),
        ('$uri !~ "^/A"', True),
        ('$uri !~* "^/A"', False),
        ("$http_host = h", True),
        ("-f $request_filename", False),
        ("!-e $request_filename", True),
    ],
)
def test_conditions(condition: str, held: bool) -> None:
    found = way(f"if ({condition}) {{ return 204; }}", "/a?y=1&zero=0")
    assert found.status == (204 if held else 404)


def test_unknown_files_are_taken_to_be_missing() -> None:
    text = "if (!-e $request_filename) { rewrite ^ /index.php; } location ~ php { return 204; }"
    found = way(text, "/a", files=None)
    assert found.status == 204
    assert found.unknown == ["whether $request_filename in nginx.conf:1 exists; assumed missing"]


def test_the_last_if_that_holds_is_where_a_request_ends() -> None:
    text = """location / {
        proxy_pass http://a;
        if ($arg_x) { proxy_pass http://b; }
        if ($arg_y) { set $v 1; }
    }"""
    assert ends(text, "/?x=1") == "if ($arg_x): http://b"
    assert ends(text, "/?x=1&y=1") == "if ($arg_y): http://a"


def test_a_handler_of_an_if_that_another_if_has_no_target_for() -> None:
    text = """location / {
        if ($arg_x) { proxy_pass http://b; }
        if ($arg_y) { set $v 1; }
    }"""
    assert ends(text, "/?x=1&y=1") == "if ($arg_y): 500"


def test_no_try_files_in_an_if() -> None:
    text = """location / {
        try_files /x @a;
        if ($arg_x) { set $v 1; }
    }
    location @a { return 204; }"""
    assert ends(text, "/") == "location @a: 204"
    assert ends(text, "/?x=1") == "if ($arg_x): 404"


# Maps


@pytest.mark.parametrize(
    ("url", "value"),
    [
        ("/?x=A", "exact"),
        ("/?x=abc", "c"),
        ("/?x=B", "small"),
        ("/?x=default", "word"),
        ("/?x=", "default"),
        ("/", "default"),
    ],
)
def test_map(url: str, value: str) -> None:
    text = r"""
        map $arg_x $m {
            "~^ab(.)" $1; ~*^b small; ~^$ never; a exact; \default word; default default;
        }
        server { listen 80; return 302 /$m; }
    """
    assert way(text, url).redirect == f"/{value}"


def test_asterisks_of_a_map_count_behind_hostnames() -> None:
    text = """
        map $host $m { *.a before; hostnames; *.b behind; .c. dot; }
        server { listen 80; return 302 /$m; }
    """
    assert way(text, "http://x.a/").redirect == "/"
    assert way(text, "http://x.b/").redirect == "/behind"


@pytest.mark.parametrize(("volatile", "uri"), [("", "/b/a"), ("volatile;", "/b/b")])
def test_a_map_is_made_once(volatile: str, uri: str) -> None:
    text = f"""
        map $uri $m {{ {volatile} "~^/([ab])$" $1; }}
        server {{ listen 80; set $first $m; rewrite ^ /b; rewrite ^ $uri/$m; }}
    """
    assert way(text, "/a").uri == uri


def test_a_map_that_changes_the_captures_of_the_text_it_is_in() -> None:
    text = """
        map $arg_x $m { "~(.)$" $1; }
        server { listen 80; rewrite ^/(.*) /$1/$m; }
    """
    assert way(text, "/a?x=b").unknown != []


def test_maps_in_circles_are_unknown() -> None:
    text = 'map "$b" $a { default $b; } map "$a" $b { default $a; } server { if ($a) { break; } }'
    assert way(text, "/").unknown != []


# Answers and error pages


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ("return 404", 200),
        ("return 404 text", 404),
        ("return 404 $arg_none", 404),
        ('return 404 ""', 200),
        ("return 444", 444),
        ("deny all", 200),
        ("internal", 200),
        ("return 301 /x", 200),
        ("rewrite ^ /x redirect", 200),
    ],
)
def test_what_an_error_page_takes_the_place_of(answer: str, status: int) -> None:
    text = f"""
        error_page 301 302 403 404 444 =200 @page;
        location / {{ {answer}; }}
        location @page {{ return 200 text; }}
    """
    assert way(text, "/").status == status


@pytest.mark.parametrize(
    ("override", "status"), [("", 404), ("=200", 200), ("=", 204), ("=301", 301)]
)
def test_status_with_an_error_page(override: str, status: int) -> None:
    text = f"error_page 404 {override} /page; location /page {{ return 204; }}"
    assert way(text, "/a").status == status


@pytest.mark.parametrize(("override", "status"), [("", 302), ("=301", 301), ("=200", 302)])
def test_error_page_elsewhere(override: str, status: int) -> None:
    found = way(f"error_page 404 {override} http://o/$uri;", "/a")
    assert (found.status, found.redirect) == (status, "http://o//a")


def test_error_page_in_an_error_page() -> None:
    text = "error_page 404 /one; error_page 403 /two; location /one { return 403; }"
    assert ends(text, "/a") == "location /one: 403"
    assert ends(f"recursive_error_pages on; {text}", "/a") == "server: 500"


def test_the_first_error_uses_up_the_error_pages() -> None:
    text = """
        error_page 403 /page;
        location /page { return 204; }
        location / { error_page 404 @named; return 404; }
        location @named { return 403; }
    """
    assert ends(text, "/") == "location @named: 403"


@pytest.mark.parametrize(
    ("page", "method", "seen"),
    [("/page", "POST", "GET"), ("/page", "HEAD", "HEAD"), ("@page", "POST", "POST")],
)
def test_an_error_page_is_asked_for_with_get(page: str, method: str, seen: str) -> None:
    text = f"""
        location / {{ error_page 404 = {page}; return 404; }}
        location /page {{ return 302 $request_method; }}
        location @page {{ return 302 $request_method; }}
    """
    assert way(text, "/", method).redirect == seen


def test_named_location_that_is_not_there() -> None:
    assert ends("error_page 404 @none;", "/a") == "server: 500"


def test_try_files() -> None:
    text = """
        location /a { try_files $uri $uri/ /b?$args&y=1; }
        location /b { return 204; }
        location /c { try_files $uri =418; }
        location /d { try_files $uri @none; }
    """
    found = way(text, "/a?x=1")
    assert (found.uri, found.args, found.status) == ("/b", "x=1&y=1", 204)
    assert found.via[0].why == "try_files: no file, so /b?x=1&y=1"
    assert ends(text, "/c") == "location /c: 418"
    assert ends(text, "/d") == "location /d: 500"


def test_files_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "index.html").touch()
    (tmp_path / "empty dir").mkdir()
    (tmp_path / "file").touch()
    text = "location / { index nothing index.html; } location ~ html$ { }"

    def answer(url: str, method: str = "GET") -> tuple[int | None, str, str | None]:
        found = way(text, url, method, files=tmp_path)
        return found.status, found.uri, found.redirect

    assert answer("/a/") == (None, "/a/index.html", None)
    assert answer("/a?x=1") == (301, "/a", "/a/?x=1")
    assert answer("/empty%20dir") == (301, "/empty dir", "/empty%20dir/")
    assert answer("/empty%20dir/") == (403, "/empty dir/", None)
    assert answer("/file") == (None, "/file", None)
    assert answer("/file", "POST") == (405, "/file", None)
    assert answer("/none", "PUT") == (405, "/none", None)
    assert answer("/none/") == (404, "/none/", None)


def test_an_absolute_index() -> None:
    text = "location / { index /page; } location /page { return 204; }"
    assert ends(text, "/a/") == "location /page: 204"
    assert way("index a.html /page;", "/", files=None).unknown == ["whether a.html exists in /"]


def test_what_hangs_on_the_client_is_unknown() -> None:
    found = way("if ($remote_addr = 1.2.3.4) { return 403; } return 204;", "/")
    assert found.status == 204
    assert found.unknown == [
        "whether if ($remote_addr = 1.2.3.4) in nginx.conf:1 is true; assumed false"
    ]


DOUBLING = "".join(f"set $x{at} $x{at - 1}$x{at - 1}; " for at in range(1, 60))
MAPS = "".join(f"map $m{at} $m{at + 1} {{ volatile; default $m{at}$m{at}; }} " for at in range(60))


@pytest.mark.parametrize(
    "rewriting",
    [
        f"set $x0 aa; {DOUBLING} rewrite ^ /$x59;",
        "rewrite ^(.*)$ /$1$1$1;" * 100,
        "set $args a; " + "set $args $args$args; " * 100 + "rewrite ^ /b?$args;",
        "rewrite ^(.*)$ /$1?a=$args$args;" * 100,
        "rewrite ^ /$m49$m48;",
    ],
)
def test_values_that_grow_without_an_end_are_unknown(rewriting: str) -> None:
    server = f"server {{ {rewriting} location / {{ proxy_pass http://a; }} }}"
    found = way(MAPS + server, "/" + "a" * 40)
    assert found.unknown
    assert all(len(str(one)) < 100_000 for one in found.unknown)


def test_a_step_shows_the_beginning_of_a_long_path() -> None:
    server = f"server {{ rewrite ^ /{'a' * 3000}; location / {{ proxy_pass http://a; }} }}"
    found = way(server, "/")
    assert [len(step.why) < 400 for step in found.via] == [True]
