#include <pthread.h>
#include <stdio.h>
static volatile unsigned long sum[4];
__attribute__((noinline)) static void add(unsigned long n, unsigned long *to) { for (unsigned long i = 0; i < n; i++) *to += i ^ n; }
__attribute__((noinline)) static void orders(unsigned long *to) { add(4000, to); }
__attribute__((noinline)) static void quotes(unsigned long *to) { add(9000, to); }
static void *work(void *at) { unsigned long own = 0; if (at == sum) orders(&own); else { quotes(&own); orders(&own); } *(unsigned long *)at = own; return 0; }
int main(void) {
    pthread_t other[3];
    for (int i = 0; i < 3; i++) pthread_create(&other[i], 0, work, (void *)&sum[i]);
    for (int i = 0; i < 3; i++) pthread_join(other[i], 0);
    add(1000, (unsigned long *)&sum[3]);
    printf("%lu\n", sum[0] + sum[1] + sum[2] + sum[3]);
    return 0;
}
