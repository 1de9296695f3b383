# SPDX-License-Identifier: MIT
"""A test authority with its OCSP responder and CRL server on loopback: each certificate is asked for under its own path,
and what is said there can be changed at any time."""
import datetime
import hashlib
import http.server
import pathlib
import sys
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import serialization

CHAINS = pathlib.Path(__file__).resolve().parent.parent / "chains"
sys.path.insert(0, str(CHAINS))
import generate  # noqa: E402
import revocation  # noqa: E402
from revocation import REVOKED, UNKNOWN  # noqa: E402,F401

SECOND = datetime.timedelta(seconds=1)


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        self.reply()

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.reply()

    def reply(self):
        told = self.server.answers.get(self.path)
        self.server.asked.append(self.path)
        told = told() if callable(told) else told
        if told is None:
            self.close_connection = True
            return
        status, body, headers = told if isinstance(told, tuple) else (200, told, {})
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # all are asked at once


class Responder:
    """answers: path to bytes, (status, bytes, headers), a function that gives one of these, or None: the connection is
    closed without a word."""

    def __init__(self):
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.answers, self.server.asked = {}, []
        self.answers, self.asked = self.server.answers, self.server.asked
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Authority:
    """Issues certificates that are asked for at a responder, and writes them as a router wants them."""

    def __init__(self, responder):
        self.responder = responder
        self.party = generate.authority("Watched authority", None)

    def write(self, folder):
        folder.mkdir()
        (folder / "ca.pem").write_text(generate.pem(self.party.der))
        (folder / "ca.key").write_bytes(key_of(self.party))

    def issue(self, *domains, ocsp=None, crl=None, seconds=None, extra=(), people=()):
        """ocsp, crl: paths; seconds: of its life, from now; extra: extensions, and whether each is critical; people:
        addresses of accounts."""
        extra = list(extra)
        if ocsp:
            extra.append(self.source(ocsp))
        if crl:
            extra.append((x509.CRLDistributionPoints([x509.DistributionPoint([self.address(crl)], None, None, None)]),
                          False))
        now = datetime.datetime.utcnow().replace(microsecond=0)
        generate.NOW = revocation.NOW = now
        end = 3650 if seconds is None else seconds / 86400
        names = [generate.dns(domain) for domain in domains] + [generate.xmpp(person) for person in people]
        return generate.leaf(self.party, names=names, extra=extra, end=end)

    def source(self, path):
        """The extension that says where to ask by OCSP."""
        return x509.AuthorityInformationAccess([x509.AccessDescription(
            x509.AuthorityInformationAccessOID.OCSP, self.address(path))]), False

    def address(self, path):
        return x509.UniformResourceIdentifier(path if path.startswith("http") else self.responder.url + path)

    def answer(self, party, **options):
        """Made when it is called, so that it is fresh."""
        revocation.NOW = datetime.datetime.utcnow().replace(microsecond=0)
        return revocation.answer(certificate=party, by=self.party, **options)


def key_of(party):
    return party.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                   serialization.NoEncryption())


def write_certificate(folder, domain, party, *above):
    """above: those that stand behind it in its file."""
    (folder / f"{domain}.pem").write_text("".join(generate.pem(one.der) for one in (party, *above)))
    (folder / f"{domain}.key").write_bytes(key_of(party))


def sha256(party):
    """As the log names it: the first 16 digits."""
    return hashlib.sha256(party.der).hexdigest()[:16]


def sleep_then(seconds, told):
    def late():
        time.sleep(seconds)
        return told
    return late
