/* SPDX-License-Identifier: MIT */
#include "bench/login.h"

#include "bench/client.h"
#include "bench/scram_client.h"
#include "bench/traffic.h"
#include "core/base/base64.h"
#include "core/base/check.h"
#include "core/base/hash.h"
#include "core/xml/writer.h"
#include "tls/engine.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SASL "urn:ietf:params:xml:ns:xmpp-sasl"

struct login {
    struct scram_client scram;
};

struct login *login_new(void)
{
    struct login *login = calloc(1, sizeof *login);
    SL_CHECK(login);
    return login;
}

void login_free(struct login *login)
{
    free(login);
}

/* Whoever knows what the server offers need not wait to be told (XEP-0305 s3); behind STARTTLS it must. */
static bool is_ahead(const struct client *client)
{
    const struct load_options *options = client->fleet->options;
    return options->is_pipelined && (client->tls || options->tls == LOAD_TLS_NONE);
}

static bool is_plus(enum load_mechanism mechanism)
{
    return mechanism == MECHANISM_SHA256_PLUS || mechanism == MECHANISM_SHA1_PLUS;
}

static enum digest digest_of(enum load_mechanism mechanism)
{
    return mechanism == MECHANISM_SHA1 || mechanism == MECHANISM_SHA1_PLUS ? DIGEST_SHA1 : DIGEST_SHA256;
}

static struct xml_writer writer(struct client *client)
{
    client_touch(client);
    return xml_writer_on(&client->out, client->fleet->pool);
}

static void greet(struct client *client)
{
    struct fleet *fleet = client->fleet;
    char text[512];
    xml_reader_restart(&client->reader);
    int size = snprintf(text, sizeof text,
                        "<?xml version='1.0'?><stream:stream xmlns='jabber:client' "
                        "xmlns:stream='http://etherx.jabber.org/streams' to='%.255s' version='1.0'>",
                        client_server(client)->domain);
    chain_append(&client->out, fleet->pool, span_of(text, (size_t)size));
    client_touch(client);
}

static void bound(struct client *client, struct span jid)
{
    struct fleet *fleet = client->fleet;
    client->jid = malloc(jid.size + 1);
    SL_CHECK(client->jid);
    memcpy(client->jid, jid.ptr, jid.size);
    client->jid[jid.size] = '\0';
    client->jid_size = (uint32_t)jid.size;
    client->state = CLIENT_BOUND;
    login_free(client->login);
    client->login = NULL;
    uint64_t now = io_now_fresh_ns(fleet->io);
    histogram_record(&fleet->login, now - client->dialled_ns);
    if (fleet->cut_ns) {
        histogram_record(&fleet->back, now - fleet->cut_ns);
        fleet->back_ns = now;
    }
    if (fleet->record)
        fprintf(fleet->record, "bound %" PRIu64 " %" PRIu64 "\n", now, now - client->dialled_ns);
    fleet_add(fleet, TALLY_LOGINS, 1);
    fleet_add(fleet, TALLY_BOUND, 1);
    fleet_login_over(fleet);
    if (fleet->options->mode == MODE_LOGIN)
        client_leave(client);
}

static void send_encoded(struct client *client, const char *element, const char *mechanism, struct span bytes)
{
    char text[BASE64_ENCODED_SIZE(SCRAM_CLIENT_MESSAGE_MAX)];
    SL_CHECK(bytes.size <= SCRAM_CLIENT_MESSAGE_MAX);
    struct xml_writer w = writer(client);
    xml_open(&w, element);
    xml_namespace(&w, SASL);
    if (mechanism)
        xml_write_attribute(&w, "mechanism", span_str(mechanism));
    xml_write_text(&w, span_of(text, base64_encode(bytes, text)));
    xml_close(&w);
}

static void authenticate(struct client *client)
{
    struct fleet *fleet = client->fleet;
    enum load_mechanism mechanism = fleet->options->mechanism;
    char name[32], random[18], nonce[BASE64_ENCODED_SIZE(sizeof random)];
    int name_size = snprintf(name, sizeof name, "user%u", client_user(client));
    if (mechanism == MECHANISM_EXTERNAL) {
        /* A certificate may stand for several accounts: the one that is meant is named (RFC 6120 s6.3.8). */
        char account[320];
        int size = snprintf(account, sizeof account, "%s@%.255s", name, client_server(client)->domain);
        client->state = CLIENT_PROOF;
        send_encoded(client, "auth", "EXTERNAL", span_of(account, (size_t)size));
        return;
    }
    if (mechanism == MECHANISM_PLAIN) {
        char plain[512];
        int size = snprintf(plain, sizeof plain, "%c%s%c%.400s", 0, name, 0, fleet->options->password);
        client->state = CLIENT_PROOF;
        send_encoded(client, "auth", "PLAIN", span_of(plain, (size_t)size));
        return;
    }
    io_random(fleet->io, random, sizeof random);
    size_t nonce_size = base64_encode(span_of(random, sizeof random), nonce);
    struct span first =
        scram_client_first(&client->login->scram, digest_of(mechanism), span_of(name, (size_t)name_size),
                           span_of(nonce, nonce_size), is_plus(mechanism) ? "tls-exporter" : NULL);
    client->state = CLIENT_LOGIN;
    send_encoded(client, "auth", load_mechanism_names[mechanism], first);
}

/* A relay has no logins: the address is made up, as long as a router's would be, and the reader is told the header that
 * will never come. */
static void begin_relayed(struct client *client)
{
    static const char header[] = "<stream:stream xmlns='jabber:client' "
                                 "xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";
    struct span in = SPAN(header);
    struct xml_stanza out;
    char jid[64];
    SL_CHECK(xml_reader_next(&client->reader, client->fleet->scratch, &in, &out) == XML_HEADER && !in.size);
    int size = snprintf(jid, sizeof jid, "user%u@localhost/%016x", client_user(client), client->number);
    bound(client, span_of(jid, (size_t)size));
}

void login_begin(struct client *client)
{
    if (client->fleet->options->is_relay) {
        begin_relayed(client);
        return;
    }
    client->state = CLIENT_GREETING;
    greet(client);
    if (is_ahead(client))
        authenticate(client);
}

/* The base64 inside an element. False: the client has failed. */
static bool decoded(struct client *client, const struct xml_stanza *stanza, char out[SCRAM_CLIENT_MESSAGE_MAX],
                    struct span *bytes)
{
    char room[BASE64_ENCODED_SIZE(SCRAM_CLIENT_MESSAGE_MAX)];
    size_t size = 0;
    struct span text = xml_text(stanza, 0, room, sizeof room);
    if (text.size > sizeof room || !base64_decode(text, out, &size)) {
        client_fail(client, "SASL: bad base64 from the server");
        return false;
    }
    *bytes = span_of(out, size);
    return true;
}

/* Deriving keys takes milliseconds, so they are kept by salt: test accounts usually share one. Another salt in the same
 * place costs time, not correctness: scram_client_final() compares it. */
static struct scram_keys *keys_for(struct fleet *fleet, struct span server_first)
{
    static const struct hash_key key = {0};
    const char *salt = memmem(server_first.ptr, server_first.size, ",s=", 3);
    if (!salt)
        return fleet->keys;
    return &fleet->keys[hash_siphash13(&key, span_skip(server_first, (size_t)(salt - server_first.ptr))) %
                        FLEET_KEYS_MAX];
}

static void prove(struct client *client, const struct xml_stanza *stanza)
{
    struct fleet *fleet = client->fleet;
    char room[SCRAM_CLIENT_MESSAGE_MAX], out[SCRAM_CLIENT_MESSAGE_MAX], binding[ENGINE_BINDING_MAX];
    struct span server_first;
    if (!decoded(client, stanza, room, &server_first))
        return;
    size_t binding_size = 0;
    if (is_plus(fleet->options->mechanism))
        binding_size = engine_binding(client->tls, BINDING_EXPORTER, binding);
    struct span final =
        scram_client_final(&client->login->scram, keys_for(fleet, server_first), span_str(fleet->options->password),
                           server_first, span_of(binding, binding_size), out);
    if (!final.size) {
        client_fail(client, "SASL: the server's challenge makes no sense");
        return;
    }
    client->state = CLIENT_PROOF;
    send_encoded(client, "response", NULL, final);
}

static void ask_to_bind(struct client *client)
{
    struct xml_writer w = writer(client);
    client->state = CLIENT_BINDING;
    xml_open(&w, "iq");
    xml_write_attribute(&w, "type", SPAN("set"));
    xml_write_attribute(&w, "id", SPAN("bind"));
    xml_empty(&w, "bind", "urn:ietf:params:xml:ns:xmpp-bind");
    xml_close(&w);
}

static void succeed(struct client *client, const struct xml_stanza *stanza)
{
    char room[SCRAM_CLIENT_MESSAGE_MAX];
    struct span final;
    enum load_mechanism mechanism = client->fleet->options->mechanism;
    if (mechanism != MECHANISM_PLAIN && mechanism != MECHANISM_EXTERNAL) {
        if (!decoded(client, stanza, room, &final))
            return;
        if (!scram_client_verify(&client->login->scram, final)) {
            client_fail(client, "SASL: the server does not know the keys");
            return;
        }
    }
    client->state = CLIENT_RESTART;
    greet(client);
    if (is_ahead(client))
        ask_to_bind(client);
}

static void take_bind_result(struct client *client, const struct xml_stanza *stanza)
{
    char room[3072];
    uint32_t bind = xml_child_named(stanza, 0, NS_BIND, "bind");
    uint32_t jid = bind == XML_NOWHERE ? XML_NOWHERE : xml_child_named(stanza, bind, NS_BIND, "jid");
    if (jid == XML_NOWHERE) {
        client_fail(client, "bind was refused");
        return;
    }
    if (client->fleet->options->has_presence) {
        struct xml_writer w = writer(client);
        xml_open(&w, "presence");
        xml_close(&w);
    }
    bound(client, xml_text(stanza, jid, room, sizeof room));
}

static void take_features(struct client *client)
{
    struct xml_writer w;
    if (client->state == CLIENT_RESTART) {
        ask_to_bind(client);
    } else if (client->fleet->options->tls == LOAD_TLS_STARTTLS && !client->tls) {
        client->state = CLIENT_STARTTLS;
        w = writer(client);
        xml_empty(&w, "starttls", "urn:ietf:params:xml:ns:xmpp-tls");
    } else {
        authenticate(client);
    }
}

static void unexpected(struct client *client, const struct xml_stanza *stanza)
{
    struct span name = xml_name(stanza, 0);
    uint32_t child = xml_child(stanza, 0);
    struct span detail = child == XML_NOWHERE ? SPAN("") : xml_name(stanza, child);
    client_fail(client, "<%.*s> <%.*s> was not expected", SPAN_ARG(name), SPAN_ARG(detail));
}

void login_element(struct client *client, const struct xml_stanza *stanza)
{
    enum client_state state = (enum client_state)client->state;
    bool awaits_features = state == CLIENT_GREETING || state == CLIENT_RESTART;
    if (awaits_features && xml_is(stanza, 0, NS_STREAM, "features"))
        take_features(client);
    else if (state == CLIENT_STARTTLS && xml_is(stanza, 0, NS_TLS, "proceed"))
        client_start_tls(client);
    else if (state == CLIENT_LOGIN && xml_is(stanza, 0, NS_SASL, "challenge"))
        prove(client, stanza);
    else if (state == CLIENT_PROOF && xml_is(stanza, 0, NS_SASL, "success"))
        succeed(client, stanza);
    else if (state == CLIENT_BINDING && xml_is(stanza, 0, NS_CLIENT, "iq"))
        take_bind_result(client, stanza);
    else if (state != CLIENT_LEAVING && !(is_ahead(client) && xml_is(stanza, 0, NS_STREAM, "features")))
        unexpected(client, stanza);
}
