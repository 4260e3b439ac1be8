package driftline.peers;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import java.io.IOException;
import org.apache.flink.api.common.serialization.AbstractDeserializationSchema;

/** Decodes a value and counts it as consumed. */
public final class FromJson<T> extends AbstractDeserializationSchema<T> {
  private final Class<T> type;
  private transient ObjectReader reader;

  public FromJson(Class<T> type) {
    super(type);
    this.type = type;
  }

  @Override
  public void open(InitializationContext context) {
    reader = new ObjectMapper().readerFor(type);
  }

  @Override
  public T deserialize(byte[] value) throws IOException {
    Progress.CONSUMED.incrementAndGet();
    return reader.readValue(value);
  }
}
