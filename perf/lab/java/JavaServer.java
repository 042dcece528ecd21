import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.Socket;
import java.util.Properties;
import net.i2p.I2PAppContext;
import net.i2p.client.I2PClientFactory;
import net.i2p.client.streaming.I2PServerSocket;
import net.i2p.client.streaming.I2PSocket;
import net.i2p.client.streaming.I2PSocketManager;
import net.i2p.client.streaming.I2PSocketManagerFactory;
import net.i2p.crypto.SigType;

/**
 * Offers a TCP server to streams by the I2CP interface of a router.
 *
 * <p>Arguments: address and port of I2CP, a file for keys, address and port of the server, further options of the session. The first line of
 * the output is the .b32.i2p name.
 */
public final class JavaServer {
    public static void main(String[] arguments) throws Exception {
        I2PAppContext.getGlobalContext().clock().setOffset(1500, true); // as JavaClient does, and why
        File keys = new File(arguments[2]);
        if (!keys.exists()) {
            try (OutputStream out = new FileOutputStream(keys)) {
                I2PClientFactory.createClient().createDestination(out, SigType.EdDSA_SHA512_Ed25519);
            }
        }
        Properties options = new Properties();
        options.setProperty("i2cp.leaseSetEncType", "4");
        for (String way : new String[] {"inbound", "outbound"}) {
            options.setProperty(way + ".length", "1");
            options.setProperty(way + ".quantity", "2");
        }
        for (int i = 5; i < arguments.length; i++) {
            options.setProperty(arguments[i].split("=")[0], arguments[i].split("=", 2)[1]);
        }
        I2PSocketManager manager;
        try (InputStream in = new FileInputStream(keys)) {
            manager = I2PSocketManagerFactory.createManager(in, arguments[0], Integer.parseInt(arguments[1]), options);
        }
        System.out.println(manager.getSession().getMyDestination().toBase32());
        I2PServerSocket server = manager.getServerSocket();
        while (true) {
            I2PSocket stream = server.accept();
            if (stream != null) {
                Socket socket = new Socket(arguments[3], Integer.parseInt(arguments[4]));
                carry(stream.getInputStream(), socket.getOutputStream(), socket::shutdownOutput);
                carry(socket.getInputStream(), stream.getOutputStream(), stream::close);
            }
        }
    }

    private interface End {
        void run() throws IOException;
    }

    private static void carry(InputStream in, OutputStream out, End end) {
        Thread thread = new Thread(() -> {
            byte[] buffer = new byte[1 << 16];
            try {
                for (int n; (n = in.read(buffer)) >= 0; ) {
                    out.write(buffer, 0, n);
                    out.flush();
                }
                end.run();
            } catch (IOException e) {
                System.out.println("carry: " + e);
            }
        });
        thread.setDaemon(true);
        thread.start();
    }
}
