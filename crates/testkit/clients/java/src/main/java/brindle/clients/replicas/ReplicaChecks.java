package brindle.clients.replicas;

import static brindle.clients.Judge.equal;
import static brindle.clients.Judge.holds;
import static brindle.clients.replicas.Nodes.until;

import brindle.clients.Judge;
import io.lettuce.core.ClientOptions;
import io.lettuce.core.ReadFrom;
import io.lettuce.core.RedisClient;
import io.lettuce.core.RedisException;
import io.lettuce.core.RedisURI;
import io.lettuce.core.codec.StringCodec;
import io.lettuce.core.masterreplica.MasterReplica;
import io.lettuce.core.masterreplica.StatefulRedisMasterReplicaConnection;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.springframework.data.redis.connection.RedisStaticMasterReplicaConfiguration;
import org.springframework.data.redis.connection.lettuce.LettuceClientConfiguration;
import org.springframework.data.redis.connection.lettuce.LettuceConnectionFactory;
import org.springframework.data.redis.core.StringRedisTemplate;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.Jedis;

/**
 * Reading from replicas, as applications set it up: writes go to the primary, reads to the replicas, and a replica
 * that dies is survived. Who has served what is read from each node's own INFO commandstats.
 */
public final class ReplicaChecks {
    private static final int READS = 200;

    private final Nodes nodes;

    private ReplicaChecks(Nodes nodes) {
        this.nodes = nodes;
    }

    /** Runs the checks over servers of this program, which stand apart from the judge's own. */
    public static void run(Judge judge, String program) {
        judge.check("Lettuce reads from replicas found through the primary", on(program, ReplicaChecks::throughPrimary));
        judge.check("Lettuce reads from replicas found through a replica", on(program, ReplicaChecks::throughReplica));
        judge.check("Lettuce survives replicas that die", on(program, ReplicaChecks::lettuceSurvives));
        judge.check("Lettuce finds the new roles after a promotion", on(program, ReplicaChecks::promotion));
        judge.check("Spring Data reads from replicas of a fixed list", on(program, ReplicaChecks::spring));
        judge.check("Spring Data survives replicas that die", on(program, ReplicaChecks::springSurvives));
        judge.check("Jedis finds the nodes by ROLE and by INFO", on(program, ReplicaChecks::jedisFinds));
        judge.check("Jedis reads from a pool a replica, and survives", on(program, ReplicaChecks::jedis));
    }

    private interface Body {
        void run(ReplicaChecks checks) throws Exception;
    }

    private static Judge.Check on(String program, Body body) {
        return () -> {
            try (Nodes nodes = new Nodes(program, 2)) {
                body.run(new ReplicaChecks(nodes));
            }
        };
    }

    // --- Lettuce ---

    private static RedisURI uri(Nodes.Node node) {
        return RedisURI.builder().withHost(Nodes.HOST).withPort(node.port).withTimeout(Duration.ofSeconds(5)).build();
    }

    private interface Use {
        void of(StatefulRedisMasterReplicaConnection<String, String> connection) throws Exception;
    }

    /** A connection as it is set up by one who knows one node. */
    private static void lettuce(RedisURI node, ReadFrom readFrom, Use use) throws Exception {
        RedisClient client = RedisClient.create();
        // A request that meets a connection which is just lost fails at once, instead of waiting for its return.
        client.setOptions(ClientOptions.builder()
                .disconnectedBehavior(ClientOptions.DisconnectedBehavior.REJECT_COMMANDS).build());
        try (var connection = MasterReplica.connect(client, StringCodec.UTF8, node)) {
            connection.setReadFrom(readFrom);
            use.of(connection);
        } finally {
            client.shutdown(Duration.ZERO, Duration.ofSeconds(2));
        }
    }

    private void throughPrimary() throws Exception {
        for (ReadFrom readFrom : List.of(ReadFrom.REPLICA, ReadFrom.REPLICA_PREFERRED, ReadFrom.ANY_REPLICA)) {
            lettuce(uri(nodes.primary), readFrom, this::writesAndReads);
        }
    }

    private void throughReplica() throws Exception {
        lettuce(uri(nodes.replicas.get(1)), ReadFrom.REPLICA_PREFERRED, this::writesAndReads);
    }

    private void writesAndReads(StatefulRedisMasterReplicaConnection<String, String> connection) throws Exception {
        nodes.forgetCalls();
        var r = connection.sync();
        for (int index = 0; index < READS; index++) {
            equal(r.set("key:" + index, "value:" + index), "OK");
        }
        nodes.untilAlike();
        for (int index = 0; index < READS; index++) {
            equal(r.get("key:" + index), "value:" + index);
        }
        assertServedByReplicas();
    }

    /** The primary has seen the writes and no read; the replicas every read, and the writes by replication alone. */
    private void assertServedByReplicas() {
        holds(nodes.primary.calls("set") >= READS, nodes.primary.info("commandstats"));
        equal(nodes.primary.calls("get"), 0L);
        equal(nodes.callsOfReplicas("get"), (long) READS);
        for (Nodes.Node replica : nodes.replicas) {
            holds(!replica.info("errorstats").contains("READONLY"), replica.info("errorstats"));
        }
    }

    private void lettuceSurvives() throws Exception {
        lettuce(uri(nodes.primary), ReadFrom.REPLICA_PREFERRED, connection -> {
            var r = connection.sync();
            connectsToAll(() -> r.get("k"));
            survives(() -> r.set("k", "v"), () -> r.get("k"));
        });
    }

    private interface Call {
        String call() throws Exception;
    }

    /**
     * Until Lettuce has a connection to each replica. It begins them with the first read and does not wait for all; a
     * node that dies before it was ever reached fails every read until it is back, whoever else there is.
     */
    private void connectsToAll(Call read) throws Exception {
        for (Nodes.Node replica : nodes.replicas) {
            until("there is a connection", () -> {
                read.call();
                try (Jedis jedis = replica.connect()) {
                    return jedis.clientList().contains(" lib-name=Lettuce");
                }
            });
        }
    }

    /** Both replicas die, one after the other, and come back; reads and writes go on. */
    private void survives(Call write, Call read) throws Exception {
        equal(write.call(), "OK");
        nodes.untilAlike();
        equal(read.call(), "v");
        Nodes.Node first = nodes.replicas.get(0);
        Nodes.Node second = nodes.replicas.get(1);
        first.kill();
        goesOn(read);
        nodes.forgetCalls();
        for (int index = 0; index < READS; index++) {
            equal(read.call(), "v");
        }
        equal(second.calls("get"), (long) READS);
        equal(write.call(), "OK");
        second.kill();
        goesOn(read);
        nodes.forgetCalls();
        for (int index = 0; index < READS; index++) {
            equal(read.call(), "v");
        }
        equal(nodes.primary.calls("get"), (long) READS);
        first.startAgain();
        second.startAgain();
        nodes.untilLinked();
        until("a replica is read from again", () -> {
            nodes.forgetCalls();
            return "v".equals(read.call()) && nodes.callsOfReplicas("get") == 1;
        });
        equal(write.call(), "OK");
    }

    /** The connection that is just lost may cost requests that are on their way; after it none may fail. */
    private static void goesOn(Call read) throws Exception {
        until("reads go on", () -> {
            try {
                for (int index = 0; index < 20; index++) {
                    equal(read.call(), "v");
                }
                return true;
            } catch (RedisException | org.springframework.dao.DataAccessException lost) {
                return false;
            }
        });
    }

    private void promotion() throws Exception {
        Nodes.Node promoted = nodes.replicas.remove(0);
        Nodes.Node left = nodes.replicas.get(0);
        nodes.primary.kill();
        try (Jedis jedis = promoted.connect()) {
            equal(jedis.replicaofNoOne(), "OK");
        }
        try (Jedis jedis = left.connect()) {
            equal(jedis.replicaof(Nodes.HOST, promoted.port), "OK");
        }
        until("the new primary has a replica", () -> promoted.info("replication").contains("state=online"));
        lettuce(uri(left), ReadFrom.REPLICA, connection -> {
            var r = connection.sync();
            equal(r.set("k", "new"), "OK");
            until("it is there", () -> "new".equals(r.get("k")));
            equal(promoted.calls("get"), 0L);
            holds(promoted.calls("set") == 1 && left.calls("get") > 0, left.info("commandstats"));
        });
        promoted.kill();
    }

    // --- Spring Data ---

    private interface Application {
        void run(StringRedisTemplate template) throws Exception;
    }

    /** A connection factory as a configuration class declares it. */
    private void spring(Application application) throws Exception {
        var fixed = new RedisStaticMasterReplicaConfiguration(Nodes.HOST, nodes.primary.port);
        nodes.replicas.forEach(replica -> fixed.addNode(Nodes.HOST, replica.port));
        var client = LettuceClientConfiguration.builder()
                .readFrom(ReadFrom.REPLICA_PREFERRED)
                .commandTimeout(Duration.ofSeconds(5))
                .clientOptions(ClientOptions.builder()
                        .disconnectedBehavior(ClientOptions.DisconnectedBehavior.REJECT_COMMANDS).build())
                .shutdownTimeout(Duration.ZERO)
                .build();
        var factory = new LettuceConnectionFactory(fixed, client);
        factory.afterPropertiesSet();
        factory.start();
        try {
            application.run(new StringRedisTemplate(factory));
        } finally {
            factory.destroy();
        }
    }

    private void spring() throws Exception {
        spring(template -> {
            template.hasKey("the connections are made");
            nodes.forgetCalls();
            for (int index = 0; index < READS; index++) {
                template.opsForValue().set("key:" + index, "value:" + index);
            }
            nodes.untilAlike();
            for (int index = 0; index < READS; index++) {
                equal(template.opsForValue().get("key:" + index), "value:" + index);
            }
            assertServedByReplicas();
        });
    }

    private void springSurvives() throws Exception {
        spring(template -> {
            Call read = () -> template.opsForValue().get("k");
            connectsToAll(read);
            survives(() -> {
                template.opsForValue().set("k", "v");
                return "OK";
            }, read);
        });
    }

    // --- Jedis ---

    private Set<HostAndPort> replicaAddresses() {
        return nodes.replicas.stream().map(Nodes.Node::address).collect(Collectors.toSet());
    }

    private void jedisFinds() {
        for (Nodes.Node node : List.of(nodes.primary, nodes.replicas.get(0), nodes.replicas.get(1))) {
            equal(JedisReplicas.primaryOf(node.address()), nodes.primary.address());
        }
        equal(new HashSet<>(JedisReplicas.replicasOf(nodes.primary.address())), replicaAddresses());
        // The same from the lines slave0 and slave1 of INFO replication.
        Pattern line = Pattern.compile("^slave\\d+:ip=([^,]+),port=(\\d+),state=online,offset=\\d+,lag=\\d+", Pattern.MULTILINE);
        Set<HostAndPort> listed = line.matcher(nodes.primary.info("replication")).results()
                .map((MatchResult found) -> new HostAndPort(found.group(1), Integer.parseInt(found.group(2))))
                .collect(Collectors.toSet());
        equal(listed, replicaAddresses());
        String info = nodes.replicas.get(0).info("replication");
        holds(info.contains("role:slave\r\nmaster_host:127.0.0.1\r\nmaster_port:" + nodes.primary.port + "\r\n"), info);
    }

    private void jedis() throws Exception {
        try (JedisReplicas pools = new JedisReplicas(nodes.replicas.get(0).address())) {
            nodes.forgetCalls();
            for (int index = 0; index < READS; index++) {
                equal(pools.primary.set("key:" + index, "value:" + index), "OK");
            }
            nodes.untilAlike();
            for (int index = 0; index < READS; index++) {
                String key = "key:" + index;
                equal(pools.read(pool -> pool.get(key)), "value:" + index);
            }
            assertServedByReplicas();
            // In turn, so each has served its half.
            for (Nodes.Node replica : nodes.replicas) {
                equal(replica.calls("get"), READS / 2L);
            }
            equal(pools.primary.set("k", "v"), "OK");
            nodes.untilAlike();
            survives(() -> pools.primary.set("k", "v"), () -> pools.read(pool -> pool.get("k")));
        }
    }
}
