/* SPDX-License-Identifier: MIT */
#include "router/route/reply.h"

static const struct {
    const char *condition;
    const char *type;
} errors[] = {
#define STANZA_ERROR(symbol, condition, type) {condition, type},
#include "router/route/stanza_errors.def"
#undef STANZA_ERROR
};

const char *reply_error_name(enum stanza_error error)
{
    return errors[error].condition;
}

static struct xml_writer frame(struct chain *chain, struct chunk_pool *pool, const char *name, const char *type,
                               struct span from, struct span to, struct span id)
{
    struct xml_writer w = xml_writer_on(chain, pool);
    xml_open(&w, name);
    xml_write_attribute(&w, "type", span_str(type));
    /* An answer to an iq has an id, empty if the request had none (RFC 6120 s8.3.1). */
    if (id.size || strcmp(name, "iq") == 0)
        xml_write_attribute(&w, "id", id);
    if (from.ptr)
        xml_write_attribute(&w, "from", from);
    if (to.ptr)
        xml_write_attribute(&w, "to", to);
    return w;
}

void reply_error(struct chain *chain, struct chunk_pool *pool, enum stanza_kind kind, struct span from, struct span to,
                 struct span id, enum stanza_error error, const char *text)
{
    struct xml_writer w = frame(chain, pool, stanza_kind_name(kind), "error", from, to, id);
    xml_open(&w, "error");
    xml_write_attribute(&w, "type", span_str(errors[error].type));
    xml_empty(&w, errors[error].condition, "urn:ietf:params:xml:ns:xmpp-stanzas");
    if (text)
        xml_text_in_english(&w, "urn:ietf:params:xml:ns:xmpp-stanzas", text);
    xml_close(&w);
    xml_close(&w);
}

struct xml_writer reply_result(struct chain *chain, struct chunk_pool *pool, struct span from, struct span to,
                               struct span id)
{
    return frame(chain, pool, "iq", "result", from, to, id);
}
