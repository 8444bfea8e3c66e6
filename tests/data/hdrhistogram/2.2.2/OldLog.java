import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Base64;
import java.util.Locale;
import java.util.Random;
import org.HdrHistogram.AbstractHistogram;

/**
 * Writes a log with payloads of old versions of the library: OldLog FILE CLASS VERSION. Run with 1.2.1 (V0) and 2.1.4 (V1).
 * The lines are those of HistogramLogWriter, which needs a class for base64 that Java 17 lacks.
 */
public class OldLog {
    public static void main(String[] args) throws Exception {
        PrintStream out = new PrintStream(args[0]);
        out.printf("#[Logged with %s]%n#[Histogram log format version %s]%n", args[1], args[2]);
        out.println("#[StartTime: 1441812279.474 (seconds since epoch), Wed Sep 09 08:24:39 PDT 2015]");
        out.println("\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"");
        Random random = new Random(7);
        for (int interval = 0; interval < 6; interval++) {
            AbstractHistogram h = (AbstractHistogram) Class.forName("org.HdrHistogram." + args[1])
                .getConstructor(long.class, long.class, int.class).newInstance(1L, 100000000L, 2);
            for (int i = 0; i < 400 && interval != 3; i++) {
                h.recordValue((long) Math.exp(9 + 1.3 * random.nextGaussian()));
            }
            for (int i = 0; i < 40 * interval; i++) h.recordValue(interval < 3 ? 0 : 20000000L);
            ByteBuffer buffer = ByteBuffer.allocate(h.getNeededByteBufferCapacity());
            int length = h.encodeIntoCompressedByteBuffer(buffer);
            String payload = Base64.getEncoder().encodeToString(Arrays.copyOf(buffer.array(), length));
            out.printf(Locale.US, "%.3f,%.3f,%.3f,%s%n", 0.127 + interval, 1.007, h.getMaxValue() / 1e6, payload);
        }
        out.close();
    }
}
