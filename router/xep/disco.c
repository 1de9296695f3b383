/* SPDX-License-Identifier: MIT */
#include "router/xep/features.h"

#include "router/route/session.h"
#include "router/stream/mechanism.h"
#include "router/stream/stream.h"

static void write_feature(struct xml_writer *w, const char *var)
{
    xml_open(w, "feature");
    xml_write_attribute(w, "var", span_str(var));
    xml_close(w);
}

/* What an extension announces it announces of whom it answers for. */
static bool has_route(const struct feature *feature, enum iq_target target)
{
    for (const struct iq_route *route = feature->iq; route && route->name; route++)
        if (route->targets & target)
            return true;
    return false;
}

static void write_features(struct xml_writer *w, enum iq_target target)
{
    for (const struct feature *const *feature = feature_registry; *feature; feature++)
        for (const char *const *var = (*feature)->disco; var && *var && has_route(*feature, target); var++)
            write_feature(w, *var);
}

static struct xml_writer query(const struct iq_request *request, const char *ns)
{
    struct xml_writer w = iq_answer(request);
    xml_open(&w, "query");
    xml_namespace(&w, ns);
    return w;
}

/* Of the account's sessions all came by ANONYMOUS, or none: nobody else gets an address that was made up. */
static bool is_anonymous(const struct iq_request *request)
{
    const struct user *user = session_user(request->shard, jid_bare(&request->asker));
    return user && mechanism_is_anonymous(user->first->stream->mechanism);
}

/* XEP-0030 s3.1; XEP-0175 s5. */
static void write_identity(struct xml_writer *w, const struct iq_request *request)
{
    xml_open(w, "identity");
    if (request->to_account) {
        xml_write_attribute(w, "category", SPAN("account"));
        xml_write_attribute(w, "type", is_anonymous(request) ? SPAN("anonymous") : SPAN("registered"));
    } else {
        xml_write_attribute(w, "category", SPAN("server"));
        xml_write_attribute(w, "type", SPAN("im"));
        xml_write_attribute(w, "name", SPAN("Sluice"));
    }
    xml_close(w);
}

/* XEP-0030 s3.1, s4: no nodes here, so a request for one finds nothing (s7). */
static enum stanza_error info(const struct iq_request *request)
{
    if (xml_attribute(request->stanza, iq_payload(request), NS_NONE, "node"))
        return ERROR_ITEM_NOT_FOUND;
    struct xml_writer w = query(request, "http://jabber.org/protocol/disco#info");
    write_identity(&w, request);
    write_features(&w, request->to_account ? TO_ACCOUNT : TO_SERVER);
    xml_close(&w);
    xml_close(&w);
    return NO_STANZA_ERROR;
}

/* s4.1: there are no items. */
static enum stanza_error items(const struct iq_request *request)
{
    if (xml_attribute(request->stanza, iq_payload(request), NS_NONE, "node"))
        return ERROR_ITEM_NOT_FOUND;
    struct xml_writer w = query(request, "http://jabber.org/protocol/disco#items");
    xml_close(&w);
    xml_close(&w);
    return NO_STANZA_ERROR;
}

const struct feature feature_disco = {
    .spec = "XEP-0030 2.5.0",
    .disco =
        (const char *const[]){"http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/disco#items", NULL},
    .iq = (const struct iq_route[]){{TYPE_GET, NS_DISCO_INFO, "query", TO_SERVER | TO_ACCOUNT, info},
                                    {TYPE_GET, NS_DISCO_ITEMS, "query", TO_SERVER | TO_ACCOUNT, items},
                                    {.name = NULL}},
};
