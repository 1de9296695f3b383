# SPDX-License-Identifier: MIT
"""The client's side of SCRAM (RFC 5802, RFC 7677), strict about what the server sends."""
import base64
import functools
import hashlib
import hmac
import re
import secrets
import subprocess


def b64(data):
    return base64.b64encode(data).decode()


def unb64(text):
    return base64.b64decode(text, validate=True)


@functools.lru_cache(maxsize=4096)
def salted(algorithm, password, salt, iterations):
    return hashlib.pbkdf2_hmac(algorithm, password.encode(), salt, iterations)


@functools.lru_cache(maxsize=64)
def end_point(certificate):
    """RFC 5929 s4.1: the hash of the certificate's signature algorithm, SHA-256 for MD5 and SHA-1."""
    text = subprocess.run(["openssl", "x509", "-inform", "DER", "-noout", "-text"], input=certificate,
                          capture_output=True, check=True, timeout=20).stdout.decode()
    name = re.search(r"Signature Algorithm: (\S+)", text).group(1).lower()
    for algorithm in ("sha384", "sha512", "sha224"):
        if algorithm in name:
            return hashlib.new(algorithm, certificate).digest()
    return hashlib.sha256(certificate).digest()


class Exchange:
    SYNTAX = re.compile(r"r=([\x21-\x2b\x2d-\x7e]+),s=([A-Za-z0-9+/]+=*),i=([1-9][0-9]*)(?:,h=[A-Za-z0-9+/]+=*)?")  # h: XEP-0474

    def __init__(self, mechanism, user, password, binding=None, binding_data=None, gs2=None, authzid=None):
        self.algorithm = {"SCRAM-SHA-1": "sha1", "SCRAM-SHA-256": "sha256"}[mechanism.removesuffix("-PLUS")]
        self.password = password
        self.nonce = secrets.token_urlsafe(18)
        flag = gs2 or (f"p={binding}" if binding else "n")
        self.gs2 = f"{flag},{'a=' + self.name(authzid) if authzid else ''},"
        self.binding_data = binding_data or b""
        self.bare = f"n={self.name(user)},r={self.nonce}"

    @staticmethod
    def name(text):
        return text.replace("=", "=3D").replace(",", "=2C")

    def first(self):
        return (self.gs2 + self.bare).encode()

    def final(self, challenge, password=None):
        found = self.SYNTAX.fullmatch(challenge.decode())
        if not found:
            raise ValueError(f"server-first-message {challenge!r}")
        nonce, salt, iterations = found.groups()
        if not nonce.startswith(self.nonce) or len(nonce) < len(self.nonce) + 16:
            raise ValueError(f"nonce {nonce}")
        self.salt, self.iterations = unb64(salt), int(iterations)
        key = salted(self.algorithm, password or self.password, self.salt, self.iterations)
        client = hmac.digest(key, b"Client Key", self.algorithm)
        stored = hashlib.new(self.algorithm, client).digest()
        bound = b64(self.gs2.encode() + self.binding_data)
        auth = f"{self.bare},{challenge.decode()},c={bound},r={nonce}".encode()
        signature = hmac.digest(stored, auth, self.algorithm)
        proof = bytes(a ^ b for a, b in zip(client, signature))
        self.signature = hmac.digest(hmac.digest(key, b"Server Key", self.algorithm), auth, self.algorithm)
        return f"c={bound},r={nonce},p={b64(proof)}".encode()

    def verify(self, message):
        return message == b"v=" + b64(self.signature).encode()
