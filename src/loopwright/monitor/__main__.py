"""Run the monitor of one loop: `python -m loopwright.monitor --loop FILE.json --port P`."""

import argparse
import asyncio
import errno
import logging
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from loopwright import http, settings
from loopwright.errors import DeclarationError, LoopwrightError, ServingError, StateError
from loopwright.loop import Loop

if TYPE_CHECKING:
    from loopwright.monitor.archive import Archive

log = logging.getLogger("loopwright.monitor")


def main(arguments: list[str] | None = None) -> int:
    """The process' exit code; a message on stderr, without a traceback, when it could not start."""
    options = _options(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # One line a delivered alert is enough; httpx writes one a request.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        loop, setting = _loop(options.loop), settings.read(Path.cwd())
        http.require_token(options.host, setting.token, without=options.without_token)
        listener = _listen(options.host, options.port)
        return asyncio.run(_serve(loop, setting, listener, options.alerts, options.token_env))
    except LoopwrightError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loopwright.monitor", description="Watch a loop's live data.")
    parser.add_argument("--loop", type=Path, required=True, help="the declaration as JSON")
    parser.add_argument("--port", type=_port, required=True, help="the port to listen on")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (%(default)s)")
    parser.add_argument(
        "--alerts", default="", type=_url, help="where alerts are posted to, such as http://.../v1/alerts"
    )
    parser.add_argument(
        "--token-env",
        default="LOOPWRIGHT_TOKEN",
        help="the environment variable with the bearer token that alerts are sent with (%(default)s)",
    )
    parser.add_argument(
        "--without-token",
        action="store_true",
        help="take profiles, events and labels from anybody, on an address that other machines reach, "
        "when LOOPWRIGHT_TOKEN is not set",
    )
    return parser.parse_args(arguments)


def _port(text: str) -> int:
    if not (text.isdigit() and int(text) < 2**16):
        raise argparse.ArgumentTypeError(f"{text!r} is no port; expected a number from 0 to 65535")
    return int(text)


def _url(text: str) -> str:
    import httpx

    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no URL: {error}") from error
    if text and (url.scheme not in ("http", "https") or not url.host):
        raise argparse.ArgumentTypeError(f"{text!r} is no URL of a web server; expected http://HOST:PORT/PATH")
    return text


def _loop(path: Path) -> Loop:
    try:
        return Loop.from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        raise DeclarationError(
            f"{path} cannot be read: {reason}",
            expected="the JSON of a declaration",
            do="let `loopwright` start the monitor, or write the file with Loop.to_json()",
        ) from error


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket; opened here, as the server would only log that the port is in use."""
    try:
        listener = socket.create_server((host, port), backlog=1024)
        # asyncio does it only for sockets that name their protocol; without, every answer waits 40 ms for an ACK.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except OSError as error:
        used = error.errno == errno.EADDRINUSE
        raise ServingError(
            f"the monitor cannot listen on {host}:{port}: {'the port is in use' if used else error}",
            expected="a free port of this machine",
            do="stop what uses it, or give another --port",
        ) from error


def _archive(loop: Loop, setting: settings.Settings) -> "Archive | None":
    """The declared archive, ready to be written."""
    from loopwright.archive.store import StoreError
    from loopwright.monitor import archive

    declared = loop.monitor.archive
    if declared is None:
        return None
    try:
        return archive.of(declared, loop.name, setting.clock, setting.state)
    except StoreError as error:
        raise DeclarationError(
            f"monitor.archive.url: {declared.url} cannot be used: {error}",
            expected="a bucket or a folder",
            do="correct it in loop.yaml, or the credentials in the environment (docs/events.md)",
        ) from error
    except OSError as error:
        raise StateError(
            f"the archive's spool in {setting.state} cannot be written: {error.strerror or error}",
            expected="a folder with free space that this user may write",
            do=f"free space, change its permissions, or name another with {settings.PREFIX}STATE",
        ) from error


async def _serve(loop: Loop, setting: settings.Settings, listener: socket.socket, alerts: str, token_env: str) -> int:
    import httpx
    import uvicorn

    from loopwright.monitor.alerts import Poster
    from loopwright.monitor.app import build
    from loopwright.monitor.front import protocol
    from loopwright.monitor.memory import Memory
    from loopwright.monitor.push import RemoteWriter
    from loopwright.monitor.receiver import Receiver
    from loopwright.monitor.state import Monitor

    async with httpx.AsyncClient(timeout=5.0, trust_env=False) as client:
        poster = Poster(client, alerts, os.environ.get(token_env, "").strip()) if alerts else None
        monitor = Monitor(
            loop,
            setting.clock,
            poster.offer if poster else lambda content: None,
            archive=_archive(loop, setting),
            memory=Memory(setting.state / "recent" / f"{loop.name}.json") if loop.monitor.recent else None,
        )
        host, port = listener.getsockname()[:2]
        declared = loop.monitor.remote_write
        instance = f"{socket.gethostname()}:{port}"
        writer = RemoteWriter(client, declared, instance, time.time) if declared else None
        receiver = Receiver(monitor, time.time, token=setting.token, password=setting.events_password)
        app = build(monitor, poster, token=setting.token, writer=writer, receiver=receiver)
        config = uvicorn.Config(
            app, access_log=False, log_config=None, log_level="warning", lifespan="on", timeout_graceful_shutdown=5,
            http=protocol(receiver.take),
        )  # fmt: skip
        # uvicorn stops gracefully on these signals and then raises them again; here that is the ordinary end.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        log.info(
            "monitor of %s on http://%s:%d, window %.3g s, look every %.3g s",
            loop.name, host, port, monitor.rule.window, monitor.rule.look,
        )  # fmt: skip
        server = uvicorn.Server(config)
        await server.serve(sockets=[listener])
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main())
