"""Every error a user can meet, as one tree.

LoopwrightError                      1
├── DeclarationError                 2   loop.yaml is absent, unreadable or wrong
├── DataError                        3   the data is absent, unreadable or unusable
│   ├── ContractError                3   the data breaks its contract
│   └── InputError                   3   rows given to a model are not what it takes
├── GateError                        4   the model was trained and judged, and did not pass
├── LedgerError                      5   the ledger's chain does not hold
├── RunError                         6   a pipeline run failed
│   └── EngineAway                   6   the engine cannot be asked now, and the run may go on
├── StateError                       7   the state folder cannot be used (locked, full, read-only)
├── RegistryError                    8   the registry has no such model or version
│   └── BundleError                  8   a stored model is not what was registered
├── ServingError                     9   a model cannot be served (a port in use, not ready)
├── RolloutError                    10   a rollout cannot start or go on
│   ├── GatewayLost                 10   the data plane or the cluster's API cannot be reached
│   └── RolledBack                  11   the challenger was judged worse and taken back
├── LimitError                      12   what was measured is beyond what the loop declares
├── ReplayError                     13   a version that was trained again came out as another model
├── OutputError                     14   results cannot be written where they should be
└── RecordError                     15   what a version was made with cannot be had again

The number is the exit code of the `loopwright` command. A message has three parts: what was found, what was
expected, what to do next; the constructor composes them so that none is forgotten.
"""


class LoopwrightError(Exception):
    """A message composed of what was found, what was expected and what to do next."""

    exit_code = 1

    def __init__(self, found: str, *, expected: str = "", do: str = "") -> None:
        self.found, self.expected, self.do = found, expected, do
        text = found
        if expected:
            text += f"; expected {expected}"
        if do:
            text += f"{'' if text.endswith(('.', '?')) else '.'} {do[0].upper()}{do[1:]}"
        super().__init__(text)


class DeclarationError(LoopwrightError):
    """loop.yaml is absent, unreadable or wrong."""

    exit_code = 2


class DataError(LoopwrightError):
    """The data is absent, unreadable or unusable."""

    exit_code = 3


class ContractError(DataError):
    """The data breaks its contract."""


class InputError(DataError, ValueError):
    """Rows given to a model are not what it takes: a column is missing, unknown or of the wrong kind."""


class GateError(LoopwrightError):
    """The model was trained and judged, and did not pass its gates."""

    exit_code = 4


class LedgerError(LoopwrightError):
    """The ledger's chain does not hold."""

    exit_code = 5


class RunError(LoopwrightError):
    """A pipeline run failed."""

    exit_code = 6


class EngineAway(RunError):
    """The engine cannot be asked now; the run may go on without whoever asks."""


class StateError(LoopwrightError):
    """The state folder cannot be used: locked by another process, full or read-only."""

    exit_code = 7


class RegistryError(LoopwrightError):
    """The registry has no such model or version."""

    exit_code = 8


class BundleError(RegistryError):
    """A stored model is not what was registered: damaged, tampered with or of another format."""


class ServingError(LoopwrightError):
    """A model cannot be served: a port is in use, or the predictor did not become ready."""

    exit_code = 9


class RolloutError(LoopwrightError):
    """A rollout cannot start or go on."""

    exit_code = 10


class GatewayLost(RolloutError):
    """The data plane is not there to be asked or told; the rollout's state is kept, and it can be resumed."""


class RolledBack(RolloutError):
    """The challenger was judged worse than the champion and was taken back."""

    exit_code = 11


class LimitError(LoopwrightError):
    """What a job measured of live traffic is beyond what the loop declares: skew, or drift of attributions."""

    exit_code = 12


class ReplayError(LoopwrightError):
    """A version that was trained again from what was recorded of it came out as another model."""

    exit_code = 13


class OutputError(LoopwrightError):
    """Results cannot be written where they should be: something else is there, or there is no space."""

    exit_code = 14


class RecordError(LoopwrightError):
    """What a version was made with cannot be had again: an interpreter, a package, a revision of the code."""

    exit_code = 15
