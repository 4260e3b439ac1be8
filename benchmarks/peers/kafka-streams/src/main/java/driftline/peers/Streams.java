package driftline.peers;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.ObjectWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.TimestampExtractor;

/** What both Kafka Streams jobs share: settings, serdes and the start. */
final class Streams {
  private static final ObjectMapper MAPPER = new ObjectMapper();

  /** Event time is in the value, which is decoded by then. */
  static final TimestampExtractor EVENT_TIME =
      (record, partitionTime) ->
          record.value() instanceof Prediction prediction
              ? prediction.timeMs
              : ((Label) record.value()).timeMs;

  static final Serde<Tally> TALLY =
      Serdes.serdeFrom(
          (topic, tally) -> tally == null ? null : tally.toBytes(),
          (topic, bytes) -> bytes == null ? null : Tally.fromBytes(bytes));

  private Streams() {}

  /** Variant `memory`: stores in memory without changelog, so that a crash loses them. */
  static boolean inMemory() {
    return Job.variant().equals("memory");
  }

  static <T> Serde<T> json(Class<T> type) {
    ObjectReader reader = MAPPER.readerFor(type);
    ObjectWriter writer = MAPPER.writerFor(type);
    return Serdes.serdeFrom(
        (topic, value) -> value == null ? null : write(writer, value),
        (topic, bytes) -> bytes == null ? null : read(reader, bytes));
  }

  private static byte[] write(ObjectWriter writer, Object value) {
    try {
      return writer.writeValueAsBytes(value);
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  private static <T> T read(ObjectReader reader, byte[] bytes) {
    try {
      return reader.readValue(bytes);
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  /** Runs until the harness ends the process. */
  static void run(Topology topology) {
    KafkaStreams streams = new KafkaStreams(topology, properties());
    Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(5))));
    Progress.start();
    streams.start();
  }

  private static Properties properties() {
    Properties properties = new Properties();
    properties.put(StreamsConfig.APPLICATION_ID_CONFIG, Job.application());
    properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, Job.servers());
    properties.put(StreamsConfig.STATE_DIR_CONFIG, Job.folder() + "/state");
    properties.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
    properties.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
    properties.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
    properties.put(
        StreamsConfig.PROCESSING_GUARANTEE_CONFIG,
        Job.exactlyOnce() ? StreamsConfig.EXACTLY_ONCE_V2 : StreamsConfig.AT_LEAST_ONCE);
    // As often as Flink's checkpoints here; the default of 100 ms with exactly-once costs more.
    properties.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 5_000);
    return properties;
  }
}
