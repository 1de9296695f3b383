/* SPDX-License-Identifier: MIT */
#include "router/admin/survey.h"

#include "router/route/session.h"
#include "router/route/shard.h"
#include "router/stream/bearer.h"
#include "router/stream/mechanism.h"
#include "router/stream/stream.h"
#include "tls/engine.h"

static bool add(struct shard *shard, struct control_ask *ask, const struct session *session)
{
    char address[STREAM_ADDRESS_SIZE], certificate[BEARER_TEXT_SIZE];
    const struct stream *stream = session->stream;
    struct jid jid = session_jid(session);
    struct control_session row = {
        .jid = jid_full(&jid),
        .address = stream_address(stream, address),
        .tls = stream->tls ? engine_version(stream->tls) : NULL,
        .cipher = stream->tls ? engine_cipher(stream->tls) : NULL,
        .mechanism = mechanism_name(stream->mechanism),
        .certificate = bearer_credential(stream) ? bearer_text(stream, certificate) : NULL,
        .is_available = session->is_available,
        .priority = session->priority,
        .age_ms = shard_now_ms(shard) - stream->accepted_ms,
        .queued = stream->out.size,
    };
    return control_ask_session(ask, &row);
}

/* A position is the user's place in the table, and below it how many of its sessions an earlier answer had. */
static uint64_t position_of(uint32_t place, uint32_t listed)
{
    return (uint64_t)place << 32 | listed;
}

/* False: the answer is full, and *listed of the user's sessions are in it or in earlier ones. */
static bool add_user(struct shard *shard, struct control_ask *ask, const struct user *user, uint32_t *listed)
{
    uint32_t index = 0;
    for (const struct session *session = user->first; session; session = session->next, index++) {
        if (index < *listed)
            continue;
        if (!add(shard, ask, session))
            return false;
        *listed = index + 1;
    }
    return true;
}

void survey_sessions(struct shard *shard, struct control_ask *ask)
{
    for (unsigned seen = 0; seen < CONTROL_ASK_SCAN; seen++) {
        uint32_t place = (uint32_t)(ask->position >> 32), listed = (uint32_t)ask->position;
        uint32_t next = place;
        const struct user *user = table_next(&shard->users, &next);
        ask->is_done = user == NULL;
        if (!user)
            return;
        if (!add_user(shard, ask, user, &listed)) {
            ask->position = position_of(place, listed);
            return;
        }
        ask->position = position_of(next, 0);
    }
}

bool survey_answer(struct shard *shard, struct control_ask *ask)
{
    switch (ask->kind) {
    case ASK_SESSIONS:
        survey_sessions(shard, ask);
        break;
    case ASK_S2S:
        survey_s2s(shard, ask);
        break;
    case ASK_S2S_CLOSE:
        survey_s2s_close(shard, ask);
        break;
    case ASK_S2S_TEST:
        return survey_s2s_test(shard, ask);
    }
    return true;
}
