"""The shortest chain of Metaflow's, two steps: `python metaflow_short.py run`."""

from metaflow import FlowSpec, step


class ChainOf2(FlowSpec):
    """start, end."""

    @step
    def start(self):
        """The first."""
        self.value = 1
        self.next(self.end)

    @step
    def end(self):
        """The last."""
        if self.value + 1 != 2:
            raise ValueError(self.value)


if __name__ == "__main__":
    ChainOf2()
