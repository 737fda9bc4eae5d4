//! A limit on the memory of another process: by `systemd-run`, or by a control group that this program makes itself.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A way to limit memory on this machine. A group goes with it.
pub enum Limit {
    /// `systemd-run --scope` starts the process.
    Systemd(u64),
    /// The process joins this group before it does anything.
    Group(PathBuf),
}

impl Limit {
    /// Finds a way that works here, for a limit in bytes.
    ///
    /// # Errors
    /// When there is none; the reasons of all are told.
    pub fn new(bytes: u64) -> Result<Limit> {
        if Path::new("/run/systemd/system").exists() && rustix::process::geteuid().is_root() {
            return Ok(Limit::Systemd(bytes));
        }
        let name = format!("pentimento-compare-{}", std::process::id());
        let unified = || -> Result<PathBuf> {
            let root = Path::new("/sys/fs/cgroup");
            if !root.join("cgroup.controllers").exists() {
                bail!("there is no unified hierarchy");
            }
            std::fs::write(root.join("cgroup.subtree_control"), "+memory")?;
            group(&root.join(&name), "memory.max", bytes)
        };
        let legacy = || group(&Path::new("/sys/fs/cgroup/memory").join(&name), "memory.limit_in_bytes", bytes);
        match (unified(), legacy()) {
            (Ok(path), _) | (_, Ok(path)) => Ok(Limit::Group(path)),
            (Err(unified), Err(legacy)) => bail!(
                "systemd does not run here (or not for this user), and no control group can be made ({unified}; {legacy}); run it as root"
            ),
        }
    }

    /// A command that runs this program within the limit. The group to join, if there is one, is told as its first argument's value.
    ///
    /// # Errors
    /// When the program cannot find itself.
    pub fn command(&self) -> Result<Command> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        Ok(match self {
            Limit::Systemd(bytes) => {
                let mut command = Command::new("systemd-run");
                command.args([
                    "--scope",
                    "--quiet",
                    "-p",
                    "MemorySwapMax=0",
                    "-p",
                    &format!("MemoryMax={bytes}"),
                    "--",
                ]);
                command.arg(program);
                command
            }
            Limit::Group(path) => {
                let mut command = Command::new(program);
                command.arg("--join-group").arg(path);
                command
            }
        })
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        if let Limit::Group(path) = self {
            // An empty group that stays behind does no harm.
            let _ = std::fs::remove_dir(path);
        }
    }
}

fn group(path: &Path, file: &str, bytes: u64) -> Result<PathBuf> {
    std::fs::create_dir(path)?;
    std::fs::write(path.join(file), bytes.to_string()).inspect_err(|_| {
        let _ = std::fs::remove_dir(path);
    })?;
    Ok(path.to_owned())
}

/// Puts this process into a group.
///
/// # Errors
/// When it may not.
pub fn join(group: &Path) -> Result<()> {
    let file = group.join("cgroup.procs");
    std::fs::write(&file, std::process::id().to_string()).with_context(|| format!("cannot join {}", file.display()))
}
