package driftline.peers;

import java.util.concurrent.atomic.AtomicLong;

/** Tells the harness how far the job is: a line `P <seconds> <consumed> <aggregated>`. */
public final class Progress {
  public static final AtomicLong CONSUMED = new AtomicLong();
  public static final AtomicLong AGGREGATED = new AtomicLong();
  private static final long INTERVAL_MS = 200;

  private Progress() {}

  /** Reports from now on, in a thread of its own. */
  public static void start() {
    Thread thread = new Thread(Progress::report, "progress");
    thread.setDaemon(true);
    thread.start();
  }

  private static void report() {
    try {
      while (true) {
        Thread.sleep(INTERVAL_MS);
        tell();
      }
    } catch (InterruptedException end) {
      Thread.currentThread().interrupt();
    }
  }

  /** Writes one line. */
  public static void tell() {
    double seconds = System.currentTimeMillis() / 1000.0;
    System.out.println("P " + seconds + " " + CONSUMED.get() + " " + AGGREGATED.get());
    System.out.flush();
  }
}
