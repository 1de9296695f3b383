/* SPDX-License-Identifier: MIT */
#include "core/xml/scan_generic_priv.h"
#include "core/xml/scan_priv.h"

static inline const char *scan_text(const char *low, ptrdiff_t reach, const char *p, const char *end, bool *refers)
{
    (void)low;
    (void)reach;
    return scan_text_bytes(p, end, refers);
}

static inline const char *scan_value(const char *low, ptrdiff_t reach, const char *p, const char *end, char quote)
{
    (void)low;
    (void)reach;
    return scan_value_bytes(p, end, quote);
}

static inline uint32_t scan_name(const char *low, ptrdiff_t reach, const char *p, const char *end)
{
    (void)low;
    (void)reach;
    return scan_name_bytes(p, end);
}

struct scan_window {
    const char *base;
};

static inline uint32_t scan_name_in(struct scan_window *w, const char *low, ptrdiff_t reach, const char *p,
                                    const char *end)
{
    (void)w;
    return scan_name(low, reach, p, end);
}

static inline const char *scan_value_in(const struct scan_window *w, const char *low, ptrdiff_t reach, const char *p,
                                        const char *end, char quote)
{
    (void)w;
    return scan_value(low, reach, p, end, quote);
}

static inline bool scan_is_equal(ptrdiff_t reach, const char *a, const char *b, size_t n, const char *end)
{
    (void)reach;
    (void)end;
    return memcmp(a, b, n) == 0;
}

#define TOKENIZE xml_tokenize_generic
#include "core/xml/tokenize_priv.h"
