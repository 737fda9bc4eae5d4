//! On what machine, and with what versions, a run was made.

use serde::Serialize;

/// The machine.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// How many of its cores may be used.
    pub cores: usize,
    /// Its memory, in bytes.
    pub memory: u64,
    /// The operating system with its release.
    pub system: String,
}

impl Machine {
    /// This one.
    #[must_use]
    pub fn this(memory: u64) -> Machine {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let name = info.lines().find_map(|line| line.strip_prefix("model name")).and_then(|rest| rest.split_once(':'));
        let processor = name.map_or("an unknown processor", |(_, name)| name.trim()).to_owned();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let system = rustix::system::uname();
        let system = format!("{} {}", system.sysname().to_string_lossy(), system.release().to_string_lossy());
        Machine { processor, cores, memory, system }
    }
}

/// The versions of the peers that were built in, from the workspace's lock file.
#[must_use]
pub fn versions() -> Vec<(String, String)> {
    const LOCK: &str = include_str!("../../../../Cargo.lock");
    const NAMES: [&str; 8] =
        ["pentimento", "heed", "redb", "canopydb", "fjall", "rusqlite", "libsqlite3-sys", "rustdb"];
    let mut versions = Vec::new();
    for package in LOCK.split("[[package]]") {
        let field = |name: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \""));
            line.map(|line| line.trim_end_matches('"').to_owned())
        };
        if let (Some(name), Some(version)) = (field("name"), field("version"))
            && NAMES.contains(&name.as_str())
        {
            versions.push((name, version));
        }
    }
    versions.sort_by_key(|(name, _)| NAMES.iter().position(|other| other == name));
    versions
}
