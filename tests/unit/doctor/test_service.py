import httpx
import pytest

from loopwright.doctor import service

TOKEN = "0123456789abcdef"


def client(health: int = 200, state: int | None = None) -> httpx.Client:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/healthz":
            return httpx.Response(health, json={})
        known = request.headers.get("authorization") == f"Bearer {TOKEN}"
        return httpx.Response(state or (200 if known else 401), text="postgresql://ada:secret@db does not answer")

    return httpx.Client(transport=httpx.MockTransport(answer))


@pytest.mark.parametrize(
    ("asked", "token", "state", "said"),
    [
        (client(), TOKEN, "ok", "is well"),
        (client(), "another", "problem", "another token"),
        (client(health=503), TOKEN, "problem", "is not well (503)"),
        (client(state=503), TOKEN, "problem", "cannot say its state (503)"),
    ],
)
def test_a_trigger_is_asked_how_it_is(asked: httpx.Client, token: str, state: str, said: str) -> None:
    (found,) = service.trigger("http://trigger:8080/", token, asked)
    assert found.state == state
    assert said in found.text
    assert "secret" not in found.text


def test_a_trigger_that_is_not_there_is_a_problem() -> None:
    (found,) = service.trigger("http://127.0.0.1:1", TOKEN, httpx.Client(trust_env=False))
    assert found.state == "problem"
    assert "does not answer" in found.text
