"""Model tests: what any model of these prices has to know, whatever its metrics are."""

import numpy as np
import pytest

FLAT = {"area": 80.0, "rooms": 3.0, "year": 1990.0, "district": "south", "lift": 1.0}


def predict(model, **changed):
    flat = FLAT | changed
    columns = {
        name: np.array([value], object if isinstance(value, str) else np.float64) for name, value in flat.items()
    }
    return float(model.predict(columns)[0])


def test_a_larger_flat_costs_more(trained):
    prices = [predict(trained.model, area=area) for area in (40.0, 80.0, 120.0)]
    assert prices == sorted(prices)
    assert prices[-1] - prices[0] > 150


def test_the_dearest_district_is_known(trained):
    by_district = {name: predict(trained.model, district=name) for name in ("north", "south", "east", "west")}
    assert max(by_district, key=by_district.get) == "south"


@pytest.mark.parametrize("district", ["north", "south", "east", "west"])
def test_no_district_is_judged_worse_than_the_noise_allows(trained, district):
    from rows import rows

    frame = rows(400, seed=99)
    frame = frame[frame["district"] == district]
    columns = {
        name: frame[name].to_numpy(object if name == "district" else np.float64)
        for name in ("area", "rooms", "year", "district", "lift")
    }
    errors = trained.model.predict(columns) - frame["price"].to_numpy()
    assert np.sqrt(np.mean(errors**2)) < 25
