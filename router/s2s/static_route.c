/* SPDX-License-Identifier: MIT */
#include "router/s2s/static_route.h"

#include "router/s2s/resolver.h"

#include <stdlib.h>

static bool domain_read(struct span text, char out[JID_PART_MAX + 1], struct err *err)
{
    size_t size = 0;
    enum jid_status status = jid_prepare_domain(text, out, &size);
    if (status != JID_OK) {
        err_set(err, "\"%.*s\" is not a domain: %s", SPAN_ARG(text), jid_status_text(status));
        return false;
    }
    out[size] = '\0';
    return true;
}

/* "host", "[::1]" or "192.0.2.1". */
static bool host_read(struct span text, char out[DNS_NAME_MAX + 1], struct err *err)
{
    char prepared[JID_PART_MAX + 1];
    union address address;
    if (!domain_read(text, prepared, err))
        return false;
    size_t size = strlen(prepared);
    if (prepared[0] == '[' && size <= DNS_NAME_MAX) {
        memcpy(out, prepared + 1, size - 2);
        out[size - 2] = '\0';
        if (address_parse(out, &address))
            return true;
    } else if (jid_domain_to_ascii(span_of(prepared, size), out) && dns_name_is_valid(span_str(out))) {
        return true;
    }
    err_set(err, "\"%.*s\" is neither a host name nor an address", SPAN_ARG(text));
    return false;
}

static bool port_read(const char *text, uint16_t *out, struct err *err)
{
    char *end = NULL;
    unsigned long port = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || port == 0 || port > 65535) {
        err_set(err, "\"%s\" is not a port", text);
        return false;
    }
    *out = (uint16_t)port;
    return true;
}

bool static_route_parse(const char *text, struct static_route *out, struct err *err)
{
    char target[512];
    *out = (struct static_route){.port = RESOLVER_PORT};
    const char *equals = strchr(text, '=');
    if (equals == NULL || strlen(equals + 1) >= sizeof target) {
        err_set(err, "\"%.200s\" is not a route like example.net=10.0.0.5:5269", text);
        return false;
    }
    if (!domain_read(span_of(text, (size_t)(equals - text)), out->domain, err))
        return false;
    memcpy(target, equals + 1, strlen(equals + 1) + 1);
    size_t size = strlen(target);
    if (size > 4 && strcmp(target + size - 4, "/tls") == 0) {
        out->is_direct_tls = true;
        target[size - 4] = '\0';
    }
    char *colon = strrchr(target, ':');
    if (colon != NULL && strchr(colon, ']') == NULL) {
        if (!port_read(colon + 1, &out->port, err))
            return false;
        *colon = '\0';
    }
    return host_read(span_str(target), out->host, err);
}
