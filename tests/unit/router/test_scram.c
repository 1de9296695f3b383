/* SPDX-License-Identifier: MIT */
/*
 * The vectors come from tests/data/scram-vectors.txt. Two refusals there are the caller's duty (an authorization
 * identity that is not the user's; binding data that TLS 1.3 has none of): exchange() does what a caller must do.
 */
#include "router/stream/scram.h"

#include "core/base/base64.h"
#include "tests/unit/router/dice.h"
#include "tests/unit/router/scram_vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define NONCE    "0123456789abcdefghijkl-_"
#define PASSWORD "pencil"

static struct account account; /* PASSWORD */

/* One exchange as the caller sees it. */
struct exchange {
    struct scram scram;
    struct span binding; /* what the connection has */
    char username[SCRAM_NAME_MAX], authzid[SCRAM_NAME_MAX];
    size_t username_size, authzid_size;
    struct span binding_name;
    char server_first[SCRAM_MESSAGE_MAX], server_final[SCRAM_MESSAGE_MAX];
    size_t server_first_size, server_final_size;
};

static void exchange_init(struct exchange *x, enum digest digest, bool is_plus, bool was_offered)
{
    memset(x, 0, sizeof *x);
    scram_init(&x->scram, digest, is_plus, was_offered);
}

static enum scram_status exchange_first(struct exchange *x, struct span message)
{
    enum scram_status status =
        scram_first(&x->scram, message, x->username, &x->username_size, x->authzid, &x->authzid_size, &x->binding_name);
    if (status != SCRAM_OK)
        return status;
    if (x->binding_name.size > 0 && x->binding.size == 0)
        return SCRAM_BAD_BINDING;
    if (x->authzid_size > 0 && !span_is(span_of(x->authzid, x->authzid_size), "user@example.com"))
        return SCRAM_BAD_AUTHZID;
    return SCRAM_OK;
}

static void exchange_challenge(struct exchange *x, const struct account *whose)
{
    x->server_first_size = scram_challenge(&x->scram, whose, NONCE, x->server_first);
}

static enum scram_status exchange_final(struct exchange *x, struct span message)
{
    return scram_final(&x->scram, message, x->binding, x->server_final, &x->server_final_size);
}

/* The client's proof (RFC 5802 s3), from the keys that the server may not know. */
static size_t proof_make(enum digest digest, struct span salt, uint32_t iterations, struct span auth_message, char *out)
{
    uint8_t salted[64], key[64], stored[64], signature[64];
    size_t size = digest_size(digest);
    digest_pbkdf2(digest, SPAN(PASSWORD), salt, iterations, salted);
    digest_hmac(digest, span_of(salted, size), SPAN("Client Key"), key);
    digest_hash(digest, span_of(key, size), stored);
    digest_hmac(digest, span_of(stored, size), auth_message, signature);
    for (size_t i = 0; i < size; i++)
        key[i] ^= signature[i];
    return base64_encode(span_of(key, size), out);
}

/* without_proof ",p=" proof, for a client-first whose GS2 header has gs2_size bytes. */
static size_t final_make(struct exchange *x, struct span first, size_t gs2_size, struct span without_proof, char *out)
{
    char auth[3 * SCRAM_MESSAGE_MAX];
    int size = snprintf(auth, sizeof auth, "%.*s,%.*s,%.*s", SPAN_ARG(span_skip(first, gs2_size)),
                        (int)x->server_first_size, x->server_first, SPAN_ARG(without_proof));
    memcpy(out, without_proof.ptr, without_proof.size);
    memcpy(out + without_proof.size, ",p=", 3);
    return without_proof.size + 3 +
           proof_make(x->scram.digest, span_of(account.salt, account.salt_size), account.iterations,
                      span_of(auth, (size_t)size), out + without_proof.size + 3);
}

static size_t hex_decode(struct span hex, char *out)
{
    for (size_t i = 0; i + 1 < hex.size; i += 2) {
        const char pair[3] = {hex.ptr[i], hex.ptr[i + 1], 0};
        out[i / 2] = (char)strtoul(pair, NULL, 16);
    }
    return hex.size / 2;
}

/* The r= of server-first, behind the client's nonce. */
static struct span vector_nonce(const struct scram_vector *vector)
{
    const char *r = memmem(vector->client_first.ptr, vector->client_first.size, ",r=", 3);
    assert_non_null(r);
    size_t client_size = (size_t)(vector->client_first.ptr + vector->client_first.size - (r + 3));
    const char *comma = memchr(vector->server_first.ptr, ',', vector->server_first.size);
    assert_non_null(comma);
    const char *start = vector->server_first.ptr + 2 + client_size;
    return span_of(start, (size_t)(comma - start));
}

/* Holds 6120:6.4.3/1. */
static void exchange__published_vectors__same_messages(void **state)
{
    (void)state;
    struct scram_vectors vectors;
    unsigned tried = 0;
    scram_vectors_read(&vectors);
    for (unsigned i = 0; i < vectors.vector_count; i++) {
        const struct scram_vector *vector = &vectors.vectors[i];
        enum digest digest;
        bool is_plus;
        if (!scram_vector_digest(vector, &digest, &is_plus))
            continue;
        char salt[64], binding[64];
        size_t salt_size = 0;
        struct account whose;
        struct exchange x;
        assert_true(base64_decode(vector->salt, salt, &salt_size));
        account_derive(&whose, vector->password, span_of(salt, salt_size),
                       (uint32_t)strtoul(vector->iterations.ptr, NULL, 10));
        exchange_init(&x, digest, is_plus, is_plus);
        x.binding = span_of(binding, hex_decode(vector->binding_hex, binding));
        assert_int_equal(exchange_first(&x, vector->client_first), SCRAM_OK);
        assert_true(span_equal(span_of(x.username, x.username_size), vector->user));
        assert_int_equal(x.binding_name.size > 0, is_plus);
        x.server_first_size = scram_challenge_with(&x.scram, &whose, vector_nonce(vector), x.server_first);
        assert_true(span_equal(span_of(x.server_first, x.server_first_size), vector->server_first));
        assert_int_equal(exchange_final(&x, vector->client_final), SCRAM_OK);
        assert_true(span_equal(span_of(x.server_final, x.server_final_size), vector->server_final));
        scram_fini(&x.scram);
        tried++;
    }
    assert_int_equal(tried, 10);
    scram_vectors_free(&vectors);
}

/* \xNN, NONCE, PROOF and "(one bit flipped)" of the file; a copy of exact size, for the sanitizer. */
static char *refusal_expand(const struct scram_refusal *refusal, const char *proof, size_t *size)
{
    char text[SCRAM_MESSAGE_MAX];
    struct span in = refusal->message;
    const char *note = in.size == 0 ? NULL : memmem(in.ptr, in.size, " (one bit flipped)", 18);
    if (note != NULL)
        in.size = (size_t)(note - in.ptr);
    size_t n = 0;
    for (size_t i = 0; i < in.size;) {
        struct span rest = span_skip(in, i);
        const char *insert = NULL;
        size_t insert_size = 0;
        if (rest.size >= 4 && memcmp(rest.ptr, "\\x", 2) == 0) {
            n += hex_decode(span_of(rest.ptr + 2, 2), text + n);
            i += 4;
            continue;
        }
        if (rest.size >= 5 && memcmp(rest.ptr, "NONCE", 5) == 0)
            insert = "abc" NONCE;
        else if (rest.size >= 5 && memcmp(rest.ptr, "PROOF", 5) == 0)
            insert = proof;
        if (insert == NULL) {
            text[n++] = in.ptr[i++];
            continue;
        }
        insert_size = strlen(insert);
        memcpy(text + n, insert, insert_size);
        n += insert_size;
        i += 5;
    }
    if (note != NULL)
        text[n - 10] = text[n - 10] == 'A' ? 'B' : 'A';
    char *copy = malloc(n + 1);
    assert_non_null(copy);
    memcpy(copy, text, n);
    *size = n;
    return copy;
}

static enum scram_status refusal_try(const struct scram_refusal *refusal)
{
    struct exchange x;
    static const char first[] = "n,,n=user,r=abc";
    bool is_plus = memmem(refusal->reason.ptr, refusal->reason.size, "n with a -PLUS", 14) != NULL ||
                   memmem(refusal->reason.ptr, refusal->reason.size, "-PLUS over", 10) != NULL;
    bool was_offered = is_plus || memmem(refusal->reason.ptr, refusal->reason.size, "offered -PLUS", 13) != NULL;
    char proof[SCRAM_MESSAGE_MAX] = "";
    exchange_init(&x, DIGEST_SHA256, is_plus, was_offered);
    if (refusal->is_final) {
        static const char without[] = "c=biws,r=abc" NONCE;
        assert_int_equal(exchange_first(&x, span_str(first)), SCRAM_OK);
        exchange_challenge(&x, &account);
        char final[SCRAM_MESSAGE_MAX];
        size_t size = final_make(&x, span_str(first), 3, span_str(without), final);
        size_t start = sizeof without - 1 + 3;
        memcpy(proof, final + start, size - start);
        proof[size - start] = '\0';
    }
    size_t size = 0;
    char *message = refusal_expand(refusal, proof, &size);
    enum scram_status status =
        refusal->is_final ? exchange_final(&x, span_of(message, size)) : exchange_first(&x, span_of(message, size));
    free(message);
    scram_fini(&x.scram);
    return status;
}

static void exchange__each_refusal_of_the_file__refused(void **state)
{
    (void)state;
    /* In the order of the file. */
    static const enum scram_status expected[] = {
        SCRAM_MALFORMED,
        SCRAM_MALFORMED,
        SCRAM_MALFORMED,
        SCRAM_MALFORMED,
        SCRAM_MALFORMED,
        SCRAM_MALFORMED,
        SCRAM_MALFORMED,
        SCRAM_MALFORMED,
        SCRAM_UNKNOWN_EXTENSION,
        SCRAM_MALFORMED,
        SCRAM_MALFORMED,
        SCRAM_MALFORMED,
        SCRAM_BAD_BINDING,
        SCRAM_MALFORMED,
        SCRAM_BAD_BINDING,
        SCRAM_MALFORMED,
        SCRAM_BAD_AUTHZID,
        SCRAM_MALFORMED,
        SCRAM_MALFORMED,
        SCRAM_MALFORMED,
        SCRAM_MALFORMED,
        /* client-final */
        SCRAM_MALFORMED, /* r=WRONG with a proof of the wrong length, so syntax speaks first */
        SCRAM_MALFORMED,
        SCRAM_MALFORMED, /* c=eSws likewise */
        SCRAM_MALFORMED, /* c=biwsAA== likewise */
        SCRAM_MALFORMED,
        SCRAM_MALFORMED,
        SCRAM_MALFORMED,
        SCRAM_MALFORMED,
        SCRAM_MALFORMED,
        SCRAM_BAD_PROOF,
    };
    struct scram_vectors vectors;
    scram_vectors_read(&vectors);
    assert_int_equal(vectors.refusal_count, sizeof expected / sizeof expected[0]);
    for (unsigned i = 0; i < vectors.refusal_count; i++) {
        enum scram_status status = refusal_try(&vectors.refusals[i]);
        if (status != expected[i])
            printf("refusal %u (%.*s): %d instead of %d\n", i + 1, SPAN_ARG(vectors.refusals[i].reason), status,
                   expected[i]);
        assert_int_equal(status, expected[i]);
    }
    scram_vectors_free(&vectors);
}

static enum scram_status first_try(bool is_plus, bool was_offered, struct span message)
{
    struct exchange x;
    exchange_init(&x, DIGEST_SHA256, is_plus, was_offered);
    x.binding = SPAN("0123456789ab");
    enum scram_status status = exchange_first(&x, message);
    scram_fini(&x.scram);
    return status;
}

static void first__grammar__to_the_letter(void **state)
{
    (void)state;
    static const struct {
        const char *message;
        enum scram_status status;
    } cases[] = {
        {"n,,n=user,r=abc", SCRAM_OK},
        {"y,,n=user,r=abc", SCRAM_OK},
        {"n,a=user@example.com,n=user,r=abc", SCRAM_OK},
        {"n,,n=\xc3\xa4,r=!~", SCRAM_OK},
        {"n,,n=us er,r=a=b", SCRAM_OK},
        {"n,,n==2C=3D,r=abc", SCRAM_OK},
        {"n,,n=user,r=abc,x=1", SCRAM_OK},
        {"n,,n=user,r=abc,x=1,Z==,q=\xe2\x82\xac", SCRAM_OK},
        {"n,,n=user,r=abc,m=1", SCRAM_UNKNOWN_EXTENSION},
        {"n,,m=,n=user,r=abc", SCRAM_UNKNOWN_EXTENSION},
        {"n,,n=user,r=abc,x=", SCRAM_MALFORMED},
        {"n,,n=user,r=abc,x", SCRAM_MALFORMED},
        {"n,,n=user,r=abc,", SCRAM_MALFORMED},
        {"n,,n=user,r=abc,1=x", SCRAM_MALFORMED},
        {"n,,n=user,r=abc,xy=x", SCRAM_MALFORMED},
        {"n,,n=user,r=abc,,x=1", SCRAM_MALFORMED},
        {"n,,n=user,r=abc,n=root", SCRAM_MALFORMED},
        {"n,,n=user,r=abc,a=root", SCRAM_MALFORMED},
        {"n,,n=user,r=abc,r=def", SCRAM_MALFORMED},
        {"n,,n=user,r=abc,c=def", SCRAM_MALFORMED},
        {"n,,n=user,r=abc,x=\x80", SCRAM_MALFORMED},
        {"n", SCRAM_MALFORMED},
        {"n,", SCRAM_MALFORMED},
        {"n,,", SCRAM_MALFORMED},
        {"n,,n=user", SCRAM_MALFORMED},
        {"n,,n=user,", SCRAM_MALFORMED},
        {"n,,n=user,r", SCRAM_MALFORMED},
        {"n,n=user,r=abc", SCRAM_MALFORMED},
        {"n,,,n=user,r=abc", SCRAM_MALFORMED},
        {"N,,n=user,r=abc", SCRAM_MALFORMED},
        {"nn,,n=user,r=abc", SCRAM_MALFORMED},
        {" n,,n=user,r=abc", SCRAM_MALFORMED},
        {"n,x=1,n=user,r=abc", SCRAM_MALFORMED},
        {"n,a=u=2,n=user,r=abc", SCRAM_MALFORMED},
        {"n,a=u=3d,n=user,r=abc", SCRAM_MALFORMED},
        {"n,a=other,n=user,r=abc", SCRAM_BAD_AUTHZID},
        {"n,,N=user,r=abc", SCRAM_MALFORMED},
        {"n,,n=user=,r=abc", SCRAM_MALFORMED},
        {"n,,n=user=2,r=abc", SCRAM_MALFORMED},
        {"n,,n=user=3E,r=abc", SCRAM_MALFORMED},
        {"n,,n=user,r=a c", SCRAM_MALFORMED},
        {"n,,n=user,r=abc\n", SCRAM_MALFORMED},
        {"n,,n=user,r=\xc3\xa4", SCRAM_MALFORMED},
        {"n,,n=\xed\xa0\x80,r=abc", SCRAM_MALFORMED},
        {"n,,n=\xc0\xaf,r=abc", SCRAM_MALFORMED},
        {"F,n,,n=user,r=abc", SCRAM_MALFORMED}, /* the GS2 header of mechanisms that are not SCRAM */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum scram_status status = first_try(false, false, span_str(cases[i].message));
        if (status != cases[i].status)
            printf("\"%s\": %d instead of %d\n", cases[i].message, status, cases[i].status);
        assert_int_equal(status, cases[i].status);
    }
}

static void first__binding_flag__judged_by_what_was_offered(void **state)
{
    (void)state;
    static const struct {
        bool is_plus, was_offered;
        const char *flag;
        enum scram_status status;
    } cases[] = {
        {false, false, "n", SCRAM_OK},
        {false, true, "n", SCRAM_OK}, /* the client cannot bind: allowed by s6 unless policy takes the mechanism away */
        {false, false, "y", SCRAM_OK},
        {false, true, "y", SCRAM_BAD_BINDING},
        {false, false, "p=tls-exporter", SCRAM_MALFORMED},
        {false, true, "p=tls-exporter", SCRAM_MALFORMED},
        {true, true, "n", SCRAM_MALFORMED},
        {true, true, "y", SCRAM_BAD_BINDING},
        {true, true, "p=tls-exporter", SCRAM_OK},
        {true, true, "p=tls-unique", SCRAM_OK},
        {true, true, "p=tls-server-end-point", SCRAM_OK},
        {true, true, "p=tls-unique-for-telnet", SCRAM_BAD_BINDING},
        {true, true, "p=tls-exporte", SCRAM_BAD_BINDING},
        {true, true, "p=TLS-EXPORTER", SCRAM_BAD_BINDING},
        {true, true, "p=", SCRAM_MALFORMED},
        {true, true, "p=tls_exporter", SCRAM_MALFORMED},
        {true, true, "p=tls exporter", SCRAM_MALFORMED},
        {true, true, "p", SCRAM_MALFORMED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char message[128];
        int size = snprintf(message, sizeof message, "%s,,n=user,r=abc", cases[i].flag);
        assert_int_equal(first_try(cases[i].is_plus, cases[i].was_offered, span_of(message, (size_t)size)),
                         cases[i].status);
    }
}

/* prefix, then count times 'a', then suffix */
static enum scram_status long_try(const char *prefix, size_t count, const char *suffix)
{
    char *message = malloc(strlen(prefix) + count + strlen(suffix) + 1);
    assert_non_null(message);
    size_t size = strlen(prefix);
    memcpy(message, prefix, size);
    memset(message + size, 'a', count);
    size += count;
    memcpy(message + size, suffix, strlen(suffix));
    size += strlen(suffix);
    enum scram_status status = first_try(false, false, span_of(message, size));
    free(message);
    return status;
}

static void first__sizes__bounded(void **state)
{
    (void)state;
    assert_int_equal(long_try("n,,n=", SCRAM_NAME_MAX, ",r=abc"), SCRAM_OK);
    assert_int_equal(long_try("n,,n=", SCRAM_NAME_MAX + 1, ",r=abc"), SCRAM_BAD_NAME);
    assert_int_equal(long_try("n,a=", SCRAM_NAME_MAX + 1, ",n=user,r=abc"), SCRAM_BAD_AUTHZID);
    assert_int_equal(long_try("n,,n=user,r=", SCRAM_CLIENT_NONCE_MAX, ""), SCRAM_OK);
    assert_int_equal(long_try("n,,n=user,r=", SCRAM_CLIENT_NONCE_MAX + 1, ""), SCRAM_MALFORMED);
    size_t room = SCRAM_MESSAGE_MAX - (sizeof "n,,n=user,r=abc,x=" - 1);
    assert_int_equal(long_try("n,,n=user,r=abc,x=", room, ""), SCRAM_OK);
    assert_int_equal(long_try("n,,n=user,r=abc,x=", room + 1, ""), SCRAM_MALFORMED);
    assert_int_equal(long_try("n,,n=user,r=abc,x=", 100000, ""), SCRAM_MALFORMED);
}

static void exchange__largest_messages__fit(void **state)
{
    (void)state;
    struct exchange x;
    struct account largest;
    char salt[ACCOUNT_SALT_MAX] = {1};
    char message[SCRAM_MESSAGE_MAX] = "n,,n=user,r=";
    char without[SCRAM_MESSAGE_MAX] = "c=biws,r=";
    char final[2 * SCRAM_MESSAGE_MAX];
    size_t start = strlen(message);
    memset(message + start, 'a', SCRAM_CLIENT_NONCE_MAX);
    memcpy(message + start + SCRAM_CLIENT_NONCE_MAX, ",x=1", 4);
    account_derive(&largest, SPAN(PASSWORD), span_of(salt, sizeof salt), 1);
    largest.iterations = UINT32_MAX;
    exchange_init(&x, DIGEST_SHA256, false, false);
    struct span first = span_of(message, start + SCRAM_CLIENT_NONCE_MAX + 4);
    assert_int_equal(exchange_first(&x, first), SCRAM_OK);
    exchange_challenge(&x, &largest);
    assert_true(x.server_first_size < SCRAM_MESSAGE_MAX);
    assert_memory_equal(x.server_first + x.server_first_size - 13, ",i=4294967295", 13);
    scram_fini(&x.scram);

    exchange_init(&x, DIGEST_SHA256, false, false);
    assert_int_equal(exchange_first(&x, first), SCRAM_OK);
    exchange_challenge(&x, &account);
    start = strlen(without);
    memcpy(without + start, x.server_first + 2, SCRAM_CLIENT_NONCE_MAX + SCRAM_NONCE_SIZE);
    size_t size = final_make(&x, first, 3, span_of(without, start + SCRAM_CLIENT_NONCE_MAX + SCRAM_NONCE_SIZE), final);
    assert_int_equal(exchange_final(&x, span_of(final, size)), SCRAM_OK);
    scram_fini(&x.scram);
}

static const char first_plain[] = "n,,n=user,r=abc";

static enum scram_status final_try(const struct account *whose, enum digest digest, const char *without)
{
    struct exchange x;
    char final[2 * SCRAM_MESSAGE_MAX];
    exchange_init(&x, digest, false, false);
    assert_int_equal(exchange_first(&x, span_str(first_plain)), SCRAM_OK);
    exchange_challenge(&x, whose);
    size_t size = final_make(&x, span_str(first_plain), 3, span_str(without), final);
    enum scram_status status = exchange_final(&x, span_of(final, size));
    assert_int_equal(x.server_final_size > 0, status == SCRAM_OK);
    scram_fini(&x.scram);
    return status;
}

/* The proof is right for each of these messages, so only what is named here decides. */
static void final__right_proof_over_wrong_message__refused(void **state)
{
    (void)state;
    static const struct {
        const char *without;
        enum scram_status status;
    } cases[] = {
        {"c=biws,r=abc" NONCE, SCRAM_OK},
        {"c=biws,r=abc" NONCE ",x=1,y=b=c", SCRAM_OK},
        {"c=biws,r=abc" NONCE ",m=1", SCRAM_UNKNOWN_EXTENSION},
        {"m=1,c=biws,r=abc" NONCE, SCRAM_UNKNOWN_EXTENSION},
        {"c=biws,r=abc" NONCE ",x=", SCRAM_MALFORMED},
        {"c=biws,r=abc" NONCE ",", SCRAM_MALFORMED},
        {"c=biws,r=abc" NONCE ",c=biws", SCRAM_MALFORMED},
        {"c=biws,r=abc" NONCE ",r=abc" NONCE, SCRAM_MALFORMED},
        {"c=biws,r=abc" NONCE ",p=AAAA", SCRAM_MALFORMED},
        {"c=biws,r=abc" NONCE ",x=\xff", SCRAM_MALFORMED},
        {"x=1,c=biws,r=abc" NONCE, SCRAM_MALFORMED},
        {"c=biws,x=1,r=abc" NONCE, SCRAM_MALFORMED},
        {"c=,r=abc" NONCE, SCRAM_MALFORMED},
        {"c=biw,r=abc" NONCE, SCRAM_MALFORMED},
        {"c=biws====,r=abc" NONCE, SCRAM_MALFORMED},
        {"c=bi ws,r=abc" NONCE, SCRAM_MALFORMED},
        {"c=eSws,r=abc" NONCE, SCRAM_BAD_BINDING},
        {"c=biwsAA==,r=abc" NONCE, SCRAM_BAD_BINDING},
        {"c=biw=,r=abc" NONCE, SCRAM_BAD_BINDING},
        {"c=bixhPXVzZXIs,r=abc" NONCE, SCRAM_BAD_BINDING},
        {"c=biws,r=abc", SCRAM_BAD_PROOF},
        {"c=biws,r=" NONCE, SCRAM_BAD_PROOF},
        {"c=biws,r=", SCRAM_BAD_PROOF},
        {"c=biws,r=abd" NONCE, SCRAM_BAD_PROOF},
        {"c=biws,r=abc" NONCE "x", SCRAM_BAD_PROOF},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (enum digest digest = DIGEST_SHA1; digest <= DIGEST_SHA256; digest++) {
            enum scram_status status = final_try(&account, digest, cases[i].without);
            if (status != cases[i].status)
                printf("\"%s\": %d instead of %d\n", cases[i].without, status, cases[i].status);
            assert_int_equal(status, cases[i].status);
        }
    }
}

static void final__account_without_the_keys__refused(void **state)
{
    (void)state;
    struct account half = account;
    half.has_sha1 = false;
    assert_int_equal(final_try(&half, DIGEST_SHA256, "c=biws,r=abc" NONCE), SCRAM_OK);
    assert_int_equal(final_try(&half, DIGEST_SHA1, "c=biws,r=abc" NONCE), SCRAM_BAD_PROOF);
    half.has_sha256 = false;
    assert_int_equal(final_try(&half, DIGEST_SHA256, "c=biws,r=abc" NONCE), SCRAM_BAD_PROOF);
    memset(&half, 0, sizeof half);
    half.iterations = 1;
    half.salt_size = 1;
    assert_int_equal(final_try(&half, DIGEST_SHA256, "c=biws,r=abc" NONCE), SCRAM_BAD_PROOF);
}

static void final__unknown_user__answers_like_a_wrong_password(void **state)
{
    (void)state;
    struct account fake, other;
    account_fake(&fake, SPAN("nobody@example.com"), SPAN("secret"));
    account_derive(&other, SPAN("another"), span_of(fake.salt, fake.salt_size), fake.iterations);
    struct exchange x, y;
    exchange_init(&x, DIGEST_SHA256, false, false);
    exchange_init(&y, DIGEST_SHA256, false, false);
    assert_int_equal(exchange_first(&x, span_str(first_plain)), SCRAM_OK);
    assert_int_equal(exchange_first(&y, span_str(first_plain)), SCRAM_OK);
    exchange_challenge(&x, &fake);
    exchange_challenge(&y, &other);
    assert_true(span_equal(span_of(x.server_first, x.server_first_size), span_of(y.server_first, y.server_first_size)));
    char final[2 * SCRAM_MESSAGE_MAX];
    size_t size = final_make(&x, span_str(first_plain), 3, SPAN("c=biws,r=abc" NONCE), final);
    assert_int_equal(exchange_final(&x, span_of(final, size)), SCRAM_BAD_PROOF);
    assert_int_equal(exchange_final(&y, span_of(final, size)), SCRAM_BAD_PROOF);
    scram_fini(&x.scram);
    scram_fini(&y.scram);
}

/* XEP-0474 s6.3, its example: the hash that stands in server-first, and a client that signs another one fails. */
static void challenge__carries_the_hash_of_the_offer(void **state)
{
    (void)state;
    static const char first[] = "n,,n=user,r=abc";
    static const char field[] = ",h=G6k/rBLDqgOhRRaCuuatSDFkJ08=";
    struct exchange x;
    char without[256], final[2 * SCRAM_MESSAGE_MAX];
    for (int tampered = 0; tampered < 2; tampered++) {
        exchange_init(&x, DIGEST_SHA1, false, false);
        assert_int_equal(exchange_first(&x, SPAN(first)), SCRAM_OK);
        scram_offer(&x.scram, SPAN("SCRAM-SHA-1\x1eSCRAM-SHA-1-PLUS\x1ftls-exporter\x1etls-server-end-point"));
        exchange_challenge(&x, &account);
        assert_true(x.server_first_size > sizeof field);
        char *hash = x.server_first + x.server_first_size - (sizeof field - 1);
        assert_memory_equal(hash, field, sizeof field - 1);
        if (tampered)
            hash[3] = 'H';
        int size = snprintf(without, sizeof without, "c=biws,r=%.*s", 3 + (int)SCRAM_NONCE_SIZE, x.server_first + 2);
        size_t final_size = final_make(&x, SPAN(first), 3, span_of(without, (size_t)size), final);
        assert_int_equal(exchange_final(&x, span_of(final, final_size)), tampered ? SCRAM_BAD_PROOF : SCRAM_OK);
        scram_fini(&x.scram);
    }
}

static void final__binding_data__exact(void **state)
{
    (void)state;
    static const char first[] = "p=tls-exporter,,n=user,r=abc";
    static const struct {
        const char *claimed, *real;
        enum scram_status status;
    } cases[] = {
        {"0123456789ab", "0123456789ab", SCRAM_OK},
        {"0123456789ab", "0123456789ac", SCRAM_BAD_BINDING},
        {"0123456789ab", "0123456789abc", SCRAM_BAD_BINDING},
        {"0123456789ab", "0123456789a", SCRAM_BAD_BINDING},
        {"", "0123456789ab", SCRAM_BAD_BINDING},
        {"0123456789ab", "", SCRAM_BAD_BINDING},
        {"", "", SCRAM_BAD_BINDING},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct exchange x;
        char plain[64], without[256] = "c=", final[2 * SCRAM_MESSAGE_MAX];
        exchange_init(&x, DIGEST_SHA256, true, true);
        x.binding = SPAN("to pass the caller's own check");
        assert_int_equal(exchange_first(&x, span_str(first)), SCRAM_OK);
        assert_true(span_is(x.binding_name, "tls-exporter"));
        x.binding = span_str(cases[i].real);
        exchange_challenge(&x, &account);
        int plain_size = snprintf(plain, sizeof plain, "p=tls-exporter,,%s", cases[i].claimed);
        size_t size = 2 + base64_encode(span_of(plain, (size_t)plain_size), without + 2);
        size += (size_t)snprintf(without + size, sizeof without - size, ",r=abc%s", NONCE);
        size = final_make(&x, span_str(first), sizeof "p=tls-exporter,," - 1, span_of(without, size), final);
        assert_int_equal(exchange_final(&x, span_of(final, size)), cases[i].status);
        scram_fini(&x.scram);
    }
}

static void fini__after_any_step__wipes(void **state)
{
    (void)state;
    struct exchange x;
    exchange_init(&x, DIGEST_SHA256, false, false);
    scram_fini(&x.scram);
    exchange_init(&x, DIGEST_SHA256, false, false);
    assert_int_equal(exchange_first(&x, span_str(first_plain)), SCRAM_OK);
    exchange_challenge(&x, &account);
    assert_memory_equal(x.scram.account.sha256_stored, account.sha256_stored, 32);
    scram_fini(&x.scram);
    struct account zero = {0};
    assert_memory_equal(&x.scram.account, &zero, sizeof zero);
    assert_null(x.scram.text);
    scram_fini(&x.scram);
}

/* Changes bytes, cuts, doubles or drops pieces; *size stays below SCRAM_MESSAGE_MAX + 64. */
static void mutate(uint64_t *dice, char *text, size_t *size)
{
    static const char alphabet[] = ",,==nyparcmx2C3D\x01\x7f\xc3\xff A+/";
    size_t at = *size == 0 ? 0 : dice_below(dice, (unsigned)*size);
    size_t count = 1 + dice_below(dice, 8);
    if (count > *size - at)
        count = *size - at;
    switch (dice_below(dice, 6)) {
    case 0: /* one bit */
        if (*size > 0)
            text[at] = (char)(text[at] ^ (1 << dice_below(dice, 8)));
        break;
    case 1: /* another character */
        if (*size > 0)
            text[at] = alphabet[dice_below(dice, sizeof alphabet - 1)];
        break;
    case 2: /* an inserted character */
        memmove(text + at + 1, text + at, *size - at);
        text[at] = alphabet[dice_below(dice, sizeof alphabet - 1)];
        *size += 1;
        break;
    case 3: /* a dropped piece */
        memmove(text + at, text + at + count, *size - at - count);
        *size -= count;
        break;
    case 4: /* a doubled piece */
        memmove(text + at + count, text + at, *size - at);
        *size += count;
        break;
    default: /* the end cut off */
        *size = at;
        break;
    }
}

static char *exact_copy(const char *text, size_t size)
{
    char *copy = malloc(size + 1);
    assert_non_null(copy);
    memcpy(copy, text, size);
    return copy;
}

static void exchange__any_mutation__never_succeeds(void **state)
{
    (void)state;
    uint64_t dice = dice_seed(__func__);
    static const char first_bound[] = "p=tls-exporter,a=user@example.com,n=user,r=abc,x=1";
    static const char gs2_bound[] = "p=tls-exporter,a=user@example.com,0123456789ab";
    unsigned deep = 0;
    for (unsigned i = 0; i < 20000; i++) {
        bool is_plus = dice_below(&dice, 2) == 0;
        struct span first = is_plus ? span_str(first_bound) : span_str(first_plain);
        size_t gs2_size = is_plus ? sizeof gs2_bound - 1 - 12 : 3;
        char without[256] = "c=", text[SCRAM_MESSAGE_MAX + 64], final[2 * SCRAM_MESSAGE_MAX];
        size_t size = 2 + base64_encode(is_plus ? span_str(gs2_bound) : SPAN("n,,"), without + 2);
        size += (size_t)snprintf(without + size, sizeof without - size, ",r=abc%s", NONCE);
        size_t without_size = size;
        bool is_first_mutated = dice_below(&dice, 2) == 0;
        struct exchange x;
        exchange_init(&x, dice_below(&dice, 2) == 0 ? DIGEST_SHA1 : DIGEST_SHA256, is_plus, is_plus);
        x.binding = is_plus ? SPAN("0123456789ab") : SPAN_NONE;

        memcpy(text, first.ptr, first.size);
        size = first.size;
        for (unsigned n = is_first_mutated ? 1 + dice_below(&dice, 4) : 0; n > 0; n--)
            mutate(&dice, text, &size);
        bool is_changed = !span_equal(span_of(text, size), first);
        char *copy = exact_copy(text, size);
        enum scram_status status = exchange_first(&x, span_of(copy, size));
        free(copy);
        if (status != SCRAM_OK) {
            assert_true(is_changed);
            scram_fini(&x.scram);
            continue;
        }
        exchange_challenge(&x, &account);
        /* The client's own view: it knows nothing of what happened to its first message on the way. */
        size = final_make(&x, first, gs2_size, span_of(without, without_size), final);
        memcpy(text, final, size);
        size_t right_size = size;
        for (unsigned n = is_first_mutated ? 0 : 1 + dice_below(&dice, 4); n > 0; n--)
            mutate(&dice, text, &size);
        is_changed = is_changed || !span_equal(span_of(text, size), span_of(final, right_size));
        copy = exact_copy(text, size);
        status = exchange_final(&x, span_of(copy, size));
        free(copy);
        assert_int_equal(status == SCRAM_OK, !is_changed);
        assert_int_equal(x.server_final_size > 0, !is_changed);
        scram_fini(&x.scram);
        deep++;
    }
    assert_true(deep > 5000);
}

static int account_make(void **state)
{
    (void)state;
    /* Few iterations: the client's side derives the keys anew for each message. */
    account_derive(&account, SPAN(PASSWORD), SPAN("0123456789abcdef"), 2);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exchange__published_vectors__same_messages),
        cmocka_unit_test(exchange__each_refusal_of_the_file__refused),
        cmocka_unit_test(first__grammar__to_the_letter),
        cmocka_unit_test(first__binding_flag__judged_by_what_was_offered),
        cmocka_unit_test(first__sizes__bounded),
        cmocka_unit_test(exchange__largest_messages__fit),
        cmocka_unit_test(final__right_proof_over_wrong_message__refused),
        cmocka_unit_test(final__account_without_the_keys__refused),
        cmocka_unit_test(final__unknown_user__answers_like_a_wrong_password),
        cmocka_unit_test(challenge__carries_the_hash_of_the_offer),
        cmocka_unit_test(final__binding_data__exact),
        cmocka_unit_test(fini__after_any_step__wipes),
        cmocka_unit_test(exchange__any_mutation__never_succeeds),
    };
    return cmocka_run_group_tests(tests, account_make, NULL);
}
