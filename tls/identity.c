/* SPDX-License-Identifier: MIT */
#include "tls/identity.h"

#include "tls/certificate_priv.h"
#include "tls/general_name_priv.h"

#include <arpa/inet.h>
#include <idn2.h>
#include <stdlib.h>
#include <strings.h>

#define LABEL_MAX 63u

/* ---- the forms of names ------------------------------------------------------------------------------------------ */

static bool is_label_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* Labels of 1 to 63 with single dots between them; their count, 0: no domain name. The underscore is no letter of host
 * names, but names of services have it, and two equal names are equal with it too. */
static unsigned count_labels(struct span name)
{
    unsigned count = 1;
    size_t size = 0;
    if (name.size > IDENTITY_NAME_MAX)
        return 0;
    for (size_t i = 0; i < name.size; i++) {
        if (name.ptr[i] == '.') {
            if (size == 0)
                return 0;
            size = 0;
            count++;
        } else if (!is_label_byte(name.ptr[i]) || ++size > LABEL_MAX) {
            return 0;
        }
    }
    return size == 0 ? 0 : count;
}

static bool has_wildcard(struct span name)
{
    return name.size > 2 && memcmp(name.ptr, "*.", 2) == 0;
}

/* With a wildcard as the whole left-most label (RFC 9525 s6.3) and two labels at least behind it: one for a whole
 * top-level domain can only be a mistake or a fraud (s7.1). */
static bool is_dns_name(struct span name)
{
    return has_wildcard(name) ? count_labels(span_skip(name, 2)) >= 2 : count_labels(name) > 0;
}

/* "_service.name" (RFC 4985 s2). False: it is none. */
static bool split_service(struct span srv, struct span *service, struct span *name)
{
    const char *dot = srv.size == 0 ? NULL : memchr(srv.ptr, '.', srv.size);
    if (dot == NULL || srv.ptr[0] != '_')
        return false;
    *service = span_of(srv.ptr + 1, (size_t)(dot - srv.ptr) - 1);
    *name = span_skip(srv, service->size + 2);
    return true;
}

static bool is_srv_name(struct span srv)
{
    struct span service, name;
    return split_service(srv, &service, &name) && count_labels(service) == 1 && is_dns_name(name);
}

/* A domainpart alone; an address of a user ("@") or of a device ("/") says nothing about a server (RFC 6120
 * s13.7.1.4). Whether it is a domain shows when it is converted. */
static bool is_xmpp_domain(struct span name)
{
    return name.size > 0 && name.size <= IDENTITY_XMPP_MAX && memchr(name.ptr, '\0', name.size) == NULL &&
           memchr(name.ptr, '@', name.size) == NULL && memchr(name.ptr, '/', name.size) == NULL &&
           memchr(name.ptr, '*', name.size) == NULL;
}

static bool has_two_sides(struct span name)
{
    const char *at = name.size == 0 ? NULL : memrchr(name.ptr, '@', name.size);
    return at != NULL && at > name.ptr && at + 1 < name.ptr + name.size;
}

/* With a localpart, and no resourcepart: that would be a device, and no account. Nothing more is asked here. */
static bool is_account(struct span name)
{
    return name.size <= 2 * IDENTITY_XMPP_MAX + 1 && has_two_sides(name) && memchr(name.ptr, '\0', name.size) == NULL &&
           memchr(name.ptr, '/', name.size) == NULL;
}

/* "local@host" of RFC 5280 s4.2.1.6, visible ASCII. */
static bool is_mail(struct span name)
{
    for (size_t i = 0; i < name.size; i++) {
        if (name.ptr[i] <= ' ' || name.ptr[i] > '~')
            return false;
    }
    return name.size <= 2 * IDENTITY_XMPP_MAX + 1 && has_two_sides(name);
}

static bool is_address(const char *name)
{
    unsigned char bytes[16];
    return name[0] == '[' || inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1;
}

char *identity_a_label(struct span domain)
{
    char *copy = strndup(domain.ptr == NULL ? "" : domain.ptr, domain.size);
    char *label = NULL;
    if (copy == NULL || copy[0] == '\0' || strlen(copy) != domain.size || is_address(copy)) {
        free(copy);
        return NULL;
    }
    if (idn2_to_ascii_8z(copy, &label, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
        label = NULL;
    free(copy);
    for (char *c = label; c != NULL && *c != '\0'; c++) {
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    }
    return label;
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

/* Is this a name that can identify a server, or a person? */
static bool is_identifier(const struct general_name *name, struct identifier *out)
{
    switch (name->kind) {
    case NAME_DNS:
        *out = (struct identifier){IDENTIFIER_DNS, name->value};
        return is_dns_name(name->value);
    case NAME_SRV:
        *out = (struct identifier){IDENTIFIER_SRV, name->value};
        return is_srv_name(name->value);
    case NAME_XMPP:
        *out = (struct identifier){IDENTIFIER_XMPP, name->value};
        if (is_xmpp_domain(name->value))
            return true;
        out->kind = IDENTIFIER_ACCOUNT;
        return is_account(name->value);
    case NAME_MAIL:
        *out = (struct identifier){IDENTIFIER_MAIL, name->value};
        return is_mail(name->value);
    case NAME_DIRECTORY:
    case NAME_IP:
    case NAME_OTHER:
        break;
    }
    return false;
}

/* Counts them, and writes them when there is room given. False: the list breaks the syntax. */
static bool walk_names(struct span names, struct identifier *out, uint32_t *count)
{
    *count = 0;
    while (names.size > 0) {
        struct general_name name;
        struct identifier identifier;
        if (!general_name_take(&names, &name))
            return false;
        if (!is_identifier(&name, &identifier))
            continue;
        if (out != NULL)
            out[*count] = identifier;
        (*count)++;
    }
    return true;
}

bool identity_read(struct span der, struct identity *out)
{
    struct certificate certificate;
    uint32_t count;
    *out = (struct identity){0};
    if (!certificate_read(der, &certificate) || !walk_names(certificate.names, NULL, &count) ||
        count > IDENTITY_COUNT_MAX)
        return false;
    if (count == 0)
        return true;
    out->identifiers = calloc(count, sizeof(out->identifiers[0]));
    if (out->identifiers == NULL)
        return false;
    return walk_names(certificate.names, out->identifiers, &out->count);
}

void identity_free(struct identity *identity)
{
    free(identity->identifiers);
    *identity = (struct identity){0};
}

/* ---- matching -------------------------------------------------------------------------------------------------- */

static bool is_same_name(struct span a, struct span b)
{
    return a.size == b.size && strncasecmp(a.ptr, b.ptr, a.size) == 0;
}

/* The wildcard stands for exactly one label (RFC 9525 s6.3). */
static bool is_dns_match(struct span presented, struct span domain)
{
    if (!has_wildcard(presented))
        return is_same_name(presented, domain);
    const char *dot = memchr(domain.ptr, '.', domain.size);
    return dot != NULL && is_same_name(span_skip(presented, 1), span_skip(domain, (size_t)(dot - domain.ptr)));
}

static bool is_srv_match(struct span presented, struct span domain, const char *service)
{
    struct span found, name;
    return split_service(presented, &found, &name) && is_same_name(found, span_str(service)) &&
           is_dns_match(name, domain);
}

static bool is_xmpp_match(struct span presented, struct span domain)
{
    char *a_label = identity_a_label(presented);
    bool is_match = a_label != NULL && is_same_name(span_str(a_label), domain);
    free(a_label);
    return is_match;
}

static bool is_match(const struct identifier *identifier, struct span domain, const char *service)
{
    switch (identifier->kind) {
    case IDENTIFIER_DNS:
        return is_dns_match(identifier->name, domain);
    case IDENTIFIER_SRV:
        return is_srv_match(identifier->name, domain, service);
    case IDENTIFIER_XMPP:
        return is_xmpp_match(identifier->name, domain);
    case IDENTIFIER_ACCOUNT:
    case IDENTIFIER_MAIL:
        break;
    }
    return false;
}

/* service NULL: a host, which only DNS-IDs name. */
static bool is_anywhere(const struct identity *identity, struct span domain, const char *service)
{
    /* The root's dot, as domainparts may have one (RFC 7622 s3.2). */
    if (domain.size > 1 && domain.ptr[domain.size - 1] == '.')
        domain.size--;
    char *a_label = identity_a_label(domain);
    bool is_found = false;
    if (a_label != NULL && count_labels(span_str(a_label)) > 0) {
        for (uint32_t i = 0; i < identity->count && !is_found; i++) {
            const struct identifier *one = &identity->identifiers[i];
            is_found = (service != NULL || one->kind == IDENTIFIER_DNS) && is_match(one, span_str(a_label), service);
        }
    }
    free(a_label);
    return is_found;
}

bool identity_matches(const struct identity *identity, struct span domain, const char *service)
{
    return is_anywhere(identity, domain, service);
}

bool identity_matches_host(const struct identity *identity, struct span host)
{
    return is_anywhere(identity, host, NULL);
}

bool identity_has_person_at(const struct identity *identity, struct span domain)
{
    char *a_label = identity_a_label(domain);
    bool is_found = false;
    for (uint32_t i = 0; a_label != NULL && i < identity->count && !is_found; i++) {
        struct span name = identity->identifiers[i].name;
        enum identifier_kind kind = identity->identifiers[i].kind;
        const char *at =
            kind == IDENTIFIER_ACCOUNT || kind == IDENTIFIER_MAIL ? memchr(name.ptr, '@', name.size) : NULL;
        is_found = at != NULL && is_xmpp_match(span_skip(name, (size_t)(at - name.ptr) + 1), span_str(a_label));
    }
    free(a_label);
    return is_found;
}
