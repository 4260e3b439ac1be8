package driftline.peers;

import java.time.Duration;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.StreamJoined;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.processor.api.ContextualProcessor;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.WindowStore;

/** The job as the guide would write it: join, group by model, windowed aggregate. */
public final class Dsl {
  private static final Duration HORIZON = Duration.ofMillis(Job.HORIZON_MS);
  private static final Duration WINDOW = Duration.ofMillis(Job.WINDOW_MS);

  private Dsl() {}

  public static void main(String[] arguments) {
    Streams.run(topology());
  }

  private static Topology topology() {
    StreamsBuilder builder = new StreamsBuilder();
    outcomes(builder)
        .groupBy(
            (id, outcome) -> outcome.model,
            Grouped.with("by-model", Serdes.String(), Streams.json(Outcome.class)))
        .windowedBy(TimeWindows.ofSizeAndGrace(WINDOW, HORIZON.multipliedBy(2)))
        .aggregate(
            Tally::new,
            (model, outcome, tally) -> add(tally, outcome),
            Materialized.<String, Tally, WindowStore<Bytes, byte[]>>as("tallies")
                .withKeySerde(Serdes.String())
                .withValueSerde(Streams.TALLY))
        .toStream()
        .map(
            (window, tally) -> {
              long startMs = window.window().start();
              return KeyValue.pair(
                  window.key() + "|" + startMs, tally.toJson(window.key(), startMs, null));
            })
        .to(Job.output(), Produced.with(Serdes.String(), Serdes.ByteArray()));
    return builder.build();
  }

  private static KStream<String, Outcome> outcomes(StreamsBuilder builder) {
    Serde<Prediction> prediction = Streams.json(Prediction.class);
    Serde<Label> label = Streams.json(Label.class);
    JoinWindows labelWithinHorizon =
        JoinWindows.ofTimeDifferenceAndGrace(HORIZON, Duration.ofMinutes(10))
            .before(Duration.ZERO)
            .after(HORIZON);
    return source(builder, Job.predictions(), prediction)
        .join(
            source(builder, Job.labels(), label),
            (Prediction left, Label right) -> new Outcome(left, right),
            labelWithinHorizon,
            StreamJoined.with(Serdes.String(), prediction, label)
                .withName("join")
                .withStoreName("join"))
        .process(AtPrediction::new);
  }

  private static <V> KStream<String, V> source(StreamsBuilder builder, String topic, Serde<V> serde) {
    return builder.stream(
            topic,
            Consumed.with(Serdes.String(), serde).withTimestampExtractor(Streams.EVENT_TIME))
        .peek((key, value) -> Progress.CONSUMED.incrementAndGet());
  }

  private static Tally add(Tally tally, Outcome outcome) {
    Progress.AGGREGATED.incrementAndGet();
    return tally.add(outcome.prediction, outcome.label, outcome.score);
  }

  /** A join gives its result the later of the two times; the window goes by the prediction's. */
  private static final class AtPrediction
      extends ContextualProcessor<String, Outcome, String, Outcome> {
    @Override
    public void process(Record<String, Outcome> record) {
      context().forward(record.withTimestamp(record.value().timeMs));
    }
  }
}
