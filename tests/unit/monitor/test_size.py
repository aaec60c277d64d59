"""The monitor rides along with every replica, so its packages are to stay small."""

import re
import subprocess
import sys
from importlib.metadata import distribution, packages_distributions

from packaging.requirements import Requirement

# The promise is 150 MB.
MOST_BYTES = 140e6


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


def left_out(root):
    """The distributions that the Dockerfile does not install into the monitor's image."""
    text = (root / "Dockerfile").read_text()
    (line,) = re.findall(r"^ARG UNUSED=.*$", text, re.MULTILINE)
    assert text.count("${UNUSED} --extra monitor") == 2
    return re.findall(r"--no-install-package ([\w-]+)", line)


def test_the_packages_of_the_monitor_are_small_and_have_none_of_the_heavy_ones(root):
    found, unused = closure("monitor"), left_out(root)
    assert set(unused) <= found.keys()
    sizes = {name: size(name) for name in found.keys() - {"loopwright", *unused}}
    # If nothing were found, nothing would be measured.
    assert {"numpy", "uvicorn", "httptools", "starlette", "pydantic"} <= sizes.keys()
    assert sizes["numpy"] > 10e6
    assert not {"kfp", "kserve", "mlflow", "scikit-learn", "scipy", "pandas", "pyarrow"} & sizes.keys()
    assert sum(sizes.values()) < MOST_BYTES, sizes


def test_every_module_of_the_monitor_is_imported_without_what_its_image_does_not_have(root):
    unused = left_out(root)
    modules = sorted(
        module for module, names in packages_distributions().items() if {*map(str.lower, names)} & {*unused}
    )
    assert {"sqlalchemy", "rich", "pygments", "markdown_it", "mdurl"} <= set(modules)
    program = (
        "import importlib, pkgutil, sys\n"
        f"sys.modules.update(dict.fromkeys({modules!r}))\n"
        "import loopwright.monitor as package\n"
        "names = [one.name for one in pkgutil.iter_modules(package.__path__)]\n"
        "for name in names: importlib.import_module(f'loopwright.monitor.{name}')\n"
        "from loopwright.loop import Loop\n"
        "print(len(names))\n"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert int(answer.stdout) > 20
