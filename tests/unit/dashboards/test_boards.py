"""What holds for every dashboard, as Grafana reads it."""

import json
from pathlib import Path

import pytest

pytest.importorskip("grafana_foundation_sdk", reason="the dashboards are built with grafana-foundation-sdk")

from dashboards.generate import COPIES, HERE, files

BOARDS = files()


@pytest.mark.parametrize("name", BOARDS)
def test_a_dashboard_is_what_grafana_s_own_model_takes(name):
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models.dashboard import Dashboard

    # Grafana's schema, as its generated model has it: what it does not know would be lost on the way.
    read = Dashboard.from_json(json.loads(BOARDS[name]))
    assert json.loads(JSONEncoder().encode(read)) == json.loads(BOARDS[name])


@pytest.mark.parametrize("name", BOARDS)
def test_every_panel_asks_the_chosen_prometheus_about_the_chosen_loop_and_says_what_it_shows(name):
    board = json.loads(BOARDS[name])
    known = {one["name"] for one in board["templating"]["list"]} | {"__rate_interval", "__range"}
    titles = [panel["title"] for panel in board["panels"]]
    assert len(titles) == len(set(titles))
    for panel in board["panels"]:
        assert panel["description"].endswith(".")
        for target in panel["targets"]:
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert 'loop="$loop"' in target["expr"]
            words = target["expr"].replace("{", " ").replace("[", " ").replace('"', " ").replace("]", " ").split()
            assert {word[1:] for word in words if word.startswith("$")} <= known


@pytest.mark.parametrize("name", BOARDS)
def test_the_files_are_what_the_code_says(name):
    for folder in (HERE, *COPIES):
        assert (Path(folder) / name).read_text() == BOARDS[name]
