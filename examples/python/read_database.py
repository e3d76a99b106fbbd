#!/usr/bin/env python3
"""Reads a closed nori-lsm database, from nothing but docs/formats, and prints its live entries: key<TAB>value, in hexadecimal.

    python3 read_database.py DIRECTORY [KEYSPACE]        checks every checksum; needs Python 3.8, and no packages

It keeps everything in memory, and stands for what a reader in another language has to do: CURRENT, manifest, tables, log."""
import os, struct, sys, time, zlib

TABLE = [0] * 256
for byte in range(256):
    crc = byte
    for _ in range(8):
        crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    TABLE[byte] = crc

def crc32c(data, seed=0):
    crc = seed ^ 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF

def need(condition, what):
    if not condition:
        sys.exit(f"damaged, or of a later version: {what}")

def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return value, at

def varints(data, at, count):
    values = []
    for _ in range(count):
        value, at = varint(data, at)
        values.append(value)
    return (*values, at)

def sized(data, at):
    length, at = varint(data, at)
    return data[at:at + length], at + length

def lz4(data):
    out, at = bytearray(), 0
    def length(nibble, at):
        total = nibble
        while nibble == 15 or (total > 15 and data[at - 1] == 255):
            nibble, total, at = 0, total + data[at], at + 1
        return total, at
    while True:
        token, at = data[at], at + 1
        count, at = length(token >> 4, at)
        out += data[at:at + count]
        at += count
        if at == len(data):
            return bytes(out)
        offset, at = data[at] | data[at + 1] << 8, at + 2
        count, at = length(token & 15, at)
        for _ in range(count + 4):
            out.append(out[-offset])

def decompressed(kind, data):
    if kind == 0:
        return data
    need(kind in (1, 2), f"compression {kind}, which Python has not")
    size, at = varint(data, 0)
    contents = lz4(data[at:]) if kind == 1 else zlib.decompress(data[at:], -15)
    need(len(contents) == size, "size of a compressed block")
    return contents

def block(data, offset, size):
    need(crc32c(data[offset:offset + size + 1]) == struct.unpack_from("<I", data, offset + size + 1)[0], f"block at {offset}")
    return decompressed(data[offset + size], data[offset:offset + size])

def index_entries(contents):
    at = 0
    for _ in range(struct.unpack_from("<I", contents, len(contents) - 4)[0]):
        key_length, _, offset, size, at = varints(contents, at, 4)
        at += key_length
        yield offset, size

def table_entries(path):
    data = open(path, "rb").read()
    footer = data[-96:]
    need(footer[88:] == b"NORISST\0" and struct.unpack_from("<II", footer, 80) == (1, crc32c(footer[:84])), path)
    handles = list(index_entries(block(data, *struct.unpack_from("<QI", footer, 0))))
    if struct.unpack_from("<I", footer, 72)[0] & 1:  # an index in two levels
        handles = [handle for part in handles for handle in index_entries(block(data, *part))]
    for handle in handles:
        contents, at, key = block(data, *handle), 0, b""
        end = len(contents) - 4 - 4 * struct.unpack_from("<I", contents, len(contents) - 4)[0]
        while at < end:
            shared, unshared, value_length, at = varints(contents, at, 3)
            kind, (sequence, at) = contents[at], varint(contents, at + 1)
            expiry, at = varint(contents, at) if kind & 128 else (0, at)
            key = key[:shared] + contents[at:at + unshared]
            yield key, sequence, kind & 127, expiry, contents[at + unshared:at + unshared + value_length]
            at += unshared + value_length

def manifest_edits(path, number):
    data = open(path, "rb").read()
    need(data[:8] == b"NORILSMM" and crc32c(data[:28]) == struct.unpack_from("<I", data, 28)[0], path)
    at = 32
    while at < len(data):
        salt = crc32c(struct.pack("<QQ", number, at))
        kind, length, payload_crc, crc = struct.unpack_from("<IIII", data, at)
        payload = data[at + 16:at + 16 + length]
        need(crc32c(data[at:at + 12], salt) == crc and crc32c(payload, salt) == payload_crc, f"{path} at {at}")
        if kind in (1, 2):
            yield payload
        at += 16 + length

def log_records(directory):
    for name in sorted(name for name in os.listdir(directory) if name.endswith(".wal")):
        data = open(os.path.join(directory, name), "rb").read()
        need(data[:8] == b"NORIWAL\0" and crc32c(data[:60]) == struct.unpack_from("<I", data, 60)[0], name)
        salt, at = crc32c(data[16:24]), 64
        while at < len(data):
            length, flags_at = varint(data, at)
            start = flags_at + 5
            crc = crc32c(data[start:start + length], crc32c(data[at:flags_at + 1], salt))
            need(crc == struct.unpack_from("<I", data, flags_at + 1)[0], f"{name} at {at}")
            if data[flags_at] & 3 == 1:  # data, not a marker
                yield decompressed(data[flags_at] >> 4 & 3, data[start:start + length])
            at = start + length

def log_entries(record):
    count, sequence = struct.unpack_from("<IQ", record, 4)
    at = 16
    for i in range(count):
        kind, (key_length, value_length, at) = record[at], varints(record, at + 1, 2)
        expiry, at = varint(record, at) if kind & 16 else (0, at)
        yield record[at:at + key_length], sequence + i, kind & 15, expiry, record[at + key_length:at + key_length + value_length]
        at += key_length + value_length

def user_key(stored, keyspace):
    """The key that is stored so in this keyspace (0: the default one); None: it is of another."""
    if stored[:1] != b"\xff":
        return stored if keyspace == 0 else None
    if stored[1] == 0:
        return b"\xff" + stored[2:] if keyspace == 0 else None
    return stored[4:] if stored[2] << 8 | stored[3] == keyspace else None

def main(directory, name=None):
    version, manifest, crc = open(os.path.join(directory, "CURRENT")).read().split("\n")[:3]
    need(version == "nori-lsm 1" and int(crc, 16) == crc32c(f"{version}\n{manifest}\n".encode()), "CURRENT")
    tables, flushed, ranges, keyspaces, mapped = {}, 0, {}, {}, False
    for payload in manifest_edits(os.path.join(directory, manifest), int(manifest[9:])):
        fields, at = [], 0
        while at < len(payload):
            field, at = varint(payload, at)
            content, at = sized(payload, at)
            fields.append((field, content))
        for field, content in sorted(fields, key=lambda each: each[0] in (9, 17, 19)):  # removals before additions
            need(field % 2 == 0 or field <= 31 and field != 21, f"field {field} of the manifest")
            if field == 3:
                flushed = max(flushed, varint(content, 0)[0])
            elif field == 11:
                del tables[varints(content, 0, 2)[1]]
            elif field == 9:
                *numbers, at = varints(content, 0, 11)
                _, at = sized(content, at)
                _, at = sized(content, at)
                tables[numbers[2]] = None
                while at < len(content):
                    further, at = varint(content, at)
                    value, at = sized(content, at)
                    need(further % 2 == 0 or further == 1, f"field {further} of a table")
                    if further == 1:  # all entries have this sequence number
                        tables[numbers[2]] = varint(value, 0)[0]
            elif field == 17:
                identity, at = varint(content, 0)
                keyspaces[identity] = sized(content, at)[0].decode()
            elif field == 19:
                _, sequence, at = varints(content, 0, 2)
                start, at = sized(content, at)
                ranges[sequence] = (start, sized(content, at)[0])
            elif field == 25:
                ranges.pop(varint(content, 0)[0], None)
            elif field == 27:
                mapped = varint(content, 0)[0] == 1
            elif field == 31:
                keyspaces.pop(varint(content, 0)[0], None)
    newest = {}
    def see(key, sequence, kind, expiry, value):
        if key not in newest or newest[key][0] < sequence:
            newest[key] = (sequence, kind, expiry, value)
    for number, override in tables.items():
        for key, sequence, *entry in table_entries(os.path.join(directory, f"{number:06}.sst")):
            see(key, sequence if override is None else override, *entry)
    log = os.path.join(directory, "wal")
    for record in log_records(log) if os.path.isdir(log) else ():
        for entry in log_entries(record):
            if entry[1] > flushed and entry[2] == 3:  # the delete of a range
                ranges[entry[1]] = (entry[0], entry[4])
            elif entry[1] > flushed:
                see(*entry)
    keyspace = 0 if name is None else {each: identity for identity, each in keyspaces.items()}[name]
    def hidden(key, sequence):
        return any(sequence < by and start <= key and (end == b"" or key < end) for by, (start, end) in ranges.items())
    now = time.time() * 1000
    for stored in sorted(newest):
        sequence, kind, expiry, value = newest[stored]
        key = user_key(stored, keyspace) if mapped else stored
        if key is not None and kind == 1 and (expiry == 0 or expiry > now) and not hidden(stored, sequence):
            print(f"{key.hex()}\t{value.hex()}")

if __name__ == "__main__":
    main(*sys.argv[1:])
