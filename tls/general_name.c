/* SPDX-License-Identifier: MIT */
#include "tls/general_name_priv.h"

#include "tls/der_priv.h"

/* OtherName: SEQUENCE { type-id, [0] EXPLICIT value }, here behind its implicit tag. */
static bool read_other(struct span content, struct general_name *out)
{
    static const struct {
        struct span oid;
        unsigned tag;
        enum name_kind kind;
    } rows[] = {
        {{"\x2b\x06\x01\x05\x05\x07\x08\x07", 8}, DER_IA5_STRING, NAME_SRV},
        {{"\x2b\x06\x01\x05\x05\x07\x08\x05", 8}, DER_UTF8_STRING, NAME_XMPP},
    };
    struct span oid, wrapped, value;
    unsigned tag;
    if (!der_take_tag(&content, DER_OID, &oid) || !der_take_tag(&content, DER_CONTEXT_LIST(0), &wrapped) ||
        content.size > 0 || !der_take(&wrapped, &tag, &value) || wrapped.size > 0)
        return false;
    out->kind = NAME_OTHER;
    out->value = oid;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (span_equal(rows[i].oid, oid) && rows[i].tag == tag) {
            out->kind = rows[i].kind;
            out->value = value;
        }
    }
    return true;
}

bool general_name_take(struct span *s, struct general_name *out)
{
    struct span content;
    if (!der_take(s, &out->tag, &content))
        return false;
    out->kind = NAME_OTHER;
    out->value = content;
    switch (out->tag) {
    case DER_CONTEXT_LIST(0):
        return read_other(content, out);
    case DER_CONTEXT(1):
        out->kind = NAME_MAIL;
        return true;
    case DER_CONTEXT(2):
        out->kind = NAME_DNS;
        return true;
    case DER_CONTEXT_LIST(4):
        out->kind = NAME_DIRECTORY;
        return der_take_tag(&content, DER_SEQUENCE, &out->value) && content.size == 0;
    case DER_CONTEXT(7):
        out->kind = NAME_IP;
        return true;
    case DER_CONTEXT_LIST(3): /* x400Address */
    case DER_CONTEXT_LIST(5): /* ediPartyName */
    case DER_CONTEXT(6):      /* uniformResourceIdentifier */
    case DER_CONTEXT(8):      /* registeredID */
        return true;
    default:
        return false;
    }
}
