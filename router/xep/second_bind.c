/* SPDX-License-Identifier: MIT */
#include "router/xep/features.h"

/* RFC 6120 s7.1: a stream has one resource; s7.6.2.2: who may not bind another is told so. */
static enum stanza_error answer(const struct iq_request *request)
{
    (void)request;
    return ERROR_NOT_ALLOWED;
}

const struct feature feature_second_bind = {
    .spec = "RFC 6120 s7.6.2.2",
    .iq = (const struct iq_route[]){{TYPE_SET, NS_BIND, "bind", TO_SERVER | TO_ACCOUNT, answer}, {.name = NULL}},
};
