package brindle.clients.replicas;

import static brindle.clients.Judge.holds;

import java.io.File;
import java.io.IOException;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.exceptions.JedisConnectionException;
import redis.clients.jedis.exceptions.JedisDataException;

/** A primary and its replicas as processes of this program, which a check may kill and start again. */
final class Nodes implements AutoCloseable {
    static final String HOST = "127.0.0.1";

    /** How long a start, and the link of a replica, may take. */
    private static final long READY_SECONDS_MAX = 25;

    final Node primary;
    /** Those that follow the primary; a check takes out what it has promoted. */
    final List<Node> replicas = new ArrayList<>();
    private final List<Node> all = new ArrayList<>();

    /** Starts a primary and so many replicas, and returns when all links are up and the primary lists them all. */
    Nodes(String program, int count) throws Exception {
        primary = new Node(program);
        all.add(primary);
        // Whatever ends this program ends them, too.
        Runtime.getRuntime().addShutdownHook(new Thread(this::close));
        for (int index = 0; index < count; index++) {
            replicas.add(new Node(program));
        }
        all.addAll(replicas);
        try {
            primary.start();
            for (Node replica : replicas) {
                replica.start("--replicaof", HOST, String.valueOf(primary.port));
            }
            untilLinked();
        } catch (Exception problem) {
            close();
            throw problem;
        }
    }

    /** Until every replica that runs has its link, and the primary calls each of them online. */
    void untilLinked() throws Exception {
        until("all replicas are online", () -> {
            for (Node replica : replicas) {
                try (Jedis jedis = replica.connect()) {
                    if (!jedis.info("replication").contains("master_link_status:up") || !isLoaded(jedis)) {
                        return false;
                    }
                }
            }
            return primary.info("replication").split("state=online", -1).length - 1 == replicas.size();
        });
    }

    /** Until every replica that runs has what the primary has. */
    void untilAlike() throws Exception {
        try (Jedis jedis = primary.connect()) {
            // A connection waits for what it has itself written, which is behind all that was written before.
            jedis.set("alike", "x");
            long alive = replicas.stream().filter(Node::runs).count();
            holds(jedis.waitReplicas((int) alive, 20_000) >= alive, primary.info("replication"));
        }
    }

    /** How often all replicas together have run a command since the last {@link #forgetCalls}. */
    long callsOfReplicas(String command) {
        return replicas.stream().filter(Node::runs).mapToLong(replica -> replica.calls(command)).sum();
    }

    void forgetCalls() {
        for (Node node : all) {
            if (node.runs()) {
                try (Jedis jedis = node.connect()) {
                    jedis.configResetStat();
                }
            }
        }
    }

    @Override
    public void close() {
        all.forEach(Node::remove);
    }

    /** One server, on a port of its own that outlives it. */
    static final class Node {
        final int port;
        private final String program;
        private final Path folder;
        private Process process;
        private String[] last = {};

        private Node(String program) throws IOException {
            this.program = program;
            try (ServerSocket free = new ServerSocket(0)) {
                port = free.getLocalPort();
            }
            folder = Files.createTempDirectory("brindle-clients-");
        }

        HostAndPort address() {
            return new HostAndPort(HOST, port);
        }

        void start(String... arguments) throws Exception {
            List<String> command = new ArrayList<>(List.of(program, "--port", String.valueOf(port), "--bind", HOST,
                    "--save", "", "--dir", folder.toString(), "--repl-diskless-sync-delay", "0"));
            command.addAll(List.of(arguments));
            last = arguments;
            process = new ProcessBuilder(command)
                    .redirectErrorStream(true)
                    .redirectOutput(ProcessBuilder.Redirect.appendTo(folder.resolve("server.log").toFile()))
                    .start();
            until("the server on port " + port + " answers", () -> {
                holds(process.isAlive(), "the server has ended: " + Files.readString(folder.resolve("server.log")));
                try (Jedis jedis = connect()) {
                    return jedis.ping().equals("PONG");
                } catch (JedisConnectionException notYet) {
                    return false;
                } catch (JedisDataException loading) {
                    // A replica that starts may be loading its first copy already.
                    holds(loading.getMessage().startsWith("LOADING"), loading);
                    return true;
                }
            });
        }

        /** Starts it again as it was started last. */
        void startAgain() throws Exception {
            start(last);
        }

        /** SIGKILL; returns when it is gone. */
        void kill() {
            if (process != null) {
                process.destroyForcibly().onExit().orTimeout(READY_SECONDS_MAX, TimeUnit.SECONDS).join();
            }
        }

        private void remove() {
            kill();
            // A copy that was broken off may have left a file as well.
            File[] files = folder.toFile().listFiles();
            for (File file : files == null ? new File[0] : files) {
                file.delete();
            }
            folder.toFile().delete();
        }

        boolean runs() {
            return process != null && process.isAlive();
        }

        Jedis connect() {
            return new Jedis(HOST, port);
        }

        String info(String section) {
            try (Jedis jedis = connect()) {
                return jedis.info(section);
            }
        }

        /** How often it has run a command, by its own count. */
        long calls(String command) {
            Matcher found = Pattern.compile("cmdstat_" + command + ":calls=(\\d+)").matcher(info("commandstats"));
            return found.find() ? Long.parseLong(found.group(1)) : 0;
        }
    }

    private static boolean isLoaded(Jedis jedis) {
        return jedis.info("persistence").contains("loading:0\r\n");
    }

    interface Condition {
        boolean holds() throws Exception;
    }

    static void until(String what, Condition condition) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(READY_SECONDS_MAX);
        while (!condition.holds()) {
            holds(System.nanoTime() < end, "never: " + what);
            Thread.sleep(20);
        }
    }
}
