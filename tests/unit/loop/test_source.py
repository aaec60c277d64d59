"""Where rows come from: which URLs hold a secret."""

import pytest

from loopwright.loop.source import has_user, refused


@pytest.mark.parametrize(
    "url",
    [
        "https://u:hunter2@h/x.csv", "https://u@h/x.csv", "s3://AKIA:hunter2@b/o", "s3://AKIA:hunter2/more@b/o",
        "abfss://c:hunter2@account/x",
    ],
)  # fmt: skip
def test_a_user_or_a_password_in_a_url_is_found_and_refused_without_repeating_it(url) -> None:
    assert has_user(url)
    assert "hunter2" not in (refused(url) or "hunter2")


@pytest.mark.parametrize(
    "url",
    [
        "data/rows@home.csv", "s3://b/a@b/c:d.csv", "http://127.0.0.1:9000/x.csv", "http://[::1]:80/x", "http://[::1]/x",
        "abfss://container@account.dfs.core.windows.net/x", "s3://arn:aws:s3:eu-west-1:123:accesspoint/mine/x",
        "file:///data/x.csv",
    ],
)  # fmt: skip
def test_hosts_ports_containers_and_names_are_no_secret(url) -> None:
    assert not has_user(url)
    assert refused(url) is None
