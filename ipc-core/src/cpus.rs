use std::sync::OnceLock;

use crate::sys;

/// Whether another process can run while this one looks what it does, instead of sleeping: whether the machine has more
/// than one CPU.
///
/// [`std::thread::available_parallelism`] would say no in a thread that is bound to one CPU, although whoever it looks
/// at may be bound to another.
pub fn can_spin() -> bool {
    static CAN_SPIN: OnceLock<bool> = OnceLock::new();
    *CAN_SPIN.get_or_init(|| sys::cpus() > 1)
}
