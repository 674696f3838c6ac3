"""Two protocols are one exactly when no difference can be named."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.fingerprint import compare, fingerprint
from pretrain.errors import DensebenchError

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
protocols = st.dictionaries(st.text(max_size=3), plain, max_size=4)


@given(protocols, protocols)
def test_no_difference_in_words_means_one_fingerprint(first, second):
    assert (compare(first, second) == []) == (fingerprint(first) == fingerprint(second))


@given(protocols)
def test_fingerprints_ignore_order_and_survive_json(protocol):
    shuffled = dict(reversed(list(protocol.items())))
    assert fingerprint(protocol) == fingerprint(shuffled) == fingerprint(json.loads(json.dumps(protocol)))


def test_differences_in_words():
    first = {"optimizer": {"lr": 0.02, "momentum": 0.9}, "crop": [512, 512], "norm": "SyncBN", "batch": 16}
    second = {
        "optimizer": {"lr": 0.01, "momentum": 0.9},
        "crop": (512, 512),
        "norm": "BN",
        "batch": 16.0,
        "new": None,
    }
    assert compare(first, second) == [
        "new: nothing against null",
        'norm: "SyncBN" against "BN"',
        "optimizer.lr: 0.02 against 0.01",
    ]
    assert len(fingerprint(first)) == 12
    assert fingerprint({"lr": 1.0}) == fingerprint({"lr": 1}) != fingerprint({"lr": True})


def test_a_protocol_without_a_number_is_refused():
    with pytest.raises(DensebenchError, match="nan"):
        fingerprint({"lr": math.nan})
    with pytest.raises(TypeError, match="Path"):
        fingerprint({"root": Path()})
