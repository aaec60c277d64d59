"""KServe's lightgbm server, which is not on PyPI, on KServe's own ModelServer.

The model does what the class of python/lgbserver does (https://github.com/kserve/kserve, python/lgbserver/lgbserver/
model.py and __main__.py): KServe's helper turns the request into a matrix, `Booster.predict` is called in the event
loop with the one thread that is the server's default, and KServe's helper makes the answer. All else is KServe's.

With --quiet it writes no log line a request, which is not the default.
"""

import argparse
import logging
from pathlib import Path

import kserve
import lightgbm
from kserve.utils.utils import get_predict_input, get_predict_response


class LightGBM(kserve.Model):
    """A booster in a folder, as `model.bst`."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name)
        self._booster = lightgbm.Booster(params={"nthread": 1}, model_file=str(folder / "model.bst"))
        self.ready = True

    def predict(self, payload, headers=None):
        """The request's rows in, their predictions out."""
        matrix = get_predict_input(payload, columns=self._booster.feature_name())
        return get_predict_response(payload, self._booster.predict(matrix), self.name)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(parents=[kserve.model_server.parser])
    parser.add_argument("--model_dir", type=Path, required=True)
    parser.add_argument("--quiet", action="store_true")
    arguments, _ = parser.parse_known_args()
    kserve.logging.configure_logging()
    if arguments.quiet:
        for name in ("kserve", "kserve.trace", "uvicorn.access"):
            logging.getLogger(name).setLevel(logging.WARNING)
    kserve.ModelServer(workers=1, enable_latency_logging=not arguments.quiet).start(
        [LightGBM(arguments.model_name, arguments.model_dir)]
    )
