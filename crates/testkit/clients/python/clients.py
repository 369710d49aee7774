"""Drives a server through redis-py and asserts what it answers.

    python clients.py HOST PORT

Every check runs over RESP2 and over RESP3. A line is printed for each, and a last line that counts; the exit
status is 1 when one failed. The server is emptied before each check.
"""

import asyncio
import sys
import threading
import time
import traceback

import redis
import redis.asyncio

HOST, PORT = sys.argv[1], int(sys.argv[2])

CHECKS = []


def check(function):
    """Marks a function as a check; it gets a connected client and the protocol's version."""
    CHECKS.append(function)
    return function


def connect(protocol, **options):
    options.setdefault("decode_responses", True)
    return redis.Redis(host=HOST, port=PORT, protocol=protocol, socket_timeout=20, **options)


def equal(found, wanted):
    assert found == wanted, f"found {found!r}, wanted {wanted!r}"


def refused(error, text, call, *arguments):
    """The call raises that error, and its message begins with that text."""
    try:
        found = call(*arguments)
    except error as problem:
        assert str(problem).startswith(text), f"refused with {problem!r}, wanted {text!r}"
        return
    raise AssertionError(f"not refused, answered {found!r}")


def eventually(condition, what):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.005)


@check
def connection(r, protocol):
    equal(r.ping(), True)
    equal(r.echo("h\u00e9llo"), "h\u00e9llo")
    equal(r.client_setname("judge"), True)
    equal(r.client_getname(), "judge")
    info = r.client_info()
    equal((info["name"], info["resp"], info["lib-name"]), ("judge", str(protocol), "redis-py"))
    equal(r.info("server")["redis_version"].split(".")[0], "8")
    refused(redis.ResponseError, "unknown command 'NONSENSE'", r.execute_command, "NONSENSE")


@check
def strings(r, protocol):
    equal(r.set("k", "v"), True)
    equal(r.get("k"), "v")
    equal(r.get("none"), None)
    equal(r.set("k", "w", nx=True), None)
    equal(r.set("k", "w", xx=True, get=True), "v")
    equal(r.append("k", "xyz"), 4)
    equal(r.getrange("k", 1, -2), "xy")
    equal(r.setrange("k", 6, "!"), 7)
    equal(r.get("k"), "wxyz\x00\x00!")
    equal(r.strlen("k"), 7)
    equal(r.mset({"a": "1", "b": "2"}), True)
    equal(r.mget("a", "none", "b"), ["1", None, "2"])
    equal(r.msetnx({"b": "9", "c": "9"}), False)
    equal((r.incr("n"), r.incrby("n", 41), r.decr("n")), (1, 42, 41))
    equal(r.incrbyfloat("n", 0.5), 41.5)
    equal(r.getdel("n"), "41.5")
    equal(r.getex("a", px=100_000), "1")
    assert 0 < r.pttl("a") <= 100_000
    equal(r.lcs("a", "b"), "")
    refused(redis.ResponseError, "value is not an integer or out of range", r.incr, "k")


@check
def binary(r, protocol):
    raw = connect(protocol, decode_responses=False)
    every_byte = bytes(range(256))
    large = every_byte * 8192
    equal(raw.set(every_byte, large), True)
    equal(raw.get(every_byte), large)
    equal(raw.keys(), [every_byte])
    raw.close()


@check
def bitmaps_and_hyperloglog(r, protocol):
    equal((r.setbit("bits", 7, 1), r.setbit("bits", 7, 0), r.setbit("bits", 9, 1)), (0, 1, 0))
    equal((r.getbit("bits", 9), r.bitcount("bits"), r.bitpos("bits", 1)), (1, 1, 9))
    equal(r.bitfield("field").set("u8", 0, 200).incrby("u8", 0, 100, "SAT").execute(), [0, 255])
    r.set("x", "\x0f")
    r.set("y", "\x3c")
    equal(r.bitop("AND", "z", "x", "y"), 1)
    equal(r.get("z"), "\x0c")
    equal(r.pfadd("h", *range(1000)), 1)
    assert 980 <= r.pfcount("h") <= 1020, r.pfcount("h")
    equal(r.pfadd("g", "a"), 1)
    equal(r.pfmerge("m", "g"), True)
    equal(r.pfcount("m"), 1)


@check
def lists(r, protocol):
    equal(r.rpush("l", "a", "b", "c"), 3)
    equal(r.lpush("l", "z"), 4)
    equal(r.lrange("l", 0, -1), ["z", "a", "b", "c"])
    equal((r.lindex("l", 1), r.lindex("l", 9)), ("a", None))
    equal(r.linsert("l", "BEFORE", "b", "x"), 5)
    equal(r.lpos("l", "x"), 2)
    equal(r.lset("l", 0, "y"), True)
    equal(r.lrem("l", 0, "x"), 1)
    equal(r.ltrim("l", 0, 2), True)
    equal(r.lmove("l", "m", "LEFT", "RIGHT"), "y")
    equal(r.lmpop(2, "none", "l", direction="RIGHT", count=5), ["l", ["b", "a"]])
    equal((r.lpop("l"), r.lpop("m", 2), r.llen("m")), (None, ["y"], 0))
    many = [str(number) for number in range(5000)]
    r.rpush("many", *many)
    equal(r.lrange("many", 0, -1), many)
    r.set("text", "x")
    refused(redis.ResponseError, "WRONGTYPE Operation against a key", r.lpush, "text", "x")


@check
def sets(r, protocol):
    equal(r.sadd("s", 1, 2, 3), 3)
    equal(r.sadd("t", 3, 4), 2)
    equal(r.smembers("s"), {"1", "2", "3"})
    equal(r.smembers("none"), set())
    equal((r.sismember("s", 1), r.sismember("s", 9), r.smismember("s", [1, 9])), (1, 0, [1, 0]))
    equal((r.sinter("s", "t"), r.sunion("s", "t"), r.sdiff("s", "t")), ({"3"}, {"1", "2", "3", "4"}, {"1", "2"}))
    equal((r.sintercard(2, ["s", "t"]), r.sunionstore("u", "s", "t")), (1, 4))
    equal((r.smove("s", "t", 1), r.srem("s", 2, 9), r.scard("s")), (True, 1, 1))
    equal((r.spop("s"), r.exists("s")), ("3", 0))
    assert r.srandmember("t") in {"1", "3", "4"}
    r.sadd("many", *range(3000))
    equal(sorted(int(member) for member in r.sscan_iter("many", count=100)), list(range(3000)))


@check
def hashes(r, protocol):
    equal(r.hset("h", mapping={"f": "1", "g": "x"}), 2)
    equal((r.hget("h", "f"), r.hget("h", "none"), r.hmget("h", "g", "none")), ("1", None, ["x", None]))
    equal((r.hgetall("h"), r.hgetall("none")), ({"f": "1", "g": "x"}, {}))
    equal((r.hkeys("h"), r.hvals("h"), r.hlen("h"), r.hexists("h", "f")), (["f", "g"], ["1", "x"], 2, True))
    equal((r.hincrby("h", "f", 9), r.hincrbyfloat("h", "f", 0.25), r.hsetnx("h", "f", "z")), (10, 10.25, 0))
    assert r.hrandfield("h") in {"f", "g"}
    equal((r.hexpire("h", 100, "f", "none"), r.httl("h", "f", "g")), ([1, -2], [100, -1]))
    equal((r.hpersist("h", "f"), r.hpexpire("h", 1, "g")), ([1], [1]))
    eventually(lambda: r.hgetall("h") == {"f": "10.25"}, "the field expires")
    equal(r.hdel("h", "f"), 1)
    eventually(lambda: r.exists("h") == 0, "the hash goes with its last field")
    r.hset("many", mapping={f"f{number}": number for number in range(2000)})
    equal(dict(r.hscan_iter("many")), {f"f{number}": str(number) for number in range(2000)})


@check
def sorted_sets(r, protocol):
    pair = (lambda member, score: [member, score]) if protocol == 3 else (lambda member, score: (member, score))
    equal(r.zadd("z", {"a": 1, "b": 2.5, "c": float("inf")}), 3)
    equal((r.zscore("z", "b"), r.zscore("z", "c"), r.zscore("z", "none")), (2.5, float("inf"), None))
    equal(r.zrange("z", 0, -1, withscores=True), [pair("a", 1.0), pair("b", 2.5), pair("c", float("inf"))])
    equal(r.zrange("z", "(1", "+inf", byscore=True), ["b", "c"])
    equal((r.zrank("z", "b"), r.zrevrank("z", "a"), r.zrank("z", "none")), (1, 2, None))
    equal((r.zincrby("z", 4, "a"), r.zmscore("z", ["a", "none"])), (5.0, [5.0, None]))
    equal((r.zcount("z", 0, 5), r.zcard("z")), (2, 3))
    equal(r.zadd("y", {"a": 10, "d": 1}), 2)
    equal(r.zunionstore("u", {"z": 1, "y": 2}, aggregate="MAX"), 4)
    equal(r.zscore("u", "a"), 20.0)
    equal(r.zinter(["z", "y"], withscores=True), [pair("a", 15.0)])
    equal(r.zpopmin("z"), ["b", 2.5] if protocol == 3 else [("b", 2.5)])
    equal(r.zmpop(1, ["z"], max=True), ["z", [["c", float("inf") if protocol == 3 else "inf"]]])
    r.zadd("lex", {name: 0 for name in ("a", "b", "c")})
    equal(r.zrangebylex("lex", "[b", "+"), ["b", "c"])
    r.zadd("many", {f"m{number}": number for number in range(2000)})
    equal(r.zrangebyscore("many", 1000, 1002), ["m1000", "m1001", "m1002"])
    equal(len(list(r.zscan_iter("many"))), 2000)


@check
def geo(r, protocol):
    equal(r.geoadd("g", (13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania")), 2)
    equal(r.geodist("g", "Palermo", "Catania", "km"), 166.2742)
    equal(r.geohash("g", "Palermo", "none"), ["sqc8b49rny0", None])
    longitude, latitude = r.geopos("g", "Palermo")[0]
    assert abs(longitude - 13.361389) < 1e-5 and abs(latitude - 38.115556) < 1e-5
    equal(r.geosearch("g", longitude=15, latitude=37, radius=100, unit="km"), ["Catania"])


@check
def streams(r, protocol):
    equal(r.xadd("s", {"f": "1"}, id="1-1"), "1-1")
    equal(r.xadd("s", {"f": "2", "g": "x"}, id="2-1"), "2-1")
    equal(r.xrange("s"), [("1-1", {"f": "1"}), ("2-1", {"f": "2", "g": "x"})])
    equal((r.xlen("s"), r.xrevrange("s", count=1)[0][0]), (2, "2-1"))
    equal(r.xgroup_create("s", "crew", id="0"), True)
    read = r.xreadgroup("crew", "anna", {"s": ">"}, count=1)
    wanted = [("1-1", {"f": "1"})]
    equal(read, {"s": [wanted]} if protocol == 3 else [["s", wanted]])
    pending = r.xpending("s", "crew")
    equal((pending["pending"], pending["min"], pending["consumers"]), (1, "1-1", [{"name": "anna", "pending": 1}]))
    equal(r.xautoclaim("s", "crew", "bert", min_idle_time=0)[1], wanted)
    equal((r.xack("s", "crew", "1-1"), r.xdel("s", "1-1"), r.xtrim("s", maxlen=0)), (1, 1, 1))
    stream = r.xinfo_stream("s")
    equal((stream["length"], stream["last-generated-id"], stream["groups"]), (0, "2-1", 1))
    equal([group["name"] for group in r.xinfo_groups("s")], ["crew"])
    equal(r.xread({"s": "$"}, block=10), {} if protocol == 3 else [])
    refused(redis.ResponseError, "The ID specified in XADD is equal or smaller", lambda: r.xadd("s", {"f": 1}, id="1-1"))


@check
def keys_and_expiry(r, protocol):
    r.set("k", "v", ex=100)
    assert 98 <= r.ttl("k") <= 100
    equal((r.persist("k"), r.ttl("k"), r.ttl("none")), (True, -1, -2))
    equal((r.type("k"), r.type("none"), r.object("encoding", "k")), ("string", "none", "embstr"))
    equal((r.rename("k", "l"), r.copy("l", "m"), r.exists("k", "l", "m")), (True, True, 2))
    equal((r.touch("l", "m"), r.unlink("l"), r.delete("m", "none"), r.dbsize()), (2, 1, 1, 0))
    r.set("gone", "soon", px=1)
    eventually(lambda: r.get("gone") is None, "the key expires")
    r.rpush("numbers", 3, 1, 2)
    equal(r.sort("numbers", desc=True), ["3", "2", "1"])
    raw = connect(protocol, decode_responses=False)
    dump = raw.dump("numbers")
    raw.restore("copy", 0, dump)
    raw.close()
    equal(r.lrange("copy", 0, -1), ["3", "1", "2"])


@check
def scan(r, protocol):
    pipe = r.pipeline(transaction=False)
    for number in range(5000):
        pipe.set(f"key:{number}", number)
    equal(pipe.execute(), [True] * 5000)
    r.lpush("list", "x")
    equal(len(set(r.scan_iter(match="key:*", count=50))), 5000)
    equal(list(r.scan_iter(_type="list")), ["list"])
    equal(r.dbsize(), 5001)


@check
def transaction(r, protocol):
    with r.pipeline() as pipe:
        pipe.set("a", 1).incr("a").lpush("a", "x").get("a")
        results = pipe.execute(raise_on_error=False)
        equal((results[:2], results[3]), ([True, 2], "2"))
        assert str(results[2]).startswith("WRONGTYPE"), results[2]
    with r.pipeline() as pipe:
        pipe.watch("a")
        equal(pipe.get("a"), "2")
        pipe.multi()
        pipe.set("a", "mine")
        pipe.execute()
    equal(r.get("a"), "mine")
    with r.pipeline() as pipe:
        pipe.watch("a")
        r.set("a", "theirs")
        pipe.multi()
        pipe.set("a", "mine again")
        refused(redis.WatchError, "", pipe.execute)
    equal(r.get("a"), "theirs")
    equal(r.transaction(lambda pipe: (pipe.multi(), pipe.append("a", "!")), "a"), [7])


@check
def blocking_pop(r, protocol):
    equal(r.blpop(["none"], timeout=0.01), None)
    got = []
    other = connect(protocol)
    waiter = threading.Thread(target=lambda: got.append(other.blpop(["first", "second"], timeout=10)))
    waiter.start()
    eventually(lambda: r.info("clients")["blocked_clients"] == 1, "the client is blocked")
    equal(r.rpush("second", "x"), 1)
    waiter.join()
    other.close()
    equal(list(got[0]), ["second", "x"])
    equal(r.exists("second"), 0)
    r.zadd("z", {"m": 1.5})
    equal(list(r.bzpopmin("z", timeout=1)), ["z", "m", 1.5])


@check
def publish_and_subscribe(r, protocol):
    listener = r.pubsub()
    listener.subscribe("news")
    listener.psubscribe("n*")
    equal([listener.get_message(timeout=5)["type"] for _ in range(2)], ["subscribe", "psubscribe"])
    equal(r.publish("news", "hello"), 2)
    messages = [listener.get_message(timeout=5) for _ in range(2)]
    equal([(m["type"], m["pattern"], m["channel"], m["data"]) for m in messages],
          [("message", None, "news", "hello"), ("pmessage", "n*", "news", "hello")])
    equal((r.pubsub_channels(), r.pubsub_numsub("news"), r.pubsub_numpat()), (["news"], [("news", 1)], 1))
    listener.unsubscribe()
    listener.punsubscribe()
    equal([listener.get_message(timeout=5)["type"] for _ in range(2)], ["unsubscribe", "punsubscribe"])
    equal(r.publish("news", "nobody"), 0)
    listener.close()


@check
def keyspace_notifications(r, protocol):
    r.config_set("notify-keyspace-events", "KEA")
    listener = r.pubsub()
    listener.psubscribe("__keyevent@0__:*")
    listener.get_message(timeout=5)
    r.set("k", "v")
    r.delete("k")
    messages = [listener.get_message(timeout=5) for _ in range(2)]
    equal([(m["channel"], m["data"]) for m in messages], [("__keyevent@0__:set", "k"), ("__keyevent@0__:del", "k")])
    listener.close()
    r.config_set("notify-keyspace-events", "")


@check
def lock(r, protocol):
    with connect(protocol, decode_responses=False) as raw:
        # redis-py's own Lock releases by a script; this is the way without one.
        equal(raw.set("lock", "token", nx=True, px=30_000), True)
        equal(raw.set("lock", "other", nx=True, px=30_000), None)
        if has_delex(raw):
            equal(raw.delex("lock", ifeq="other"), 0)
            equal(raw.delex("lock", ifeq="token"), 1)
            equal(r.exists("lock"), 0)


@check
def resp3_types(r, protocol):
    """What only RESP3 tells apart, as the parser below the client sees it."""
    raw = redis.Redis(host=HOST, port=PORT, protocol=protocol, decode_responses=True)
    raw.response_callbacks.clear()
    raw.execute_command("HSET", "h", "f", "v")
    raw.execute_command("ZADD", "z", "1.5", "m")
    is_3 = protocol == 3
    equal(raw.execute_command("HGETALL", "h"), {"f": "v"} if is_3 else ["f", "v"])
    equal(raw.execute_command("ZSCORE", "z", "m"), 1.5 if is_3 else "1.5")
    equal(raw.execute_command("ZRANGE", "z", 0, -1, "WITHSCORES"), [["m", 1.5]] if is_3 else ["m", "1.5"])
    equal(raw.execute_command("GET", "none"), None)
    equal(raw.execute_command("CONFIG", "GET", "maxmemory"), {"maxmemory": "0"} if is_3 else ["maxmemory", "0"])
    raw.close()


@check
def asynchronous(r, protocol):
    async def work():
        client = redis.asyncio.Redis(host=HOST, port=PORT, protocol=protocol, decode_responses=True)
        equal(await asyncio.gather(*(client.incr("n") for _ in range(50))) and await client.get("n"), "50")
        popped = asyncio.create_task(client.blpop("queue", timeout=10))
        await asyncio.sleep(0.05)
        await client.rpush("queue", "job")
        equal(list(await popped), ["queue", "job"])
        await client.aclose()

    asyncio.run(work())


def has_delex(r):
    """DELEX is younger than the reference, which alone may lack it."""
    return r.info("server").get("server_name") == "brindle"


def main():
    passed = failed = 0
    for protocol in (2, 3):
        for function in CHECKS:
            name = f"{function.__name__} (RESP{protocol})"
            try:
                with connect(protocol) as r:
                    r.flushall()
                    function(r, protocol)
            except Exception:
                failed += 1
                print(f"not ok {name}\n{traceback.format_exc()}", flush=True)
            else:
                passed += 1
                print(f"ok {name}", flush=True)
    print(f"{passed} checks passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()
