/* SPDX-License-Identifier: MIT */
#include "tls/alert_priv.h"

#include <stddef.h>

struct alert_row {
    int code;
    const char *text;
};

/* RFC 8446 s6, RFC 5246 s7.2, RFC 7301 s3.2. */
static const struct alert_row alert_rows[] = {
    {10, "the peer's alert: unexpected_message"},
    {20, "the peer's alert: bad_record_mac"},
    {22, "the peer's alert: record_overflow"},
    {40, "the peer's alert: handshake_failure"},
    {42, "the peer's alert: bad_certificate"},
    {43, "the peer's alert: unsupported_certificate"},
    {44, "the peer's alert: certificate_revoked"},
    {45, "the peer's alert: certificate_expired"},
    {46, "the peer's alert: certificate_unknown"},
    {47, "the peer's alert: illegal_parameter"},
    {48, "the peer's alert: unknown_ca"},
    {49, "the peer's alert: access_denied"},
    {50, "the peer's alert: decode_error"},
    {51, "the peer's alert: decrypt_error"},
    {70, "the peer's alert: protocol_version"},
    {71, "the peer's alert: insufficient_security"},
    {80, "the peer's alert: internal_error"},
    {86, "the peer's alert: inappropriate_fallback"},
    {90, "the peer's alert: user_canceled"},
    {109, "the peer's alert: missing_extension"},
    {110, "the peer's alert: unsupported_extension"},
    {112, "the peer's alert: unrecognized_name"},
    {113, "the peer's alert: bad_certificate_status_response"},
    {116, "the peer's alert: certificate_required"},
    {120, "the peer's alert: no_application_protocol"},
};

const char *alert_text(int code)
{
    for (size_t i = 0; i < sizeof(alert_rows) / sizeof(alert_rows[0]); i++) {
        if (alert_rows[i].code == code)
            return alert_rows[i].text;
    }
    return "the peer's alert: one without a name";
}
