import sys

import pytest

from loopwright.serving import __main__ as main

REQUIRED = ["serving", "--bundle", "model", "--name", "churn", "--version", "3"]


@pytest.mark.parametrize("flag", ["--threads", "--waiting", "--timeout"])
@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many", "", "1000000"])
def test_a_limit_that_is_no_whole_number_ends_it_with_code_2_and_says_so(monkeypatch, capsys, flag, value):
    monkeypatch.setattr(sys, "argv", [*REQUIRED, f"{flag}={value}"])
    with pytest.raises(SystemExit) as caught:
        main._arguments()
    assert caught.value.code == 2
    assert f"argument {flag}: found {value!r}; expected a whole number" in capsys.readouterr().err


def test_limits_have_defaults_and_can_be_set(monkeypatch):
    monkeypatch.setattr(sys, "argv", REQUIRED)
    found = main._arguments()
    assert (found.threads, found.waiting, found.timeout) == (2, 64, 30)
    monkeypatch.setattr(sys, "argv", [*REQUIRED, "--threads", "4", "--waiting", "8", "--timeout", "5"])
    found = main._arguments()
    assert (found.threads, found.waiting, found.timeout) == (4, 8, 5)
