/* SPDX-License-Identifier: MIT */
#include "pair.h"

#include "core/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <setjmp.h>

#include <cmocka.h>

#define DOMAIN_MAX 8

const char *cert_path(const char *name)
{
    static char paths[64][512];
    static unsigned next;
    const char *folder = getenv("SL_TEST_CERTS");
    assert_non_null(folder);
    char *path = paths[next++ % 64];
    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

/* "a" stands for a.example with a.pem and a.key. */
struct context *server_context(const char *const *names, struct ticket_keys *keys, uint16_t version_min,
                               uint16_t version_max, const char *const *alpn)
{
    static char texts[DOMAIN_MAX][3][64];
    struct context_domain domains[DOMAIN_MAX];
    struct err err = {""};
    unsigned count = 0;
    for (; names[count] != NULL; count++) {
        char(*text)[64] = texts[count];
        assert_true(count < DOMAIN_MAX);
        snprintf(text[0], 64, "%s.example", names[count]);
        snprintf(text[1], 64, "%s.pem", names[count]);
        snprintf(text[2], 64, "%s.key", names[count]);
        domains[count] = (struct context_domain){text[0], cert_path(text[1]), cert_path(text[2])};
    }
    const struct context_config config = {
        .role = CONTEXT_SERVER,
        .domains = domains,
        .domain_count = count,
        .alpn = alpn,
        .ticket_keys = keys,
        .version_min = version_min,
        .version_max = version_max,
    };
    struct context *context = context_new(&config, &err, NULL);
    if (context == NULL)
        fail_msg("%s", err.text);
    return context;
}

struct context *client_context(uint16_t version_min, uint16_t version_max, const char *const *alpn)
{
    struct err err = {""};
    const struct context_config config = {
        .role = CONTEXT_CLIENT,
        .alpn = alpn,
        .ca_file = cert_path("ca.pem"),
        .version_min = version_min,
        .version_max = version_max,
    };
    struct context *context = context_new(&config, &err, NULL);
    if (context == NULL)
        fail_msg("%s", err.text);
    return context;
}

void pair_open(struct pair *pair, struct context *client, struct context *server, const char *name)
{
    memset(pair, 0, sizeof(*pair));
    chunk_pool_init(&pair->pool, 64);
    pair->client.engine = engine_new(client, span_str(name));
    pair->server.engine = engine_new(server, SPAN_NONE);
    assert_non_null(pair->client.engine);
    assert_non_null(pair->server.engine);
}

void pair_close(struct pair *pair)
{
    struct side *sides[] = {&pair->client, &pair->server};
    for (unsigned i = 0; i < 2; i++) {
        engine_free(sides[i]->engine);
        chain_clear(&sides[i]->wire, &pair->pool);
        chain_clear(&sides[i]->plain, &pair->pool);
    }
    assert_int_equal(pair->pool.live, 0);
    chunk_pool_fini(&pair->pool);
}

struct sink {
    struct pair *pair;
    struct side *side;
};

static void keep_plain(void *context, struct span plain)
{
    struct sink *sink = context;
    chain_append(&sink->side->plain, &sink->pair->pool, plain);
}

void side_feed(struct pair *pair, struct side *side, struct span bytes)
{
    struct sink sink = {pair, side};
    while (bytes.size > 0) {
        size_t size = pair->cut == 0 || pair->cut > bytes.size ? bytes.size : pair->cut;
        side->status = engine_feed(side->engine, span_of(bytes.ptr, size), &side->wire, &pair->pool, keep_plain, &sink);
        bytes = span_skip(bytes, size);
    }
}

char *chain_copy(const struct chain *chain)
{
    char *copy = malloc(chain->size + 1);
    size_t size = 0;
    assert_non_null(copy);
    for (const struct chunk *chunk = chain->head; chunk != NULL; chunk = chunk->next) {
        memcpy(copy + size, chunk->bytes + chunk->start, chunk->end - chunk->start);
        size += chunk->end - chunk->start;
    }
    copy[size] = '\0';
    return copy;
}

static bool carry(struct pair *pair, struct side *from, struct side *to)
{
    if (chain_is_empty(&from->wire))
        return false;
    struct chain moving = {0};
    from->sent += from->wire.size;
    chain_splice(&moving, &from->wire);
    while (!chain_is_empty(&moving)) {
        struct span front = chain_front(&moving);
        side_feed(pair, to, front);
        chain_consume(&moving, &pair->pool, front.size);
    }
    return true;
}

void pair_run(struct pair *pair)
{
    while (carry(pair, &pair->client, &pair->server) || carry(pair, &pair->server, &pair->client))
        ;
}

void pair_shake(struct pair *pair)
{
    assert_int_equal(engine_start(pair->server.engine, &pair->server.wire, &pair->pool), ENGINE_OK);
    assert_int_equal(engine_start(pair->client.engine, &pair->client.wire, &pair->pool), ENGINE_OK);
    pair_run(pair);
    if (!engine_is_ready(pair->client.engine) || !engine_is_ready(pair->server.engine))
        fail_msg("client: %s; server: %s", engine_error(pair->client.engine), engine_error(pair->server.engine));
}

void side_say(struct pair *pair, struct side *side, struct span bytes)
{
    struct chain plain = {0};
    chain_append(&plain, &pair->pool, bytes);
    assert_int_equal(engine_write(side->engine, &plain, SIZE_MAX, &side->wire, &pair->pool), ENGINE_OK);
    assert_true(chain_is_empty(&plain));
}
