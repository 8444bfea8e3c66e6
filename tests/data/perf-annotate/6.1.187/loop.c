/* Two functions that take time, for perf annotate. */
#include <stdio.h>
#include <stdlib.h>

enum { SIDE = 2000 };

static __attribute__((noinline)) long by_columns(const int *cells)
{
    long sum = 0;
    for (int column = 0; column < SIDE; column++)
        for (int row = 0; row < SIDE; row++)
            sum += cells[row * SIDE + column];
    return sum;
}

static __attribute__((noinline)) unsigned mix(unsigned x)
{
    for (int round = 0; round < 20000000; round++)
        x = x * 1664525u + 1013904223u;
    return x;
}

int main(void)
{
    int *cells = calloc(SIDE * SIDE, sizeof(int));
    long sum = 0;
    for (int at = 0; at < 12; at++)
        sum += by_columns(cells) + mix(at);
    printf("%ld\n", sum);
    return 0;
}
