"""`python -m loopwright.serving`: serve one bundle as one version of a loop."""

import argparse
import gc
import logging
import sys
import warnings
from pathlib import Path

from loopwright import processes
from loopwright.errors import BundleError, LoopwrightError


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m loopwright.serving", description="Serve one version of a model.", allow_abbrev=False
    )
    parser.add_argument("--bundle", type=Path, required=True, help="the bundle's folder")
    parser.add_argument("--digest", help="the digest the bundle must have; without it, only damage is found")
    parser.add_argument("--name", required=True, help="the model's name: the loop's")
    parser.add_argument("--version", required=True, help="the model's version, as every answer names it")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    parser.add_argument("--http-port", type=int, default=8080, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--grpc-port", type=int, default=8081, help="0 takes a free one (default: %(default)s)")
    parser.add_argument(
        "--monitor",
        help="the drift monitor's URL; without it no events are sent. They are sent with LOOPWRIGHT_TOKEN",
    )
    parser.add_argument(
        "--threads", type=_positive, default=2, help="predictions of many rows at the same time (default: %(default)s)"
    )
    parser.add_argument(
        "--waiting",
        type=_positive,
        default=64,
        help="requests of many rows that are predicted or wait; more are answered 503 (default: %(default)s)",
    )
    parser.add_argument(
        "--timeout",
        type=_positive,
        default=30,
        help="seconds that a body may take to arrive, and a prediction of many rows to be made (default: %(default)s)",
    )
    return parser.parse_args()


def _positive(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 10**6:
        raise argparse.ArgumentTypeError(f"found {text!r}; expected a whole number above 0")
    return int(text)


def main() -> int:
    """Serve until told to stop; the exit code is the error's, with its message on stderr."""
    arguments = _arguments()
    processes.collect_seldom()
    # KServe reads the command line while it is imported, and would take ours for its own.
    sys.argv = sys.argv[:1]
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    # KServe answers with a response class that FastAPI has deprecated, and FastAPI says so for each answer.
    warnings.filterwarnings("ignore", message="ORJSONResponse is deprecated")
    for name in ("kserve", "httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # uvicorn warns of every request that is no HTTP, and so would let any caller fill the disk.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    # With a handler of its own KServe leaves the logging's configuration alone.
    logging.getLogger("kserve").addHandler(logging.NullHandler())
    try:
        return _serve(arguments)
    except LoopwrightError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def _serve(arguments: argparse.Namespace) -> int:
    from loopwright.models import bundle as bundles
    from loopwright.serving.addresses import listen

    # What is likely to be wrong is found before the libraries are imported, which takes seconds.
    bundle = bundles.read(arguments.bundle, arguments.digest)
    http = listen(arguments.host, arguments.http_port)

    import uvloop
    from prometheus_client import REGISTRY, disable_created_metrics

    from loopwright import settings
    from loopwright.http import bearer
    from loopwright.models.model import Model
    from loopwright.serving.events import Events
    from loopwright.serving.metrics import Metrics
    from loopwright.serving.post import Poster
    from loopwright.serving.predictor import Predictor
    from loopwright.serving.scorer import Limits, Scorer
    from loopwright.serving.server import PredictorServer

    model = Model(bundle)
    disable_created_metrics()  # type: ignore[no-untyped-call]
    metrics = Metrics(arguments.name, arguments.version, REGISTRY, digest=bundle.digest)

    profile = bundle.contents.get(bundles.PROFILE, b"")
    if arguments.monitor and not profile:
        raise BundleError(f"there is no {bundles.PROFILE} in {arguments.bundle}", expected="one, as --monitor is given")

    # From the environment, as everybody on the machine sees a process' arguments.
    token = settings.read(Path.cwd()).token

    poster = Poster(arguments.monitor, bearer(token)) if arguments.monitor else None

    async def run() -> None:
        events = Events(poster, arguments.version, profile, model.inputs, metrics) if poster else None
        limits = Limits(arguments.threads, arguments.waiting, arguments.timeout)
        scorer = Scorer(model, metrics, events, limits)
        server = PredictorServer(
            Predictor(arguments.name, arguments.version, scorer),
            arguments.version,
            scorer,
            metrics,
            events,
            host=arguments.host,
            grpc_port=arguments.grpc_port,
        )
        await server.serve(http)

    # What is loaded stays: collections that looked at it again and again would cost each request a few microseconds.
    gc.collect()
    gc.freeze()
    # A request of 1,000 rows makes some thousand lists and dictionaries that are gone once it is answered; by Python's
    # 700 they are looked at again and again meanwhile, which is 7 % of the request's time.
    gc.set_threshold(10_000)
    uvloop.run(run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
