/* SPDX-License-Identifier: MIT */
/*
 * What TLS costs a server: handshakes, records, memory. The client is OpenSSL's libssl in the same thread; only the
 * time inside of the engine is counted.
 *
 *   micro-tls [folder of tests/unit/tls/certs.sh [memory | records | handshakes]]
 */
#include "core/base/err.h"
#include "tls/engine.h"

#include <openssl/ssl.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define HANDSHAKES   600u
#define SESSIONS     4000u
#define RECORD_BYTES (64u << 20)

static struct chunk_pool pool;
static SSL_CTX *factory;
static SSL_SESSION *session;
static uint64_t engine_ns; /* inside of the engine */

static uint64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void die(const char *text)
{
    fprintf(stderr, "micro-tls: %s\n", text);
    exit(1);
}

static struct context *make_server(const char *folder, const char *name, struct ticket_keys *keys)
{
    char certificate[512];
    char key[512];
    struct err err = {""};
    snprintf(certificate, sizeof(certificate), "%s/%s.pem", folder, name);
    snprintf(key, sizeof(key), "%s/%s.key", folder, name);
    const struct context_domain domain = {"a.example", certificate, key};
    const struct context_config config = {
        .role = CONTEXT_SERVER, .domains = &domain, .domain_count = 1, .ticket_keys = keys, .version_min = 0x0303};
    struct context *context = context_new(&config, &err, NULL);
    if (context == NULL)
        die(err.text);
    return context;
}

static struct context *make_client(void)
{
    struct err err = {""};
    const struct context_config config = {.role = CONTEXT_CLIENT, .insecure = true, .version_min = 0x0304};
    struct context *context = context_new(&config, &err, NULL);
    if (context == NULL)
        die(err.text);
    return context;
}

/* ---- handshakes ------------------------------------------------------------------------------------------------- */

static int keep_session(SSL *ssl, SSL_SESSION *fresh)
{
    (void)ssl;
    SSL_SESSION_free(session);
    session = fresh;
    return 1;
}

static void drop_plain(void *context, struct span plain)
{
    *(size_t *)context += plain.size;
}

static bool shake(struct context *server, int version)
{
    struct chain wire = {0};
    size_t received = 0;
    SSL *ssl = SSL_new(factory);
    struct engine *engine = engine_new(server, SPAN_NONE);
    SSL_set_min_proto_version(ssl, version);
    SSL_set_max_proto_version(ssl, version);
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(ssl);
    if (session != NULL)
        SSL_set_session(ssl, session);
    for (unsigned turn = 0; turn < 6; turn++) {
        char none;
        char *bytes = NULL;
        (void)SSL_read(ssl, &none, 1);
        long size = BIO_get_mem_data(SSL_get_wbio(ssl), &bytes);
        if (size > 0) {
            uint64_t start = cpu_ns();
            (void)engine_feed(engine, span_of(bytes, (size_t)size), &wire, &pool, drop_plain, &received);
            engine_ns += cpu_ns() - start;
            (void)BIO_reset(SSL_get_wbio(ssl));
        }
        while (!chain_is_empty(&wire)) {
            struct span front = chain_front(&wire);
            BIO_write(SSL_get_rbio(ssl), front.ptr, (int)front.size);
            chain_consume(&wire, &pool, front.size);
        }
    }
    if (!engine_is_ready(engine))
        die(engine_error(engine));
    bool is_resumed = engine_is_resumed(engine);
    SSL_shutdown(ssl);
    SSL_free(ssl);
    uint64_t start = cpu_ns();
    engine_free(engine);
    engine_ns += cpu_ns() - start;
    return is_resumed;
}

/* One line: HANDSHAKES of a kind. */
static void bench_handshake(const char *folder, struct ticket_keys *keys, bool is_rsa, char *group, int version,
                            bool wants_resumption)
{
    struct context *server = make_server(folder, is_rsa ? "b" : "a", keys);
    unsigned resumed = 0;
    SSL_SESSION_free(session);
    session = NULL;
    /* The key share is of the first. P-256 stays: in TLS 1.2 it also says which certificates may be shown. */
    if (SSL_CTX_set1_groups_list(factory, group) != 1)
        die("libssl knows no such group");
    for (unsigned k = 0; k < HANDSHAKES + 10; k++) {
        if (k == 10) {
            engine_ns = 0;
            resumed = 0;
        }
        if (!wants_resumption) {
            SSL_SESSION_free(session);
            session = NULL;
        }
        resumed += shake(server, version);
    }
    /* A chain of tickets ends now and then. */
    if (wants_resumption ? resumed < HANDSHAKES * 9 / 10 : resumed > 0)
        die("sessions were not resumed as expected");
    printf("handshake  TLS 1.%c  %s  %-6s  %-8s  server %6.1f us  = %6.0f/s per core\n",
           version == TLS1_3_VERSION ? '3' : '2', is_rsa ? "RSA 2048   " : "ECDSA P-256",
           group[0] == 'X' ? "X25519" : group, wants_resumption ? "resumed" : "full",
           (double)engine_ns / HANDSHAKES / 1e3, 1e9 * HANDSHAKES / (double)engine_ns);
    context_unref(server);
}

static void bench_handshakes(const char *folder)
{
    static const int versions[] = {TLS1_3_VERSION, TLS1_2_VERSION};
    static char groups[][16] = {"X25519:P-256", "P-256"}; /* not const: the macro of OpenSSL 3.0 casts that away */
    struct ticket_keys *keys = ticket_keys_new();
    for (unsigned i = 0; i < 8; i++)
        bench_handshake(folder, keys, false, groups[i / 2 % 2], versions[i / 4], i % 2 == 1);
    for (unsigned i = 0; i < 4; i++)
        bench_handshake(folder, keys, true, groups[0], versions[i / 2], i % 2 == 1);
    SSL_SESSION_free(session);
    session = NULL;
    ticket_keys_free(keys);
}

/* ---- records ------------------------------------------------------------------------------------------------------
 */

static void carry(struct engine *to, struct chain *from, struct chain *answer, size_t *received)
{
    while (!chain_is_empty(from)) {
        struct span front = chain_front(from);
        if (engine_feed(to, front, answer, &pool, drop_plain, received) != ENGINE_OK)
            die(engine_error(to));
        chain_consume(from, &pool, front.size);
    }
}

static void join(struct engine *client, struct engine *server)
{
    struct chain there = {0};
    struct chain back = {0};
    size_t received = 0;
    (void)engine_start(client, &there, &pool);
    while (!chain_is_empty(&there) || !chain_is_empty(&back)) {
        carry(server, &there, &back, &received);
        carry(client, &back, &there, &received);
    }
    if (!engine_is_ready(client) || !engine_is_ready(server))
        die("no handshake");
}

static void bench_records(const char *folder)
{
    static const size_t sizes[] = {100, 300, 4096, 16384};
    static char text[16384];
    struct context *server_context = make_server(folder, "a", NULL);
    struct context *client_context = make_client();
    struct engine *client = engine_new(client_context, SPAN("a.example"));
    struct engine *server = engine_new(server_context, SPAN_NONE);
    join(client, server);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        unsigned count = RECORD_BYTES / (unsigned)sizes[i];
        count = count > 200000 ? 200000 : count;
        uint64_t write_ns = 0;
        uint64_t read_ns = 0;
        size_t received = 0;
        for (unsigned done = 0; done < count; done += 16) {
            struct chain plain = {0};
            struct chain wire = {0};
            struct chain answer = {0};
            uint64_t start = cpu_ns();
            for (unsigned k = 0; k < 16; k++) {
                chain_append(&plain, &pool, span_of(text, sizes[i]));
                (void)engine_write(server, &plain, SIZE_MAX, &wire, &pool);
            }
            write_ns += cpu_ns() - start;
            start = cpu_ns();
            carry(client, &wire, &answer, &received);
            read_ns += cpu_ns() - start;
        }
        count = (count + 15) / 16 * 16;
        if (received != count * sizes[i])
            die("bytes were lost");
        double bytes = (double)count * (double)sizes[i];
        printf("record %5zu B  write %7.0f ns (%5.0f MB/s)  read %7.0f ns (%5.0f MB/s)\n", sizes[i],
               (double)write_ns / count, bytes * 1e3 / (double)write_ns, (double)read_ns / count,
               bytes * 1e3 / (double)read_ns);
    }
    engine_free(client);
    engine_free(server);
    context_unref(client_context);
    context_unref(server_context);
}

/* ---- memory -------------------------------------------------------------------------------------------------------
 */

static size_t resident(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%*u %lu", &pages) != 1)
        die("no /proc/self/statm");
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* By the resident size of the process: what malloc sets aside, and what it wastes, are in. */
static void bench_memory(const char *folder)
{
    struct context *server_context = make_server(folder, "a", NULL);
    struct context *client_context = make_client();
    struct engine **servers = calloc(SESSIONS, sizeof(struct engine *));
    size_t start = 0;
    for (unsigned i = 0; i < SESSIONS; i++) {
        if (i == SESSIONS / 4)
            start = resident();
        struct engine *client = engine_new(client_context, SPAN("a.example"));
        servers[i] = engine_new(server_context, SPAN_NONE);
        join(client, servers[i]);
        engine_free(client);
    }
    size_t used = resident() - start;
    printf("memory  %zu B per idle TLS 1.3 session (resident size over %u sessions)\n",
           used / (SESSIONS - SESSIONS / 4), SESSIONS - SESSIONS / 4);
    for (unsigned i = 0; i < SESSIONS; i++)
        engine_free(servers[i]);
    free(servers);
    context_unref(client_context);
    context_unref(server_context);
}

int main(int argc, char **argv)
{
    const char *folder = argc > 1 ? argv[1] : BENCH_CERTS;
    struct err err;
    if (!tls_start(&err))
        die(err.text);
    chunk_pool_init(&pool, 64);
    factory = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(factory, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(factory, keep_session);
    printf("%s\n", tls_library());
    const char *only = argc > 2 ? argv[2] : "memory records handshakes";
    if (strstr(only, "memory") != NULL)
        bench_memory(folder);
    if (strstr(only, "records") != NULL)
        bench_records(folder);
    if (strstr(only, "handshakes") != NULL)
        bench_handshakes(folder);
    SSL_CTX_free(factory);
    chunk_pool_fini(&pool);
    tls_stop();
    return 0;
}
