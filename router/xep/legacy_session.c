/* SPDX-License-Identifier: MIT */
#include "router/xep/features.h"

/* RFC 3921 s3: clients of that time ask for a session behind binding; it exists already. */
static enum stanza_error answer(const struct iq_request *request)
{
    struct xml_writer w = iq_answer(request);
    xml_close(&w);
    return NO_STANZA_ERROR;
}

const struct feature feature_session = {
    .spec = "RFC 3921 s3",
    .iq = (const struct iq_route[]){{TYPE_SET, NS_SESSION, "session", TO_SERVER | TO_ACCOUNT, answer}, {.name = NULL}},
};
