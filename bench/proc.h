/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Proc: what the kernel tells of another process at one moment: CPU time by thread, resident memory; and of the whole
 * machine's memory for sockets.
 *
 * CPU time comes in nanoseconds from /proc/PID/task/TID/schedstat, else in clock ticks from .../stat.
 * Bounds:  PROC_THREADS_MAX threads; more are not seen.
 */
#include "core/base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define PROC_THREADS_MAX 256u

struct proc_thread {
    uint32_t tid;
    uint64_t cpu_ns;
    uint64_t wait_ns; /* ready to run, but others were running; 0 where the kernel does not tell */
};

struct proc_sample {
    uint64_t wall_ns;
    uint64_t rss;        /* bytes resident */
    uint64_t slab;       /* of the whole machine: kernel objects (Slab of /proc/meminfo) */
    uint64_t tcp_memory; /* of the whole machine: bytes in TCP's queues */
    uint32_t thread_count;
    struct proc_thread threads[PROC_THREADS_MAX];
};

/* What a process used between two samples. Threads born in between count whole, those that ended do not. */
struct proc_use {
    uint64_t cpu_ns;         /* of all threads */
    uint64_t wait_ns;        /* of all threads */
    uint64_t busiest_cpu_ns; /* of the thread that used most */
};

/* All zero when a sample is of no process. */
bool proc_read(struct proc_sample *sample, int pid, struct err *err);
struct proc_use proc_use(const struct proc_sample *before, const struct proc_sample *after);
