"""The registered versions of a loop's model, in MLflow.

A version is registered in one call, with its digest and its cause among its tags, after everything it consists of is
stored: a version that the registry lists is a whole one. Aliases say which one serves (`champion`), which one wants
to (`challenger`) and which one served before (`previous`).

MLflow's client takes seconds to import. So what only asks which versions there are reads it from the registry's own
tables, where they are in a database that this process reaches (`tables`), and MLflow writes (`client`, `logged`).
"""

from loopwright.registry.client import Registry
from loopwright.registry.version import EVALUATION, TAG, ModelVersion, Submission

__all__ = ["EVALUATION", "TAG", "ModelVersion", "Registry", "Submission"]
