/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: the tokenizer on any bytes. Whole and in pieces, with both scanners, it must say the same; what it
 * accepts expat must accept with the same events; the memory of a cut element must stay in proportion. A reader that
 * spares what is not namespace-well-formed must find the ends that expat without namespaces finds (xml_spare.h).
 *
 * Built by clang with -fsanitize=fuzzer it searches; with replay.c it runs its corpus as a normal test.
 */
#include "tests/unit/core/xml_spare.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool is_right, const char *what)
{
    if (is_right)
        return;
    fprintf(stderr, "fuzz_reader: %s\n", what);
    abort();
}

static void check_chunking(struct span bytes, size_t first, size_t chunk, const struct run *whole)
{
    struct run run = run_reader(bytes, first, chunk, &xml_limits_default, RUN_TAPE);
    check(run_is_equal(whole, &run), "another chunking or scanner says otherwise");
    check(run.memory_max <= 5 * bytes.size / 2 + 16384, "holds more than its bytes allow");
    run_free(&run);
}

/* expat follows the fourth edition's names: its "invalid token" on bytes above 0x7f proves nothing. */
static void check_expat(struct span bytes)
{
    struct run run = run_reader(bytes, 0, bytes.size, &xml_limits_default, RUN_EVENTS);
    struct peer expat = run_expat(bytes);
    bool is_ascii = true;
    for (size_t i = 0; i < bytes.size; i++)
        is_ascii = is_ascii && (uint8_t)bytes.ptr[i] < 0x80;
    bool is_older = expat.end == PEER_REFUSED && expat.code == 4 && !is_ascii;
    if (run.end == RUN_ENDED && !is_older) {
        check(expat.end == PEER_ENDED, "accepted what expat refuses");
        check(record_is_equal(&run.record, &expat.record), "read other events than expat");
    }
    if (run.end == RUN_OPEN && !is_older)
        check(expat.end == PEER_OPEN, "waits where expat refuses");
    bool is_ours = run.error == XML_STRAY_TEXT || run.error == XML_VERSION || run.error == XML_RESTRICTED ||
                   run.error >= XML_LIMIT_SIZE || run.error == XML_ENCODING;
    if (run.end == RUN_REFUSED && !is_ours)
        check(expat.end != PEER_ENDED, "refused what expat accepts");
    record_free(&expat.record);
    run_free(&run);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 16384)
        return 0;
    /* The first two bytes choose the cuts. */
    size_t first = 1 + data[0];
    size_t chunk = 1 + data[1];
    struct span bytes = span_of(data + 2, size - 2);
    if (bytes.size == 0)
        return 0;
    xml_scan_force("generic");
    struct run whole = run_reader(bytes, 0, bytes.size, &xml_limits_default, RUN_TAPE);
    check_chunking(bytes, 0, chunk, &whole);
    xml_scan_force("avx2");
    check_chunking(bytes, 0, bytes.size, &whole);
    check_chunking(bytes, 0, chunk, &whole);
    check_chunking(bytes, first, bytes.size, &whole);
    run_free(&whole);
    check_expat(bytes);
    const char *wrong = spare_fault(bytes, first, chunk);
    check(wrong == NULL, wrong ? wrong : "");
    return 0;
}
