# SPDX-License-Identifier: MIT
"""The client's side of SCRAM (RFC 5802, RFC 7677) and channel binding data (RFC 5929, RFC 9266), strict about what the
server sends and lenient about what it is told to send itself."""
import base64
import functools
import hashlib
import hmac
import re
import secrets
import ssl

HASHES = {"SCRAM-SHA-1": "sha1", "SCRAM-SHA-256": "sha256"}
# RFC 5929 s4.1 by the certificate's signatureAlgorithm: SHA-256 for MD5 and SHA-1, else the hash that it names.
SIGNATURES = {"1.2.840.113549.1.1.4": "sha256", "1.2.840.113549.1.1.5": "sha256", "1.2.840.113549.1.1.11": "sha256",
              "1.2.840.113549.1.1.12": "sha384", "1.2.840.113549.1.1.13": "sha512", "1.2.840.10045.4.1": "sha256",
              "1.2.840.10045.4.3.2": "sha256", "1.2.840.10045.4.3.3": "sha384", "1.2.840.10045.4.3.4": "sha512"}


class Mistake(Exception):
    """The server's message is against the grammar or its signature is wrong."""


@functools.lru_cache(maxsize=256)
def salted(algorithm, password, salt, iterations):
    return hashlib.pbkdf2_hmac(algorithm, password.encode(), salt, iterations)


def saslname(text):
    return text.replace("=", "=3D").replace(",", "=2C")


class Exchange:
    """binding: (type, data) for -PLUS; gs2: a flag instead of the right one; edit: functions that spoil or extend the
    messages, by name: first(bare) and final(without_proof)."""

    SYNTAX = re.compile(r"r=([\x21-\x2b\x2d-\x7e]+),s=([A-Za-z0-9+/]+=*),i=([1-9][0-9]*)((?:,[A-Za-z]=[^,\0]+)*)")

    def __init__(self, how, user, password, binding=None, gs2=None, authzid=None, extension="", final_extension=""):
        self.algorithm = HASHES[how.removesuffix("-PLUS")]
        self.password = password
        self.nonce = secrets.token_hex(12)
        flag = gs2 or (f"p={binding[0]}" if binding else "n")
        self.gs2 = f"{flag},{'a=' + saslname(authzid) if authzid else ''},"
        self.binding = binding[1] if binding else b""
        self.bare = f"n={saslname(user)},r={self.nonce}{extension}"
        self.final_extension = final_extension

    def first(self):
        return (self.gs2 + self.bare).encode()

    def read(self, challenge):
        text = challenge.decode("utf-8", "replace")
        found = self.SYNTAX.fullmatch(text)
        if not found:
            raise Mistake(f"RFC 5802 s7: server-first-message {text!r}")
        nonce, salt, iterations = found.group(1, 2, 3)
        if not nonce.startswith(self.nonce) or nonce == self.nonce:
            raise Mistake(f"RFC 5802 s5.1: nonce {nonce} does not extend {self.nonce}")
        self.salt, self.iterations = base64.b64decode(salt, validate=True), int(iterations)
        return nonce, text

    def final(self, challenge, nonce=None, gs2=None, cut=None):
        real, text = self.read(challenge)
        key = salted(self.algorithm, self.password, self.salt, self.iterations)
        client = hmac.digest(key, b"Client Key", self.algorithm)
        stored = hashlib.new(self.algorithm, client).digest()
        header = (self.gs2 if gs2 is None else gs2).encode()
        bound = base64.b64encode(header + self.binding).decode()
        without = f"c={bound},r={nonce or real}{self.final_extension}"
        auth = f"{self.bare},{text},{without}".encode()
        proof = bytes(a ^ b for a, b in zip(client, hmac.digest(stored, auth, self.algorithm)))
        self.signature = hmac.digest(hmac.digest(key, b"Server Key", self.algorithm), auth, self.algorithm)
        message = f"{without},p={base64.b64encode(proof).decode()}"
        return (cut(message) if cut else message).encode()

    def verify(self, message):
        expected = b"v=" + base64.b64encode(self.signature)
        if message != expected and not message.startswith(expected + b","):
            raise Mistake(f"RFC 5802 s3: server signature {message!r}")


# ---- channel binding ----

def der(data):
    """(content, rest) of the first element."""
    size, start = data[1], 2
    if size & 0x80:
        start = 2 + (size & 0x7f)
        size = int.from_bytes(data[2:start], "big")
    return data[start:start + size], data[start + size:]


def signature_algorithm(certificate):
    """The object identifier of Certificate.signatureAlgorithm (RFC 5280 s4.1)."""
    _, rest = der(der(certificate)[0])
    octets = der(der(rest)[0])[0]
    numbers, value = [octets[0] // 40, octets[0] % 40], 0
    for octet in octets[1:]:
        value = value << 7 | octet & 0x7f
        if not octet & 0x80:
            numbers.append(value)
            value = 0
    return ".".join(map(str, numbers))


def end_point(certificate):
    """tls-server-end-point, or None where RFC 5929 leaves it undefined."""
    algorithm = SIGNATURES.get(signature_algorithm(certificate))
    return hashlib.new(algorithm, certificate).digest() if algorithm else None


def binding_data(tls, kind):
    """None when it cannot be had here."""
    if kind == "tls-server-end-point":
        return end_point(tls.getpeercert(True))
    if kind in ssl.CHANNEL_BINDING_TYPES:
        return tls.get_channel_binding(kind)
    return None
