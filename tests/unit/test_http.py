"""Who is let in, how much of a body is read, and where a process may listen without a token."""

import asyncio

import pytest
from starlette.requests import Request

from loopwright.errors import ServingError
from loopwright.http import Refused, admit, bearer, read, require_token

EVERYWHERE = "0.0.0.0"  # noqa: S104


def request(*chunks, **headers):
    """A request with these headers, whose body comes in these chunks; `taken` of it counts those that were read."""
    names = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    made = Request({"type": "http", "method": "POST", "path": "/", "headers": names}, None)
    made.taken = 0

    async def receive():
        made.taken += 1
        body = chunks[made.taken - 1] if chunks else b""
        return {"type": "http.request", "body": body, "more_body": made.taken < len(chunks)}

    made._receive = receive
    return made


def body(made, greatest, **options):
    return asyncio.run(read(made, greatest, **options))


@pytest.mark.parametrize("token", ["secret", "gehëim", "", "=+/ ~"])
def test_what_a_client_sends_is_what_is_let_in(token):
    headers = {name.decode().lower(): value.decode() for name, value in bearer(token).items()}
    assert set(headers) == ({"authorization"} if token else set())
    admit(request(**headers), token)


@pytest.mark.parametrize("given", ["", "secret", "bearer secret", "Bearer Secret", "Bearer secret ", "Bearer sécret"])
def test_anything_but_the_token_is_401(given):
    with pytest.raises(Refused) as refused:
        admit(request(authorization=given), "secret")
    assert (refused.value.status, refused.value.headers) == (401, {"WWW-Authenticate": 'Bearer realm="loopwright"'})


@pytest.mark.parametrize("origin", ["https://example.com", "http://127.0.0.1:8080", "null", ""])
def test_a_web_page_is_403_even_with_the_token(origin):
    with pytest.raises(Refused) as refused:
        admit(request(authorization="Bearer secret", origin=origin), "secret")
    assert (refused.value.status, refused.value.headers) == (403, {})


def test_a_body_is_read_up_to_its_size():
    assert body(request(b"12", b"345"), 5) == b"12345"
    assert body(request(), 5) == b""
    assert body(request(b"12", b"3456"), 5) is None


def test_a_body_that_is_too_large_is_read_no_further():
    made = request(*[b"12"] * 100)
    assert body(made, 5) is None
    assert made.taken == 3


def test_a_body_that_is_too_large_is_read_to_its_end_within_bounds_so_that_the_client_gets_its_answer():
    made = request(*[b"12"] * 100)
    assert body(made, 5, discarded=200) is None
    assert made.taken == 100
    made = request(*[b"12"] * 100)
    assert body(made, 5, discarded=100) is None
    assert made.taken == 51


def test_a_body_that_says_it_is_too_large_is_not_read():
    made = request(b"12", content_length="11")
    assert body(made, 5, discarded=10) is None
    assert made.taken == 0


@pytest.mark.parametrize("host", [EVERYWHERE, "::", "", "10.0.0.3", "2001:db8::1", "example.org", "localhost.evil.org"])
def test_without_a_token_an_address_that_others_reach_is_refused(host):
    with pytest.raises(ServingError, match=r"there is no token, .*expected the bearer token in LOOPWRIGHT_TOKEN"):
        require_token(host, "")
    require_token(host, "secret")
    require_token(host, "", without=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_a_loopback_address_needs_no_token(host):
    require_token(host, "")
