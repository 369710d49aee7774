// Drives a server through go-redis and asserts what it answers.
//
//	clients HOST PORT
//
// Every check runs over RESP2 and over RESP3. A line is printed for each, and a last line that counts; the exit
// status is 1 when one failed. The server is emptied before each check.
package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"reflect"
	"runtime/debug"
	"sort"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// How long a check may take: a reply that never comes fails it.
const checkTimeout = 30 * time.Second

// peer is what a check works with: a client, its protocol, and a context that ends when the check took too long.
type peer struct {
	*redis.Client
	ctx      context.Context
	protocol int
}

var checks = []struct {
	name string
	run  func(peer)
}{
	{"connection", connection},
	{"strings", stringValues},
	{"binary", binary},
	{"bitmaps and HyperLogLog", bitmapsAndHyperLogLog},
	{"lists", lists},
	{"sets", sets},
	{"hashes", hashes},
	{"sorted sets", sortedSets},
	{"geo", geo},
	{"streams", streams},
	{"keys and expiry", keysAndExpiry},
	{"scan", scan},
	{"transaction", transaction},
	{"blocking pop", blockingPop},
	{"publish and subscribe", publishAndSubscribe},
	{"RESP3 types", resp3Types},
	{"lock", lock},
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "wanted: HOST PORT")
		os.Exit(1)
	}
	address := net.JoinHostPort(os.Args[1], os.Args[2])
	passed, failed := 0, 0
	for _, protocol := range []int{2, 3} {
		for _, check := range checks {
			if problem := attempt(address, protocol, check.run); problem != "" {
				failed++
				fmt.Printf("not ok %s (RESP%d): %s\n", check.name, protocol, problem)
			} else {
				passed++
				fmt.Printf("ok %s (RESP%d)\n", check.name, protocol)
			}
		}
	}
	fmt.Printf("%d checks passed, %d failed\n", passed, failed)
	if failed > 0 {
		os.Exit(1)
	}
}

// attempt runs one check and returns what went wrong, or nothing.
func attempt(address string, protocol int, run func(peer)) (problem string) {
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	client := redis.NewClient(&redis.Options{Addr: address, Protocol: protocol, MaxRetries: -1})
	defer client.Close()
	defer func() {
		if panicked := recover(); panicked != nil {
			problem = fmt.Sprintf("%v\n%s", panicked, debug.Stack())
		}
	}()
	r := peer{client, ctx, protocol}
	equal(done(r.FlushAll(ctx).Result()), "OK")
	run(r)
	return ""
}

// --- what the checks share ---

// done unpacks a reply that must not be an error.
func done[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func equal(found, wanted any) {
	if !reflect.DeepEqual(found, wanted) {
		panic(fmt.Sprintf("found %#v, wanted %#v", found, wanted))
	}
}

// isNil wants the null reply.
func isNil[T any](value T, err error) {
	if !errors.Is(err, redis.Nil) {
		panic(fmt.Sprintf("wanted null, found %#v, %v", value, err))
	}
}

func refused[T any](value T, err error) func(text string) {
	return func(text string) {
		if err == nil || !strings.HasPrefix(err.Error(), text) {
			panic(fmt.Sprintf("wanted the error %q, found %#v, %v", text, value, err))
		}
	}
}

func eventually(what string, condition func() bool) {
	for end := time.Now().Add(10 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			panic("never: " + what)
		}
	}
}

func (r peer) isBlocked() bool {
	return strings.Contains(done(r.Info(r.ctx, "clients").Result()), "blocked_clients:1\r\n")
}

func numbers(count int) []string {
	words := make([]string, count)
	for index := range words {
		words[index] = fmt.Sprint(index)
	}
	return words
}

func asAny(words []string) []any {
	values := make([]any, len(words))
	for index, word := range words {
		values[index] = word
	}
	return values
}

func sorted(words []string) []string {
	sort.Strings(words)
	return words
}

// --- the checks ---

func connection(r peer) {
	equal(done(r.Ping(r.ctx).Result()), "PONG")
	equal(done(r.Echo(r.ctx, "héllo").Result()), "héllo")
	info := done(r.ClientInfo(r.ctx).Result())
	equal(info.Resp, r.protocol)
	if !strings.HasPrefix(info.LibName, "go-redis") {
		panic("lib-name is " + info.LibName)
	}
	refused(r.Do(r.ctx, "NONSENSE").Result())("ERR unknown command 'NONSENSE'")
}

func stringValues(r peer) {
	equal(done(r.Set(r.ctx, "k", "v", 0).Result()), "OK")
	equal(done(r.Get(r.ctx, "k").Result()), "v")
	isNil(r.Get(r.ctx, "none").Result())
	equal(done(r.SetNX(r.ctx, "k", "w", 0).Result()), false)
	equal(done(r.SetArgs(r.ctx, "k", "w", redis.SetArgs{Mode: "XX", Get: true}).Result()), "v")
	equal(done(r.Append(r.ctx, "k", "xyz").Result()), int64(4))
	equal(done(r.GetRange(r.ctx, "k", 1, -2).Result()), "xy")
	equal(done(r.MSet(r.ctx, "a", "1", "b", "2").Result()), "OK")
	equal(done(r.MGet(r.ctx, "a", "none", "b").Result()), []any{"1", nil, "2"})
	equal(done(r.Incr(r.ctx, "n").Result()), int64(1))
	equal(done(r.IncrBy(r.ctx, "n", 41).Result()), int64(42))
	equal(done(r.IncrByFloat(r.ctx, "n", 0.5).Result()), 42.5)
	equal(done(r.GetDel(r.ctx, "n").Result()), "42.5")
	refused(r.Incr(r.ctx, "k").Result())("ERR value is not an integer or out of range")
}

func binary(r peer) {
	key := make([]byte, 256)
	for index := range key {
		key[index] = byte(index)
	}
	large := strings.Repeat(string(key), 8192)
	equal(done(r.Set(r.ctx, string(key), large, 0).Result()), "OK")
	equal(done(r.Get(r.ctx, string(key)).Result()), large)
	equal(done(r.Keys(r.ctx, "*").Result()), []string{string(key)})
}

func bitmapsAndHyperLogLog(r peer) {
	equal(done(r.SetBit(r.ctx, "bits", 7, 1).Result()), int64(0))
	equal(done(r.SetBit(r.ctx, "bits", 7, 0).Result()), int64(1))
	equal(done(r.SetBit(r.ctx, "bits", 9, 1).Result()), int64(0))
	equal(done(r.BitCount(r.ctx, "bits", nil).Result()), int64(1))
	equal(done(r.BitPos(r.ctx, "bits", 1).Result()), int64(9))
	equal(done(r.BitField(r.ctx, "f", "SET", "u8", 0, 200, "GET", "u8", 0).Result()), []int64{0, 200})
	equal(done(r.PFAdd(r.ctx, "h", asAny(numbers(1000))...).Result()), int64(1))
	count := done(r.PFCount(r.ctx, "h").Result())
	if count < 980 || count > 1020 {
		panic(fmt.Sprint("counted ", count))
	}
	equal(done(r.PFMerge(r.ctx, "m", "h").Result()), "OK")
	equal(done(r.PFCount(r.ctx, "m").Result()), count)
}

func lists(r peer) {
	equal(done(r.RPush(r.ctx, "l", "a", "b", "c").Result()), int64(3))
	equal(done(r.LPush(r.ctx, "l", "z").Result()), int64(4))
	equal(done(r.LRange(r.ctx, "l", 0, -1).Result()), []string{"z", "a", "b", "c"})
	equal(done(r.LIndex(r.ctx, "l", 1).Result()), "a")
	isNil(r.LIndex(r.ctx, "l", 9).Result())
	equal(done(r.LPos(r.ctx, "l", "c", redis.LPosArgs{}).Result()), int64(3))
	equal(done(r.LMove(r.ctx, "l", "m", "LEFT", "RIGHT").Result()), "z")
	key, popped, err := r.LMPop(r.ctx, "RIGHT", 9, "none", "l").Result()
	equal([]any{key, popped, err}, []any{"l", []string{"c", "b", "a"}, nil})
	isNil(r.LPop(r.ctx, "l").Result())
	equal(done(r.RPush(r.ctx, "many", asAny(numbers(5000))...).Result()), int64(5000))
	equal(done(r.LRange(r.ctx, "many", 0, -1).Result()), numbers(5000))
	equal(done(r.Set(r.ctx, "text", "x", 0).Result()), "OK")
	refused(r.LPush(r.ctx, "text", "x").Result())("WRONGTYPE Operation against a key")
}

func sets(r peer) {
	equal(done(r.SAdd(r.ctx, "s", 1, 2, 3).Result()), int64(3))
	equal(done(r.SAdd(r.ctx, "t", 3, 4).Result()), int64(2))
	equal(sorted(done(r.SMembers(r.ctx, "s").Result())), []string{"1", "2", "3"})
	equal(done(r.SMembersMap(r.ctx, "t").Result()), map[string]struct{}{"3": {}, "4": {}})
	equal(done(r.SIsMember(r.ctx, "s", 1).Result()), true)
	equal(done(r.SMIsMember(r.ctx, "s", 1, 9).Result()), []bool{true, false})
	equal(done(r.SInter(r.ctx, "s", "t").Result()), []string{"3"})
	equal(done(r.SMove(r.ctx, "s", "t", 1).Result()), true)
	equal(done(r.SRem(r.ctx, "s", 2, 9).Result()), int64(1))
	equal(done(r.SPop(r.ctx, "s").Result()), "3")
	equal(done(r.Exists(r.ctx, "s").Result()), int64(0))
	equal(done(r.SAdd(r.ctx, "many", asAny(numbers(3000))...).Result()), int64(3000))
	found := map[string]bool{}
	for walk := r.SScan(r.ctx, "many", 0, "", 100).Iterator(); walk.Next(r.ctx); {
		found[walk.Val()] = true
	}
	equal(len(found), 3000)
}

func hashes(r peer) {
	equal(done(r.HSet(r.ctx, "h", "f", "1", "g", "x").Result()), int64(2))
	equal(done(r.HGet(r.ctx, "h", "f").Result()), "1")
	isNil(r.HGet(r.ctx, "h", "none").Result())
	equal(done(r.HMGet(r.ctx, "h", "g", "none").Result()), []any{"x", nil})
	equal(done(r.HGetAll(r.ctx, "h").Result()), map[string]string{"f": "1", "g": "x"})
	equal(done(r.HGetAll(r.ctx, "none").Result()), map[string]string{})
	equal(done(r.HIncrBy(r.ctx, "h", "f", 9).Result()), int64(10))
	equal(done(r.HIncrByFloat(r.ctx, "h", "f", 0.25).Result()), 10.25)
	equal(done(r.HExpire(r.ctx, "h", 100*time.Second, "f", "none").Result()), []int64{1, -2})
	equal(done(r.HTTL(r.ctx, "h", "f", "g").Result()), []int64{100, -1})
	equal(done(r.HPExpire(r.ctx, "h", time.Millisecond, "g").Result()), []int64{1})
	eventually("the field expires", func() bool { return !done(r.HExists(r.ctx, "h", "g").Result()) })
	wanted := map[string]string{}
	for _, number := range numbers(2000) {
		wanted["f"+number] = number
	}
	equal(done(r.HSet(r.ctx, "many", wanted).Result()), int64(2000))
	equal(done(r.HGetAll(r.ctx, "many").Result()), wanted)
}

func sortedSets(r peer) {
	members := []redis.Z{{Score: 1, Member: "a"}, {Score: 2.5, Member: "b"}, {Score: math.Inf(1), Member: "c"}}
	equal(done(r.ZAdd(r.ctx, "z", members...).Result()), int64(3))
	equal(done(r.ZScore(r.ctx, "z", "b").Result()), 2.5)
	isNil(r.ZScore(r.ctx, "z", "none").Result())
	equal(done(r.ZRangeWithScores(r.ctx, "z", 0, -1).Result()), members)
	byScore := redis.ZRangeArgs{Key: "z", Start: "(1", Stop: "+inf", ByScore: true}
	equal(done(r.ZRangeArgs(r.ctx, byScore).Result()), []string{"b", "c"})
	equal(done(r.ZRank(r.ctx, "z", "b").Result()), int64(1))
	isNil(r.ZRank(r.ctx, "z", "none").Result())
	equal(done(r.ZIncrBy(r.ctx, "z", 4, "a").Result()), 5.0)
	equal(done(r.ZMScore(r.ctx, "z", "a", "b").Result()), []float64{5, 2.5})
	equal(done(r.ZAdd(r.ctx, "y", redis.Z{Score: 10, Member: "a"}).Result()), int64(1))
	store := redis.ZStore{Keys: []string{"z", "y"}, Weights: []float64{1, 2}}
	equal(done(r.ZUnionStore(r.ctx, "u", &store).Result()), int64(3))
	equal(done(r.ZScore(r.ctx, "u", "a").Result()), 25.0)
	equal(done(r.ZPopMin(r.ctx, "z").Result()), members[1:2])
	key, popped, err := r.ZMPop(r.ctx, "max", 1, "z").Result()
	equal([]any{key, popped, err}, []any{"z", members[2:], nil})
	for index := range 2000 {
		members = append(members, redis.Z{Score: float64(index), Member: fmt.Sprint(index)})
	}
	equal(done(r.ZAdd(r.ctx, "many", members[3:]...).Result()), int64(2000))
	limits := redis.ZRangeBy{Min: "1000", Max: "1002"}
	equal(done(r.ZRangeByScore(r.ctx, "many", &limits).Result()), []string{"1000", "1001", "1002"})
}

func geo(r peer) {
	palermo := redis.GeoLocation{Name: "Palermo", Longitude: 13.361389, Latitude: 38.115556}
	catania := redis.GeoLocation{Name: "Catania", Longitude: 15.087269, Latitude: 37.502669}
	equal(done(r.GeoAdd(r.ctx, "g", &palermo, &catania).Result()), int64(2))
	equal(done(r.GeoDist(r.ctx, "g", "Palermo", "Catania", "km").Result()), 166.2742)
	equal(done(r.GeoHash(r.ctx, "g", "Palermo").Result()), []string{"sqc8b49rny0"})
	near := redis.GeoSearchQuery{Longitude: 15, Latitude: 37, Radius: 200, RadiusUnit: "km", Sort: "ASC"}
	found := done(r.GeoSearchLocation(r.ctx, "g", &redis.GeoSearchLocationQuery{GeoSearchQuery: near, WithDist: true}).Result())
	equal([]any{len(found), found[0].Name, found[0].Dist}, []any{2, "Catania", 56.4413})
}

func streams(r peer) {
	add := func(id string) (string, error) {
		return r.XAdd(r.ctx, &redis.XAddArgs{Stream: "s", ID: id, Values: []any{"f", "v"}}).Result()
	}
	equal(done(add("1-1")), "1-1")
	equal(done(add("2-1")), "2-1")
	refused(add("1-1"))("ERR The ID specified in XADD is equal or smaller")
	first := redis.XMessage{ID: "1-1", Values: map[string]any{"f": "v"}}
	equal(done(r.XRangeN(r.ctx, "s", "-", "+", 1).Result()), []redis.XMessage{first})
	equal(done(r.XGroupCreate(r.ctx, "s", "crew", "0").Result()), "OK")
	group := redis.XReadGroupArgs{Group: "crew", Consumer: "anna", Streams: []string{"s", ">"}, Count: 1, Block: -1}
	read := done(r.XReadGroup(r.ctx, &group).Result())
	equal(read, []redis.XStream{{Stream: "s", Messages: []redis.XMessage{first}}})
	pending := done(r.XPending(r.ctx, "s", "crew").Result())
	equal([]any{pending.Count, pending.Lower, pending.Consumers}, []any{int64(1), "1-1", map[string]int64{"anna": 1}})
	claimed, next, err := r.XAutoClaim(r.ctx, &redis.XAutoClaimArgs{Stream: "s", Group: "crew", Consumer: "bert", Start: "0"}).Result()
	equal([]any{claimed, next, err}, []any{[]redis.XMessage{first}, "0-0", nil})
	equal(done(r.XAck(r.ctx, "s", "crew", "1-1").Result()), int64(1))
	full := done(r.XInfoStreamFull(r.ctx, "s", 10).Result())
	equal([]any{full.Length, full.LastGeneratedID, full.Groups[0].Name}, []any{int64(2), "2-1", "crew"})
	heard := make(chan []redis.XStream)
	go func() {
		found, _ := r.XRead(r.ctx, &redis.XReadArgs{Streams: []string{"s", "$"}, Block: 10 * time.Second}).Result()
		heard <- found
	}()
	eventually("the reader is blocked", r.isBlocked)
	equal(done(add("3-1")), "3-1")
	third := redis.XMessage{ID: "3-1", Values: map[string]any{"f": "v"}}
	equal(<-heard, []redis.XStream{{Stream: "s", Messages: []redis.XMessage{third}}})
}

func keysAndExpiry(r peer) {
	equal(done(r.Set(r.ctx, "k", "v", 100*time.Second).Result()), "OK")
	if left := done(r.TTL(r.ctx, "k").Result()); left < 98*time.Second || left > 100*time.Second {
		panic(left)
	}
	equal(done(r.Persist(r.ctx, "k").Result()), true)
	equal(done(r.TTL(r.ctx, "none").Result()), time.Duration(-2))
	equal(done(r.Type(r.ctx, "k").Result()), "string")
	equal(done(r.ObjectEncoding(r.ctx, "k").Result()), "embstr")
	equal(done(r.Rename(r.ctx, "k", "l").Result()), "OK")
	equal(done(r.Del(r.ctx, "l", "none").Result()), int64(1))
	equal(done(r.Set(r.ctx, "gone", "soon", time.Millisecond).Result()), "OK")
	eventually("the key expires", func() bool { return done(r.Exists(r.ctx, "gone").Result()) == 0 })
	equal(done(r.RPush(r.ctx, "numbers", 3, 1, 2).Result()), int64(3))
	equal(done(r.Sort(r.ctx, "numbers", &redis.Sort{Order: "DESC"}).Result()), []string{"3", "2", "1"})
	equal(done(r.Restore(r.ctx, "copy", 0, done(r.Dump(r.ctx, "numbers").Result())).Result()), "OK")
	equal(done(r.LRange(r.ctx, "copy", 0, -1).Result()), []string{"3", "1", "2"})
}

func scan(r peer) {
	replies := done(r.Pipelined(r.ctx, func(batch redis.Pipeliner) error {
		for _, number := range numbers(5000) {
			batch.Set(r.ctx, "key:"+number, number, 0)
		}
		return nil
	}))
	equal(len(replies), 5000)
	equal(done(r.LPush(r.ctx, "list", "x").Result()), int64(1))
	found := map[string]bool{}
	for walk := r.Scan(r.ctx, 0, "key:*", 50).Iterator(); walk.Next(r.ctx); {
		found[walk.Val()] = true
	}
	equal(len(found), 5000)
	typed := r.ScanType(r.ctx, 0, "*", 10_000, "list").Iterator()
	equal([]any{typed.Next(r.ctx), typed.Val(), typed.Next(r.ctx)}, []any{true, "list", false})
}

func transaction(r peer) {
	replies, err := r.TxPipelined(r.ctx, func(batch redis.Pipeliner) error {
		batch.Set(r.ctx, "a", 1, 0)
		batch.LPush(r.ctx, "a", "x")
		batch.Incr(r.ctx, "a")
		return nil
	})
	refused(replies, err)("WRONGTYPE")
	equal(done(replies[2].(*redis.IntCmd).Result()), int64(2))
	increment := func(disturb func()) error {
		return r.Watch(r.ctx, func(watching *redis.Tx) error {
			seen := done(watching.Get(r.ctx, "a").Int())
			disturb()
			_, err := watching.TxPipelined(r.ctx, func(batch redis.Pipeliner) error {
				batch.Set(r.ctx, "a", seen+1, 0)
				return nil
			})
			return err
		}, "a")
	}
	equal(increment(func() { r.Set(r.ctx, "a", "10", 0) }), redis.TxFailedErr)
	equal(increment(func() {}), nil)
	equal(done(r.Get(r.ctx, "a").Result()), "11")
}

func blockingPop(r peer) {
	isNil(r.BLPop(r.ctx, time.Second, "none").Result())
	popped := make(chan []string)
	go func() {
		found, _ := r.BLPop(r.ctx, 10*time.Second, "first", "second").Result()
		popped <- found
	}()
	eventually("the client is blocked", r.isBlocked)
	equal(done(r.RPush(r.ctx, "second", "x").Result()), int64(1))
	equal(<-popped, []string{"second", "x"})
	equal(done(r.ZAdd(r.ctx, "z", redis.Z{Score: 1.5, Member: "m"}).Result()), int64(1))
	smallest := done(r.BZPopMin(r.ctx, time.Second, "z").Result())
	equal(*smallest, redis.ZWithKey{Z: redis.Z{Score: 1.5, Member: "m"}, Key: "z"})
}

func publishAndSubscribe(r peer) {
	listener := r.Subscribe(r.ctx, "news")
	defer listener.Close()
	if err := listener.PSubscribe(r.ctx, "n*"); err != nil {
		panic(err)
	}
	for count := 1; count <= 2; count++ {
		equal(done(listener.Receive(r.ctx)).(*redis.Subscription).Count, count)
	}
	equal(done(r.Publish(r.ctx, "news", "hello").Result()), int64(2))
	for _, pattern := range []string{"", "n*"} {
		message := done(listener.ReceiveMessage(r.ctx))
		equal([]string{message.Pattern, message.Channel, message.Payload}, []string{pattern, "news", "hello"})
	}
	equal(done(r.PubSubNumSub(r.ctx, "news").Result()), map[string]int64{"news": 1})
	equal(done(r.PubSubChannels(r.ctx, "*").Result()), []string{"news"})
	if err := errors.Join(listener.Unsubscribe(r.ctx), listener.PUnsubscribe(r.ctx)); err != nil {
		panic(err)
	}
	for count := 1; count >= 0; count-- {
		equal(done(listener.Receive(r.ctx)).(*redis.Subscription).Count, count)
	}
	equal(done(r.Publish(r.ctx, "news", "nobody").Result()), int64(0))
}

// Shapes that only RESP3 tells apart.
func resp3Types(r peer) {
	equal(done(r.HSet(r.ctx, "h", "f", "v").Result()), int64(1))
	equal(done(r.ZAdd(r.ctx, "z", redis.Z{Score: 1.5, Member: "m"}).Result()), int64(1))
	hash, pairs := any([]any{"f", "v"}), any([]any{"m", "1.5"})
	if r.protocol == 3 {
		hash, pairs = map[any]any{"f": "v"}, []any{[]any{"m", 1.5}}
	}
	equal(done(r.Do(r.ctx, "HGETALL", "h").Result()), hash)
	equal(done(r.Do(r.ctx, "ZRANGE", "z", 0, -1, "WITHSCORES").Result()), pairs)
	isNil(r.Do(r.ctx, "GET", "none").Result())
	equal(done(r.ConfigGet(r.ctx, "maxmemory").Result()), map[string]string{"maxmemory": "0"})
}

func lock(r peer) {
	equal(done(r.SetNX(r.ctx, "lock", "token", 30*time.Second).Result()), true)
	equal(done(r.SetNX(r.ctx, "lock", "other", 30*time.Second).Result()), false)
	if !r.hasDelEx() {
		return
	}
	release := func(token string) int64 {
		return done(r.DelExArgs(r.ctx, "lock", redis.DelExArgs{Mode: "IFEQ", MatchValue: token}).Result())
	}
	equal(release("other"), int64(0))
	equal(release("token"), int64(1))
	equal(done(r.Exists(r.ctx, "lock").Result()), int64(0))
}

// DELEX is younger than the reference, which alone may lack it.
func (r peer) hasDelEx() bool {
	return strings.Contains(done(r.Info(r.ctx, "server").Result()), "server_name:brindle")
}
