"""What every client has in common."""

import pytest
from aiokafka.codec import lz4_encode
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

from deploy.clients import LZ4_LEVEL

LISTING = b'{"artist":"Owl","date":"2014-11-14","venue":"Grosse Freiheit","songs":["One","Two","Three"],"n":%d}'


def built() -> bytes:
    """A batch as a producer closes it."""
    builder = DefaultRecordBatchBuilder(2, DefaultRecordBatch.CODEC_LZ4, 0, -1, -1, 0, 131_072)
    for n in range(300):
        assert builder.append(n, 0, b"key%d" % n, LISTING % (n * 7919), [])
    return bytes(builder.build())


def test_producers_compress_at_the_fast_level_of_lz4(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = built()
    monkeypatch.setattr(lz4_encode, "__defaults__", (9,))
    slow = built()
    assert len(slow) < len(ours), "level 9 makes nothing smaller: is it another library's?"
    monkeypatch.setattr(lz4_encode, "__defaults__", (LZ4_LEVEL,))
    assert built() == ours
    assert [record.value for record in DefaultRecordBatch(ours)] == [LISTING % (n * 7919) for n in range(300)]
