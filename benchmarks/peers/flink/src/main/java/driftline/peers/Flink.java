package driftline.peers;

import java.time.Duration;
import org.apache.flink.api.common.eventtime.SerializableTimestampAssigner;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.CoreOptions;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.configuration.RestOptions;
import org.apache.flink.configuration.StateBackendOptions;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.sink.KafkaSinkBuilder;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.core.execution.CheckpointingMode;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.co.ProcessJoinFunction;
import org.apache.flink.streaming.api.functions.windowing.ProcessWindowFunction;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;

/** The job as a DataStream program: interval join, then a tumbling window by model. */
public final class Flink {
  private static final Duration CHECKPOINT_INTERVAL = Duration.ofSeconds(5);
  private static final Duration DISORDER = Duration.ofSeconds(5);
  private static final Duration HORIZON = Duration.ofMillis(Job.HORIZON_MS);

  private Flink() {}

  public static void main(String[] arguments) throws Exception {
    StreamExecutionEnvironment environment =
        StreamExecutionEnvironment.getExecutionEnvironment(configuration());
    environment.setParallelism(1);
    tallies(outcomes(environment)).sinkTo(sink());
    Progress.start();
    environment.execute("peers");
    Progress.tell();
    Thread.currentThread().join(); // all is read and written; the harness ends the process
  }

  private static Configuration configuration() {
    Configuration configuration = new Configuration();
    configuration.set(StateBackendOptions.STATE_BACKEND, "hashmap");
    configuration.set(PipelineOptions.OBJECT_REUSE, true);
    configuration.set(CoreOptions.DEFAULT_PARALLELISM, 1);
    configuration.set(RestOptions.PORT, 0);
    if (Job.exactlyOnce()) {
      configuration.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, CHECKPOINT_INTERVAL);
      configuration.set(
          CheckpointingOptions.CHECKPOINTING_CONSISTENCY_MODE, CheckpointingMode.EXACTLY_ONCE);
      configuration.set(CheckpointingOptions.CHECKPOINT_STORAGE, "filesystem");
      configuration.set(
          CheckpointingOptions.CHECKPOINTS_DIRECTORY, "file://" + Job.folder() + "/checkpoints");
    }
    return configuration;
  }

  private static DataStream<Outcome> outcomes(StreamExecutionEnvironment environment) {
    DataStream<Prediction> predictions =
        source(environment, Job.predictions(), Prediction.class, (value, time) -> value.timeMs);
    DataStream<Label> labels =
        source(environment, Job.labels(), Label.class, (value, time) -> value.timeMs);
    return predictions
        .keyBy(prediction -> prediction.id)
        .intervalJoin(labels.keyBy(label -> label.id))
        .between(Duration.ZERO, HORIZON)
        .process(new Join(), TypeInformation.of(Outcome.class))
        // A joined record has the later of the two times; the window goes by the prediction's,
        // and a label may come an hour after it.
        .assignTimestampsAndWatermarks(
            WatermarkStrategy.<Outcome>forBoundedOutOfOrderness(HORIZON)
                .withTimestampAssigner((outcome, time) -> outcome.timeMs));
  }

  private static <T> DataStream<T> source(
      StreamExecutionEnvironment environment,
      String topic,
      Class<T> type,
      SerializableTimestampAssigner<T> eventTime) {
    KafkaSource<T> source =
        KafkaSource.<T>builder()
            .setBootstrapServers(Job.servers())
            .setTopics(topic)
            .setGroupId(Job.application())
            .setStartingOffsets(OffsetsInitializer.earliest())
            .setBounded(OffsetsInitializer.latest())
            .setValueOnlyDeserializer(new FromJson<>(type))
            .build();
    WatermarkStrategy<T> watermarks =
        WatermarkStrategy.<T>forBoundedOutOfOrderness(DISORDER).withTimestampAssigner(eventTime);
    return environment.fromSource(source, watermarks, topic, TypeInformation.of(type));
  }

  private static DataStream<byte[]> tallies(DataStream<Outcome> outcomes) {
    return outcomes
        .keyBy(outcome -> outcome.model)
        .window(TumblingEventTimeWindows.of(Duration.ofMillis(Job.WINDOW_MS)))
        .aggregate(
            new Count(),
            new Write(),
            TypeInformation.of(Tally.class),
            TypeInformation.of(Tally.class),
            TypeInformation.of(byte[].class));
  }

  private static KafkaSink<byte[]> sink() {
    KafkaSinkBuilder<byte[]> builder =
        KafkaSink.<byte[]>builder()
            .setBootstrapServers(Job.servers())
            .setRecordSerializer(
                KafkaRecordSerializationSchema.<byte[]>builder()
                    .setTopic(Job.output())
                    .setValueSerializationSchema(new Bytes())
                    .build())
            .setProperty("transaction.timeout.ms", "600000");
    if (!Job.exactlyOnce()) {
      return builder.setDeliveryGuarantee(DeliveryGuarantee.AT_LEAST_ONCE).build();
    }
    return builder
        .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
        .setTransactionalIdPrefix(Job.application())
        .build();
  }

  /** Makes an outcome of a prediction and its label. */
  public static final class Join extends ProcessJoinFunction<Prediction, Label, Outcome> {
    @Override
    public void processElement(
        Prediction prediction, Label label, Context context, Collector<Outcome> out) {
      out.collect(new Outcome(prediction, label));
    }
  }

  /** Adds outcomes to the tally of a window. */
  public static final class Count implements AggregateFunction<Outcome, Tally, Tally> {
    @Override
    public Tally createAccumulator() {
      return new Tally();
    }

    @Override
    public Tally add(Outcome outcome, Tally tally) {
      Progress.AGGREGATED.incrementAndGet();
      return tally.add(outcome.prediction, outcome.label, outcome.score);
    }

    @Override
    public Tally getResult(Tally tally) {
      return tally;
    }

    @Override
    public Tally merge(Tally left, Tally right) {
      throw new UnsupportedOperationException("tumbling windows never merge");
    }
  }

  /** Writes the tally of a window that has closed. */
  public static final class Write extends ProcessWindowFunction<Tally, byte[], String, TimeWindow> {
    @Override
    public void process(
        String model, Context context, Iterable<Tally> tallies, Collector<byte[]> out) {
      out.collect(tallies.iterator().next().toJson(model, context.window().getStart(), null));
    }
  }

  /** Leaves bytes as they are. */
  public static final class Bytes implements SerializationSchema<byte[]> {
    @Override
    public byte[] serialize(byte[] bytes) {
      return bytes;
    }
  }
}
