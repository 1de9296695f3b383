/* SPDX-License-Identifier: MIT */
#include "router/admin/survey.h"

#include "router/route/session.h"
#include "router/route/shard.h"
#include "router/stream/sasl.h"
#include "router/stream/stream.h"
#include "tls/engine.h"

static bool add(struct shard *shard, struct control_ask *ask, const struct session *session)
{
    char address[STREAM_ADDRESS_SIZE];
    const struct stream *stream = session->stream;
    struct jid jid = session_jid(session);
    struct control_session row = {
        .jid = jid_full(&jid),
        .address = stream_address(stream, address),
        .tls = stream->tls ? engine_version(stream->tls) : NULL,
        .cipher = stream->tls ? engine_cipher(stream->tls) : NULL,
        .mechanism = sasl_mechanism_name(stream->mechanism),
        .is_available = session->is_available,
        .priority = session->priority,
        .age_ms = shard_now_ms(shard) - stream->accepted_ms,
        .queued = stream->out.size,
    };
    return control_ask_session(ask, &row);
}

void survey_sessions(struct shard *shard, struct control_ask *ask)
{
    for (unsigned seen = 0; seen < CONTROL_ASK_SCAN; seen++) {
        uint32_t position = ask->position;
        const struct user *user = table_next(&shard->users, &position);
        ask->is_done = user == NULL;
        if (!user)
            return;
        /* A user whose sessions do not all fit is listed whole in the next answer; those already added come twice. */
        for (const struct session *session = user->first; session; session = session->next)
            if (!add(shard, ask, session))
                return;
        ask->position = position;
    }
}
