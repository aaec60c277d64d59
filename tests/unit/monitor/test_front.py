"""The short way of events: what goes it, what goes uvicorn's, and that nothing is read twice or lost."""

import asyncio

import pytest
import uvicorn

from loopwright.monitor import front

POST = b"POST /v1/cloudevents/3 HTTP/1.1\r\nHost: m\r\nContent-Length: 2\r\nCe-Id: a\r\n\r\n{}"


def test_a_whole_post_is_read():
    found = front.parse(b"..." + POST + b"POST", 3)
    assert found == front.Post(b"/3", {b"host": b"m", b"content-length": b"2", b"ce-id": b"a"}, b"{}", 3 + len(POST))


def test_any_part_of_it_waits_for_the_rest():
    assert [front.parse(POST[:end], 0) for end in range(1, len(POST))] == [None] * (len(POST) - 1)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"POST", b"GET"),
        (b"/v1/cloudevents/3", b"/metrics"),
        (b"HTTP/1.1", b"HTTP/1.0"),
        (b"Content-Length: 2", b"Transfer-Encoding: chunked"),
        (b"Content-Length: 2", b"Content-Length: 2\r\nContent-Length: 3"),
        (b"Content-Length: 2", b"Content-Length: +2"),
        (b"Content-Length: 2", b"Content-Length: 2\r\nTransfer-Encoding: chunked"),
        (b"Content-Length: 2", b"Content-Length : 2"),
        (b"Content-Length: 2", b"Content-Length: 9999999"),
        (b"Content-Length: 2", b"Content-Length: 300000"),
        (b"Host: m", b"Host: m\r\n folded"),
        (b"Host: m", b"Host: m\nX: y"),
        (b"Host: m", b"Expect: 100-continue"),
        (b"Host: m", b"Connection: close"),
        (b"Host: m", b"X: " + b"x" * front.MOST_HEAD),
    ],
)
def test_whatever_is_unusual_is_not_for_the_short_way(old, new):
    assert front.parse(POST.replace(old, new, 1), 0) is False


async def app(scope, receive, send):
    """Answers with what it was sent."""
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message["body"]
        if not message.get("more_body"):
            break
    await send({"type": "http.response.start", "status": 201, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def talk(take, *parts):
    """What a server answers to parts that are sent one after the other, until it closes."""
    config = uvicorn.Config(app, http=front.protocol(take), log_config=None, lifespan="off", port=0, host="127.0.0.1")
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        reader, writer = await asyncio.open_connection(*server.servers[0].sockets[0].getsockname())
        for part in parts:
            writer.write(part)
            await writer.drain()
        writer.write_eof()
        async with asyncio.timeout(10):
            found = await reader.read()
        writer.close()
        await writer.wait_closed()
        return found
    finally:
        await server.shutdown()


def run(*parts, answers=((200, ""),)):
    taken = []

    def take(rest, headers, body):
        taken.append((rest, body))
        return answers[min(len(taken), len(answers)) - 1]

    return asyncio.run(talk(take, *parts)), taken


def test_posts_that_come_together_or_in_pieces_are_each_answered_once():
    answer, taken = run(POST * 3 + POST[:40], POST[40:-1], POST[-1:])
    assert answer == b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * 4
    assert taken == [(b"/3", b"{}")] * 4


def test_what_follows_something_else_goes_the_ordinary_way_too():
    other = b"PUT /x HTTP/1.1\r\nHost: m\r\nContent-Length: 3\r\n\r\nabc"
    last = other.replace(b"Host: m", b"Host: m\r\nConnection: close").replace(b"abc", b"xyz")
    answer, taken = run(POST + other[:10], other[10:] + last)
    assert taken == [(b"/3", b"{}")]
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.count(b"HTTP/1.1 201") == 2
    assert b"abc" in answer
    assert answer.endswith(b"xyz")


def test_a_refusal_says_why():
    answer, _ = run(POST * 3, answers=((401, "no token"), (503, "too many"), (200, "")))
    assert b"401 Unauthorized\r\n" in answer
    assert b"WWW-Authenticate: Bearer" in answer
    assert b'{"error":"no token"}HTTP/1.1 503 Service Unavailable\r\n' in answer
    assert b"Retry-After: 1\r\n" in answer
    assert answer.endswith(b'{"error":"too many"}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
