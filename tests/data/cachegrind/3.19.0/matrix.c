/* Adds up a matrix by rows, and by columns, which misses the cache: what valgrind's tests are recorded with. */
#include <stdio.h>
#include <stdlib.h>
#include "square.h"

enum { SIDE = 700 };

static __attribute__((noinline)) long by_rows(const int *cells)
{
    long sum = 0;
    for (int row = 0; row < SIDE; row++)
        for (int column = 0; column < SIDE; column++)
            sum += cells[row * SIDE + column];
    return sum;
}

static __attribute__((noinline)) long by_columns(const int *cells)
{
    long sum = 0;
    for (int column = 0; column < SIDE; column++)
        for (int row = 0; row < SIDE; row++)
            sum += square(cells[row * SIDE + column]);
    return sum;
}

static __attribute__((noinline)) int even(int n);

static __attribute__((noinline)) int odd(int n)
{
    return n == 0 ? 0 : even(n - 1) + 1;
}

static __attribute__((noinline)) int even(int n)
{
    return n == 0 ? 1 : odd(n - 1) * 3 % 1000;
}

int main(void)
{
    int *cells = malloc(sizeof(int) * SIDE * SIDE);
    for (int at = 0; at < SIDE * SIDE; at++)
        cells[at] = at % 3;
    printf("%ld %ld %d\n", by_rows(cells), by_columns(cells), even(2000));
    free(cells);
    return 0;
}
