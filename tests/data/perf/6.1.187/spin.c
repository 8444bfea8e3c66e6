/* The target of the recordings in this folder: threads with awkward names, inlined functions, recursion,
 * libc, page faults and context switches. Built as NOTE says. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static volatile unsigned sink;

static inline unsigned twist(unsigned a) {
    a ^= a << 13;
    a ^= a >> 17;
    return a ^ a << 5;
}

static inline unsigned blend(unsigned a, unsigned b) {
    return twist(a + b) + twist(b);
}

__attribute__((noinline)) unsigned churn(unsigned rounds) {
    unsigned sum = sink;
    for (unsigned i = 0; i < rounds; i++)
        sum += blend(sum, i);
    return sum;
}

__attribute__((noinline)) unsigned descend(unsigned depth) {
    sink++;
    unsigned found = depth ? descend(depth - 1) + 1 : churn(2000);
    sink++;
    return found;
}

__attribute__((noinline)) unsigned fill(size_t bytes) {
    char *memory = malloc(bytes);
    memset(memory, (int)sink, bytes);
    unsigned found = memory[sink % bytes];
    free(memory);
    return found;
}

__attribute__((noinline)) void nap(void) {
    struct timespec pause = {0, 1000000};
    nanosleep(&pause, 0);
}

static const char *const names[] = {"worker 12", "a", "semi;colon", "(paren) 9", "[cpu] 3.5:", "0x1f"};

static void *work(void *argument) {
    unsigned number = (unsigned)(size_t)argument;
    pthread_setname_np(pthread_self(), names[number]);
    for (unsigned i = 0; i < 1500; i++) {
        sink += churn(20000 + 5000 * number);
        sink += descend(10 + 10 * number);
        if (number % 3 == 0)
            sink += fill(4 << 20);
        if (i % 100 == 0)
            nap();
    }
    return 0;
}

int main(void) {
    enum { threads = sizeof names / sizeof *names };
    pthread_t thread[threads];
    for (size_t i = 0; i < threads; i++)
        pthread_create(&thread[i], 0, work, (void *)i);
    for (size_t i = 0; i < threads; i++)
        pthread_join(thread[i], 0);
    return 0;
}
