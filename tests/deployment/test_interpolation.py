"""Variables of compose files and of files of variables."""

from __future__ import annotations

import pytest

from nginx_stream_lint.config.mapped_text import PLACEHOLDER
from nginx_stream_lint.deployment.interpolation import interpolated, read_variables, substituted

VALUES = {"SET": "value", "EMPTY": "", "UNKNOWN": None}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$SET-${SET}", "value-value"),
        ("${SET:-other}", "value"),
        ("${EMPTY:-other}", "other"),
        ("${EMPTY-other}", ""),
        ("${NONE-other}", "other"),
        ("${NONE:-a${ALSO_NONE:-b}c}", "abc"),
        ("${NONE:-$SET}", "value"),
        ("${SET:+there}", "there"),
        ("${EMPTY:+there}", ""),
        ("${EMPTY+there}", "there"),
        ("${SET:?message}", "value"),
        ("$$SET $$$SET", "$SET $value"),
        ("a$ b$1", "a$ b$1"),
        # A variable that no file sets may be set in the shell.
        ("${NONE}", PLACEHOLDER),
        ("x-$NONE-y", f"x-{PLACEHOLDER}-y"),
        ("${NONE:?message}", PLACEHOLDER),
        ("${NONE:+there}", PLACEHOLDER),
        ("${UNKNOWN:-default}", PLACEHOLDER),
        ("${SET%lue}", PLACEHOLDER),
        ("${SET", PLACEHOLDER),
        ("${}", PLACEHOLDER),
        ("${NONE:-" * 50 + "}" * 50, PLACEHOLDER),
    ],
)
def test_a_text_with_variables(text: str, expected: str) -> None:
    assert interpolated(text, VALUES) == expected


def test_missing_names_are_reported() -> None:
    missing: set[str] = set()
    interpolated("$A ${B:?x} ${C:-c} ${SET}", VALUES, missing)
    assert missing == {"A", "B"}


def test_a_dockerfile_escapes_with_a_backslash() -> None:
    assert substituted("\\$SET ${SET:-x} $$", VALUES) == "$SET value $$"


def test_a_file_of_variables() -> None:
    text = (
        "# comment\nPLAIN=a b # comment\nexport EXPORTED = x\nSINGLE='$PLAIN'\n"
        'DOUBLE="${PLAIN}\\n$NONE_SET"\nUSES=${PLAIN:-x}!\nMANY="a\nb"\nEMPTY=\nSHELL_SAYS\n'
        'COLON: yes\nno equals sign\nCRLF=1\r\nHASH=a#b\nESCAPED="\\$X"\n'
    )
    assert read_variables(text) == {
        "PLAIN": "a b", "EXPORTED": "x", "SINGLE": "$PLAIN", "DOUBLE": None, "USES": "a b!",
        "MANY": "a\nb", "EMPTY": "", "SHELL_SAYS": None, "COLON": "yes", "CRLF": "1",
        "HASH": "a#b", "ESCAPED": "$X",
    }  # fmt: skip


def test_a_raw_file_of_variables() -> None:
    assert read_variables("A='$X' # y", raw=True) == {"A": "'$X' # y"}
