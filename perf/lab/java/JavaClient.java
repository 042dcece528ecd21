import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.Properties;
import net.i2p.I2PAppContext;
import net.i2p.client.streaming.I2PSocket;
import net.i2p.client.streaming.I2PSocketManager;
import net.i2p.client.streaming.I2PSocketManagerFactory;
import net.i2p.data.Destination;

/**
 * Downloads one file over streaming by the I2CP interface of a router, and tries again until a limit in seconds is over.
 *
 * <p>Arguments: address and port of I2CP, http://NAME.b32.i2p/PATH, the limit, further options of the session. The last line of the output is
 * {@code sha256 DIGEST SIZE MILLISECONDS} if it arrived whole.
 */
public final class JavaClient {
    public static void main(String[] arguments) throws Exception {
        // The streaming library lets the router expire a packet half a second before the resend is due. On a network
        // without latency a resend is due sooner than that, and every packet would be expired at birth: live ahead.
        I2PAppContext.getGlobalContext().clock().setOffset(1500, true);
        Properties options = new Properties();
        options.setProperty("i2cp.leaseSetEncType", "4,0"); // i2pd's servers take ECIES only, the library's default is ElGamal
        for (String way : new String[] {"inbound", "outbound"}) {
            options.setProperty(way + ".length", "1");
            options.setProperty(way + ".quantity", "2");
        }
        for (int i = 4; i < arguments.length; i++) {
            options.setProperty(arguments[i].split("=")[0], arguments[i].split("=", 2)[1]);
        }
        I2PSocketManager manager =
            I2PSocketManagerFactory.createManager(arguments[0], Integer.parseInt(arguments[1]), options);
        if (manager == null) {
            System.out.println("no I2CP session");
            System.exit(1);
        }
        URI uri = new URI(arguments[2]);
        long end = System.currentTimeMillis() + 1000L * Integer.parseInt(arguments[3]);
        while (System.currentTimeMillis() < end) {
            try {
                fetch(manager, uri);
                System.exit(0);
            } catch (IOException e) {
                System.out.println("try: " + e);
                Thread.sleep(2000);
            }
        }
        System.exit(1);
    }

    private static void fetch(I2PSocketManager manager, URI uri) throws Exception {
        Destination server = manager.getSession().lookupDest(uri.getHost(), 15000);
        if (server == null) throw new IOException("no LeaseSet");
        long begin = System.currentTimeMillis();
        I2PSocket socket = manager.connect(server);
        String request = "GET " + uri.getPath() + " HTTP/1.1\r\nHost: " + uri.getHost() + "\r\nConnection: close\r\n\r\n";
        socket.getOutputStream().write(request.getBytes(StandardCharsets.US_ASCII));
        socket.getOutputStream().flush();
        InputStream in = socket.getInputStream();
        long expected = head(in), size = 0;
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        byte[] chunk = new byte[65536];
        for (int count; size < expected && (count = in.read(chunk)) > 0; size += count) digest.update(chunk, 0, count);
        socket.close();
        if (size != expected) throw new IOException(size + " of " + expected + " bytes");
        StringBuilder hex = new StringBuilder();
        for (byte b : digest.digest()) hex.append(String.format("%02x", b));
        System.out.println("sha256 " + hex + " " + size + " " + (System.currentTimeMillis() - begin));
    }

    /** Reads the head of an HTTP answer byte by byte, and returns the Content-Length. */
    private static long head(InputStream in) throws IOException {
        StringBuilder head = new StringBuilder();
        while (head.indexOf("\r\n\r\n") < 0) {
            int next = in.read();
            if (next < 0 || head.length() > 8192) throw new IOException("no head of an answer: " + head);
            head.append((char) next);
        }
        for (String line : head.toString().split("\r\n"))
            if (line.toLowerCase().startsWith("content-length:")) return Long.parseLong(line.substring(15).trim());
        throw new IOException("no Content-Length: " + head);
    }
}
