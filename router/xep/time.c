/* SPDX-License-Identifier: MIT */
#include "router/xep/features.h"

#include "core/base/clock.h"
#include "router/route/shard.h"
#include "router/stream/stream.h"

/* XEP-0202 s2: <tzo/> and <utc/> (XEP-0082 s3.2). The server tells UTC only. */
static enum stanza_error answer(const struct iq_request *request)
{
    char text[CLOCK_TEXT_SIZE];
    (void)clock_text((int64_t)(io_wall_ms(request->shard->io) / 1000), text);
    struct xml_writer w = iq_answer(request);
    xml_open(&w, "time");
    xml_namespace(&w, "urn:xmpp:time");
    xml_open(&w, "tzo");
    xml_write_text(&w, SPAN("+00:00"));
    xml_close(&w);
    xml_open(&w, "utc");
    xml_write_text(&w, span_str(text));
    xml_close(&w);
    xml_close(&w);
    xml_close(&w);
    return NO_STANZA_ERROR;
}

const struct feature feature_time = {
    .spec = "XEP-0202 2.0",
    .disco = (const char *const[]){"urn:xmpp:time", NULL},
    .iq = (const struct iq_route[]){{TYPE_GET, NS_TIME, "time", TO_SERVER, answer}, {.name = NULL}},
};
