import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import net.i2p.I2PAppContext;
import net.i2p.client.I2PClientFactory;
import net.i2p.client.I2PSession;
import net.i2p.client.I2PSessionMuxedListener;
import net.i2p.client.datagram.I2PDatagramMaker;
import net.i2p.client.streaming.I2PServerSocket;
import net.i2p.client.streaming.I2PSocket;
import net.i2p.client.streaming.I2PSocketManager;
import net.i2p.client.streaming.I2PSocketManagerFactory;
import net.i2p.crypto.SigType;
import net.i2p.data.Destination;

/**
 * Load by the I2CP interface of any router, through Java's own streaming library.
 *
 * <p>Arguments: address and port of I2CP, options of the sessions as {@code a=b,c=d}, then
 * {@code setup N}: opens so many sessions one after the other, and prints {@code ready SECONDS} of each;
 * {@code hold N SECONDS}: opens so many in that time, prints {@code held N SECONDS}, and keeps them until its input ends;
 * {@code drain}: prints its destination, takes streams and datagrams, and prints {@code received BYTES DATAGRAMS} twice a second;
 * {@code pour DESTINATION STREAMS SECONDS} and {@code rain DESTINATION SECONDS}: sends by streams, or datagrams of 1 kB, and prints
 * {@code begun} when the first of it has left, and {@code sent N} of datagrams.
 */
public final class JavaLoad {
    private static final int AT_ONCE = 50;
    private static final long PATIENCE = 90_000;

    public static void main(String[] arguments) throws Exception {
        I2PAppContext.getGlobalContext().clock().setOffset(1500, true); // as JavaClient does, and why
        String mode = arguments[3];
        switch (mode) {
            case "setup":
                setup(arguments, Integer.parseInt(arguments[4]));
                break;
            case "hold":
                hold(arguments, Integer.parseInt(arguments[4]), seconds(arguments[5]));
                break;
            case "drain":
                drain(open(arguments));
                break;
            case "pour":
                pour(open(arguments), new Destination(arguments[4]), Integer.parseInt(arguments[5]), seconds(arguments[6]));
                break;
            default:
                rain(open(arguments).getSession(), new Destination(arguments[4]), seconds(arguments[5]));
        }
        System.exit(0);
    }

    private static long seconds(String text) {
        return Integer.parseInt(text) * 1_000_000_000L;
    }

    /** A session with tunnels, and new keys. */
    private static I2PSocketManager open(String[] arguments) throws Exception {
        Properties options = new Properties();
        options.setProperty("i2cp.leaseSetEncType", "4");
        options.setProperty("i2cp.dontPublishLeaseSet", "false");
        for (String option : arguments[2].split(",")) {
            if (option.contains("=")) options.setProperty(option.split("=")[0], option.split("=", 2)[1]);
        }
        ByteArrayOutputStream keys = new ByteArrayOutputStream();
        I2PClientFactory.createClient().createDestination(keys, SigType.EdDSA_SHA512_Ed25519);
        InputStream in = new ByteArrayInputStream(keys.toByteArray());
        I2PSocketManager manager = I2PSocketManagerFactory.createManager(in, arguments[0], Integer.parseInt(arguments[1]), options);
        if (manager == null) throw new IOException("no I2CP session");
        return manager;
    }

    private static void setup(String[] arguments, int count) throws Exception {
        for (int n = 0; n < count; n++) {
            long begun = System.nanoTime();
            I2PSocketManager manager = open(arguments);
            System.out.println("ready " + (System.nanoTime() - begun) / 1e9);
            manager.destroySocketManager();
        }
    }

    private static void hold(String[] arguments, int count, long nanos) throws Exception {
        List<I2PSocketManager> held = new ArrayList<>();
        AtomicInteger left = new AtomicInteger(count), failed = new AtomicInteger();
        long begun = System.nanoTime();
        List<Thread> threads = new ArrayList<>();
        for (int n = 0; n < AT_ONCE; n++) {
            Thread thread = new Thread(() -> {
                while (System.nanoTime() - begun < nanos && failed.get() < count && left.getAndDecrement() > 0) {
                    try {
                        I2PSocketManager manager = open(arguments);
                        synchronized (held) {
                            held.add(manager);
                        }
                    } catch (Exception e) {
                        failed.incrementAndGet();
                        System.out.println("failed: " + e.getMessage());
                    }
                }
            });
            threads.add(thread);
            thread.start();
        }
        for (Thread thread : threads) thread.join();
        System.out.println("held " + held.size() + " " + (System.nanoTime() - begun) / 1e9);
        while (System.in.read() >= 0) continue;
    }

    private static void drain(I2PSocketManager manager) throws Exception {
        AtomicLong bytes = new AtomicLong(), datagrams = new AtomicLong();
        I2PSession session = manager.getSession();
        session.addMuxedSessionListener(new I2PSessionMuxedListener() {
            public void messageAvailable(I2PSession s, int id, long size) {}

            public void messageAvailable(I2PSession s, int id, long size, int protocol, int from, int to) {
                try {
                    if (s.receiveMessage(id) != null) datagrams.incrementAndGet();
                } catch (Exception e) {
                    System.out.println("datagram: " + e);
                }
            }

            public void reportAbuse(I2PSession s, int severity) {}

            public void disconnected(I2PSession s) {
                System.out.println("disconnected");
            }

            public void errorOccurred(I2PSession s, String message, Throwable error) {
                System.out.println("error: " + message);
            }
        }, I2PSession.PROTO_DATAGRAM, I2PSession.PORT_ANY);
        System.out.println("destination " + session.getMyDestination().toBase64());
        I2PServerSocket server = manager.getServerSocket();
        new Thread(() -> {
            while (true) {
                try {
                    I2PSocket stream = server.accept();
                    if (stream != null) new Thread(() -> read(stream, bytes)).start();
                } catch (Exception e) {
                    System.out.println("accept: " + e);
                    return;
                }
            }
        }).start();
        while (true) {
            Thread.sleep(500);
            System.out.println("received " + bytes.get() + " " + datagrams.get());
        }
    }

    private static void read(I2PSocket stream, AtomicLong bytes) {
        try (InputStream in = stream.getInputStream()) {
            byte[] buffer = new byte[65536];
            for (int n; (n = in.read(buffer)) >= 0;) bytes.addAndGet(n);
        } catch (IOException e) {
            System.out.println("read: " + e);
        }
    }

    private static void pour(I2PSocketManager manager, Destination to, int streams, long nanos) throws Exception {
        List<I2PSocket> all = new ArrayList<>();
        long patience = System.currentTimeMillis() + PATIENCE;
        while (all.size() < streams) {
            try {
                all.add(manager.connect(to));
            } catch (Exception e) {
                if (System.currentTimeMillis() > patience) throw e;
                Thread.sleep(1000);
            }
        }
        System.out.println("begun");
        byte[] block = new byte[65536];
        new Random(1).nextBytes(block);
        long end = System.nanoTime() + nanos;
        List<Thread> threads = new ArrayList<>();
        for (I2PSocket stream : all) {
            Thread thread = new Thread(() -> {
                try (OutputStream out = stream.getOutputStream()) {
                    while (System.nanoTime() < end) out.write(block);
                } catch (IOException e) {
                    System.out.println("write: " + e);
                }
            });
            thread.setDaemon(true);
            threads.add(thread);
            thread.start();
        }
        Thread.sleep(nanos / 1_000_000 + 2000);
    }

    private static void rain(I2PSession session, Destination to, long nanos) throws Exception {
        byte[] content = new byte[1000];
        new Random(1).nextBytes(content);
        byte[] datagram = new I2PDatagramMaker(session).makeI2PDatagram(content);
        long first = System.nanoTime() + 20_000_000_000L, sent = 0;
        // The LeaseSet and the first handshake are not what is measured.
        for (; System.nanoTime() < first && sent < 20; sent++) {
            session.sendMessage(to, datagram, I2PSession.PROTO_DATAGRAM, 1, 2);
            Thread.sleep(500);
        }
        System.out.println("begun");
        sent = 0;
        for (long end = System.nanoTime() + nanos; System.nanoTime() < end; sent++) {
            session.sendMessage(to, datagram, I2PSession.PROTO_DATAGRAM, 1, 2);
        }
        System.out.println("sent " + sent);
    }
}
