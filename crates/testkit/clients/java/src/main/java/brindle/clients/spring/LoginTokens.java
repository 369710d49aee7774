package brindle.clients.spring;

import java.time.Duration;
import java.util.Map;
import java.util.UUID;
import org.springframework.data.redis.core.RedisTemplate;
import org.springframework.stereotype.Service;

/** Who is logged in: a token leads to a user for a while, and each use lengthens it. */
@Service
public class LoginTokens {
    private final RedisTemplate<String, Object> template;

    LoginTokens(RedisTemplate<String, Object> template) {
        this.template = template;
    }

    String login(Map<String, Object> user, Duration lifetime) {
        String token = UUID.randomUUID().toString();
        template.opsForValue().set(key(token), user, lifetime);
        return token;
    }

    /** The user of a token, or null when it is unknown or has run out. */
    Object user(String token, Duration lifetime) {
        return template.opsForValue().getAndExpire(key(token), lifetime);
    }

    boolean logout(String token) {
        return template.delete(key(token));
    }

    static String key(String token) {
        return "login:" + token;
    }
}
