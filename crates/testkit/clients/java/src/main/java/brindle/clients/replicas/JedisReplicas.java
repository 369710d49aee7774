package brindle.clients.replicas;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.RedisClient;
import redis.clients.jedis.exceptions.JedisConnectionException;

/**
 * What an application writes around Jedis, which leaves the choice of a node to it: a pool for each node, found from
 * any one of them by ROLE.
 */
final class JedisReplicas implements AutoCloseable {
    final RedisClient primary;
    final List<RedisClient> replicas = new ArrayList<>();
    private final AtomicInteger turn = new AtomicInteger();

    JedisReplicas(HostAndPort anyNode) {
        HostAndPort first = primaryOf(anyNode);
        primary = RedisClient.create(first);
        replicasOf(first).forEach(address -> replicas.add(RedisClient.create(address)));
    }

    /** ROLE of a replica: {@code slave}, host, port, state, offset. */
    static HostAndPort primaryOf(HostAndPort node) {
        try (Jedis jedis = new Jedis(node)) {
            List<Object> role = jedis.role();
            return role.get(0).equals("slave")
                    ? primaryOf(new HostAndPort((String) role.get(1), ((Long) role.get(2)).intValue()))
                    : node;
        }
    }

    /** ROLE of a primary: {@code master}, offset, and for each replica that is online its host, port and offset. */
    static List<HostAndPort> replicasOf(HostAndPort primary) {
        try (Jedis jedis = new Jedis(primary)) {
            List<HostAndPort> found = new ArrayList<>();
            for (Object replica : (List<?>) jedis.role().get(2)) {
                List<?> words = (List<?>) replica;
                found.add(new HostAndPort((String) words.get(0), Integer.parseInt((String) words.get(1))));
            }
            return found;
        }
    }

    /** Reads from the replicas in turn; one that does not answer is passed over, and in the end the primary is asked. */
    <T> T read(Function<RedisClient, T> command) {
        int begin = turn.getAndIncrement();
        for (int index = 0; index < replicas.size(); index++) {
            try {
                return command.apply(replicas.get(Math.floorMod(begin + index, replicas.size())));
            } catch (JedisConnectionException away) {
                // The next one is asked.
            }
        }
        return command.apply(primary);
    }

    @Override
    public void close() {
        replicas.forEach(RedisClient::close);
        primary.close();
    }
}
