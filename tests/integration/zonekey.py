# SPDX-License-Identifier: MIT
"""Signs what a test's name server answers from its zone (RFC 4034): ECDSA P-256 with SHA-256 (RFC 6605), one key."""
import base64
import struct
import time

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

ALGORITHM, RRSIG, NSEC, DNSKEY = 13, 46, 47, 48
KEY_SIGNING = 257  # zone key and secure entry point
DAY = 86400


def wire_name(name):
    labels = [label.encode() for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


class ZoneKey:
    def __init__(self, zone):
        self.zone = zone
        self.key = ec.generate_private_key(ec.SECP256R1())
        point = self.key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        self.public = point[1:]
        self.record = struct.pack("!HBB", KEY_SIGNING, 3, ALGORITHM) + self.public
        total = sum(byte << 8 if i % 2 == 0 else byte for i, byte in enumerate(self.record))  # RFC 4034 appendix B
        self.tag = (total + (total >> 16)) & 0xFFFF

    def holds(self, name):
        return name == self.zone or name.endswith("." + self.zone)

    def anchor(self):
        """For a file of trust anchors."""
        return f"{self.zone}. 3600 IN DNSKEY {KEY_SIGNING} 3 {ALGORITHM} {base64.b64encode(self.public).decode()}\n"

    def sign(self, name, kind, ttl, data, is_spoiled=False):
        """The RRSIG record's data over that set of records."""
        now = int(time.time())
        labels = len(name.split("."))
        head = struct.pack("!HBBIIIH", kind, ALGORITHM, labels, ttl, now + DAY, now - DAY, self.tag) + wire_name(self.zone)
        owner = wire_name(name) + struct.pack("!HHI", kind, 1, ttl)
        content = head + b"".join(owner + struct.pack("!H", len(one)) + one for one in sorted(data))  # RFC 4034 s6.3
        r, s = decode_dss_signature(self.key.sign(content, ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        if is_spoiled:
            signature = bytes(32) + signature[32:]
        return head + signature

    @staticmethod
    def absence(name, kinds):
        """NSEC data: the name is said to exist, with these types alone, and nothing up to the next one that could
        (RFC 4470, and further)."""
        kinds = set(kinds) | {RRSIG, NSEC}
        bits = bytearray(7)
        for kind in kinds:
            bits[kind // 8] |= 0x80 >> kind % 8
        return b"\1\0" + wire_name(name) + bytes([0, len(bits)]) + bytes(bits)
