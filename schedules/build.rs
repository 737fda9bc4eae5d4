//! Tells the engine's sources that their threads are to be scheduled by a test (see `storage/src/sync.rs`). A `cfg` of these packages alone, not a
//! feature: features are joined over all packages that are built together, and the engine's own tests must keep the real locks.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cfg=pentimento_schedules");
}
