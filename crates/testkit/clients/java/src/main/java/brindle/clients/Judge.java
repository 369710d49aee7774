package brindle.clients;

import java.time.Duration;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import redis.clients.jedis.Jedis;

/** Runs checks, counts them, and holds what they share. */
public final class Judge {
    /** A check; whatever it throws fails it. */
    public interface Check {
        void run() throws Exception;
    }

    /** How long a check may take: a reply that never comes fails it. */
    private static final Duration CHECK_MAX = Duration.ofSeconds(30);

    private static final ExecutorService THREADS = Executors.newCachedThreadPool(task -> {
        Thread thread = new Thread(task);
        thread.setDaemon(true);
        return thread;
    });

    public final String host;
    public final int port;
    private int passed;
    private int failed;

    Judge(String host, int port) {
        this.host = host;
        this.port = port;
    }

    public void check(String name, Check check) {
        try {
            try (Jedis jedis = new Jedis(host, port)) {
                jedis.flushAll();
            }
            later(() -> {
                check.run();
                return null;
            }).get(CHECK_MAX.toSeconds(), TimeUnit.SECONDS);
            passed++;
            System.out.println("ok " + name);
        } catch (Throwable problem) {
            failed++;
            System.out.println("not ok " + name);
            tell(problem instanceof ExecutionException ? problem.getCause() : problem);
        }
    }

    /** Prints what went wrong and where in these programs; the libraries' own frames say little. */
    private static void tell(Throwable problem) {
        for (Throwable cause = problem; cause != null; cause = cause.getCause()) {
            System.out.println("    " + cause);
        }
        for (StackTraceElement frame : problem.getStackTrace()) {
            if (frame.getClassName().startsWith("brindle.")) {
                System.out.println("    at " + frame);
            }
        }
    }

    /** Prints the counts and says whether every check passed. */
    boolean summary() {
        System.out.println(passed + " checks passed, " + failed + " failed");
        return failed == 0;
    }

    /** Runs a task in another thread. */
    public static <T> Future<T> later(Callable<T> task) {
        return THREADS.submit(task);
    }

    public static void equal(Object found, Object wanted) {
        if (!Objects.equals(found, wanted)) {
            throw new AssertionError("found " + found + ", wanted " + wanted);
        }
    }

    public static void holds(boolean condition, Object found) {
        if (!condition) {
            throw new AssertionError("found " + found);
        }
    }

    /** The call throws, and a message in the chain of causes begins with that text. */
    public static void refused(String text, Callable<?> call) throws Exception {
        Object found;
        try {
            found = call.call();
        } catch (RuntimeException problem) {
            for (Throwable cause = problem; cause != null; cause = cause.getCause()) {
                if (cause.getMessage() != null && cause.getMessage().startsWith(text)) {
                    return;
                }
            }
            throw problem;
        }
        throw new AssertionError("wanted the error " + text + ", found " + found);
    }

    public static void eventually(String what, BooleanSupplier condition) throws InterruptedException {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(10);
        while (!condition.getAsBoolean()) {
            holds(System.nanoTime() < end, "never: " + what);
            Thread.sleep(5);
        }
    }
}
