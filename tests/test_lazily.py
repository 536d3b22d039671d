"""What is made when first used is what the standard library makes at once."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nginx_stream_lint.util import lazily


def _classes(decorator: Any) -> list[Any]:
    """Classes of every kind that there is in the package."""

    @decorator(frozen=True, slots=True)
    class Frozen:
        """Frozen."""

        one: int
        two: str = "two"
        three: tuple[int, ...] = ()

    @decorator(slots=True)
    class Changing:
        """Changing."""

        one: int
        many: list[int] = dataclasses.field(default_factory=list)

    @decorator(slots=True)
    class Derived:
        """Derived."""

        one: int
        two: int = dataclasses.field(init=False)

        def __post_init__(self) -> None:
            self.two = self.one * 2

    @decorator(slots=True, eq=False)
    class Itself:
        """Itself."""

        one: int

    @decorator()
    class Open:
        """Open."""

        one: int
        two: int | None = None

        @property
        def both(self) -> tuple[int, int | None]:
            return self.one, self.two

    @decorator(frozen=True, slots=True)
    class Told:
        """Told."""

        one: int

        def __repr__(self) -> str:
            return f"told {self.one}"

    return [Frozen, Changing, Derived, Itself, Open, Told]


OURS, THEIRS = _classes(lazily.dataclass), _classes(dataclasses.dataclass)
# What a call gives, or the kind of its mistake.
Outcome = tuple[str, object]


def _outcome(call: Callable[[], object]) -> Outcome:
    try:
        return "gives", call()
    except (TypeError, AttributeError) as mistake:
        return "raises", type(mistake)


@pytest.mark.parametrize("number", range(len(OURS)))
@given(
    given=st.lists(st.integers(0, 2), max_size=3),
    named=st.dictionaries(st.sampled_from(["one", "two", "many", "none"]), st.integers(0, 2)),
    more=st.integers(0, 2),
)
def test_a_class_is_what_the_standard_one_is(
    number: int, given: list[int], named: dict[str, int], more: int
) -> None:
    ours, theirs = OURS[number], THEIRS[number]

    def said(cls: Any) -> object:
        one = cls(*given, **named)
        other = cls(more)
        try:
            has_hash = isinstance(hash(one), int)
        except TypeError:
            has_hash = False
        return (
            re.sub(r"0x\w+", "", repr(one).rpartition(".")[2]),
            [getattr(one, field.name) for field in dataclasses.fields(cls)],
            one == other,
            one == cls(*given, **named),
            has_hash,
            has_hash and cls.__eq__ is not object.__eq__ and hash(one) == hash(other),
            hasattr(one, "__dict__"),
            cls.__doc__,
        )

    assert _outcome(lambda: said(ours)) == _outcome(lambda: said(theirs))


def test_an_instance_with_one_field_changed() -> None:
    one: Any = OURS[0](1)
    assert dataclasses.is_dataclass(one)
    one = OURS[0](1)
    assert dataclasses.replace(one, one=2) == OURS[0](2)
    with pytest.raises(TypeError):
        dataclasses.replace(one, none=2)


def test_instances_of_two_classes_are_not_equal() -> None:
    first, second = _classes(lazily.dataclass)[0], _classes(lazily.dataclass)[0]
    assert first(1) != second(1)
    assert first(1) == first(1)


def test_the_methods_are_made_once() -> None:
    cls = _classes(lazily.dataclass)[0]
    assert isinstance(cls.__dict__["__init__"], lazily._Later)
    cls(1)
    made = cls.__dict__["__init__"]
    assert not isinstance(made, lazily._Later)
    cls(2)
    assert cls.__dict__["__init__"] is made
    assert isinstance(cls.__dict__["__dataclass_fields__"], lazily._Later)


def test_an_expression_is_compiled_when_it_is_used() -> None:
    expression = lazily.regex("A+", re.IGNORECASE)
    assert set(vars(expression)) == {"_given"}
    assert [found[0] for found in expression.finditer("xaAb")] == ["aA"]
    assert expression.sub("-", "aab") == "-b"
    assert expression.pattern == "A+"
    assert expression.search is expression.search


def test_a_mistake_in_an_expression_is_told() -> None:
    expression = lazily.regex("(")
    with pytest.raises(re.error):
        expression.search("")
