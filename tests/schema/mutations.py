# SPDX-License-Identifier: MIT
"""What a wrong emitter might send: each mutation turns a valid stream into one that the grammars must refuse.

A row is a name, an XPath to what is changed, and the change. The change gets the element and a seeded dice."""
import copy
import re

from lxml import etree

NAMESPACES = {
    "s": "http://etherx.jabber.org/streams",
    "se": "urn:ietf:params:xml:ns:xmpp-streams",
    "c": "jabber:client",
    "e": "urn:ietf:params:xml:ns:xmpp-stanzas",
    "tls": "urn:ietf:params:xml:ns:xmpp-tls",
    "sasl": "urn:ietf:params:xml:ns:xmpp-sasl",
    "cb": "urn:xmpp:sasl-cb:0",
    "bind": "urn:ietf:params:xml:ns:xmpp-bind",
    "session": "urn:ietf:params:xml:ns:xmpp-session",
    "limits": "urn:xmpp:stream-limits:0",
    "items": "http://jabber.org/protocol/disco#items",
    "info": "http://jabber.org/protocol/disco#info",
    "version": "jabber:iq:version",
    "time": "urn:xmpp:time",
    "ping": "urn:xmpp:ping",
    "n": "jabber:server",
    "db": "jabber:server:dialback",
    "dialback": "urn:xmpp:features:dialback",
    "canbidi": "urn:xmpp:features:bidi",
    "bidi": "urn:xmpp:bidi",
    "sm": "urn:xmpp:sm:3",
    "delay": "urn:xmpp:delay",
}
LANG = "{http://www.w3.org/XML/1998/namespace}lang"


def made(name, text=None, **attributes):
    prefix, _, local = name.partition(":")
    element = etree.Element(f"{{{NAMESPACES[prefix]}}}{local}", attributes)
    element.text = text
    return element


# ---- changes ----

def drop(name):
    return lambda element, dice: element.attrib.pop(name)


def put(name, *values):
    return lambda element, dice: element.set(name, dice.choice(values))


def write(*texts):
    def change(element, dice):
        element.text = dice.choice(texts)
    return change


def rename(name):
    def change(element, dice):
        element.tag = made(name).tag
    return change


def add(name, *more, **attributes):
    return lambda element, dice: element.append(made(name, *more, **attributes))


def add_first(name, *more, **attributes):
    return lambda element, dice: element.insert(0, made(name, *more, **attributes))


def remove(element, dice):
    element.getparent().remove(element)


def empty(element, dice):
    del element[:]


def repeat(element, dice):
    element.addnext(copy.deepcopy(element))


def repeat_at_the_end(element, dice):
    element.getparent().append(copy.deepcopy(element))


def swap_with_next(element, dice):
    element.getnext().addnext(element)


def text_behind(element, dice):
    element.tail = dice.choice(["x", "&", "]]>"])


BOUND = "/s:stream[s:features/bind:bind]"
STANZA = f"{BOUND}/c:*[not(bind:bind)]"
# What the router says itself, not another client through it: docs/schema/client.rnc.
OWN = f"{BOUND}/c:*[not(contains(@from, '/')) or @type='error' or @type='unavailable' or self::c:iq]"
# What it asks a silent session.
ASKED = f"{BOUND}/c:iq[@type='get'][ping:ping][not(contains(@from, '/'))]"
# What it says in the name of a session that has ended.
GONE = f"{BOUND}/c:presence[@type='unavailable'][not(*)]"
NO_CONDITION = "e:no-such-condition"

ROWS = [
    # the header: RFC 6120 s4.7
    ("header without from", "/s:stream", drop("from")),
    ("header without id", "/s:stream", drop("id")),
    ("header without version", "/s:stream[s:features]", drop("version")),
    ("header without language", "/s:stream", drop(LANG)),
    ("header of another version", "/s:stream[s:features]", put("version", "0.9", "1.1", "", "2.0")),
    ("header with a short id", "/s:stream", put("id", "1", "", "abcdef012345")),
    ("header from no domain", "/s:stream", put("from", "", "user@example.com", "example.com/r", "a b")),
    ("header to a full address", "/s:stream", put("to", "a@example.com/r", "")),
    ("header with another attribute", "/s:stream", put("xmlns-stream", "x")),
    ("another root", "/s:stream", rename("s:streams")),
    # features: s4.3, s5.3.1, s5.4.1, s6.4.1, s7.4
    ("SASL while TLS is mandatory", "/s:stream/s:features[tls:starttls/tls:required]",
     lambda element, dice: element.append(sasl_offer())),
    ("starttls alone and not required", "/s:stream/s:features/tls:starttls/tls:required", remove),
    ("PLAIN in the clear", "/s:stream/s:features[tls:starttls]/sasl:mechanisms", add("sasl:mechanism", "PLAIN")),
    ("no mechanism", "/s:stream/s:features/sasl:mechanisms", empty),
    ("mechanism in small letters", "/s:stream/s:features/sasl:mechanisms/sasl:mechanism",
     write("plain", "", "SCRAM SHA")),
    ("certificate in the clear", "/s:stream/s:features[tls:starttls]/sasl:mechanisms",
     add_first("sasl:mechanism", "EXTERNAL")),
    ("EXTERNAL behind another", "/s:stream/s:features/sasl:mechanisms[sasl:mechanism]", add("sasl:mechanism", "EXTERNAL")),
    ("binding mechanisms without types", "/s:stream/s:features/cb:sasl-channel-binding", remove),
    ("binding types without tls-server-end-point", "//cb:channel-binding[@type='tls-server-end-point']", remove),
    ("unknown binding type", "//cb:channel-binding", put("type", "tls-everything")),
    ("TLS again behind TLS", "/s:stream/s:features[cb:sasl-channel-binding]", add("tls:starttls")),
    ("SASL again behind SASL", f"{BOUND}/s:features", lambda element, dice: element.append(sasl_offer())),
    ("no binding offered", f"{BOUND}/s:features/bind:bind", remove),
    ("limit below the least", "//limits:max-bytes", write("9999", "-1", "", "many")),
    ("limit of time that is none", "//limits:limits",
     lambda element, dice: element.append(made("limits:idle-seconds", "soon"))),
    ("limits twice", "//limits:limits", repeat),
    ("bind with content", f"{BOUND}/s:features/bind:bind", add("bind:required-too")),
    ("session with content", f"{BOUND}/s:features/session:session", write("x")),
    ("session with another child", f"{BOUND}/s:features/session:session/session:optional",
     rename("session:required")),
    ("starttls with a word", "//tls:starttls", write("now")),
    ("starttls with another child", "//tls:starttls/tls:required", rename("tls:needed")),
    ("binding mechanism alone", "/s:stream/s:features/sasl:mechanisms", rename("sasl:mechanism")),
    ("features twice", "/s:stream/s:features", repeat),
    ("features behind completion", f"{BOUND}[c:iq]/s:features", repeat_at_the_end),
    ("features behind the answer", "/s:stream[sasl:*]/s:features", swap_with_next),
    ("a feature of no namespace", "/s:stream/s:features", lambda element, dice: element.append(etree.Element("x"))),
    ("text in features", "/s:stream/s:features", write("x")),
    # TLS and SASL: s5.4.2, s6.4, s6.5
    ("proceed with content", "//tls:proceed", write("now")),
    ("more behind proceed", "//tls:proceed", repeat),
    ("TLS failure with a cause", "//tls:failure", add("tls:reason")),
    ("more behind a TLS failure", "//tls:failure", repeat),
    ("TLS failure of another namespace", "//tls:failure", rename("sasl:aborted")),
    ("challenge that is not base64", "//sasl:challenge", write("====", "a", "ab cd", "YWJj\n", "YWJjZA", "ü")),
    ("success that is not base64", "//sasl:success", write("yes!", "YWJj ", "==")),
    ("more behind success", "//sasl:success", repeat),
    ("success in another namespace", "//sasl:success", rename("tls:success")),
    ("failure without a cause", "//sasl:failure", empty),
    ("failure with two causes", "//sasl:failure", add("sasl:aborted")),
    ("SASL cause with content", "//sasl:failure/sasl:*[1]", write("x")),
    ("failure with an unknown cause", "//sasl:failure/sasl:*[1]", rename("sasl:no-such-cause")),
    ("stanza before authentication", "/s:stream/s:features[sasl:mechanisms]",
     lambda element, dice: element.addnext(made("c:message"))),
    # stream errors: s4.9.2
    ("stream error without condition", "/s:stream/s:error/se:*[not(self::se:text)]", remove),
    ("stream error with two conditions", "/s:stream/s:error", add_first("se:conflict")),
    ("stream error with an unknown condition", "/s:stream/s:error/se:*[1]", rename("se:invalid-id")),
    ("stream error of a stanza's namespace", "/s:stream/s:error/se:*[1]", rename("e:not-authorized")),
    ("stream error with its text first", "/s:stream/s:error[se:text]/se:*[1]", swap_with_next),
    ("stream error with two texts", "/s:stream/s:error/se:text", repeat),
    ("stream error with a bare word", "/s:stream/s:error", write("conflict")),
    ("condition with content", "/s:stream/s:error/se:*[1]", write("x")),
    ("more behind the stream error", "/s:stream/s:error", repeat),
    ("see-other-host without a host", "/s:stream/s:error/se:*[1]", rename("se:see-other-host")),
    # binding: s7.6, s7.7
    ("stanza before binding", f"{BOUND}/c:iq[bind:bind]",
     lambda element, dice: element.addprevious(made("c:message"))),
    ("bound to a bare address", "//bind:jid", write("user@example.com", "example.com", "", "user@/r", "@example.com/r")),
    ("bound to nothing", "//bind:jid", remove),
    ("bound to two addresses", "//bind:jid", repeat),
    ("binding answered in another namespace", f"{BOUND}/c:iq/bind:bind", rename("session:session")),
    ("bound twice", f"{BOUND}/c:iq[bind:bind]", repeat),
    # stanzas: s8.1, s8.2, s8.4
    ("iq without id", f"{BOUND}/c:iq", drop("id")),
    ("iq without type", f"{BOUND}/c:iq", drop("type")),
    ("iq of an unknown type", f"{BOUND}/c:iq", put("type", "push", "", "Result")),
    ("message of an unknown type", f"{BOUND}/c:message[not(c:error)]", put("type", "sms", "")),
    ("presence of an unknown type", f"{BOUND}/c:presence", put("type", "available", "")),
    ("stanza from nobody", STANZA, put("from", "", "@example.com", "user@", "a b", "user@example.com/", "x@y@z")),
    ("stanza to nobody", STANZA, put("to", "", "@example.com", "a@b@c", " ")),
    ("stanza with another attribute", OWN, put("priority", "1")),
    ("stanza in a broken language", OWN, put(LANG, "en_GB", "12345678901")),
    ("stanza of the other content namespace", STANZA, lambda element, dice: setattr(
        element, "tag", element.tag.replace("client", "server"))),
    ("unknown stanza", STANZA, rename("c:request")),
    ("text in a stanza", STANZA, write("x")),
    ("text behind a stanza", STANZA, text_behind),
    ("unknown child of the content namespace", OWN, add("c:no-such-child")),
    ("child of no namespace", OWN, lambda element, dice: element.append(etree.Element("x"))),
    ("attribute of the content namespace", OWN, put("{jabber:client}id", "1")),
    ("child of the stream namespace", STANZA, add("s:features")),
    ("child of the other content namespace", STANZA,
     lambda element, dice: element.append(etree.Element("{jabber:server}x"))),
    ("unavailable of another type", GONE, put("type", "gone", "offline", "")),
    ("unavailable from nobody", GONE, put("from", "", "user@example.com/", "@example.com/r")),
    ("unavailable with a child that nobody knows", GONE, add("c:gone")),
    ("iq with two payloads", f"{BOUND}/c:iq[*][@type='get' or @type='set' or @type='result']",
     lambda element, dice: element.append(etree.Element("{urn:example:x}x"))),
    ("request without payload", f"{BOUND}/c:iq[@type='get' or @type='set']", empty),
    ("body with content", "//c:message/c:body", add("c:body")),
    ("presence with two shows", "//c:presence[not(@type)]/c:show", repeat),
    ("unknown show", "//c:presence/c:show", write("online", "", "AWAY")),
    ("priority out of bounds", "//c:presence/c:priority", write("128", "-129", "high", "", "1.0")),
    ("two priorities", "//c:presence/c:priority", repeat),
    ("thread of nothing", "//c:message/c:thread", write("")),
    # stanza errors: s8.3
    ("error without <error/>", f"{BOUND}/c:*/c:error", remove),
    ("<error/> in a stanza of another type", f"{BOUND}/c:*[c:error]", put("type", "result", "chat", "unavailable")),
    ("error without type", f"{BOUND}/c:*/c:error", drop("type")),
    ("error of an unknown type", f"{BOUND}/c:*/c:error", put("type", "fatal", "", "Cancel")),
    ("error with a type that does not fit", f"{BOUND}/c:*/c:error[e:service-unavailable]", put("type", "auth", "wait")),
    ("error without condition", f"{BOUND}/c:*/c:error/e:*[not(self::e:text)]", remove),
    ("error with two conditions", f"{BOUND}/c:*/c:error", add("e:bad-request")),
    ("error with an unknown condition", f"{BOUND}/c:*/c:error/e:*[1]", rename(NO_CONDITION)),
    ("error of a stream's namespace", f"{BOUND}/c:*/c:error/e:*[1]", rename("se:conflict")),
    ("error with its text first", f"{BOUND}/c:*/c:error[e:text]/e:*[1]", swap_with_next),
    ("error with text outside of <text/>", f"{BOUND}/c:*/c:error", write("sorry")),
    ("error from nobody", f"{BOUND}/c:*/c:error", put("by", "")),
    ("two errors", f"{BOUND}/c:*/c:error", repeat),
    # extensions that are served: XEP-0030, XEP-0092, XEP-0199, XEP-0202
    ("disco#info without features", "//c:iq[@type='result']/info:query[info:feature]",
     lambda element, dice: [remove(child, dice) for child in element.findall("info:feature", NAMESPACES)]),
    ("disco#info without identity", "//c:iq[@type='result']/info:query[count(info:identity)=1]/info:identity", remove),
    ("feature without var", "//info:feature", drop("var")),
    ("identity without category", "//info:identity", drop("category")),
    ("feature with content", "//info:feature", write("x")),
    ("disco#info of another name", "//c:iq[@type='result']/info:query", rename("info:queries")),
    ("disco#items with a word", "//c:iq[@type='result']/items:query", write("none")),
    ("version of another name", "//c:iq[@type='result']/version:query", rename("version:answer")),
    ("version twice", "//version:version", repeat),
    ("time of another name", "//c:iq[@type='result']/time:time", rename("time:now")),
    ("offset without a colon", "//time:tzo", write("+0000", "UTC", "")),
    ("two payloads in a result", f"{BOUND}/c:iq[@type='result'][*][not(contains(@from, '/'))]",
     lambda element, dice: element.append(etree.Element("{urn:example:x}x"))),
    ("version without a name", "//version:name", remove),
    ("version before name", "//version:name", swap_with_next),
    ("time that is not UTC", "//time:utc",
     write("2026-11-22T19:00:00+01:00", "20261122T19:00:00", "2026-13-01T00:00:00Z")),
    ("time without offset", "//time:tzo", remove),
    ("ping with content", "//c:iq[@type='get']/ping:ping", write("x")),
    ("ping without id", ASKED, drop("id")),
    ("ping of another type", ASKED, put("type", "error", "ping", "")),
    ("ping from nobody", ASKED, put("from", "", "a b", "@example.com")),
    ("ping in another namespace", f"{ASKED}/ping:ping", rename("bind:ping")),
    ("two pings in one", f"{ASKED}/ping:ping", repeat),
]

# Between servers: what the one says who answers, and what the other says who has opened the stream.
ANSWERS = "/s:stream[@id]"
OPENS = "/s:stream[not(@id)]"
OFFER = f"{ANSWERS}/s:features[sasl:mechanisms or dialback:dialback or canbidi:bidi]"
# What the router says itself to another server: no client's full address is in it, or it is an error.
SERVER_OWN = "/s:stream/n:*[not(contains(@from, '/')) or @type='error']"
ANSWER = "/s:stream/db:*[@type='valid' or @type='invalid']"
SERVER_ROWS = [
    # the header
    ("server: header without id", f"{ANSWERS}[s:features]", drop("id")),
    ("server: header with a short id", ANSWERS, put("id", "1", "", "abcdef012345")),
    ("server: opens with an id", f"{OPENS}[*]", put("id", "0123456789abcdef0123456789abcdef")),
    ("server: opens to nobody", OPENS, drop("to")),
    ("server: opens from nobody", OPENS, drop("from")),
    ("server: header from a user", "/s:stream", put("from", "user@example.com", "", "example.com/r", "a b")),
    ("server: header to a user", "/s:stream[@to]", put("to", "user@example.com", "", "example.com/r")),
    ("server: header without version", "/s:stream[s:features]", drop("version")),
    ("server: header without language", "/s:stream", drop(LANG)),
    ("server: another root", "/s:stream", rename("s:streams")),
    # features
    ("server: features of no name", "/s:stream/s:features", rename("s:featured")),
    ("server: features twice", "/s:stream/s:features", repeat),
    ("server: features from who opens", f"{OPENS}[*]/*[1]", lambda element, dice: element.addprevious(made("s:features"))),
    ("server: a feature of no namespace", "/s:stream/s:features", lambda element, dice: element.append(etree.Element("x"))),
    ("server: starttls alone and not required", f"{ANSWERS}/s:features[count(*)=1]/tls:starttls[tls:required]/tls:required",
     rename("tls:needed")),
    ("server: starttls with a word", f"{ANSWERS}/s:features/tls:starttls", write("now")),
    ("server: more beside a required starttls", f"{ANSWERS}/s:features[tls:starttls/tls:required]",
     lambda element, dice: element.append(dice.choice([made("dialback:dialback"), made("canbidi:bidi"), sasl_offer()]))),
    ("server: no mechanism", OFFER + "/sasl:mechanisms", empty),
    ("server: a client's mechanism", OFFER + "/sasl:mechanisms/sasl:mechanism",
     write("PLAIN", "SCRAM-SHA-256", "ANONYMOUS", "external", "")),
    ("server: mechanism of another name", OFFER + "/sasl:mechanisms/sasl:mechanism", rename("sasl:mechanisms")),
    ("server: mechanisms twice", OFFER + "/sasl:mechanisms", repeat),
    ("server: dialback with a word", OFFER + "/dialback:dialback", write("yes")),
    ("server: dialback of another name", OFFER + "/dialback:dialback", rename("dialback:back")),
    ("server: dialback without errors", OFFER + "/dialback:dialback/dialback:errors", remove),
    ("server: dialback errors with content", OFFER + "/dialback:dialback/dialback:errors", write("x")),
    ("server: bidi as a request among features", OFFER + "/canbidi:bidi", rename("bidi:bidi")),
    ("server: bidi of another name", OFFER + "/canbidi:bidi", rename("canbidi:both")),
    ("server: bidi with content", OFFER + "/canbidi:bidi", write("x")),
    ("server: acknowledgements of another name", f"{ANSWERS}/s:features/sm:sm", rename("sm:acks")),
    ("server: acknowledgements with content", f"{ANSWERS}/s:features/sm:sm", add("sm:optional")),
    ("server: acknowledgements twice", f"{ANSWERS}/s:features/sm:sm", repeat),
    ("server: binding offered", "/s:stream/s:features", add("bind:bind")),
    ("server: limits twice", "/s:stream/s:features/limits:limits", repeat),
    # TLS and SASL
    ("server: more behind proceed", f"{ANSWERS}/tls:proceed", repeat),
    ("server: success with content", f"{ANSWERS}/sasl:success", write("YWJj")),
    ("server: success of another name", f"{ANSWERS}/sasl:success", rename("sasl:successful")),
    ("server: more behind success", f"{ANSWERS}/sasl:success", repeat),
    ("server: request for TLS with content", f"{OPENS}/tls:starttls", add("tls:required")),
    ("server: request for TLS in another namespace", f"{OPENS}/tls:starttls", rename("sasl:starttls")),
    ("server: auth without a mechanism", f"{OPENS}/sasl:auth", drop("mechanism")),
    ("server: auth by another mechanism", f"{OPENS}/sasl:auth", put("mechanism", "PLAIN", "", "external")),
    ("server: auth that is not base64", f"{OPENS}/sasl:auth", write("b.example", "", "YWJ", "====")),
    ("server: auth of another name", f"{OPENS}/sasl:auth", rename("sasl:authenticate")),
    ("server: auth twice", f"{OPENS}/sasl:auth", repeat),
    ("server: auth that is mutual in another word", f"{OPENS}/sasl:auth", put("mutual", "1", "yes", "", "false")),
    ("server: bidi behind what authenticates", f"{OPENS}[bidi:bidi]/bidi:bidi", swap_with_next),
    ("server: bidi twice", f"{OPENS}/bidi:bidi", repeat),
    ("server: bidi with words", f"{OPENS}/bidi:bidi", write("please")),
    ("server: bidi as a feature", f"{OPENS}/bidi:bidi", rename("canbidi:bidi")),
    # dialback
    ("server: key from nobody", "/s:stream/db:result[not(@type)]", drop("from")),
    ("server: key to nobody", "/s:stream/db:result[not(@type)]", drop("to")),
    ("server: key from a user", "/s:stream/db:result[not(@type)]", put("from", "a@example.com", "example.com/r", "")),
    ("server: key that is none", "/s:stream/db:result[not(@type)]", write("", "0123", "X" * 64)),
    ("server: key twice", "/s:stream/db:result[not(@type)]", repeat),
    ("server: key on an answered stream", f"{ANSWERS}/db:result[@type]",
     lambda element, dice: element.addnext(made("db:result", "0" * 64, **{"from": "a.example", "to": "b.example"}))),
    ("server: question without id", "/s:stream/db:verify[not(@type)]", drop("id")),
    ("server: question without a key", "/s:stream/db:verify[not(@type)]", write("")),
    ("server: question of another name", "/s:stream/db:verify[not(@type)]", rename("db:validate")),
    ("server: answer of an unknown type", "/s:stream/db:*[@type]", put("type", "ok", "", "Valid")),
    ("server: answer with content", ANSWER, write("0123")),
    ("server: answer in another namespace", "/s:stream/db:*[@type]", rename("n:result")),
    ("server: answer about nobody", "/s:stream/db:*[@type]", put("to", "", "a@example.com")),
    ("server: result with an id", "/s:stream/db:result", put("id", "1")),
    ("server: dialback error without <error/>", "/s:stream/db:*[@type='error']", empty),
    ("server: dialback error of another name", "/s:stream/db:*[@type='error']/n:error", rename("n:failure")),
    ("server: dialback error in the namespace of dialback", "/s:stream/db:*[@type='error']/n:error", rename("db:error")),
    ("server: dialback error without a condition", "/s:stream/db:*[@type='error']/n:error", empty),
    ("server: dialback error with an unknown condition", "/s:stream/db:*[@type='error']/n:error/e:*", rename(NO_CONDITION)),
    ("server: dialback error with a type that does not fit", "/s:stream/db:*[@type='error']/n:error", put("type", "continue")),
    ("server: dialback error that says valid", "/s:stream/db:*[@type='error']", put("type", "valid")),
    # stanzas
    ("server: stanza without from", "/s:stream/n:*", drop("from")),
    ("server: stanza without to", "/s:stream/n:*", drop("to")),
    ("server: stanza from nobody", "/s:stream/n:*", put("from", "", "@example.com", "user@example.com/")),
    ("server: stanza of the other content namespace", "/s:stream/n:*", lambda element, dice: setattr(
        element, "tag", element.tag.replace("server", "client"))),
    ("server: child of the other content namespace", "/s:stream/n:*",
     lambda element, dice: element.append(etree.Element("{jabber:client}x"))),
    ("server: body of the other content namespace", "/s:stream/n:message/n:body", rename("c:body")),
    ("server: unknown stanza", "/s:stream/n:*", rename("n:request")),
    ("server: text in a stanza", "/s:stream/n:*", write("x")),
    ("server: message of an unknown type", "/s:stream/n:message", put("type", "sms", "")),
    ("server: unknown child of its own stanza", SERVER_OWN, add("n:no-such-child")),
    ("server: stanza in front of what lets it in", f"{ANSWERS}[n:*]/db:result[@type='valid']",
     lambda element, dice: element.addprevious(made("n:message", **{"from": "a.example", "to": "b.example"}))),
    ("server: stanza beside a question", f"{OPENS}/db:verify[not(@type)]",
     lambda element, dice: element.addnext(made("n:message", **{"from": "a.example", "to": "b.example"}))),
    ("server: stanza error without a condition", "/s:stream/n:*/n:error", empty),
    # acknowledgements
    ("server: enable of another name", f"{OPENS}/sm:enable", rename("sm:start")),
    ("server: enable twice", f"{OPENS}/sm:enable", repeat),
    ("server: enable that resumes", f"{OPENS}/sm:enable", put("resume", "true")),
    ("server: enable behind a stanza", f"{OPENS}/sm:enable[following-sibling::*[1][self::n:*]]", swap_with_next),
    ("server: enabled of another name", f"{ANSWERS}/sm:enabled", rename("sm:enable")),
    ("server: enabled with an id", f"{ANSWERS}/sm:enabled", put("id", "1")),
    ("server: enabled twice", f"{ANSWERS}/sm:enabled", repeat),
    ("server: enabled by who asks", f"{OPENS}/sm:enable", rename("sm:enabled")),
    ("server: failed without a cause", f"{ANSWERS}/sm:failed", empty),
    ("server: failed with an unknown cause", f"{ANSWERS}/sm:failed/e:*", rename(NO_CONDITION)),
    ("server: failed of another name", f"{ANSWERS}/sm:failed", rename("sm:failure")),
    ("server: request with content", "/s:stream/sm:r", write("?")),
    ("server: request of another name", "/s:stream/sm:r", rename("sm:request")),
    ("server: answer without a count", "/s:stream/sm:a", drop("h")),
    ("server: answer with no number", "/s:stream/sm:a", put("h", "", "-1", "4294967296", "x", "01")),
    ("server: answer of another name", "/s:stream/sm:a", rename("sm:ack")),
    ("server: answer in front of what it answers", f"{ANSWERS}[sm:a]/sm:enabled", remove),
    ("server: count too high without a count", "/s:stream/s:error/sm:*", drop("send-count")),
    ("server: count too high of another name", "/s:stream/s:error/sm:*", rename("sm:too-high")),
    ("server: count too high with another condition", "/s:stream/s:error[sm:*]/se:*", rename("se:bad-format")),
    ("server: stamp without a time", "/s:stream/n:message/delay:delay[not(contains(@from, '@'))]", drop("stamp")),
    ("server: stamp of another name", "/s:stream/n:message/delay:delay", rename("delay:late")),
    ("server: stamp that is not UTC", "/s:stream/n:message/delay:delay[not(contains(@from, '@'))]",
     put("stamp", "2026-11-22T19:00:00+01:00", "20261122T19:00:00", "2026-13-01T00:00:00Z", "")),
    # stream errors
    ("server: stream error with an unknown condition", "/s:stream/s:error/se:*[1]", rename("se:invalid-id")),
    ("server: more behind the stream error", "/s:stream/s:error", repeat),
]
# The sessions between servers without one of which the rows above say little.
SERVER_MUST_BE_SEEN = [
    f"{ANSWERS}/s:features[count(*)=1]/tls:starttls/tls:required",
    f"{ANSWERS}/s:features/sasl:mechanisms",
    f"{ANSWERS}/s:features[canbidi:bidi]/dialback:dialback/dialback:errors",
    f"{ANSWERS}/tls:proceed",
    f"{ANSWERS}/tls:failure",
    f"{ANSWERS}/sasl:success",
    f"{ANSWERS}/s:features[not(*[not(self::limits:* or self::sm:*)])]/following-sibling::n:message",
    f"{ANSWERS}/sm:enabled/following-sibling::sm:a",
    f"{OPENS}/sm:enable/following-sibling::sm:a",
    *(f"{ANSWERS}/sm:failed/e:{name}" for name in ("feature-not-implemented", "unexpected-request")),
    "/s:stream/s:error/sm:handled-count-too-high",
    "/s:stream/n:message/delay:delay[@from='example.com']",
    f"{OPENS}/tls:starttls",
    f"{OPENS}[bidi:bidi]/sasl:auth",
    f"{OPENS}[bidi:bidi]/db:result/following-sibling::n:message",
    f"{OPENS}/db:result[not(preceding-sibling::bidi:bidi)]",
    f"{OPENS}/db:verify",
    f"{OPENS}[n:message][not(db:*)]",
    *(f"{ANSWERS}/db:result[@type='{kind}']" for kind in ("valid", "invalid", "error")),
    *(f"{ANSWERS}/db:verify[@type='{kind}']" for kind in ("valid", "invalid", "error")),
    *(f"/s:stream/s:error/se:{name}" for name in (
        "conflict", "host-unknown", "improper-addressing", "invalid-from", "invalid-namespace", "not-authorized",
        "system-shutdown", "unsupported-stanza-type")),
    "//n:message/n:error/e:service-unavailable",
    "//n:iq[@type='result']",
]


def is_between_servers(root):
    return root.nsmap.get(None) == NAMESPACES["n"]


# Every place of router/ that writes XML, as emitters() finds it, and the rows above that it would have to do for one of
# them to be sent: whoever adds a place adds a row for it. Or, where no grammar sees it, a case of
# test_bytes__that_no_grammar_sees__are_refused.
EMITTERS = {
    "router/im/presence.c presence": ["unavailable of another type", "unavailable from nobody",
                                      "unavailable with a child that nobody knows"],
    "router/im/presence.c forward": ["stanza from nobody", "stanza of the other content namespace", "unknown show"],
    "router/route/route.c forward": ["stanza from nobody", "stanza to nobody", "message of an unknown type",
                                     "child of the stream namespace", "prefixed-stanza", "prefixed-body"],
    "router/route/reply.c name": ["iq without id", "iq of an unknown type", "stanza from nobody", "unknown stanza"],
    "router/route/reply.c error": ["error without <error/>", "error without type", "two errors"],
    "router/route/reply.c errors[error].condition": ["error without condition", "error with an unknown condition",
                                                     "error of a stream's namespace"],
    "router/route/reply.c text": ["error with its text first"],
    "router/s2s/ack.c a": ["server: answer without a count", "server: answer with no number",
                           "server: answer of another name"],
    "router/s2s/ack.c condition": ["server: failed without a cause", "server: failed with an unknown cause"],
    "router/s2s/ack.c enable": ["server: enable of another name", "server: enable twice", "server: enable that resumes"],
    "router/s2s/ack.c enabled": ["server: enabled of another name", "server: enabled twice"],
    "router/s2s/ack.c failed": ["server: failed of another name"],
    "router/s2s/ack.c handled-count-too-high": ["server: count too high of another name",
                                                "server: count too high without a count"],
    "router/s2s/ack.c r": ["server: request of another name", "server: request with content"],
    "router/s2s/border.c forward": ["stanza of the other content namespace", "child of the other content namespace",
                                    "stanza from nobody", "prefixed-body"],
    "router/s2s/dialback.c condition": ["server: dialback error with an unknown condition",
                                        "server: dialback error without a condition"],
    "router/s2s/dialback.c error": ["server: dialback error of another name", "server: dialback error without <error/>",
                                    "server: dialback error in the namespace of dialback"],
    "router/s2s/dialback.c name": ["server: question of another name", "server: answer in another namespace",
                                   "server: key from nobody", "server: answer of an unknown type"],
    "router/s2s/s2s_in.c bidi": ["server: bidi of another name", "server: bidi as a request among features",
                                 "server: bidi with content"],
    "router/s2s/s2s_in.c dialback": ["server: dialback of another name", "server: dialback with a word"],
    "router/s2s/s2s_in.c errors": ["server: dialback without errors", "server: dialback errors with content"],
    "router/s2s/s2s_in.c mechanism": ["server: mechanism of another name", "server: a client's mechanism"],
    "router/s2s/s2s_in.c mechanisms": ["server: no mechanism", "server: mechanisms twice"],
    "router/s2s/s2s_in.c required": ["server: starttls alone and not required"],
    "router/s2s/s2s_in.c sm": ["server: acknowledgements of another name", "server: acknowledgements with content"],
    "router/s2s/s2s_in.c starttls": ["server: starttls with a word", "server: more beside a required starttls"],
    "router/s2s/s2s_in.c stream:features": ["server: features of no name", "server: features twice"],
    "router/s2s/s2s_in.c success": ["server: success of another name", "server: success with content"],
    "router/s2s/s2s_out.c auth": ["server: auth of another name", "server: auth by another mechanism",
                                  "server: auth that is not base64", "server: auth that is mutual in another word"],
    "router/s2s/s2s_out.c bidi": ["server: bidi twice", "server: bidi as a feature", "server: bidi with words"],
    "router/s2s/s2s_out.c starttls": ["server: request for TLS with content",
                                      "server: request for TLS in another namespace"],
    "router/s2s/unacked.c </": ["server: unknown stanza"],
    "router/s2s/unacked.c delay": ["server: stamp without a time", "server: stamp of another name",
                                   "server: stamp that is not UTC"],
    "router/stream/bind.c bind": ["binding answered in another namespace", "bound twice"],
    "router/stream/bind.c jid": ["bound to nothing", "bound to a bare address", "bound to two addresses"],
    "router/stream/mechanism.c channel-binding": ["unknown binding type",
                                                  "binding types without tls-server-end-point"],
    "router/stream/mechanism.c mechanism": ["mechanism in small letters", "PLAIN in the clear", "EXTERNAL behind another",
                                             "certificate in the clear"],
    "router/stream/mechanism.c mechanisms": ["no mechanism", "SASL again behind SASL", "binding mechanism alone"],
    "router/stream/mechanism.c sasl-channel-binding": ["binding mechanisms without types"],
    "router/stream/nego.c bind": ["no binding offered", "bind with content"],
    "router/stream/nego.c failure": ["TLS failure with a cause", "more behind a TLS failure",
                                     "TLS failure of another namespace"],
    "router/stream/nego.c optional": ["session with another child"],
    "router/stream/nego.c proceed": ["proceed with content", "more behind proceed"],
    "router/stream/nego.c required": ["starttls alone and not required", "starttls with another child"],
    "router/stream/nego.c session": ["session with content"],
    "router/stream/nego.c starttls": ["starttls with a word", "TLS again behind TLS"],
    "router/stream/nego.c stream:features": ["features twice", "text in features", "a feature of no namespace"],
    "router/stream/sasl.c conditions[error]": ["failure with an unknown cause", "SASL cause with content"],
    "router/stream/sasl.c failure": ["failure without a cause", "failure with two causes"],
    "router/stream/sasl.c name": ["challenge that is not base64", "success that is not base64",
                                  "success in another namespace"],
    "router/stream/silence.c iq": ["ping without id", "ping of another type", "ping from nobody"],
    "router/stream/silence.c ping": ["ping with content", "ping in another namespace", "two pings in one"],
    "router/stream/stream.c </stream:stream>": ["junk-behind-end", "restart-after-end"],
    "router/stream/stream.c conditions[error]": ["stream error with an unknown condition", "condition with content"],
    "router/stream/stream.c stream:error": ["stream error without condition", "more behind the stream error"],
    "router/stream/stream.c text": ["stream error with two texts", "stream error with its text first"],
    "router/stream/stream_header.c <?xml version='1.0'?>": ["xml-1.1", "latin-1"],
    "router/stream/stream_header.c limits": ["limits twice"],
    "router/stream/stream_header.c max-bytes": ["limit below the least"],
    "router/stream/stream_header.c stream:stream": ["header without from", "header with a short id", "another root"],
    "router/xep/disco.c feature": ["feature without var", "feature with content"],
    "router/xep/disco.c identity": ["identity without category", "disco#info without identity"],
    "router/xep/disco.c query": ["disco#info of another name", "disco#items with a word"],
    "router/xep/time.c time": ["time of another name"],
    "router/xep/time.c tzo": ["time without offset", "offset without a colon"],
    "router/xep/time.c utc": ["time that is not UTC"],
    "router/xep/version.c name": ["version without a name"],
    "router/xep/version.c query": ["version of another name"],
    "router/xep/version.c version": ["version before name", "version twice"],
}
WRITES = re.compile(r"\b(?:xml_(?:open|empty|text_element)\(&?\w+, ([^,;]*?)[,)]|xml_(text)_in_english\(|"
                    r"xml_(forward)\(|SPAN\(\"(<[^\"]*)\"\))")


def emitters(root):
    """"FILE NAME" for each place that writes XML: of an element, an expression for one, what is forwarded, plain tags."""
    found = set()
    for path in sorted((root / "router").rglob("*.c")):
        for groups in WRITES.findall(path.read_text()):
            found.add(f"{path.relative_to(root)} {''.join(groups).strip(chr(34))}")
    return found


def sasl_offer():
    mechanisms = made("sasl:mechanisms")
    mechanisms.append(made("sasl:mechanism", "SCRAM-SHA-256"))
    return mechanisms


def places(root, xpath):
    return root.xpath(xpath, namespaces=NAMESPACES)


def mutate(root, row, dice):
    """A mutated copy."""
    _, xpath, change = row
    copied = copy.deepcopy(root)
    change(dice.choice(places(copied, xpath)), dice)
    return copied
