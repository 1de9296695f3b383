/* SPDX-License-Identifier: MIT */
#include "tests/unit/router/resolver_rig.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>

static void put(char out[RIG_TEXT_MAX], const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(char out[RIG_TEXT_MAX], const char *format, ...)
{
    size_t size = strlen(out);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(out + size, RIG_TEXT_MAX - size, format, arguments);
    va_end(arguments);
}

static void put_candidate(char out[RIG_TEXT_MAX], const struct resolver_candidate *one)
{
    put(out, "%s:%u %s [", one->host, one->port, one->is_direct_tls ? "tls" : "starttls");
    for (unsigned i = 0; i < one->address_count; i++) {
        const union address *address = &one->addresses[i];
        char text[INET6_ADDRSTRLEN] = "?";
        bool is_v4 = address->head.sa_family == AF_INET;
        (void)inet_ntop(address->head.sa_family,
                        is_v4 ? (const void *)&address->v4.sin_addr : (const void *)&address->v6.sin6_addr, text,
                        sizeof text);
        put(out, "%s%s", i > 0 ? " " : "", text);
        if (address_port(address) != one->port)
            put(out, "!port");
    }
    put(out, "]");
    if (one->is_srv_secure && !one->is_secure)
        put(out, " srv-secure");
    if (one->is_secure)
        put(out, " secure");
    for (unsigned i = 0; i < one->tlsa_count; i++)
        put(out, " tlsa %u %u %u (%zu)", one->tlsa[i].usage, one->tlsa[i].selector, one->tlsa[i].matching,
            one->tlsa[i].data.size);
}

void rig_describe(const struct resolver_answer *answer, char out[RIG_TEXT_MAX])
{
    static const char *const sources[] = {"route", "literal", "srv", "fallback"};
    out[0] = '\0';
    if (answer->status != RESOLVER_FOUND) {
        put(out, "%s, ttl %u", resolver_status_name(answer->status), answer->ttl_s);
        return;
    }
    put(out, "found by %s, ttl %u%s: ", sources[answer->source], answer->ttl_s, answer->is_partial ? ", partial" : "");
    for (unsigned i = 0; i < answer->count; i++) {
        put(out, "%s", i > 0 ? " | " : "");
        put_candidate(out, &answer->candidates[i]);
    }
}
