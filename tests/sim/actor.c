/* SPDX-License-Identifier: MIT */
#include "tests/sim/actor.h"

#include "core/base/base64.h"
#include "core/base/check.h"
#include "tests/sim/tap.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static struct scram_keys keys; /* one password and salt for all */

void actor_init(struct actor *actor, struct rig *rig, unsigned number, actor_stanza_fn stanza, void *context)
{
    *actor = (struct actor){.rig = rig, .number = number, .stanza = stanza, .context = context};
    actor->scratch = xml_scratch_new(&xml_limits_default);
    xml_reader_init(&actor->reader, &xml_limits_default);
}

void actor_fini(struct actor *actor)
{
    if (actor->peer)
        peer_free(actor->peer);
    xml_reader_fini(&actor->reader);
    xml_scratch_free(actor->scratch);
}

/* SL_TRACE=1 prints what goes over the wires. */
static void trace(const struct actor *actor, const char *side, struct span bytes)
{
    if (getenv("SL_TRACE"))
        fprintf(stderr, "%s user%u: %.*s\n", side, actor->number, SPAN_ARG(bytes));
}

void actor_send(struct actor *actor, const char *format, ...)
{
    char text[8192];
    va_list list;
    va_start(list, format);
    int size = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    SL_CHECK(size >= 0 && (size_t)size < sizeof text);
    trace(actor, "C", span_of(text, (size_t)size));
    peer_send(actor->peer, span_of(text, (size_t)size));
}

static void greet(struct actor *actor, const char *lang)
{
    xml_reader_restart(&actor->reader);
    actor_send(actor,
               "<?xml version='1.0'?><stream:stream xmlns='jabber:client' to='%s' version='1.0' "
               "xmlns:stream='http://etherx.jabber.org/streams'%s%s%s>",
               actor->domain ? actor->domain : actor->rig->domain, lang ? " xml:lang='" : "", lang ? lang : "",
               lang ? "'" : "");
}

void actor_connect(struct actor *actor, unsigned shard)
{
    if (actor->peer)
        peer_free(actor->peer);
    actor->peer = peer_connect_to(actor->rig->group, shard, LISTEN_C2S);
    actor->state = ACTOR_GREETING;
    actor->login++;
    actor->tapped = tap_open();
    actor->jid[0] = actor->error[0] = '\0';
    greet(actor, actor->langs[0]);
}

static void send_base64(struct actor *actor, const char *open, struct span bytes, const char *close)
{
    char text[2048];
    size_t size = base64_encode(bytes, text);
    actor_send(actor, "%s%.*s%s", open, (int)size, text, close);
}

static struct span decoded(struct actor *actor, const struct xml_stanza *stanza, char *out)
{
    char room[2048];
    size_t size = 0;
    struct span text = xml_text(stanza, 0, room, sizeof room);
    (void)actor;
    SL_CHECK(base64_decode(text, out, &size));
    return span_of(out, size);
}

static void begin(struct actor *actor)
{
    char name[32], nonce[32];
    snprintf(name, sizeof name, "user%u", actor->number);
    snprintf(nonce, sizeof nonce, "nonce%u-%u", actor->number, actor->login);
    struct span first = scram_client_first(&actor->scram, DIGEST_SHA256, span_str(name), span_str(nonce), NULL);
    send_base64(actor, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>", first, "</auth>");
    actor->state = ACTOR_LOGIN;
}

static void prove(struct actor *actor, const struct xml_stanza *stanza)
{
    char first[1024], out[SCRAM_CLIENT_MESSAGE_MAX];
    struct span final =
        scram_client_final(&actor->scram, &keys, SPAN("secret"), decoded(actor, stanza, first), SPAN(""), out);
    SL_CHECK(final.size);
    send_base64(actor, "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>", final, "</response>");
    actor->state = ACTOR_PROOF;
}

static void ask_to_bind(struct actor *actor)
{
    if (actor->resource[0])
        actor_send(actor,
                   "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>%s"
                   "</resource></bind></iq>",
                   actor->resource);
    else
        actor_send(actor, "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
    actor->state = ACTOR_BINDING;
}

static void bound(struct actor *actor, const struct xml_stanza *stanza)
{
    uint32_t element = xml_child_named(stanza, 0, NS_BIND, "bind");
    if (element == XML_NOWHERE) {
        actor->state = ACTOR_ENDED;
        return;
    }
    struct span jid =
        xml_text(stanza, xml_child_named(stanza, element, NS_BIND, "jid"), actor->jid, sizeof actor->jid - 1);
    memmove(actor->jid, jid.ptr, jid.size);
    actor->jid[jid.size] = '\0';
    actor->state = ACTOR_BOUND;
}

static void element(struct actor *actor, const struct xml_stanza *stanza)
{
    if (xml_is(stanza, 0, NS_STREAM, "error")) {
        struct span name = xml_name(stanza, xml_child(stanza, 0));
        snprintf(actor->error, sizeof actor->error, "%.*s", SPAN_ARG(name));
        return;
    }
    bool is_features = xml_is(stanza, 0, NS_STREAM, "features");
    switch (actor->state) {
    case ACTOR_GREETING:
        if (is_features)
            begin(actor);
        break;
    case ACTOR_LOGIN:
        if (xml_is(stanza, 0, NS_SASL, "challenge"))
            prove(actor, stanza);
        break;
    case ACTOR_PROOF:
        if (xml_is(stanza, 0, NS_SASL, "success")) {
            char final[512];
            SL_CHECK(scram_client_verify(&actor->scram, decoded(actor, stanza, final)));
            actor->state = ACTOR_RESTART;
            greet(actor, actor->langs[1]);
        }
        break;
    case ACTOR_RESTART:
        if (is_features)
            ask_to_bind(actor);
        break;
    case ACTOR_BINDING:
        bound(actor, stanza);
        break;
    case ACTOR_BOUND:
        if (actor->stanza)
            actor->stanza(actor, stanza);
        break;
    case ACTOR_OFF:
    case ACTOR_ENDED:
        break;
    }
}

void actor_poll(struct actor *actor)
{
    struct xml_stanza stanza;
    if (!actor->peer)
        return;
    for (;;) {
        struct span received = peer_received(actor->peer), rest = received;
        enum xml_event event = xml_reader_next(&actor->reader, actor->scratch, &rest, &stanza);
        SL_CHECK(event != XML_REFUSED); /* whatever the router sends is well-formed */
        if (event == XML_STANZA)
            element(actor, &stanza);
        trace(actor, "S", span_of(received.ptr, received.size - rest.size));
        tap_write(actor->tapped, span_of(received.ptr, received.size - rest.size));
        peer_take(actor->peer, received.size - rest.size);
        if (event == XML_FOOTER) {
            actor->state = ACTOR_ENDED;
            actor_send(actor, "</stream:stream>");
            peer_end(actor->peer);
            xml_reader_restart(&actor->reader);
        }
        if (event == XML_MORE || event == XML_FOOTER)
            break;
    }
    if (peer_is_closed(actor->peer) || peer_is_ended(actor->peer))
        actor->state = ACTOR_ENDED;
}

void actor_reset(struct actor *actor)
{
    peer_reset(actor->peer);
    actor->state = ACTOR_ENDED;
}

void actor_leave(struct actor *actor)
{
    actor_send(actor, "</stream:stream>");
}

bool actor_bind(struct actor *actor, unsigned shard)
{
    actor_connect(actor, shard);
    for (unsigned i = 0; i < 10000 && actor->state != ACTOR_BOUND && actor->state != ACTOR_ENDED; i++) {
        if (!world_step(actor->rig->world))
            world_advance(actor->rig->world, 1);
        actor_poll(actor);
    }
    return actor->state == ACTOR_BOUND;
}

void actor_enter(struct actor *actor, const char *resource, unsigned shard)
{
    snprintf(actor->resource, sizeof actor->resource, "%s", resource);
    SL_CHECK(actor_bind(actor, shard));
}

bool actor_condition(const struct xml_stanza *stanza, char out[ACTOR_CONDITION_SIZE])
{
    uint32_t error = xml_child_named(stanza, 0, NS_CLIENT, "error");
    if (error == XML_NOWHERE)
        return false;
    snprintf(out, ACTOR_CONDITION_SIZE, "%.*s", SPAN_ARG(xml_name(stanza, xml_child(stanza, error))));
    return true;
}

static void run_all(struct actor *const *actors, unsigned count, struct rig *rig, uint64_t ms)
{
    rig_run(rig, ms);
    for (unsigned i = 0; i < count; i++)
        actor_poll(actors[i]);
}

void actor_close_all(struct actor *const *actors, unsigned count, struct rig *host, struct rig *guest)
{
    for (unsigned i = 0; i < count; i++)
        actor_leave(actors[i]);
    run_all(actors, count, host, 1000);
    rig_drain(host);
    if (guest)
        rig_drain(guest);
    run_all(actors, count, host, 20000);
    for (unsigned i = 0; i < count; i++)
        actor_fini(actors[i]);
    if (guest)
        rig_free(guest);
    rig_free(host);
}
