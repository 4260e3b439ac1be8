package driftline.peers;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonProperty;

/** What a model said, without the features, which this job does not use. */
@JsonIgnoreProperties(ignoreUnknown = true)
public class Prediction {
  @JsonProperty("prediction_id")
  public String id;

  @JsonProperty("timestamp_ms")
  public long timeMs;

  public String model;
  public int prediction;
  public double score;
}
