"""A stand-in for the processes of `loopwright up` but Envoy: answers as they do, computes nothing.

As a predictor it says its version and process, over HTTP and gRPC, after `--work` milliseconds, and what it was asked;
it stops as uvicorn does, after the requests in flight. As monitor or trigger it is healthy, and has a child of its own.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import uvicorn

SEEN: list[list[str | None]] = []
"""The id and the host of every request, over HTTP or gRPC; `GET /seen` tells them."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--version", default="")
    parser.add_argument("--http-port", type=int)
    parser.add_argument("--grpc-port", type=int, default=0)
    parser.add_argument("--work", type=float, default=0.0)
    parser.add_argument("--bundle", default="")
    options = parser.parse_args()
    if options.bundle.endswith("broken"):
        sys.exit("BundleError: the model is damaged")
    if options.grpc_port:
        grpc_server(options.grpc_port, options.version)
    else:
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])

    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        if scope["path"] != "/seen":
            SEEN.append([headers.get("x-request-id"), headers.get("host")])
        while (await receive()).get("more_body"):
            pass
        path, status = scope["path"], 200
        if path.startswith("/v1/models"):
            await asyncio.sleep(options.work / 1000)
        if path.startswith("/sleep/"):
            await asyncio.sleep(float(path.removeprefix("/sleep/")))
        if path == "/fail":
            status = 500
        body = json.dumps({"version": options.version, "pid": os.getpid(), "drifted": False}).encode()
        if path == "/v1/drift":
            body = b'{"version":"1","features":{"age":{"distance":0.2,"score":1.5,"drifted":true}}}'
        if path == "/environment":
            body = json.dumps({"token": os.environ["LOOPWRIGHT_TOKEN"], "arguments": sys.argv}).encode()
        if path == "/seen":
            body = json.dumps(SEEN).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    uvicorn.run(app, host="127.0.0.1", port=options.http_port, log_level="warning", lifespan="off", ws="none")


def grpc_server(port: int, version: str) -> None:
    import grpc

    class Answer(grpc.GenericRpcHandler):
        def service(self, details):
            def act(request, context):
                metadata = dict(context.invocation_metadata())
                SEEN.append([metadata.get("x-request-id"), None])
                if request == b"fail":
                    context.abort(grpc.StatusCode.INTERNAL, "asked to fail")
                return version.encode()

            return grpc.unary_unary_rpc_method_handler(act)

    server = grpc.server(ThreadPoolExecutor(4), handlers=[Answer()])
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    globals()["server"] = server


if __name__ == "__main__":
    main()
