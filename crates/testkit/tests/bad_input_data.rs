//! Commands about data as nobody should send them, beside Redis 8.0.2: options in any order and doubled, commands that
//! turn out wrong in the middle, counts at the limits. The replies are those of Redis, and so is what stays: what it
//! refuses changes nothing.
//!
//! `wrong.rs` has wrong numbers of arguments and wrong types, `crowds.rs` counts without end.
//! `BRINDLE_BAD_INPUT_SEED` repeats a run.

use testkit::differential::{Campaign, DEFAULT_LIMITS, SMALL_LIMITS, Sequence, Settings, Step, never_random};
use testkit::grammar::{Command, Generator, Grammar};
use testkit::reply::{is_error, items, show, text};
use testkit::words::{join, split};
use testkit::{Client, Program, Reply, Server, Words, found};

const REFERENCE: &str = "redis-8.0.2";
const FAMILIES: [&str; 10] =
    ["string", "generic", "list", "set", "hash", "sorted-set", "stream", "bitmap", "hyperloglog", "geo"];
/// Commands in a sequence behind its prelude; `random.rs` says why not more.
const COMMANDS_PER_SEQUENCE: usize = 40;
/// Elements of the large values.
const LARGE: usize = 200_000;

/// Both servers, with DEBUG allowed.
fn programs() -> Option<(Program, Program)> {
    Some((found(Program::subject(), "brindle-server")?, found(Program::reference(REFERENCE), REFERENCE)?))
}

fn start(program: &Program) -> Server {
    Server::start(program, DEFAULT_LIMITS.arguments).expect("the server starts")
}

fn words(line: &str) -> Words {
    split(line.as_bytes()).expect("words")
}

// --- options

fn disordered(grammar: &Grammar, family: &str, seed: u64) -> Sequence {
    let mut generator = Generator::new(grammar, seed, &[]).disordered();
    let commands: Vec<&Command> = grammar.group(family).filter(|command| !never_random(&command.name)).collect();
    let mut steps = generator.prelude(family);
    for _ in 0..COMMANDS_PER_SEQUENCE {
        let command = generator.choose(&commands);
        steps.push(generator.command(command));
    }
    let steps = steps.into_iter().map(|words| Step::Call('a', words)).collect();
    Sequence { name: format!("{family} in disorder, seed {seed}"), alone: false, steps }
}

/// How many of the commands the reference takes, and how many it refuses: a generator of nothing but errors, or of none,
/// would judge little.
fn accepted_and_refused(server: &Server, sequences: &[Sequence]) -> (usize, usize) {
    let mut client = server.connect().expect("a connection");
    let (mut accepted, mut refused) = (0, 0);
    for sequence in sequences {
        client.call(&["FLUSHALL"]).expect("a reply");
        for step in &sequence.steps {
            let Step::Call(_, words) = step else { continue };
            if is_error(&client.call(words).expect("a reply")) { refused += 1 } else { accepted += 1 }
        }
    }
    (accepted, refused)
}

#[test]
fn options_in_any_order_and_doubled_are_answered_alike() {
    let Some((subject, reference)) = programs() else { return };
    let full = std::env::var("BRINDLE_DEPTH").as_deref() == Ok("full");
    let seed = std::env::var("BRINDLE_BAD_INPUT_SEED")
        .map_or_else(|_| fastrand::u64(..), |seed| seed.parse().expect("a number"));
    let server = start(&reference);
    let grammar = Grammar::read(&mut server.connect().expect("a connection")).expect("COMMAND DOCS");
    let mut random = fastrand::Rng::with_seed(seed);
    let sequences = if full { 200 } else { 20 };
    let written: Vec<Sequence> = FAMILIES
        .iter()
        .flat_map(|family| (0..sequences).map(move |_| family))
        .map(|family| disordered(&grammar, family, random.u64(..)))
        .collect();
    let sample: Vec<Sequence> = written.iter().step_by(sequences / 2).cloned().collect();
    let (accepted, refused) = accepted_and_refused(&server, &sample);
    drop(server);
    let settings = Settings { families: Vec::new(), commands: 0, fresh_seed: seed };
    let conditions = &[DEFAULT_LIMITS, SMALL_LIMITS];
    let report = Campaign { reference: &reference, subject: &subject, conditions, settings, written, fault: None }
        .run()
        .expect("both servers start");
    println!("seed {seed}; of a sample {accepted} commands were accepted and {refused} refused\n{report}");
    assert!(accepted * 4 > refused && refused * 10 > accepted, "{accepted} accepted, {refused} refused");
    assert!(report.is_good(), "see the report above (seed {seed})");
}

// --- errors in the middle

/// What is there before each wrong command.
const DATA: &str = "SET s text\nSET n 5 PX 100000000\nRPUSH l a b c\nSADD st a b\nHSET h f v g w\nHPEXPIREAT h 4000000000000 \
    FIELDS 1 f\nZADD z 1 a 2 b\nZADD zi inf a\nXADD x 1-1 f v\nXADD x 2-1 f v\nXGROUP CREATE x g 0\nXREADGROUP GROUP g \
    bob COUNT 1 STREAMS x >\nXADD x2 1-1 f v\nXGROUP CREATE x2 g 0\nGEOADD geo 13 38 p\nSETBIT bits 7 1\nPFADD hll a b";

/// Commands that begin well and are wrong further on: the reference refuses each, and neither changes anything.
const WRONG_IN_THE_MIDDLE: &str = r#"
SET s v EX 0
SET s v EX x
SET s v NX XX
SET s v EX 10 PX 10
SET s v KEEPTTL EX 10
SET s v PXAT -1
SET s v GET EX
SET l v GET
SETEX s 0 v
SETEX s x v
PSETEX s -1 v
GETEX n EX 0
GETEX n EX 10 PERSIST
GETEX n PXAT
GETSET l v
GETDEL l
MSET s 1 n
MSET s 1 n 2 l
MSETNX fresh 1 s
INCR s
INCRBY n 9223372036854775807
INCRBY n x
DECRBY n -9223372036854775808
INCRBYFLOAT s 1
INCRBYFLOAT n inf
INCRBYFLOAT n 1e
SETRANGE s -1 x
SETRANGE s 536870912 x
APPEND l x
LCS l s
LCS s n LEN IDX
SETBIT bits -1 1
SETBIT bits 0 2
SETBIT bits 4294967296 1
BITFIELD bits SET u8 0 255 INCRBY u8 x 1
BITFIELD bits SET u8 0 1 SET u64 0 1
BITFIELD bits SET u8 0 1 SET i65 0 1
BITFIELD bits SET u8 0 1 OVERFLOW MAYBE SET u8 0 2
BITFIELD bits SET u8 0 1 GET u8
BITFIELD bits SET u8 0 1 SET u8 0 x
BITFIELD bits SET u8 0 1 SET u8 #-1 1
BITFIELD bits INCRBY u8 0 1 NOSUCH u8 0
BITFIELD_RO bits GET u8 0 SET u8 0 1
BITOP NOT bits bits s
BITOP AND bits bits l
BITOP NAND bits bits s
BITCOUNT bits 0
BITPOS bits 2
PFADD s a
PFMERGE hll hll s
PFMERGE hll l
PFCOUNT hll l
LPUSH s a b
LPUSHX s a
LINSERT l BESIDE a b
LSET l 99 x
LSET l x y
LSET fresh 0 y
LMOVE l s LEFT LEFT
LMOVE l l UP LEFT
RPOPLPUSH l s
BLMOVE l s LEFT LEFT 0.01
BRPOPLPUSH l s 0.01
BLPOP l -1
BLPOP l x
BLMPOP 0.01 1 l UP
BLMPOP 0.01 0 l LEFT
LMPOP 2 l LEFT
LMPOP 1 l LEFT COUNT 0
LMPOP 1 l LEFT COUNT 1 COUNT 2
LMPOP 2 s l LEFT
LPOP l -1
LPOP l x
LTRIM l 0 x
LREM l x a
LPOS l a RANK 0
LPOS l a COUNT -1
SORT l STORE l
SORT l LIMIT 0 x STORE l
SORT l ALPHA STORE
SORT l BY
SORT s
SMOVE st s a
SMOVE s st a
SINTERSTORE st st s
SUNIONSTORE st st s
SDIFFSTORE st st s
SPOP st -1
SPOP st x
SRANDMEMBER st -9223372036854775808
SRANDMEMBER st 9223372036854775808
SINTERCARD 1 st LIMIT -1
SINTERCARD 2 st
HSET h f2 v2 g
HMSET h f2 v2 g
HSETNX h f
HINCRBY h f 1
HINCRBY h g x
HINCRBYFLOAT h f 1
HINCRBYFLOAT h fresh inf
HRANDFIELD h -9223372036854775808
HRANDFIELD h 1 WITH
HSETEX h FIELDS 2 f 1 g
HSETEX h FIELDS 3 f 1 g 2
HSETEX h FNX FXX FIELDS 1 f v
HSETEX h EX -1 FIELDS 1 f v
HSETEX h EX 10 EX 20 FIELDS 1 f v
HSETEX h EX 10 PX 10 FIELDS 1 f v
HSETEX h EX 10 KEEPTTL FIELDS 1 f v
HSETEX h EX x FIELDS 1 f v
HSETEX h PXAT 9223372036854775807 FIELDS 1 f v
HGETEX h EX 10 PERSIST FIELDS 1 f
HGETEX h EX -1 FIELDS 1 f
HGETEX h PX x FIELDS 1 f
HGETEX h FIELDS 2 f
HGETDEL h FIELDS 3 f g
HGETDEL h FIELDS 0 f
HGETDEL h FIELDS x f
HEXPIRE h 10 FIELDS 2 f
HEXPIRE h -1 FIELDS 1 f
HEXPIRE h 9223372036854775807 FIELDS 1 f
HEXPIRE h 10 NX XX FIELDS 1 f
HEXPIRE h 10 NX FIELDS 0 f
HEXPIRE h x FIELDS 1 f
HPEXPIREAT h 70368744177665 FIELDS 2 f g
HPERSIST h FIELDS 2 f
HTTL h FIELDS 1 f g
ZADD z 3 c nan d
ZADD z 3 c 4
ZADD z 3 c x d 5 e
ZADD z NX XX 3 c
ZADD z GT LT 1 a
ZADD z NX GT 1 a
ZADD z INCR 1 a 2 b
ZADD zi INCR -inf a
ZADD zi 1 b INCR -inf a
ZADD z XX 3 a nan b
ZINCRBY z nan a
ZINCRBY zi -inf a
ZUNIONSTORE z 2 z WEIGHTS 1
ZUNIONSTORE z 2 z zi WEIGHTS 1 x
ZUNIONSTORE z 2 z zi WEIGHTS 1
ZUNIONSTORE z 1 z AGGREGATE MEDIAN
ZUNIONSTORE z 0 z
ZUNIONSTORE z 2 z s
ZINTERSTORE z 2 z s
ZDIFFSTORE z 2 z s
ZINTERSTORE z x z
ZRANGESTORE z z 0 x
ZRANGESTORE z z (1 x BYSCORE
ZRANGESTORE z s 0 -1
ZRANGESTORE z z 0 -1 LIMIT 0 1
ZRANGESTORE z z 0 -1 WITHSCORES
ZMPOP 1 z MIN COUNT 0
ZMPOP 2 s z MIN
ZMPOP 1 z MIDDLE
BZMPOP 0.01 1 z MIN COUNT x
ZPOPMIN z -1
ZPOPMIN z x
BZPOPMIN z x
ZRANDMEMBER z -9223372036854775808
ZRANDMEMBER z -9223372036854775807 WITHSCORES
HRANDFIELD h -9223372036854775807 WITHVALUES
ZREMRANGEBYSCORE z (1 x
ZREMRANGEBYRANK z 0 x
ZREMRANGEBYLEX z a b
ZINTERCARD 1 z LIMIT -1
GEOADD geo 13 38 q 200 38 r
GEOADD geo 13 38 q 14 86 r
GEOADD geo 13 38 q 14
GEOADD geo NX XX 13 38 q
GEOADD geo CH 13 x q
GEOSEARCHSTORE geo geo FROMMEMBER nobody BYRADIUS 1 km
GEOSEARCHSTORE geo geo FROMLONLAT 13 38 BYRADIUS x km
GEOSEARCHSTORE geo geo FROMLONLAT 13 38 BYRADIUS -1 km
GEOSEARCHSTORE geo geo FROMLONLAT 13 38 BYRADIUS 1 km BYBOX 1 1 km
GEOSEARCHSTORE geo geo FROMLONLAT 13 38 BYRADIUS 1 km WITHDIST
GEOSEARCHSTORE geo geo FROMLONLAT 13 38 BYRADIUS 1 km COUNT 0
GEOSEARCHSTORE geo geo FROMLONLAT 13 38 BYRADIUS 1 km ANY
GEORADIUS geo 13 38 1 km STORE geo WITHDIST
GEORADIUSBYMEMBER geo p 1 km STORE
XADD x 1-1 f v
XADD x 0-0 f v
XADD x 3-1 f
XADD x 3-1 f v g
XADD x abc f v
XADD x 3-1-1 f v
XADD x MAXLEN 0 2-1 f v
XADD x MAXLEN = 1 LIMIT 5 3-1 f v
XADD x MAXLEN 1 MINID 1 3-1 f v
XADD x NOMKSTREAM MAXLEN x 3-1 f v
XADD x MAXLEN -1 3-1 f v
XADD x MINID ~ x 3-1 f v
XTRIM x MAXLEN x
XTRIM x MAXLEN -1
XTRIM x MAXLEN 1 LIMIT 3
XTRIM x MAXLEN ~ 1 LIMIT -1
XTRIM x MAXLEN 1 MINID 1
XDEL x 1-1 abc
XDEL x 1-1 2-1 3-1-1
XACK x g 1-1 abc
XCLAIM x g eve 0 1-1 abc
XCLAIM x g eve x 1-1
XCLAIM x g eve 0 1-1 IDLE x
XCLAIM x g eve 0 1-1 IDLE 1 NOSUCH
XCLAIM x nobody eve 0 1-1
XAUTOCLAIM x g eve 0 x
XAUTOCLAIM x g eve 0 0 COUNT 0
XAUTOCLAIM x g eve x 0
XSETID x 0-1
XSETID x 1-1
XSETID x 9-9 ENTRIESADDED 0 MAXDELETEDID 0-0
XSETID x 9-9 ENTRIESADDED 5 MAXDELETEDID 10-0
XGROUP CREATE x g 0
XGROUP CREATE x g2 abc
XGROUP CREATE fresh g 0
XGROUP CREATE x g2 0 ENTRIESREAD -2
XGROUP SETID x g abc
XGROUP SETID x nobody 0
XGROUP CREATECONSUMER x nobody bob
XGROUP DELCONSUMER x nobody bob
XREADGROUP GROUP g bob COUNT x STREAMS x >
XREADGROUP GROUP g bob STREAMS x s > >
XREADGROUP GROUP g bob STREAMS x x2 >
XREADGROUP GROUP g bob STREAMS x abc
XREADGROUP GROUP nobody bob STREAMS x >
XREADGROUP GROUP g bob STREAMS x z > >
XREADGROUP GROUP g bob STREAMS x2 fresh > >
XREADGROUP GROUP g bob BLOCK -1 STREAMS x >
COPY s n DB x
COPY s s
COPY s n DB 99
RENAME fresh s
RENAMENX fresh s
MOVE s x
MOVE s 99
MOVE s 0
EXPIRE s x
EXPIRE s 9223372036854775807
EXPIRE s 10 NX XX
EXPIRE s 10 GT LT
EXPIRE s 10 NX GT
EXPIRE s 10 SOON
PEXPIRE s 9223372036854775807
PEXPIREAT n x
RESTORE s 0 garbage REPLACE
RESTORE s -1 garbage REPLACE
RESTORE s 0 garbage IDLETIME -1
RESTORE s 0 garbage
OBJECT ENCODING
SELECT x
SWAPDB 0 x
SWAPDB 0 99
"#;

/// Everything there is, with what no digest covers: expiries, those of fields, and a stream's groups.
fn state(client: &mut Client) -> String {
    let keys = client.call(&["KEYS", "*"]).expect("a reply");
    let mut names: Vec<Vec<u8>> = items(&keys).iter().filter_map(text).map(<[u8]>::to_vec).collect();
    names.sort();
    let mut state = String::new();
    for name in names {
        let about = |question: &str| words(question).into_iter().chain([name.clone()]).collect::<Words>();
        let mut questions: Vec<Words> =
            ["DEBUG DIGEST-VALUE", "TYPE", "PEXPIRETIME", "OBJECT ENCODING", "XINFO STREAM"].map(about).into();
        questions[4].push(b"FULL".to_vec());
        questions.push([about("HPEXPIRETIME"), words("FIELDS 3 f g f2")].concat());
        let replies = client.pipeline(&questions).expect("replies");
        state.extend(replies.iter().map(show));
        state.push('\n');
    }
    state
}

/// What came of one command: the reply, and the state before and after it.
fn attempt(client: &mut Client, command: &Words) -> (Reply, String, String) {
    client.call(&["FLUSHALL"]).expect("a reply");
    client.pipeline(&DATA.lines().map(words).collect::<Vec<_>>()).expect("replies");
    let before = state(client);
    let reply = client.call(command).expect("a reply");
    (reply, before, state(client))
}

/// One change of each kind: each must show, or the test below would miss what a refused command has left.
const CHANGES: &str = "SET s other\nPERSIST n\nRPUSH l d\nSREM st a\nHSET h f2 v\nHPERSIST h FIELDS 1 f\nZINCRBY z 1 a\n\
    XADD x 3-1 f v\nXDEL x 1-1\nXACK x g 1-1\nXGROUP CREATECONSUMER x g eve\nXGROUP SETID x g 2-1\nXSETID x 9-9\n\
    XGROUP CREATE x g2 0\nSETBIT bits 9 1\nGEOADD geo 14 38 q\nPFADD hll c\nSET fresh v\nDEL s\nRENAME s t";

#[test]
fn every_change_shows_in_the_state() {
    let Some((subject, reference)) = programs() else { return };
    for program in [reference, subject] {
        let server = start(&program);
        let mut client = server.connect().expect("a connection");
        for line in CHANGES.lines() {
            let (reply, before, after) = attempt(&mut client, &words(line));
            assert!(!is_error(&reply), "{line}: {}", show(&reply));
            assert_ne!(before, after, "{line} does not show");
        }
    }
}

#[test]
fn what_is_wrong_in_the_middle_changes_nothing() {
    let Some((subject, reference)) = programs() else { return };
    let (subject, reference) = (start(&subject), start(&reference));
    let (mut ours, mut theirs) = (subject.connect().expect("connects"), reference.connect().expect("connects"));
    let (mut faults, mut tried) = (Vec::new(), 0);
    for line in WRONG_IN_THE_MIDDLE.lines().filter(|line| !line.is_empty()) {
        let command = words(line);
        let (expected, their_before, their_after) = attempt(&mut theirs, &command);
        let (reply, before, after) = attempt(&mut ours, &command);
        tried += 1;
        let mut fault = |what: &str| faults.push(format!("{}: {what}", join(&command)));
        if reply != expected {
            fault(&format!("reference {}, ours {}", show(&expected), show(&reply)));
        }
        if !is_error(&expected) {
            fault("the reference does not refuse it: it belongs elsewhere");
        }
        if their_before != their_after {
            fault("the reference changes something: it belongs elsewhere");
        }
        if before != after {
            let changed = before.lines().zip(after.lines()).find(|(before, after)| before != after);
            fault(&format!("it changed something of ours: {changed:?}"));
        }
    }
    println!("{tried} commands that are wrong in the middle");
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}

// --- counts at the limits

/// One large value of each type, in pieces of a thousand elements.
fn fill(client: &mut Client) {
    for base in (0..LARGE).step_by(1000) {
        let names: Vec<Vec<u8>> =
            (base..base + 1000).map(|at| format!("an element with some text, {at:08}").into()).collect();
        let command = |head: &[&str], each: &dyn Fn(usize) -> Vec<Vec<u8>>| -> Words {
            let head = head.iter().map(|word| word.as_bytes().to_vec());
            head.chain((0..1000).flat_map(each)).collect()
        };
        let number = |at: usize| (base + at).to_string().into_bytes();
        let mut commands = vec![
            command(&["RPUSH", "l"], &|at| vec![names[at].clone()]),
            command(&["SADD", "s"], &|at| vec![names[at].clone()]),
            command(&["HSET", "h"], &|at| vec![names[at].clone(), number(at)]),
            command(&["ZADD", "z"], &|at| vec![number(at), names[at].clone()]),
        ];
        commands.extend((0..1000).map(|at| -> Words {
            [words("XADD x"), vec![[b"1-".as_slice(), &number(at + 1)].concat(), b"f".to_vec(), names[at].clone()]]
                .concat()
        }));
        client.pipeline(&commands).expect("replies");
    }
}

/// Resident bytes: now (`VmRSS:`), or at the most (`VmHWM:`).
fn bytes(server: &Server, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("the server runs");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("the field");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// Sets the most that was resident to what is resident now (`proc_pid_clear_refs(5)`, 5).
fn forget_peak(server: &Server) {
    std::fs::write(format!("/proc/{}/clear_refs", server.pid()), "5").expect("our own process");
}

/// Counts as large as a number can be, for answers that are as large as the value: what comes is the same, and the
/// server holds little more than the answer.
const COUNTS: &str = "\
    LRANGE l -9223372036854775808 9223372036854775807\nLPOS l x COUNT 0 MAXLEN 9223372036854775807\nLRANGE l 0 -1\n\
    SMEMBERS s\nSRANDMEMBER s 9223372036854775807\nSSCAN s 0 COUNT 9223372036854775807\nHGETALL h\n\
    HRANDFIELD h 9223372036854775807 WITHVALUES\nHSCAN h 0 COUNT 9223372036854775807\n\
    ZRANGE z -9223372036854775808 9223372036854775807 WITHSCORES\nZRANGEBYSCORE z -inf +inf LIMIT 0 9223372036854775807\n\
    ZRANDMEMBER z 9223372036854775807\nZSCAN z 0 COUNT 9223372036854775807\nXRANGE x - + COUNT 9223372036854775807\n\
    XREVRANGE x + - COUNT 9223372036854775807\nXREAD COUNT 9223372036854775807 STREAMS x 0\n\
    SORT l ALPHA LIMIT 0 9223372036854775807\nSCAN 0 COUNT 9223372036854775807\nLREM l 9223372036854775807 nothing\n\
    LTRIM l -9223372036854775808 9223372036854775807\nXTRIM x MAXLEN 9223372036854775807\n\
    LMPOP 1 l LEFT COUNT 9223372036854775807\nSPOP s 9223372036854775807\nZPOPMIN z 9223372036854775807";

/// All the texts of a reply however deep, sorted: the order of a set is nobody's promise.
fn texts(reply: &Reply, into: &mut Vec<Vec<u8>>) {
    match text(reply) {
        Some(text) => into.push(text.to_vec()),
        None => items(reply).iter().for_each(|item| texts(item, into)),
    }
}

#[test]
fn counts_at_the_limits_are_answered_alike_without_doubling() {
    let Some((subject, reference)) = programs() else { return };
    let (subject, reference) = (start(&subject), start(&reference));
    let (mut ours, mut theirs) = (subject.connect().expect("connects"), reference.connect().expect("connects"));
    for client in [&mut ours, &mut theirs] {
        client.set_timeout(std::time::Duration::from_secs(120)).expect("a timeout");
        fill(client);
    }
    for line in COUNTS.lines() {
        forget_peak(&subject);
        let before = bytes(&subject, "VmHWM:");
        let (reply, expected) =
            (ours.call(&words(line)).expect("a reply"), theirs.call(&words(line)).expect("a reply"));
        let grown = bytes(&subject, "VmHWM:").saturating_sub(before);
        let (mut found, mut wanted) = (Vec::new(), Vec::new());
        texts(&reply, &mut found);
        texts(&expected, &mut wanted);
        found.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(found.len(), wanted.len(), "{line}");
        assert!(found == wanted, "{line}: another answer");
        if wanted.len() <= 1 {
            assert_eq!(reply, expected, "{line}");
        }
        let mut encoded = Vec::new();
        expected.encode(&mut encoded);
        println!("{line}: {} elements, {} bytes; grown by {grown}", wanted.len(), encoded.len());
        // The reply itself, and what a buffer that doubles leaves behind. A few commands need a table of what they have
        // met, which Redis allocates as well.
        let room = (encoded.len() * 3 + LARGE * 64) as u64;
        // What is to be sorted is there a second time, with weights and with what sorting needs beside it.
        let room = if line.starts_with("SORT") { room + (LARGE * 128) as u64 } else { room };
        assert!(grown <= room, "{line}: {grown} bytes more for a reply of {}", encoded.len());
    }
}
