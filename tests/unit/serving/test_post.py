"""The connection to the monitor, against a server of asyncio's own that answers what it is told to."""

import asyncio

import pytest

from loopwright.errors import ServingError
from loopwright.serving.post import Answer, Poster

OK = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}"


class Server:
    """A stand-in for the monitor: it keeps what was sent, and answers with these bytes, None for nothing at all."""

    def __init__(self, *answers):
        self.answers, self.requests, self.connections = list(answers), [], 0

    async def handle(self, reader, writer):
        self.connections += 1
        try:
            while self.answers:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.requests.append((head, await reader.readexactly(length)))
                answer = self.answers.pop(0)
                if answer is None:
                    await reader.read()
                    break
                writer.write(answer)
                await writer.drain()
                if not answer or b"close" in answer:
                    break
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


def talk(server, scenario, *, headers=None, path="", **options):
    """What the scenario makes of a poster to the server."""

    async def run():
        listening = await asyncio.start_server(server.handle, "127.0.0.1", 0)
        async with listening:
            port = listening.sockets[0].getsockname()[1]
            poster = Poster(f"http://127.0.0.1:{port}{path}", headers or {}, **options)
            try:
                return await scenario(poster)
            finally:
                poster.close()

    return asyncio.run(asyncio.wait_for(run(), 20))


def ask(count=1, content=b"body"):
    async def scenario(poster):
        return [await poster("POST", "/v1/events", content, "application/msgpack") for _ in range(count)]

    return scenario


def test_requests_share_a_connection_and_carry_the_headers():
    server = Server(OK, OK)
    answers = talk(server, ask(2), headers={b"Authorization": "Bearer gehëim".encode()}, path="/at/")
    assert answers == [Answer(202, "{}")] * 2
    assert answers[0].ok
    assert server.connections == 1
    (head, body), _ = server.requests
    first, *lines = head.decode().strip().split("\r\n")
    assert first == "POST /at/v1/events HTTP/1.1"
    assert {line.split(": ")[0]: line.split(": ")[1] for line in lines}.keys() == {
        *("Host", "Authorization", "Content-Type", "Content-Length"),
    }
    assert "Authorization: Bearer gehëim" in lines
    assert body == b"body"


def test_a_large_message_and_an_answer_in_pieces_arrive_whole():
    chunked = b"HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbro\r\n3\r\nken\r\n0\r\n\r\n"
    server = Server(chunked)
    assert talk(server, ask(content=b"x" * 5_000_000)) == [Answer(400, "broken")]
    assert len(server.requests[0][1]) == 5_000_000


def test_of_a_long_answer_the_beginning_is_kept():
    long = b"HTTP/1.1 500 Error\r\nContent-Length: 100000\r\n\r\n" + b"e" * 100_000
    (answer,) = talk(Server(long), ask())
    assert (answer.status, answer.ok) == (500, False)
    assert 0 < len(answer.text) < 5000


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(b"", id="ends the connection"),
        pytest.param(b"no HTTP at all, close\r\n\r\n", id="speaks something else"),
        pytest.param(b"HTTP/1.1 202 Accepted\r\nContent-Length: 9\r\n\r\nclose", id="ends in the middle"),
    ],
)
def test_what_a_broken_monitor_did_not_answer_is_asked_on_a_new_connection(broken):
    server = Server(broken, OK)
    assert talk(server, ask(2)) == [None, Answer(202, "{}")]
    assert server.connections == 2


def test_a_connection_that_the_monitor_closes_after_its_answer_is_not_used_again():
    closing = b"HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
    server = Server(closing, OK)
    assert talk(server, ask(2)) == [Answer(202, "{}")] * 2
    assert server.connections == 2


def test_a_monitor_that_hangs_is_given_up():
    assert talk(Server(None), ask(), seconds=0.05) == [None]


def test_a_request_that_is_given_up_does_not_leave_its_answer_to_the_next():
    server = Server(None, OK)

    async def scenario(poster):
        task = asyncio.create_task(poster("POST", "/v1/events", b"1", "text/plain"))
        while not server.requests:
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await poster("POST", "/v1/events", b"2", "text/plain")

    assert talk(server, scenario) == Answer(202, "{}")
    assert [body for _, body in server.requests] == [b"1", b"2"]


def test_nobody_there_is_no_answer():
    async def run():
        listening = await asyncio.start_server(Server().handle, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        listening.close()
        await listening.wait_closed()
        return await Poster(f"http://127.0.0.1:{port}", {})("PUT", "/", b"", "text/plain")

    assert asyncio.run(run()) is None


def test_a_server_without_tls_is_no_answer_to_https():
    async def run():
        listening = await asyncio.start_server(Server(OK).handle, "127.0.0.1", 0)
        async with listening:
            port = listening.sockets[0].getsockname()[1]
            return await Poster(f"https://127.0.0.1:{port}", {}, seconds=2.0)("PUT", "/", b"", "text/plain")

    assert asyncio.run(run()) is None


@pytest.mark.parametrize("url", ["monitor:9090", "ftp://monitor", "http://", "http://monitor:port", "http://m/a\r\nb"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(ServingError, match="monitor's address"):
        Poster(url, {})


def test_a_token_of_several_lines_is_refused():
    with pytest.raises(ServingError, match="several lines"):
        Poster("http://monitor", {b"Authorization": b"Bearer a\r\nX-More: b"})
