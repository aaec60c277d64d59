"""The environment that this process runs in: the interpreter, the machine, and every package with its version.

It is recorded with each trained model, so that one can say later what made it, build that again, and name what differs.
"""

import hashlib
import json
import platform
import re
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from loopwright import __version__

DIRECT = "direct_url.json"
"""What pip and uv write beside a package that was not taken from an index (PEP 610)."""
_FIELD = re.compile(r"^(Name|Version): *(.*?)\s*$", re.MULTILINE)


def read() -> dict[str, Any]:
    """The environment as JSON: the same on every machine that has the same of all of it.

    `local` names the packages that were installed from a folder or a repository: an index does not have them.
    """
    every = [(named, one) for one in metadata.distributions() if (named := _package(one))]
    found = dict(sorted(named for named, _ in every))
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": platform.system(),
        "machine": platform.machine(),
        "libc": " ".join(platform.libc_ver()).strip(),
        "loopwright": __version__,
        "packages": found,
        "local": sorted({name for (name, _), one in every if _local(one)}),
        "lock_sha256": hashlib.sha256(lock({"packages": found}).encode()).hexdigest(),
    }


def lock(environment: Mapping[str, Any]) -> str:
    """The environment's packages as a file that pip and uv install from: `name==version`, a line each, sorted."""
    return "".join(f"{name}=={version}\n" for name, version in sorted(environment["packages"].items()))


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What is different now, a sentence part each: `numpy 2.1.0, now 2.2.0`; empty where nothing is."""
    names = ("python", "implementation", "system", "machine", "libc")
    found = [f"{name} {then.get(name)}, now {now.get(name)}" for name in names if then.get(name) != now.get(name)]
    before, after = then.get("packages", {}), now.get("packages", {})
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            found.append(f"{name} {before.get(name, 'not there')}, now {after.get(name, 'not there')}")
    return found


def _package(one: metadata.Distribution) -> tuple[str, str] | None:
    """Name and version of what is installed; None for what is broken.

    `importlib.metadata` parses all of the file for either of them, with the long description: 0.19 s of CPU for 217
    packages in each training, where their heads take 0.02 s.
    """
    # The last is an .egg-info that is a file by itself, as distutils wrote it.
    text = one.read_text("METADATA") or one.read_text("PKG-INFO") or one.read_text("")
    head = (text or "").partition("\n\n")[0]
    fields = dict(_FIELD.findall(head))
    return (_normal(fields["Name"]), fields["Version"]) if fields.keys() >= {"Name", "Version"} else None


def _local(one: metadata.Distribution) -> bool:
    text = one.read_text(DIRECT)
    # Conda names the folder that its own build was made in, of packages that an index has.
    if not text or (one.read_text("INSTALLER") or "").strip() == "conda":
        return False
    try:
        return not {"dir_info", "vcs_info"}.isdisjoint(json.loads(text))
    except (ValueError, TypeError):
        return False


def _normal(name: str) -> str:
    """A package's name as indexes have it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
