//! Has the server compiled again when the watch page was built again: it is embedded.

fn main() {
    println!("cargo::rerun-if-changed=web/dist");
}
