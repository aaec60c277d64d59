"""Feature tests: one row is worth the same alone and among others, and nothing of the label is in it."""

import numpy as np
from rows import rows


def columns(frame):
    return {
        name: frame[name].to_numpy(object if frame[name].dtype == object else np.float64)
        for name in ("area", "rooms", "year", "district", "lift")
    }


def test_a_row_has_the_same_features_alone():
    from loop.features import features

    frame = rows(20)
    together, alone = features(columns(frame)), features(columns(frame.iloc[[7]]))
    for name, values in together.items():
        assert values[7] == alone[name][0], name


def test_the_label_is_no_feature():
    from loop.features import features

    assert "price" not in features(columns(rows(3)))
