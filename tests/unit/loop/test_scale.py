"""`scale` in loop.yaml: its short form, and what does not go with it."""

from typing import Any

import pytest

from loopwright.declaration import parse
from loopwright.errors import DeclarationError
from loopwright.loop import Loop, Scale


def declared(text: str, churn: str, model: str = "") -> Loop:
    return parse(churn.replace("model: {task: classification}", f"model: {{task: classification{model}}}") + text)


@pytest.mark.parametrize(
    ("text", "scale"),
    [
        ("", None),
        ("scale: dask\n", Scale()),
        ("scale: {workers: 4, memory: 2GiB}\n", Scale(workers=4, memory="2GiB")),
        ("scale: {memory: 512MB}\n", Scale(memory="512MB")),
        ("scale: {address: 'tls://dask:8786', threads: 8}\n", Scale(address="tls://dask:8786", threads=8)),
    ],
)
def test_it_is_declared_short_or_whole(churn_declaration: str, text: str, scale: Any) -> None:
    loop = declared(text, churn_declaration)
    assert loop.scaled == scale
    assert Loop.from_json(loop.to_json()) == loop


@pytest.mark.parametrize("model", ["random_forest", '"my.models:made"'])
@pytest.mark.parametrize(
    "whole", ["calibration: sigmoid", "learning_curve: true", "search: {trials: 3, space: {a: {low: 0, high: 1}}}"]
)
def test_an_estimator_that_holds_all_rows_goes_with_what_needs_them(
    churn_declaration: str, model: str, whole: str
) -> None:
    assert declared("scale: dask\n", churn_declaration, f", estimator: {model}, {whole}").scaled == Scale()


@pytest.mark.parametrize(
    ("text", "model", "why"),
    [
        ("scale: spark\n", "", "scale: found 'spark'; expected 'dask'"),
        ("scale: {memory: 2Gi}\n", "", "scale.memory: found '2Gi'; expected an amount such as 500MB or 2GiB"),
        ("scale: {memory: 0MB}\n", "", "a worker begins at some 380 MB; give it 512MB or more"),
        ("scale: {memory: 0.4GiB}\n", "", "give it 512MB or more"),
        ("scale: {address: 'http://dask'}\n", "", "expected tcp://host:port or tls://host:port"),
        (
            "scale: dask\n",
            ", estimator: logistic_regression",
            "logistic_regression learns from all rows in one process",
        ),
        ("scale: dask\n", ", early_stopping: {}", "it does not go with model.early_stopping"),
        ("scale: dask\n", ", calibration: sigmoid", "it does not go with model.calibration"),
        ("scale: dask\n", ", learning_curve: true", "it does not go with model.learning_curve"),
        ("scale: dask\n", ", search: {trials: 3}", "it does not go with model.search"),
    ],
)
def test_what_does_not_work_with_it_is_refused_with_its_reason(
    churn_declaration: str, text: str, model: str, why: str
) -> None:
    with pytest.raises(DeclarationError) as refused:
        declared(text, churn_declaration, model)
    assert why in str(refused.value)
    assert "scale" in str(refused.value).split("; ")[0]
