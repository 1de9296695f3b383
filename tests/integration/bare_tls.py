# SPDX-License-Identifier: MIT
"""TLS 1.3 by hand (RFC 8446), to present certificates that no library would: one suite, two groups, nothing checked. It
stands where an ssl.SSLContext does."""
import hashlib
import hmac
import os
import ssl
import struct

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SUITE, P256, X25519, ECDSA_P256_SHA256 = 0x1301, 23, 29, 0x0403
CLIENT_HELLO, SERVER_HELLO, EXTENSIONS, CERTIFICATE, REQUEST, VERIFY, FINISHED = 1, 2, 8, 11, 13, 15, 20
CHANGE_CIPHER, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23


def vector(size, data):
    return len(data).to_bytes(size, "big") + data


def message(kind, body):
    return bytes([kind]) + vector(3, body)


def extension(kind, body):
    return struct.pack("!H", kind) + vector(2, body)


def expand(secret, label, context, size):
    """HKDF-Expand-Label (s7.1); one block of SHA-256 is enough for all there is."""
    info = struct.pack("!H", size) + vector(1, b"tls13 " + label) + vector(1, context) + b"\1"
    return hmac.digest(secret, info, "sha256")[:size]


def extensions_of(data):
    found, data = {}, data[2:2 + int.from_bytes(data[:2], "big")]
    while data:
        kind, size = struct.unpack_from("!HH", data)
        found[kind] = data[4:4 + size]
        data = data[4 + size:]
    return found


class Direction:
    """Records of one side, once it has a key (s5.2)."""

    def __init__(self, secret):
        self.secret, self.count = secret, 0
        self.cipher, self.start = AESGCM(expand(secret, b"key", b"", 16)), expand(secret, b"iv", b"", 12)

    def nonce(self):
        number = int.from_bytes(self.start, "big") ^ self.count
        self.count += 1
        return number.to_bytes(12, "big")

    def seal(self, kind, data):
        head = struct.pack("!BHH", DATA, 0x0303, len(data) + 17)
        return head + self.cipher.encrypt(self.nonce(), data + bytes([kind]), head)

    def open(self, head, data):
        plain = self.cipher.decrypt(self.nonce(), data, head).rstrip(b"\0")
        return plain[-1], plain[:-1]


class Session:
    """What of ssl.SSLObject a Wire calls."""

    def __init__(self, incoming, outgoing, is_server, chain, key):
        self.incoming, self.outgoing, self.is_server, self.chain, self.key = incoming, outgoing, is_server, chain, key
        self.group, self.share = P256, ec.generate_private_key(ec.SECP256R1())
        self.hears = self.says = None  # a Direction each
        self.wire, self.handshake, self.plain, self.transcript = b"", b"", b"", b""
        self.steps = self.serve() if is_server else self.call()

    # ---- records ----

    def record(self):
        """The next one; b"" of data that is none of a handshake's."""
        self.wire += self.incoming.read()
        if len(self.wire) < 5 or len(self.wire) < 5 + int.from_bytes(self.wire[3:5], "big"):
            if self.incoming.eof:
                raise ssl.SSLEOFError("the connection ended")
            raise ssl.SSLWantReadError
        size = 5 + int.from_bytes(self.wire[3:5], "big")
        head, data, self.wire = self.wire[:5], self.wire[5:size], self.wire[size:]
        kind = head[0]
        if kind == DATA and self.hears:
            kind, data = self.hears.open(head, data)
        if kind == ALERT:
            if data[1] == 0:
                raise ssl.SSLZeroReturnError("close_notify")
            raise ssl.SSLError(f"alert {data[1]}")
        return kind, data

    def heard(self):
        """The next message of the handshake: its type and body; what is said and heard is kept for the keys."""
        while len(self.handshake) < 4 or len(self.handshake) < 4 + int.from_bytes(self.handshake[1:4], "big"):
            kind, data = self.record()
            if kind == HANDSHAKE:
                self.handshake += data
        size = 4 + int.from_bytes(self.handshake[1:4], "big")
        whole, self.handshake = self.handshake[:size], self.handshake[size:]
        self.transcript += whole
        return whole[0], whole[4:]

    def say(self, *messages):
        for whole in messages:
            self.transcript += whole
            self.outgoing.write(self.says.seal(HANDSHAKE, whole) if self.says
                                else struct.pack("!BHH", HANDSHAKE, 0x0303, len(whole)) + whole)

    # ---- keys (s7.1) ----

    def digest(self):
        return hashlib.sha256(self.transcript).digest()

    def derive(self, secret, label):
        return expand(secret, label, self.digest(), 32)

    def agree(self, theirs):
        """Behind the hellos."""
        if self.group == P256:
            shared = self.share.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), theirs))
        else:
            shared = self.share.exchange(x25519.X25519PublicKey.from_public_bytes(theirs))
        empty = hashlib.sha256(b"").digest()
        early = hmac.digest(bytes(32), bytes(32), "sha256")
        secret = hmac.digest(expand(early, b"derived", empty, 32), shared, "sha256")
        self.master = hmac.digest(expand(secret, b"derived", empty, 32), bytes(32), "sha256")
        self.directions(Direction(self.derive(secret, b"c hs traffic")), Direction(self.derive(secret, b"s hs traffic")))

    def directions(self, client, server):
        self.hears, self.says = (client, server) if self.is_server else (server, client)

    def finished(self):
        return message(FINISHED, hmac.digest(expand(self.says.secret, b"finished", b"", 32), self.digest(), "sha256"))

    def prove(self, context):
        """Certificate and CertificateVerify (s4.4.2, s4.4.3)."""
        entries = b"".join(vector(3, der) + vector(2, b"") for der in self.chain)
        self.say(message(CERTIFICATE, vector(1, context) + vector(3, entries)))
        who = b"server" if self.is_server else b"client"
        signed = b" " * 64 + b"TLS 1.3, " + who + b" CertificateVerify\0" + self.digest()
        signature = self.key.sign(signed, ec.ECDSA(hashes.SHA256()))
        self.say(message(VERIFY, struct.pack("!H", ECDSA_P256_SHA256) + vector(2, signature)))

    def point(self):
        form = ((serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint) if self.group == P256
                else (serialization.Encoding.Raw, serialization.PublicFormat.Raw))
        return struct.pack("!H", self.group) + vector(2, self.share.public_key().public_bytes(*form))

    # ---- the two sides: generators, which wait for more where they stand ----

    def next(self):
        while True:
            try:
                return self.heard()
            except ssl.SSLWantReadError:
                yield

    def until(self, *kinds):
        """Bodies by type, up to the last of these."""
        found = {}
        while kinds[-1] not in found:
            kind, body = yield from self.next()
            found[kind] = body
        return found

    def call(self):
        offer = (extension(43, vector(1, b"\3\4")) + extension(10, vector(2, struct.pack("!H", P256)))
                 + extension(13, vector(2, bytes.fromhex("0403050306030804080508060401050106010807")))
                 + extension(51, vector(2, self.point())))
        self.say(message(CLIENT_HELLO, b"\3\3" + os.urandom(32) + vector(1, b"") + vector(2, struct.pack("!H", SUITE))
                         + vector(1, b"\0") + vector(2, offer)))
        hello = (yield from self.until(SERVER_HELLO))[SERVER_HELLO]
        at = 35 + hello[34] + 3
        self.agree(extensions_of(hello[at:])[51][4:])
        heard = yield from self.until(FINISHED)
        server = self.derive(self.master, b"s ap traffic")
        client = self.derive(self.master, b"c ap traffic")
        if REQUEST in heard:
            self.prove(heard[REQUEST][1:1 + heard[REQUEST][0]])
        self.say(self.finished())
        self.directions(Direction(client), Direction(server))

    def serve(self):
        hello = (yield from self.until(CLIENT_HELLO))[CLIENT_HELLO]
        session = hello[35:35 + hello[34]]
        at = 35 + len(session)
        at += 2 + int.from_bytes(hello[at:at + 2], "big")
        at += 1 + hello[at]
        shares = extensions_of(hello[at:])[51][2:]
        theirs = {}
        while shares:
            group, size = struct.unpack_from("!HH", shares)
            theirs[group] = shares[4:4 + size]
            shares = shares[4 + size:]
        if X25519 in theirs:
            self.group, self.share = X25519, x25519.X25519PrivateKey.generate()
        elif P256 not in theirs:
            raise ssl.SSLError("no share of a group that is known here")
        answer = extension(43, b"\3\4") + extension(51, self.point())
        self.say(message(SERVER_HELLO, b"\3\3" + os.urandom(32) + vector(1, session) + struct.pack("!HB", SUITE, 0)
                         + vector(2, answer)))
        self.agree(theirs[self.group])
        self.say(message(EXTENSIONS, vector(2, b"")))
        self.prove(b"")
        self.say(self.finished())
        client, server = (self.derive(self.master, label) for label in (b"c ap traffic", b"s ap traffic"))
        self.says = Direction(server)
        yield from self.until(FINISHED)
        self.hears = Direction(client)

    # ---- what a Wire calls ----

    def do_handshake(self):
        for _ in self.steps:
            raise ssl.SSLWantReadError

    def read(self, size):
        while not self.plain:
            kind, data = self.record()
            if kind == DATA:
                self.plain = data
        data, self.plain = self.plain[:size], self.plain[size:]
        return data

    def write(self, data):
        if not self.says:
            raise ssl.SSLError("no keys yet")
        for at in range(0, len(data), 16000):
            self.outgoing.write(self.says.seal(DATA, data[at:at + 16000]))


class Context:
    """chain: DER, leaf first; key: of the leaf, on P-256."""

    def __init__(self, chain, key):
        self.chain, self.key = chain, key

    def wrap_bio(self, incoming, outgoing, server_side=False, server_hostname=None, session=None):
        return Session(incoming, outgoing, server_side, self.chain, self.key)


def context_of(pem, key):
    """Of two files."""
    chain = [ssl.PEM_cert_to_DER_cert("-----BEGIN" + part) for part in pem.read_text().split("-----BEGIN")[1:]]
    return Context(chain, serialization.load_pem_private_key(key.read_bytes(), None))
