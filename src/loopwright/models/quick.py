"""A forest of decision trees evaluated for many rows at once, by bit vectors instead of walks from root to leaf.

A walk mispredicts a branch at every other node, which is most of what LightGBM's own prediction of a batch costs. Here
a node that a row does not pass says which leaves the row can no longer reach; these sets are bits of a word, and what
one feature's value says of a tree depends only on which of the feature's thresholds it lies between. So for every
feature there is a table with a line for each interval and a word for each tree: a row's lines are looked up and
combined by AND, and the bit that is left is its leaf. This is QuickScorer (Lucchese et al. 2015, "QuickScorer: a fast
algorithm to rank documents with additive ensembles of regression trees", SIGIR), with lines prepared by interval
instead of a list of thresholds to go through, as NumPy takes whole lines at memory speed. Leaves are added up tree by
tree, in LightGBM's order, so that the sum is the same to the last bit.
"""

import numpy as np

from loopwright.models.columns import Array
from loopwright.models.intervals import Intervals
from loopwright.models.trees import Forest, Tree, UnknownTreesError

_BITS = 32
# The biased exponent of a float32 is 127 for the bit 0; one less stands for a word without any.
_NO_BIT = 126
# Words and rows that are worked on at a time: 4 bytes each of both have to stay in the processor's second cache.
_WORDS, _CELLS_AT_ONCE = 128, 50_000
# Tables beyond this are no longer faster than walks, and memory is to be had for something else.
_LARGEST_TABLES = 64 * 2**20
_LEAVES_AT_ONCE = 256
# How often each end of an interval is tried, each time beside others of the other features.
_ENDS = 3


class Quick:
    """A forest's predictions. Safe to share between threads: nothing is written to after it is made."""

    def __init__(self, forest: Forest) -> None:
        """Make the tables. Raises UnknownTreesError for a forest that has no use of them."""
        words = [_words(tree) for tree in forest.trees]
        self._link, self._scale = forest.link, forest.scale
        self._intervals = Intervals(forest)
        size = self._intervals.lines * sum(map(len, words)) * 4
        if size > _LARGEST_TABLES:
            raise UnknownTreesError(f"its tables would take {size >> 20} MB")
        self._blocks = []
        at, trees = 0, list(zip(forest.trees, words, strict=True))
        while at < len(trees):
            end, count = at + 1, len(trees[at][1])
            while end < len(trees) and count + len(trees[end][1]) <= _WORDS:
                count += len(trees[end][1])
                end += 1
            self._blocks.append(_Block(trees[at:end], count, self._intervals))
            at = end
        self.bytes = sum(block.bytes for block in self._blocks) + self._intervals.bytes

    def __call__(self, matrix: Array) -> Array:
        """The predictions, float64 (n,), of a matrix (n, features)."""
        total = np.zeros(len(matrix))
        most = max(64, _CELLS_AT_ONCE // max(block.words for block in self._blocks))
        # Parts of about one size: NumPy adds up a single row in another order.
        parts = -(-len(matrix) // most)
        for part in range(parts):
            rows = slice(len(matrix) * part // parts, len(matrix) * (part + 1) // parts)
            lines = self._intervals.find(matrix[rows])
            for block in self._blocks:
                total[rows] = block.add(total[rows], lines)
        return self._predicted(total)

    def trials(self, random: np.random.Generator) -> Array:
        """Rows to compare on, (n, features): one that reaches each leaf, and ones at the ends of every interval."""
        rows = [block.reaching(random, self._intervals) for block in self._blocks]
        return np.concatenate([*rows, *(self._intervals.ends(random) for _ in range(_ENDS))])

    def _predicted(self, total: Array) -> Array:
        if self._link == "logistic":
            from scipy.special import expit

            return np.asarray(expit(self._scale * total))
        return np.asarray(np.exp(total)) if self._link == "exponential" else total


class _Block:
    """Some trees, few enough for a row's words to stay in cache."""

    def __init__(self, trees: list[tuple[Tree, list[int]]], count: int, intervals: Intervals) -> None:
        self.words = count
        whole = np.array([word for _, words in trees for word in words], dtype=np.uint32)
        self._full = whole
        tables: dict[int, Array] = {one.at: np.tile(whole, (len(one.values), 1)) for one in intervals.features}
        values = {one.at: one.values for one in intervals.features}
        used, column = set[int](), 0
        # One place more than bits: the first is for a word without any, of a tree that has several.
        leaves = np.zeros((count, _BITS + 1))
        for tree, words in trees:
            for at in range(len(words)):
                part = tree.leaves[at * _BITS : (at + 1) * _BITS]
                leaves[column + at, 1 : 1 + len(part)] = part
            reach = _reach(tree)
            for node, feature in enumerate(tree.feature):
                used.add(feature)
                left = tree.goes_left(node, values[feature])
                # What a row that goes left cannot reach, and what one that goes right cannot.
                lost = reach[tree.right[node]], reach[tree.left[node]]
                for at in range(len(words)):
                    keep = [~(one >> at * _BITS) & 0xFFFFFFFF for one in lost]
                    tables[feature][:, column + at] &= np.where(left, np.uint32(keep[0]), np.uint32(keep[1]))
            column += len(words)
        # Trees that do not split are a table of one line of words for whatever comes first.
        used = used or set(list(tables)[:1])
        self._tables: list[tuple[int, Array]] = [
            (at, table.view(np.int32)) for at, table in tables.items() if at in used
        ]
        self._leaves = leaves.reshape(-1)
        self._places = (np.arange(count) * (_BITS + 1) - _NO_BIT).astype(np.int32)
        self.bytes = sum(table.nbytes for _, table in self._tables) + self._leaves.nbytes

    def add(self, total: Array, lines: dict[int, Array]) -> Array:
        """`total`, float64 (n,), and the leaves of these trees for each row."""
        (first, table), *others = self._tables
        words = table.take(lines[first], axis=0, mode="clip")
        line = np.empty_like(words)
        for at, table in others:
            table.take(lines[at], axis=0, out=line, mode="clip")
            np.bitwise_and(words, line, out=words)
        # The exponent of a power of two says which bit it is; that of zero is below all.
        places = np.maximum(_exponents(words), _NO_BIT)
        places += self._places
        found = np.empty((self.words + 1, len(total)))
        found[0] = total
        self._leaves.take(places.T, out=found[1:], mode="clip")
        return np.asarray(np.add.reduce(found, axis=0))

    def reaching(self, random: np.random.Generator, intervals: Intervals) -> Array:
        """A row for each leaf of these trees, (leaves, features), whose values lead there."""
        columns, bits = np.nonzero(self._full[:, None] >> np.arange(_BITS, dtype=np.uint32) & 1)
        tables = dict(self._tables)
        rows = random.normal(size=(len(columns), intervals.width))
        for one in intervals.features:
            if one.at not in tables:
                continue
            for start in range(0, len(columns), _LEAVES_AT_ONCE):
                part = slice(start, start + _LEAVES_AT_ONCE)
                allowed = (tables[one.at].view(np.uint32)[:, columns[part]] >> bits[part].astype(np.uint32)) & 1
                # The greatest of random numbers, among the lines that lead to the leaf, is a random one of them.
                chosen = np.argmax(allowed * random.random(allowed.shape, dtype=np.float32), axis=0)
                rows[part, one.at] = one.values[chosen]
        return rows


def _exponents(words: Array) -> Array:
    """The biased exponents of words as float32; the highest bit of an int32 is the sign's."""
    numbers: Array = words.astype(np.float32).view(np.int32)
    np.right_shift(numbers, 23, out=numbers)
    np.bitwise_and(numbers, 255, out=numbers)
    return numbers


def _words(tree: Tree) -> list[int]:
    """The bits of all leaves of a tree, in as many words as it takes."""
    count = len(tree.leaves)
    return [(1 << min(_BITS, count - at)) - 1 for at in range(0, count, _BITS)]


def _reach(tree: Tree) -> dict[int, int]:
    """The leaves, as bits, under each node; a leaf is a node of a number below zero."""
    reach = {~leaf: 1 << leaf for leaf in range(len(tree.leaves))}
    for node in reversed(range(len(tree.feature))):
        reach[node] = reach[tree.left[node]] | reach[tree.right[node]]
    return reach
