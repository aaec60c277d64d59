"""What a rollout asks of two versions before it begins, from the bundles that the registry has of them."""

from types import SimpleNamespace

import pytest

from loopwright.cli import going_live
from loopwright.errors import RolloutError
from loopwright.loop import Rollout
from loopwright.models import bundle
from loopwright.models.columns import InputSpec


@pytest.fixture
def comparable(monkeypatch):
    """Whether version 2 may be held against version 1, the champion, whose manifests are stand-ins with these facts."""
    age = InputSpec(name="age", kind="number", type="number")

    def call(classes, inputs=(age,), *, other_inputs=False):
        known = {1: SimpleNamespace(classes=("a", "b", "c"), inputs=[age])}
        known[2] = SimpleNamespace(classes=classes, inputs=list(inputs))
        monkeypatch.setattr(bundle, "read", lambda number: SimpleNamespace(manifest=known[number]))
        registry = SimpleNamespace(get=lambda name, number: number, fetch=lambda name, number: number)
        context = SimpleNamespace(loop=SimpleNamespace(name="small", rollout=Rollout()), registry=registry)
        target = SimpleNamespace(gateway=SimpleNamespace(champion=lambda: 1))
        going_live._comparable(context, target, 2, other_inputs=other_inputs)

    return call


def test_a_version_with_other_classes_than_the_champion_is_refused_with_other_inputs_too(comparable):
    comparable(("a", "b", "c"))
    for other_inputs in (False, True):
        with pytest.raises(RolloutError, match="version 2 answers with the classes a, b, and version 1"):
            comparable(("a", "b"), other_inputs=other_inputs)


def test_a_version_with_other_columns_is_refused_unless_it_is_asked_for(comparable):
    with pytest.raises(RolloutError, match="`age` is removed"):
        comparable(("a", "b", "c"), ())
    comparable(("a", "b", "c"), (), other_inputs=True)
