package driftline.peers;

/** A prediction with its label; the time is the prediction's. */
public class Outcome {
  public String model;
  public long timeMs;
  public int prediction;
  public int label;
  public double score;

  public Outcome() {}

  public Outcome(Prediction prediction, Label label) {
    this.model = prediction.model;
    this.timeMs = prediction.timeMs;
    this.prediction = prediction.prediction;
    this.score = prediction.score;
    this.label = label.label;
  }
}
