package driftline.peers;

import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.AutoOffsetReset;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.ProcessorSupplier;
import org.apache.kafka.streams.state.KeyValueBytesStoreSupplier;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/** The job by hand: one processor joins and counts, without a repartition topic. */
public final class ProcessorApi {
  private ProcessorApi() {}

  public static void main(String[] arguments) {
    Streams.run(topology());
  }

  private static Topology topology() {
    StoreBuilder<KeyValueStore<String, byte[]>> pending =
        Stores.keyValueStoreBuilder(
            store(JoinAndTally.PENDING), Serdes.String(), Serdes.ByteArray());
    StoreBuilder<KeyValueStore<String, Tally>> tallies =
        Stores.keyValueStoreBuilder(store(JoinAndTally.TALLIES), Serdes.String(), Streams.TALLY);
    tallies.withCachingEnabled();
    if (Streams.inMemory()) {
      pending.withLoggingDisabled();
      tallies.withLoggingDisabled();
    } else {
      pending.withCachingEnabled();
    }
    Topology topology = new Topology();
    addSource(topology, "predictions", Job.predictions(), Prediction.class);
    addSource(topology, "labels", Job.labels(), Label.class);
    ProcessorSupplier<String, Object, String, byte[]> job = JoinAndTally::new;
    topology
        .addProcessor("job", job, "predictions", "labels")
        .addStateStore(pending, "job")
        .addStateStore(tallies, "job")
        .addSink("out", Job.output(), new StringSerializer(), new ByteArraySerializer(), "job");
    return topology;
  }

  private static void addSource(Topology topology, String name, String topic, Class<?> type) {
    topology.addSource(
        AutoOffsetReset.earliest(),
        name,
        Streams.EVENT_TIME,
        new StringDeserializer(),
        Streams.json(type).deserializer(),
        topic);
  }

  private static KeyValueBytesStoreSupplier store(String name) {
    return Streams.inMemory()
        ? Stores.inMemoryKeyValueStore(name)
        : Stores.persistentKeyValueStore(name);
  }
}
