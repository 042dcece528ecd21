import com.sun.net.httpserver.HttpServer;
import java.lang.reflect.Field;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import net.i2p.data.Base64;
import net.i2p.data.Hash;
import net.i2p.router.Router;
import net.i2p.router.RouterContext;
import net.i2p.router.RouterVersion;
import net.i2p.router.transport.Transport;
import net.i2p.router.transport.ntcp.NTCPConnection;
import net.i2p.router.transport.ntcp.NTCPTransport;
import net.i2p.router.transport.udp.PeerState;
import net.i2p.router.transport.udp.UDPTransport;

/**
 * A Java I2P router with a plain-text status page: the jars in public registries have no console.
 *
 * <p>Arguments: address and port of the page. {@code /} tells the state, {@code /knows?HASH} whether a RouterInfo is in
 * the netDb, {@code /accept} lifts the refusal of transit tunnels in the first minutes after start.
 */
public final class JavaPeer {
    private final RouterContext context;

    private JavaPeer(RouterContext context) {
        this.context = context;
    }

    public static void main(String[] arguments) throws Exception {
        Router router = new Router();
        router.setKillVMOnEnd(true);
        router.runRouter();
        JavaPeer peer = new JavaPeer(router.getContext());
        peer.serve(arguments[0], Integer.parseInt(arguments[1]));
        peer.forgive();
    }

    private void serve(String address, int port) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress(address, port), 8);
        server.createContext("/", exchange -> {
            String text;
            try {
                text = answer(exchange.getRequestURI().getPath(), exchange.getRequestURI().getQuery());
            } catch (Exception e) {
                text = "error " + e + "\n";
            }
            byte[] body = text.getBytes(StandardCharsets.UTF_8);
            exchange.sendResponseHeaders(200, body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        server.start();
    }

    private String answer(String path, String query) throws Exception {
        switch (path) {
            case "/accept":
                return accept();
            case "/knows":
                return context.netDb().lookupRouterInfoLocally(new Hash(Base64.decode(query))) == null ? "no\n" : "yes\n";
            default:
                return status();
        }
    }

    /**
     * Takes back bans that come of the young network and of the cases, not of the banned. The netDb of a starting router
     * sends before the transports are up, and bans the floodfill it sent to for its own silence; and whoever cannot be
     * called, because it is not up or a case forbids the call, could not call us either.
     */
    private void forgive() throws InterruptedException {
        for (int i = 0; i < 240; i++) {
            for (Map.Entry<Hash, ?> ban : context.banlist().getEntries().entrySet()) {
                String cause = cause(ban.getValue());
                if (cause.startsWith("No transports") || cause.startsWith("Unreachable")) context.banlist().unbanlistRouter(ban.getKey());
            }
            Thread.sleep(500);
        }
    }

    private String accept() throws ReflectiveOperationException {
        Object throttle = context.throttle();
        Field limit = throttle.getClass().getDeclaredField("_rejectStartupTime");
        limit.setAccessible(true);
        limit.setLong(throttle, 0L);
        return "rejectStartupTime " + limit.getLong(throttle) + "\n";
    }

    private String status() {
        StringBuilder page = new StringBuilder();
        line(page, "version", RouterVersion.FULL_VERSION);
        line(page, "uptime_s", context.router().getUptime() / 1000);
        line(page, "caps", context.router().getRouterInfo().getCapabilities());
        line(page, "status", context.commSystem().getStatus());
        line(page, "transit_state", context.throttle().getTunnelStatus());
        line(page, "transit", context.tunnelManager().getParticipatingCount());
        line(page, "routers", context.netDb().getKnownRouters());
        line(page, "leasesets", context.netDb().getKnownLeaseSets());
        line(page, "exploratory_in", context.tunnelManager().getFreeTunnelCount());
        line(page, "exploratory_out", context.tunnelManager().getOutboundTunnelCount());
        for (Transport transport : context.commSystem().getTransports().values()) {
            if (transport instanceof NTCPTransport)
                for (NTCPConnection c : ((NTCPTransport) transport).getPeers())
                    line(page, "NTCP2", address(c.getRemoteIP()) + (c.isInbound() ? " in" : " out")
                        + " up_s=" + c.getUptime() / 1000 + " sent=" + c.getMessagesSent() + " received=" + c.getMessagesReceived());
            if (transport instanceof UDPTransport)
                for (PeerState p : ((UDPTransport) transport).getPeers())
                    line(page, "SSU2", address(p.getRemoteIP()) + (p.isInbound() ? " in" : " out")
                        + " sent=" + p.getMessagesSent() + " received=" + p.getMessagesReceived());
        }
        for (Map.Entry<Hash, ?> ban : context.banlist().getEntries().entrySet())
            line(page, "banned", ban.getKey().toBase64() + " " + cause(ban.getValue()));
        return page.toString();
    }

    /** The banlist's entries have a class that is not public, with the cause in a field that is. */
    private static String cause(Object entry) {
        try {
            Field field = entry.getClass().getField("cause");
            return String.valueOf(field.get(entry)).replaceAll("<[^>]*>", " ");
        } catch (ReflectiveOperationException e) {
            return "?";
        }
    }

    private static void line(StringBuilder page, String name, Object value) {
        page.append(name).append(' ').append(value).append('\n');
    }

    private static String address(byte[] bytes) {
        try {
            return InetAddress.getByAddress(bytes).getHostAddress();
        } catch (UnknownHostException e) {
            return "?";
        }
    }
}
