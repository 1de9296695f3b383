/* SPDX-License-Identifier: MIT */
/* On the shard: streams with other servers, and pairs of domains that have none, as rows of an answer. */
#include "router/admin/survey.h"

#include "router/certs/precedents.h"
#include "router/route/shard.h"
#include "router/s2s/access.h"
#include "router/s2s/contact.h"
#include "router/s2s/remote.h"
#include "router/s2s/s2s.h"
#include "router/s2s/trial.h"
#include "router/stream/stream.h"
#include "tls/engine.h"

#include <stdlib.h>

/* A position counts down the serials of streams, newest first (0: none was listed yet); then, with this bit, it is the
 * remote's place in the table, and below it how many of its pairs an earlier answer had. */
#define POSITION_PAIRS (UINT64_C(1) << 63)

/* Whose stream it is: proven, or as far as it is known. */
static void name_domains(const struct s2s *s2s, struct control_s2s *row)
{
    const struct nego *nego = s2s->stream.nego;
    const struct s2s_name *first = s2s->names;
    row->theirs = row->ours = SPAN("");
    if (first) {
        row->theirs = span_of(first->bytes, first->theirs_size);
        row->ours = span_of(first->bytes + first->theirs_size, first->ours_size);
        row->proof = trust_proof_name((enum proof)first->proof);
        return;
    }
    if (nego && nego->domain.ptr)
        row->ours = nego->domain;
    if (s2s->is_out)
        row->theirs = s2s->remote;
    else if (nego && nego->from)
        row->theirs = span_str(nego->from);
    row->proof = s2s->is_ready ? trust_proof_name((enum proof)s2s->proof) : NULL;
}

static bool add_stream(struct shard *shard, struct control_ask *ask, const struct s2s *s2s)
{
    char address[STREAM_ADDRESS_SIZE];
    const struct stream *stream = &s2s->stream;
    bool is_secure = stream->tls && engine_is_ready(stream->tls);
    const struct credential *credential = is_secure ? engine_credential(stream->tls) : NULL;
    bool is_judged = credential && credential->verdict != CREDENTIAL_NONE;
    struct control_s2s row = {
        .state = s2s->is_ready ? S2S_READY : S2S_NEGOTIATING,
        .is_stream = true,
        .is_out = s2s->is_out,
        .is_bidi = s2s->is_bidi,
        .address = stream_address(stream, address),
        .tls = is_secure ? engine_version(stream->tls) : NULL,
        .cipher = is_secure ? engine_cipher(stream->tls) : NULL,
        .certificate = is_judged ? credential_text(credential->verdict) : NULL,
        .expires = is_judged && credential->verdict == CREDENTIAL_VALID ? credential->not_after : 0,
        .changed = precedents_text(s2s->changed),
        .pairs = s2s->name_count,
        .stanzas_in = s2s->heard.stanzas,
        .bytes_in = s2s->heard.bytes,
        .stanzas_out = s2s->said.stanzas,
        .bytes_out = s2s->said.bytes,
        .queued = stream->out.size,
        .age_ms = (int64_t)(shard_now_ms(shard) - stream->accepted_ms),
        .left_ms = -1,
    };
    name_domains(s2s, &row);
    if (stream->is_watched && stream->shard->inspector) {
        enum revocation_status answer;
        enum standing standing = watch_standing(stream, &answer);
        row.standing = standing_text(standing);
        row.answer = standing == STANDING_UNANSWERED ? revocation_text(answer) : NULL;
    }
    if (s2s->is_out && s2s->is_ready && !s2s->names)
        row.pairs = 1;
    return control_ask_s2s(ask, &row);
}

/* True: all were listed. */
static bool list_streams(struct shard *shard, struct control_ask *ask)
{
    unsigned seen = 0;
    for (const struct s2s *s2s = shard->servers; s2s; s2s = s2s->next) {
        if (ask->position && s2s->serial >= ask->position)
            continue;
        if (seen++ == CONTROL_ASK_SCAN)
            return false;
        if (s2s->stream.state != STREAM_CLOSING && !add_stream(shard, ask, s2s))
            return false;
        ask->position = s2s->serial;
    }
    return true;
}

static bool add_pair(struct shard *shard, struct control_ask *ask, const struct pair *pair)
{
    bool is_resting = pair->state == PAIR_RESTING;
    if (!is_resting && pair->state != PAIR_CONNECTING)
        return true;
    uint64_t now_ms = shard_now_ms(shard);
    struct control_s2s row = {
        .theirs = pair_remote(pair),
        .ours = pair_local(pair),
        .state = is_resting ? S2S_RESTING : S2S_CONNECTING,
        .queued = pair->queue.size,
        .age_ms = -1,
        .error = is_resting ? reply_error_name(pair->error) : NULL,
        .failures = pair->failures,
        .left_ms = pair->timer.due_ms > now_ms ? (int64_t)(pair->timer.due_ms - now_ms) : 0,
    };
    return control_ask_s2s(ask, &row);
}

/* False: the answer is full, and *listed pairs are in it or in earlier ones. */
static bool add_remote(struct shard *shard, struct control_ask *ask, const struct remote *remote, uint32_t *listed)
{
    uint32_t index = 0;
    for (const struct pair *pair = remote->first; pair; pair = pair->next, index++) {
        if (index < *listed)
            continue;
        if (!add_pair(shard, ask, pair))
            return false;
        *listed = index + 1;
    }
    return true;
}

static void list_pairs(struct shard *shard, struct control_ask *ask)
{
    for (unsigned seen = 0; seen < CONTROL_ASK_SCAN; seen++) {
        uint64_t position = ask->position & ~POSITION_PAIRS;
        uint32_t place = (uint32_t)(position >> 32), listed = (uint32_t)position, next = place;
        const struct remote *remote = table_next(&shard->remotes, &next);
        ask->is_done = remote == NULL;
        if (!remote)
            return;
        if (!add_remote(shard, ask, remote, &listed)) {
            ask->position = POSITION_PAIRS | (uint64_t)place << 32 | listed;
            return;
        }
        ask->position = POSITION_PAIRS | (uint64_t)next << 32;
    }
}

void survey_s2s(struct shard *shard, struct control_ask *ask)
{
    if (!(ask->position & POSITION_PAIRS)) {
        if (!list_streams(shard, ask))
            return;
        ask->position = POSITION_PAIRS;
    }
    list_pairs(shard, ask);
}

static bool is_with(const struct s2s *s2s, struct span domain)
{
    const struct nego *nego = s2s->stream.nego;
    return s2s->is_out ? span_equal(s2s->remote, domain)
                       : s2s_has_name(s2s, domain) || (nego && nego->from && span_equal(span_str(nego->from), domain));
}

void survey_s2s_close(struct shard *shard, struct control_ask *ask)
{
    for (struct s2s *s2s = shard->servers, *next; s2s; s2s = next) {
        next = s2s->next;
        if (s2s->stream.state == STREAM_CLOSING || !is_with(s2s, ask->domain))
            continue;
        stream_close(&s2s->stream, STREAM_NO_ERROR, NULL);
        ask->count++;
    }
    remote_end_rest(shard, ask->domain);
    ask->is_done = true;
}

struct test {
    struct trial trial; /* first */
    struct shard *shard;
    struct control_ask *ask;
};

static void tell_step(struct trial *trial, const char *what, bool is_good, const char *text)
{
    control_ask_step(((struct test *)trial)->ask, what, is_good, text);
}

static void test_over(struct trial *trial, bool is_good)
{
    struct test *test = (struct test *)trial;
    struct control_ask *ask = test->ask;
    struct shard *shard = test->shard;
    ask->count = is_good;
    ask->is_done = true;
    free(test);
    shard->answered(shard, ask);
}

bool survey_s2s_test(struct shard *shard, struct control_ask *ask)
{
    ask->is_done = true;
    if (!access_permits(shard->policy->config, ask->domain)) {
        control_ask_step(ask, "access", false, "s2s.allow and s2s.deny are against it");
        return true;
    }
    struct test *test = calloc(1, sizeof *test);
    if (test)
        *test = (struct test){{ask->ours, ask->domain, tell_step, test_over}, shard, ask};
    if (test && contact_begin_trial(shard, &test->trial))
        return false;
    free(test);
    control_ask_step(ask, "begin", false, shard->resolver ? "no memory" : "s2s.enabled was off at the start");
    return true;
}
