"""The PromQL of docs/performance.md, evaluated by promtool on counters of two replicas of which one restarts."""

import re
import shutil
import subprocess

import pytest
import yaml

HOURS = 7 * 24


def queries(root):
    """The documented expressions, by the comment before each."""
    block = re.search(r"```\n(# F1 of 7 days.*?)```", (root / "docs" / "performance.md").read_text(), re.S)[1]
    parts = re.split(r"^# (.*)$", block, flags=re.M)[1:]
    return dict(zip(parts[::2], (" ".join(text.split()) for text in parts[1::2]), strict=True))


def series(name, labels, hourly, restarts=False):
    """A counter that rises by so much an hour; one that restarts begins again at 0 after half the time."""
    values = f"0+{hourly}x{HOURS}" if not restarts else f"0+{hourly}x{HOURS // 2} 0+{hourly}x{HOURS // 2 - 1}"
    text = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return {"series": f"{name}{{{text}}}", "values": values}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool, of Prometheus, is not installed")
def test_the_documented_queries_give_the_metrics_of_all_replicas(root, tmp_path):
    cells = {("1", "1"): 6, ("1", "0"): 2, ("0", "1"): 4, ("0", "0"): 8}
    given = []
    for replica in ("a", "b"):
        common = {"instance": replica, "version": "1"}
        restarts = replica == "b"
        for (truth, decided), hourly in cells.items():
            where = {"loop": "churn", "slice": "", "value": "", "label": truth, "decided": decided}
            given.append(series("loopwright_label_decisions_total", {**common, **where}, hourly, restarts))
            where |= {"slice": "plan", "value": "basic"}  # a slice is not counted twice
            given.append(series("loopwright_label_decisions_total", {**common, **where}, hourly, restarts))
        demand = {**common, "loop": "demand", "slice": "", "value": ""}
        given.append(series("loopwright_label_error_count", demand, 10, restarts))
        given.append(series("loopwright_label_error_squares_total", demand, 90, restarts))
        given.append(series("loopwright_label_loss_count", {**common, "loop": "churn"}, 20, restarts))
        given.append(series("loopwright_events_total", {**common, "loop": "churn"}, 80, restarts))
    found = queries(root)
    expected = {"F1": 2 * 6 / (2 * 6 + 2 + 4), "RMSE": 3.0, "the share": 0.25}
    assert len(found) == len(expected)
    rules = {"groups": [{"name": "docs", "rules": []}]}
    tests = []
    for number, (title, value) in enumerate(expected.items()):
        text = next(query for comment, query in found.items() if comment.startswith(title))
        # Recorded as "near enough", as promtool compares floats exactly.
        rules["groups"][0]["rules"].append(
            {"record": f"near:{number}", "expr": f"abs(({text}) - {value:.12f}) < bool 0.000001"}
        )
        tests.append(
            {
                "expr": f"near:{number}",
                "eval_time": f"{HOURS}h",
                "exp_samples": [{"labels": f"near:{number}", "value": 1}],
            }
        )
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules))
    case = {"interval": "1h", "input_series": given, "promql_expr_test": tests}
    (tmp_path / "test.yml").write_text(
        yaml.safe_dump({"rule_files": ["rules.yml"], "evaluation_interval": "1h", "tests": [case]})
    )
    done = subprocess.run(["promtool", "test", "rules", tmp_path / "test.yml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
