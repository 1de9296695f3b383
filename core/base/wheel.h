/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Wheel: timers by the millisecond, hierarchical, intrusive: setting, moving and cancelling cost O(1), an idle timer
 * costs its own 32 bytes and no wake-up.
 *
 * Thread:  the owner's. Time is an argument (monotonic milliseconds); a wheel never reads a clock.
 * Exact:   a timer fires in the first wheel_advance(now) with now >= its due time, never before.
 * Bounds:  none; a wheel of 5.8 KB holds any number of timers, any 64-bit due time.
 */
#include <stdbool.h>
#include <stdint.h>

struct timer;
typedef void (*timer_fn)(void *context, struct timer *timer);

struct timer {
    struct timer *next, **link; /* link is NULL while the timer is not set */
    uint64_t due_ms;
    timer_fn fire;
};

struct wheel;

struct wheel *wheel_new(uint64_t now_ms);
/* Timers that are still set are forgotten, not fired. */
void wheel_free(struct wheel *wheel);
/* Sets or moves. A due time that has passed counts as the present one (due_ms then says so) and fires at the next
 * advance; from inside fire, "passed" means by the time of the advance that is under way, so a timer that sets itself
 * again cannot hold an advance up. */
void wheel_set(struct wheel *wheel, struct timer *timer, uint64_t due_ms);
void wheel_cancel(struct wheel *wheel, struct timer *timer);
static inline bool timer_is_set(const struct timer *timer)
{
    return timer->link != 0;
}
/* Fires everything due, in order of due time up to the millisecond; a timer may set or cancel any timer, and its
 * memory may go. A now before that of the last advance fires nothing. Not to be called from inside fire. */
void wheel_advance(struct wheel *wheel, uint64_t now_ms, void *context);
/* A lower bound of the next due time: never later than the first timer; UINT64_MAX when none is set. The bound may be
 * early by less than the timer's distance, at most 10 times for one timer, and 3 times for one within a minute. */
uint64_t wheel_next_ms(const struct wheel *wheel);
