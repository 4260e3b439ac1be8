package driftline.peers;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonProperty;

/** What turned out to be true. */
@JsonIgnoreProperties(ignoreUnknown = true)
public class Label {
  @JsonProperty("prediction_id")
  public String id;

  @JsonProperty("timestamp_ms")
  public long timeMs;

  public int label;
}
