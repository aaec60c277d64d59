"""The monitor rides along with every replica, so its packages are to stay small."""

from importlib.metadata import distribution

from packaging.requirements import Requirement

MOST_BYTES = 150e6


def closure(extra):
    """The distributions that `loopwright[extra]` needs, by name."""
    found, wanted = {}, [("loopwright", frozenset({extra}))]
    while wanted:
        name, extras = wanted.pop()
        if extras <= found.get(name, frozenset({None})) and name in found:
            continue
        found[name] = found.get(name, frozenset()) | extras
        for text in distribution(name).requires or ():
            requirement = Requirement(text)
            chosen = ({"extra": one} for one in extras or {""})
            if requirement.marker is None or any(requirement.marker.evaluate(one) for one in chosen):
                wanted.append((requirement.name.lower(), frozenset(requirement.extras)))
    return found


def size(name):
    files = distribution(name).files or ()
    return sum(path.stat().st_size for path in (file.locate() for file in files) if path.is_file())


def test_the_packages_of_the_monitor_are_small_and_have_none_of_the_heavy_ones():
    found = closure("monitor")
    sizes = {name: size(name) for name in found if name != "loopwright"}
    # If nothing were found, nothing would be measured.
    assert {"numpy", "uvicorn", "httptools", "starlette", "pydantic"} <= sizes.keys()
    assert sizes["numpy"] > 10e6
    assert not {"kfp", "kserve", "mlflow", "scikit-learn", "scipy", "pandas", "pyarrow"} & sizes.keys()
    assert sum(sizes.values()) < MOST_BYTES, sizes
