/* SPDX-License-Identifier: MIT */
#include "router/stream/mechanism.h"

#include "router/route/session.h"
#include "router/route/shard.h"
#include "router/stream/bearer.h"
#include "router/stream/nego.h"
#include "router/stream/stream.h"

/* As they are offered: EXTERNAL first (RFC 6120 s6.3.4). */
static const struct mechanism mechanisms[] = {
    {"EXTERNAL", MECHANISM_EXTERNAL, STRENGTH_EXTERNAL, DIGEST_SHA256, false},
    {"SCRAM-SHA-256-PLUS", MECHANISM_SCRAM, STRENGTH_SHA256_PLUS, DIGEST_SHA256, true},
    {"SCRAM-SHA-256", MECHANISM_SCRAM, STRENGTH_SHA256, DIGEST_SHA256, false},
    {"SCRAM-SHA-1-PLUS", MECHANISM_SCRAM, STRENGTH_SHA1_PLUS, DIGEST_SHA1, true},
    {"SCRAM-SHA-1", MECHANISM_SCRAM, STRENGTH_SHA1, DIGEST_SHA1, false},
    {"PLAIN", MECHANISM_PLAIN, STRENGTH_PLAIN, DIGEST_SHA256, false},
    {"ANONYMOUS", MECHANISM_ANONYMOUS, STRENGTH_PLAIN, DIGEST_SHA256, false},
};
#define MECHANISM_COUNT (sizeof mechanisms / sizeof mechanisms[0])

/* XEP-0440 s2: names as registered with IANA, in the order of preference. */
static const struct {
    const char *name;
    enum engine_binding kind;
} bindings[] = {
    {"tls-exporter", BINDING_EXPORTER},
    {"tls-unique", BINDING_UNIQUE},
    {"tls-server-end-point", BINDING_END_POINT},
};
#define BINDING_COUNT (sizeof bindings / sizeof bindings[0])

const struct mechanism *mechanism_find(struct span name)
{
    for (size_t i = 0; name.ptr && i < MECHANISM_COUNT; i++)
        if (span_is(name, mechanisms[i].name))
            return &mechanisms[i];
    return NULL;
}

unsigned mechanism_number(const struct mechanism *mechanism)
{
    return (unsigned)(mechanism - mechanisms);
}

const char *mechanism_name(unsigned number)
{
    return mechanisms[number].name;
}

bool mechanism_is_anonymous(unsigned number)
{
    return mechanisms[number].kind == MECHANISM_ANONYMOUS;
}

bool mechanism_is_configured(const struct stream *stream, const struct mechanism *mechanism)
{
    const struct config *config = stream->shard->policy->config;
    for (unsigned i = 0; i < config->sasl_mechanisms.count; i++)
        if (strcmp(config->sasl_mechanisms.items[i], mechanism->name) == 0)
            return true;
    return false;
}

/* TLS 1.2 without extended master secret and a certificate signed by Ed25519 leave nothing to bind to. */
static bool has_binding(const struct stream *stream)
{
    char data[ENGINE_BINDING_MAX];
    for (size_t i = 0; stream->tls && i < BINDING_COUNT; i++)
        if (engine_binding(stream->tls, bindings[i].kind, data))
            return true;
    return false;
}

/* The domain whose accounts this stream is for: a session's is that of its address. */
static struct span domain_of(const struct stream *stream)
{
    if (stream->nego)
        return stream->nego->domain;
    struct jid own = session_jid(stream->session);
    return jid_domain(&own);
}

/* Who has authenticated; empty: nobody yet. */
static struct span account_of(const struct stream *stream)
{
    if (stream->nego)
        return stream->nego->jid;
    struct jid own = session_jid(stream->session);
    return jid_bare(&own);
}

bool mechanism_is_too_weak(const struct stream *stream, const struct mechanism *mechanism)
{
    /* Nothing is proved by ANONYMOUS: whether it is wanted is for sasl.anonymous to say. */
    return mechanism->kind != MECHANISM_ANONYMOUS &&
           mechanism->strength < config_strength_min(stream->shard->policy->config, domain_of(stream));
}

/* Before a login: the certificate is an account's of the domain, whether or not the store has it (s6.3.4: "the
 * receiving entity expects"). Of a session: it is still its own. */
static bool may_external(const struct stream *stream)
{
    struct jid_buffer buffer;
    struct span account;
    enum bearer finding = bearer_of(stream, domain_of(stream), account_of(stream), &buffer, &account);
    return finding == BEARER_FOUND || finding == BEARER_SEVERAL;
}

bool mechanism_is_offered(const struct stream *stream, const struct mechanism *mechanism)
{
    if (mechanism_is_too_weak(stream, mechanism))
        return false;
    switch (mechanism->kind) {
    case MECHANISM_ANONYMOUS:
        return stream->shard->policy->config->sasl_anonymous;
    case MECHANISM_PLAIN:
        return stream->tls && mechanism_is_configured(stream, mechanism);
    case MECHANISM_EXTERNAL:
        return mechanism_is_configured(stream, mechanism) && may_external(stream);
    case MECHANISM_SCRAM:
        break;
    }
    return (!mechanism->is_plus || has_binding(stream)) && mechanism_is_configured(stream, mechanism);
}

bool mechanism_needs_tls(const struct stream *stream, const struct mechanism *mechanism)
{
    if (stream->tls)
        return false;
    const struct config *config = stream->shard->policy->config;
    if (mechanism->kind == MECHANISM_ANONYMOUS)
        return config->sasl_anonymous;
    bool is_possible = mechanism->kind != MECHANISM_EXTERNAL || config->tls_client_certificates;
    return is_possible && mechanism_is_configured(stream, mechanism);
}

bool mechanism_is_still_offered(const struct stream *stream)
{
    return mechanism_is_offered(stream, &mechanisms[stream->mechanism]);
}

bool mechanism_plus_is_offered(const struct stream *stream)
{
    for (size_t i = 0; i < MECHANISM_COUNT; i++)
        if (mechanisms[i].is_plus && mechanism_is_offered(stream, &mechanisms[i]))
            return true;
    return false;
}

static void write_bindings(struct stream *stream, struct xml_writer *w)
{
    char data[ENGINE_BINDING_MAX];
    xml_open(w, "sasl-channel-binding");
    xml_namespace(w, "urn:xmpp:sasl-cb:0");
    for (size_t i = 0; i < BINDING_COUNT; i++) {
        if (!engine_binding(stream->tls, bindings[i].kind, data))
            continue;
        xml_open(w, "channel-binding");
        xml_write_attribute(w, "type", span_str(bindings[i].name));
        xml_close(w);
    }
    xml_close(w);
}

bool mechanism_is_any_offered(const struct stream *stream)
{
    bool has_any = false;
    for (size_t i = 0; i < MECHANISM_COUNT && !has_any; i++)
        has_any = mechanism_is_offered(stream, &mechanisms[i]);
    return has_any;
}

void mechanism_write_features(struct stream *stream, struct xml_writer *w)
{
    if (!mechanism_is_any_offered(stream))
        return;
    xml_open(w, "mechanisms");
    xml_namespace(w, "urn:ietf:params:xml:ns:xmpp-sasl");
    for (size_t i = 0; i < MECHANISM_COUNT; i++) {
        if (!mechanism_is_offered(stream, &mechanisms[i]))
            continue;
        xml_open(w, "mechanism");
        xml_write_text(w, span_str(mechanisms[i].name));
        xml_close(w);
    }
    xml_close(w);
    if (mechanism_plus_is_offered(stream))
        write_bindings(stream, w);
}

size_t mechanism_binding(struct stream *stream, const char *name, char out[ENGINE_BINDING_MAX])
{
    for (size_t i = 0; stream->tls && i < BINDING_COUNT; i++)
        if (strcmp(bindings[i].name, name) == 0)
            return engine_binding(stream->tls, bindings[i].kind, out);
    return 0;
}

/* Names sorted by octets (i;octet, RFC 4790 s9.3) and joined. */
static size_t join_sorted(const char **names, size_t count, char *out)
{
    size_t used = 0;
    for (size_t i = 1; i < count; i++)
        for (size_t j = i; j && strcmp(names[j - 1], names[j]) > 0; j--) {
            const char *name = names[j];
            names[j] = names[j - 1];
            names[j - 1] = name;
        }
    for (size_t i = 0; i < count; i++) {
        if (i)
            out[used++] = '\x1e';
        memcpy(out + used, names[i], strlen(names[i]));
        used += strlen(names[i]);
    }
    return used;
}

size_t mechanism_list(struct stream *stream, char out[MECHANISM_LIST_MAX])
{
    char data[ENGINE_BINDING_MAX];
    const char *names[MECHANISM_COUNT + BINDING_COUNT];
    size_t count = 0;
    for (size_t i = 0; i < MECHANISM_COUNT; i++)
        if (mechanism_is_offered(stream, &mechanisms[i]))
            names[count++] = mechanisms[i].name;
    size_t size = join_sorted(names, count, out);
    if (mechanism_plus_is_offered(stream)) {
        out[size++] = '\x1f';
        count = 0;
        for (size_t i = 0; i < BINDING_COUNT; i++)
            if (engine_binding(stream->tls, bindings[i].kind, data))
                names[count++] = bindings[i].name;
        size += join_sorted(names, count, out + size);
    }
    return size;
}
