package driftline.peers;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Predicate;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * Joins by prediction id and counts per model and minute, one part for each input partition.
 *
 * <p>A prediction waits in a store, packed, and leaves it with its label. A label that comes first
 * waits under the same key. Changed tallies are sent on once a second.
 */
final class JoinAndTally implements Processor<String, Object, String, byte[]> {
  static final String PENDING = "pending";
  static final String TALLIES = "tallies";
  private static final byte PREDICTION = 0;
  private static final byte LABEL = 1;
  private static final int HEADER_BYTES = 1 + Long.BYTES + 1;
  private static final long SWEEP_MS = 600_000;

  private final Set<String> changed = new HashSet<>();
  private ProcessorContext<String, byte[]> context;
  private KeyValueStore<String, byte[]> pending;
  private KeyValueStore<String, Tally> tallies;
  private int partition;
  private long clockMs;
  private long sweptMs;

  @Override
  public void init(ProcessorContext<String, byte[]> context) {
    this.context = context;
    pending = context.getStateStore(PENDING);
    tallies = context.getStateStore(TALLIES);
    partition = context.taskId().partition();
    changed.addAll(keys(tallies, entry -> true));
    context.schedule(Duration.ofSeconds(1), PunctuationType.WALL_CLOCK_TIME, time -> publish());
  }

  @Override
  public void process(Record<String, Object> record) {
    Progress.CONSUMED.incrementAndGet();
    if (record.value() instanceof Prediction prediction) take(prediction);
    else take((Label) record.value());
  }

  private void take(Prediction prediction) {
    byte[] waiting = pending.get(prediction.id);
    byte[] packed = pack(prediction);
    if (waiting != null && waiting[0] == LABEL) {
      pending.delete(prediction.id);
      if (inTime(timeMs(packed), timeMs(waiting))) count(packed, result(waiting));
    } else {
      pending.put(prediction.id, packed);
    }
    clockMs = Math.max(clockMs, prediction.timeMs);
    if (clockMs - sweptMs > SWEEP_MS) sweep();
  }

  private void take(Label label) {
    byte[] waiting = pending.get(label.id);
    if (waiting == null || waiting[0] == LABEL) {
      pending.put(label.id, pack(label));
    } else if (inTime(timeMs(waiting), label.timeMs)) {
      pending.delete(label.id);
      count(waiting, label.label);
    }
  }

  private void count(byte[] prediction, int label) {
    long timeMs = timeMs(prediction);
    String key = model(prediction) + "|" + (timeMs - timeMs % Job.WINDOW_MS);
    Tally tally = tallies.get(key);
    if (tally == null) tally = new Tally();
    tallies.put(key, tally.add(result(prediction), label, score(prediction)));
    changed.add(key);
    Progress.AGGREGATED.incrementAndGet();
  }

  private void publish() {
    for (String key : changed) {
      Tally tally = tallies.get(key);
      if (tally == null) continue;
      int bar = key.lastIndexOf('|');
      long windowMs = windowMs(key);
      byte[] json = tally.toJson(key.substring(0, bar), windowMs, partition);
      context.forward(new Record<>(key + "|" + partition, json, windowMs));
    }
    changed.clear();
  }

  /** Forgets predictions and labels past the horizon, and windows that no label can reach. */
  private void sweep() {
    sweptMs = clockMs;
    long oldestMs = clockMs - Job.HORIZON_MS;
    keys(pending, entry -> timeMs(entry.value) < oldestMs).forEach(pending::delete);
    publish();
    long oldestWindowMs = oldestMs - Job.HORIZON_MS;
    keys(tallies, entry -> windowMs(entry.key) < oldestWindowMs).forEach(tallies::delete);
  }

  private static <V> List<String> keys(
      KeyValueStore<String, V> store, Predicate<KeyValue<String, V>> wanted) {
    List<String> found = new ArrayList<>();
    try (KeyValueIterator<String, V> entries = store.all()) {
      while (entries.hasNext()) {
        KeyValue<String, V> entry = entries.next();
        if (wanted.test(entry)) found.add(entry.key);
      }
    }
    return found;
  }

  private static boolean inTime(long predictionMs, long labelMs) {
    return labelMs >= predictionMs && labelMs - predictionMs <= Job.HORIZON_MS;
  }

  private static long windowMs(String key) {
    return Long.parseLong(key.substring(key.lastIndexOf('|') + 1));
  }

  private static byte[] pack(Prediction prediction) {
    byte[] model = prediction.model.getBytes(StandardCharsets.UTF_8);
    return ByteBuffer.allocate(HEADER_BYTES + Double.BYTES + model.length)
        .put(PREDICTION)
        .putLong(prediction.timeMs)
        .put((byte) prediction.prediction)
        .putDouble(prediction.score)
        .put(model)
        .array();
  }

  private static byte[] pack(Label label) {
    return ByteBuffer.allocate(HEADER_BYTES)
        .put(LABEL)
        .putLong(label.timeMs)
        .put((byte) label.label)
        .array();
  }

  private static long timeMs(byte[] packed) {
    return ByteBuffer.wrap(packed).getLong(1);
  }

  private static int result(byte[] packed) {
    return packed[HEADER_BYTES - 1];
  }

  private static double score(byte[] packed) {
    return ByteBuffer.wrap(packed).getDouble(HEADER_BYTES);
  }

  private static String model(byte[] packed) {
    int start = HEADER_BYTES + Double.BYTES;
    return new String(packed, start, packed.length - start, StandardCharsets.UTF_8);
  }
}
