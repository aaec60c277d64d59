"""The body of a Prometheus remote write request, version 1.0: samples as protobuf, in Snappy's block format.

Both are written by hand: three small messages of protobuf, and Snappy without compression, which is a format of its own
right. A protobuf runtime and a compressor would be 6 MB more beside every replica, for bodies of some 100 KB.
Sources: https://prometheus.io/docs/specs/prw/remote_write_spec/ and google/snappy's format_description.txt.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping

from loopwright.monitor.exposition import Sample

HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
    "User-Agent": "loopwright-monitor",
}
MOST_SERIES = 2000
"""Of one request, as Prometheus' own sender has it (max_samples_per_send)."""
STALE = struct.pack("<Q", 0x7FF0000000000002)
"""The NaN, as its bytes, by which a series says that it ends (prometheus/model/value, StaleNaN)."""
_LITERAL = 2**16


def bodies(
    samples: Iterable[Sample], labels: Mapping[str, str], milliseconds: int, *, stale: bool = False
) -> Iterator[bytes]:
    """The requests that carry samples of one moment, each of at most `MOST_SERIES` series.

    `labels` are added to each series; a label of the series' own wins. With `stale` they say that the series end.
    """
    series: list[bytes] = []
    for metric, values, number in samples:
        own = zip(metric.labels, values, strict=True)
        # Prometheus refuses labels out of order, and takes an empty one for none.
        all_labels = sorted({**labels, **dict(own), "__name__": metric.name}.items())
        value = STALE if stale else struct.pack("<d", number)
        series.append(_series([(name, text) for name, text in all_labels if text], value, milliseconds))
        if len(series) == MOST_SERIES:
            yield _snappy(b"".join(series))
            series = []
    if series:
        yield _snappy(b"".join(series))


def _series(labels: Iterable[tuple[str, str]], value: bytes, milliseconds: int) -> bytes:
    """WriteRequest.timeseries (1): labels (1) of name (1) and value (2), one sample (2) of value (1) and time (2)."""
    parts = [_field(1, _field(1, name.encode()) + _field(2, text.encode())) for name, text in labels]
    # 0x09: field 1, 64 bits; 0x10: field 2, a varint.
    sample = b"\x09" + value + b"\x10" + _varint(milliseconds)
    return _field(1, b"".join(parts) + _field(2, sample))


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited field."""
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def _snappy(content: bytes) -> bytes:
    """A block whose elements are all literals: its length, then for each tag 61 << 2, length - 1 in 2 bytes, bytes."""
    parts = [_varint(len(content))]
    for start in range(0, len(content), _LITERAL):
        piece = content[start : start + _LITERAL]
        parts += [bytes([61 << 2]), struct.pack("<H", len(piece) - 1), piece]
    return b"".join(parts)
