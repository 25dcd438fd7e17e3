"""Record batches, good and bad, for Produce requests."""

import base64
import gzip
import struct

TIME = 1_700_000_000_000  # ms; far from any clock's now
NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
LOG_APPEND_TIME, TRANSACTIONAL, CONTROL = 8, 16, 32


def table():
    out = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        out.append(byte)
    return out


TABLE = table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def varint(number):
    number = (number << 1) ^ (number >> 63) if number >= 0 else ((-number << 1) - 1)
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def sized(data):
    return varint(-1) if data is None else varint(len(data)) + data


def record(delta, key, value, time_delta=0, headers=()):
    body = b"\0" + varint(time_delta) + varint(delta) + sized(key) + sized(value) + varint(len(headers))
    body += b"".join(sized(name) + sized(content) for name, content in headers)
    return varint(len(body)) + body


def xxh32_small(data):
    """Of fewer than 4 bytes: all that the header of an LZ4 frame needs."""
    mask, p1, p2, p3, p5 = 0xFFFFFFFF, 2654435761, 2246822519, 3266489917, 374761393
    h = (p5 + len(data)) & mask
    for byte in data:
        h = (h + byte * p5) & mask
        h = ((h << 11 | h >> 21) & mask) * p1 & mask
    h = (h ^ h >> 15) * p2 & mask
    h = (h ^ h >> 13) * p3 & mask
    return h ^ h >> 16


def compressed(codec, data):
    """Valid frames of each codec, made without its library: the data lies in them as it is."""
    if codec == GZIP:
        return gzip.compress(data, mtime=0)
    if codec == SNAPPY:
        size = len(data)
        varlen = bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])
        tag = bytes([(size - 1) << 2]) if size <= 60 else b"\xf4" + struct.pack("<H", size - 1)
        block = varlen + tag + data
        return b"\x82SNAPPY\0" + struct.pack(">iii", 1, 1, len(block)) + block
    if codec == LZ4:
        head = b"\x60\x40"
        return (
            b"\x04\x22\x4d\x18"
            + head
            + bytes([xxh32_small(head) >> 8 & 0xFF])
            + struct.pack("<I", len(data) | 0x80000000)
            + data
            + bytes(4)
        )
    if codec == ZSTD:
        return (
            b"\x28\xb5\x2f\xfd\x60"
            + struct.pack("<H", len(data) - 256)
            + struct.pack("<I", 1 | len(data) << 3)[:3]
            + data
            if len(data) >= 256
            else b"\x28\xb5\x2f\xfd\x20" + bytes([len(data)]) + struct.pack("<I", 1 | len(data) << 3)[:3] + data
        )
    return data


def raw(
    values,
    codec=NONE,
    base=0,
    epoch=-1,
    magic=2,
    attributes=0,
    last_delta=None,
    time=TIME,
    max_time=None,
    producer=-1,
    producer_epoch=-1,
    sequence=-1,
    count=None,
    payload=None,
    crc=None,
    length=None,
    deltas=None,
    keyed=True,
):
    """values: of the records, with keys k0, k1, ... and timestamps 10 ms apart."""
    steps = deltas or range(len(values))
    body = b"".join(
        record(step, f"k{i}".encode() if keyed else None, value, 10 * i)
        for i, (step, value) in enumerate(zip(steps, values))
    )
    payload = compressed(codec, body) if payload is None else payload
    last = len(values) - 1 if last_delta is None else last_delta
    newest = time + 10 * max(0, len(values) - 1) if max_time is None else max_time
    rest = (
        struct.pack(
            ">hiqqqhii",
            attributes | codec,
            last,
            time,
            newest,
            producer,
            producer_epoch,
            sequence,
            len(values) if count is None else count,
        )
        + payload
    )
    return (
        struct.pack(
            ">qiibI",
            base,
            9 + len(rest) if length is None else length,
            epoch,
            magic,
            crc32c(rest) if crc is None else crc,
        )
        + rest
    )


def batch(*values, **how):
    return text(raw([value.encode() if isinstance(value, str) else value for value in values], **how))


def text(data):
    return base64.b64encode(data).decode()
