/* SPDX-License-Identifier: MIT */
#include "bench/scram_client.h"

#include "tests/unit/core/suite.h"

#include <stdio.h>

struct exchange {
    enum digest digest;
    const char *nonce, *server_first, *client_final, *server_final;
};

/* RFC 5802 s5, RFC 7677 s3. */
static const struct exchange published[] = {
    {DIGEST_SHA1, "fyko+d2lbbFgONRv9qkxdawL", "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
     "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
     "v=rmF9pqV8S7suAoZWja4dJRkFsKQ="},
    {DIGEST_SHA256, "rOprNGfwEbeRWgbNEkqO",
     "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
     "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
     "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="},
};

static struct span final_for(struct scram_client *client, struct scram_keys *keys, const struct exchange *exchange,
                             struct span server_first, char out[SCRAM_CLIENT_MESSAGE_MAX])
{
    scram_client_first(client, exchange->digest, SPAN("user"), span_str(exchange->nonce), NULL);
    return scram_client_final(client, keys, SPAN("pencil"), server_first, SPAN_NONE, out);
}

static void scram_client__published_exchanges__same_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
        const struct exchange *exchange = &published[i];
        struct scram_client client;
        struct scram_keys keys = {0};
        char out[SCRAM_CLIENT_MESSAGE_MAX];
        struct span final = final_for(&client, &keys, exchange, span_str(exchange->server_first), out);
        assert_true(span_is(final, exchange->client_final));
        assert_true(scram_client_verify(&client, span_str(exchange->server_final)));
        assert_false(scram_client_verify(&client, SPAN("v=AAAAAAAAAAAAAAAAAAAAAAAAAAA=")));
        assert_false(scram_client_verify(&client, SPAN("e=other-error")));
    }
}

/* What lies behind the message in memory is no part of its iteration count. */
static void scram_client_final__digits_behind_the_message__not_read(void **state)
{
    (void)state;
    const struct exchange *exchange = &published[1];
    char text[256], out[SCRAM_CLIENT_MESSAGE_MAX];
    size_t size = strlen(exchange->server_first);
    snprintf(text, sizeof text, "%s7777", exchange->server_first);
    struct scram_client client;
    struct scram_keys keys = {0};
    struct span final = final_for(&client, &keys, exchange, span_of(text, size), out);
    assert_true(span_is(final, exchange->client_final));
    assert_int_equal(keys.iterations, 4096);
}

static void scram_client_final__kept_keys_of_another_salt__derived_anew(void **state)
{
    (void)state;
    const struct exchange *exchange = &published[1];
    struct scram_client client;
    struct scram_keys keys = {0};
    char out[SCRAM_CLIENT_MESSAGE_MAX];
    struct span other = final_for(&client, &keys, exchange, SPAN("r=rOprNGfwEbeRWgbNEkqO1,s=AAAA,i=4096"), out);
    assert_true(other.size > 0);
    assert_true(
        span_is(final_for(&client, &keys, exchange, span_str(exchange->server_first), out), exchange->client_final));
}

static void scram_client_final__nonsense__empty(void **state)
{
    (void)state;
    static const char *const nonsense[] = {"",
                                           "r=abc",
                                           "r=abc,s=AAAA",
                                           "r=abc,s=AAAA,i=",
                                           "r=abc,s=AAAA,i=0",
                                           "r=abc,s=AAAA,i=x",
                                           "r=abc,s=AAAA,i=99999999999999999999",
                                           "r=abc,s=AA,i=4096",
                                           "s=AAAA,i=4096"};
    for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
        struct scram_client client;
        struct scram_keys keys = {0};
        char out[SCRAM_CLIENT_MESSAGE_MAX];
        assert_int_equal(final_for(&client, &keys, &published[0], span_str(nonsense[i]), out).size, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scram_client__published_exchanges__same_bytes),
        cmocka_unit_test(scram_client_final__digits_behind_the_message__not_read),
        cmocka_unit_test(scram_client_final__kept_keys_of_another_salt__derived_anew),
        cmocka_unit_test(scram_client_final__nonsense__empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
