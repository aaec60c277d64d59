"""A model behind two servers' insides: with the fast path and without, to be asked the same."""

import asyncio
from collections import namedtuple

import httpx
import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from loopwright.models import bundle, columns, features, fit, model
from loopwright.models.choices import Choices
from loopwright.serving.metrics import Metrics


class Recorder:
    """The rows that are handed over to be monitored."""

    def __init__(self, names):
        self.names, self.rows = names, []

    def add(self, identity, raw, predictions):
        ids = [identity] if len(predictions) == 1 else [f"{identity}/{row}" for row in range(len(predictions))]
        self.rows += zip(ids, *(raw[name].tolist() for name in self.names), predictions.tolist(), strict=True)

    def add_row(self, identity, values, prediction):
        self.rows.append((identity, *values, prediction))


Metadatum = namedtuple("Metadatum", ("key", "value"))


class Context:
    """gRPC's context: what a call came with, and how it ended."""

    def __init__(self, metadata):
        self.metadata, self.aborted = metadata, None

    def invocation_metadata(self):
        return tuple(Metadatum(key, value) for key, value in self.metadata)

    def trailing_metadata(self):
        return ()

    async def abort(self, code, details):
        self.aborted = (code, details)
        raise asyncio.CancelledError


class Both:
    """One predictor behind two fronts and two servicers: with the fast path and without."""

    def __init__(self, loaded, limits=None):
        from fastapi import FastAPI
        from kserve import ModelServer
        from kserve.protocol.model_repository_extension import ModelRepositoryExtension

        from loopwright.serving import rest, rpc
        from loopwright.serving.fast import Fast
        from loopwright.serving.front import Front
        from loopwright.serving.predictor import Predictor
        from loopwright.serving.scorer import Scorer
        from loopwright.serving.server import _DataPlane

        self.metrics, self.recorder = Metrics("churn", "3", CollectorRegistry()), Recorder(list(spec_names(loaded)))
        self.scorer = scorer = Scorer(loaded, self.metrics, self.recorder, limits)
        server = ModelServer(workers=1)
        self.predictor = Predictor("churn", "3", scorer)
        server.register_model(self.predictor)
        # KServe has one application a process; here each model has its own.
        app = FastAPI()
        plane = _DataPlane(server.registered_models)
        repository = ModelRepositoryExtension(server.registered_models)
        rest._Rest(plane, repository).register(app)
        self.passed = 0

        async def passed(scope, receive, send):
            self.passed += 1
            await app(scope, receive, send)

        fast = Fast(scorer, "churn", "3")
        self.fast = Front(passed, "churn", "3", self.metrics, fast)
        self.slow = Front(app, "churn", "3", self.metrics)
        self.servicer = rpc._Servicer(plane, repository, self.metrics, fast, "churn")
        self.slow_servicer = rpc._Servicer(plane, repository, self.metrics, fast, "churn")
        self.slow_servicer._plain = lambda request, context: None

    def ask(self, front, path, body, headers=(), method="POST"):
        """The answer, and the rows that were recorded."""

        async def one():
            async with httpx.AsyncClient(transport=httpx.ASGITransport(front), base_url="http://predictor") as client:
                return await client.request(method, path, content=body, headers=httpx.Headers(headers))

        self.recorder.rows = []
        return asyncio.run(one()), repr(self.recorder.rows)

    def agree(self, path, body, headers=(("x-request-id", "order-1"),), method="POST"):
        """Ask both: the answers and what was recorded are the same. Returns the answer, and whether it was fast."""
        passed = self.passed
        (fast, recorded), (slow, expected) = (
            self.ask(front, path, body, headers, method) for front in (self.fast, self.slow)
        )
        assert (fast.status_code, said(fast)) == (slow.status_code, said(slow))
        for name in ("content-type", "x-model-version"):
            assert fast.headers[name] == slow.headers[name], name
        assert recorded == expected
        return fast, self.passed == passed

    def call(self, servicer, request, metadata=()):
        """The answer to a gRPC call, or the status and text it was refused with; and the rows that were recorded."""
        context = Context(metadata)

        async def one():
            try:
                return await servicer.ModelInfer(request, context)
            except asyncio.CancelledError:
                return context.aborted

        self.recorder.rows = []
        return asyncio.run(one()), repr(self.recorder.rows)

    def agree_grpc(self, request, metadata=(("x-request-id", "order-1"),)):
        """As `agree`, of the two servicers. The answer is gRPC's message, or a status and a text."""
        plain = self.servicer._plain(request, Context(metadata))
        first, second = (self.call(servicer, request, metadata) for servicer in (self.servicer, self.slow_servicer))
        assert first == second
        return first[0], plain is not None


def spec_names(loaded):
    return (spec.name for spec in loaded.inputs)


def said(answer):
    """What an answer says: KServe's V2 answers have null for parameters where there are none."""
    body = answer.json()
    for part in (body, *body.get("outputs", ())):
        if part.get("parameters", 0) is None:
            del part["parameters"]
    return body


@pytest.fixture(scope="session")
def ask_both():
    return Both


@pytest.fixture(scope="session")
def make_model(tmp_path_factory):
    """Train a model on rows; what it learns is whether a column is above 20, and of three classes above 40."""

    def make(contract, rows, learnt, *, task="classification", estimator="lightgbm", code=None, several=False):
        inputs = columns.specs(contract)
        raw = columns.from_rows(inputs, rows)
        seen = features.load(code)(raw) if code else raw
        specs = features.fit_spec(seen)
        target = (np.nan_to_num(raw[learnt]) > 20).astype(float)
        if several:
            target += np.nan_to_num(raw[learnt]) > 40
        choices = Choices(classes=3 if several else 2)
        fitted = fit.fit(task, estimator, {}, 1, features.encode(specs, seen), specs, target, choices=choices)
        manifest = bundle.Manifest(
            loop="churn",
            task=task,
            estimator=estimator,
            classes=("low", "some", 'a "lot"') if several else ("No", "Yes") if task == "classification" else (),
            inputs=inputs,
            features=specs,
            ignored=("customer",),
        )
        folder = tmp_path_factory.mktemp("models") / "model"
        bundle.write(folder, manifest, {**fitted.dump(), **({"features.py": code.encode()} if code else {})})
        return model.load(folder)

    return make
