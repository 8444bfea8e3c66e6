// Events of the program's own, weighed by the rows of a batch.
#include <valgrind/dhat.h>
__attribute__((noinline)) static void flush(int rows) { DHAT_AD_HOC_EVENT(rows); }
int main(void) {
    for (int batch = 1; batch <= 20; batch++) flush(batch);
    flush(1000);
    return 0;
}
