#include <hdr/hdr_histogram.h>
#include <stdio.h>
#include <string.h>
/* Reads values from stdin, prints their distribution: cdist CLASSIC|CSV RATIO TICKS */
int main(int argc, char **argv) {
    struct hdr_histogram *h; long long v; double ratio; int ticks;
    sscanf(argv[2], "%lf", &ratio); sscanf(argv[3], "%d", &ticks);
    hdr_init(1, 3600000000000LL, 3, &h);
    while (scanf("%lld", &v) == 1) hdr_record_value(h, v);
    hdr_percentiles_print(h, stdout, ticks, ratio, strcmp(argv[1], "CSV") ? CLASSIC : CSV);
    return 0;
}
