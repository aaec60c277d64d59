"""A chain of components on KFP's own local runner, without virtual environments: `python kfp_local.py STEPS`."""

import sys
import warnings

import kfp
from kfp import dsl, local

warnings.filterwarnings("ignore")
local.init(local.SubprocessRunner(use_venv=False), pipeline_root="kfp", raise_on_error=True)


@dsl.component(base_image="python", install_kfp_package=False)
def add(value: int) -> int:
    """One more."""
    return value + 1


@dsl.pipeline
def chain() -> int:
    """The chain; KFP writes it down before it runs it."""
    value = add(value=0)
    for _ in range(int(sys.argv[1]) - 1):
        value = add(value=value.output)
    return value.output


found = chain().output
if int(found) != int(sys.argv[1]):
    sys.exit(f"found {found} with kfp {kfp.__version__}")
