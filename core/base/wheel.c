/* SPDX-License-Identifier: MIT */
#include "core/base/wheel.h"

#include "core/base/check.h"

#include <stddef.h>
#include <stdlib.h>

/*
 * Time is a number of eleven digits of six bits. A timer hangs on the level of the highest digit in which its due
 * time differs from the wheel's time, in the slot of its own digit there: on level 0 a slot is one millisecond, on
 * level k it is 64^k. While the wheel's time has not reached a slot, the digits above it stay equal, so a timer never
 * hangs on the wrong level and slots of a lower level always come before those of a higher one: the next one to
 * handle is the lowest bit of the lowest level that has any. When the time reaches a slot of level k its timers are
 * hung again, below level k. A timer of 30 s is moved twice at most; most are cancelled or moved before that.
 */
enum {
    DIGIT_BITS = 6,
    SLOT_COUNT = 1 << DIGIT_BITS,
    LEVEL_COUNT = 11,
};

struct wheel {
    uint64_t now_ms;    /* every timer due before this has fired */
    uint64_t target_ms; /* inside an advance: where it goes */
    bool is_advancing;
    uint32_t levels_used;             /* bit k: level k has timers */
    uint64_t slots_used[LEVEL_COUNT]; /* bit s: slot s has timers */
    struct timer *slots[LEVEL_COUNT][SLOT_COUNT];
    struct timer *firing; /* what is left of the slot that is handled now */
    struct timer *late;   /* set from inside fire with a due time up to target_ms */
};

struct wheel *wheel_new(uint64_t now_ms)
{
    struct wheel *wheel = calloc(1, sizeof *wheel);
    if (wheel == NULL)
        check_memory_refused(sizeof *wheel);
    wheel->now_ms = now_ms;
    return wheel;
}

void wheel_free(struct wheel *wheel)
{
    free(wheel);
}

static void list_push(struct timer **list, struct timer *timer)
{
    timer->next = *list;
    timer->link = list;
    if (timer->next != NULL)
        timer->next->link = &timer->next;
    *list = timer;
}

/* Moves a whole list to another head, which must be empty. */
static void list_move(struct timer **to, struct timer **from)
{
    *to = *from;
    *from = NULL;
    if (*to != NULL)
        (*to)->link = to;
}

static void wheel_hang(struct wheel *wheel, struct timer *timer)
{
    uint64_t differs = timer->due_ms ^ wheel->now_ms;
    unsigned level = differs == 0 ? 0 : (63 - (unsigned)__builtin_clzll(differs)) / DIGIT_BITS;
    unsigned slot = timer->due_ms >> (level * DIGIT_BITS) & (SLOT_COUNT - 1);
    list_push(&wheel->slots[level][slot], timer);
    wheel->slots_used[level] |= (uint64_t)1 << slot;
    wheel->levels_used |= 1u << level;
}

static void wheel_clear_bit(struct wheel *wheel, unsigned level, unsigned slot)
{
    wheel->slots_used[level] &= ~((uint64_t)1 << slot);
    if (wheel->slots_used[level] == 0)
        wheel->levels_used &= ~(1u << level);
}

void wheel_cancel(struct wheel *wheel, struct timer *timer)
{
    struct timer **link = timer->link;
    if (link == NULL)
        return;
    *link = timer->next;
    timer->link = NULL;
    if (timer->next != NULL) {
        timer->next->link = link;
        return;
    }
    /* It was the last of its list. If the link is a slot's head, the slot is empty now; it may as well be the firing
     * or late list's head or lie in another timer, which have no bit. */
    uintptr_t offset = (uintptr_t)link - (uintptr_t)wheel->slots;
    if (offset < sizeof wheel->slots) {
        unsigned index = (unsigned)(offset / sizeof(struct timer *));
        wheel_clear_bit(wheel, index / SLOT_COUNT, index % SLOT_COUNT);
    }
}

void wheel_set(struct wheel *wheel, struct timer *timer, uint64_t due_ms)
{
    wheel_cancel(wheel, timer);
    if (wheel->is_advancing && due_ms <= wheel->target_ms) {
        timer->due_ms = wheel->target_ms;
        list_push(&wheel->late, timer);
        return;
    }
    timer->due_ms = due_ms > wheel->now_ms ? due_ms : wheel->now_ms;
    wheel_hang(wheel, timer);
}

/* The start of the first slot that has timers. */
static uint64_t wheel_first(const struct wheel *wheel, unsigned *level, unsigned *slot)
{
    *level = (unsigned)__builtin_ctz(wheel->levels_used);
    *slot = (unsigned)__builtin_ctzll(wheel->slots_used[*level]);
    unsigned shift = *level * DIGIT_BITS;
    uint64_t above = shift + DIGIT_BITS < 64 ? wheel->now_ms >> (shift + DIGIT_BITS) << (shift + DIGIT_BITS) : 0;
    return above | (uint64_t)*slot << shift;
}

uint64_t wheel_next_ms(const struct wheel *wheel)
{
    if (wheel->late != NULL || wheel->firing != NULL)
        return wheel->target_ms;
    if (wheel->levels_used == 0)
        return UINT64_MAX;
    unsigned level, slot;
    return wheel_first(wheel, &level, &slot);
}

static void wheel_fire(struct wheel *wheel, void *context)
{
    while (wheel->firing != NULL) {
        struct timer *timer = wheel->firing;
        wheel_cancel(wheel, timer);
        timer->fire(context, timer);
    }
}

static void wheel_hang_lower(struct wheel *wheel)
{
    while (wheel->firing != NULL) {
        struct timer *timer = wheel->firing;
        wheel_cancel(wheel, timer);
        wheel_hang(wheel, timer);
    }
}

void wheel_advance(struct wheel *wheel, uint64_t now_ms, void *context)
{
    SL_CHECK(!wheel->is_advancing);
    if (now_ms < wheel->now_ms)
        return;
    wheel->is_advancing = true;
    wheel->target_ms = now_ms;
    while (wheel->levels_used != 0) {
        unsigned level, slot;
        uint64_t start_ms = wheel_first(wheel, &level, &slot);
        if (start_ms > now_ms)
            break;
        wheel->now_ms = start_ms;
        list_move(&wheel->firing, &wheel->slots[level][slot]);
        wheel_clear_bit(wheel, level, slot);
        if (level == 0)
            wheel_fire(wheel, context);
        else
            wheel_hang_lower(wheel);
    }
    wheel->now_ms = now_ms;
    wheel->is_advancing = false;
    list_move(&wheel->firing, &wheel->late);
    wheel_hang_lower(wheel);
}
