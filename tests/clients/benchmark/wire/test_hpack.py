"""Header compression: the examples of RFC 7541, appendix C, and what a hostile peer may send."""

import random
from contextlib import suppress

import pytest

from clients.benchmark.transport.wire import huffman
from clients.benchmark.transport.wire.frames import Code, ProtocolError
from clients.benchmark.transport.wire.hpack import STATIC, Decoder, Encoder

REQUEST = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"www.example.com")]
SECURE = [(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/index.html"), (b":authority", b"www.example.com")]
DATES = b"Mon, 21 Oct 2013 20:13:21 GMT", b"Mon, 21 Oct 2013 20:13:22 GMT"
COOKIE = b"foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"
LOCATION = (b"location", b"https://www.example.com")
# What one decoder is given, block after block.
EXAMPLES = {
    "C.3": [
        ("828684410f7777772e6578616d706c652e636f6d", REQUEST),
        ("828684be58086e6f2d6361636865", [*REQUEST, (b"cache-control", b"no-cache")]),
        ("828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565", [*SECURE, (b"custom-key", b"custom-value")]),
    ],
    "C.4": [
        ("828684418cf1e3c2e5f23a6ba0ab90f4ff", REQUEST),
        ("828684be5886a8eb10649cbf", [*REQUEST, (b"cache-control", b"no-cache")]),
        ("828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf", [*SECURE, (b"custom-key", b"custom-value")]),
    ],
    # With a table of 256 bytes, which the first block here says itself.
    "C.6": [
        (
            "3fe101" + "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
            [(b":status", b"302"), (b"cache-control", b"private"), (b"date", DATES[0]), LOCATION],
        ),
        ("4883640effc1c0bf", [(b":status", b"307"), (b"cache-control", b"private"), (b"date", DATES[0]), LOCATION]),
        (
            "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f"
            "9587316065c003ed4ee5b1063d5007",
            [
                *[(b":status", b"200"), (b"cache-control", b"private"), (b"date", DATES[1]), LOCATION],
                *[(b"content-encoding", b"gzip"), (b"set-cookie", COOKIE)],
            ],
        ),
    ],
}


def decoder():
    return Decoder(4096)


@pytest.mark.parametrize("name", EXAMPLES)
def test_decodes_the_examples_of_the_standard(name):
    reading = decoder()
    for block, fields in EXAMPLES[name]:
        assert reading.decode(bytes.fromhex(block)) == fields


def test_the_static_table_has_61_fields():
    assert len(STATIC) == 61
    assert STATIC[60] == (b"www-authenticate", b"")
    assert STATIC[15] == (b"accept-encoding", b"gzip, deflate")


def test_what_was_sent_once_is_indexed():
    fields = [(b":method", b"POST"), (b":path", b"/a.b/C"), (b"te", b"trailers"), (b"x", b"y" * 300)]
    writing, reading = Encoder(), decoder()
    first, second, third = (writing.encode(fields) for _ in range(3))
    assert len(first) > 300
    assert len(second) == len(fields)
    assert second == third
    assert [reading.decode(block) for block in (first, second, third)] == [fields] * 3


@pytest.mark.parametrize("sizes", [[0], [100], [0, 4096], [4096, 50, 4096], [1 << 20]])
def test_a_table_that_the_peer_makes_smaller_is_followed(sizes):
    random.seed(1)
    writing, reading = Encoder(), decoder()
    for round_ in range(6):
        if round_ in (1, 3):
            for size in sizes:
                writing.resize(size)
        fields = [(b"name%d" % random.randrange(4), b"v" * random.randrange(60)) for _ in range(9)]
        assert reading.decode(writing.encode(fields)) == fields


REFUSED = {
    "an index in no table": "be",
    "index 0": "80",
    "an integer without end": "ff" * 12,
    "a string cut off": "400a6162",
    "a block cut off": "41",
    "a table larger than was allowed": "3fe1ff03",
    "a table size behind a field": "8220",
    "a Huffman string with a long padding": "4001618300ffff",
    "a Huffman string with padding of zeros": "40016181" + "18",
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_what_is_wrong(name):
    with pytest.raises(ProtocolError) as caught:
        decoder().decode(bytes.fromhex(REFUSED[name]))
    assert caught.value.code == Code.COMPRESSION_ERROR


def test_refuses_a_small_block_with_a_large_list():
    bomb = Encoder().encode([(b"a", b"x" * 2000)]) + b"\xbe" * 1000
    with pytest.raises(ProtocolError, match="more than 4,096 bytes") as caught:
        decoder().decode(bomb)
    assert caught.value.code == Code.ENHANCE_YOUR_CALM


def test_random_bytes_are_decoded_or_refused():
    random.seed(2)
    for _ in range(2000):
        reading = decoder()
        with suppress(ProtocolError):
            reading.decode(random.randbytes(random.randrange(1, 40)))


def test_every_symbol_has_its_code():
    codes = {symbol: (length, code) for (length, code), symbol in huffman._SYMBOLS.items()}
    assert sorted(codes) == list(range(257))
    for symbol, (length, code) in codes.items():
        if symbol < 256:
            padding = -length % 8
            octets = (code << padding | (1 << padding) - 1).to_bytes((length + padding) // 8, "big")
            assert huffman.decode(octets) == bytes([symbol])
