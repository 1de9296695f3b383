/* SPDX-License-Identifier: MIT */
#include "tests/sim/caller.h"

#include "core/base/base64.h"
#include "core/base/check.h"
#include "tests/sim/tap.h"
#include "tls/engine.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#define SASL_NS "urn:ietf:params:xml:ns:xmpp-sasl"

static struct scram_keys keys; /* one password and salt for all */

void caller_open(struct caller *caller, struct rig *rig, unsigned shard)
{
    *caller = (struct caller){.rig = rig, .peer = peer_connect(rig->world, shard, LISTEN_C2S), .tapped = tap_open()};
    chunk_pool_init(&caller->pool, 4);
    caller_forget(caller);
}

void caller_open_from(struct caller *caller, struct rig *rig, unsigned shard, unsigned tag, const char *address)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } from = {0};
    if (inet_pton(AF_INET, address, &from.v4.sin_addr) == 1)
        from.v4.sin_family = AF_INET;
    else if (inet_pton(AF_INET6, address, &from.v6.sin6_addr) == 1)
        from.v6.sin6_family = AF_INET6;
    SL_CHECK(from.any.sa_family);
    *caller =
        (struct caller){.rig = rig, .peer = peer_connect_from(rig->group, shard, tag, &from.any), .tapped = tap_open()};
    chunk_pool_init(&caller->pool, 4);
    caller_forget(caller);
}

void caller_close(struct caller *caller)
{
    if (caller->tls)
        engine_free(caller->tls);
    if (caller->context)
        context_unref(caller->context);
    chunk_pool_fini(&caller->pool);
    peer_free(caller->peer);
    free(caller->heard);
    *caller = (struct caller){0};
}

void caller_forget(struct caller *caller)
{
    if (!caller->heard) {
        caller->room = 4096;
        caller->heard = malloc(caller->room);
        SL_CHECK(caller->heard);
    }
    caller->size = 0;
    caller->heard[0] = '\0';
}

/* SL_TRACE=1 prints what is said. */
static void trace(const char *side, struct span bytes)
{
    if (getenv("SL_TRACE"))
        fprintf(stderr, "%s %.*s\n", side, SPAN_ARG(bytes));
}

static void keep(void *context, struct span bytes)
{
    struct caller *caller = context;
    trace("S", bytes);
    tap_write(caller->tapped, bytes);
    while (caller->size + bytes.size + 1 > caller->room) {
        caller->room *= 2;
        caller->heard = realloc(caller->heard, caller->room);
        SL_CHECK(caller->heard);
    }
    memcpy(caller->heard + caller->size, bytes.ptr, bytes.size);
    caller->size += bytes.size;
    caller->heard[caller->size] = '\0';
}

static void send_chain(struct caller *caller, struct chain *chain)
{
    while (!chain_is_empty(chain)) {
        struct span front = chain_front(chain);
        peer_send(caller->peer, front);
        chain_consume(chain, &caller->pool, front.size);
    }
}

void caller_say(struct caller *caller, struct span bytes)
{
    trace("C", bytes);
    if (!caller->tls) {
        peer_send(caller->peer, bytes);
        return;
    }
    struct chain plain = {0}, wire = {0};
    chain_append(&plain, &caller->pool, bytes);
    SL_CHECK(engine_write(caller->tls, &plain, SIZE_MAX, &wire, &caller->pool) != ENGINE_FAILED);
    send_chain(caller, &wire);
}

void caller_say_text(struct caller *caller, const char *text)
{
    caller_say(caller, span_str(text));
}

static void hear(struct caller *caller)
{
    struct span bytes = peer_received(caller->peer);
    if (caller->is_deaf || !bytes.size)
        return;
    if (!caller->tls) {
        keep(caller, bytes);
        peer_take(caller->peer, bytes.size);
        return;
    }
    struct chain wire = {0};
    caller->was_notified |= engine_feed(caller->tls, bytes, &wire, &caller->pool, keep, caller) == ENGINE_CLOSED;
    peer_take(caller->peer, bytes.size);
    send_chain(caller, &wire);
}

void caller_run(struct caller *caller)
{
    do {
        hear(caller);
    } while (world_step(caller->rig->world));
    hear(caller);
}

void caller_wait(struct caller *caller, uint64_t ms)
{
    struct world *world = caller->rig->world;
    uint64_t end = world_now_ms(world) + ms;
    caller_run(caller);
    while (world_now_ms(world) < end) {
        uint64_t now = world_now_ms(world), next = world_deadline_ms(world);
        next = next > end ? end : next;
        world_advance(world, next > now ? next - now : 1);
        caller_run(caller);
    }
}

bool caller_has_heard(const struct caller *caller, const char *text)
{
    return strstr(caller->heard, text) != NULL;
}

bool caller_is_over(const struct caller *caller)
{
    return peer_is_ended(caller->peer) || peer_is_closed(caller->peer);
}

bool caller_start_tls(struct caller *caller)
{
    char certificate[600], key[600];
    const struct context_domain own = {"example.com", certificate, key};
    struct context_config config = {.role = CONTEXT_CLIENT,
                                    .domains = &own,
                                    .domain_count = caller->person != NULL,
                                    .insecure = true,
                                    .version_min = 0x0303,
                                    .version_max = caller->version_max};
    if (caller->person) {
        snprintf(certificate, sizeof certificate, "%s.pem", caller->person);
        snprintf(key, sizeof key, "%s.key", caller->person);
    }
    struct err err;
    struct chain wire = {0};
    caller->context = context_new(&config, &err, NULL);
    SL_CHECK(caller->context);
    caller->tls = engine_new(caller->context, SPAN("example.com"));
    SL_CHECK(caller->tls);
    if (engine_start(caller->tls, &wire, &caller->pool) == ENGINE_FAILED)
        return false;
    send_chain(caller, &wire);
    for (unsigned i = 0; i < 20 && !engine_is_ready(caller->tls); i++)
        caller_run(caller);
    return engine_is_ready(caller->tls);
}

void caller_notify(struct caller *caller)
{
    struct chain wire = {0};
    engine_close(caller->tls, &wire, &caller->pool);
    send_chain(caller, &wire);
}

void caller_auth(struct caller *caller, unsigned number)
{
    char name[32], text[1024], encoded[512];
    snprintf(name, sizeof name, "user%u", number);
    struct span first =
        scram_client_first(&caller->scram, DIGEST_SHA256, span_str(name), SPAN("a-nonce-of-a-caller"), NULL);
    size_t size = base64_encode(first, encoded);
    snprintf(text, sizeof text, "<auth xmlns='" SASL_NS "' mechanism='SCRAM-SHA-256'>%.*s</auth>", (int)size, encoded);
    caller_say_text(caller, text);
}

void caller_prove(struct caller *caller)
{
    char decoded[1024], out[SCRAM_CLIENT_MESSAGE_MAX], encoded[1500], text[2000];
    size_t size;
    const char *challenge = strstr(caller->heard, "<challenge");
    SL_CHECK(challenge);
    const char *begin = strchr(challenge, '>') + 1, *end = strchr(begin, '<');
    SL_CHECK(end && base64_decode(span_of(begin, (size_t)(end - begin)), decoded, &size));
    struct span final =
        scram_client_final(&caller->scram, &keys, SPAN("secret"), span_of(decoded, size), SPAN(""), out);
    SL_CHECK(final.size);
    size = base64_encode(final, encoded);
    snprintf(text, sizeof text, "<response xmlns='" SASL_NS "'>%.*s</response>", (int)size, encoded);
    caller_say_text(caller, text);
}

bool caller_login(struct caller *caller, unsigned number)
{
    caller_say_text(caller, CALLER_HEADER);
    caller_run(caller);
    caller_forget(caller);
    caller_auth(caller, number);
    caller_run(caller);
    if (!caller_has_heard(caller, "<challenge"))
        return false;
    caller_prove(caller);
    caller_run(caller);
    if (!caller_has_heard(caller, "<success"))
        return false;
    caller_forget(caller);
    caller_say_text(caller, CALLER_HEADER);
    caller_run(caller);
    return caller_has_heard(caller, "xmpp-bind");
}

bool caller_bind(struct caller *caller, const char *resource)
{
    char text[512];
    snprintf(text, sizeof text,
             "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>%s</resource></bind>"
             "</iq>",
             resource);
    caller_forget(caller);
    caller_say_text(caller, text);
    caller_run(caller);
    return caller_has_heard(caller, "<jid>");
}

const char *const *caller_tls_overrides(void)
{
    static char certificate[600];
    static const char *list[3];
    const char *folder = getenv("SL_TEST_CERTS");
    SL_CHECK(folder);
    snprintf(certificate, sizeof certificate, "rig.certificate=%s/a", folder);
    list[0] = certificate;
    list[1] = "tls.required=true";
    list[2] = NULL;
    return list;
}
