/* SPDX-License-Identifier: MIT */
#include "joint.h"

#include <openssl/err.h>
#include <stdarg.h>

#include <setjmp.h>

#include <cmocka.h>

SSL_SESSION *last_session;

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(last_session);
    last_session = session;
    return 1;
}

void forget_session(void)
{
    SSL_SESSION_free(last_session);
    last_session = NULL;
}

static SSL *peer_of(SSL_CTX *factory, bool is_server)
{
    SSL *ssl = SSL_new(factory);
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    BIO_set_mem_eof_return(SSL_get_rbio(ssl), -1);
    if (is_server)
        SSL_set_accept_state(ssl);
    else
        SSL_set_connect_state(ssl);
    return ssl;
}

void joint_open(struct joint *joint, struct context *context, bool is_server, int version)
{
    memset(joint, 0, sizeof(*joint));
    chunk_pool_init(&joint->pool, 16);
    joint->factory = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
    assert_non_null(joint->factory);
    SSL_CTX_set_min_proto_version(joint->factory, version);
    SSL_CTX_set_max_proto_version(joint->factory, version);
    if (is_server) {
        assert_int_equal(SSL_CTX_use_certificate_chain_file(joint->factory, cert_path("b.pem")), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey_file(joint->factory, cert_path("b.key"), SSL_FILETYPE_PEM), 1);
    } else {
        assert_int_equal(SSL_CTX_load_verify_locations(joint->factory, cert_path("ca.pem"), NULL), 1);
        SSL_CTX_set_verify(joint->factory, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set_session_cache_mode(joint->factory, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(joint->factory, keep_session);
    }
    joint->ssl = peer_of(joint->factory, is_server);
    joint->side.engine = engine_new(context, is_server ? SPAN("b.example") : SPAN_NONE);
    assert_non_null(joint->side.engine);
}

void joint_close(struct joint *joint)
{
    engine_free(joint->side.engine);
    chain_clear(&joint->side.wire, &joint->pool);
    chain_clear(&joint->side.plain, &joint->pool);
    chunk_pool_fini(&joint->pool);
    SSL_free(joint->ssl);
    SSL_CTX_free(joint->factory);
}

void send_name(SSL *ssl, const char *name)
{
    SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, (void *)(uintptr_t)name);
}

int offer_groups(SSL *ssl, const char *groups)
{
    return (int)SSL_ctrl(ssl, SSL_CTRL_SET_GROUPS_LIST, 0, (void *)(uintptr_t)groups);
}

static void keep_plain(void *context, struct span plain)
{
    struct joint *joint = context;
    chain_append(&joint->side.plain, &joint->pool, plain);
}

bool carry_to_engine(struct joint *joint)
{
    char *bytes = NULL;
    BIO *bio = SSL_get_wbio(joint->ssl);
    long size = BIO_get_mem_data(bio, &bytes);
    if (size <= 0)
        return false;
    joint->side.status = engine_feed(joint->side.engine, span_of(bytes, (size_t)size), &joint->side.wire, &joint->pool,
                                     keep_plain, joint);
    (void)BIO_reset(bio);
    return true;
}

bool carry_to_peer(struct joint *joint)
{
    bool has_moved = !chain_is_empty(&joint->side.wire);
    while (!chain_is_empty(&joint->side.wire)) {
        struct span front = chain_front(&joint->side.wire);
        BIO_write(SSL_get_rbio(joint->ssl), front.ptr, (int)front.size);
        chain_consume(&joint->side.wire, &joint->pool, front.size);
    }
    return has_moved;
}

void peer_turn(struct joint *joint, char *out, size_t *out_size)
{
    char bytes[16384];
    int result = SSL_read(joint->ssl, bytes, sizeof(bytes));
    for (; result > 0; result = SSL_read(joint->ssl, bytes, sizeof(bytes))) {
        if (out != NULL) {
            memcpy(out + *out_size, bytes, (size_t)result);
            *out_size += (size_t)result;
        }
    }
    joint->is_broken = joint->is_broken || SSL_get_error(joint->ssl, result) == SSL_ERROR_SSL;
}

void joint_run(struct joint *joint, char *out, size_t *out_size)
{
    (void)engine_start(joint->side.engine, &joint->side.wire, &joint->pool);
    joint_go_on(joint, out, out_size);
}

void joint_go_on(struct joint *joint, char *out, size_t *out_size)
{
    bool has_moved = true;
    while (has_moved) {
        has_moved = carry_to_peer(joint);
        peer_turn(joint, out, out_size);
        has_moved = carry_to_engine(joint) || has_moved;
    }
}

void joint_shake(struct joint *joint)
{
    joint_run(joint, NULL, NULL);
    if (!engine_is_ready(joint->side.engine) || !SSL_is_init_finished(joint->ssl))
        fail_msg("%s", engine_error(joint->side.engine));
}

/* ---- a peer alone ------------------------------------------------------------------------------------------------ */

SSL *peer_showing(const char *pem, const char *key, bool is_server, int version)
{
    SSL_CTX *factory = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
    assert_non_null(factory);
    SSL_CTX_set_security_level(factory, 0);
    SSL_CTX_set_min_proto_version(factory, version);
    SSL_CTX_set_max_proto_version(factory, version);
    bool is_good = SSL_CTX_use_certificate_chain_file(factory, pem) == 1 &&
                   SSL_CTX_use_PrivateKey_file(factory, key, SSL_FILETYPE_PEM) == 1;
    SSL *ssl = is_good ? peer_of(factory, is_server) : NULL;
    SSL_CTX_free(factory);
    ERR_clear_error();
    return ssl;
}

static void ignore_plain(void *context, struct span plain)
{
    (void)context;
    (void)plain;
}

void peer_shake(SSL *ssl, struct side *side, struct chunk_pool *pool)
{
    bool has_moved = true;
    char *bytes;
    side->status = engine_start(side->engine, &side->wire, pool);
    while (has_moved) {
        has_moved = !chain_is_empty(&side->wire);
        for (; !chain_is_empty(&side->wire); chain_consume(&side->wire, pool, chain_front(&side->wire).size))
            BIO_write(SSL_get_rbio(ssl), chain_front(&side->wire).ptr, (int)chain_front(&side->wire).size);
        (void)SSL_do_handshake(ssl);
        long size = BIO_get_mem_data(SSL_get_wbio(ssl), &bytes);
        if (size > 0 && side->status == ENGINE_OK) {
            side->status =
                engine_feed(side->engine, span_of(bytes, (size_t)size), &side->wire, pool, ignore_plain, NULL);
            has_moved = true;
        }
        (void)BIO_reset(SSL_get_wbio(ssl));
    }
    ERR_clear_error();
}
