package brindle.clients;

import brindle.clients.replicas.ReplicaChecks;
import brindle.clients.spring.SpringChecks;

/**
 * Drives a server through Jedis, Lettuce and a Spring Boot application, and asserts what it answers.
 *
 * <pre>java -jar clients.jar HOST PORT SERVER</pre>
 *
 * <p>A line is printed for each check, and a last line that counts; the exit status is 1 when one failed. The server
 * is emptied before each check. SERVER is its program, of which a primary and replicas are started for the checks of
 * reading from replicas.
 */
public final class Main {
    public static void main(String[] arguments) {
        if (arguments.length != 3) {
            System.err.println("wanted: HOST PORT SERVER");
            System.exit(1);
        }
        Judge judge = new Judge(arguments[0], Integer.parseInt(arguments[1]));
        for (int protocol : new int[] {2, 3}) {
            JedisChecks.run(judge, protocol);
            LettuceChecks.run(judge, protocol);
        }
        SpringChecks.run(judge, "lettuce");
        SpringChecks.run(judge, "jedis");
        ReplicaChecks.run(judge, arguments[2]);
        // Threads of the libraries may outlive their clients; the outcome is known.
        System.exit(judge.summary() ? 0 : 1);
    }
}
