/* SPDX-License-Identifier: MIT */
#include "router/xep/features.h"

#include "router/version.h"

/* XEP-0092 s2: name and version; the operating system is nobody's business (s4). */
static enum stanza_error answer(const struct iq_request *request)
{
    struct xml_writer w = iq_answer(request);
    xml_open(&w, "query");
    xml_namespace(&w, "jabber:iq:version");
    xml_open(&w, "name");
    xml_write_text(&w, SPAN("Sluice"));
    xml_close(&w);
    xml_open(&w, "version");
    xml_write_text(&w, SPAN(SLUICE_VERSION));
    xml_close(&w);
    xml_close(&w);
    xml_close(&w);
    return NO_STANZA_ERROR;
}

const struct feature feature_version = {
    .spec = "XEP-0092 1.1",
    .disco = (const char *const[]){"jabber:iq:version", NULL},
    .iq = (const struct iq_route[]){{TYPE_GET, NS_VERSION, "query", TO_SERVER, answer}, {.name = NULL}},
};
