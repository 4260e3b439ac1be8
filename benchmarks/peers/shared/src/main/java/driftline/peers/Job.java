package driftline.peers;

/** What the harness tells a job, through the environment. */
public final class Job {
  public static final long WINDOW_MS = 60_000;
  public static final long HORIZON_MS = 3_600_000;

  private Job() {}

  public static String servers() {
    return variable("PEER_SERVERS");
  }

  public static String predictions() {
    return variable("PEER_PREDICTIONS");
  }

  public static String labels() {
    return variable("PEER_LABELS");
  }

  public static String output() {
    return variable("PEER_OUTPUT");
  }

  /** A name that no other run has: for consumer groups, transactions, internal topics. */
  public static String application() {
    return variable("PEER_APPLICATION");
  }

  /** A folder of this run's own. */
  public static String folder() {
    return variable("PEER_FOLDER");
  }

  /** One of the engine's variants, such as `eos`. */
  public static String variant() {
    return variable("PEER_VARIANT");
  }

  public static boolean exactlyOnce() {
    return variant().equals("eos");
  }

  private static String variable(String name) {
    String value = System.getenv(name);
    if (value == null) throw new IllegalStateException(name + " is not set");
    return value;
  }
}
