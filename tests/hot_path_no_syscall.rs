//! Invariant H: scoring calls the kernel for nothing. The scoring thread gives up every system
//! call but the end of its process, and scores a million requests while tables are published as
//! fast as possible: any other call kills the process.
//!
//! The process is a child: this test's own binary, started again with the name of what to do.

#[path = "common/hot.rs"]
mod hot;

use hot::{Hot, PUBLISHES, SCORES};
use std::process::{Command, ExitStatus};

/// Names what a child does.
const CHILD: &str = "HEDGEROW_CHILD";

const SCORED: i32 = 40;
const WRONG: i32 = 41;

/// Runs this binary again, in one test, as a child that does `what`.
fn child(what: &str) -> ExitStatus {
    let own = std::env::current_exe().expect("this test's binary");
    Command::new(own)
        .args(["--exact", "as_a_child", "--nocapture"])
        .env(CHILD, what)
        .status()
        .expect("a child")
}

#[test]
fn a_million_scores_under_a_storm_of_publishes_make_no_system_call() {
    let status = child("score");
    let killed = std::os::unix::process::ExitStatusExt::signal(&status);
    assert_eq!(
        killed, None,
        "killed by a system call on the scoring thread"
    );
    assert_eq!(status.code(), Some(SCORED), "{WRONG}: wrong margins");
}

/// The clock is read in the process where the machine has one for that. A call for it is let
/// through: elsewhere there is one.
#[test]
fn a_million_requests_under_a_storm_of_publishes_make_no_system_call() {
    let status = child("request");
    let killed = std::os::unix::process::ExitStatusExt::signal(&status);
    assert_eq!(
        killed, None,
        "killed by a system call on the scoring thread"
    );
    assert_eq!(status.code(), Some(SCORED), "{WRONG}: wrong margins");
}

#[test]
fn a_planted_system_call_kills_the_process() {
    let status = child("plant");
    let killed = std::os::unix::process::ExitStatusExt::signal(&status);
    assert_eq!(killed, Some(libc::SIGSYS), "{status}");
}

/// What children do; in the parent, nothing.
#[test]
fn as_a_child() {
    let Ok(what) = std::env::var(CHILD) else {
        return;
    };
    let hot = Hot::full();
    let mut scorer = hot.engine.scorer().expect("a slot");
    hot.warm_up(&mut scorer);
    let mut host = hot.host();
    hot.warm_up_requests(&mut host);
    std::thread::scope(|scope| {
        scope.spawn(|| hot.storm());
        let clock = (what == "request").then_some(libc::SYS_clock_gettime);
        give_up_system_calls(clock.unwrap_or(libc::SYS_exit_group));
        if what == "plant" {
            // SAFETY: getpid has no arguments and changes nothing.
            unsafe { libc::syscall(libc::SYS_getpid) };
        }
        let outcome = match what.as_str() {
            "request" => hot.score_requests(&mut host),
            _ => hot.score(&mut scorer),
        };
        let enough = outcome.scores >= SCORES && outcome.last > PUBLISHES;
        let code = if enough && outcome.wrong == 0 {
            SCORED
        } else {
            WRONG
        };
        // SAFETY: ends the process at once, the publisher with it. The one call that is left.
        unsafe { libc::syscall(libc::SYS_exit_group, code) };
    });
}

/// From here on, this thread's system calls kill the process; exit_group and one more are allowed.
fn give_up_system_calls(allowed: i64) {
    let load_number = libc::sock_filter {
        code: (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16,
        jt: 0,
        jf: 0,
        k: 0,
    };
    let skip_unless = |number: i64| libc::sock_filter {
        code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
        jt: 0,
        jf: 1,
        k: number as u32,
    };
    let answer = |k| libc::sock_filter {
        code: (libc::BPF_RET | libc::BPF_K) as u16,
        jt: 0,
        jf: 0,
        k,
    };
    let mut filter = [
        load_number,
        skip_unless(libc::SYS_exit_group),
        answer(libc::SECCOMP_RET_ALLOW),
        skip_unless(allowed),
        answer(libc::SECCOMP_RET_ALLOW),
        answer(libc::SECCOMP_RET_KILL_PROCESS),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: takes no pointer; needed before an unprivileged thread may set a filter.
    let failed = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(failed, 0, "no_new_privs");
    // SAFETY: the program and its filter live until the call returns, which copies them.
    let failed = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) };
    assert_eq!(failed, 0, "this machine has no seccomp filters");
}
