"""Judge the model on the holdout, alone and against the champion."""

from kfp import dsl
from kfp.dsl import HTML, Artifact, ClassificationMetrics, Dataset, Input, Metrics, Model, Output

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def evaluate(
    loop: str,
    run: str,
    cause: int,
    model: Input[Model],
    holdout: Input[Dataset],
    evaluation: Output[Artifact],
    metrics: Output[Metrics],
    classification: Output[ClassificationMetrics],
    report: Output[HTML],
) -> int:
    """Judge the model on rows that it has not seen, by the loop's gates."""
    from pathlib import Path

    from loopwright.files import write_json
    from loopwright.registry import Registry
    from loopwright.report.page import judgement
    from loopwright.steps import recording
    from loopwright.steps.evaluate import evaluate as run_step

    with recording.step("evaluate", loop, run, cause) as step:
        judged = run_step(step.loop, Registry(step.settings), Path(model.path), Path(holdout.path))
        write_json(Path(evaluation.path), judged)
        step.facts = {name: judged[name] for name in ("passed", "metrics", "gates", "champion", "rows")}
        generated = step.settings.clock.now()
        Path(report.path).write_text(judgement(step.loop, judged, generated), encoding="utf-8")
    for name, value in judged["metrics"].items():
        metrics.log_metric(name, value)
    roc = judged["curves"].get("roc")
    if roc is not None:
        # KFP's UI draws the curve from thresholds that fall while the rates rise.
        last = len(roc["fpr"]) - 1
        classification.log_roc_curve(roc["fpr"], roc["tpr"], [1 - point / last for point in range(last + 1)])
        classification.log_confusion_matrix(judged["classes"], judged["confusion"])
    return step.number
