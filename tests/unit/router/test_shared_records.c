/* SPDX-License-Identifier: MIT */
/*
 * A hundred thousand streams behind a thousand certificates: what is held of the certificates is there a thousand
 * times, is asked for a thousand times, and then there is no reason to wake up for hours.
 *
 * The thousand are one certificate of tests/chains/revocation.py under a thousand fingerprints, so that its answer
 * counts for each.
 */
#include "router/certs/inquiries_priv.h"
#include "tests/chains/answers.h"
#include "tls/credential_pool_priv.h"
#include "tls/credential_priv.h"
#include "tls/digest.h"

#include <malloc.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <setjmp.h>

#include <cmocka.h>

#define STREAMS      100000u
#define CERTIFICATES 1000u
#define SHARDS       8u
#define FETCHES_MAX  32u
#define HOURS        INT64_C(3600)
/* router/certs/README.md: a chain and its certificate, and the watches of the shards. */
#define BYTES_OF_ONE 6000u

struct stage {
    uint64_t fetches[FETCHES_MAX];
    unsigned fetch_count;
    unsigned asked;
    unsigned told[STANDING_DISTRUSTED + 1];
};

static void begin_fetch(void *context, uint64_t number, const char *url, struct span body)
{
    struct stage *stage = context;
    (void)url;
    assert_true(body.size > 0);
    assert_true(stage->fetch_count < FETCHES_MAX);
    stage->fetches[stage->fetch_count++] = number;
    stage->asked++;
}

static void tell(void *context, unsigned client, const struct inspector_finding *finding)
{
    struct stage *stage = context;
    assert_true(client < SHARDS);
    stage->told[finding->standing]++;
}

static uint32_t throw_dice(void *context)
{
    static uint32_t dice = 1;
    (void)context;
    return dice = dice * 1664525 + 1013904223;
}

/* Judged, and of nobody else. */
static struct credential *judge(int64_t now)
{
    struct err err;
    char path[ANSWERS_PATH_SIZE];
    struct anchors *anchors = anchors_new(answers_path("watched.pem", path), &err);
    assert_non_null(anchors);
    struct span leaf = answers_read("watched_ocsp.leaf");
    struct credential *credential = credential_judge(anchors, &leaf, 1, CREDENTIAL_SERVER, now);
    assert_int_equal(credential->verdict, CREDENTIAL_VALID);
    span_free(&leaf);
    anchors_unref(anchors);
    return credential;
}

/* As a handshake makes one, with all its bytes, of certificate number n. */
static struct credential *handshake(const struct credential *model, uint32_t n)
{
    size_t size = sizeof *model + model->count * sizeof model->path[0];
    for (unsigned i = 0; i < model->count; i++)
        size += model->path[i].der.size;
    struct credential *credential = calloc(1, size);
    assert_non_null(credential);
    memcpy(credential, model, sizeof *model + model->count * sizeof model->path[0]);
    char *bytes = (char *)(credential->path + model->count);
    for (unsigned i = 0; i < model->count; i++) {
        memcpy(bytes, model->path[i].der.ptr, model->path[i].der.size);
        credential->path[i].der.ptr = bytes;
        bytes += model->path[i].der.size;
    }
    credential->identity = (struct identity){0};
    assert_true(identity_read(credential->path[0].der, &credential->identity));
    digest_hash(DIGEST_SHA256, span_of((const char *)&n, sizeof n), credential->path[0].sha256);
    digest_hash(DIGEST_SHA256, span_of((const char *)credential->path[0].sha256, CREDENTIAL_SHA256),
                credential->fingerprint);
    return credential;
}

static struct inquiries *open_inquiries(struct stage *stage)
{
    const struct inspector_settings settings = {
        .interval_s = 24 * HOURS, .retry_min_s = 30, .retry_max_s = HOURS, .fetches_max = FETCHES_MAX};
    const struct inquiries_hooks hooks = {stage, begin_fetch, tell, throw_dice};
    struct inquiries *inquiries = inquiries_new(&settings, &hooks);
    assert_non_null(inquiries);
    return inquiries;
}

/* Until nobody is asked any more. */
static void answer_all(struct stage *stage, struct inquiries *inquiries, int64_t now)
{
    struct span good = answers_read("watched_ocsp.good");
    inquiries_advance(inquiries, now);
    while (stage->fetch_count) {
        inquiries_fetched(inquiries, stage->fetches[--stage->fetch_count], good, now);
        inquiries_advance(inquiries, now);
    }
    span_free(&good);
}

/* As watch.c does: a shard watches a chain once, whatever the number of its streams. */
static void watch_all(struct inquiries *inquiries, struct credential *const *held, int64_t now)
{
    for (unsigned shard = 0; shard < SHARDS; shard++)
        for (uint32_t n = 0; n < CERTIFICATES; n++) {
            credential_ref(held[n]);
            inquiries_watch(inquiries, shard, n + 1, held[n], SPAN(""), now);
        }
}

static void streams__a_hundred_thousand_of_a_thousand__cost_a_thousand_records(void **state)
{
    static struct credential *held[STREAMS];
    struct stage stage = {0};
    int64_t now = answers_time();
    struct credential *model = judge(now);
    (void)state;
    credential_free(credential_pool_share(handshake(model, UINT32_MAX))); /* what the pool has of its own */
    size_t before = mallinfo2().uordblks;
    for (uint32_t i = 0; i < STREAMS; i++) {
        held[i] = credential_pool_share(handshake(model, i % CERTIFICATES));
        assert_ptr_equal(held[i], held[i % CERTIFICATES]);
    }
    size_t pooled = mallinfo2().uordblks - before;
    struct inquiries *inquiries = open_inquiries(&stage);
    watch_all(inquiries, held, now);
    answer_all(&stage, inquiries, now);
    size_t watched = mallinfo2().uordblks - before;
    struct inquiries_count count = inquiries_count(inquiries);
    assert_int_equal(count.dossiers, CERTIFICATES);
    assert_int_equal(count.inquiries, CERTIFICATES);
    assert_int_equal(count.watches, SHARDS * CERTIFICATES);
    assert_int_equal(stage.asked, CERTIFICATES);
    assert_int_equal(stage.told[STANDING_GOOD], SHARDS * CERTIFICATES);
    print_message("%u streams, %u certificates: %zu bytes each in the pool, %zu with all that is known of it\n",
                  STREAMS, CERTIFICATES, pooled / CERTIFICATES, watched / CERTIFICATES);
    assert_in_range(watched, 0, (size_t)CERTIFICATES * BYTES_OF_ONE);

    /* Nothing to wake up for, and nothing done by who wakes up all the same. */
    assert_true(inquiries_due(inquiries) >= now + 10 * HOURS);
    inquiries_advance(inquiries, now + 10 * HOURS);
    assert_int_equal(stage.asked, CERTIFICATES);
    assert_int_equal(stage.told[STANDING_GOOD], SHARDS * CERTIFICATES);
    inquiries_free(inquiries);
    for (uint32_t i = 0; i < STREAMS; i++)
        credential_free(held[i]);
    credential_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams__a_hundred_thousand_of_a_thousand__cost_a_thousand_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
