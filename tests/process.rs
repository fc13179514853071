//! The real binary: how it starts, what it says, whom it refuses, how it stops.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_telelake");
/// A node that is not up, or not down, after that long never will be. Nothing is measured with it.
const GIVE_UP: Duration = Duration::from_secs(60);

/// What a node listens for without being told.
const SERVED: [&str; 10] =
    ["gateway", "otlp-grpc", "otlp-http", "prometheus", "loki", "tempo", "jaeger-grpc", "jaeger-thrift", "zipkin", "flight"];

fn serve(data: &Path) -> Command {
    let mut command = Command::new(BINARY);
    command.arg("serve").arg("--data").arg(data).env_remove("RUST_LOG");
    for dialect in SERVED {
        command.args([format!("--{dialect}-addr"), "127.0.0.1:0".to_owned()]);
    }
    command
}

/// A node that was `ready`. Killed when dropped.
struct Node {
    child: Child,
    /// Lines of standard output before `ready`.
    said: Vec<String>,
}

impl Node {
    fn start(mut command: Command) -> Self {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the binary runs");
        let mut node = Self { child, said: Vec::new() }; // first of all, so that a node that fails to start is killed too
        let out = BufReader::new(node.child.stdout.take().expect("piped"));
        let (to, lines) = mpsc::channel();
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| to.send(line)));
        loop {
            let line = lines.recv_timeout(GIVE_UP).expect("the node says `ready`");
            if line == "ready" {
                return node;
            }
            node.said.push(line);
        }
    }

    fn address(&self, dialect: &str) -> &str {
        let prefix = format!("listening {dialect} ");
        self.said.iter().find_map(|l| l.strip_prefix(&prefix)).expect("the dialect listens")
    }

    /// One HTTP/1.1 request; the status and the body.
    fn http(&self, dialect: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address(dialect)).expect("connects");
        stream.set_read_timeout(Some(GIVE_UP)).expect("a timeout");
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).expect("written");
        stream.write_all(body).expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("read");
        let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or_else(|| panic!("no status: {answer:?}"));
        (status, answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned())
    }

    fn get(&self, path: &str) -> (u16, String) {
        self.http("gateway", "GET", path, &[], b"")
    }

    /// SIGTERM; the exit status.
    fn stop(mut self) -> i32 {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("signalled");
        let status = self.child.wait().expect("it ends");
        status.code().expect("it exits by itself")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command must end by itself with `code` and say `words` in one line on standard error.
#[track_caller]
fn refused(command: &mut Command, code: i32, words: &[&str]) {
    let Output { status, stderr, .. } = command.output().expect("the binary runs");
    let said = String::from_utf8_lossy(&stderr);
    let last = said.lines().last().unwrap_or_default();
    assert_eq!(status.code(), Some(code), "{said}");
    assert!(last.starts_with("telelake: "), "{said}");
    for word in words {
        assert!(last.contains(word), "{word:?} is not in {last:?}");
    }
}

fn sql(node: &Node, tenant: Option<&str>, query: &str) -> (u16, String) {
    let body = format!("query={}&format=jsonl", query.replace(' ', "+"));
    let mut headers = vec![("content-type", "application/x-www-form-urlencoded")];
    headers.extend(tenant.map(|t| ("x-scope-orgid", t)));
    node.http("gateway", "POST", "/api/v1/sql", &headers, body.as_bytes())
}

#[test]
fn an_empty_folder_becomes_a_node_that_stops_when_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(serve(&folder.path().join("new")));
    let dialects: Vec<_> = node.said.iter().map(|l| l.split(' ').nth(1).unwrap_or_default()).collect();
    assert_eq!(dialects, SERVED);
    assert!(node.said.iter().all(|l| l.starts_with("listening ") && !l.ends_with(":0")), "{:?}", node.said);
    for path in ["/-/healthy", "/-/ready", "/ready", "/metrics", "/api/v1/status/buildinfo"] {
        assert_eq!(node.get(path).0, 200, "{path}");
    }
    let (_, metrics) = node.get("/metrics");
    for name in ["telelake_build_info", "process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"] {
        assert!(metrics.contains(name), "{name} is not in {metrics}");
    }
    assert_eq!(node.http("otlp-http", "GET", "/-/ready", &[], b"").0, 200);
    assert_eq!(node.stop(), 0);
}

#[test]
fn what_generate_sent_is_what_sql_counts_even_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = Node::start(serve(folder.path()));
    let endpoint = format!("http://{}", node.address("otlp-http"));
    let output = Command::new(BINARY)
        .args(["generate", "--endpoint", &endpoint, "--rate", "0", "--count", "2000", "--format", "json"])
        .output()
        .expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let sent: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for restarted in [false, true] {
        for (table, count) in [("logs", &sent["log_records"]), ("spans", &sent["spans"]), ("span_events", &sent["span_events"])] {
            let (status, body) = sql(&node, None, &format!("select count(*) as n from {table}"));
            assert_eq!(status, 200, "{body}");
            assert!(body.contains(&format!("{{\"n\":{count}}}")), "{table}: sent {count}, found {body}, restarted: {restarted}");
        }
        if !restarted {
            assert_eq!(node.stop(), 0);
            node = Node::start(serve(folder.path()));
        }
    }
}

#[test]
fn a_taken_port_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = taken.local_addr().expect("an address").to_string();
    for dialect in ["otlp-http", "prometheus", "loki", "tempo", "zipkin"] {
        let flag = format!("--{dialect}-addr");
        let off = format!("{flag} off");
        refused(serve(folder.path()).args([&flag, &address]), 3, &[dialect, &address, "in use", &flag, &off]);
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "").expect("written");
    refused(&mut serve(&file), 3, &[&file.display().to_string(), "cannot write", "--data"]);
    refused(&mut serve(&file.join("below")), 3, &["cannot write"]);
}

/// Permissions do not hold back root, so a test that runs as root starts the binary as somebody else.
#[test]
fn a_folder_of_somebody_else_is_named() {
    const NOBODY: u32 = 65_534;
    let folder = tempfile::tempdir().expect("a folder");
    let mode = |path: &Path, mode: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("permissions");
    };
    mode(folder.path(), 0o755);
    // Where everybody may run it, whatever folder the build has.
    let binary = folder.path().join("telelake");
    std::fs::copy(BINARY, &binary).expect("copied");
    mode(&binary, 0o755);
    let as_nobody = |command: &Command| {
        let mut foreign = Command::new(&binary);
        foreign.args(command.get_args()).env_remove("RUST_LOG");
        if rustix::process::geteuid().is_root() {
            foreign.uid(NOBODY).gid(NOBODY);
        }
        foreign
    };
    let data = folder.path().join("data");
    std::fs::create_dir(&data).expect("created");
    mode(&data, 0o555);
    let text = data.display().to_string();
    refused(&mut as_nobody(&serve(&data)), 3, &[&text, "cannot write", "Permission denied", "--data"]);
    refused(&mut as_nobody(&serve(&data.join("below"))), 3, &["cannot write", "Permission denied", "--data"]);

    let (own, lake) = (folder.path().join("own"), folder.path().join("lake"));
    std::fs::create_dir(&own).expect("created");
    std::fs::create_dir(&lake).expect("created");
    mode(&own, 0o777);
    mode(&lake, 0o555);
    let text = lake.display().to_string();
    refused(
        &mut as_nobody(serve(&own).args(["--store", &text])),
        3,
        &[&text, "cannot be written", "Permission denied", "write permission"],
    );
}

#[test]
fn a_folder_belongs_to_one_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(serve(folder.path()));
    refused(&mut serve(folder.path()), 3, &["in use by another telelake process"]);
    assert_eq!(node.stop(), 0);
    Node::start(serve(folder.path()));
}

#[test]
fn wrong_settings_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("wrong.toml");
    let with = |text: &str| {
        std::fs::write(&file, text).expect("written");
        let mut command = serve(folder.path());
        command.arg("--config").arg(&file);
        command
    };
    refused(&mut with("[listen]\ngatway = \"off\"\n"), 2, &["listen.gatway", "did you mean gateway?"]);
    refused(&mut with("[node]\ndrain_max = \"1h\"\n"), 2, &["node.drain_max is 3600", "between 0 and 600"]);
    refused(&mut with("[node\n"), 2, &["line 1"]);
    let digest = "0".repeat(64);
    let tokens = format!("[[auth.tokens]]\nsha256 = \"{digest}\"\ntenants = [\"a\"]\n");
    refused(with(&tokens).args(["--postgres-addr", "0.0.0.0:0"]), 2, &["0.0.0.0:0", "passwords", "--insecure"]);
    refused(serve(folder.path()).args(["--gateway-addr", "0.0.0.0:0"]), 2, &["0.0.0.0:0", "--insecure"]);
    refused(serve(folder.path()).args(["--config", "/nowhere.toml"]), 2, &["/nowhere.toml"]);
    refused(serve(folder.path()).args(["--store", "ftp://host/"]), 3, &["ftp", "s3://"]);
}

#[test]
fn a_bucket_out_of_reach_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("an address");
    let mut command = serve(folder.path());
    command.args(["--store", "s3://bucket/lake"]).env("AWS_ENDPOINT_URL", format!("http://{closed}"));
    command.env("AWS_ACCESS_KEY_ID", "a").env("AWS_SECRET_ACCESS_KEY", "b").env("AWS_REGION", "us-east-1");
    refused(&mut command, 3, &["s3://bucket/lake", "check the url"]);
}

#[test]
fn tenants_are_read_from_the_header() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Node::start(serve(folder.path()));
    let count = "select count(*) as n from logs";
    assert_eq!(sql(&node, None, count).0, 200);
    assert_eq!(sql(&node, Some("team-a"), count).0, 200);
    let (status, body) = sql(&node, Some("a/b"), count);
    assert_eq!((status, body.contains("allowed are")), (400, true), "{body}");
    drop(node);
    let mut command = serve(folder.path());
    command.arg("--tenancy");
    let node = Node::start(command);
    let (status, body) = sql(&node, None, count);
    assert_eq!((status, body.contains("X-Scope-OrgID")), (401, true), "{body}");
    assert_eq!(node.get("/-/ready").0, 200);
    let body = br#"{"resourceLogs":[]}"#;
    let json = ("content-type", "application/json");
    assert_eq!(node.http("otlp-http", "POST", "/v1/logs", &[json], body).0, 401);
    assert_eq!(node.http("otlp-http", "POST", "/v1/logs", &[json, ("x-scope-orgid", "a")], body).0, 200);
}

#[test]
fn the_small_commands_say_what_they_are_for() {
    let run = |args: &[&str]| Command::new(BINARY).args(args).output().expect("the binary runs");
    assert_eq!(String::from_utf8_lossy(&run(&["version"]).stdout).trim(), format!("telelake {}", env!("CARGO_PKG_VERSION")));
    assert!(!run(&["completions", "bash"]).stdout.is_empty());
    assert!(String::from_utf8_lossy(&run(&["--help"]).stdout).contains("Exit codes"));
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("an address");
    refused(Command::new(BINARY).args(["health", "--server", &format!("http://{closed}")]), 1, &["does not answer"]);
    refused(Command::new(BINARY).args(["inspect", "--data", "/nowhere"]), 3, &["/nowhere", "--data"]);
}
