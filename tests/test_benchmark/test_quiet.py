from __future__ import annotations

import warnings

import pytest

from benchmark.quiet import quiet


def test_only_the_packages_own_noise_is_held_back(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), warnings.catch_warnings(record=True) as caught, quiet():
        print("Could not import OneDL. Skipping OneDL datasets.")
        print("something else")
        warnings.warn("deprecated", stacklevel=1)
        raise KeyError
    assert capsys.readouterr().out == "something else\n"
    assert not caught
