import java.util.List;
import java.util.Map;
import org.opensearch.common.settings.Settings;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.transport.Netty4Plugin;

/** One node of OpenSearch on this machine alone: its folder, its port, the port of its transport. */
public class Single extends Node {
  Single(Settings settings) {
    super(
        InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), null, () -> "single"),
        List.of(Netty4Plugin.class),
        false);
  }

  public static void main(String[] words) throws Exception {
    Settings settings =
        Settings.builder()
            .put("path.home", words[0])
            .put("http.port", words[1])
            .put("transport.port", words[2])
            .put("network.host", "127.0.0.1")
            .put("discovery.type", "single-node")
            .put("cluster.routing.allocation.disk.threshold_enabled", false)
            .put("http.type", "netty4")
            .put("transport.type", "netty4")
            .put("node.store.allow_mmap", false)
            .build();
    new Single(settings).start();
    Thread.currentThread().join();
  }
}
