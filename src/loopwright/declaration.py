"""Reading a loop.yaml: what is wrong in it is told with its line, what was found and what was expected.

A loop is a folder with a `loop.yaml`. For a misspelt key the message says which one was meant.
"""

import difflib
import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from loopwright.errors import DeclarationError
from loopwright.loop import Loop

FILE = "loop.yaml"


# What a pattern means, where people would have to read it.
_PATTERNS = {
    "metadata.name": "lower-case letters, digits and hyphens, as in a host name",
    "model.estimator": "lightgbm, logistic_regression, linear_regression, random_forest, or module:factory",
    "scale.memory": "an amount such as 500MB or 2GiB",
    "scale.address": "tcp://host:port or tls://host:port",
}


class _Loader(yaml.SafeLoader):
    """YAML 1.2's reading of plain words: `on`, `yes` and `No` are text, and so is a date. A key twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping of a node, in which no key occurs twice: YAML would silently take the last one."""
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is there twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def find(folder: str | Path | None) -> Path:
    """The loop's folder: the one named, or the current one. Raises DeclarationError when it has no loop.yaml."""
    path = Path(folder) if folder else Path.cwd()
    if path.name == FILE and path.is_file():
        path = path.parent
    if not (path / FILE).is_file():
        gone = f"{path} is no folder" if path.exists() else f"there is no folder {path}"
        what = f"no {FILE} in {path}" if path.is_dir() else gone
        raise DeclarationError(
            what,
            expected="a loop: a folder with a loop.yaml",
            do=f"make one with `loopwright init {folder or 'NAME'} --data FILE --label COLUMN`, or name another folder",
        )
    return path.resolve()


def load(folder: str | Path) -> Loop:
    """Read `folder/loop.yaml`. Raises DeclarationError naming the line and what to do."""
    path = Path(folder) / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DeclarationError(f"{path} cannot be read: {error}", do="check the file and its permissions") from error
    return parse(text, str(path))


def parse(text: str, name: str = FILE) -> Loop:
    """Read a declaration from text; `name` is what messages call it."""
    try:
        tree = yaml.compose(text, Loader=_Loader)
        values = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader that resolves less
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        twice = problem.endswith("is there twice")
        found = f"{name}{line}: {problem}" if twice else f"{name}{line}: not YAML: {problem}"
        raise DeclarationError(found, do="remove one" if twice else "check indentation and quotes there") from error
    if not isinstance(values, dict):
        raise DeclarationError(
            f"{name}: found {'nothing' if values is None else type(values).__name__}",
            expected="a mapping with apiVersion, kind, metadata, data and model",
            do="`loopwright init` writes one from a data file",
        )
    try:
        return Loop.model_validate(values)
    except ValidationError as error:
        lines = [_explain(name, tree, item) for item in error.errors()]
        raise DeclarationError("\n".join(dict.fromkeys(lines)), do="correct it and run the command again") from error


def _explain(name: str, tree: yaml.Node | None, error: Any) -> str:
    """One line for one pydantic error: file, line, key, what was found and what was expected."""
    location = tuple(part for part in error["loc"] if not _is_branch(part))
    if not location and (named := re.match(r"Value error, (\w+): ", error["msg"])):
        # A check over several parts names the one to look at first.
        location = (named[1],)
    line, found = _locate(tree, location)
    path = ".".join(str(part) for part in location) or "the declaration"
    where = f"{name}:{line}: {path}"
    match error["type"]:
        case "extra_forbidden":
            allowed = _keys(location[:-1])
            close = difflib.get_close_matches(str(location[-1]), allowed, n=1)
            hint = f"did you mean `{close[0]}`?" if close else f"there are {', '.join(allowed)}"
            return f"{where}: unknown key `{location[-1]}`; {hint}"
        case "missing":
            return f"{where}: missing; expected the key `{location[-1]}`"
        case _:
            expected = re.sub(r"^(Value error, |Input should be )", "", error["msg"])
            expected = re.sub(rf"^{location[0]}: ", "", expected) if len(location) == 1 else expected
            if error["type"] == "string_pattern_mismatch":
                expected = _PATTERNS.get(path, f"text that matches {error['ctx']['pattern']}")
            got = f"found {found!r}; " if found is not None else ""
            return f"{where}: {got}{'' if error['type'] == 'value_error' else 'expected '}{expected}"


def _is_branch(part: object) -> bool:
    """Whether pydantic put the name of a union's branch into the location: no key of ours looks like that."""
    return isinstance(part, str) and (part in ("bool", "int", "float", "str") or "[" in part)


def _locate(node: yaml.Node | None, location: tuple[int | str, ...]) -> tuple[int, str | None]:
    """The line (from 1) of the key at `location`, or of the nearest key above, and its scalar value."""
    line = 1 if node is None else node.start_mark.line + 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    line, node = key.start_mark.line + 1, value
                    break
            else:
                return line, None
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            return line, None
    return line, node.value if isinstance(node, yaml.ScalarNode) else None


def _keys(location: tuple[int | str, ...]) -> list[str]:
    """The keys that may stand at `location`, in their order."""
    model: Any = Loop
    for part in location:
        fields = getattr(model, "model_fields", {})
        annotation = fields[part].annotation if part in fields else model
        model = next((kind for kind in _models(annotation)), model)
    return list(getattr(model, "model_fields", {}))


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The declared models inside an annotation such as `Analysis | None` or `dict[str, Column]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in getattr(annotation, "__args__", ()) for model in _models(inner)]


def schema() -> dict[str, Any]:
    """The JSON schema of loop.yaml, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Loop.model_json_schema()}
