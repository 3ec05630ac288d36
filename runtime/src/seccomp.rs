//! From an OCI profile to the filter that the kernel loads, by libseccomp; compiled once per profile and kept.

use std::collections::HashMap;
use std::io::{Read, Seek};
use std::sync::Arc;

use libseccomp::{ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};
use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};
use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompOperator, LinuxSyscall,
};

use crate::protocol::Failure;

#[cfg(test)]
mod tests;

/// How many compiled profiles are kept. One per set of capabilities in use; a launcher sees a handful.
const CACHED_MAX: usize = 64;

/// A compiled filter: BPF instructions as the kernel reads them.
pub(crate) type Program = Arc<[u8]>;

/// Compiled profiles by their JSON text.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    programs: HashMap<Vec<u8>, Program>,
}

impl Cache {
    /// The filter of `profile`, compiled now if it is new.
    pub(crate) fn program(&mut self, profile: &LinuxSeccomp) -> Result<Program, Failure> {
        let key = serde_json::to_vec(profile).map_err(|error| bad("linux.seccomp", &error.to_string()))?;
        if let Some(program) = self.programs.get(&key) {
            return Ok(program.clone());
        }
        let program: Program = compile(profile)?.into();
        if self.programs.len() >= CACHED_MAX {
            self.programs.clear();
        }
        self.programs.insert(key, program.clone());
        Ok(program)
    }
}

/// Compiles `profile` for the architectures it names, or for the native one. System calls that libseccomp does not
/// know cannot be made by number either (the default action takes them), so their names are passed over.
pub(crate) fn compile(profile: &LinuxSeccomp) -> Result<Vec<u8>, Failure> {
    let default = action(profile.default_action(), profile.default_errno_ret())?;
    let mut filter = ScmpFilterContext::new(default).map_err(|error| failed(&error))?;
    for arch in profile.architectures().iter().flatten() {
        filter.add_arch(architecture(*arch)?).map_err(|error| failed(&error))?;
    }
    // Whether new privileges may be gained is not the filter's business: `confine` decides and orders.
    filter.set_ctl_nnp(false).map_err(|error| failed(&error))?;
    for rule in profile.syscalls().iter().flatten() {
        add_rule(&mut filter, rule, default)?;
    }
    export(&filter)
}

fn add_rule(filter: &mut ScmpFilterContext, rule: &LinuxSyscall, default: ScmpAction) -> Result<(), Failure> {
    let action = action(rule.action(), rule.errno_ret())?;
    if action == default {
        return Ok(());
    }
    let arguments: Vec<_> = rule.args().iter().flatten().map(comparison).collect::<Result<_, _>>()?;
    for name in rule.names() {
        let Ok(syscall) = ScmpSyscall::from_name(name) else { continue };
        filter.add_rule_conditional(action, syscall, &arguments).map_err(|error| failed(&error))?;
    }
    Ok(())
}

fn export(filter: &ScmpFilterContext) -> Result<Vec<u8>, Failure> {
    let memory = memfd_create("seccomp", MFdFlags::MFD_CLOEXEC).map_err(|errno| step(errno as i32))?;
    filter.export_bpf(&memory).map_err(|error| failed(&error))?;
    let mut file = std::fs::File::from(memory);
    let mut program = Vec::new();
    let read = file.rewind().and_then(|()| file.read_to_end(&mut program));
    read.map_err(|error| step(error.raw_os_error().unwrap_or(Errno::EIO as i32)))?;
    Ok(program)
}

fn action(action: LinuxSeccompAction, errno: Option<u32>) -> Result<ScmpAction, Failure> {
    let number = errno.unwrap_or(Errno::EPERM as u32);
    Ok(match action {
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => ScmpAction::KillThread,
        LinuxSeccompAction::ScmpActKillProcess => ScmpAction::KillProcess,
        LinuxSeccompAction::ScmpActTrap => ScmpAction::Trap,
        LinuxSeccompAction::ScmpActErrno => {
            ScmpAction::Errno(i32::try_from(number).map_err(|_| bad("linux.seccomp.errnoRet", "too large"))?)
        }
        LinuxSeccompAction::ScmpActLog => ScmpAction::Log,
        LinuxSeccompAction::ScmpActAllow => ScmpAction::Allow,
        LinuxSeccompAction::ScmpActTrace => {
            ScmpAction::Trace(u16::try_from(number).map_err(|_| bad("linux.seccomp.errnoRet", "too large"))?)
        }
        LinuxSeccompAction::ScmpActNotify => {
            return Err(bad("linux.seccomp.action", "NOTIFY is not supported"));
        }
    })
}

fn comparison(argument: &LinuxSeccompArg) -> Result<ScmpArgCompare, Failure> {
    let operator = match argument.op() {
        LinuxSeccompOperator::ScmpCmpNe => ScmpCompareOp::NotEqual,
        LinuxSeccompOperator::ScmpCmpLt => ScmpCompareOp::Less,
        LinuxSeccompOperator::ScmpCmpLe => ScmpCompareOp::LessOrEqual,
        LinuxSeccompOperator::ScmpCmpEq => ScmpCompareOp::Equal,
        LinuxSeccompOperator::ScmpCmpGe => ScmpCompareOp::GreaterEqual,
        LinuxSeccompOperator::ScmpCmpGt => ScmpCompareOp::Greater,
        LinuxSeccompOperator::ScmpCmpMaskedEq => ScmpCompareOp::MaskedEqual(argument.value()),
    };
    let datum = match argument.op() {
        LinuxSeccompOperator::ScmpCmpMaskedEq => argument.value_two().unwrap_or(0),
        LinuxSeccompOperator::ScmpCmpNe
        | LinuxSeccompOperator::ScmpCmpLt
        | LinuxSeccompOperator::ScmpCmpLe
        | LinuxSeccompOperator::ScmpCmpEq
        | LinuxSeccompOperator::ScmpCmpGe
        | LinuxSeccompOperator::ScmpCmpGt => argument.value(),
    };
    let index = u32::try_from(argument.index()).ok().filter(|&index| index < 6);
    let index = index.ok_or_else(|| bad("linux.seccomp.syscalls.args.index", "must be 0 to 5"))?;
    Ok(ScmpArgCompare::new(index, operator, datum))
}

/// The architectures that we can filter for.
const ARCHITECTURES: [(Arch, ScmpArch); 7] = [
    (Arch::ScmpArchNative, ScmpArch::Native),
    (Arch::ScmpArchX86, ScmpArch::X86),
    (Arch::ScmpArchX86_64, ScmpArch::X8664),
    (Arch::ScmpArchX32, ScmpArch::X32),
    (Arch::ScmpArchArm, ScmpArch::Arm),
    (Arch::ScmpArchAarch64, ScmpArch::Aarch64),
    (Arch::ScmpArchRiscv64, ScmpArch::Riscv64),
];

fn architecture(arch: Arch) -> Result<ScmpArch, Failure> {
    let known = ARCHITECTURES.into_iter().find(|(known, _)| *known == arch);
    known
        .map(|(_, arch)| arch)
        .ok_or_else(|| bad("linux.seccomp.architectures", &format!("{arch} is not supported")))
}

fn bad(field: &str, reason: &str) -> Failure {
    Failure::BadSpec { field: field.into(), reason: reason.into() }
}

fn failed(error: &libseccomp::error::SeccompError) -> Failure {
    bad("linux.seccomp", &error.to_string())
}

fn step(errno: i32) -> Failure {
    Failure::Step { step: "export the seccomp filter".into(), errno }
}
