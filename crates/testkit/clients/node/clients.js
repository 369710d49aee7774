// Drives a server through ioredis and asserts what it answers.
//
//     node clients.js HOST PORT
//
// Every check runs over RESP2 and over RESP3. A line is printed for each, and a last line that counts; the exit
// status is 1 when one failed. The server is emptied before each check.

import assert from "node:assert/strict";
import { Redis } from "ioredis";

const [host, port] = [process.argv[2], Number(process.argv[3])];

const connect = (protocol) =>
  new Redis({
    host,
    port,
    protocol,
    ...(protocol === 3 && { replyMapping: "resp3" }),
    maxRetriesPerRequest: 0,
    retryStrategy: null,
  });

const equal = (found, wanted) => assert.deepEqual(plain(found), wanted);

// Objects without a prototype, which is how replies come, compare unlike literals.
const plain = (value) => (value && typeof value === "object" && !Array.isArray(value) ? { ...value } : value);

const refused = (promise, text) => assert.rejects(promise, (error) => error.message.startsWith(text));

const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

async function eventually(condition, what) {
  const end = Date.now() + 10_000;
  while (!(await condition())) {
    assert(Date.now() < end, `never: ${what}`);
    await sleep(5);
  }
}

const numbers = (count) => Array.from({ length: count }, (_, index) => String(index));

// A score as this protocol gives it.
const score = (protocol, number) => (protocol === 3 ? number : String(number));

async function scanned(stream) {
  const found = [];
  for await (const page of stream) found.push(...page);
  return found;
}

const checks = {
  async connection(r, protocol) {
    equal(await r.ping(), "PONG");
    equal(await r.echo("héllo"), "héllo");
    equal(await r.client("SETNAME", "judge"), "OK");
    const info = await r.client("INFO");
    assert.match(info, / name=judge /);
    assert.match(info, new RegExp(` resp=${protocol} `));
    assert.match(info, / lib-name=ioredis/);
    await refused(r.call("NONSENSE"), "ERR unknown command 'NONSENSE'");
  },

  async strings(r) {
    equal(await r.set("k", "v"), "OK");
    equal(await r.get("none"), null);
    equal(await r.set("k", "w", "NX"), null);
    equal(await r.set("k", "w", "XX", "GET"), "v");
    equal(await r.append("k", "xyz"), 4);
    equal(await r.getrange("k", 1, -2), "xy");
    equal(await r.mset({ a: "1", b: "2" }), "OK");
    equal(await r.mget("a", "none", "b"), ["1", null, "2"]);
    equal([await r.incr("n"), await r.incrby("n", 41), await r.decr("n")], [1, 42, 41]);
    equal(await r.incrbyfloat("n", 0.5), "41.5");
    equal(await r.getdel("n"), "41.5");
    await refused(r.incr("k"), "ERR value is not an integer or out of range");
  },

  async binary(r) {
    const bytes = Buffer.from(Uint8Array.from({ length: 256 }, (_, index) => index));
    const large = Buffer.concat(Array(8192).fill(bytes));
    equal(await r.set(bytes, large), "OK");
    assert((await r.getBuffer(bytes)).equals(large));
    assert((await r.keysBuffer("*"))[0].equals(bytes));
  },

  async bitmapsAndHyperLogLog(r) {
    equal([await r.setbit("bits", 7, 1), await r.setbit("bits", 7, 0), await r.setbit("bits", 9, 1)], [0, 1, 0]);
    equal([await r.bitcount("bits"), await r.bitpos("bits", 1)], [1, 9]);
    equal(await r.bitfield("f", "SET", "u8", 0, 200, "OVERFLOW", "FAIL", "INCRBY", "u8", 0, 100), [0, null]);
    equal(await r.pfadd("h", ...numbers(1000)), 1);
    const count = await r.pfcount("h");
    assert(count >= 980 && count <= 1020, String(count));
    equal(await r.pfmerge("m", "h"), "OK");
    equal(await r.pfcount("m"), count);
  },

  async lists(r) {
    equal([await r.rpush("l", "a", "b", "c"), await r.lpush("l", "z")], [3, 4]);
    equal(await r.lrange("l", 0, -1), ["z", "a", "b", "c"]);
    equal([await r.lindex("l", 1), await r.lindex("l", 9), await r.lpos("l", "c")], ["a", null, 3]);
    equal([await r.linsert("l", "BEFORE", "b", "x"), await r.lrem("l", 0, "x")], [5, 1]);
    equal(await r.lmove("l", "m", "LEFT", "RIGHT"), "z");
    equal(await r.lmpop(2, "none", "l", "RIGHT", "COUNT", 9), ["l", ["c", "b", "a"]]);
    equal([await r.lpop("l"), await r.lpop("m", 2), await r.exists("m")], [null, ["z"], 0]);
    await r.rpush("many", ...numbers(5000));
    equal(await r.lrange("many", 0, -1), numbers(5000));
    await r.set("text", "x");
    await refused(r.lpush("text", "x"), "WRONGTYPE Operation against a key");
  },

  async sets(r) {
    equal([await r.sadd("s", 1, 2, 3), await r.sadd("t", 3, 4)], [3, 2]);
    equal((await r.smembers("s")).sort(), ["1", "2", "3"]);
    equal([await r.sismember("s", 1), await r.smismember("s", 1, 9)], [1, [1, 0]]);
    equal([await r.sinter("s", "t"), (await r.sdiff("s", "t")).sort()], [["3"], ["1", "2"]]);
    equal([await r.smove("s", "t", 1), await r.srem("s", 2, 9), await r.spop("s"), await r.exists("s")], [1, 1, "3", 0]);
    await r.sadd("many", ...numbers(3000));
    equal((await scanned(r.sscanStream("many"))).sort((a, b) => a - b), numbers(3000));
  },

  async hashes(r) {
    equal(await r.hset("h", { f: "1", g: "x" }), 2);
    equal([await r.hget("h", "f"), await r.hget("h", "none"), await r.hmget("h", "g", "none")], ["1", null, ["x", null]]);
    equal(await r.hgetall("h"), { f: "1", g: "x" });
    equal(await r.hgetall("none"), {});
    equal([await r.hkeys("h"), await r.hlen("h"), await r.hincrby("h", "f", 9)], [["f", "g"], 2, 10]);
    equal(await r.hincrbyfloat("h", "f", 0.25), "10.25");
    equal(await r.hexpire("h", 100, "FIELDS", 2, "f", "none"), [1, -2]);
    equal(await r.httl("h", "FIELDS", 2, "f", "g"), [100, -1]);
    equal(await r.hpexpire("h", 1, "FIELDS", 1, "g"), [1]);
    await eventually(async () => (await r.hget("h", "g")) === null, "the field expires");
    await r.hset("many", Object.fromEntries(numbers(2000).map((number) => [number, number])));
    equal((await scanned(r.hscanStream("many"))).length, 4000);
  },

  async sortedSets(r, protocol) {
    equal(await r.zadd("z", 1, "a", 2.5, "b", "+inf", "c"), 3);
    equal([await r.zscore("z", "b"), await r.zscore("z", "none")], [score(protocol, 2.5), null]);
    const withScores = await r.zrange("z", 0, 1, "WITHSCORES");
    equal(withScores.flat(), ["a", score(protocol, 1), "b", score(protocol, 2.5)]);
    equal(await r.zrange("z", "(1", "+inf", "BYSCORE"), ["b", "c"]);
    equal([await r.zrank("z", "b"), await r.zrevrank("z", "a"), await r.zrank("z", "none")], [1, 2, null]);
    equal([await r.zincrby("z", 4, "a"), await r.zcount("z", 0, 5)], [score(protocol, 5), 2]);
    equal([await r.zadd("y", 10, "a"), await r.zunionstore("u", 2, "z", "y", "WEIGHTS", 1, 2)], [1, 3]);
    equal(await r.zscore("u", "a"), score(protocol, 25));
    equal((await r.zpopmin("z")).flat(), ["b", score(protocol, 2.5)]);
    await r.zadd("many", ...numbers(2000).flatMap((number) => [number, number]));
    equal(await r.zrevrangebyscore("many", 1002, 1000), ["1002", "1001", "1000"]);
    equal((await scanned(r.zscanStream("many"))).length, 4000);
  },

  async geo(r) {
    equal(await r.geoadd("g", 13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania"), 2);
    equal(await r.geodist("g", "Palermo", "Catania", "km"), "166.2742");
    equal(await r.geohash("g", "Palermo", "none"), ["sqc8b49rny0", null]);
    equal(await r.geosearch("g", "FROMLONLAT", 15, 37, "BYRADIUS", 100, "km"), ["Catania"]);
  },

  async streams(r, protocol) {
    equal(await r.xadd("s", "1-1", "f", "1"), "1-1");
    equal(await r.xadd("s", "2-1", "f", "2"), "2-1");
    equal(await r.xrange("s", "-", "+"), [["1-1", ["f", "1"]], ["2-1", ["f", "2"]]]);
    equal(await r.xgroup("CREATE", "s", "crew", "0"), "OK");
    const read = await r.xreadgroup("GROUP", "crew", "anna", "COUNT", 1, "STREAMS", "s", ">");
    const entries = [["1-1", ["f", "1"]]];
    equal(read, protocol === 3 ? { s: entries } : [["s", entries]]);
    equal(await r.xpending("s", "crew"), [1, "1-1", "1-1", [["anna", "1"]]]);
    equal((await r.xautoclaim("s", "crew", "bert", 0, "0"))[1], entries);
    equal([await r.xack("s", "crew", "1-1"), await r.xlen("s")], [1, 2]);
    await refused(r.xadd("s", "1-1", "f", "1"), "ERR The ID specified in XADD is equal or smaller");
    const reading = r.duplicate();
    const waiting = reading.xread("BLOCK", 10_000, "STREAMS", "s", "$");
    await eventually(async () => /blocked_clients:1/.test(await r.info("clients")), "the reader is blocked");
    await r.xadd("s", "3-1", "f", "3");
    const found = await waiting;
    equal(protocol === 3 ? found.s : found[0][1], [["3-1", ["f", "3"]]]);
    reading.disconnect();
  },

  async keysAndExpiry(r) {
    await r.set("k", "v", "EX", 100);
    const left = await r.ttl("k");
    assert(left >= 98 && left <= 100, String(left));
    equal([await r.persist("k"), await r.ttl("k"), await r.ttl("none")], [1, -1, -2]);
    equal([await r.type("k"), await r.object("ENCODING", "k")], ["string", "embstr"]);
    equal([await r.rename("k", "l"), await r.copy("l", "m"), await r.del("l", "m", "none")], ["OK", 1, 2]);
    await r.set("gone", "soon", "PX", 1);
    await eventually(async () => (await r.get("gone")) === null, "the key expires");
    await r.rpush("numbers", 3, 1, 2);
    equal(await r.sort("numbers", "DESC"), ["3", "2", "1"]);
    await r.restore("copy", 0, await r.dumpBuffer("numbers"));
    equal(await r.lrange("copy", 0, -1), ["3", "1", "2"]);
  },

  async scan(r) {
    const pipeline = r.pipeline();
    for (const number of numbers(5000)) pipeline.set(`key:${number}`, number);
    const results = await pipeline.exec();
    assert(results.length === 5000 && results.every(([error, reply]) => error === null && reply === "OK"));
    await r.lpush("list", "x");
    const keys = new Set(await scanned(r.scanStream({ match: "key:*", count: 50 })));
    equal(keys.size, 5000);
    equal(await scanned(r.scanStream({ type: "list" })), ["list"]);
  },

  async transaction(r, protocol) {
    const results = await r.multi().set("a", 1).incr("a").lpush("a", "x").get("a").exec();
    equal(results.map(([, reply]) => reply), ["OK", 2, undefined, "2"]);
    assert(results[2][0].message.startsWith("WRONGTYPE"));
    await r.watch("a");
    equal(await r.multi().set("a", "mine").exec(), [[null, "OK"]]);
    await r.watch("a");
    const other = connect(protocol);
    await other.set("a", "theirs");
    equal(await r.multi().set("a", "mine again").exec(), null);
    equal(await r.get("a"), "theirs");
    other.disconnect();
  },

  async blockingPop(r, protocol) {
    equal(await r.blpop("none", 0.01), null);
    const other = connect(protocol);
    const popped = other.blpop("first", "second", 10);
    await eventually(async () => /blocked_clients:1/.test(await r.info("clients")), "the client is blocked");
    equal(await r.rpush("second", "x"), 1);
    equal(await popped, ["second", "x"]);
    equal(await r.exists("second"), 0);
    other.disconnect();
  },

  async publishAndSubscribe(r, protocol) {
    const listener = connect(protocol);
    const heard = [];
    listener.on("message", (channel, text) => heard.push([channel, text]));
    listener.on("pmessage", (pattern, channel, text) => heard.push([pattern, channel, text]));
    equal(await listener.subscribe("news", "more"), 2);
    equal(await listener.psubscribe("n*"), 3);
    equal(await r.publish("news", "hello"), 2);
    await eventually(() => heard.length === 2, "both subscriptions hear it");
    equal(heard, [["news", "hello"], ["n*", "news", "hello"]]);
    equal(await r.pubsub("NUMSUB", "news"), ["news", 1]);
    equal(await listener.unsubscribe("news", "more"), 1);
    equal(await listener.punsubscribe("n*"), 0);
    equal(await listener.get("none"), null);
    equal(await r.publish("news", "nobody"), 0);
    listener.disconnect();
  },

  // Shapes that only RESP3 tells apart.
  async resp3Types(r, protocol) {
    const is3 = protocol === 3;
    equal(await r.call("CONFIG", "GET", "maxmemory"), is3 ? { maxmemory: "0" } : ["maxmemory", "0"]);
    await r.zadd("z", 1.5, "m");
    equal(await r.call("ZRANGE", "z", 0, -1, "WITHSCORES"), is3 ? [["m", 1.5]] : ["m", "1.5"]);
    const hello = await r.call("HELLO");
    equal(is3 ? hello.proto : hello[5], protocol);
  },

  async lock(r) {
    equal(await r.set("lock", "token", "PX", 30_000, "NX"), "OK");
    equal(await r.set("lock", "other", "PX", 30_000, "NX"), null);
    if (await hasDelex(r)) {
      equal(await r.call("DELEX", "lock", "IFEQ", "other"), 0);
      equal(await r.call("DELEX", "lock", "IFEQ", "token"), 1);
      equal(await r.exists("lock"), 0);
    }
  },
};

// DELEX is younger than the reference, which alone may lack it.
const hasDelex = async (r) => (await r.info("server")).includes("server_name:brindle");

// How long a check may take: a reply that never comes fails it.
const checkMillisecondsMax = 30_000;

const tooLate = () =>
  new Promise((_, fail) => {
    setTimeout(() => fail(new Error(`no answer for ${checkMillisecondsMax} ms`)), checkMillisecondsMax).unref();
  });

let [passed, failed] = [0, 0];
for (const protocol of [2, 3]) {
  for (const [name, check] of Object.entries(checks)) {
    const r = connect(protocol);
    try {
      await r.flushall();
      await Promise.race([check(r, protocol), tooLate()]);
      passed += 1;
      console.log(`ok ${name} (RESP${protocol})`);
    } catch (error) {
      failed += 1;
      console.log(`not ok ${name} (RESP${protocol})\n${error.stack}`);
    }
    r.disconnect();
  }
}
console.log(`${passed} checks passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
