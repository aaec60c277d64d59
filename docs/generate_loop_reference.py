"""Write docs/loop.md, the reference of loop.yaml, from the model that reads it (`make generate`)."""

import types
import typing
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from loopwright import loop
from loopwright.durations import Budget, format_duration

HERE = Path(__file__).parent
INTRODUCTION = """# loop.yaml: every key

A loop is a folder with a `loop.yaml`. `loopwright init` writes one from a data file, `loopwright check` holds it
against the data, and `loopwright schema > loop.schema.json` prints its JSON schema, which editors complete and check
by. A key that is not listed here is an error, with its line and the key that was probably meant.

- A *duration* is a number with its unit: `50ms`, `90s`, `10m`, `1h`, `30d`, `2w`.
- A *share* is a number from 0 to 1.
- A key without a default must be given.

This page is generated from `src/loopwright/loop`; `make generate` writes it.
"""

# What the model leaves to be understood from the name.
DESCRIPTIONS = {
    "Loop.apiVersion": "The format of this file.",
    "Loop.kind": "What this file declares.",
    "Model.task": "Whether the label is one of two values, or a number.",
    "Rollout.strategy": "canary: by `steps`; blue_green: all at once, watched at 100 %.",
    "ErrorRate.max": "The share of failed requests that is accepted.",
    "LatencyP99.max": "How long a request may take, in real time.",
    "Retrain.on": "What starts a run by itself.",
    "Autoscaling.metric": "What the autoscaler looks at.",
    "Amount.cpu": "Processors, such as `250m` for a quarter of one.",
    "Amount.memory": "Memory, such as `512Mi`.",
    "Toleration.key": "The taint's key; none tolerates every taint, with `operator: Exists`.",
    "Toleration.operator": "Whether the value has to be equal.",
    "Toleration.value": "The taint's value.",
    "Toleration.effect": "The taint's effect; none is every one.",
    "Scale.engine": "What runs them.",
    "Images.predictor": "The predictor's repository.",
    "Images.monitor": "The monitor's repository.",
    "Images.pull_policy": "When the node pulls them.",
}


def reference() -> str:
    """The whole page."""
    parts = [INTRODUCTION, *_section(loop.Loop, "")]
    return "\n".join(parts)


def _section(model: type[BaseModel], path: str) -> list[str]:
    """A model's table, then its children's."""
    parts = []
    if path:
        parts += [f"## `{path}`\n", f"{' '.join((model.__doc__ or '').split())}\n"]
    else:
        parts += ["## The file\n"]
    parts += ["| key | type | default | what it is |", "| --- | --- | --- | --- |"]
    children = []
    for name, field in model.model_fields.items():
        child, many = _model(field.annotation)
        parts.append(
            f"| `{name}` | {_type(field)} | {_default(field)} | {_text(f'{model.__name__}.{name}', field, child)} |"
        )
        if child is not None:
            below = f"{path}.{name}".lstrip(".") + (".NAME" if many else "")
            children += _section(child, below)
    return [*parts, "", *children]


def _model(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The model inside an annotation, and whether it stands for every value of a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    for inner in get_args(annotation):
        found, _ = _model(inner)
        if found is not None:
            return found, get_origin(annotation) is dict
    return None, False


def _type(field: FieldInfo) -> str:
    limits = [text for item in field.metadata if (text := _limit(item))]
    return ", ".join([_name(field.annotation), *limits])


def _name(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is typing.Annotated:
        limits = [text for item in arguments[1:] for one in getattr(item, "metadata", [item]) if (text := _limit(one))]
        return ", ".join([_name(arguments[0]), *limits])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        if set(arguments) == {bool, int, float, str}:
            return "text or number or boolean"
        return " or ".join(_name(one) for one in arguments if one is not type(None))
    if origin is tuple:
        return f"list of {_name(arguments[0])}"
    if origin is dict:
        return f"mapping of {_name(arguments[0])} to {_name(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping"
    return {
        str: "text", int: "whole number", float: "number", bool: "boolean", timedelta: "duration", Budget: "budget"
    }[annotation]  # fmt: skip


def _limit(item: Any) -> str:
    texts = {
        "ge": "at least {}",
        "gt": "above {}",
        "le": "at most {}",
        "lt": "below {}",
        "max_length": "at most {} long",
    }
    for name, text in texts.items():
        value = getattr(item, name, None)
        if value is not None:
            return text.format(f"{value:,}" if isinstance(value, int) else value)
    return ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "none"
    if isinstance(value, BaseModel):
        # Left out as a whole it may be more than a mapping with nothing in it.
        given = [name for name in type(value).model_fields if getattr(value, name) != getattr(type(value)(), name)]
        return f"`{{{', '.join(f'{name}: {{}}' for name in given)}}}`" if given else "see below"
    if isinstance(value, timedelta):
        return f"`{format_duration(value)}`"
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, dict):
        return "empty"
    return f"`{value}`"


def _text(key: str, field: FieldInfo, child: type[BaseModel] | None) -> str:
    text = field.description or DESCRIPTIONS.get(key, "")
    if not text and child is not None:
        text = " ".join((child.__doc__ or "").split())
    return text.replace("|", "\\|")


def main() -> None:
    """Write the page."""
    (HERE / "loop.md").write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
