"""What is generated is what is there."""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "loopwright"


def test_copies_and_the_chart_s_table_of_values_are_as_generated(load: Any) -> None:
    for path, text in load("manifests/generate.py").files().items():
        assert path.read_text() == text, f"{path} differs; run `make generate`"


def test_every_value_of_the_chart_is_described(load: Any) -> None:
    listed = {key for key, _, _ in load("manifests/generate.py").values((CHART / "values.yaml").read_text())}

    def missing(values: dict[str, object], path: str = "") -> list[str]:
        found = []
        for name, value in values.items():
            key = f"{path}{name}"
            if key not in listed:
                found += missing(value, f"{key}.") if isinstance(value, dict) and value else [key]
        return found

    assert missing(yaml.safe_load((CHART / "values.yaml").read_text())) == []


def test_the_reference_of_the_declaration_is_as_generated_and_describes_every_key(load: Any) -> None:
    text = (ROOT / "docs" / "loop.md").read_text()
    assert text == load("docs/generate_loop_reference.py").reference(), "run `make generate`"
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) > 50
    assert not [row for row in rows if row.rstrip("| ").count("|") < 4], "a key without a description"
