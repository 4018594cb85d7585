//! Where a process was killed: its next instruction, as a place in the program's files.

use std::fs;
use std::process::Command;

use nix::sys::ptrace;
use nix::unistd::Pid;

/// The next instruction of a child that is stopped, or asleep in a system call.
pub(crate) fn next_instruction(pid: Pid) -> Option<u64> {
    match ptrace::getregs(pid) {
        #[cfg(target_arch = "x86_64")]
        Ok(registers) => Some(registers.rip),
        #[cfg(target_arch = "aarch64")]
        Ok(registers) => Some(registers.pc),
        Err(_) => {
            // Of a sleeper the kernel tells "number arguments... stack-pointer program-counter".
            let call = fs::read_to_string(format!("/proc/{pid}/syscall")).ok()?;
            u64::from_str_radix(call.split_whitespace().last()?.strip_prefix("0x")?, 16).ok()
        }
    }
}

/// Names an address in a forked child: offset and file as `addr2line` takes them, and the line where it knows it.
pub(crate) fn describe(address: u64) -> String {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let Some((file, base)) = locate(&maps, address) else {
        return format!("{address:#x}");
    };
    let offset = address - base;
    match source_line(file, offset) {
        Some(line) => format!("{line}, {offset:#x} in {file}"),
        None => format!("{offset:#x} in {file}"),
    }
}

/// The file mapped at `address`, and where its image begins.
fn locate(maps: &str, address: u64) -> Option<(&str, u64)> {
    let mappings = || {
        maps.lines().filter_map(|line| {
            let (range, rest) = line.split_once(' ')?;
            let (from, to) = range.split_once('-')?;
            let path = rest.splitn(5, ' ').nth(4)?.trim_start();
            Some((u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(to, 16).ok()?, path))
        })
    };
    let (.., file) = mappings().find(|(from, to, _)| (*from..*to).contains(&address))?;
    let (base, ..) = mappings().find(|(.., path)| *path == file)?;
    (!file.is_empty()).then_some((file, base))
}

/// The function and line, where binutils are installed and the file has debug information.
fn source_line(file: &str, offset: u64) -> Option<String> {
    let output = Command::new("addr2line").args(["-Cfpe", file, &format!("{offset:#x}")]).output().ok()?;
    let line = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !line.starts_with('?')).then(|| line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::locate;

    const MAPS: &str = "\
1000-2000 r--p 00000000 fd:01 17 /bin/a name
2000-3000 r-xp 00001000 fd:01 17 /bin/a name
4000-5000 rw-p 00000000 00:00 0
6000-7000 r-xp 00000000 00:00 0                          [vdso]
";

    #[test]
    fn an_address_is_relative_to_the_first_mapping_of_its_file() {
        assert_eq!(locate(MAPS, 0x2345), Some(("/bin/a name", 0x1000)));
        assert_eq!(locate(MAPS, 0x6001), Some(("[vdso]", 0x6000)));
    }

    #[test]
    fn an_address_outside_of_files_has_no_place() {
        assert_eq!(locate(MAPS, 0x4001), None);
        assert_eq!(locate(MAPS, 0x9000), None);
    }
}
