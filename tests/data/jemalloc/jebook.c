// What the samples beside this file were recorded of: orders that are kept, text that comes and goes, and a leak.
#include <stdlib.h>
#include <string.h>
struct order { struct order *next; char text[88]; };
static struct order *book;
__attribute__((noinline)) static void keep(int n) {
    for (int i = 0; i < n; i++) { struct order *o = malloc(sizeof *o); o->next = book; book = o; }
}
__attribute__((noinline)) static void churn(int n) {
    for (int i = 0; i < n; i++) { char *volatile p = malloc(300 + i % 40); p[0] = 1; free(p); }
}
__attribute__((noinline)) static void *leak(size_t bytes) { char *p = malloc(bytes); memset(p, 1, bytes); return p; }
int main(void) {
    for (int round = 0; round < 6; round++) { keep(4000); churn(30000); void *volatile p = leak(100000); (void)p; }
    while (book) { struct order *o = book; book = o->next; free(o); }
    return 0;
}
