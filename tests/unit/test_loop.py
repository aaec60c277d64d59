import json
import re

import jsonschema
import pytest
import yaml

import loopwright
from loopwright.declaration import find, load, parse, schema
from loopwright.errors import DeclarationError
from loopwright.loop import Loop

TEXT = """\
apiVersion: loopwright/v1
kind: Loop
metadata: {name: churn}
data:
  source: churn.csv
  label: {column: churned}
  contract:
    age: {type: integer, min: 18}
    plan: {values: [basic, premium]}
    churned: {type: boolean}
model:
  task: classification
"""

RULES = {"pattern": None, "shift": None, "policy": "quarantine"}
DEFAULTS = {
    "apiVersion": "loopwright/v1",
    "kind": "Loop",
    "metadata": {"name": "churn"},
    "data": {
        "source": "churn.csv",
        "entity": None,
        "timestamp": None,
        "label": {"column": "churned", "delay": "0ms", "positive": None, "classes": []},
        "history": None,
        "set_aside": 0.05,
        "holdout": {"share": 0.2, "by": "random"},
        "contract": {
            "age": {
                "type": "integer", "values": None, "min": 18.0, "max": None, "missing": 0.0, "unique": False,
                **RULES,
            },
            "plan": {
                "type": None, "values": ["basic", "premium"], "min": None, "max": None, "missing": 0.0, "unique": False,
                **RULES,
            },
            "churned": {
                "type": "boolean", "values": None, "min": None, "max": None, "missing": 0.0, "unique": False, **RULES
            },
        },
        "rules": [],
        "joins": [],
        "leakage": {"power": 0.99, "policy": "warn"},
        "rows": None,
        "freshness": None,
    },
    "model": {
        "task": "classification",
        "estimator": "lightgbm",
        "parameters": {},
        "objective": None,
        "quantile": None,
        "class_weight": None,
        "early_stopping": None,
        "calibration": None,
        "costs": None,
        "threshold": None,
        "search": None,
        "learning_curve": False,
        "exclude": [],
        "features": None,
        "seed": 7,
    },
    "gates": {
        "minimum": {}, "maximum": {}, "champion": {}, "monotone": {}, "serving": {"latency_p99": None, "size": None},
        "fairness": {}, "slices": [], "approval": "auto", "approvers": [], "approvals": 1, "self_approval": True,
    },
    "rollout": {
        "strategy": "canary",
        "steps": [5, 25, 50, 100],
        "bake": "10m",
        "min_requests": 100,
        "timeout": "1h",
        "false_rollbacks": 0.05,
        "keep": "1h",
        "ab": {
            "header": None, "values": [], "cookie": None, "share": 50, "horizon": "7d", "min_labels": 100,
            "alpha": 0.05, "win": "better",
        },
        "shadow": {"tolerance": 0.0},
        "analysis": {
            "error_rate": {"max": 0.01},
            "latency_p99": {"max": "50ms"},
            "prediction_shift": {"max": 0.5},
            "label_metric": None,
            "disagreement": None,
            "queries": [],
        },
    },
    "monitor": {
        "window": "1h",
        "false_alarms": "1 per 90d",
        "min_effect": 0.1,
        "min_events": 500,
        "persistence": 2,
        "reference": None,
        "bins": 10,
        "seasonality": None,
        "timezone": "UTC",
        "recent": None,
        "archive": None,
        "remote_write": None,
        "performance": {
            "metric": None, "max_drop": 0.05, "over": "7d", "min_labels": 200, "false_alarms": "1 per 90d",
            "reference": None, "slices": [],
        },
        "business": {},
        "freshness": {"events": None, "labels": None},
        "attributions": {"min_change": 0.05, "false_alarms": "1 per 90d"},
        "skew": {"source": None, "max_age": None, "tolerance": 1e-6, "max_share": 0.01, "max_share_of": {}},
    },
    "retrain": {
        "on": ["drift"],
        "schedule": None,
        "upstream": [],
        "timezone": "UTC",
        "quiet_hours": [],
        "debounce": "0ms",
        "cooldown": "1d",
        "min_new_rows": 0,
        "daily_cap": 4,
        "max_failures": 3,
        "suspect": {"missing": 0.1, "new_values": 0.1, "out_of_range": 0.5},
        "rows": "all",
        "min_rows": 1000,
        "dry_run": False,
    },
    "serving": {
        "models": "",
        "mode": "standard",
        "gateway": "kserve/kserve-ingress-gateway",
        "domain": "example.com",
        "host": "",
        "preview_host": "",
        "replicas": {"min": 1, "max": 0},
        "autoscaling": {"metric": "cpu", "target": 70},
        "resources": {
            "predictor": {
                "requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"cpu": None, "memory": "1Gi"},
            },
            "monitor": {
                "requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"cpu": None, "memory": "512Mi"},
            },
        },
        "spread": ["kubernetes.io/hostname"],
        "max_unavailable": 1,
        "node_selector": {},
        "tolerations": [],
        "service_account": None,
        "secret": "loopwright",
        "alerts": "http://loopwright-trigger:8080/v1/alerts",
        "images": {
            "predictor": "loopwright/predictor",
            "monitor": "loopwright/monitor",
            "tag": loopwright.__version__,
            "pull_policy": "IfNotPresent",
        },
        "scrape": "annotations",
    },
    "card": {
        **dict.fromkeys(("owner", "contact", "intended_use", "users", "out_of_scope"), ""),
        "limits": [],
        "risks": [],
        **dict.fromkeys(("oversight", "collection", "labelling", "personal_data"), ""),
    },
    "scale": None,
}  # fmt: skip


def changed(old, new):
    assert TEXT.count(old) == 1
    return TEXT.replace(old, new)


def problem(text):
    with pytest.raises(DeclarationError) as refused:
        parse(text)
    return str(refused.value)


def test_the_least_declaration_is_read_and_its_defaults_are_these():
    assert json.loads(parse(TEXT).to_json()) == DEFAULTS


def test_what_is_written_is_read_back_the_same():
    loop = parse(TEXT)
    assert Loop.from_json(loop.to_json()) == loop
    assert parse(yaml.safe_dump(json.loads(loop.to_json()))) == loop


def test_the_digest_is_of_the_content_and_not_of_the_format():
    loop = parse(TEXT)
    assert parse("# a comment\n" + changed("{name: churn}", "\n  name: 'churn'")).digest == loop.digest
    assert parse(changed("min: 18", "min: 19")).digest != loop.digest


def test_a_loop_does_not_change():
    with pytest.raises(ValueError, match="frozen"):
        parse(TEXT).retrain.daily_cap = 5


def test_inputs_are_the_contract_without_label_entity_and_timestamp():
    text = changed("  source: churn.csv\n", "  source: churn.csv\n  entity: id\n  timestamp: seen\n")
    text = text.replace("  contract:\n", "  contract:\n    id: {type: string}\n    seen: {type: string}\n")
    assert list(parse(text).inputs) == ["age", "plan"]


@pytest.mark.parametrize(
    ("declared", "kind", "numeric"),
    [
        ("{type: integer}", "integer", True),
        ("{min: 0}", "number", True),
        ("{values: [a, b]}", "string", False),
        ("{values: [1, a]}", "string", False),
        ("{values: [1, 2]}", "integer", True),
        ("{values: [1, 2.5]}", "number", True),
        ("{values: [true, false]}", "boolean", True),
        ("{type: string, values: [1, 2]}", "string", False),
    ],
)
def test_a_columns_kind_follows_from_what_is_declared(declared, kind, numeric):
    column = parse(changed("{type: integer, min: 18}", declared)).data.contract["age"]
    assert (column.kind, column.numeric) == (kind, numeric)


def test_the_last_step_is_always_everything():
    assert parse(TEXT + "rollout: {steps: [10]}\n").rollout.steps == (10, 100)
    assert parse(TEXT + "rollout: {steps: [10, 100]}\n").rollout.steps == (10, 100)


@pytest.mark.parametrize(
    "text",
    [
        "{strategy: blue_green, keep: 2h}",
        "{strategy: ab, ab: {header: x-group, values: [beta, inner circle], win: {no_worse_by: 0.01}}}",
        "{strategy: ab, ab: {cookie: group, share: 20, horizon: 14d, alpha: 0.01}}",
        "{strategy: shadow, shadow: {tolerance: 2.5}, analysis: {disagreement: {max: 0.05}}}",
        "{analysis: {queries: [{name: queue, query: 'sum(up)', max: 5, hold: 2m}]}}",
    ],
)
def test_every_strategy_is_read_as_it_was_written_as_json(text):
    loop = parse(TEXT + f"rollout: {text}\n")
    assert Loop.from_json(loop.to_json()) == loop


def test_an_analysis_that_is_given_looks_at_what_it_names_only():
    analysis = parse(TEXT + "rollout: {analysis: {label_metric: {}}}\n").rollout.analysis
    assert analysis.label_metric is not None
    assert analysis.error_rate is analysis.latency_p99 is analysis.prediction_shift is None


# What is replaced, by what, and the message: file, line, key, what was found, what was expected.
WRONG = {
    "a value": ("loopwright/v1", "loopwright/v2", ":1: apiVersion: found 'loopwright/v2'; expected 'loopwright/v1'"),
    "a name": ("churn}", "Churn}", ":3: metadata.name: found 'Churn'; expected "),
    "a long name": ("{name: churn}", f"{{name: {'a' * 41}}}", ":3: metadata.name: found 'a*'; expected .* 40 char"),
    "a scalar": ("{name: churn}", "churn", ":3: metadata: found 'churn'; expected "),
    "no kind": ("kind: Loop\n", "", ":1: kind: missing; expected the key `kind`"),
    "no source": ("  source: churn.csv\n", "", ":4: data.source: missing; expected the key `source`"),
    "a task": (
        "classification",
        "clasification",
        ":12: model.task: found 'clasification'; expected 'classification' or",
    ),
    "an estimator": (
        "classification",
        "classification\n  estimator: xgboost",
        ":13: model.estimator: found 'xgboost'; ",
    ),
    "a seed": ("classification", "classification\n  seed: -1", ":13: model.seed: found '-1'; expected greater than or"),
    "a type": (
        "type: integer, min: 18",
        "type: int",
        ":8: data.contract.age.type: found 'int'; expected 'integer', 'num",
    ),
    "a share": ("min: 18", "missing: 2", ":8: data.contract.age.missing: found '2'; expected less than or equal to 1"),
    "a duration": (
        "churned}\n  con",
        "churned, delay: 30}\n  con",
        ":6: data.label.delay: found '30'; a duration is a number w",
    ),
    "an empty column": (
        "type: integer, min: 18",
        "unique: true",
        ":8: data.contract.age: a column needs a type, values, or a",
    ),
    "a range": ("min: 18", "min: 18, max: 3", ":8: data.contract.age: min 18 is above max 3"),
    "a range of no number": (
        "boolean",
        "boolean, min: 0",
        ":10: data.contract.churned: a boolean column has no min and max",
    ),
    "no values": ("[basic, premium]", "[]", ":9: data.contract.plan.values: expected .*at least 1 item"),
    "an entity": ("churn.csv", "churn.csv\n  holdout: {by: entity}", ":4: data: holdout by entity needs `entity`"),
    "a time": ("churn.csv", "churn.csv\n  holdout: {by: time}", ":4: data: holdout by time needs `timestamp`"),
    "a history": ("churn.csv", "churn.csv\n  history: 30d", ":4: data: history needs `timestamp`"),
    "a whole holdout": (
        "churn.csv",
        "churn.csv\n  holdout: {share: 1}",
        ":6: data.holdout.share: found '1'; expected less than 1",
    ),
    "no input": (
        "    age: {type: integer, min: 18}\n    plan: {values: [basic, premium]}\n",
        "",
        "the contract names no input",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_with_its_line(name):
    old, new, expected = WRONG[name]
    assert re.match("loop.yaml.*" + expected.replace("`", "`"), problem(changed(old, new)))


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        ("gates: {approval: manual}", ":13: gates.approval: found 'manual'; expected 'auto' or 'required'"),
        ("gates: {minimum: {rmse: 3}}", "rmse is no metric of classification; there are roc_auc, average_precision,"),
        ("gates:\n  champion:\n    f1: {}", ":15: gates.champion.f1: a champion rule has either no_worse_by, max_drop"),
        ("gates:\n  champion:\n    f1: {max_drop: 0, no_worse_by: 0}", ":15: gates.champion.f1: a champion rule has "),
        (
            "gates: {champion: {f1: {better_by: 0, confidence: 0.4}}}",
            "found '0.4'; expected greater than or equal to 0.5",
        ),
        ("gates: {slices: [plan, colour]}", "gates.slices: colour is no column of the contract"),
        ("gates: {fairness: {gender: {}}}", "gates.fairness: gender is no column of the contract"),
        ("gates: {fairness: {churned: {}}}", "gates.fairness: churned is no column of the contract"),
        (
            "gates: {champion: {cost: {no_worse_by: 0}}}",
            "gates: cost is no metric of classification; there are roc_auc",
        ),
        ("gates: {monotone: {plan: increasing}}", "gates.monotone: plan is no numeric input of the contract"),
        ("rollout: {steps: [50, 25]}", ":13: rollout.steps: the steps rise, such as [5, 25, 50, 100]"),
        ("rollout: {steps: [25, 25]}", ":13: rollout.steps: the steps rise, such as [5, 25, 50, 100]"),
        ("rollout: {steps: []}", ":13: rollout.steps: the steps rise, such as [5, 25, 50, 100]"),
        (
            "rollout:\n  steps:\n    - 5\n    - 500",
            ":16: rollout.steps.1: found '500'; expected less than or equal to 100",
        ),
        ("rollout: {keep: 2h}", "`keep` is for the strategy blue_green, and the strategy is canary"),
        ("rollout: {ab: {share: 10}}", "`ab` is for the strategy ab, and the strategy is canary"),
        ("rollout: {strategy: ab, shadow: {tolerance: 1}}", "`shadow` is for the strategy shadow"),
        ("rollout: {analysis: {disagreement: {}}}", "which only the strategy shadow has; the strategy is canary"),
        ("rollout: {strategy: ab, ab: {header: x-group}}", "`header` and `values` belong together"),
        ("rollout: {strategy: ab, ab: {values: [beta]}}", "`header` and `values` belong together"),
        ("rollout: {strategy: ab, ab: {header: h, values: [b], share: 20}}", "leave `cookie` and `share` out"),
        ("rollout: {strategy: ab, ab: {header: h, values: [b], cookie: c}}", "leave `cookie` and `share` out"),
        ("rollout: {strategy: ab, ab: {cookie: 'a=b'}}", ":13: rollout.ab.cookie"),
        ("rollout: {strategy: ab, ab: {horizon: 0s}}", "the horizon is above zero"),
        ("rollout: {strategy: ab, ab: {share: 100}}", ":13: rollout.ab.share"),
        ("rollout: {analysis: {queries: [{name: q, query: up}]}}", "the query q has no threshold"),
        ("rollout: {analysis: {queries: [{name: q, query: up, min: 2, max: 1}]}}", "`min` above its `max`"),
        (
            "rollout: {analysis: {queries: [{name: error_rate, query: up, max: 1}]}}",
            "two metrics are called error_rate",
        ),
        ("rollout: {bake: 10}", ":13: rollout.bake: found '10'; a duration is a number with its unit"),
        ("monitor: {false_alarms: 1 in 90d}", ":13: monitor.false_alarms: found '1 in 90d'; a budget is a number per"),
        ("monitor: {recent: 3h}", ":13: monitor: recent needs to be at least four times as long as `window`"),
        ("monitor: {timezone: Europe/Berlin}", ":13: monitor: timezone is that of the seasons"),
        ("monitor: {seasonality: hour}", "monitor: seasonality needs `data.timestamp`"),
        ("monitor: {seasonality: day}", ":13: monitor.seasonality: found 'day'"),
        ("monitor: {bins: 1}", ":13: monitor.bins: found '1'; expected greater than or equal to 2"),
        ("retrain: {on: [drift, moon]}", ":13: retrain.on.1: found 'moon'; expected 'drift'"),
    ],
)
def test_what_is_wrong_in_the_optional_parts_is_told_with_its_line(added, expected):
    message = problem(f"{TEXT}{added}\n")
    assert message.startswith("loop.yaml:")
    assert expected in message


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("model:", "modle:", ":11: modle: unknown key `modle`; did you mean `model`?"),
        ("source:", "sorce:", ":5: data.sorce: unknown key `sorce`; did you mean `source`?"),
        ("min: 18", "mn: 18", ":8: data.contract.age.mn: unknown key `mn`; did you mean `min`?"),
        (
            "task: classification",
            "task: classification\n  sede: 1",
            ":13: model.sede: unknown key `sede`; did you mean `seed`?",
        ),
        ("{name: churn}", "{name: churn, owner: me}", ":3: metadata.owner: unknown key `owner`; there are name"),
        (
            "model:",
            "rollout: {analysis: {eror_rate: {}}}\nmodel:",
            "unknown key `eror_rate`; did you mean `error_rate`?",
        ),
        (
            "model:",
            "gates: {champion: {f1: {max_dorp: 0}}}\nmodel:",
            "unknown key `max_dorp`; did you mean `max_drop`?",
        ),
        (
            "model:",
            "retrain: {cooldwn: 3h}\nmodel:",
            ":11: retrain.cooldwn: unknown key `cooldwn`; did you mean `cooldown`?",
        ),
    ],
)
def test_a_misspelt_key_is_told_with_the_one_that_was_meant(old, new, expected):
    assert expected in problem(changed(old, new))


def test_everything_that_is_wrong_is_told_at_once():
    message = problem(changed("source:", "sorce:").replace("classification", "clasification"))
    assert [line.split(": ")[0] for line in message.splitlines()] == ["loop.yaml:4", "loop.yaml:5", "loop.yaml:12"]
    assert message.endswith("Correct it and run the command again")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kind: [Loop\nmetadata: {}", "loop.yaml:2: not YAML: "),
        ("a: b: c", "loop.yaml:1: not YAML: mapping values are not allowed here"),
        ("\t", "loop.yaml:1: not YAML: "),
        ("", "loop.yaml: found nothing; expected a mapping with apiVersion, kind, metadata, data and model"),
        ("- a", "loop.yaml: found list; expected a mapping"),
        ("!!python/object/apply:os.getcwd []", "loop.yaml:1: not YAML: could not determine a constructor"),
    ],
)
def test_what_is_no_declaration_at_all_is_told(text, expected):
    assert problem(text).startswith(expected)


def test_the_schema_takes_what_is_taken_and_refuses_what_is_refused():
    validator = jsonschema.Draft202012Validator(schema())
    validator.check_schema(schema())
    assert validator.is_valid(yaml.safe_load(TEXT))
    assert validator.is_valid(json.loads(parse(TEXT).to_json()))
    refused = [
        changed("{name: churn}", "{name: Churn}"),
        changed("source:", "sorce:"),
        changed("classification", "clasification"),
        changed("column: churned", "column: churned, delay: 30"),
        f"{TEXT}monitor: {{false_alarms: often}}\n",
    ]
    for text in refused:
        assert problem(text)
        assert not validator.is_valid(yaml.safe_load(text)), text


def test_the_schema_describes_every_setting():
    assert json.loads(json.dumps(schema())) == schema()
    definitions = schema()["$defs"]
    bare = [
        f"{name}.{key}"
        for name in ("Column", "Holdout", "Monitor", "Rollout", "AB", "Shadow", "Query", "Disagreement")
        for key, value in definitions[name]["properties"].items()
        if "description" not in value
    ]
    assert bare == []


def test_a_folder_or_its_file_is_found(tmp_path, monkeypatch):
    (tmp_path / "loop.yaml").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    for named in (None, "", ".", tmp_path, tmp_path / "loop.yaml"):
        assert find(named) == tmp_path.resolve()
    assert load(tmp_path) == parse(TEXT)


def test_a_folder_without_a_loop_says_how_to_make_one(tmp_path):
    with pytest.raises(DeclarationError) as refused:
        find(tmp_path)
    assert str(refused.value).startswith(
        f"no loop.yaml in {tmp_path}; expected a loop: a folder with a loop.yaml. Make"
    )
    assert f"loopwright init {tmp_path} --data FILE --label COLUMN" in refused.value.do
    with pytest.raises(DeclarationError, match="there is no folder"):
        find(tmp_path / "absent")


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    (tmp_path / "loop.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DeclarationError, match=r"loop\.yaml cannot be read: .*utf-8"):
        load(tmp_path)


def test_a_message_names_the_file_that_it_is_about(tmp_path):
    (tmp_path / "loop.yaml").write_text(changed("kind: Loop\n", ""))
    with pytest.raises(DeclarationError) as refused:
        load(tmp_path)
    assert str(refused.value).startswith(f"{tmp_path}/loop.yaml:1: kind: missing")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "source: churn.csv",
            "source: postgresql://u:s3cret@h/db",
            r"data: source: postgresql:// is no URL of files. A database is declared as \{sql: SELECT",
        ),
        ("source: churn.csv", "source: s3://key:s3cret@bucket/x", "data: source: a URL has no user and password"),
        ("source: churn.csv", "source: {sql: SELECT 1}", "data.source: sql and url_env go together"),
        ("source: churn.csv", "source: {python: rows}", "data.source.python: found 'rows'; expected text that matches"),
        ("source: churn.csv", "source: {sqll: SELECT 1}", "data.source.sqll: unknown key `sqll`; did you mean `sql`"),
        ("source: churn.csv", "source: 7", "data.source: found '7'; expected a valid string"),
        ("min: 18", "min: 18, pattern: x", "data.contract.age: a pattern is for text, and the column is integer"),
        (
            "[basic, premium]",
            "[basic], pattern: 'a['",
            r"data.contract.plan: pattern 'a\[' is no regular expression: unterminated character set",
        ),
        (
            "source: churn.csv",
            "source: churn.csv\n  rules: [{expression: 'age >'}]",
            r"data.rules.0.expression: found 'age >'; 'age >' is no expression: invalid syntax",
        ),
        (
            "source: churn.csv",
            "source: churn.csv\n  rules: [{expression: 'agee > 3'}]",
            "data: rules: 'agee > 3' is about 'agee', which the contract does not have",
        ),
        ("source: churn.csv", "source: churn.csv\n  freshness: {max_age: 1d}", "data: freshness needs `timestamp`"),
    ],
)
def test_what_data_may_not_say_is_told_without_a_password(old: str, new: str, message: str) -> None:
    with pytest.raises(DeclarationError, match=message) as caught:
        parse(changed(old, new))
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        ("costs: {false_positive: 0, false_negative: 1}", "a wrong decision has to cost more than the right one"),
        ("costs: {false_positive: 1, false_negative: 1}, threshold: 0.2", "leave one of the two out"),
        ("objective: poisson", "objective is for a regression"),
        ("quantile: 0.9", "quantile and `objective: quantile` belong together"),
        ("estimator: random_forest, early_stopping: {}", "early_stopping is for lightgbm"),
        ("estimator: random_forest, search: {}", "search needs a space for random_forest"),
        ("search: {metric: rmse}", "model.search: rmse is no metric of classification"),
        ("search: {space: {num_leaves: {low: 4}}}", "a parameter has either low and high, or choices"),
        ("search: {space: {num_leaves: {low: 9, high: 4}}}", "low 9 is not below high 4"),
        ("search: {space: {lambda_l2: {low: 0, high: 4, log: true}}}", "a logarithmic range begins above zero"),
        ("exclude: [churned]", "model.exclude: churned is no input of the contract"),
    ],
)
def test_how_a_model_is_trained_is_checked(added, expected):
    assert expected in problem(TEXT.replace("  task: classification", f"  {{task: classification, {added}}}"))


def test_the_threshold_follows_from_the_costs():
    declared = TEXT.replace(
        "  task: classification",
        "  {task: classification, costs: {false_positive: 5, false_negative: 100, true_positive: 5}}",
    )
    loop = parse(declared)
    assert loop.model.decided_at == pytest.approx(5 / 100)
    assert loop.judged_by[-1] == "cost"
    assert parse(TEXT).model.decided_at == 0.5


def test_a_column_that_only_fairness_is_judged_by_is_no_input():
    loop = parse(TEXT.replace("task: classification", "task: classification\n  exclude: [plan]"))
    assert list(loop.inputs) == ["age"]
