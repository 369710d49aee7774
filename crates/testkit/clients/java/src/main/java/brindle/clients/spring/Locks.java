package brindle.clients.spring;

import java.time.Duration;
import java.util.List;
import org.springframework.dao.DataAccessException;
import org.springframework.data.redis.core.RedisOperations;
import org.springframework.data.redis.core.SessionCallback;
import org.springframework.data.redis.core.StringRedisTemplate;
import org.springframework.stereotype.Service;

/** Locks of SET NX PX. Two ways to release one only when it is still ours, neither with a script. */
@Service
public class Locks {
    private final StringRedisTemplate template;

    Locks(StringRedisTemplate template) {
        this.template = template;
    }

    boolean take(String name, String token) {
        return template.opsForValue().setIfAbsent(name, token, Duration.ofSeconds(30));
    }

    /** By WATCH, GET, MULTI, DEL, EXEC, on one connection. */
    boolean releaseInTransaction(String name, String token) {
        return template.execute(new SessionCallback<Boolean>() {
            @Override
            @SuppressWarnings("unchecked")
            public <K, V> Boolean execute(RedisOperations<K, V> session) throws DataAccessException {
                session.watch((K) name);
                if (!token.equals(session.opsForValue().get(name))) {
                    session.unwatch();
                    return false;
                }
                session.multi();
                session.delete((K) name);
                List<Object> replies = session.exec();
                return !replies.isEmpty();
            }
        });
    }

    /** By DELEX name IFEQ token. */
    boolean releaseIfEqual(String name, String token) {
        return template.compareAndDelete(name, token);
    }
}
