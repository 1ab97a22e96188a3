"""What an audit event may carry: at most 4 KB, whatever it is made of."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services.audit import PAYLOAD_LIMIT, _fit

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3000),
    lambda inner: st.lists(inner, max_size=80) | st.dictionaries(st.text(max_size=40), inner, max_size=80),
    max_leaves=60,
)


@given(st.dictionaries(st.text(min_size=1, max_size=30), JSON, max_size=6))
def test_a_payload_never_passes_the_limit(payload: dict[str, Any]) -> None:
    assert len(json.dumps(_fit(payload)).encode()) <= PAYLOAD_LIMIT


@pytest.mark.parametrize(
    "payload",
    [
        {"patterns": ["x" * 100_000]},
        {"models": {str(index): {"model": "m" * 255, "origin": "run"} for index in range(50)}},
        {"message": "ü" * 10_000},
    ],
)
def test_what_is_too_long_is_cut_and_says_so(payload: dict[str, Any]) -> None:
    fitted = _fit(payload)
    assert fitted["cut"] is True
    assert len(json.dumps(fitted).encode()) <= PAYLOAD_LIMIT
    assert fitted.keys() > {"cut"}, "something is left of it"


def test_what_fits_stays_as_it_is() -> None:
    assert _fit({"code": "budget", "message": "short", "none": None}) == {"code": "budget", "message": "short"}
