import java.io.EOFException;
import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Properties;
import java.util.Random;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import net.i2p.I2PAppContext;
import net.i2p.client.I2PClientFactory;
import net.i2p.client.streaming.I2PServerSocket;
import net.i2p.client.streaming.I2PSocket;
import net.i2p.client.streaming.I2PSocketManager;
import net.i2p.client.streaming.I2PSocketManagerFactory;
import net.i2p.crypto.Blinding;
import net.i2p.crypto.EncType;
import net.i2p.crypto.SigType;
import net.i2p.data.Base64;
import net.i2p.data.BlindData;
import net.i2p.data.Destination;
import net.i2p.data.PrivateKey;

/**
 * Streams that send back what they get, by the I2CP interface of any router.
 *
 * <p>Arguments: address and port of I2CP, options of the session as {@code a=b,c=d;e} (where a
 * semicolon is a comma of the value), then
 * {@code serve KEYS}, which prints its .b32.i2p name and takes streams for ever, or
 * {@code call NAME LIMIT STREAMSxBYTES...}: for each it begins so many streams at once, sends so many bytes by each, and prints
 * {@code echoed STREAMSxBYTES MILLISECONDS} when all have come back unchanged. With the option {@code echo.psk} or
 * {@code echo.dh} it tells the router that the LeaseSet is read with this key.
 */
public final class JavaEcho {
    private static final byte[] END = new byte[0];

    public static void main(String[] arguments) throws Exception {
        I2PAppContext.getGlobalContext().clock().setOffset(1500, true); // as JavaClient does, and why
        Properties options = new Properties();
        options.setProperty("i2cp.leaseSetEncType", "4");
        for (String way : new String[] {"inbound", "outbound"}) {
            options.setProperty(way + ".length", "2");
            options.setProperty(way + ".quantity", "2");
        }
        for (String option : arguments[2].split(",")) {
            if (option.contains("=")) options.setProperty(option.split("=")[0], option.split("=", 2)[1].replace(';', ','));
        }
        File keys = arguments[3].equals("serve") ? new File(arguments[4]) : File.createTempFile("echo", ".keys");
        if (keys.length() == 0) {
            try (OutputStream out = new FileOutputStream(keys)) {
                I2PClientFactory.createClient().createDestination(out, SigType.EdDSA_SHA512_Ed25519);
            }
        }
        I2PSocketManager manager;
        try (InputStream in = new FileInputStream(keys)) {
            manager = I2PSocketManagerFactory.createManager(in, arguments[0], Integer.parseInt(arguments[1]), options);
        }
        if (manager == null) {
            System.out.println("no I2CP session");
            System.exit(1);
        }
        if (arguments[3].equals("serve")) {
            serve(manager);
        } else {
            for (String scheme : new String[] {"psk", "dh"}) {
                String key = options.getProperty("echo." + scheme);
                if (key != null) tell(manager, arguments[4], key, scheme.equals("psk") ? BlindData.AUTH_PSK : BlindData.AUTH_DH);
            }
            call(manager, arguments);
        }
        System.exit(0);
    }

    private static void serve(I2PSocketManager manager) throws Exception {
        System.out.println(manager.getSession().getMyDestination().toBase32());
        I2PServerSocket server = manager.getServerSocket();
        while (true) {
            I2PSocket stream = server.accept();
            if (stream != null) new Thread(() -> echo(stream)).start();
        }
    }

    /**
     * Reads on while it cannot write: a stream that nobody reads for a moment drops what comes, and its sender then pauses for longer and
     * longer, up to a minute.
     */
    private static void echo(I2PSocket stream) {
        BlockingQueue<byte[]> read = new LinkedBlockingQueue<>();
        new Thread(() -> write(stream, read)).start();
        byte[] buffer = new byte[65536];
        try (InputStream in = stream.getInputStream()) {
            for (int n; (n = in.read(buffer)) >= 0; ) read.add(Arrays.copyOf(buffer, n));
        } catch (IOException e) {
            System.out.println("echo: " + e);
        }
        read.add(END);
    }

    private static void write(I2PSocket stream, BlockingQueue<byte[]> read) {
        try (OutputStream out = stream.getOutputStream()) {
            for (byte[] next; (next = read.take()) != END; ) {
                out.write(next);
                if (read.isEmpty()) out.flush();
            }
        } catch (IOException | InterruptedException e) {
            System.out.println("echo: " + e);
        }
    }

    private static void call(I2PSocketManager manager, String[] arguments) throws Exception {
        long end = System.currentTimeMillis() + 1000L * Integer.parseInt(arguments[5]);
        Destination server = null;
        while (server == null && System.currentTimeMillis() < end) server = manager.getSession().lookupDest(arguments[4], 15000);
        if (server == null) {
            System.out.println("no LeaseSet");
            System.exit(1);
        }
        for (String round : Arrays.asList(arguments).subList(6, arguments.length)) {
            int streams = Integer.parseInt(round.split("x")[0]), bytes = Integer.parseInt(round.split("x")[1]);
            while (true) {
                long begin = System.currentTimeMillis();
                try {
                    round(manager, server, streams, bytes);
                    System.out.println("echoed " + round + " " + (System.currentTimeMillis() - begin));
                    break;
                } catch (Exception e) {
                    System.out.println("try " + round + ": " + e);
                    if (System.currentTimeMillis() > end) System.exit(1);
                    Thread.sleep(2000);
                }
            }
        }
    }

    /** Tells the router with which key a LeaseSet is read. */
    private static void tell(I2PSocketManager manager, String name, String key, int scheme) throws Exception {
        I2PAppContext context = I2PAppContext.getGlobalContext();
        BlindData who = Blinding.decode(context, name);
        PrivateKey ours = new PrivateKey(EncType.ECIES_X25519, Base64.decode(key));
        who = new BlindData(context, who.getUnblindedPubKey(), SigType.RedDSA_SHA512_Ed25519, null, scheme, ours);
        manager.getSession().sendBlindingInfo(who);
    }

    private static void round(I2PSocketManager manager, Destination server, int streams, int bytes) throws Exception {
        ExecutorService threads = Executors.newCachedThreadPool();
        List<Future<Void>> all = new ArrayList<>();
        for (int i = 0; i < streams; i++) {
            int seed = i;
            Callable<Void> one = () -> exchange(manager.connect(server), seed, bytes, threads);
            all.add(threads.submit(one));
        }
        try {
            for (Future<Void> one : all) one.get();
        } finally {
            threads.shutdownNow();
        }
    }

    private static Void exchange(I2PSocket stream, int seed, int bytes, ExecutorService threads) throws Exception {
        byte[] sent = new byte[bytes];
        new Random(seed).nextBytes(sent);
        threads.submit(() -> {
            OutputStream out = stream.getOutputStream();
            out.write(sent);
            out.flush();
            return null;
        });
        byte[] came = new byte[bytes];
        InputStream in = stream.getInputStream();
        for (int at = 0, n; at < bytes; at += n) {
            n = in.read(came, at, bytes - at);
            if (n < 0) throw new EOFException("after " + at + " of " + bytes + " bytes");
        }
        stream.close();
        if (!Arrays.equals(sent, came)) throw new IOException("other bytes came back");
        return null;
    }
}
