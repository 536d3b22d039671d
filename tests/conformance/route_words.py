"""The parts from which random configurations and requests for routing are built."""

from __future__ import annotations

SEGMENTS = ("a", "b", "ab", "abc", "v1", "v2", "chat", "api", "users", "42", "7", "admin", "Chat")
ODD_SEGMENTS = (
    "x.php",
    "y.html",
    "app.js",
    "A",
    "a b",
    "é",
    "a+b",
    "x.y",
    "a-b",
    "_",
    "a%b",
    "...",
)
METHODS = ("GET",) * 40 + ("POST",) * 3 + ("HEAD", "PUT", "DELETE", "OPTIONS", "PATCH")
CODES = (400, 403, 404, 405, 418, 429, 499, 500, 502, 503)
SET_VARIABLES = ("$v1", "$v2", "$v3")
NAMED_CAPTURES = ("n1", "n2")
MAPS = ("$m1", "$m2", "$m3", "$m4")
# Properties of a request, by how often configurations use them.
DECIDED = (
    ("$arg_x",) * 8
    + ("$uri", "$request_method", "$args", "$host", "$request_uri") * 3
    + SET_VARIABLES * 2
    + MAPS * 2
    + ("$arg_y", "$http_host", "$scheme", "$server_port", "$is_args", "$n1", "$1", "$2")
    + ("$document_uri", "$query_string", "$server_name", "$arg_X", "$arg_b")
)
SELDOM_DECIDED = ("$http_x_flag", "$cookie_a", "$content_type")
ARGUMENTS = (
    "x=1", "x=a", "x=b", "x=", "x", "X=1", "x=a&y=b", "y=b&x=a", "xx=1&x=2", "&x=1", "a=1&&x=a",
    "x=1&x=2", "x=a%20b", "x=%61", "x=a+b", "x==", "x=a?b", "x=/v1/chat", "x=1#f", "y=1", "y=b", "",
    "?", "x=%zz", "b=é", "stream=true", "x=chat&y=42",
)  # fmt: skip
VALUES = ("1", "0", "", "a", "b", "ab", "GET", "POST", "chat", "/a", "/v1/chat", "x=1", "http")

# Typical regular expressions, each with texts that match or nearly match.
REGEXES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"\.php$", ("/x.php", "/a/x.php", "/x.php/a")),
    (r"\.(php|html)$", ("/x.php", "/y.html", "/y.htm")),
    (r"\.(?:js|css|png)$", ("/app.js", "/a/app.css")),
    (r"^/(api|v\d+)/", ("/api/a", "/v1/chat", "/v22/", "/v/")),
    (r"^/v[12]/", ("/v1/a", "/v2/chat", "/v3/")),
    (r"/$", ("/a/", "/", "/a")),
    (r"^/$", ("/", "/a")),
    (r"^/a.*b", ("/ab", "/a/b", "/axb/c")),
    (r"chat$", ("/chat", "/v1/chat", "/chat%0A", "/Chat")),
    (r"chat", ("/chat", "/v1/chat/b", "/Chat")),
    (r"^/chat(/|$)", ("/chat", "/chat/a", "/chats")),
    (r"^/([^/]+)/([^/]+)$", ("/a/b", "/v1/chat", "/a/b/")),
    (r"^/([^/]+)/?(.*)$", ("/a", "/a/b/c", "/a/")),
    (r"^(.*)$", ("/a", "/a/b")),
    (r"^/(.*)/$", ("/a/", "/a/b/")),
    (r"^(/[^/]*)*$", ("/a/b", "/")),
    (r"^/users/(\d+)", ("/users/42", "/users/a")),
    (r"^/users/(?<n1>\d+)(?:/(?<n2>\w+))?$", ("/users/42", "/users/42/chat", "/users/x")),
    (r"^/(?P<n2>[a-z]+)/", ("/abc/", "/a1/")),
    (r"^/(?'n1'[a-z]+)$", ("/abc", "/a1")),
    (r"(?i)^/CHAT", ("/chat", "/Chat", "/CHAT/a")),
    (r"^/(?i:chat)/A", ("/Chat/A", "/chat/a")),
    (r"^/(?!admin)", ("/admin", "/a", "/administrator")),
    (r"^/(?!admin|api)\w+$", ("/admin", "/api", "/users")),
    (r"(?<!\.php)$", ("/x.php", "/x.html")),
    (r"(?<=/)42$", ("/42", "/a42")),
    (r"^/(?=.*chat)", ("/v1/chat", "/v1")),
    (r"^/(a+?)(b*)$", ("/ab", "/aabb", "/b")),
    (r"^/(.+?)/chat(.*)", ("/v1/chat", "/a/chat/chat/b", "/chat")),
    (r"^/[[:alpha:]]+$", ("/abc", "/a1", "/é")),
    (r"^/[[:alpha:]_][[:alnum:]_]*/?$", ("/a1", "/_/", "/1")),
    (r"[[:digit:]]{2,}", ("/42", "/7", "/a/42/b")),
    (r"[^[:alnum:]/]", ("/a-b", "/ab")),
    (r"[[:^digit:]]$", ("/42", "/a")),
    (r"[[:upper:]]", ("/A", "/a")),
    (r"^/\w+\.\w+$", ("/x.y", "/x.php", "/x")),
    (r"^/\S+\s\S+", ("/a%20b", "/ab")),
    (r"^/[\w.-]+$", ("/a-b", "/x.y", "/a b")),
    (r"^/[-a]+$", ("/a-a", "/b")),
    (r"^/[]a]+$", ("/a]", "/b")),
    (r"^/[^]a]+$", ("/bc", "/a")),
    (r"^/\d{1,2}$", ("/42", "/7", "/423")),
    (r"^/a{2}$", ("/aa", "/a")),
    (r"^/a{1,}b?$", ("/a", "/aab")),
    (r"\x2ephp$", ("/x.php",)),
    (r"^/x\.y\b", ("/x.y", "/x.yz")),
    (r"\bab\b", ("/ab", "/a/ab/c", "/abc")),
    (r"^/caf.$", ("/cafe", "/café", "/caf")),
    (r"é", ("/é", "/%C3%A9", "/%C3%89")),
    (r"^/\xc3\xa9", ("/é",)),
    (r"^/[é]$", ("/é", "/%C3", "/%A9")),
    (r"^/(\w)\1", ("/aab", "/ab")),
    (r"^/(a|ab)(c|bcd)?$", ("/abcd", "/abc", "/a")),
    (r"^/a$|^/b$", ("/a", "/b", "/ab")),
    (r"a|b|", ("/x",)),
    (r"", ("/x",)),
    (r"^", ("/x",)),
    (r"^/(?:a|b)+/", ("/ab/", "/c/")),
    (r"^/\+|\s", ("/+", "/a+b", "/a%20b")),
    (r"/\.", ("/.a", "/a/.b")),
    (r"^/.{3}$", ("/abc", "/é1", "/ab")),
    (r"^/\Qa.b\E$", ("/a.b", "/axb")),
    (r"^/[a-z]++$", ("/abc",)),
    (r"^/(?>a+)b", ("/aab",)),
    (r"\Achat|chat\z", ("/chat", "/chat%0A")),
    (r"chat\Z", ("/chat", "/chat%0A")),
    (r"^/a#b", ("/a%23b",)),
    (r"^/a?\?", ("/a%3Fb", "/%3F")),
    (r"%", ("/a%25b",)),
    (r"^/[^/]+\.(?<n1>[^./]+)$", ("/x.php", "/x.y.z")),
)  # fmt: skip
RARE_REGEXES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"^/a{,2}$", ("/a{,2}", "/aa")),
    (r"^/(?|a(.)|b(.))", ("/ab", "/ba")),
    (r"^/\p{L}", ("/a", "/é")),
    (r"(*UTF8)^/.$", ("/é", "/a")),
    (r"^/a\Kb", ("/ab",)),
    (r"^/(a(?1)?b)$", ("/ab", "/aabb")),
    (r"(?x) ^/a b ", ("/ab", "/a b")),
    (r"(?s)^/a.b", ("/a%0Ab", "/axb")),
    (r"(?m)^b", ("/a%0Ab", "/b")),
    (r"^/\h", ("/%20a",)),
    (r"^/(a)|(?i)B", ("/a", "/b", "/xB")),
    (r"^/(?#comment)a", ("/a",)),
    (r"\R", ("/a%0Ab",)),
)
