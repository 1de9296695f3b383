/* SPDX-License-Identifier: MIT */
#include "tests/unit/router/script_bed.h"

#include "tests/unit/core/suite.h"

struct resolver_settings script_bed_settings(void)
{
    struct resolver_settings settings = resolver_settings_default;
    settings.dice_seed = 7;
    settings.policy.allow_private = true; /* the addresses for documentation */
    return settings;
}

void script_bed_open(struct script_bed *bed, const struct resolver_settings *settings, const char *script)
{
    struct err err = {""};
    memset(bed, 0, sizeof *bed);
    bed->now_ms = 1000;
    bed->resolver = resolver_open(settings, 2, &err);
    assert_non_null(bed->resolver);
    bed->client = resolver_client(bed->resolver, 0, NULL, NULL);
    if (!resolver_script_add(bed->resolver, script, &err))
        fail_msg("%s", err.text);
}

void script_bed_close(struct script_bed *bed)
{
    resolver_close(bed->resolver);
}

static void keep(void *context, const struct resolver_answer *answer)
{
    struct script_bed *bed = context;
    bed->answers++;
    bed->tag = answer->tag;
    bed->is_cached = answer->is_cached;
    rig_describe(answer, bed->text);
}

uint64_t script_bed_ask(struct script_bed *bed, const char *domain)
{
    static uint64_t tag;
    uint64_t begin = bed->now_ms;
    unsigned before = bed->answers;
    assert_true(resolver_post(bed->client, ++tag, span_str(domain)));
    resolver_flush(bed->client, bed->now_ms);
    while (bed->answers == before) {
        uint64_t due = resolver_deadline_ms(bed->client);
        assert_true(due != UINT64_MAX);
        if (due > bed->now_ms)
            bed->now_ms = due;
        (void)resolver_poll(bed->client, bed->now_ms, keep, bed);
    }
    assert_int_equal(bed->answers, before + 1);
    assert_int_equal(bed->tag, tag);
    assert_int_equal(resolver_pending(bed->client), 0);
    return bed->now_ms - begin;
}

void script_bed_hold(const struct resolver_settings *settings, const char *script, const char *domain,
                     const char *expected)
{
    struct script_bed bed;
    struct resolver_settings plain = script_bed_settings();
    script_bed_open(&bed, settings != NULL ? settings : &plain, script);
    (void)script_bed_ask(&bed, domain);
    if (strcmp(bed.text, expected) != 0)
        fail_msg("%s:\n  %s\nexpected\n  %s", domain, bed.text, expected);
    script_bed_close(&bed);
}
