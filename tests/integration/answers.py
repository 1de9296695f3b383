# SPDX-License-Identifier: MIT
"""Certificates of NAME.peers.example, each of which is answered for otherwise, well or badly, and what is to be thought
of it."""
from responder import REVOKED, UNKNOWN, generate, revocation, sleep_then

HOUR, DAY = revocation.HOUR, revocation.DAY


def domain(name):
    return f"{name}.peers.example"


def cells(authority):
    """name: (certificate, standing, answer), the last as the log tells it; what its sources say is laid out."""
    ca = authority.party
    twin = generate.authority("Watched authority", None)
    made = {}

    def cell(name, told, standing, why, **options):
        certificate = authority.issue(domain(name), ocsp=f"/{name}", **options)
        authority.responder.answers[f"/{name}"] = told(certificate)
        made[name] = (certificate, standing, why)

    def says(**options):
        return lambda certificate: authority.answer(certificate, **options)

    def delegated(delegate, **options):
        return lambda certificate: authority.answer(certificate, signer=delegate, certificates=[delegate], **options)

    def constant(told):
        return lambda certificate: told

    def delegate(by=ca, **options):
        return revocation.delegate(by=by, **options)

    cell("good", says(), "good", "good")
    cell("good-sha256", says(algorithm=revocation.hashes.SHA256()), "good", "good")
    cell("good-delegate", delegated(delegate()), "good", "good")
    cell("good-redirect", constant((302, b"", {"Location": authority.responder.url + "/good-moved"})), "good", "good")
    authority.responder.answers["/good-moved"] = authority.answer(made["good-redirect"][0])
    cell("revoked", says(status=REVOKED), "revoked", "revoked")
    cell("revoked-delegate", delegated(delegate(), status=REVOKED), "revoked", "revoked")
    unanswered = "unanswered"
    cell("unknown", says(status=UNKNOWN), unanswered, "unknown to the responder")
    cell("closed", constant(None), unanswered, "no answer")
    cell("slow", lambda certificate: sleep_then(30, b""), unanswered, "no answer")
    cell("error", constant((500, b"", {})), unanswered, "no answer")
    cell("missing", constant((404, b"", {})), unanswered, "no answer")
    cell("garbage", constant(b"<html>"), unanswered, "malformed answer")
    cell("too-large", constant(b"x" * 70000), unanswered, "no answer")
    cell("redirect-loop", constant((302, b"", {"Location": authority.responder.url + "/redirect-loop"})), unanswered, "no answer")
    cell("redirect-file", constant((302, b"", {"Location": "file:///etc/passwd"})), unanswered, "no answer")
    later = revocation.ocsp.OCSPResponseBuilder.build_unsuccessful(revocation.ocsp.OCSPResponseStatus.TRY_LATER)
    cell("try-later", constant(later.public_bytes(revocation.DER)), unanswered, "the responder has no answer")
    cell("stale", says(this=-3 * DAY, until=-2 * DAY), unanswered, "stale answer")
    cell("early", says(this=1 * HOUR), unanswered, "answer from the future")
    cell("forged", lambda certificate: revocation.spoilt(authority.answer(certificate)), unanswered,
         "answer with a wrong signature")
    cell("unsigned", lambda certificate: unsigned(authority.answer(certificate)), unanswered, "malformed answer")
    cell("wrong-issuer", lambda certificate: revocation.answer(certificate=generate.leaf(twin), by=twin), unanswered,
         "answer about another certificate")
    cell("other-serial", lambda certificate: revocation.answer(certificate=generate.leaf(ca), by=ca), unanswered,
         "answer about another certificate")
    cell("stranger", says(signer=generate.authority("Stranger", None)), unanswered, "answer by somebody who may not")
    cell("delegate-purpose", delegated(delegate(purposes=[revocation.EKU.SERVER_AUTH])), unanswered,
         "answer by somebody who may not")
    cell("delegate-expired", delegated(delegate(start=-20, end=-1)), unanswered, "answer by somebody who may not")
    cell("delegate-of-another", delegated(delegate(by=twin)), unanswered, "answer by somebody who may not")
    cell("list-after-ocsp", constant(None), "good", "good", crl="/list")
    made["unchecked"] = (authority.issue("unchecked.peers.example"), "unchecked", None)
    made["list-good"] = (authority.issue("list-good.peers.example", crl="/list"), "good", "good")
    made["list-revoked"] = (authority.issue("list-revoked.peers.example", crl="/list"), "revoked", "revoked")
    authority.responder.answers["/list"] = revocation.crl(by=ca, revoked=[made["list-revoked"][0]])
    made["list-stale"] = (authority.issue("list-stale.peers.example", crl="/list-stale"), unanswered, "stale answer")
    authority.responder.answers["/list-stale"] = revocation.crl(by=ca, this=-3 * DAY, until=-2 * DAY)
    made["list-forged"] = (authority.issue("list-forged.peers.example", crl="/list-forged"), unanswered,
                           "answer with a wrong signature")
    authority.responder.answers["/list-forged"] = revocation.spoilt(revocation.crl(by=ca))
    return made


def unsigned(answer):
    status, kind, fields = revocation.basic_of(answer)
    return revocation.response_of(status, kind, [fields[0], fields[1], revocation.tlv(3, b"\0")])
