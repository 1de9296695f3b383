/* SPDX-License-Identifier: MIT */
#include "router/xep/features.h"

/* XEP-0199 s4.2: an empty result. */
static enum stanza_error answer(const struct iq_request *request)
{
    struct xml_writer w = iq_answer(request);
    xml_close(&w);
    return NO_STANZA_ERROR;
}

const struct feature feature_ping = {
    .spec = "XEP-0199 2.0.1",
    .disco = (const char *const[]){"urn:xmpp:ping", NULL},
    .iq = (const struct iq_route[]){{TYPE_GET, NS_PING, "ping", TO_SERVER | TO_ACCOUNT, answer}, {.name = NULL}},
};
