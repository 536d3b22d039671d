"""No test depends on how busy the machine is."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st


@hypothesis_settings(max_examples=3)
@given(st.booleans())
def test_an_example_may_take_longer_than_usual(value: bool) -> None:
    """Hypothesis gives up after 0.2 s of its own accord."""
    time.sleep(0.3)
    assert isinstance(value, bool)
