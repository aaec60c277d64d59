"""A model on KServe's own Python server, as another runtime serves it: P(yes) from `age` and `plan`. Not a test."""

import argparse

import numpy as np
from kserve import InferOutput, InferResponse, Model, ModelServer
from kserve.model_server import parser


class Sure(Model):
    """P(yes) is age / 100, and 0.1 more for a premium plan."""

    def load(self) -> bool:
        self.ready = True
        return True

    async def predict(self, payload, headers=None, response_headers=None):
        """V1's dictionaries, and V2's tensors as they come."""
        if isinstance(payload, dict):
            rows = payload["instances"]
            return {"predictions": [row["age"] / 100 + 0.1 * (row["plan"] == "premium") for row in rows]}
        given = {tensor.name: tensor.as_numpy().reshape(-1) for tensor in payload.inputs}
        premium = np.array([value in ("premium", b"premium") for value in given["plan"]])
        output = InferOutput("predict", [len(premium)], "FP64")
        output.set_data_from_numpy(given["age"] / 100 + 0.1 * premium, binary_data=payload.use_binary_outputs)
        return InferResponse(payload.id, self.name, [output], use_binary_outputs=payload.use_binary_outputs)


if __name__ == "__main__":
    options, _ = argparse.ArgumentParser(parents=[parser], conflict_handler="resolve").parse_known_args()
    model = Sure("sure")
    model.load()
    ModelServer(workers=1, enable_grpc=False).start([model])
