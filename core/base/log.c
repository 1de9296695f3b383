/* SPDX-License-Identifier: MIT */
#include "core/base/log.h"

#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/base/log_writer_priv.h"
#include "core/base/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

/* The thread's part of a line and of the rate limit; the lines themselves cross to the writer (log_writer.c). */

enum { RATE_COUNT = 256, RATE_PROBES = 8, SUFFIX_MAX = 40, NAME_SIZE = 32 };

struct log_rate {
    uint64_t hash; /* of the event's name; 0 for none */
    uint64_t second;
    uint64_t suppressed;
    uint32_t count; /* lines let through in that second */
};

static _Atomic int level_max = LOG_INFO;
static _Thread_local char thread_name[NAME_SIZE];
/* 8 KiB in every thread's static block, of which a thread that logs a few kinds of events touches a page or two. */
static _Thread_local struct log_rate rates[RATE_COUNT];

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&level_max, (int)level, memory_order_relaxed);
}

void log_name_thread(const char *name)
{
    snprintf(thread_name, sizeof thread_name, "%s", name);
}

bool log_open(const char *path, enum log_level level, struct err *err)
{
    log_set_level(level);
    return log_writer_start(path, err);
}

void log_reopen(void)
{
    log_writer_reopen();
}

void log_close(void)
{
    log_writer_stop();
}

uint64_t log_dropped(void)
{
    return log_writer_dropped();
}

/* FNV-1a: event names are ours, so no key is needed; of 64 bits two names of a program do not share a value. */
static uint64_t event_hash(const char *event)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (; *event != '\0'; event++)
        hash = (hash ^ (unsigned char)*event) * 0x100000001b3;
    return hash | 1;
}

/* The event's row. With more kinds in a second than there is room for, the oldest row goes and with it the count of
 * what it suppressed (log_dropped() still has it). */
static struct log_rate *rate_get(uint64_t hash)
{
    struct log_rate *oldest = NULL;
    for (uint64_t i = 0; i < RATE_PROBES; i++) {
        struct log_rate *rate = &rates[((hash >> 1) + i) % RATE_COUNT];
        if (rate->hash == hash)
            return rate;
        if (oldest == NULL || rate->second < oldest->second)
            oldest = rate;
    }
    *oldest = (struct log_rate){.hash = hash};
    return oldest;
}

static bool rate_admits(struct log_rate *rate)
{
    uint64_t second = clock_mono_ms() / 1000;
    if (rate->second != second) {
        rate->second = second;
        rate->count = 0;
    }
    if (rate->count >= LOG_RATE)
        return false;
    rate->count++;
    return true;
}

/* gmtime_r() takes the C library's time zone lock, and a log line must wait for nobody. The civil date from a day
 * number, with years that begin in March, so that the leap day is the last. */
static size_t format_time(char *out, size_t size)
{
    int64_t now_ms = clock_wall_ms();
    int64_t seconds = now_ms / 1000;
    int64_t days = seconds / 86400 + 719468; /* since 0000-03-01 */
    int64_t era = days / 146097;
    int64_t day_of_era = days % 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    int day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
    int month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    int year = (int)(era * 400 + year_of_era + (month <= 2 ? 1 : 0));
    int written =
        snprintf(out, size, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", year, month, day, (int)(seconds / 3600 % 24),
                 (int)(seconds / 60 % 60), (int)(seconds % 60), (int)(now_ms % 1000));
    SL_CHECK(written > 0 && (size_t)written < size);
    return (size_t)written;
}

/* What snprintf wrote of what it wanted. */
static size_t written_of(int wanted, size_t room)
{
    if (wanted < 0)
        return 0;
    return (size_t)wanted < room ? (size_t)wanted : room - 1;
}

/* Fills out[LOG_LINE_MAX] and returns the line's size. */
static __attribute__((format(printf, 5, 0))) size_t format_line(char *out, enum log_level level, const char *event,
                                                                uint64_t suppressed, const char *format, va_list args)
{
    static const char *const level_names[] = {"ERROR", "WARN", "INFO", "DEBUG"};
    size_t room = LOG_LINE_MAX - SUFFIX_MAX;
    size_t size = format_time(out, room);
    size += written_of(snprintf(out + size, room - size, " %s %s%s%s%s", level_names[level], thread_name,
                                thread_name[0] != '\0' ? " " : "", event, format[0] != '\0' ? " " : ""),
                       room - size);
    int wanted = vsnprintf(out + size, room - size, format, args);
    bool is_cut = wanted >= 0 && (size_t)wanted >= room - size;
    size += written_of(wanted, room - size);
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)out[i];
        if (byte < 0x20 || byte == 0x7f)
            out[i] = '?';
    }
    room = LOG_LINE_MAX - size;
    int suffix = suppressed > 0 ? snprintf(out + size, room, "%s suppressed=%llu\n", is_cut ? "..." : "",
                                           (unsigned long long)suppressed)
                                : snprintf(out + size, room, "%s\n", is_cut ? "..." : "");
    return size + written_of(suffix, room);
}

void log_event(enum log_level level, const char *event, const char *format, ...)
{
    if ((int)level > atomic_load_explicit(&level_max, memory_order_relaxed))
        return;
    int saved_errno = errno;
    va_list args;
    va_start(args, format);
    if (!log_writer_is_running()) {
        char line[LOG_LINE_MAX];
        size_t size = format_line(line, level, event, 0, format, args);
        log_writer_put(STDERR_FILENO, span_of(line, size));
    } else {
        struct log_rate *rate = rate_get(event_hash(event));
        char *line = rate_admits(rate) ? log_writer_reserve() : NULL;
        if (line != NULL) {
            log_writer_commit(format_line(line, level, event, rate->suppressed, format, args));
            rate->suppressed = 0;
        } else {
            rate->suppressed++;
            log_writer_count_dropped(1);
        }
    }
    va_end(args);
    errno = saved_errno;
}

/* The escaped form of the first character of bytes, at most 8 bytes; its own size there is written to *consumed. */
static size_t quote_one(struct span bytes, char out[8], size_t *consumed)
{
    unsigned char byte = (unsigned char)bytes.ptr[0];
    uint32_t code_point = 0;
    unsigned size = utf8_decode(bytes, &code_point);
    *consumed = size > 0 ? size : 1;
    if (byte == '"' || byte == '\\') {
        out[0] = '\\';
        out[1] = (char)byte;
        return 2;
    }
    if (size == 0 || byte < 0x20 || byte == 0x7f)
        return written_of(snprintf(out, 8, "\\x%02x", byte), 8);
    /* C1 controls drive terminals; line separators and the marks that turn the direction of writing deceive readers. */
    bool is_control = code_point >= 0x80 && code_point <= 0x9f;
    bool is_deceiving =
        (code_point >= 0x2028 && code_point <= 0x202e) || (code_point >= 0x2066 && code_point <= 0x2069);
    if (is_control || is_deceiving)
        return written_of(snprintf(out, 8, "\\u%04x", (unsigned)code_point), 8);
    memcpy(out, bytes.ptr, size);
    return size;
}

struct log_text log_quoted(struct span bytes)
{
    struct log_text quoted;
    size_t size = 0;
    quoted.text[size++] = '"';
    /* What is left for a character: all but the dots, the closing quote and the NUL. */
    size_t size_max = sizeof quoted.text - sizeof "...\"";
    while (bytes.size > 0) {
        char one[8];
        size_t consumed;
        size_t one_size = quote_one(bytes, one, &consumed);
        if (size + one_size > size_max) {
            memcpy(quoted.text + size, "...", 3);
            size += 3;
            break;
        }
        memcpy(quoted.text + size, one, one_size);
        size += one_size;
        bytes = span_skip(bytes, consumed);
    }
    quoted.text[size++] = '"';
    quoted.text[size] = '\0';
    return quoted;
}
