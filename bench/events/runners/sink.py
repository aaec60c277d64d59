"""A plain sink of CloudEvents: FastAPI and the cloudevents package; reads the event and its JSON, and counts it."""

import json

from cloudevents.http import from_http
from fastapi import FastAPI, Request, Response

app = FastAPI()
counted = {"events": 0}


@app.post("/")
async def event(request: Request):
    found = from_http(request.headers, await request.body())
    data = found.data
    if isinstance(data, (bytes, str)):
        data = json.loads(data)
    counted["events"] += bool(data) and bool(found["id"])
    return Response(status_code=200)


@app.get("/healthz")
async def healthz():
    return counted
