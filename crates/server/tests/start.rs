//! How a start goes, and how it is refused: the command line, the configuration, the sockets, the files.

mod common;

use std::fs;
use std::io::Read;
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use common::{Outcome, Running, Scratch, Served, ask, assert_has, connect, free_port, run, until};
use testkit::Client;

/// Starts that must be refused with exit code 1, and what standard error and the log must then say.
#[track_caller]
fn refused(arguments: &[&str], stderr: &[&str], log: &[&str]) -> Outcome {
    let outcome = run(&Scratch::new(), arguments);
    assert_eq!(outcome.status.code(), Some(1), "{outcome:?}");
    stderr.iter().for_each(|part| assert_has(&outcome.stderr, part));
    log.iter().for_each(|part| assert_has(&outcome.stdout, part));
    outcome
}

#[test]
fn a_bad_line_is_told_with_its_number() {
    let scratch = Scratch::new();
    let file = scratch.write("bad.conf", "# comment\nport 0\nprot 6380\n");
    let expected = ["at line 3", ">>> 'prot 6380'", "Bad directive or wrong number of arguments"];
    refused(&[&file], &expected, &[]);
    refused(&["--hz", "ten"], &[">>> 'hz \"ten\"'", "argument couldn't be parsed into an integer"], &[]);
    refused(&["no/such.conf"], &["Fatal error, can't open config file", "No such file or directory"], &[]);
    refused(&["--dir", "no/such"], &[">>> 'dir \"no/such\"'", "No such file or directory"], &[]);
    refused(&["--logfile", "no/such"], &["Can't open the log file: No such file or directory"], &[]);
}

#[test]
fn a_port_that_is_taken_is_named_with_its_directive() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    refused(
        &["--port", &port, "--bind", "127.0.0.1"],
        &[&format!("Failed listening on port {port}: Address already in use (directives: port, bind)")],
        &[
            &format!("Could not create server TCP listening socket 127.0.0.1:{port}: Address already in use"),
            &format!("Failed listening on port {port} (tcp), aborting."),
        ],
    );
    refused(&["--port", &free_port().to_string(), "--bind", "192.0.2.1"], &["directives: port, bind"], &["192.0.2.1:"]);
    refused(&["--port", "0"], &["Configured to not listen anywhere"], &["Configured to not listen anywhere, exiting."]);
}

#[test]
fn an_optional_address_may_be_missing() {
    let served = Served::start(&["--bind", "127.0.0.1", "-192.0.2.1", "-2001:db8::1"]);
    assert_eq!(ask(&mut served.client(), "CONFIG GET bind"), "bind 127.0.0.1 -192.0.2.1 -2001:db8::1");
}

#[test]
fn several_addresses_are_served() {
    let served = Served::start(&["--bind", "127.0.0.1", "127.0.0.2"]);
    for ip in [[127, 0, 0, 1], [127, 0, 0, 2]] {
        assert_eq!(ask(&mut Client::connect((ip, served.port).into()).unwrap(), "PING"), "PONG");
    }
    assert!(Client::connect(([127, 0, 0, 3], served.port).into()).is_err());
}

#[test]
fn a_unix_socket_has_its_permissions_and_goes_at_the_end() {
    let mut served = Served::start(&["--unixsocket", "brindle.sock", "--unixsocketperm", "700"]);
    let path = served.scratch.path("brindle.sock");
    assert_eq!(ask(&mut Client::connect_unix(&path).unwrap(), "PING"), "PONG");
    until("the log is complete", || served.log().contains("Ready to accept connections unix"));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    assert_has(&served.log(), "Ready to accept connections tcp");
    assert_has(&served.log(), "Ready to accept connections unix");
    assert_eq!(served.stop().code(), Some(0));
    assert!(!path.exists());
    assert_has(&served.log(), "Removing the unix socket file.");
    refused(
        &["--port", "0", "--unixsocket", "no/such.sock"],
        &["no/such.sock: No such file or directory (directives: unixsocket, unixsocketperm)"],
        &["Failed opening Unix socket"],
    );
}

#[test]
fn a_pid_file_that_cannot_be_written_is_only_warned_of() {
    let mut served = Served::start(&["--pidfile", "no/such.pid"]);
    assert_has(&served.log(), "no/such.pid: No such file or directory");
    assert_eq!(served.stop().code(), Some(0));
    assert!(!served.log().contains("Removing the pid file"));
}

#[test]
fn the_log_goes_to_its_file_and_stays_there() {
    let mut served = Served::start(&["--logfile", "brindle.log", "--enable-protected-configs", "yes"]);
    fs::create_dir(served.scratch.path("elsewhere")).unwrap();
    assert_eq!(ask(&mut served.client(), "CONFIG SET dir elsewhere"), "OK");
    served.stop();
    assert_has(&served.scratch.read("brindle.log"), "ready to exit, bye bye...");
    assert_eq!(served.log(), "");
}

#[test]
fn the_configuration_may_come_from_standard_input() {
    let scratch = Scratch::new();
    let port = free_port().to_string();
    let file = scratch.write("stdin", &format!("port {port}\nmaxclients 77\nhz 20\n"));
    let stdin = Stdio::from(fs::File::open(file).unwrap());
    let _running = Running::spawn(&scratch, &["-", "--hz", "30", "--bind", "127.0.0.1"], stdin, &[]);
    let mut client = None;
    until("the server answers", || {
        client = connect(port.parse().unwrap());
        client.is_some()
    });
    let mut client = client.unwrap();
    assert_eq!(ask(&mut client, "CONFIG GET maxclients hz"), "maxclients 77 hz 30");
}

#[test]
fn what_is_asked_without_a_server_is_answered() {
    let outcome = run(&Scratch::new(), &["--version"]);
    let version = outcome.stdout;
    assert!(version.starts_with("Redis server v=8.0.2 sha=00000000:0 malloc=mimalloc-"), "{version}");
    assert_has(&version, " bits=64 build=");
    assert_has(&version, concat!("Brindle ", env!("CARGO_PKG_VERSION")));
    assert_eq!((outcome.status.code(), version.lines().count()), (Some(0), 1));
    assert_eq!(run(&Scratch::new(), &["-v"]).stdout, version);
    let help = run(&Scratch::new(), &["--help"]);
    assert_has(&help.stdout, "Usage: ");
    assert_eq!(help.status.code(), Some(0));
    refused(&["--test-memory", "1"], &["no memory test"], &[]);
}

#[test]
fn the_log_tells_of_the_start() {
    let served = Served::start(&["--always-show-logo", "yes", "--maxclients", "4000000000", "--appendonly", "yes"]);
    let pid = served.running.pid();
    // The first worker may answer before the last line is written.
    until("the log is complete", || served.log().contains("Ready to accept connections tcp"));
    let log = served.log();
    assert_has(&log, &format!(" PID: {pid}\n"));
    assert_has(&log, &format!("{pid}:C "));
    assert_has(&log, &format!("{pid}:M "));
    for part in [
        "* oO0OoO0OoO0Oo Brindle is starting oO0OoO0OoO0Oo\n",
        "Configuration loaded",
        "# WARNING: the setting of 'appendonly' has no effect: ",
        "# You requested maxclients of 4000000000 requiring at least 4000000032 max file descriptors.\n",
        "* Server initialized\n",
        "* Ready to accept connections tcp\n",
    ] {
        assert_has(&log, part);
    }
    let possible = ask(&mut served.client(), "CONFIG GET maxclients");
    assert_has(&log, &format!("maxclients has been reduced to {} to", possible.split(' ').nth(1).unwrap()));
}

#[test]
fn without_a_logo_one_line_tells_the_mode() {
    let served = Served::start(&[]);
    let log = served.log();
    assert_has(&log, &format!("* Running mode=standalone, port={}.\n", served.port));
    assert!(!log.contains(" PID: "), "{log}");
}

#[test]
fn renamed_commands_go_by_their_new_names_only() {
    // The name that Redis's own documentation suggests has forty letters.
    let secret = "b840fc02d524045429941cc15f59e41cb7be6c52";
    let served = Served::start(&["--rename-command", "config", secret, "--rename-command", "echo", ""]);
    let mut client = served.client();
    assert_eq!(ask(&mut client, &format!("{secret} GET timeout")), "timeout 0");
    assert_eq!(ask(&mut client, &format!("{} GET timeout", secret.to_uppercase())), "timeout 0");
    for gone in ["CONFIG GET timeout", "ECHO hello"] {
        assert_has(&ask(&mut client, gone), "ERR unknown command");
    }
    refused(&["--rename-command", "nosuch", "x"], &["rename-command \"nosuch\"", "No such command"], &[]);
    refused(&["--rename-command", "get", "SET"], &["Target command name already exists"], &[]);
}

/// An address of this machine that others could use; none on a machine without a network.
fn outward_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).ok()?;
    // Nothing is sent: this only asks for the route.
    socket.connect(("192.0.2.1", 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

#[test]
fn protected_mode_serves_this_machine_only_until_there_is_a_password() {
    let Some(outward) = outward_address() else { return println!("SKIPPED: no address besides loopback") };
    let served = Served::start(&["--bind", "*"]);
    let mut inside = served.client();
    let refusal = || {
        let mut text = String::new();
        let mut stream = TcpStream::connect((outward, served.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        // A reset after the message is as good as an end.
        let _ = stream.read_to_string(&mut text);
        text
    };
    let outside = || ask(&mut Client::connect((outward, served.port).into()).unwrap(), "PING");
    let text = refusal();
    assert!(text.starts_with("-DENIED Redis is running in protected mode") && text.ends_with("\r\n"), "{text:?}");
    assert_eq!(text.lines().count(), 1, "{text:?}");
    assert_eq!(ask(&mut inside, "CONFIG SET protected-mode no"), "OK");
    assert_eq!(outside(), "PONG");
    assert_eq!(ask(&mut inside, "CONFIG SET protected-mode yes requirepass secret"), "OK");
    assert_has(&outside(), "NOAUTH");
}

#[cfg(target_os = "linux")]
#[test]
fn huge_pages_are_refused_unless_they_are_asked_for() {
    let enabled = |pid: &str| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        status.lines().find_map(|line| line.strip_prefix("THP_enabled:")).map(|value| value.trim() == "1")
    };
    // Refused to this process already, or not told by an old kernel.
    if enabled("self") != Some(true) {
        return;
    }
    for (arguments, expected) in [(&[] as &[&str], false), (&["--disable-thp", "no"], true)] {
        let served = Served::start(arguments);
        served.client();
        assert_eq!(enabled(&served.running.pid().to_string()), Some(expected), "{arguments:?}");
    }
}
