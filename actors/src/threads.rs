//! Names of threads that libraries start for us, for whoever looks at a profile: they would all be called alike.

use std::ffi::CStr;

/// Names this thread, in 15 bytes at most.
pub(crate) fn name_this(name: &CStr) {
    // One that keeps its former name works as well.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::set_name(name);
    #[cfg(not(target_os = "linux"))]
    let _ = name;
}
