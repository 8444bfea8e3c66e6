import java.io.File;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.util.Locale;
import java.util.Random;
import java.util.LinkedHashMap;
import java.util.Map;
import org.HdrHistogram.*;

/**
 * What the Java library says: Reference make FOLDER writes logs and distributions; Reference read LOG prints, as JSON lines,
 * the figures of each interval of a log, then those of each tag's sum.
 */
public class Reference {
    static final double[] PERCENTILES = {
        0, 0.001, 1, 5, 10, 25, 33.333, 50, 66.6, 75, 90, 95, 97.5, 99, 99.5, 99.9, 99.95, 99.99, 99.999, 100
    };
    static final long START = 1700000000250L;

    public static void main(String[] args) throws Exception {
        if (args[0].equals("make")) make(new File(args[1]));
        else read(args[1]);
    }

    static long latency(Random random) {
        double tail = random.nextInt(200) == 0 ? 40 : 1;
        return (long) (tail * Math.exp(9 + 0.7 * random.nextGaussian()));
    }

    static void make(File folder) throws Exception {
        log(new File(folder, "tagged.hlog"), "", START, 0, 4000, 3);
        log(new File(folder, "relative.hlog"), "start", START, START, 600, 2);
        log(new File(folder, "based.hlog"), "start base", START, START - 5000, 600, 4);
        log(new File(folder, "coarse.hlog"), "start", START, 0, 600, 0);
        log(new File(folder, "fine.hlog"), "start", START, 0, 300, 5);
        shifted(new File(folder, "shifted.hlog"));
        fractions(new File(folder, "fractions.hlog"), 1e-3);
        fractions(new File(folder, "whole-fractions.hlog"), 1e3);
        corrected(new File(folder, "corrected.hlog"));

        Histogram h = new Histogram(3);
        Random random = new Random(3);
        for (int i = 0; i < 20000; i++) h.recordValue(latency(random));
        h.setTag("distribution");
        one(h, new File(folder, "distribution.hlog"));
        try (PrintStream out = new PrintStream(new File(folder, "distribution.hgrm"))) {
            h.outputPercentileDistribution(out, 1000.0);
        }
        try (PrintStream out = new PrintStream(new File(folder, "distribution-1-tick.hgrm"))) {
            h.outputPercentileDistribution(out, 1, 1.0);
        }
        try (PrintStream out = new PrintStream(new File(folder, "distribution.csv"))) {
            h.outputPercentileDistribution(out, 5, 1000.0, true);
        }
        Histogram coarse = new Histogram(1000, 3600000000000L, 2);
        coarse.add(h);
        one(coarse, new File(folder, "coarse-distribution.hlog"));
        try (PrintStream out = new PrintStream(new File(folder, "coarse-distribution.hgrm"))) {
            coarse.outputPercentileDistribution(out, 1e6);
        }
    }

    static void log(File file, String comments, long start, long base, int values, int digits) throws Exception {
        try (PrintStream out = new PrintStream(file)) {
            HistogramLogWriter log = new HistogramLogWriter(out);
            log.outputComment("[Written by Reference.java]");
            log.outputLogFormatVersion();
            if (!comments.isEmpty()) log.outputStartTime(start);
            if (comments.contains("base")) log.outputBaseTime(base);
            log.setBaseTime(base);
            log.outputLegend();
            Random random = new Random(11);
            for (int interval = 0; interval < 5; interval++) {
                for (String tag : new String[] {"validation", "risk_check", null}) {
                    Histogram h = new Histogram(digits);
                    int calls = interval == 2 ? 0 : tag == null ? values : values / 3;
                    for (int i = 0; i < calls; i++) h.recordValue(latency(random));
                    h.setTag(tag);
                    h.setStartTimeStamp(start + 1000 * interval);
                    h.setEndTimeStamp(start + 1000 * interval + 1003);
                    log.outputIntervalHistogram(h);
                }
            }
        }
    }

    static void shifted(File file) throws Exception {
        try (PrintStream out = new PrintStream(file)) {
            HistogramLogWriter log = new HistogramLogWriter(out);
            log.outputLogFormatVersion();
            log.outputStartTime(START);
            Random random = new Random(5);
            for (int shift : new int[] {1, 4, -3}) {
                Histogram h = new Histogram(1, 3600000000000L, 3);
                for (int i = 0; i < 500; i++) h.recordValue(shift > 0 ? random.nextInt(5000) : 100000 + latency(random));
                if (shift > 0) h.shiftValuesLeft(shift); else h.shiftValuesRight(-shift);
                h.setStartTimeStamp(START);
                h.setEndTimeStamp(START + 1000);
                log.outputIntervalHistogram(h);
            }
        }
    }

    static void fractions(File file, double factor) throws Exception {
        try (PrintStream out = new PrintStream(file)) {
            HistogramLogWriter log = new HistogramLogWriter(out);
            log.outputLogFormatVersion();
            log.outputStartTime(START);
            Random random = new Random(17);
            for (int interval = 0; interval < 3; interval++) {
                DoubleHistogram h = new DoubleHistogram(3);
                for (int i = 0; i < 500 && interval != 1; i++) h.recordValue(factor * latency(random));
                if (interval == 2) h.recordValue(0);
                h.setTag("double");
                h.setStartTimeStamp(START + 1000 * interval);
                h.setEndTimeStamp(START + 1000 * interval + 1000);
                log.outputIntervalHistogram(h);
            }
        }
    }

    /** Raw values under the tag "raw", corrected ones under "corrected 10000" and so on, as underscores. */
    static void corrected(File file) throws Exception {
        try (PrintStream out = new PrintStream(file)) {
            HistogramLogWriter log = new HistogramLogWriter(out);
            log.outputLogFormatVersion();
            log.outputStartTime(START);
            Histogram h = new Histogram(1, 3600000000000L, 3);
            h.recordValueWithCount(1000, 10000);
            h.recordValue(100000000L);
            Random random = new Random(23);
            Histogram many = new Histogram(2);
            for (int i = 0; i < 3000; i++) many.recordValue(latency(random));
            int n = 0;
            for (Histogram raw : new Histogram[] {h, many}) {
                n++;
                for (long interval : new long[] {0, 1, 7, 1000, 10000, 33333, 1000000}) {
                    Histogram c = interval == 0 ? raw : raw.copyCorrectedForCoordinatedOmission(interval);
                    c.setTag(n + "_" + interval);
                    c.setStartTimeStamp(START);
                    c.setEndTimeStamp(START + 1000);
                    log.outputIntervalHistogram(c);
                }
            }
        }
    }

    static void one(Histogram h, File file) throws Exception {
        try (PrintStream out = new PrintStream(file)) {
            HistogramLogWriter log = new HistogramLogWriter(out);
            log.outputLogFormatVersion();
            log.outputStartTime(START);
            h.setStartTimeStamp(START);
            h.setEndTimeStamp(START + 5000);
            log.outputIntervalHistogram(h);
        }
    }

    static void read(String path) throws Exception {
        HistogramLogReader reader = new HistogramLogReader(path);
        Map<String, Histogram> sums = new LinkedHashMap<>();
        while (reader.hasNext()) {
            EncodableHistogram next = reader.nextIntervalHistogram();
            if (next == null) continue;
            if (next instanceof Histogram) {
                Histogram h = (Histogram) next;
                print("interval", h.getTag(), h);
                String tag = h.getTag() == null ? "" : h.getTag();
                if (!sums.containsKey(tag)) {
                    sums.put(tag, new Histogram(h.getLowestDiscernibleValue(), 3600000000000000L,
                        h.getNumberOfSignificantValueDigits()));
                }
                sums.get(tag).add(h);
            } else {
                DoubleHistogram h = (DoubleHistogram) next;
                StringBuilder values = new StringBuilder();
                for (double p : PERCENTILES) values.append(", ").append(h.getValueAtPercentile(p));
                System.out.printf(Locale.US, "{\"kind\": \"fractions\", \"tag\": \"%s\", \"start_ms\": %d, \"end_ms\": %d, "
                    + "\"total\": %d, \"max\": %s, \"mean\": %s, \"values\": [%s]}%n", h.getTag(), h.getStartTimeStamp(),
                    h.getEndTimeStamp(), h.getTotalCount(), h.getMaxValue(), h.getMean(), values.substring(2));
            }
        }
        for (Map.Entry<String, Histogram> e : sums.entrySet()) print("sum", e.getKey(), e.getValue());
    }

    static void print(String kind, String tag, Histogram h) {
        StringBuilder values = new StringBuilder();
        for (double p : PERCENTILES) values.append(", ").append(h.getValueAtPercentile(p));
        System.out.printf(Locale.US, "{\"kind\": \"%s\", \"tag\": %s, \"start_ms\": %d, \"end_ms\": %d, \"total\": %d, "
            + "\"min\": %d, \"max\": %d, \"mean\": %s, \"stddev\": %s, \"at_or_below_10000\": %s, "
            + "\"between_5000_20000\": %d, \"values\": [%s]}%n", kind, tag == null ? "null" : "\"" + tag + "\"",
            h.getStartTimeStamp(), h.getEndTimeStamp(), h.getTotalCount(), h.getMinValue(), h.getMaxValue(), h.getMean(),
            h.getStdDeviation(), h.getPercentileAtOrBelowValue(10000), h.getCountBetweenValues(5000, 20000),
            values.substring(2));
    }
}
