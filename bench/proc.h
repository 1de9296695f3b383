/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Proc: what the kernel tells of another process at one moment: CPU time by thread, resident memory; and of the whole
 * machine's memory for sockets.
 *
 * CPU time comes in nanoseconds from /proc/PID/task/TID/schedstat, else in clock ticks from .../stat.
 */
#include "core/base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define PROC_THREADS_MAX 256u

struct proc_thread {
    uint32_t tid;
    uint64_t cpu_ns;
};

struct proc_sample {
    uint64_t wall_ns;
    uint64_t cpu_ns;     /* of all threads that live */
    uint64_t rss;        /* bytes resident */
    uint64_t anonymous;  /* bytes of that which are no file's */
    uint64_t slab;       /* of the whole machine: kernel objects (Slab of /proc/meminfo) */
    uint64_t tcp_memory; /* of the whole machine: bytes in TCP's queues */
    uint32_t thread_count;
    struct proc_thread threads[PROC_THREADS_MAX];
};

bool proc_read(struct proc_sample *sample, int pid, struct err *err);
/* CPU time of the thread that used most between two samples; threads born in between count whole. */
uint64_t proc_busiest_ns(const struct proc_sample *before, const struct proc_sample *after);
