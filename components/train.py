"""Train a model on the training rows."""

from kfp import dsl
from kfp.dsl import Dataset, Input, Model, Output

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def train(
    loop: str,
    features: str,
    run: str,
    cause: int,
    training: Input[Dataset],
    holdout: Input[Dataset],
    model: Output[Model],
) -> int:
    """Train a model, and make the profile that the drift monitor compares live data with."""
    from pathlib import Path

    from loopwright.steps import recording
    from loopwright.steps.train import train as run_step
    from loopwright.steps.tried import searched_in

    with recording.step("train", loop, run, cause) as step:
        paths = Path(training.path), Path(holdout.path), Path(model.path)
        step.facts = run_step(step.loop, features, *paths, searched_in(step))
        model.metadata.update({"estimator": step.facts["estimator"], "digest": step.facts["digest"]})
    return step.number
