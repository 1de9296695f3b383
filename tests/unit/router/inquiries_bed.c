/* SPDX-License-Identifier: MIT */
#include "tests/unit/router/inquiries_bed.h"

#include <stdio.h>

static void begin_fetch(void *context, uint64_t number, const char *url, struct span body)
{
    struct stage *stage = context;
    assert_true(stage->fetch_count < FETCHES_MAX);
    stage->fetches[stage->fetch_count].number = number;
    stage->fetches[stage->fetch_count].body_size = body.size;
    snprintf(stage->fetches[stage->fetch_count++].url, sizeof stage->fetches[0].url, "%s", url);
}

static void tell(void *context, unsigned client, const struct inspector_finding *finding)
{
    struct stage *stage = context;
    assert_int_equal(client, finding->tag % 7);
    assert_true(stage->told_count < TOLD_MAX);
    stage->told[stage->told_count++] = *finding;
}

static uint32_t throw_dice(void *context)
{
    struct stage *stage = context;
    return stage->dice = stage->dice * 1664525 + 1013904223;
}

void open_stage(struct stage *stage)
{
    const struct inquiries_hooks hooks = {stage, begin_fetch, tell, throw_dice};
    struct err err;
    char path[ANSWERS_PATH_SIZE];
    memset(stage, 0, sizeof *stage);
    stage->dice = 1;
    stage->now = stage->made = answers_time();
    stage->settings = (struct inspector_settings){
        .interval_s = 86400, .retry_min_s = 30, .retry_max_s = 3600, .fetches_max = FETCHES_MAX};
    stage->anchors = anchors_new(answers_path("watched.pem", path), &err);
    assert_non_null(stage->anchors);
    stage->inquiries = inquiries_new(&stage->settings, &hooks);
    assert_non_null(stage->inquiries);
}

void close_stage(struct stage *stage)
{
    inquiries_free(stage->inquiries);
    anchors_unref(stage->anchors);
}

struct credential *credential_of(struct stage *stage, const char *name)
{
    char file[64];
    snprintf(file, sizeof file, "watched_%s.leaf", name);
    struct span leaf = answers_read(file);
    struct credential *credential = credential_judge(stage->anchors, &leaf, 1, CREDENTIAL_SERVER, stage->made);
    span_free(&leaf);
    assert_int_equal(credential->verdict, CREDENTIAL_VALID);
    return credential_pool_share(credential);
}

void watch(struct stage *stage, const char *name, uint64_t tag)
{
    inquiries_watch(stage->inquiries, (unsigned)(tag % 7), tag, credential_of(stage, name), SPAN(""), stage->now);
    inquiries_advance(stage->inquiries, stage->now);
}

void unwatch(struct stage *stage, uint64_t tag)
{
    inquiries_unwatch(stage->inquiries, (unsigned)(tag % 7), tag);
}

void answer(struct stage *stage, const char *url, const char *name)
{
    assert_true(stage->fetch_count > 0);
    assert_string_equal(stage->fetches[0].url, url);
    uint64_t number = stage->fetches[0].number;
    stage->fetch_count--;
    memmove(stage->fetches, stage->fetches + 1, stage->fetch_count * sizeof stage->fetches[0]);
    struct span body = name ? answers_read(name) : SPAN_NONE;
    inquiries_fetched(stage->inquiries, number, body, stage->now);
    inquiries_advance(stage->inquiries, stage->now);
    span_free(&body);
}

void expect(struct stage *stage, uint64_t tag, enum standing standing)
{
    assert_true(stage->told_count > 0);
    assert_int_equal(stage->told[0].tag, tag);
    assert_int_equal(stage->told[0].standing, standing);
    stage->told_count--;
    memmove(stage->told, stage->told + 1, stage->told_count * sizeof stage->told[0]);
}

void expect_silence(const struct stage *stage)
{
    assert_int_equal(stage->told_count, 0);
    assert_int_equal(stage->fetch_count, 0);
}

int64_t pass(struct stage *stage)
{
    int64_t due = inquiries_due(stage->inquiries), before = stage->now;
    assert_true(due != INT64_MAX && due > stage->now);
    inquiries_advance(stage->inquiries, due - 1);
    assert_int_equal(stage->fetch_count, 0);
    stage->now = due;
    inquiries_advance(stage->inquiries, stage->now);
    return due - before;
}
