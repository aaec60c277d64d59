"""The floor: the monitor's way of reading HTTP, with an acknowledgement and nothing else behind it."""

import sys

import uvicorn

from loopwright.monitor.front import protocol


async def healthz(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


if __name__ == "__main__":
    taken = protocol(lambda rest, headers, body: (200, ""))
    uvicorn.run(healthz, port=int(sys.argv[1]), http=taken, loop="asyncio", lifespan="off", access_log=False)
