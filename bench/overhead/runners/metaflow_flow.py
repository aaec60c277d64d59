"""A chain of six steps, each a process, with local metadata: `python metaflow_flow.py run`. Its class is its steps."""

from metaflow import FlowSpec, step


class ChainOf6(FlowSpec):
    """start, four steps, end."""

    @step
    def start(self):
        """The first."""
        self.value = 1
        self.next(self.second)

    @step
    def second(self):
        """One more."""
        self.value += 1
        self.next(self.third)

    @step
    def third(self):
        """One more."""
        self.value += 1
        self.next(self.fourth)

    @step
    def fourth(self):
        """One more."""
        self.value += 1
        self.next(self.fifth)

    @step
    def fifth(self):
        """One more."""
        self.value += 1
        self.next(self.end)

    @step
    def end(self):
        """The last."""
        if self.value + 1 != 6:
            raise ValueError(self.value)


if __name__ == "__main__":
    ChainOf6()
