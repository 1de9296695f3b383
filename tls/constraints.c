/* SPDX-License-Identifier: MIT */
#include "tls/constraints_priv.h"

#include "tls/der_priv.h"
#include "tls/general_name_priv.h"
#include "tls/identity.h"

#include <stdlib.h>
#include <strings.h>

/* The conversion of an XmppAddr into A-labels costs as much as so many comparisons. */
#define XMPP_STEPS 64u

/* How a name stands to the base of a subtree. */
enum relation {
    RELATION_NONE, /* another kind of name: the base says nothing about it */
    RELATION_OUTSIDE,
    RELATION_INSIDE,
    RELATION_UNKNOWN, /* of a kind that is not compared here: neither permitted nor surely not excluded */
};

struct subject_name {
    struct general_name name;
    struct span domain;  /* of a DNS-ID, an SRV-ID, an XmppAddr; else none */
    struct span service; /* of an SRV-ID */
};

/* ---- names by kind --------------------------------------------------------------------------------------------- */

/* RFC 5280 s4.2.1.10: any name made by adding labels to the left, and the base itself; the empty base holds them all.
 * With a leading dot, which is not foreseen there but seen in the wild, at least one label must be added. */
static bool is_below(struct span domain, struct span base)
{
    if (base.size == 0)
        return true;
    if (domain.size < base.size || strncasecmp(domain.ptr + domain.size - base.size, base.ptr, base.size) != 0)
        return false;
    return base.ptr[0] == '.' ? domain.size > base.size
                              : domain.size == base.size || domain.ptr[domain.size - base.size - 1] == '.';
}

/* Could "*.x" stand for the base: is that x with one label before it? */
static bool covers_base(struct span domain, struct span base)
{
    if (domain.size < 3 || memcmp(domain.ptr, "*.", 2) != 0 || base.size == 0)
        return false;
    if (base.ptr[0] == '.') /* the names below it: one of them may be deeper than the wildcard goes, but not all */
        base = span_skip(base, 1);
    const char *dot = memchr(base.ptr, '.', base.size);
    if (dot == NULL)
        return false;
    struct span rest = span_skip(base, (size_t)(dot - base.ptr) + 1);
    struct span behind = span_skip(domain, 2);
    return rest.size == behind.size && strncasecmp(rest.ptr, behind.ptr, rest.size) == 0;
}

static enum relation relate_domain(struct span domain, struct span base, bool is_exclusion)
{
    if (is_below(domain, base) || (is_exclusion && covers_base(domain, base)))
        return RELATION_INSIDE;
    return RELATION_OUTSIDE;
}

/* "_service.name", "_service" or "name" (RFC 4985 s4). */
static enum relation relate_service(const struct subject_name *subject, struct span base, bool is_exclusion)
{
    if (base.size > 0 && base.ptr[0] == '_') {
        const char *dot = memchr(base.ptr, '.', base.size);
        struct span service = span_of(base.ptr + 1, (dot == NULL ? base.size : (size_t)(dot - base.ptr)) - 1);
        if (service.size != subject->service.size || strncasecmp(service.ptr, subject->service.ptr, service.size) != 0)
            return RELATION_OUTSIDE;
        if (dot == NULL)
            return RELATION_INSIDE;
        base = span_skip(base, service.size + 2);
    }
    return relate_domain(subject->domain, base, is_exclusion);
}

/* Address and mask (RFC 5280 s4.2.1.10). */
static enum relation relate_address(struct span address, struct span base)
{
    if ((address.size != 4 && address.size != 16) || base.size != 2 * address.size)
        return RELATION_OUTSIDE;
    for (size_t i = 0; i < address.size; i++) {
        if (((address.ptr[i] ^ base.ptr[i]) & base.ptr[address.size + i]) != 0)
            return RELATION_OUTSIDE;
    }
    return RELATION_INSIDE;
}

/* A Name is a list of whole elements, so that a prefix in octets is one in relative names. */
static enum relation relate_directory(struct span name, struct span base)
{
    bool is_prefix = name.size >= base.size && memcmp(name.ptr, base.ptr, base.size) == 0;
    return is_prefix ? RELATION_INSIDE : RELATION_OUTSIDE;
}

/* A mailbox, a host, or with a leading dot all hosts below it (RFC 5280 s4.2.1.10). Only the host has no case. */
static enum relation relate_mail(struct span mail, struct span base)
{
    const char *at = memrchr(mail.ptr, '@', mail.size);
    if (at == NULL || base.size == 0)
        return RELATION_UNKNOWN;
    struct span host = span_skip(mail, (size_t)(at - mail.ptr) + 1);
    const char *base_at = memrchr(base.ptr, '@', base.size);
    if (base_at != NULL) {
        size_t local_size = (size_t)(base_at - base.ptr) + 1;
        if (local_size != mail.size - host.size || memcmp(base.ptr, mail.ptr, local_size) != 0)
            return RELATION_OUTSIDE;
        base = span_skip(base, local_size);
    }
    size_t skipped = base.size > 0 && base.ptr[0] == '.' && host.size > base.size ? host.size - base.size : 0;
    bool is_same = host.size - skipped == base.size && strncasecmp(host.ptr + skipped, base.ptr, base.size) == 0;
    return is_same ? RELATION_INSIDE : RELATION_OUTSIDE;
}

static enum relation relate(const struct subject_name *subject, const struct general_name *base, bool is_exclusion)
{
    if (base->kind == NAME_DNS && subject->domain.ptr != NULL)
        return relate_domain(subject->domain, base->value, is_exclusion);
    if (base->kind == NAME_SRV && subject->name.kind == NAME_SRV)
        return relate_service(subject, base->value, is_exclusion);
    if (base->kind != subject->name.kind || base->tag != subject->name.tag)
        return RELATION_NONE;
    switch (base->kind) {
    case NAME_DIRECTORY:
        return relate_directory(subject->name.value, base->value);
    case NAME_IP:
        return relate_address(subject->name.value, base->value);
    case NAME_MAIL:
        return relate_mail(subject->name.value, base->value);
    case NAME_OTHER:
        if (base->tag == DER_CONTEXT_LIST(0) && !span_equal(base->value, subject->name.value))
            return RELATION_NONE;
        return RELATION_UNKNOWN;
    case NAME_XMPP:
    case NAME_DNS:
    case NAME_SRV:
        break;
    }
    return RELATION_UNKNOWN;
}

/* ---- subtrees ---------------------------------------------------------------------------------------------------- */

/* GeneralSubtree: SEQUENCE { base, minimum [0] DEFAULT 0, maximum [1] OPTIONAL }; the last two MUST be left out. */
static bool take_base(struct span *subtrees, struct general_name *base)
{
    struct span content;
    return der_take_tag(subtrees, DER_SEQUENCE, &content) && general_name_take(&content, base) && content.size == 0;
}

static bool is_permitted(const struct subject_name *subject, struct span subtrees, unsigned *steps)
{
    /* Each kind of base that speaks of the name must have one that holds it: dNSName and SRVName apart. */
    bool is_asked[2] = {false, false};
    bool is_held[2] = {false, false};
    while (subtrees.size > 0) {
        struct general_name base;
        if (++*steps > CONSTRAINTS_STEPS_MAX || !take_base(&subtrees, &base))
            return false;
        enum relation relation = relate(subject, &base, false);
        unsigned kind = base.kind == NAME_DNS;
        is_asked[kind] |= relation != RELATION_NONE;
        is_held[kind] |= relation == RELATION_INSIDE;
    }
    return is_asked[0] == is_held[0] && is_asked[1] == is_held[1];
}

static bool is_excluded(const struct subject_name *subject, struct span subtrees, unsigned *steps)
{
    while (subtrees.size > 0) {
        struct general_name base;
        if (++*steps > CONSTRAINTS_STEPS_MAX || !take_base(&subtrees, &base))
            return true;
        enum relation relation = relate(subject, &base, true);
        if (relation == RELATION_INSIDE || relation == RELATION_UNKNOWN)
            return true;
    }
    return false;
}

struct subtrees {
    struct span permitted; /* content of GeneralSubtrees */
    struct span excluded;
};

/* NameConstraints: SEQUENCE { permittedSubtrees [0] OPTIONAL, excludedSubtrees [1] OPTIONAL }. */
static bool read_subtrees(struct span constraints, struct subtrees *out)
{
    *out = (struct subtrees){SPAN_NONE, SPAN_NONE};
    if (der_peek(constraints) == DER_CONTEXT_LIST(0) &&
        !der_take_tag(&constraints, DER_CONTEXT_LIST(0), &out->permitted))
        return false;
    if (der_peek(constraints) == DER_CONTEXT_LIST(1) &&
        !der_take_tag(&constraints, DER_CONTEXT_LIST(1), &out->excluded))
        return false;
    return constraints.size == 0;
}

static bool is_allowed(const struct subject_name *subject, const struct subtrees *subtrees, unsigned *steps)
{
    return is_permitted(subject, subtrees->permitted, steps) && !is_excluded(subject, subtrees->excluded, steps);
}

/* An XmppAddr is held to the constraints as the domain that it will be taken for. One that is none is never taken for
 * anything, and passes. */
static bool is_xmpp_allowed(struct subject_name *subject, const struct subtrees *subtrees, unsigned *steps)
{
    const char *at = memchr(subject->name.value.ptr, '@', subject->name.value.size);
    size_t skipped = at == NULL ? 0 : (size_t)(at - subject->name.value.ptr) + 1;
    *steps += XMPP_STEPS;
    char *a_label = identity_a_label(span_skip(subject->name.value, skipped));
    if (a_label == NULL)
        return true;
    subject->domain = span_str(a_label);
    bool is_good = is_allowed(subject, subtrees, steps);
    free(a_label);
    return is_good;
}

static bool is_name_allowed(const struct general_name *name, const struct subtrees *subtrees, unsigned *steps)
{
    struct subject_name subject = {*name, SPAN_NONE, SPAN_NONE};
    if (name->kind == NAME_XMPP && name->value.size > 0)
        return is_xmpp_allowed(&subject, subtrees, steps);
    if (name->kind == NAME_DNS)
        subject.domain = name->value;
    if (name->kind == NAME_SRV && name->value.size > 0 && name->value.ptr[0] == '_') {
        const char *dot = memchr(name->value.ptr, '.', name->value.size);
        size_t size = dot == NULL ? name->value.size : (size_t)(dot - name->value.ptr);
        subject.service = span_of(name->value.ptr + 1, size - 1);
        subject.domain = span_skip(name->value, dot == NULL ? size : size + 1);
    }
    return is_allowed(&subject, subtrees, steps);
}

bool constraints_allow(const struct certificate *authority, const struct certificate *certificate, unsigned *steps)
{
    struct subtrees subtrees;
    struct span names = certificate->names;
    if (authority->constraints.size == 0)
        return true;
    if (!read_subtrees(authority->constraints, &subtrees))
        return false;
    /* The subject is a directory name too (RFC 5280 s6.1.3 (b)). */
    const struct general_name subject = {NAME_DIRECTORY, DER_CONTEXT_LIST(4), certificate->subject};
    if (subject.value.size > 0 && !is_name_allowed(&subject, &subtrees, steps))
        return false;
    while (names.size > 0) {
        struct general_name name;
        if (!general_name_take(&names, &name) || !is_name_allowed(&name, &subtrees, steps))
            return false;
    }
    return true;
}
