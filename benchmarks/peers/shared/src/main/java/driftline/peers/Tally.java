package driftline.peers;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/** Confusion counts, Brier sum and score histograms of one model and minute. */
public class Tally {
  public static final int BINS = 100;
  private static final int BYTES = 5 * Long.BYTES + Double.BYTES + 2 * BINS * Integer.BYTES;

  public long count;
  public long tp;
  public long fp;
  public long tn;
  public long fn;
  public double brierSum;
  public int[] negatives = new int[BINS];
  public int[] positives = new int[BINS];

  /** Adds one outcome, in place. */
  public Tally add(int prediction, int label, double score) {
    count++;
    if (prediction == 1) {
      if (label == 1) tp++;
      else fp++;
    } else {
      if (label == 1) fn++;
      else tn++;
    }
    double error = score - label;
    brierSum += error * error;
    int bin = Math.max(0, Math.min(BINS - 1, (int) (score * BINS)));
    (label == 1 ? positives : negatives)[bin]++;
    return this;
  }

  /** Packs the tally for a state store. */
  public byte[] toBytes() {
    ByteBuffer buffer = ByteBuffer.allocate(BYTES);
    buffer.putLong(count).putLong(tp).putLong(fp).putLong(tn).putLong(fn).putDouble(brierSum);
    buffer.asIntBuffer().put(negatives).put(positives);
    return buffer.array();
  }

  public static Tally fromBytes(byte[] bytes) {
    ByteBuffer buffer = ByteBuffer.wrap(bytes);
    Tally tally = new Tally();
    tally.count = buffer.getLong();
    tally.tp = buffer.getLong();
    tally.fp = buffer.getLong();
    tally.tn = buffer.getLong();
    tally.fn = buffer.getLong();
    tally.brierSum = buffer.getDouble();
    buffer.asIntBuffer().get(tally.negatives).get(tally.positives);
    return tally;
  }

  /**
   * Writes the result record.
   *
   * @param partition input partition that this is a part of, null if the tally is the whole
   */
  public byte[] toJson(String model, long windowStartMs, Integer partition) {
    StringBuilder json = new StringBuilder(1000);
    json.append("{\"model\":\"").append(model).append('"');
    json.append(",\"window_start_ms\":").append(windowStartMs);
    if (partition != null) json.append(",\"partition\":").append(partition);
    json.append(",\"count\":").append(count);
    json.append(",\"tp\":").append(tp).append(",\"fp\":").append(fp);
    json.append(",\"tn\":").append(tn).append(",\"fn\":").append(fn);
    json.append(",\"brier_sum\":").append(brierSum).append(",\"histogram\":[");
    append(json, negatives);
    json.append(',');
    append(json, positives);
    return json.append("]}").toString().getBytes(StandardCharsets.UTF_8);
  }

  private static void append(StringBuilder json, int[] numbers) {
    json.append('[');
    for (int i = 0; i < numbers.length; i++) {
      if (i > 0) json.append(',');
      json.append(numbers[i]);
    }
    json.append(']');
  }
}
